"""Measure how good each channel's record of each day is, once for each state of the archive."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256

from geomon.config import Config
from geomon.errors import GeomonError, StationMetadataError
from geomon.ids import SeedId, StreamId
from geomon.picking.oddity import WINDOW_S, odd_windows
from geomon.processing.psd import psd_summary
from geomon.processing.quality import measure
from geomon.services.fanout import fan_out
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import Workspace, workspace
from geomon.stations import Channel, Stations
from geomon.stores.database import Run
from geomon.stores.quality import DayQuality
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, day_span, merged
from geomon.waveforms import Segment

logger = logging.getLogger(__name__)

VERSION = "2"
"""Of how quality is measured: days measured by another version are measured again."""
RENEW_S = 3600.0
"""A day that is not over is measured again no sooner than this after the last time."""
_HOUR_NS = 3600 * NS_PER_S
_LONGEST = 5
_LATE_S = 7200.0  # data this late are late, not missing: as long as holes are pending


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport(Report):
    """How many stream-days were looked at, and how many were measured anew."""

    n_units: int = 0
    n_assessed: int = 0


@dataclass(frozen=True, slots=True, order=True)
class _Unit:
    stream_id: StreamId
    day: date


@dataclass(frozen=True, slots=True)
class _Outcome:
    is_assessed: bool = False
    problem: str = ""


def assess(
    config: Config,
    stream_id: StreamId,
    day: date,
    *,
    timing_quality: Mapping[SeedId, float] | None = None,
    now_ns: int | None = None,
    run: Run | None = None,
) -> bool:
    """Measure one sensor's day, if the archive changed since it was measured last.

    A day that is not over is measured again at most once an hour (`RENEW_S`), however often it
    grows, and counts as due up to its last sample or two hours ago, whichever is later. Once it
    is over every change counts, so that the measure in the end is that of all samples.

    Parameters
    ----------
    config : Config
        The network.
    stream_id : StreamId
        The sensor; its channels are measured one after the other, so that memory holds one.
    day : date
        The UTC day.
    timing_quality : mapping of SeedId to float, optional
        What the digitisers say of their clocks, percent; the archive does not keep it. What was
        told before stands for channels not named.
    now_ns : int, optional
        The time; now.
    run : Run, optional
        Who measures; a run of its own when not given.

    Returns
    -------
    bool
        Whether anything was measured and written.

    Raises
    ------
    CorruptObject
        If the archive's object of the day is damaged.
    StoreConflict
        If other writers of the catalogue stayed in the way.
    """
    space = workspace(config)
    qualities = space.catalog.qualities
    whole = day_span(day)
    instant = time.time_ns() if now_ns is None else now_ns
    held = qualities.held(stream_id, day)
    if held is not None and instant < whole.end_ns and instant < held[1] + RENEW_S * NS_PER_S:
        return False
    coverage = space.archive.coverage(stream_id, whole)
    if not coverage:
        return False
    last_ns = max(span.end_ns for spans in coverage.values() for span in spans)
    due_ns = max(last_ns, instant - round(_LATE_S * NS_PER_S))
    due = TimeSpan(whole.start_ns, min(max(due_ns, whole.start_ns), whole.end_ns))
    hidden = space.archive.overflow(stream_id, whole)
    stations = _stations(space)
    channels = {
        seed_id: stations.channel(seed_id, max(spans[0].start_ns, whole.start_ns))
        for seed_id, spans in coverage.items()
    }
    fingerprint = _fingerprint(space, stream_id, due, hidden, channels)
    if held is not None and held[0] == fingerprint:
        return False
    started = time.monotonic()
    told = {
        row.seed_id: row.timing_quality for row in qualities.find(whole, streams=[stream_id])
    } | dict(timing_quality or {})
    rows = [
        _measured(space, seed_id, day, due, channel, hidden, told.get(seed_id), instant)
        for seed_id, channel in channels.items()
    ]
    is_new = qualities.replace(stream_id, day, rows, fingerprint=fingerprint, run=run)
    logger.info(
        "quality %s %s channels=%d took_s=%.2f",
        stream_id, day, len(rows), time.monotonic() - started,
    )  # fmt: skip
    return is_new


def _measured(
    space: Workspace,
    seed_id: SeedId,
    day: date,
    due: TimeSpan,
    channel: Channel | None,
    hidden: tuple[Segment, ...],
    timing_quality: float | None,
    now_ns: int,
) -> DayQuality:
    whole = day_span(day)
    segments = space.archive.read(seed_id, whole.start_ns, whole.end_ns).segments
    quality = measure(segments, due, hidden=[s for s in hidden if s.seed_id == seed_id])
    odd = odd_windows(segments)
    stretches = sorted(merged(one.span for one in odd), key=lambda span: -span.duration_s)
    quality = replace(
        quality,
        odd_s=float(len(odd) * WINDOW_S),
        odd_kinds=tuple(sorted({one.kind for one in odd})),
        longest_odd=tuple(sorted(stretches[:_LONGEST])),
    )
    psd = psd_summary(segments, whole, None if channel is None else channel.response)
    if psd is not None and psd.is_dead:
        quality = replace(quality, is_dead=True)
    return DayQuality(
        seed_id, day, quality, psd, timing_quality,
        above_low_db=psd.above_low_db if psd else None,
        above_high_db=psd.above_high_db if psd else None,
        assessed_ns=now_ns,
    )  # fmt: skip


def _fingerprint(
    space: Workspace,
    stream_id: StreamId,
    due: TimeSpan,
    hidden: tuple[Segment, ...],
    channels: Mapping[SeedId, Channel | None],
) -> str:
    """Return a text that changes whenever the measure may.

    That is with the samples, the responses and the method; and every hour that a day without new
    samples goes on, since more of them are missing.
    """
    whole = due.aligned(NS_PER_DAY)
    [samples] = space.archive.fingerprints(stream_id, [whole])
    due_hours = -(-(due.end_ns - whole.start_ns) // _HOUR_NS)
    conflicts = [(str(s.seed_id), s.start_ns, s.samples.size) for s in hidden]
    responses = [(str(key), channel and channel.response) for key, channel in channels.items()]
    content = repr((VERSION, samples, due_hours, conflicts, responses))
    return sha256(content.encode()).hexdigest()[:32]


def _stations(space: Workspace) -> Stations:
    try:
        return space.stations()
    except StationMetadataError:  # waveforms came some other way: no responses then
        return Stations(())


def assess_days(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> QualityReport:
    """Measure every archived day that touches a span and changed since it was measured last.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Days of interest.
    stations : tuple of str
        ``NET.STA`` patterns; all stations when empty.
    progress : callable
        Told about every stream-day done.
    """
    started = time.monotonic()
    archive = workspace(config).archive
    days = set(span.days())
    units = [
        _Unit(stream_id, day)
        for stream_id in archive.streams()
        if not stations or stream_id.station_id.matches(stations)
        for day in archive.days(stream_id)
        if day in days
    ]
    done = fan_out(_assess_unit, config, units, stage="quality", progress=progress)
    problems = [outcome.problem for outcome in done if outcome.problem]
    return QualityReport(
        n_failed=len(problems),
        problems=distinct(problems),
        took_s=time.monotonic() - started,
        n_units=len(units),
        n_assessed=sum(outcome.is_assessed for outcome in done),
    )


def _assess_unit(config: Config, unit: _Unit) -> _Outcome:
    try:
        return _Outcome(assess(config, unit.stream_id, unit.day))
    except GeomonError as error:
        logger.warning("quality %s %s failed: %s", unit.stream_id, unit.day, error)
        return _Outcome(problem=str(error))


def quality(config: Config, span: TimeSpan, *, stations: tuple[str, ...] = ()) -> list[DayQuality]:
    """Return what was measured of the days that touch a span, in (channel, day) order.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Days of interest.
    stations : tuple of str
        ``NET.STA`` patterns; all stations when empty.
    """
    rows = workspace(config).catalog.qualities.find(span)
    return [row for row in rows if not stations or row.seed_id.station_id.matches(stations)]


def spectra(
    config: Config, stream_id: StreamId, component: str, span: TimeSpan
) -> list[DayQuality]:
    """Return the days of one channel that touch a span and have a spectrum, in order."""
    rows = workspace(config).catalog.qualities.find(
        span, streams=[stream_id], component=component, with_psd=True
    )
    return [row for row in rows if row.psd is not None]


_HEAD = (
    f"{'channel':<18} {'day':<10} {'Hz':>6} {'there':>6} {'gaps':>5} {'longest':>8} {'rms':>9} "
    f"{'flat':>7} {'clipped':>7} {'spikes':>6} {'steps':>5} {'noise':>6}"
)


def table(rows: list[DayQuality]) -> str:
    """Write one line a channel and day.

    ``there`` is the share with samples, ``longest`` the longest gap, ``rms`` in counts, ``flat``
    and ``clipped`` in seconds, ``noise`` in dB above the New Low Noise Model. Then come words for
    what else is wrong: minutes like nothing seismic by what they are like.
    """
    if not rows:
        return "no day was measured"
    return "\n".join([_HEAD, *(_line(row) for row in rows)])


def _line(row: DayQuality) -> str:
    of = row.quality
    words = [word for word, says in (("dead", of.is_dead), ("conflicts", of.n_conflicts)) if says]
    if of.odd_s:
        words.append(f"{'+'.join(of.odd_kinds)} {of.odd_s / 60:.0f} min")
    return (
        f"{row.seed_id!s:<18} {row.day} {_number(of.sampling_rate_hz, 'g'):>6} "
        f"{of.availability:>6.1%} {of.n_gaps:>5} {_duration(of.max_gap_s):>8} "
        f"{_number(of.rms, '.4g'):>9} {of.flat_s:>7.0f} {of.clipped_s:>7.1f} {of.n_spikes:>6} "
        f"{of.n_steps:>5} {_number(row.above_low_db, '+.0f'):>6} {' '.join(words)}".rstrip()
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds else "-"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"
