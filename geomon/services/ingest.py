"""Fetch what the archive does not hold yet, and keep it."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from geomon.config import Config
from geomon.errors import GeomonError
from geomon.ids import SeedId, StationId, StreamId
from geomon.services.fanout import fan_out
from geomon.services.holes import Holes
from geomon.services.missing import missing_summary
from geomon.services.quality import assess
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.streaming import Drained, drain
from geomon.services.workspace import Workspace, workspace
from geomon.sources.base import Fetched
from geomon.stores.ledger import State
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, merged, subtracted

logger = logging.getLogger(__name__)

_MARGIN_S = 1.0
"""Asked for beyond a hole: sample times that jitter across its ends must not lose a sample."""
_MAX_SAMPLES = 9_000_000
"""In one request, so that memory is bounded: a channel-day at 100 Hz, or a third of three."""
_ASSESSING = threading.Lock()
"""Whole days are looked at one after the other, however many are fetched at once."""
_USUAL_HZ = 100.0
_ANSWERED = frozenset({"data", "nodata"})
_FETCH_WORKERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport(Report):
    """What was asked for, what came, and what is missing.

    Attributes
    ----------
    n_units, n_complete, n_partial, n_nodata : int
        Station-days looked at; those archived whole, in part, and not at all. `n_failed` of them
        had a request that failed, whatever is archived.
    n_requests, n_bytes : int
        Requests to the source and bytes received.
    n_new_samples : int
        Samples the archive did not hold.
    outcomes : dict of str to int
        How requests ended.
    wanted_s, missing_s : float
        Seconds of all sensors wanted, and those not archived.
    missing : tuple of str
        One line for each of the longest holes: where, and when it is asked for again.
    """

    n_units: int = 0
    n_complete: int = 0
    n_partial: int = 0
    n_nodata: int = 0
    n_requests: int = 0
    n_bytes: int = 0
    n_new_samples: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    wanted_s: float = 0.0
    missing_s: float = 0.0
    missing: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return the account for a person, with what is missing and why."""
        states = [
            f"{n} {word}"
            for n, word in (
                (self.n_complete, "whole"), (self.n_partial, "in part"),
                (self.n_nodata, "without data"), (self.n_failed, "failed"),
            )
            if n
        ]  # fmt: skip
        lines = [
            f"{self.n_units} station-days ({', '.join(states) or 'nothing to do'}), "
            f"{self.n_new_samples} new samples from {self.n_requests} requests, "
            f"{self.n_bytes / 1e6:.1f} MB in {self.took_s:.1f} s"
        ]
        failures = [f"{n} x {kind}" for kind, n in self.outcomes.items() if kind not in _ANSWERED]
        if failures:
            lines.append(f"  requests that failed: {', '.join(failures)}")
        if self.missing_s >= 1 and self.wanted_s:
            share = self.missing_s / self.wanted_s
            lines.append(f"  missing: {self.missing_s / 3600:.2f} sensor-hours ({share:.1%})")
            lines += [f"    {line}" for line in self.missing]
        return "\n".join(lines)


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
    wanted_s: float = 0.0
    missing_s: float = 0.0
    problems: tuple[str, ...] = ()
    failed: bool = False

    @property
    def is_whole(self) -> bool:
        return self.missing_s < 1

    @property
    def is_empty(self) -> bool:
        return self.missing_s >= self.wanted_s


def ingest(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> IngestReport:
    """Fetch every hole of the archive in a span, station-day by station-day.

    A source that streams is drained first. What is archived already is not asked for again, and
    neither is a hole that was asked for a moment ago, so running twice changes nothing. A
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
    drained = drain(config, span, stations=stations, progress=progress)
    by_station: dict[StationId, list[StreamId]] = {}
    for stream in streams:
        by_station.setdefault(stream.station_id, []).append(stream)
    units = [
        _Unit(station_id, tuple(of_station), part)
        for part in span.steps(NS_PER_DAY)
        for station_id, of_station in sorted(by_station.items())
    ]
    workers = getattr(config.source, "max_connections", config.compute.workers) or _FETCH_WORKERS
    done = fan_out(
        _ingest_station_day, config, units, stage="fetch", progress=progress, workers=workers
    )
    problems = [*inventory.problems, *drained.problems, *_assess_drained(config, drained)]
    problems += [line for outcome in done for line in outcome.problems]
    if not units:
        problems.append(_nothing_to_ask(config, span, stations))
    missing_s = sum(outcome.missing_s for outcome in done)
    return IngestReport(
        n_failed=sum(outcome.failed for outcome in done) + drained.failed,
        problems=distinct(problems),
        took_s=time.monotonic() - started,
        n_units=len(units),
        n_complete=sum(outcome.is_whole for outcome in done),
        n_partial=sum(not (outcome.is_whole or outcome.is_empty) for outcome in done),
        n_nodata=sum(outcome.is_empty and not outcome.failed for outcome in done),
        n_requests=sum(len(outcome.outcomes) for outcome in done),
        n_bytes=sum(outcome.n_bytes for outcome in done) + drained.n_bytes,
        n_new_samples=sum(outcome.n_new_samples for outcome in done) + drained.n_new_samples,
        outcomes=dict(Counter(kind for outcome in done for kind in outcome.outcomes)),
        wanted_s=sum(outcome.wanted_s for outcome in done),
        missing_s=missing_s,
        missing=tuple(missing_summary(config, span, stations=stations)) if missing_s >= 1 else (),
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
        wanted_s = unit.span.duration_s * len(unit.streams)
        return _Outcome(wanted_s=wanted_s, missing_s=wanted_s, problems=(str(error),), failed=True)


def _fetch_holes(config: Config, unit: _Unit) -> _Outcome:
    space = workspace(config)
    known = space.stations().seed_ids(unit.span)
    seed_ids = [seed_id for seed_id in known if seed_id.stream_id in unit.streams]
    holes = Holes(space, unit.span, seed_ids)
    outcomes: list[str] = []
    problems: list[str] = []
    timing_quality: dict[SeedId, float] = {}
    n_bytes = n_new = 0
    failed = False
    started = time.monotonic()
    for hole, lacking in holes.to_ask():
        for part in hole.steps(_longest_ns(space, lacking, hole)):
            fetched = space.source.fetch(lacking, part.padded(_MARGIN_S))
            outcomes.append(fetched.outcome)
            problems += fetched.problems
            n_bytes += fetched.n_bytes
            n_new += _keep(space, fetched, holes)
            timing_quality |= fetched.timing_quality
            if fetched.outcome in _ANSWERED:
                holes.note(part, lacking)
            elif holes.lacks(part, lacking):  # what a failing source had, another may have given
                failed = True
    took_s = time.monotonic() - started if outcomes else None
    missing_s = _record(space, unit, failed=failed, problems=problems, took_s=took_s)
    if n_new:
        _assess(config, unit, timing_quality)
    logger.info(
        "archived %s %s new=%d bytes=%d missing_s=%.0f %s",
        unit.station_id, unit.span.start.date(), n_new, n_bytes, missing_s, ",".join(outcomes),
    )  # fmt: skip
    wanted_s = unit.span.duration_s * len(unit.streams)
    return _Outcome(tuple(outcomes), n_bytes, n_new, wanted_s, missing_s, tuple(problems), failed)


def _keep(space: Workspace, fetched: Fetched, holes: Holes) -> int:
    """Archive what came, log how it was asked for, and return how many samples are new."""
    space.catalog.requests.note(fetched.asked)
    segments = holes.lacked(fetched.segments)
    if not segments:
        return 0
    reports = space.archive.write(segments, fetched.provenance)
    return sum(report.n_new_samples for report in reports)


def _longest_ns(space: Workspace, seed_ids: Sequence[SeedId], hole: TimeSpan) -> int:
    """Return how much of a hole may be asked for at once."""
    channels = (space.stations().channel(seed_id, hole.start_ns) for seed_id in seed_ids)
    rates = [(channel and channel.sampling_rate_hz) or _USUAL_HZ for channel in channels]
    seconds = _MAX_SAMPLES / max(sum(rates), 1.0)
    return max(60, int(seconds)) * NS_PER_S


def _record(
    space: Workspace, unit: _Unit, *, failed: bool, problems: Iterable[str], took_s: float | None
) -> float:
    """Enter the station-day into the ledger; return the seconds its sensors lack."""
    missing_s = 0.0
    each_s = None if took_s is None else round(took_s / len(unit.streams), 3)
    for stream in unit.streams:
        coverage = space.archive.coverage(stream, unit.span)
        held = merged(part for parts in coverage.values() for part in parts)
        missing_s += sum(part.duration_s for part in subtracted(unit.span, held))
        state: State = "failed" if failed else "done" if held else "nodata"
        error = "; ".join([*problems][:3])
        space.coverage.record(
            "archive", str(stream), unit.span, state=state, error=error, seconds=each_s
        )
    return missing_s


def _assess(config: Config, unit: _Unit, timing_quality: Mapping[SeedId, float]) -> None:
    for stream in unit.streams:
        for day in unit.span.days():
            told = {key: value for key, value in timing_quality.items() if key.stream_id == stream}
            with _ASSESSING:
                assess(config, stream, day, timing_quality=told)


def _assess_drained(config: Config, drained: Drained) -> list[str]:
    """Measure the days that a stream reached; return what went wrong."""
    problems = []
    for stream, day in drained.days:
        try:
            assess(config, stream, day, timing_quality=drained.timing_quality)
        except GeomonError as error:
            problems.append(str(error))
    return problems
