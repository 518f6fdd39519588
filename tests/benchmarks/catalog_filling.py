"""A catalogue of any size for the benchmarks, filled by plain inserts; one on disk is kept.

``python -m tests.benchmarks.catalog_filling`` fills the one of the full run ahead of time. It goes
on where it stopped.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import Any

import numpy as np
from sqlalchemy import inspect, text

from geomon.caches import cache_folder
from geomon.ids import StreamId
from geomon.stores import schema
from geomon.stores.catalog import Catalog
from geomon.stores.database import Run, Write
from geomon.stores.event_rows import cell_of
from geomon.stores.queries import EventQuery
from geomon.times import NS_PER_S, TimeSpan

WHOLE = 1_000_000, 20
"""Events of the full run, and picks of each."""
YEARS = TimeSpan.parse("2016-01-01", "2026-01-01")
_FLAT = (
    "CREATE TABLE flat (id BIGINT, t BIGINT, lat DOUBLE PRECISION, lon DOUBLE PRECISION, "
    "mag DOUBLE PRECISION)"
)
_EVENTS_AT_ONCE = 5_000

type _Row = tuple[int, int, float, float, float]
"""Number, time in nanoseconds, latitude, longitude and magnitude of an event."""


def kept(n_events: int, n_picks: int) -> str:
    """Return the URL of a catalogue that stays on disk between runs."""
    folder = cache_folder("benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder}/catalog-{n_events}-{n_picks}.sqlite"


@contextmanager
def filled(url: str, n_events: int, n_picks: int) -> Iterator[Catalog]:
    """Open a catalogue with a decade of events, and a flat table of them beside it.

    What it has not yet is added first, some thousand events a transaction.
    """
    catalog = Catalog.open(url)
    try:
        _fill(catalog, n_events, n_picks)
        yield catalog
    finally:
        catalog.close()


def _fill(catalog: Catalog, n_events: int, n_picks: int) -> None:
    rows = _events(n_events)
    run = Run.begin("benchmark")
    n_held = catalog.count(EventQuery())
    for batch in batched(rows[n_held:], _EVENTS_AT_ONCE):
        catalog.database.write(run, lambda write, batch=batch: _insert(write, batch, n_picks))
    catalog.database.write(run, _index)


def _events(n_events: int) -> list[_Row]:
    rng = np.random.default_rng(7)
    centres = rng.uniform((32, -124), (42, -114), (40, 2))
    centre = rng.integers(0, 40, n_events)
    places = (centres[centre] + rng.normal(0, 0.3, (n_events, 2))).tolist()
    first, last = YEARS.start_ns // 1000, YEARS.end_ns // 1000
    times = (np.sort(rng.integers(first, last, n_events)) * 1000).tolist()
    sizes = np.round(rng.exponential(0.43, n_events) + 0.2, 2).tolist()
    return [
        (number, time, *place, size)
        for number, (time, place, size) in enumerate(zip(times, places, sizes, strict=True), 1)
    ]


def _insert(write: Write, rows: Sequence[_Row], n_picks: int) -> None:
    if not inspect(write.connection).has_table("flat"):
        write.connection.execute(text(_FLAT))
    flat = text("INSERT INTO flat VALUES (:id, :t, :lat, :lon, :mag)")
    names = ("id", "t", "lat", "lon", "mag")
    write.connection.execute(flat, [dict(zip(names, row, strict=True)) for row in rows])
    for table, values in _rows(write, rows, n_picks):
        write.insert(schema.metadata.tables[table], values)


def _index(write: Write) -> None:
    if inspect(write.connection).get_indexes("flat"):
        return
    for column in ("t", "lat", "lon", "mag"):
        write.connection.execute(text(f"CREATE INDEX flat_{column} ON flat ({column})"))
    write.connection.execute(text("ANALYZE"))


def _rows(
    write: Write, rows: Sequence[_Row], n_picks: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    run, now, picker = write.run_key(), write.stamp_ns(), write.picker("p")
    streams = [write.stream(StreamId("CI", f"S{k:02d}", "", "HH")) for k in range(-(-n_picks // 2))]
    yield "event", [
        {"id": i, "event_id": f"gm{i}", "catalog": "geomon", "owner_ns": t, "run": run}
        for i, t, _, _, _ in rows
    ]  # fmt: skip
    yield "origin", [
        {"id": i, "event": i, "time_ns": t, "latitude": lat, "longitude": lon, "depth_km": 7.5,
         "n_stations": 8, "n_phases": 14, "quality": "B", "method": "m", "velocity_model": "v",
         "ellipse_major_km": 1.0, "ellipse_minor_km": 0.5, "rms_s": 0.1, "run": run}
        for i, t, lat, lon, _ in rows
    ]  # fmt: skip
    yield "magnitude", [
        {"id": i, "event": i, "value": mag, "type": "ML", "n_stations": 5, "run": run}
        for i, _, _, _, mag in rows
    ]  # fmt: skip
    yield "event_revision", [
        {"id": i, "event": i, "revision": 1, "valid_from": now, "origin": i, "magnitude": i,
         "catalog": "geomon", "latitude": lat, "longitude": lon, "depth_km": 7.5,
         "magnitude_type": "ML", "time_ns": t, "cell": cell_of(lat, lon),
         "magnitude_value": mag, "content": str(i),
         "event_type": "earthquake", "review_state": "automatic", "is_withdrawn": False,
         "reasons": "[]", "reason": "", "actor": "", "run": run}
        for i, t, lat, lon, mag in rows
    ]  # fmt: skip
    yield "pick", [
        {"id": i * n_picks + k, "stream": streams[k // 2], "component": "ZN"[k % 2],
         "phase": "PS"[k % 2], "time_ns": t + (k + 1) * NS_PER_S, "probability": 0.9,
         "uncertainty_s": 0.05, "polarity": "positive", "picker": picker, "mode": "automatic",
         "valid_from": now, "run": run}
        for i, t, _, _, _ in rows for k in range(n_picks)
    ]  # fmt: skip
    yield "arrival", [
        {"origin": i, "position": k, "pick": i * n_picks + k, "distance_km": 6.0 * (k + 1),
         "azimuth_deg": 30.0 * k % 360, "residual_s": 0.05, "weight": 1.0}
        for i, _, _, _, _ in rows for k in range(n_picks)
    ]  # fmt: skip


if __name__ == "__main__":
    with filled(kept(*WHOLE), *WHOLE) as whole:
        print(f"{whole.count(EventQuery())} events in {whole.database.name}")
