"""Segments keep exact times; gaps come from segments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.errors import WaveformError
from geomon.ids import SeedId
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Gap, Segment, Waveforms

Z = SeedId.parse("XX.ABC..HHZ")


def segment(start_ns: int, n: int, rate: float = 100.0) -> Segment:
    return Segment(Z, start_ns, rate, np.arange(n, dtype=np.int32))


@given(
    st.integers(0, 10**12),
    st.integers(1, 500),
    st.sampled_from([0.3, 20.0, 100.0, 99.9997, 250 / 3]),
    st.integers(-(10**10), 10**10),
    st.integers(0, 10**10),
)
def test_clipping_keeps_exactly_the_samples_in_the_span(
    start_ns: int, n: int, rate: float, offset: int, length: int
) -> None:
    whole = segment(start_ns, n, rate)
    begin = max(start_ns + offset, 0)
    span = TimeSpan(begin, begin + length)
    expected = [i for i in range(n) if span.contains(whole.time_ns(i))]
    part = whole.clipped(span)
    assert (part.samples.tolist() if part else []) == expected
    if part:
        assert part.start_ns == whole.time_ns(expected[0])


def test_gaps_are_what_no_segment_covers() -> None:
    span = TimeSpan(0, 10 * NS_PER_S)
    held = Waveforms(span, (Z,), (segment(0, 300), segment(5 * NS_PER_S, 500)))
    assert held.gaps() == [
        Gap(Z, TimeSpan(3 * NS_PER_S + NS_PER_S // 200, 5 * NS_PER_S)),
    ]
    assert Waveforms(span, (Z,), ()).gaps() == [Gap(Z, span)]


def test_obspy_sees_the_same_samples_and_times() -> None:
    held = Waveforms(TimeSpan(0, NS_PER_S), (Z,), (segment(123_456_789, 40),))
    [trace] = held.to_obspy()
    assert trace.id == "XX.ABC..HHZ"
    assert trace.stats.starttime.ns == 123_456_789
    np.testing.assert_array_equal(trace.data, np.arange(40))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(WaveformError, match=r"XX\.ABC\.\.HHZ: sampling rate"):
        segment(0, 3, rate)
