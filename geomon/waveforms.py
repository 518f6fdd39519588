"""Recorded samples as they are: exact values, exact times, gaps as gaps."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geomon.errors import WaveformError
from geomon.ids import SeedId
from geomon.times import NS_PER_S, TimeSpan, from_ns, merged, subtracted

if TYPE_CHECKING:
    from obspy import Stream


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Consecutive samples of one channel on one time line, without a gap.

    Attributes
    ----------
    seed_id : SeedId
        Channel the samples come from.
    start_ns : int
        Time of sample 0, nanoseconds since 1970 UTC.
    sampling_rate_hz : float
        Samples per second, > 0.
    samples : array of int32, float32 or float64, shape (n_samples,)
        Digitiser counts, exactly as recorded.

    Raises
    ------
    WaveformError
        If the samples are not a non-empty vector or the rate is not positive and finite.
    """

    seed_id: SeedId
    start_ns: int
    sampling_rate_hz: float
    samples: NDArray[Any]

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.size == 0:
            msg = f"{self.seed_id}: a segment needs a non-empty vector, got {self.samples.shape}"
            raise WaveformError(msg)
        if not 0 < self.sampling_rate_hz < float("inf"):
            msg = f"{self.seed_id}: sampling rate {self.sampling_rate_hz} Hz is not positive"
            raise WaveformError(msg)

    @property
    def end_ns(self) -> int:
        """Time the sample after the last one would have."""
        return self.time_ns(self.samples.size)

    @property
    def span(self) -> TimeSpan:
        """From the first sample to one sample after the last."""
        return TimeSpan(self.start_ns, self.end_ns)

    def time_ns(self, index: int) -> int:
        """Time of sample `index`, rounded to the nanosecond."""
        return self.start_ns + round(index * NS_PER_S / self.sampling_rate_hz)

    def clipped(self, span: TimeSpan) -> "Segment | None":
        """Return the samples timed in [start, end), as a view; None when there are none."""
        per_ns = self.sampling_rate_hz / NS_PER_S
        first = self._first_at_or_after(span.start_ns, per_ns)
        last = self._first_at_or_after(span.end_ns, per_ns)
        if first >= last:
            return None
        return Segment(
            self.seed_id, self.time_ns(first), self.sampling_rate_hz, self.samples[first:last]
        )

    def _first_at_or_after(self, time_ns: int, per_ns: float) -> int:
        size = self.samples.size
        index = min(max(round((time_ns - self.start_ns) * per_ns), 0), size)
        while index > 0 and self.time_ns(index - 1) >= time_ns:
            index -= 1
        while index < size and self.time_ns(index) < time_ns:
            index += 1
        return index


@dataclass(frozen=True, slots=True, order=True)
class Provenance:
    """Where samples came from: the source's name, what it was asked, SHA-256 of its answer."""

    source: str
    request: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request made to a source, for the books.

    Attributes
    ----------
    url : str
        Where it went; holds no secret.
    request : str
        What was asked there.
    asked_ns : int
        When, nanoseconds since 1970 UTC by this machine's clock.
    took_s : float
        Seconds until its answer had arrived or failed.
    outcome : str
        How it ended, in the words of `geomon.sources.base.Outcome`.
    n_bytes : int
        Bytes of the answer kept, unpacked.
    sha256 : str
        Hash of those bytes; empty when there are none.
    """

    url: str
    request: str
    asked_ns: int
    took_s: float
    outcome: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """A span of one channel for which no sample is held."""

    seed_id: SeedId
    span: TimeSpan


@dataclass(frozen=True, slots=True, eq=False)
class Waveforms:
    """What the archive holds of some channels in one span: segments in (channel, time) order."""

    span: TimeSpan
    seed_ids: tuple[SeedId, ...]
    segments: tuple[Segment, ...]

    def of(self, seed_id: SeedId) -> tuple[Segment, ...]:
        """Return the segments of one channel, in time order."""
        return tuple(segment for segment in self.segments if segment.seed_id == seed_id)

    def gaps(self) -> list[Gap]:
        """Return every hole of every channel asked for, longer than one and a half samples."""
        holes: list[Gap] = []
        for seed_id in self.seed_ids:
            segments = self.of(seed_id)
            tolerance_ns = max(
                (round(0.5 * NS_PER_S / segment.sampling_rate_hz) for segment in segments),
                default=0,
            )
            covered = merged(
                TimeSpan(segment.start_ns, segment.end_ns + tolerance_ns) for segment in segments
            )
            holes += [Gap(seed_id, hole) for hole in subtracted(self.span, covered)]
        return holes

    def to_obspy(self) -> "Stream":
        """Return an ObsPy stream with one trace a segment; times are rounded to nanoseconds."""
        from obspy import Stream, Trace, UTCDateTime

        traces = []
        for segment in self.segments:
            trace = Trace(np.ascontiguousarray(segment.samples))
            trace.stats.update(
                {
                    "network": segment.seed_id.network,
                    "station": segment.seed_id.station,
                    "location": segment.seed_id.location,
                    "channel": segment.seed_id.channel,
                    "sampling_rate": segment.sampling_rate_hz,
                    "starttime": UTCDateTime(ns=segment.start_ns),
                }
            )
            traces.append(trace)
        return Stream(traces)

    def __str__(self) -> str:
        n_samples = sum(segment.samples.size for segment in self.segments)
        return (
            f"{len(self.segments)} segments, {n_samples} samples of {len(self.seed_ids)} channels, "
            f"{from_ns(self.span.start_ns)} to {from_ns(self.span.end_ns)}"
        )


def span_of(segments: Iterable[Segment]) -> TimeSpan | None:
    """Return the smallest span that covers all segments; None for none."""
    spans = [segment.span for segment in segments]
    if not spans:
        return None
    return TimeSpan(min(s.start_ns for s in spans), max(s.end_ns for s in spans))
