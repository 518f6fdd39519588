"""What a flow leaves to look at in the Prefect page."""

from collections.abc import Iterable, Sequence

from prefect.artifacts import create_markdown_artifact

from geomon.config import Config
from geomon.events import Event
from geomon.services.coverage import coverage, table
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan

_MOST_EVENTS = 200
_LONGEST_TABLE_S = 14 * NS_PER_DAY // NS_PER_S
"""A sign an hour: longer spans are a backfill's, which has a plan of its own."""


def show_coverage(config: Config, span: TimeSpan, stations: Sequence[str] = ()) -> None:
    """Leave a table of which station-hours were archived, picked and located."""
    if span.duration_s > _LONGEST_TABLE_S:
        return
    drawn = table(coverage(config, span, stations=tuple(stations)))
    create_markdown_artifact(
        key="coverage",
        markdown=f"# Coverage of {config.network.name}\n\n```\n{drawn}\n```\n",
        description=f"{config.network.name}, {span}",
    )


def show_events(config: Config, span: TimeSpan) -> None:
    """Leave a table of the events of a span."""
    events = list(workspace(config).catalog.events(start=span.start, end=span.end))
    create_markdown_artifact(
        key="events",
        markdown=f"# Events of {config.network.name}\n\n{events_table(events)}\n",
        description=f"{len(events)} events in {span}",
    )


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
        size = f"{magnitude.magnitude_type} {magnitude.value:.1f}" if magnitude else ""
        lines.append(
            f"| {origin.time:%Y-%m-%d %H:%M:%S} | {size} | {origin.latitude:.3f} "
            f"| {origin.longitude:.3f} | {origin.depth_km:.1f} | {origin.n_stations} "
            f"| {origin.quality} |"
        )
    if len(ordered) > _MOST_EVENTS:
        lines.append(f"\n… and {len(ordered) - _MOST_EVENTS} earlier ones.")
    return "\n".join(lines)
