"""Samples of one channel joined by their exact times, the same in whatever order they came.

Two samples lie on one *time line* when their times differ by a whole number of sample intervals,
exactly; where the interval is no whole number of nanoseconds (30 Hz), to the nanosecond that
rounding costs. A *run* is consecutive samples on one time line.

Samples of the same line at the same time with the same value are one sample; it has the lowest
label anyone brought it with. Everything else is kept; `geomon.stores.conflicts` decides what a
read returns of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
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


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """All samples of one component and day: those a read returns, and the others."""

    visible: list[Run]
    hidden: list[Run]

    @property
    def n_visible(self) -> int:
        """Number of samples a read returns."""
        return sum(run.size for run in self.visible)

    @property
    def n_hidden(self) -> int:
        """Number of samples held beside them."""
        return sum(run.size for run in self.hidden)


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
    equal: NDArray[np.bool_] = np.equal(bits(one), bits(two))
    return equal


def bits(samples: NDArray[Any]) -> NDArray[Any]:
    """Return samples as integers of the same bits: NaN too has its place in their order."""
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


def by_label(clock: Clock, run: Run) -> list[Run]:
    """Cut a run into runs of one label each."""
    runs: list[Run] = []
    position = 0
    for part in run.parts:
        runs.append(Run(run.start_ns + clock.after(position), part.size, [part]))
        position += part.size
    return runs


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
