"""Fetch what the archive does not hold yet, and keep it."""

import logging
import time
from collections import Counter
from dataclasses import dataclass

from geomon.config import Config
from geomon.errors import GeomonError
from geomon.ids import StationId, StreamId
from geomon.services.fanout import fan_out
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import workspace
from geomon.stores.ledger import State
from geomon.times import NS_PER_DAY, TimeSpan, merged, subtracted

logger = logging.getLogger(__name__)

_MAX_HOLES = 24
"""More holes than this in a station-day are asked for as one span: cheaper for everyone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport(Report):
    """What was asked for and what came; spans of archived samples that changed, by stream."""

    n_units: int = 0
    n_requests: int = 0
    n_bytes: int = 0
    n_new_samples: int = 0
    outcomes: dict[str, int]
    missing_s: float = 0.0


@dataclass(frozen=True, slots=True, order=True)
class _Unit:
    station_id: StationId
    streams: tuple[StreamId, ...]
    span: TimeSpan


@dataclass(frozen=True, slots=True)
class _Outcome:
    outcomes: tuple[str, ...] = ()
    n_bytes: int = 0
    n_new_samples: int = 0
    missing_s: float = 0.0
    problems: tuple[str, ...] = ()
    failed: bool = False


def ingest(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> IngestReport:
    """Fetch every hole of the archive in a span, station-day by station-day.

    What is archived already is not asked for again, so running twice changes nothing. A
    station-day that cannot be had is reported; the others go on.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        What to fetch.
    stations : tuple of str
        ``NET.STA`` patterns; all stations when empty.
    progress : callable
        Told about every station-day done.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    """
    started = time.monotonic()
    space = workspace(config)
    inventory = space.refreshed_stations(span).selected(stations)
    streams = inventory.preferred_streams(span, config.network.channels)
    by_station: dict[StationId, list[StreamId]] = {}
    for stream in streams:
        by_station.setdefault(stream.station_id, []).append(stream)
    units = [
        _Unit(station_id, tuple(of_station), part)
        for part in span.steps(NS_PER_DAY)
        for station_id, of_station in sorted(by_station.items())
    ]
    workers = getattr(config.source, "max_connections", config.compute.workers)
    done = fan_out(
        _ingest_station_day, config, units, stage="fetch", progress=progress, workers=workers
    )
    problems = [*inventory.problems, *(line for outcome in done for line in outcome.problems)]
    if not units:
        problems.append(_nothing_to_ask(config, span, stations))
    return IngestReport(
        n_failed=sum(outcome.failed for outcome in done),
        problems=distinct(problems),
        took_s=time.monotonic() - started,
        n_units=len(units),
        n_requests=sum(len(outcome.outcomes) for outcome in done),
        n_bytes=sum(outcome.n_bytes for outcome in done),
        n_new_samples=sum(outcome.n_new_samples for outcome in done),
        outcomes=dict(Counter(kind for outcome in done for kind in outcome.outcomes)),
        missing_s=sum(outcome.missing_s for outcome in done),
    )


def _nothing_to_ask(config: Config, span: TimeSpan, stations: tuple[str, ...]) -> str:
    among = f" among {', '.join(stations)}" if stations else ""
    return (
        f"{config.network.name}: no station{among} has channels "
        f"{', '.join(config.network.channels)} in {span}"
    )


def _ingest_station_day(config: Config, unit: _Unit) -> _Outcome:
    try:
        return _fetch_holes(config, unit)
    except GeomonError as error:
        logger.warning("ingest %s %s failed: %s", unit.station_id, unit.span, error)
        return _Outcome(problems=(str(error),), failed=True)


def _fetch_holes(config: Config, unit: _Unit) -> _Outcome:
    space = workspace(config)
    inventory = space.stations()
    seed_ids = [
        seed_id for seed_id in inventory.seed_ids(unit.span) if seed_id.stream_id in unit.streams
    ]
    outcomes: list[str] = []
    problems: list[str] = []
    n_bytes = n_new = 0
    for hole in _holes(config, unit):
        fetched = space.source.fetch(seed_ids, hole)
        outcomes.append(fetched.outcome)
        problems += fetched.problems
        n_bytes += fetched.n_bytes
        if fetched.segments:
            reports = space.archive.write(fetched.segments, fetched.provenance)
            n_new += sum(report.n_new_samples for report in reports)
    missing_s = 0.0
    for stream in unit.streams:
        held = merged(
            part for parts in space.archive.coverage(stream, unit.span).values() for part in parts
        )
        lacking = sum(part.duration_s for part in subtracted(unit.span, held))
        missing_s += lacking
        failed = [kind for kind in outcomes if kind not in {"data", "nodata"}]
        state: State = "failed" if failed else "done" if held else "nodata"
        space.coverage.record(
            "archive", str(stream), unit.span, state=state, error="; ".join(problems[:3])
        )
    failed_kinds = {kind for kind in outcomes if kind not in {"data", "nodata"}}
    logger.info(
        "archived %s %s new=%d bytes=%d missing_s=%.0f %s",
        unit.station_id, unit.span.start.date(), n_new, n_bytes, missing_s, ",".join(outcomes),
    )  # fmt: skip
    return _Outcome(tuple(outcomes), n_bytes, n_new, missing_s, tuple(problems), bool(failed_kinds))


def _holes(config: Config, unit: _Unit) -> list[TimeSpan]:
    """Return what some channel of the unit lacks, longer than two samples, in time order."""
    space = workspace(config)
    lacking: list[TimeSpan] = []
    for stream in unit.streams:
        coverage = space.archive.coverage(stream, unit.span)
        wanted = [s for s in space.stations().seed_ids(unit.span) if s.stream_id == stream]
        for seed_id in wanted:
            lacking += subtracted(unit.span, coverage.get(seed_id, []))
    holes = [hole for hole in merged(lacking) if hole.duration_s > _shortest_hole_s(config)]
    if len(holes) > _MAX_HOLES:
        return [TimeSpan(holes[0].start_ns, holes[-1].end_ns)]
    return holes


def _shortest_hole_s(config: Config) -> float:
    """Return two samples of the slowest stream worth picking, so that grids may be off UTC."""
    rates = [
        c.sampling_rate_hz for c in workspace(config).stations().channels if c.sampling_rate_hz
    ]
    return 2.0 / min(rates, default=20.0)
