"""Fetch what the archive does not hold yet, and keep it."""

import logging
import time
from collections import Counter
from dataclasses import dataclass

from geomon.config import Config
from geomon.errors import GeomonError
from geomon.ids import SeedId, StationId, StreamId
from geomon.services.fanout import fan_out
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import workspace
from geomon.stores.ledger import State
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, merged, subtracted

logger = logging.getLogger(__name__)

_MARGIN_S = 1.0
"""Asked for beyond a hole: sample times that jitter across its ends must not lose a sample."""
_ANSWERED = frozenset({"data", "nodata"})
_LIVE_NS = 7200 * NS_PER_S
_SLOWEST_HZ = 20.0
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

    What is archived already is not asked for again, and neither is a hole that was asked for a
    moment ago, so running twice changes nothing. A station-day that cannot be had is reported;
    the others go on.

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
    workers = getattr(config.source, "max_connections", None) or config.compute.workers
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
    known = space.stations().seed_ids(unit.span)
    seed_ids = [seed_id for seed_id in known if seed_id.stream_id in unit.streams]
    outcomes: list[str] = []
    problems: list[str] = []
    n_bytes = n_new = 0
    for hole in _to_ask(config, unit, seed_ids):
        fetched = space.source.fetch(seed_ids, hole.padded(_MARGIN_S))
        outcomes.append(fetched.outcome)
        problems += fetched.problems
        n_bytes += fetched.n_bytes
        if fetched.segments:
            reports = space.archive.write(fetched.segments, fetched.provenance)
            n_new += sum(report.n_new_samples for report in reports)
        if fetched.outcome in _ANSWERED:
            _note_gaps(config, seed_ids, hole)
    failed = any(kind not in _ANSWERED for kind in outcomes)
    missing_s = 0.0
    for stream in unit.streams:
        coverage = space.archive.coverage(stream, unit.span)
        held = merged(part for parts in coverage.values() for part in parts)
        missing_s += sum(part.duration_s for part in subtracted(unit.span, held))
        state: State = "failed" if failed else "done" if held else "nodata"
        space.coverage.record(
            "archive", str(stream), unit.span, state=state, error="; ".join(problems[:3])
        )
    logger.info(
        "archived %s %s new=%d bytes=%d missing_s=%.0f %s",
        unit.station_id, unit.span.start.date(), n_new, n_bytes, missing_s, ",".join(outcomes),
    )  # fmt: skip
    return _Outcome(tuple(outcomes), n_bytes, n_new, missing_s, tuple(problems), failed)


def _to_ask(config: Config, unit: _Unit, seed_ids: list[SeedId]) -> list[TimeSpan]:
    """Return what to ask for: holes never asked for, due again, or at the live end.

    Data come late, so a hole that reaches to the end of a recent span is asked for every time;
    others follow the schedule of `geomon.stores.gaps`.
    """
    space = workspace(config)
    wanted: list[TimeSpan] = []
    for seed_id in seed_ids:
        holes = _holes(config, seed_id, unit.span)
        live = [hole for hole in holes if _is_live(hole, unit.span)]
        wanted += live
        wanted += space.catalog.gaps.to_ask(
            str(seed_id), [hole for hole in holes if hole not in live]
        )
    parts = merged(wanted)
    if len(parts) > _MAX_HOLES:
        return [TimeSpan(parts[0].start_ns, parts[-1].end_ns)]
    return parts


def _note_gaps(config: Config, seed_ids: list[SeedId], asked: TimeSpan) -> None:
    """Remember what an answer lacked, and forget gaps that it filled."""
    gaps = workspace(config).catalog.gaps
    for seed_id in seed_ids:
        left = [hole for hole in _holes(config, seed_id, asked) if not _is_live(hole, asked)]
        if left or gaps.known(str(seed_id), asked):
            gaps.note(str(seed_id), asked, left)


def _holes(config: Config, seed_id: SeedId, span: TimeSpan) -> list[TimeSpan]:
    """Return what the archive lacks of a channel; its sample grid may be off the span's ends."""
    space = workspace(config)
    held = space.archive.coverage(seed_id.stream_id, span).get(seed_id, [])
    channel = space.stations().channel(seed_id, span.start_ns)
    rate = channel.sampling_rate_hz if channel and channel.sampling_rate_hz else _SLOWEST_HZ
    return [hole for hole in subtracted(span, held) if hole.duration_s > 2 / rate]


def _is_live(hole: TimeSpan, span: TimeSpan) -> bool:
    return hole.end_ns == span.end_ns and time.time_ns() - hole.end_ns < _LIVE_NS
