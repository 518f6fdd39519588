"""Builders for the archive's tests."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geomon.ids import SeedId, StreamId
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Provenance, Segment

HH = StreamId.parse("CX.PB01..HH")
DAY = parse_time("2024-02-29")
SPAN = TimeSpan(DAY, DAY + NS_PER_DAY)
ALL = TimeSpan(DAY - 10 * NS_PER_DAY, DAY + 10 * NS_PER_DAY)
FIRST = Provenance("files", "a.mseed", "0" * 64)
SECOND = Provenance("files", "b.mseed", "1" * 64)


def counts(n: int, seed: int = 0) -> NDArray[np.int32]:
    """Samples that look recorded."""
    rng = np.random.default_rng(seed)
    return np.round(np.cumsum(rng.normal(0, 30, n)) + rng.normal(0, 10, n)).astype(np.int32)


def segment(
    start_s: float,
    samples: NDArray[np.generic] | int,
    *,
    component: str = "Z",
    rate: float = 100.0,
    ns: int = 0,
) -> Segment:
    """Make a segment that starts `start_s` and `ns` after midnight of `DAY`."""
    values = counts(samples) if isinstance(samples, int) else samples
    start_ns = DAY + round(start_s * NS_PER_S) + ns
    return Segment(HH.seed_id(component), start_ns, rate, values)


def cut(whole: Segment, *at: int) -> list[Segment]:
    """Cut a segment before the given samples."""
    edges = [0, *at, whole.samples.size]
    return [
        Segment(whole.seed_id, whole.time_ns(a), whole.sampling_rate_hz, whole.samples[a:b])
        for a, b in pairwise(edges)
        if a < b
    ]


def timed(segments: tuple[Segment, ...] | list[Segment]) -> dict[tuple[SeedId, int], int | float]:
    """Every sample by channel and exact time."""
    return {
        (s.seed_id, s.time_ns(k)): value
        for s in segments
        for k, value in enumerate(s.samples.tolist())
    }


def same(found: Sequence[Segment], expected: Sequence[Segment]) -> bool:
    """Tell whether two lists hold the same segments, in any order."""

    def key(s: Segment) -> tuple[SeedId, int, float, str, bytes]:
        return (s.seed_id, s.start_ns, s.sampling_rate_hz, s.samples.dtype.str, s.samples.tobytes())

    return sorted(map(key, found)) == sorted(map(key, expected))
