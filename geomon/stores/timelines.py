"""Merging samples of one channel by their exact times, the same in whatever order they came.

Two samples lie on one *time line* when their times differ by a whole number of sample intervals,
exactly; where the interval is no whole number of nanoseconds (30 Hz), to the nanosecond that
rounding costs. A *run* is consecutive samples on one time line.

Samples of the same line at the same time with the same value are one sample; it has the lowest
label anyone brought it with. Everything else is
kept, and what a read returns is decided by all that is held, never by what came first:

- of two values for one time of one line, the one with the lower label is visible. Labels rank
  the requests that brought samples, and the recordings that contradict each other within one.
  Of values with equal labels it is the one farther from zero, because the usual rival of a
  recording is its zero-filled copy; of two equally far, the larger;
- of two lines that run at the same time, the one that holds more samples that day is visible;
  of two equally long, the one with the earlier phase. A sample within half an interval of a
  visible one of another line is not visible.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geomon.times import NS_PER_S, TimeSpan, merged

_MAX_DRIFT_NS = 0.1  # over a day; below it a rounded interval is the interval


class Source(Protocol):
    """Where the samples of a part of a run are."""

    @property
    def is_new(self) -> bool:
        """Whether the samples are not in the archive yet."""
        ...

    def samples(self, first: int, last: int) -> NDArray[Any]:
        """Return samples [first, last)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """Samples in memory."""

    array: NDArray[Any]
    is_new: bool

    def samples(self, first: int, last: int) -> NDArray[Any]:
        """Return samples [first, last)."""
        return self.array[first:last]


@dataclass(slots=True, eq=False)
class Part:
    """Samples [first, first + size) of a source, which have one label."""

    source: Source
    first: int
    size: int
    label: int

    def cut(self, first: int, last: int) -> "Part":
        """Return samples [first, last) of this part."""
        return Part(self.source, self.first + first, last - first, self.label)


@dataclass(slots=True, eq=False)
class Run:
    """Consecutive samples of one time line, in parts."""

    start_ns: int
    size: int
    parts: list[Part] = field(default_factory=list)

    @classmethod
    def of(cls, start_ns: int, source: Source, size: int, label: int) -> "Run":
        """Make a run of all samples of one source."""
        return cls(start_ns, size, [Part(source, 0, size, label)])

    def cut(self, first: int, last: int) -> list[Part]:
        """Return the parts that hold samples [first, last)."""
        found: list[Part] = []
        position = 0
        for part in self.parts:
            low, high = max(first, position), min(last, position + part.size)
            if low < high:
                found.append(part.cut(low - position, high - position))
            position += part.size
        return found

    def samples(self, first: int, last: int) -> NDArray[Any]:
        """Return samples [first, last)."""
        arrays = [p.source.samples(p.first, p.first + p.size) for p in self.cut(first, last)]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def labels(self) -> NDArray[np.int64]:
        """Return the label of every sample."""
        return np.repeat([part.label for part in self.parts], [part.size for part in self.parts])


@lru_cache(maxsize=64)
def _interval(rate_hz: float) -> Fraction:
    exact = Fraction(NS_PER_S) / Fraction(rate_hz)
    whole = round(exact)
    drift = abs(exact - whole) * Fraction(86_400 * rate_hz)
    return Fraction(whole) if whole and drift < _MAX_DRIFT_NS else exact


@dataclass(frozen=True, slots=True)
class Clock:
    """Exact arithmetic with the times of samples at one rate."""

    rate_hz: float

    @property
    def interval(self) -> Fraction:
        """Sample interval in nanoseconds."""
        return _interval(self.rate_hz)

    @property
    def is_whole(self) -> bool:
        """Whether the interval is a whole number of nanoseconds."""
        return self.interval.denominator == 1

    def after(self, index: int) -> int:
        """Time from sample 0 to sample `index`, rounded as `Segment.time_ns` does."""
        return round(index * NS_PER_S / self.rate_hz)

    def index_of(self, start_ns: int, of_ns: int) -> int:
        """Index nearest to `of_ns` on the line through `start_ns`."""
        return round((of_ns - start_ns) * self.rate_hz / NS_PER_S)

    def index_on_line(self, start_ns: int, of_ns: int) -> int | None:
        """Index of `of_ns` on the line through `start_ns`; None when it lies on another line."""
        index = self.index_of(start_ns, of_ns)
        off_ns = abs(start_ns + self.after(index) - of_ns)
        return index if off_ns <= (not self.is_whole) else None

    def first_at_or_after(self, start_ns: int, size: int, time_ns: int) -> int:
        """Return the first of `size` samples timed at or after `time_ns`; `size` when none is."""
        index = min(max(self.index_of(start_ns, time_ns), 0), size)
        while index > 0 and start_ns + self.after(index - 1) >= time_ns:
            index -= 1
        while index < size and start_ns + self.after(index) < time_ns:
            index += 1
        return index

    def times(self, start_ns: int, size: int) -> NDArray[np.int64]:
        """Return the times of samples 0 to `size`."""
        index = np.arange(size, dtype=np.int64)
        if self.is_whole:
            return start_ns + index * int(self.interval)
        elapsed: NDArray[np.int64] = np.rint(index * NS_PER_S / self.rate_hz).astype(np.int64)
        return start_ns + elapsed

    def span(self, start_ns: int, size: int) -> TimeSpan:
        """Return the span from the first sample to one after the last."""
        return TimeSpan(start_ns, start_ns + self.after(size))


def same_bits(one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.bool_]:
    """Compare samples bit for bit, so that NaN equals itself."""
    equal: NDArray[np.bool_] = np.equal(_bits(one), _bits(two))
    return equal


def _bits(samples: NDArray[Any]) -> NDArray[Any]:
    return samples if samples.dtype.kind == "i" else samples.view(f"i{samples.dtype.itemsize}")


def joined(clock: Clock, runs: Iterable[Run]) -> list[Run] | None:
    """Return the union of runs in time order; None when any two are in conflict.

    Runs are in conflict when they hold different samples for one time, or run at the same time on
    different lines.
    """
    # Of runs that start together the one already archived comes first and is left as it is.
    ordered = sorted(runs, key=lambda run: (run.start_ns, run.parts[0].source.is_new))
    half = clock.interval / 2
    out: list[Run] = []
    for run in ordered:
        if out:
            last = out[-1]
            apart = run.start_ns - (last.start_ns + clock.after(last.size - 1))
            if apart <= 3 * half:
                index = clock.index_on_line(last.start_ns, run.start_ns)
                if index is not None and index <= last.size:
                    if not _absorb(last, run, index):
                        return None
                    continue
                if apart <= half:
                    return None
        out.append(Run(run.start_ns, run.size, list(run.parts)))
    return out


def _absorb(run: Run, other: Run, index: int) -> bool:
    """Join `other`, whose first sample is sample `index` of `run`; false if samples differ."""
    shared = min(run.size - index, other.size)
    if shared > 0:
        mine, theirs = run.samples(index, index + shared), other.samples(0, shared)
        if not same_bits(mine, theirs).all():
            return False
        both = _overlaid(run.cut(index, index + shared), other.cut(0, shared))
        run.parts = [*run.cut(0, index), *both, *run.cut(index + shared, run.size)]
    if other.size > shared:
        run.parts += other.cut(shared, other.size) if shared else other.parts
        run.size += other.size - shared
    return True


def _overlaid(one: Sequence[Part], two: Sequence[Part]) -> list[Part]:
    """Return the parts of samples held twice: the archived copy, with the lower label."""
    out: list[Part] = []
    ones, twos = list(reversed(one)), list(reversed(two))
    while ones:
        a, b = ones.pop(), twos.pop()
        size = min(a.size, b.size)
        if a.size > size:
            ones.append(a.cut(size, a.size))
        if b.size > size:
            twos.append(b.cut(size, b.size))
        kept = b if a.source.is_new else a
        out.append(Part(kept.source, kept.first, size, min(a.label, b.label)))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """All samples of a channel and day, parted into those a read returns and the others."""

    visible: list[Run]
    hidden: list[Run]


def resolved(clock: Clock, runs: Sequence[Run]) -> Resolved:
    """Part samples that are in conflict into visible and hidden ones, by the rules above."""
    lines = [_Line.of(clock, group) for group in _lines(clock, runs)]
    lines.sort(key=lambda line: (-line.n_held, line.phase(clock)))
    blocked: list[tuple[int, int]] = []
    visible: list[Run] = []
    hidden: list[Run] = []
    for line in lines:
        free: list[Run] = []
        for run in line.runs:
            for is_free, first, last in _parted(clock, run.start_ns, run.size, blocked):
                start_ns = run.start_ns + clock.after(first)
                part = Run(start_ns, last - first, run.cut(first, last))
                if is_free:
                    free.append(part)
                else:
                    hidden += by_label(clock, part)
        for run in free:  # only now: a line does not block itself
            insort(blocked, (run.start_ns, run.start_ns + clock.after(run.size - 1)))
        visible += free
        hidden += line.rivals
    return Resolved(sorted(visible, key=_start), sorted(hidden, key=_canonical))


def _start(run: Run) -> int:
    return run.start_ns


def _canonical(run: Run) -> tuple[int, int, int, bytes]:
    return (run.start_ns, run.size, run.parts[0].label, run.samples(0, run.size).tobytes())


def by_label(clock: Clock, run: Run) -> list[Run]:
    """Cut a run into runs of one label each."""
    runs: list[Run] = []
    position = 0
    for part in run.parts:
        runs.append(Run(run.start_ns + clock.after(position), part.size, [part]))
        position += part.size
    return runs


def _array_run(start_ns: int, samples: NDArray[Any], labels: NDArray[np.int64]) -> Run:
    source = ArraySource(samples, is_new=True)
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), samples.size]
    parts = [Part(source, a, b - a, int(labels[a])) for a, b in pairwise(edges)]
    return Run(start_ns, samples.size, parts)


def _lines(clock: Clock, runs: Sequence[Run]) -> list[list[Run]]:
    """Group runs by time line."""
    interval = clock.interval
    if clock.is_whole:
        groups: dict[int, list[Run]] = {}
        for run in runs:
            groups.setdefault(run.start_ns % int(interval), []).append(run)
        return list(groups.values())
    # Starts are rounded to nanoseconds, so phases of one line scatter by up to one nanosecond.
    phased = sorted(((run.start_ns % interval, run) for run in runs), key=lambda pair: pair[0])
    clusters: list[list[Run]] = []
    previous: Fraction | None = None
    for phase, run in phased:
        if previous is None or phase - previous > 1:
            clusters.append([])
        clusters[-1].append(run)
        previous = phase
    first, last = phased[0][0], phased[-1][0]
    if len(clusters) > 1 and first + interval - last <= 1:
        clusters[0] += clusters.pop()
    return clusters


@dataclass(slots=True, eq=False)
class _Lost:
    """Values that lost against another of the same line and time."""

    index: NDArray[np.int64]
    value: NDArray[Any]
    label: NDArray[np.int64]


@dataclass(slots=True, eq=False)
class _Line:
    """Samples of one time line: its runs, and the values that lost against those."""

    runs: list[Run]
    rivals: list[Run]

    @property
    def n_held(self) -> int:
        return sum(run.size for run in self.runs)

    def phase(self, clock: Clock) -> Fraction:
        return self.runs[0].start_ns % clock.interval

    @classmethod
    def of(cls, clock: Clock, runs: Sequence[Run]) -> "_Line":
        origin = min(run.start_ns for run in runs)
        starts: dict[int, int] = {}
        for run in runs:
            index = clock.index_of(origin, run.start_ns)
            starts[index] = min(run.start_ns, starts.get(index, run.start_ns))
        placed = [(clock.index_of(origin, run.start_ns), run) for run in runs]
        size = max(index + run.size for index, run in placed)
        best = np.empty(size, runs[0].samples(0, 1).dtype)
        label = np.zeros(size, np.int64)
        is_held = np.zeros(size, np.bool_)
        lost: list[_Lost] = []
        for index, run in placed:
            there = slice(index, index + run.size)
            found = _settle(
                best[there], label[there], is_held[there], run.samples(0, run.size), run.labels()
            )
            if found.index.size:
                lost.append(_Lost(found.index + index, found.value, found.label))
        stretches = _stretches(is_held)
        firsts = [first for first, _ in stretches]

        def time_of(index: int) -> int:
            first = firsts[bisect_right(firsts, index) - 1]
            return starts[first] + clock.after(index - first)

        whole = [_array_run(starts[a], best[a:b], label[a:b]) for a, b in stretches]
        return cls(whole, _layers(lost, best, time_of))


def _settle(
    best: NDArray[Any],
    label: NDArray[np.int64],
    is_held: NDArray[np.bool_],
    samples: NDArray[Any],
    labels: NDArray[np.int64],
) -> _Lost:
    """Enter samples into a stretch of a line, in place; return the values that lost."""
    is_same = same_bits(best, samples)
    (differ,) = np.nonzero(is_held & ~is_same)
    old, new = best[differ], samples[differ]
    old_label, new_label = label[differ], labels[differ]
    wins = new_label < old_label
    tied = new_label == old_label
    wins[tied] = _ranks_above(new[tied], old[tied])
    lost = _Lost(differ, np.where(wins, old, new), np.where(wins, old_label, new_label))
    again = is_held & is_same
    label[again] = np.minimum(label[again], labels[again])
    best[differ], label[differ] = np.where(wins, new, old), np.where(wins, new_label, old_label)
    fresh = ~is_held
    best[fresh], label[fresh] = samples[fresh], labels[fresh]
    is_held[:] = True
    return lost


def _ranks_above(one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which samples of `one` are preferred to those of `two` with the same label."""
    far_one, far_two = _distance(one), _distance(two)
    above: NDArray[np.bool_] = (far_one > far_two) | (
        (far_one == far_two) & (_bits(one) > _bits(two))
    )
    return above


def _distance(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Distance from zero; NaN is nearer than zero."""
    distance = np.abs(samples.astype(np.float64))
    distance[np.isnan(distance)] = -1
    return distance


def _stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [first, last) of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _layers(lost: Sequence[_Lost], best: NDArray[Any], time_of: "_TimeOf") -> list[Run]:
    """Put values that lost into runs: the best of each time first, then the next best."""
    if not lost:
        return []
    index = np.concatenate([part.index for part in lost])
    value = np.concatenate([part.value for part in lost])
    label = np.concatenate([part.label for part in lost])
    is_lost = ~same_bits(best[index], value)  # a value may win in the end, under a lower label
    index, value, label = index[is_lost], value[is_lost], label[is_lost]
    order = np.lexsort((label, _bits(value), index))
    index, value, label = index[order], value[order], label[order]
    repeats = np.zeros(index.size, np.bool_)
    repeats[1:] = (np.diff(index) == 0) & same_bits(value[1:], value[:-1])
    index, value, label = index[~repeats], value[~repeats], label[~repeats]
    order = np.lexsort((-_bits(value).astype(np.int64), -_distance(value), label, index))
    index, value, label = index[order], value[order], label[order]
    runs: list[Run] = []
    while index.size:
        is_best = np.ones(index.size, np.bool_)
        is_best[1:] = np.diff(index) > 0
        at, values, labels = index[is_best], value[is_best], label[is_best]
        breaks = np.flatnonzero((np.diff(at) > 1) | (np.diff(labels) != 0)) + 1
        for a, b in pairwise([0, *breaks.tolist(), at.size]):
            runs.append(_array_run(time_of(int(at[a])), values[a:b], labels[a:b]))
        index, value, label = index[~is_best], value[~is_best], label[~is_best]
    return runs


class _TimeOf(Protocol):
    def __call__(self, index: int) -> int: ...


def _parted(
    clock: Clock, start_ns: int, size: int, blocked: Sequence[tuple[int, int]]
) -> list[tuple[bool, int, int]]:
    """Cut a run into parts that are free, and parts within half an interval of a blocked span."""
    half = clock.interval / 2
    parts: list[tuple[bool, int, int]] = []
    position = 0
    last_ns = start_ns + clock.after(size - 1)
    at = bisect_left(blocked, _up(start_ns - half), key=lambda span: span[1])
    while at < len(blocked) and blocked[at][0] <= last_ns + half:
        low, high = blocked[at]
        first = max(position, clock.first_at_or_after(start_ns, size, _up(low - half)))
        last = clock.first_at_or_after(start_ns, size, _up(high + half + Fraction(1, 10**6)))
        if first < last:
            if first > position:
                parts.append((True, position, first))
            if parts and not parts[-1][0] and parts[-1][2] == first:
                parts[-1] = (False, parts[-1][1], last)
            else:
                parts.append((False, first, last))
            position = last
        at += 1
    if position < size:
        parts.append((True, position, size))
    return parts


def _up(time: Fraction) -> int:
    return -(-time.numerator // time.denominator)


def differing(clock: Clock, before: Sequence[Run], after: Sequence[Run]) -> list[TimeSpan]:
    """Return the spans in which two sets of visible samples differ in time or value.

    Differences less than a second apart are one span.
    """
    old_times, old = _flat(clock, before)
    new_times, new = _flat(clock, after)
    at = np.searchsorted(new_times, old_times)
    at[at == new_times.size] = 0
    is_same = np.zeros(old_times.size, np.bool_)
    if new_times.size and old_times.size:
        is_same = (new_times[at] == old_times) & same_bits(new[at], old)
    is_kept = np.zeros(new_times.size, np.bool_)
    is_kept[at[is_same]] = True
    changed = np.union1d(old_times[~is_same], new_times[~is_kept])
    if not changed.size:
        return []
    edges = np.flatnonzero(np.diff(changed) > max(NS_PER_S, 1.5 * float(clock.interval))) + 1
    firsts, lasts = changed[[0, *edges]], changed[[*(edges - 1), -1]]
    step = clock.after(1)
    return merged(
        TimeSpan(int(first), int(last) + step) for first, last in zip(firsts, lasts, strict=True)
    )


def _flat(clock: Clock, runs: Sequence[Run]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    if not runs:
        return np.empty(0, np.int64), np.empty(0, np.int32)
    times = [clock.times(run.start_ns, run.size) for run in runs]
    return np.concatenate(times), np.concatenate([run.samples(0, run.size) for run in runs])
