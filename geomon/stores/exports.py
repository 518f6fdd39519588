"""Events and picks as files: CSV, GeoJSON, Parquet, QuakeML and others, and a table."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from geomon.events import Event
from geomon.stations import Credit
from geomon.stores.eventlist import PICK_COLUMNS, EventList, PickList
from geomon.stores.quakeml import write_quakeml
from geomon.stores.relocating import HeldOrigin
from geomon.stores.summary import EVENT_COLUMNS, EventSummary, summary_of

type Format = Literal["csv", "geojson", "quakeml", "parquet", "nonlinloc", "hypodd", "nordic"]


def export(
    events: EventList | Sequence[Event],
    kind: Format,
    *,
    agency: str = "geomon",
    credits: Sequence[Credit] = (),
    others: Callable[[Event], Sequence[HeldOrigin]] | None = None,
) -> bytes:
    """Return events as the content of a file of one format.

    Parameters
    ----------
    events : EventList or sequence of Event
        What to write.
    kind : str
        ``csv``, ``geojson``, ``quakeml``, ``parquet``; or the phase files of ``nonlinloc``,
        ``hypodd`` and ``nordic``, see `geomon.stores.phasefiles`.
    agency : str
        Agency id for QuakeML.
    credits : sequence of Credit
        Whose waveforms the events were found in; written where the format has a place for it,
        which CSV and the phase files have not.
    others : callable, optional
        Returns the other origins of an event than its preferred one, for QuakeML.
    """
    if kind == "quakeml":
        known = events.contributions if isinstance(events, EventList) else {}
        return write_quakeml(
            events, agency=agency, others=others, contributions=known, credits=credits
        )
    if kind == "geojson":
        return to_geojson(events, credits)
    if kind == "parquet":
        return to_parquet(events, credits)
    if kind == "csv":
        return to_csv(events)
    from geomon.stores.phasefiles import write_phases

    return write_phases(events, kind)


def summaries_of(events: EventList | Sequence[Event]) -> Sequence[EventSummary]:
    """Return one line an event."""
    if isinstance(events, EventList):
        return events.summaries
    return [summary_of(event) for event in events]


def to_csv(events: EventList | Sequence[Event]) -> bytes:
    """Return one line an event after a header; columns are the fields of `EventSummary`.

    Times are ISO 8601 UTC, decimals the shortest that read back the same; unknown is empty.
    """
    return _csv(EVENT_COLUMNS, summaries_of(events))


def picks_to_csv(picks: PickList) -> bytes:
    """Return one line a pick after a header; `event_id` is the event that uses it, if any."""
    return _csv(PICK_COLUMNS, picks.rows())


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell of any column
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    return None if isinstance(value, float) and value != value else value


def to_geojson(events: EventList | Sequence[Event], credits: Sequence[Credit] = ()) -> bytes:
    """Return a GeoJSON (RFC 7946) collection of points, every column as a property.

    The third coordinate is the height in metres above sea level, negative for most earthquakes,
    as the standard wants it; `depth_km` is among the properties. Credits are lines beside the
    features.
    """
    features = [feature(summary) for summary in summaries_of(events)]
    collection: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if credits:
        collection["credits"] = [credit.text() for credit in credits]
    return json.dumps(collection, allow_nan=False, ensure_ascii=False).encode()


def feature(summary: EventSummary) -> dict[str, Any]:
    """Return one event as a GeoJSON feature."""
    values = dict(zip(EVENT_COLUMNS, map(_plain, summary), strict=True))
    place = [values.pop("longitude"), values.pop("latitude")]
    if summary.depth_km is not None:
        place.append(round(-1000 * summary.depth_km, 1))
    return {
        "type": "Feature",
        "id": values["event_id"],
        "geometry": {"type": "Point", "coordinates": place},
        "properties": values,
    }


def to_parquet(events: EventList | Sequence[Event], credits: Sequence[Credit] = ()) -> bytes:
    """Return a GeoParquet 1.1 file: every column, and the epicentre as WKB in `geometry`.

    Credits are a JSON list of lines in the metadata, under ``credits``.
    """
    import pyarrow as pa
    from pyarrow import parquet

    summaries = summaries_of(events)
    columns = dict(zip(EVENT_COLUMNS, zip(*summaries, strict=True), strict=False))
    arrays = {
        name: pa.array(columns.get(name, ()), type=_arrow_type(pa, name)) for name in EVENT_COLUMNS
    }
    points = [_wkb_point(summary.longitude, summary.latitude) for summary in summaries]
    arrays["geometry"] = pa.array(points, type=pa.binary())
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
    }
    metadata = {"geo": json.dumps(geo)}
    if credits:
        metadata["credits"] = json.dumps([credit.text() for credit in credits])
    table = pa.table(arrays).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


_TEXTS = ("event_id", "magnitude_type", "quality", "event_type", "review_state", "catalog")
_COUNTS = ("n_stations", "n_phases", "revision")


def _arrow_type(pa: Any, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    if name in ("time", "updated"):
        return pa.timestamp("us", tz="UTC")
    if name in _TEXTS:
        return pa.string()
    return pa.int32() if name in _COUNTS else pa.float64()


def _wkb_point(longitude: float, latitude: float) -> bytes:
    import struct

    return struct.pack("<BIdd", 1, 1, longitude, latitude)


def _size(summary: EventSummary) -> str:
    return "-" if summary.magnitude is None else f"{summary.magnitude_type} {summary.magnitude:.1f}"


def to_table(events: EventList | Sequence[Event]) -> str:
    """Return lines for a terminal: the columns people look at first."""
    header = ("event", "time (UTC)", "lat", "lon", "depth", "mag", "phases", "gap", "q", "state")
    rows = [header] + [
        (
            summary.event_id,
            f"{summary.time:%Y-%m-%d %H:%M:%S}.{summary.time.microsecond // 100_000}",
            f"{summary.latitude:.4f}",
            f"{summary.longitude:.4f}",
            "-" if summary.depth_km is None else f"{summary.depth_km:.1f} km",
            "-"
            if summary.magnitude is None
            else f"{summary.magnitude_type} {summary.magnitude:.1f}",
            str(summary.n_phases),
            "-" if summary.azimuthal_gap_deg is None else f"{summary.azimuthal_gap_deg:.0f}°",
            summary.quality,
            summary.review_state,
        )
        for summary in summaries_of(events)
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    left = {0, 1, 8, 9}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
