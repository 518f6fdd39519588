"""Merging new samples into a station-day's object, and writing it canonically.

What is written depends only on what is held: the same samples, however cut and in whatever order
they came, end in the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.stores.codec import compress_all
from geomon.stores.dayrecord import DayRecord, Extra, GridRun, Label, Origins
from geomon.stores.layout import Series, row_of, row_priority
from geomon.stores.shard import ChunkKey, DayObject, encode_shard
from geomon.stores.timelines import (
    ArraySource,
    Clock,
    Part,
    Run,
    by_label,
    differing,
    joined,
    resolved,
    same_bits,
)
from geomon.times import TimeSpan, day_span, merged
from geomon.waveforms import Provenance, Segment

_NO_ORIGINS = Origins((), {}, {})


@dataclass(frozen=True, slots=True, eq=False)
class DayChange:
    """What new samples change about a station-day; `parts` is None when that is nothing."""

    n_new_samples: int
    n_overflow: int
    changed: tuple[TimeSpan, ...]
    parts: list[bytes] | None


@dataclass(frozen=True, slots=True, eq=False)
class _GridSource:
    """Samples of a run that lies in the archived array."""

    stored: DayObject
    run: GridRun

    @property
    def is_new(self) -> bool:
        return False

    def samples(self, first: int, last: int) -> NDArray[Any]:
        return self.stored.read_run(self.run, first, last)


@dataclass(slots=True, eq=False)
class _ExtraSource:
    """Samples archived beside the array."""

    stored: DayObject
    extra: Extra
    _whole: NDArray[Any] | None = None

    @property
    def is_new(self) -> bool:
        return False

    def samples(self, first: int, last: int) -> NDArray[Any]:
        if self._whole is None:
            self._whole = self.stored.read_extra(self.extra)
        return self._whole[first:last]


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """All samples of one component and day."""

    visible: list[Run]
    hidden: list[Run]

    @property
    def n_visible(self) -> int:
        return sum(run.size for run in self.visible)

    @property
    def n_hidden(self) -> int:
        return sum(run.size for run in self.hidden)


def merge_day(
    stored: DayObject | None,
    series: Series,
    day: date,
    segments: Iterable[Segment],
    provenance: Provenance,
) -> DayChange:
    """Merge samples of one day into what is archived.

    Parameters
    ----------
    stored : DayObject, optional
        The present object; must stay open until the parts are written.
    series, day
        Where the samples belong.
    segments : iterable of Segment
        Samples of that series and day.
    provenance : Provenance
        Request that brought them.

    Raises
    ------
    CorruptObject
        If the present object is damaged where it has to be read.
    """
    clock = Clock(series.sampling_rate_hz)
    arrived: dict[str, list[Segment]] = {}
    for segment in segments:
        arrived.setdefault(segment.seed_id.component, []).append(segment)
    versions = {component: _versions(clock, found) for component, found in arrived.items()}
    origins = _NO_ORIGINS if stored is None else stored.origins()
    arrived_labels = {Label(provenance, v) for found in versions.values() for v in found}
    labels = sorted(arrived_labels.union(origins.labels))
    rank = {label: at for at, label in enumerate(labels)}
    ranks = [rank[label] for label in origins.labels]
    tracks = {} if stored is None else _load(stored, clock, origins, ranks)
    n_new = n_overflow = 0
    changed: list[TimeSpan] = []
    is_changed = False
    for component, found in arrived.items():
        runs = [
            Run.of(
                segment.start_ns,
                ArraySource(segment.samples, is_new=True),
                segment.samples.size,
                rank[Label(provenance, version)],
            )
            for segment, version in zip(found, versions[component], strict=True)
        ]
        before = tracks.get(component, _Track([], []))
        after, spans = _merge_track(clock, before, runs)
        n_new += after.n_visible + after.n_hidden - before.n_visible - before.n_hidden
        n_overflow += max(0, after.n_hidden - before.n_hidden)
        changed += spans
        is_changed |= after is not before
        tracks[component] = after
    if not is_changed or (n_new == 0 and _is_repeat(origins, provenance)):
        return DayChange(0, 0, (), None)
    parts = _encode(stored, series, day, tracks, labels)
    return DayChange(n_new, n_overflow, tuple(merged(changed)), parts)


def _is_repeat(origins: Origins, provenance: Provenance) -> bool:
    """Tell whether a request was answered before, with other bytes."""
    return provenance not in origins.requests and any(
        (known.source, known.request) == (provenance.source, provenance.request)
        for known in origins.requests
    )


def _versions(clock: Clock, segments: Sequence[Segment]) -> list[int]:
    """Give numbers to recordings of one channel in one answer that contradict each other.

    The longest is 0, so that it wins as a whole; without contradictions all are 0.
    """
    runs = [
        Run.of(s.start_ns, ArraySource(s.samples, is_new=True), s.samples.size, 0) for s in segments
    ]
    versions = [0] * len(runs)
    if joined(clock, runs) is not None:
        return versions
    by_time = sorted(range(len(runs)), key=lambda at: runs[at].start_ns)
    rivals: dict[int, set[int]] = {}
    active: list[int] = []
    for at in by_time:
        start_ns = runs[at].start_ns
        active = [a for a in active if clock.span(runs[a].start_ns, runs[a].size).end_ns > start_ns]
        for other in active:
            if _contradict(clock, runs[other], runs[at]):
                rivals.setdefault(at, set()).add(other)
                rivals.setdefault(other, set()).add(at)
        active.append(at)
    done: set[int] = set()
    for at in sorted(
        rivals, key=lambda at: (-runs[at].size, runs[at].start_ns, segments[at].samples.tobytes())
    ):
        taken = {versions[other] for other in rivals[at] & done}
        versions[at] = next(v for v in range(len(runs)) if v not in taken)
        done.add(at)
    return versions


def _contradict(clock: Clock, one: Run, two: Run) -> bool:
    """Tell whether two runs of one time line differ where both have samples."""
    index = clock.index_on_line(one.start_ns, two.start_ns)
    if index is None or not 0 <= index < one.size:
        return False
    shared = min(one.size - index, two.size)
    return not same_bits(one.samples(index, index + shared), two.samples(0, shared)).all()


def _load(
    stored: DayObject, clock: Clock, origins: Origins, ranks: Sequence[int]
) -> dict[str, _Track]:
    """Return what is archived, its samples not yet read."""
    tracks: dict[str, _Track] = {}
    for run in stored.record.runs:
        track = tracks.setdefault(run.component, _Track([], []))
        track.visible.append(Run.of(run.start_ns, _GridSource(stored, run), run.n_samples, 0))
    for extra in stored.record.extras:
        track = tracks.setdefault(extra.component, _Track([], []))
        found = Run.of(extra.start_ns, _ExtraSource(stored, extra), extra.n_samples, 0)
        (track.visible if extra.is_visible else track.hidden).append(found)
    for component, track in tracks.items():
        visible = joined(clock, track.visible)
        if visible is None:
            raise stored.damaged(f"day record: samples of {component} overlap")
        hidden = _rejoined(track.hidden, clock)
        for runs, lengths in ((visible, origins.visible), (hidden, origins.hidden)):
            try:
                _relabel(runs, [(size, ranks[at]) for size, at in lengths.get(component, [])])
            except ValueError as error:
                raise stored.damaged(f"origins: {error}") from error
        hidden = [part for run in hidden for part in by_label(clock, run)]
        tracks[component] = _Track(visible, hidden)
    return tracks


def _relabel(runs: Iterable[Run], lengths: Iterable[tuple[int, int]]) -> None:
    """Cut the parts of runs so that each has the label its samples were stored with.

    Raises
    ------
    ValueError
        If there are more labels than samples, or fewer.
    """
    rest = list(reversed(list(lengths)))
    for run in runs:
        parts: list[Part] = []
        for part in run.parts:
            first = 0
            while first < part.size:
                if not rest:
                    msg = "fewer labels than samples"
                    raise ValueError(msg)
                size, label = rest.pop()
                last = min(part.size, first + size)
                if size > last - first:
                    rest.append((size - last + first, label))
                parts.append(Part(part.source, part.first + first, last - first, label))
                first = last
        run.parts = parts
    if rest:
        msg = "more labels than samples"
        raise ValueError(msg)


def _lengths(runs: Iterable[Run]) -> list[tuple[int, int]]:
    """Return the labels of all samples of some runs as run lengths."""
    lengths: list[tuple[int, int]] = []
    for run in runs:
        for part in run.parts:
            if lengths and lengths[-1][1] == part.label:
                lengths[-1] = (lengths[-1][0] + part.size, part.label)
            else:
                lengths.append((part.size, part.label))
    return lengths


def _rejoined(runs: Sequence[Run], clock: Clock) -> list[Run]:
    """Put the pieces of long hidden runs, which are stored one behind the other, together."""
    whole: list[Run] = []
    for run in runs:
        if whole and clock.index_on_line(whole[-1].start_ns, run.start_ns) == whole[-1].size:
            whole[-1].parts += run.parts
            whole[-1].size += run.size
        else:
            whole.append(run)
    return whole


def _merge_track(
    clock: Clock, before: _Track, arrived: Sequence[Run]
) -> tuple[_Track, list[TimeSpan]]:
    """Return the union of archived and arrived samples, and the spans a read now sees changed.

    Returns `before` itself when nothing is new.
    """
    together = [*before.visible, *arrived]
    if not before.hidden:
        visible = joined(clock, together)
        if visible is not None:
            after = _Track(visible, [])
            if not _is_other(after, before):
                return before, []
            return after, _new_spans(clock, visible)
    found = resolved(clock, [*together, *before.hidden])
    after = _Track(found.visible, found.hidden)
    if not _is_other(after, before):
        return before, []
    return after, differing(clock, before.visible, after.visible)


def _is_other(after: _Track, before: _Track) -> bool:
    """Tell whether a union of samples differs from one of the sets it was made of."""
    return (
        after.n_visible + after.n_hidden != before.n_visible + before.n_hidden
        or [run.start_ns for run in after.visible] != [run.start_ns for run in before.visible]
        or _lengths(after.visible) != _lengths(before.visible)
        or _lengths(after.hidden) != _lengths(before.hidden)
    )


def _new_spans(clock: Clock, runs: Iterable[Run]) -> list[TimeSpan]:
    spans = []
    for run in runs:
        position = 0
        for part in run.parts:
            if part.source.is_new:
                start_ns = run.start_ns + clock.after(position)
                spans.append(TimeSpan(start_ns, run.start_ns + clock.after(position + part.size)))
            position += part.size
    return spans


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A run of samples in the array: its row and position there."""

    record: GridRun
    parts: list[Part]


@dataclass(frozen=True, slots=True, eq=False)
class _Aside:
    """A run of samples beside the array."""

    component: str
    start_ns: int
    samples: NDArray[Any]
    is_visible: bool


def _encode(
    stored: DayObject | None,
    series: Series,
    day: date,
    tracks: Mapping[str, _Track],
    labels: Sequence[Label],
) -> list[bytes]:
    clock = Clock(series.sampling_rate_hz)
    placed: list[_Placed] = []
    aside: list[_Aside] = []
    taken: set[int] = set()
    for component in sorted(tracks, key=row_priority):
        track = tracks[component]
        if track.visible and row_of(component) not in taken:
            taken.add(row_of(component))
            _place(clock, series, day, component, track.visible, placed, aside)
        else:
            _put_aside(clock, series, component, track.visible, True, aside)
        _put_aside(clock, series, component, track.hidden, False, aside)
    placed.sort(key=lambda run: run.record)
    aside.sort(key=lambda run: (run.component, not run.is_visible))  # stable: keeps run order
    extras = compress_all([run.samples for run in aside])

    def layout(offsets: Sequence[int]) -> bytes:
        found = tuple(
            Extra(run.component, run.start_ns, run.samples.size, run.is_visible, offset, len(data))
            for run, offset, data in zip(aside, offsets, extras, strict=True)
        )
        runs = tuple(run.record for run in placed)
        return DayRecord(series, day, runs, found).to_bytes()

    chunks = _chunks(stored, series, placed)
    return encode_shard(series, chunks, extras, layout, _origins(tracks, labels).to_bytes())


def _origins(tracks: Mapping[str, _Track], labels: Sequence[Label]) -> Origins:
    """Return the labels in use and who has them."""
    visible = {c: _lengths(track.visible) for c, track in tracks.items() if track.visible}
    hidden = {c: _lengths(track.hidden) for c, track in tracks.items() if track.hidden}
    used = sorted({at for d in (visible, hidden) for rows in d.values() for _, at in rows})
    place = {at: new for new, at in enumerate(used)}

    def placed(lengths: dict[str, list[tuple[int, int]]]) -> dict[str, list[tuple[int, int]]]:
        return {c: [(size, place[at]) for size, at in rows] for c, rows in lengths.items()}

    return Origins(tuple(labels[at] for at in used), placed(visible), placed(hidden))


def _place(
    clock: Clock,
    series: Series,
    day: date,
    component: str,
    runs: Iterable[Run],
    placed: list[_Placed],
    aside: list[_Aside],
) -> None:
    """Lay runs into an array row, each at its nearest free position; what is too much goes aside.

    Runs of different phase may need one position more than the day has.
    """
    day_start = day_span(day).start_ns
    free = 0
    for run in runs:
        nearest = clock.index_of(day_start, run.start_ns)
        position = max(free, min(nearest, series.day_samples - run.size))
        fits = min(run.size, series.day_samples - position)
        if fits > 0:
            record = GridRun(component, run.start_ns, fits, position)
            placed.append(_Placed(record, run.cut(0, fits)))
            free = position + fits
        if fits < run.size:
            first = max(fits, 0)
            rest = Run(
                run.start_ns + clock.after(first), run.size - first, run.cut(first, run.size)
            )
            _put_aside(clock, series, component, [rest], True, aside)


def _put_aside(
    clock: Clock,
    series: Series,
    component: str,
    runs: Iterable[Run],
    is_visible: bool,
    aside: list[_Aside],
) -> None:
    """Keep runs beside the array, in pieces short enough for short reads."""
    size = series.chunk_samples
    for run in runs:
        for first in range(0, run.size, size):
            samples = run.samples(first, min(first + size, run.size))
            aside.append(_Aside(component, run.start_ns + clock.after(first), samples, is_visible))


def _chunks(
    stored: DayObject | None, series: Series, placed: Sequence[_Placed]
) -> dict[ChunkKey, bytes]:
    """Compress the inner chunks that change, and take over the others as they are stored."""
    size = series.chunk_samples
    pieces: dict[ChunkKey, list[tuple[int, Part]]] = {}
    unmoved: dict[ChunkKey, int] = {}
    for run in placed:
        row, position = row_of(run.record.component), run.record.position
        for part in run.parts:
            source = part.source
            stays = (
                isinstance(source, _GridSource)
                and source.run.position + part.first == position
                and row_of(source.run.component) == row
            )
            first = 0
            while first < part.size:
                chunk = (position + first) // size
                last = min(part.size, (chunk + 1) * size - position)
                key = (row, chunk)
                there = position + first - chunk * size
                pieces.setdefault(key, []).append((there, part.cut(first, last)))
                if stays:
                    unmoved[key] = unmoved.get(key, 0) + last - first
                first = last
            position += part.size
    old = {} if stored is None else _occupied(stored)
    kept: list[ChunkKey] = []
    changed: list[ChunkKey] = []
    for key, parts in pieces.items():
        n_samples = sum(part.size for _, part in parts)
        is_same = unmoved.get(key, 0) == n_samples == old.get(key, 0)
        (kept if is_same else changed).append(key)
    chunks = {} if stored is None else stored.chunks(kept)
    filled = [(key, _filled(series, pieces[key])) for key in changed]
    filled = [(key, samples) for key, samples in filled if not _is_fill(series, samples)]
    compressed = compress_all([samples for _, samples in filled])
    chunks.update(zip((key for key, _ in filled), compressed, strict=True))
    return chunks


def _occupied(stored: DayObject) -> dict[ChunkKey, int]:
    """Return how many samples each stored inner chunk holds."""
    size = stored.series.chunk_samples
    counts: dict[ChunkKey, int] = {}
    for run in stored.record.runs:
        row, end = row_of(run.component), run.position + run.n_samples
        for chunk in range(run.position // size, -(-end // size)):
            inside = min(end, (chunk + 1) * size) - max(run.position, chunk * size)
            counts[row, chunk] = counts.get((row, chunk), 0) + inside
    return counts


def _filled(series: Series, pieces: Sequence[tuple[int, Part]]) -> NDArray[Any]:
    size = series.chunk_samples
    if len(pieces) == 1 and pieces[0][1].size == size:
        part = pieces[0][1]
        return part.source.samples(part.first, part.first + size)
    samples = np.full(size, series.fill, series.dtype)
    for position, part in pieces:
        values = part.source.samples(part.first, part.first + part.size)
        samples[position : position + part.size] = values
    return samples


def _is_fill(series: Series, samples: NDArray[Any]) -> bool:
    fill = np.array(series.fill, series.dtype)
    return (
        samples[0].tobytes() == fill.tobytes()
        and samples.tobytes() == fill.tobytes() * samples.size
    )
