"""Segments out of station-day objects: clipped, and joined wherever a time line goes on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.stores.dayrecord import DayRecord, Extra, GridRun
from geomon.stores.layout import Series, row_of
from geomon.stores.shard import ChunkKey, DayObject
from geomon.stores.timelines import Clock
from geomon.times import TimeSpan
from geomon.waveforms import Segment

type Interval = tuple[int, int]
"""A time span by its ends in ns: hundreds of thousands are handled at once."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples [first, last) of one stored run."""

    stored: DayObject
    run: GridRun | Extra
    first: int
    last: int
    start_ns: int


def runs_in(
    record: DayRecord, span: TimeSpan, components: frozenset[str] | None
) -> Iterator[tuple[GridRun | Extra, int, int]]:
    """Yield each visible run of a day record with its samples [first, last) that lie in a span."""
    clock = Clock(record.series.sampling_rate_hz)
    visible: list[GridRun | Extra] = [*record.runs]
    visible += [extra for extra in record.extras if extra.is_visible]
    for run in visible:
        if components is not None and run.component not in components:
            continue
        first = clock.first_at_or_after(run.start_ns, run.n_samples, span.start_ns)
        last = clock.first_at_or_after(run.start_ns, run.n_samples, span.end_ns)
        if first < last:
            yield run, first, last


def read_segments(
    objects: Iterable[DayObject], span: TimeSpan, components: frozenset[str] | None = None
) -> list[Segment]:
    """Read the samples of one series in a span.

    Parameters
    ----------
    objects : iterable of DayObject
        Days of one series.
    span : TimeSpan
        Samples timed in [start, end) are returned.
    components : set of str, optional
        Component letters wanted; all by default.

    Returns
    -------
    list of Segment
        In (channel, time) order. Pieces that continue each other on one time line, across
        midnight too, are one segment.
    """
    pieces: list[_Piece] = []
    for stored in objects:
        clock = Clock(stored.series.sampling_rate_hz)
        for run, first, last in runs_in(stored.record, span, components):
            start_ns = run.start_ns + clock.after(first)
            pieces.append(_Piece(stored, run, first, last, start_ns))
    pieces.sort(key=lambda piece: (piece.run.component, piece.start_ns))
    segments: list[Segment] = []
    jobs: dict[DayObject, list[tuple[GridRun, int, int, NDArray[Any]]]] = {}
    for group in _contiguous(pieces):
        series = group[0].stored.series
        samples = np.empty(sum(piece.last - piece.first for piece in group), series.dtype)
        position = 0
        for piece in group:
            target = samples[position : position + piece.last - piece.first]
            position += target.size
            if isinstance(piece.run, GridRun):
                jobs.setdefault(piece.stored, []).append(
                    (piece.run, piece.first, piece.last, target)
                )
            else:
                target[:] = piece.stored.read_extra(piece.run)[piece.first : piece.last]
        seed_id = series.stream_id.seed_id(group[0].run.component)
        segments.append(Segment(seed_id, group[0].start_ns, series.sampling_rate_hz, samples))
    for stored, wanted in jobs.items():
        stored.read_runs(wanted)
    return segments


def rejoined(segments: Sequence[Segment], more: Sequence[Segment]) -> list[Segment]:
    """Append the segments of later days, joined where a time line goes on."""
    joined: dict[SeedId, list[Segment]] = {}
    for segment in (*segments, *more):
        of_channel = joined.setdefault(segment.seed_id, [])
        clock = Clock(segment.sampling_rate_hz)
        if of_channel:
            last = of_channel[-1]
            if clock.index_on_line(last.start_ns, segment.start_ns) == last.samples.size:
                samples = np.concatenate([last.samples, segment.samples])
                of_channel[-1] = Segment(
                    last.seed_id, last.start_ns, last.sampling_rate_hz, samples
                )
                continue
        of_channel.append(segment)
    return [segment for _, of_channel in sorted(joined.items()) for segment in of_channel]


def hidden_segments(stored: DayObject, span: TimeSpan) -> list[Segment]:
    """Return the samples of a day that a read does not return, clipped to a span."""
    series = stored.series
    found = []
    for extra in stored.record.extras:
        if not extra.is_visible:
            whole = Segment(
                series.stream_id.seed_id(extra.component),
                extra.start_ns,
                series.sampling_rate_hz,
                stored.read_extra(extra),
            )
            clipped = whole.clipped(span)
            if clipped is not None:
                found.append(clipped)
    return found


def _contiguous(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Group pieces that continue each other."""
    group: list[_Piece] = []
    size = 0
    for piece in pieces:
        if group:
            clock = Clock(group[0].stored.series.sampling_rate_hz)
            is_next = (
                group[0].run.component == piece.run.component
                and clock.index_on_line(group[0].start_ns, piece.start_ns) == size
            )
            if not is_next:
                yield group
                group, size = [], 0
        group.append(piece)
        size += piece.last - piece.first
    if group:
        yield group


def fingerprints(stored: DayObject, spans: Sequence[TimeSpan]) -> list[list[bytes]]:
    """Return, for each span, marks that change when a read of it may answer differently.

    Made of the runs' times and the stored checksums, without reading samples: a change beside a
    span in the same chunk may change its marks too.
    """
    clock = Clock(stored.series.sampling_rate_hz)
    size = stored.series.chunk_samples
    wanted: list[tuple[int, str, list[ChunkKey]]] = []
    for number, span in enumerate(spans):
        for run, first, last in runs_in(stored.record, span, None):
            start_ns = run.start_ns + clock.after(first)
            text = f"{stored.series.folder} {run.component} {start_ns} {last - first}"
            keys: list[ChunkKey] = []
            if isinstance(run, GridRun):
                low, high = run.position + first, run.position + last
                row = row_of(run.component)
                keys = [(row, chunk) for chunk in range(low // size, -(-high // size))]
            else:
                text += f" {first} {stored.extra_checksum(run)!r}"
            wanted.append((number, text, keys))
    sums = stored.checksums({key for _, _, keys in wanted for key in keys})
    marks: list[list[bytes]] = [[] for _ in spans]
    for number, text, keys in wanted:
        marks[number].append(f"{text} {[sums.get(key) for key in keys]}".encode())
    return marks


def covered(record: DayRecord, span: TimeSpan) -> dict[str, list[Interval]]:
    """Return, by component letter, the parts of a span with samples, as (start, end) in ns.

    Runs less than one and a half sample intervals apart count as unbroken.
    """
    found: dict[str, list[Interval]] = {}
    clock = Clock(record.series.sampling_rate_hz)
    for run, first, last in runs_in(record, span, None):
        interval = (run.start_ns + clock.after(first), run.start_ns + clock.after(last))
        found.setdefault(run.component, []).append(interval)
    return {component: closed(parts, record.series) for component, parts in found.items()}


def closed(intervals: Iterable[Interval], series: Series) -> list[Interval]:
    """Merge intervals that touch to within half a sample."""
    tolerance_ns = Clock(series.sampling_rate_hz).after(1) // 2
    joined: list[Interval] = []
    for start_ns, end_ns in sorted(intervals):
        if joined and start_ns <= joined[-1][1] + tolerance_ns:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_ns))
        else:
            joined.append((start_ns, end_ns))
    return joined
