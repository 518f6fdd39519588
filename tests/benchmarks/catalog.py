"""How fast the catalogue writes and answers, beside plainer ways to do the same."""

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
from obspy import read_events
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session, registry

from geomon.events import Event, Pick
from geomon.stores import schema
from geomon.stores.catalog import Catalog
from geomon.stores.exports import to_csv
from geomon.stores.quakeml import write_quakeml
from geomon.stores.queries import Circle, EventQuery
from geomon.times import NS_PER_S, TimeSpan, parse_time
from tests.benchmarks import catalog_services, page, wheel
from tests.benchmarks.catalog_filling import WHOLE, filled, kept
from tests.benchmarks.report import Figure, at_least, at_most, main, versions
from tests.stores import postgres
from tests.stores.events import STREAMS, many_events

HOUR = TimeSpan.parse("2026-07-04T17:00:00", "2026-07-04T18:01:00")
SHAPES = {
    "box, a year, M >= 1": EventQuery(
        start="2020-01-01", end="2021-01-01", bbox=(-119.0, 35.0, -117.0, 36.5),
        min_magnitude=1.0, limit=1000,
    ),
    "small box, all time": EventQuery(bbox=(-117.9, 35.6, -117.6, 35.9), limit=1000),
    "wide box, a month": EventQuery(
        start="2020-06-01", end="2020-07-01", bbox=(-125.0, 30.0, -112.0, 43.0), limit=1000
    ),
    "circle, a year": EventQuery(
        start="2020-01-01", end="2021-01-01", circle=Circle(36.0, -118.0, 1.0), limit=1000
    ),
    "one day": EventQuery(start="2022-03-03", end="2022-03-04", limit=1000),
    "large ones, newest first": EventQuery(min_magnitude=4.5, order_by="-time", limit=1000),
    "largest first": EventQuery(order_by="-magnitude", limit=1000),
}  # fmt: skip


_BUFFERS = "1GB"
"""Memory of the PostgreSQL server: what its manual advises for one of 4 GB."""


def measure(quick: bool) -> Sequence[Figure]:
    """Measure the catalogue: writing, asking, exporting, serving."""
    n_events, n_picks = (20_000, 5) if quick else WHOLE
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures = [
            *_writing(folder, n_events=300 if quick else 2000),
            _upserting(folder, n_picks=30_000 if quick else 100_000),
        ]
        url = f"sqlite:///{folder}/filled.sqlite" if quick else kept(n_events, n_picks)
        with filled(url, n_events, n_picks) as catalog:
            figures += _asking(catalog, n_events)
            figures.append(_tabulating(catalog))
        figures += catalog_services.events(folder, url, n_events)
        figures += _on_postgresql(n_events)
        figures += catalog_services.dataselect(folder)
        figures.append(_exporting(n_events=50 if quick else 500))
        figures += page.figures(folder, quick=quick)
        figures.append(wheel.payload())
    return figures


def _on_postgresql(n_events: int) -> Iterator[Figure]:
    programs = postgres.find_programs()
    if programs is None:
        yield Figure(
            figure="queries on PostgreSQL", value=None, unit="ms",
            conditions="PostgreSQL is not installed",
        )  # fmt: skip
        return
    with (
        postgres.server(programs, shared_buffers=_BUFFERS) as server,
        filled(server.url, n_events, n_picks=0) as catalog,
    ):
        yield from _asking(catalog, n_events)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _writing(folder: Path, n_events: int) -> Iterator[Figure]:
    events = many_events(n_events)
    picks = {
        stream: [p for e in events for p in e.picks if p.seed_id.stream_id == stream]
        for stream in STREAMS
    }
    catalog = Catalog.open(f"sqlite:///{folder}/writing.sqlite")
    run = catalog.begin_run("benchmark")
    for stream, of_stream in picks.items():
        catalog.replace_picks(stream, HOUR, of_stream, run)

    def work() -> None:
        for tile in HOUR.steps(600 * NS_PER_S):
            inside = [e for e in events if tile.contains(_ns(e))]
            catalog.replace_events(tile, inside, run)

    rate = n_events / _seconds(work)
    again = n_events / _seconds(work)
    orm = n_events / _seconds(lambda: _write_with_orm(catalog, folder))
    catalog.close()
    conditions = f"{n_events} events, 12 arrivals each, 10-min tiles; {_versions()}"
    goal, holds = at_least(rate, 100)
    yield Figure(
        figure="full events written", value=rate, unit="events/s", goal=goal, holds=holds,
        peer="the same rows through SQLAlchemy's ORM, no matching", peer_value=orm,
        ratio=rate / orm, conditions=conditions,
    )  # fmt: skip
    yield Figure(
        figure="the same events again (nothing to change)", value=again, unit="events/s",
        conditions=conditions,
    )  # fmt: skip


def _ns(event: Event) -> int:
    return parse_time(event.preferred_origin.time.isoformat())


def _write_with_orm(catalog: Catalog, folder: Path) -> None:
    """Copy the events' rows into an empty database as mapped objects, a commit a tile's worth."""
    names = ("run", "stream", "picker", "pick", "event", "origin", "arrival", "magnitude",
             "station_magnitude", "event_revision")  # fmt: skip
    mapping = registry()
    engine = create_engine(f"sqlite:///{folder}/orm.sqlite")
    schema.metadata.create_all(engine)
    with catalog.database.read() as connection, Session(engine) as session:
        for name in names:
            table = schema.metadata.tables[name]
            mapped: Any = type(name.title(), (), {})
            mapping.map_imperatively(mapped, table)
            for batch in batched(connection.execute(select(table)).mappings().all(), 1000):
                for row in batch:
                    one = mapped()
                    for column, value in row.items():
                        setattr(one, column, value)
                    session.add(one)
                session.commit()
    engine.dispose()


def _upserting(folder: Path, n_picks: int) -> Figure:
    catalog = Catalog.open(f"sqlite:///{folder}/picks.sqlite")
    rng = np.random.default_rng(1)
    stream = STREAMS[0]
    seconds = np.cumsum(rng.uniform(0.5, 8.0, n_picks))
    start = parse_time("2026-01-01")
    span = TimeSpan(start, start + round((seconds[-1] + 1) * NS_PER_S))
    picks = [
        Pick(TimeSpan(start + round(s * 1e6) * 1000, span.end_ns).start, stream.seed_id("Z"),
             "P", float(p), 0.05, picker="default")
        for s, p in zip(seconds, rng.uniform(0.3, 1, n_picks), strict=True)
    ]  # fmt: skip
    run = catalog.begin_run("benchmark")

    def work() -> None:
        for day in span.steps(86_400 * NS_PER_S):
            first, last = np.searchsorted(
                seconds, [(t - start) / 1e9 for t in (day.start_ns, day.end_ns)]
            )
            catalog.replace_picks(stream, day, picks[first:last], run)

    rate = n_picks / _seconds(work)
    catalog.close()
    goal, holds = at_least(rate, 20_000)
    return Figure(
        figure="picks written", value=rate, unit="picks/s", goal=goal, holds=holds,
        conditions=f"{n_picks} picks, one transaction a stream-day; {_versions()}",
    )  # fmt: skip


def _asking(catalog: Catalog, n_events: int) -> Iterator[Figure]:
    is_file = catalog.database.name.startswith("sqlite")
    backend = "SQLite" if is_file else "PostgreSQL"
    memory = "" if is_file else f"shared_buffers {_BUFFERS}; "
    for name, query in SHAPES.items():
        found = catalog.find(query)
        value = 1e3 * min(_seconds(lambda query=query: catalog.find(query)) for _ in range(5))
        flat = _flat(query)
        with catalog.database.read() as connection:
            n_flat = len(connection.execute(text(flat)).all())
            peer = 1e3 * min(
                _seconds(lambda c=connection, sql=flat: c.execute(text(sql)).all())
                for _ in range(3)
            )
        goal, holds = at_most(value, 50)
        yield Figure(
            figure=f"query on {backend}: {name}", value=value, unit="ms", goal=goal, holds=holds,
            peer="flat table of 5 columns, an index a column", peer_value=peer,
            ratio=peer / value,
            conditions=f"{n_events} events, {len(found)} found (peer {n_flat}); {memory}"
            f"{_versions()}",
        )  # fmt: skip


def _flat(query: EventQuery) -> str:
    """Return the query as plain SQL on the flat table; of a circle, the box around it."""
    where = ["1 = 1"]
    box = query.bbox or (query.circle and query.circle.box())
    if box:
        west, south, east, north = box
        where.append(f"lat BETWEEN {south} AND {north} AND lon BETWEEN {west} AND {east}")
    if query.start is not None and query.end is not None:
        where.append(f"t >= {parse_time(str(query.start))} AND t < {parse_time(str(query.end))}")
    if query.min_magnitude is not None:
        where.append(f"mag >= {query.min_magnitude}")
    order = {"time": "t", "-time": "t DESC", "-magnitude": "mag DESC, t DESC"}[query.order_by]
    return f"SELECT * FROM flat WHERE {' AND '.join(where)} ORDER BY {order} LIMIT {query.limit}"


def _tabulating(catalog: Catalog) -> Figure:
    value = _seconds(lambda: to_csv(catalog.events(limit=20_000)))
    goal, holds = at_most(value, 2.0)
    return Figure(
        figure="20,000 events asked for and written as CSV", value=value, unit="s", goal=goal,
        holds=holds, conditions=_versions(),
    )  # fmt: skip


def _exporting(n_events: int) -> Figure:
    events = many_events(n_events)
    seconds = min(_seconds(lambda: write_quakeml(events)) for _ in range(3))
    catalog = read_events(io.BytesIO(write_quakeml(events)))
    peer = n_events / _seconds(lambda: catalog.write(io.BytesIO(), format="QUAKEML"))
    rate = n_events / seconds
    goal, holds = at_least(rate / peer, 3)
    return Figure(
        figure="QuakeML written", value=rate, unit="events/s", goal=f"{goal} x peer", holds=holds,
        peer="ObsPy's writer, same events", peer_value=peer, ratio=rate / peer,
        conditions=f"{n_events} events, 12 arrivals each; {_versions('obspy')}",
    )  # fmt: skip


def _versions(*more: str) -> str:
    return versions("sqlalchemy", *more)


if __name__ == "__main__":
    main(measure)
