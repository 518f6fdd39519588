"""What a flow leaves to look at in the Prefect page."""

import base64
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from geomon.config import Config
from geomon.events import Event
from geomon.ids import StationId
from geomon.services.coverage import coverage, newest_samples, stream_spans, table
from geomon.services.grid import drawn, status
from geomon.services.pictures import save_map
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, from_ns, merged

_MOST_EVENTS = 200
_LONGEST_TABLE_S = 14 * NS_PER_DAY // NS_PER_S
"""A sign an hour: longer spans are a backfill's, which has a plan of its own."""


def show_coverage(config: Config, span: TimeSpan, stations: Sequence[str] = ()) -> None:
    """Leave a table of which station-hours were archived, picked and located."""
    if span.duration_s > _LONGEST_TABLE_S:
        return
    drawn = table(coverage(config, span, stations=tuple(stations)), span)
    create_markdown_artifact(
        key="coverage",
        markdown=f"# Coverage of {config.network.name}\n\n```\n{drawn}\n```\n",
        description=f"{config.network.name}, {span.words}",
    )


def show_grid(config: Config, span: TimeSpan, stations: Sequence[str] = ()) -> None:
    """Leave the grid of stations, days and stages."""
    lines = drawn(status(config, span, stations=tuple(stations)))
    create_markdown_artifact(
        key="backfill-grid",
        markdown=f"# Stations, days and stages of {config.network.name}\n\n```\n{lines}\n```\n",
        description=f"{config.network.name}, {span.words}",
    )


def show_map(config: Config, span: TimeSpan) -> None:
    """Leave a map of the events of a span and of the stations."""
    space = workspace(config)
    events = list(space.catalog.events(start=span.start, end=span.end))
    stations = space.stations().at(span.start_ns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "map.png")
        title = f"{config.network.name}: {len(events)} events, {span.words}"
        save_map(events, stations, path, title=title)
        picture = base64.b64encode(path.read_bytes()).decode()
    create_image_artifact(
        image_url=f"data:image/png;base64,{picture}",
        key="map",
        description=f"{len(events)} events of {config.network.name}, {span.words}",
    )


def show_stations(config: Config, span: TimeSpan) -> int:
    """Leave a table of the stations' health; return how many fell silent before the span's end."""
    space = workspace(config)
    newest = newest_samples(space)
    held: dict[StationId, list[TimeSpan]] = {name: [] for name in space.stations().station_ids()}
    for stream in stream_spans(config, span):
        held.setdefault(stream.stream.station_id, []).extend(stream.archived)
    rows, n_silent = [], 0
    limit_ns = (config.alerts.silent_after_s or 3600) * NS_PER_S
    for station_id, parts in sorted(held.items()):
        end_ns = newest.get(station_id)
        is_silent = end_ns is None or end_ns < span.end_ns - limit_ns
        n_silent += is_silent
        share = sum(part.duration_s for part in merged(parts)) / span.duration_s
        rows.append(
            {
                "Station": str(station_id),
                "State": "silent" if is_silent else "sending",
                "Newest sample (UTC)": ""
                if end_ns is None
                else f"{from_ns(end_ns):%Y-%m-%d %H:%M}",
                "Archived": f"{share:.1%}",
            }
        )
    create_table_artifact(
        table=rows,
        key="stations",
        description=f"{config.network.name}, {span.words}: {len(rows)} stations, {n_silent} silent",
    )
    return n_silent


def show_events(config: Config, span: TimeSpan) -> int:
    """Leave a table of the events of a span; return how many there are."""
    events = list(workspace(config).catalog.events(start=span.start, end=span.end))
    create_markdown_artifact(
        key="events",
        markdown=f"# Events of {config.network.name}\n\n{events_table(events)}\n",
        description=f"{len(events)} events, {span.words}",
    )
    return len(events)


def events_table(events: Iterable[Event]) -> str:
    """Draw events as a Markdown table, the latest first."""
    ordered = sorted(events, key=lambda event: event.preferred_origin.time, reverse=True)
    if not ordered:
        return "No events."
    lines = [
        "| Time (UTC) | Magnitude | Latitude | Longitude | Depth (km) | Stations | Quality |",
        "|---|---|---|---|---|---|---|",
    ]
    for event in ordered[:_MOST_EVENTS]:
        origin, magnitude = event.preferred_origin, event.preferred_magnitude
        size = f"{magnitude.magnitude_type} {magnitude.value:z.1f}" if magnitude else ""
        lines.append(
            f"| {origin.time:%Y-%m-%d %H:%M:%S} | {size} | {origin.latitude:.3f} "
            f"| {origin.longitude:.3f} | {origin.depth_km:.1f} | {origin.n_stations} "
            f"| {origin.quality} |"
        )
    if len(ordered) > _MOST_EVENTS:
        lines.append(f"\n… and {len(ordered) - _MOST_EVENTS} earlier ones.")
    return "\n".join(lines)
