"""Samples of records joined into segments by their exact times.

What starts where another ends, to within the resolution of its header, continues it; a clock that
steps or drifts farther begins a new segment. libmseed's own merging allows half a sample, which
mistimes what follows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Gap, Segment


@dataclass(slots=True)
class Line:
    """Samples of one time line, growing at its end.

    Attributes
    ----------
    seed_id : SeedId
        Their channel.
    start_ns : int
        Time of the first, nanoseconds since 1970.
    rate : float
        Samples per second.
    resolution_ns : int
        To what their times are known.
    parts : list of array
        The samples, one part behind the other.
    n_samples : int
        How many there are.
    is_attested : bool
        Whether a checksum or another record says the same about their time.
    """

    seed_id: SeedId
    start_ns: int
    rate: float
    resolution_ns: int
    parts: list[NDArray[Any]]
    n_samples: int
    is_attested: bool

    @property
    def end_ns(self) -> int:
        """One interval after the last sample, nanoseconds since 1970."""
        return self.time_ns(self.n_samples)

    def time_ns(self, index: int) -> int:
        """Time of a sample, nanoseconds since 1970."""
        return self.start_ns + round(index * NS_PER_S / self.rate)

    def samples(self) -> NDArray[Any]:
        """All samples, shape (n_samples,)."""
        if len(self.parts) > 1:
            self.parts = [np.concatenate(self.parts)]
        return self.parts[0]

    def offset_of(self, other: "Line") -> int | None:
        """Return the sample at which `other` starts; None when it is on another time line."""
        index = round((other.start_ns - self.start_ns) * self.rate / NS_PER_S)
        same = (
            0 <= index <= self.n_samples
            and other.rate == self.rate
            and other.parts[0].dtype == self.parts[0].dtype
            and _agree(
                self.time_ns(index) - other.start_ns, self.resolution_ns, other.resolution_ns
            )
        )
        return index if same else None

    def absorb(self, other: "Line", index: int) -> bool:
        """Take over `other`, which starts at sample `index`, unless their samples differ."""
        shared = min(self.n_samples - index, other.n_samples)
        theirs = other.samples()
        if shared:
            mine = self.samples()[index : index + shared]
            if mine.tobytes() != theirs[:shared].tobytes():
                return False
        if shared < other.n_samples:
            self.parts.append(theirs[shared:])
            self.n_samples += other.n_samples - shared
        self.is_attested = True
        return True


def _agree(difference_ns: int, one_resolution_ns: int, other_resolution_ns: int) -> bool:
    """Tell whether two header times say the same, to within the finer of their resolutions.

    Times cut or rounded to a resolution differ from the true ones by less than it; 1 ns more is
    allowed for computing them from a rate.
    """
    return abs(difference_ns) < max(min(one_resolution_ns, other_resolution_ns), 2)


def joined(lines: Iterable[Line]) -> tuple[list[Line], list[Gap]]:
    """Join what continues or repeats; keep apart, and tell of, what differs for the same time.

    Parameters
    ----------
    lines : iterable of Line
        Of one channel, in any order; they grow.

    Returns
    -------
    list of Line
        In time order; they overlap only where samples differ.
    list of Gap
        Where they do.
    """
    conflicts: list[Gap] = []
    kept: list[Line] = []
    is_open: list[Line] = []
    for line in _in_order(lines):
        is_open = [other for other in is_open if other.end_ns + line.resolution_ns >= line.start_ns]
        overlap: Line | None = None
        for other in is_open:
            index = other.offset_of(line)
            if index is not None and other.absorb(line, index):
                break
            if other.end_ns > line.start_ns + line.resolution_ns:
                overlap = other
        else:
            if overlap is not None:
                end = min(overlap.end_ns, line.end_ns)
                conflicts.append(Gap(line.seed_id, TimeSpan(line.start_ns, end)))
            kept.append(line)
            is_open.append(line)
    return kept, conflicts


def _in_order(lines: Iterable[Line]) -> list[Line]:
    """Sort by time, longest first, then by content, so that the order of arrival is forgotten."""

    def place(line: Line) -> tuple[int, int, float]:
        return (line.start_ns, -line.n_samples, line.rate)

    ordered: list[Line] = []
    for _, same_place in groupby(sorted(lines, key=place), key=place):
        tied = list(same_place)
        ordered += sorted(tied, key=lambda t: t.samples().tobytes()) if len(tied) > 1 else tied
    return ordered


def segments_of(lines: Iterable[Line], span: TimeSpan | None) -> tuple[list[Segment], list[Gap]]:
    """Return the samples of lines, and where some were left out for being NaN or infinite.

    Parameters
    ----------
    lines : iterable of Line
        Of one channel.
    span : TimeSpan, optional
        Samples outside [start, end) are left out too.
    """
    masked: list[Gap] = []
    segments: list[Segment] = []
    for line in lines:
        whole = Segment(line.seed_id, line.start_ns, line.rate, line.samples())
        clipped = whole if span is None else whole.clipped(span)
        if clipped is not None:
            segments += _finite_parts(clipped, masked)
    return sorted(segments, key=lambda s: (s.start_ns, -s.samples.size)), masked


def _finite_parts(segment: Segment, masked: list[Gap]) -> list[Segment]:
    """Split a float segment around NaN and infinite samples."""
    if segment.samples.dtype.kind != "f":
        return [segment]
    is_finite = np.isfinite(segment.samples)
    if is_finite.all():
        return [segment]
    edges = np.flatnonzero(np.diff(is_finite)) + 1
    parts: list[Segment] = []
    for first, last in zip([0, *edges], [*edges, is_finite.size], strict=True):
        start_ns = segment.time_ns(int(first))
        if is_finite[first]:
            samples = segment.samples[first:last]
            parts.append(Segment(segment.seed_id, start_ns, segment.sampling_rate_hz, samples))
        else:
            masked.append(Gap(segment.seed_id, TimeSpan(start_ns, segment.time_ns(int(last)))))
    return parts
