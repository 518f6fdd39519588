"""Exact times, and which of several recordings of one time is seen."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.stores.conflicts import resolved
from geomon.stores.timelines import ArraySource, Clock, Run, differing, joined
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests.stores.archives import HH

RATES = st.sampled_from([0.1, 1.0, 30.0, 99.97, 100.0, 128.0, 250 / 3, 1024.0])


def run(start_ns: int, values: list[int], label: int = 0, *, is_new: bool = True) -> Run:
    array = np.array(values, np.int32)
    return Run.of(start_ns, ArraySource(array, is_new), array.size, label)


def content(runs: list[Run] | None) -> list[tuple[int, list[int]]]:
    return [(r.start_ns, r.samples(0, r.size).tolist()) for r in runs or []]


@given(RATES, st.integers(-(10**18), 10**18), st.integers(0, 10**7))
def test_clocks_and_segments_agree_to_the_nanosecond(rate: float, start: int, index: int) -> None:
    one = Segment(HH.seed_id("Z"), start, rate, np.zeros(1, np.int32))
    clock = Clock(rate)
    assert start + clock.after(index) == one.time_ns(index)
    assert clock.index_on_line(start, one.time_ns(index)) == index
    size = min(index + 1, 1000)
    assert clock.times(start, size)[-1] == one.time_ns(size - 1)


@given(RATES, st.integers(0, 10**9), st.integers(1, 50), st.integers(-100, 200))
def test_the_first_sample_of_a_span_is_the_first(
    rate: float, start: int, size: int, offset: int
) -> None:
    clock = Clock(rate)
    time = start + round(offset * 0.37 * NS_PER_S / rate)
    first = clock.first_at_or_after(start, size, time)
    times = clock.times(start, size)
    assert first == int(np.searchsorted(times, time))


@pytest.mark.parametrize(("rate", "whole"), [(100.0, True), (0.1, True), (30.0, False)])
def test_intervals_are_exact(rate: float, whole: bool) -> None:
    assert Clock(rate).is_whole == whole
    assert Clock(30.0).interval == Fraction(100_000_000, 3)


def test_a_union_keeps_what_is_archived() -> None:
    clock = Clock(1.0)
    old = run(2 * NS_PER_S, [2, 3, 4], 1, is_new=False)
    union = joined(clock, [run(0, [0, 1, 2, 3, 4, 5]), old])
    assert content(union) == [(0, [0, 1, 2, 3, 4, 5])]
    assert union is not None
    assert [part.source.is_new for part in union[0].parts] == [True, False, True]
    assert union[0].labels().tolist() == [0] * 6


def test_a_lower_label_wins_and_then_the_value_farther_from_zero() -> None:
    clock = Clock(1.0)
    runs = [run(0, [1, 1, 1], 1), run(0, [0, 1, -2], 1), run(2 * NS_PER_S, [0], 0)]
    assert joined(clock, runs) is None
    for order in (runs, runs[::-1]):
        found = resolved(clock, order)
        assert content(found.visible) == [(0, [1, 1, 0])]
        assert content(found.hidden) == [(0, [0]), (2 * NS_PER_S, [1]), (2 * NS_PER_S, [-2])]


def test_a_value_that_lost_may_win_later_under_a_lower_label() -> None:
    clock = Clock(1.0)
    found = resolved(clock, [run(0, [5], 3), run(0, [9], 2), run(0, [5], 1)])
    assert content(found.visible) == [(0, [5])]
    assert content(found.hidden) == [(0, [9])]


def test_the_longer_clock_is_seen_and_half_an_interval_around_it_is_free_of_others() -> None:
    clock = Clock(1.0)
    second = NS_PER_S
    long, other = run(0, [1] * 10), run(8 * second + 600_000_000, [2] * 4)
    found = resolved(clock, [other, long])
    assert content(found.visible) == [(0, [1] * 10), (9_600_000_000, [2] * 3)]
    assert content(found.hidden) == [(8_600_000_000, [2])]
    assert differing(clock, [long], found.visible) == [TimeSpan(9_600_000_000, 12_600_000_000)]
