"""What a read returns of samples of one channel that contradict each other.

Everything is kept; what is visible is decided by all that is held, never by what came first:

- of two values for one time of one line, the one with the lower label is visible. Labels rank
  the requests that brought samples, and the recordings that contradict each other within one.
  Of values with equal labels it is the one farther from zero, because the usual rival of a
  recording is its zero-filled copy; of two equally far, the larger;
- of two lines that run at the same time, the one that holds more samples that day is visible;
  of two equally long, the one with the earlier phase. A sample within half an interval of a
  visible one of another line is not visible.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.stores.timelines import ArraySource, Clock, Part, Run, Track, bits, by_label, same_bits


def resolved(clock: Clock, runs: Sequence[Run]) -> Track:
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
    return Track(sorted(visible, key=_start), sorted(hidden, key=_canonical))


def _start(run: Run) -> int:
    return run.start_ns


def _canonical(run: Run) -> tuple[int, int, int, bytes]:
    return (run.start_ns, run.size, run.parts[0].label, run.samples(0, run.size).tobytes())


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
        (far_one == far_two) & (bits(one) > bits(two))
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


def _layers(lost: Sequence[_Lost], best: NDArray[Any], time_of: Callable[[int], int]) -> list[Run]:
    """Put values that lost into runs: the best of each time first, then the next best."""
    if not lost:
        return []
    index = np.concatenate([part.index for part in lost])
    value = np.concatenate([part.value for part in lost])
    label = np.concatenate([part.label for part in lost])
    is_lost = ~same_bits(best[index], value)  # a value may win in the end, under a lower label
    index, value, label = index[is_lost], value[is_lost], label[is_lost]
    order = np.lexsort((label, bits(value), index))
    index, value, label = index[order], value[order], label[order]
    repeats = np.zeros(index.size, np.bool_)
    repeats[1:] = (np.diff(index) == 0) & same_bits(value[1:], value[:-1])
    index, value, label = index[~repeats], value[~repeats], label[~repeats]
    order = np.lexsort((-bits(value).astype(np.int64), -_distance(value), label, index))
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
