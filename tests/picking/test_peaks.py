"""The peak rule: above the threshold, the largest within half a second, the first of equals."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geomon.picking.peaks import REACH, find_peaks

curves = hnp.arrays(
    np.float32, st.integers(101, 600), elements=st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.75, 1.0])
)


@given(curves)
def test_rule(curve: np.ndarray) -> None:
    found = {peak.index for peak in find_peaks(curve, 0.2)}
    expected = set()
    for index in range(REACH, curve.size - REACH):
        before, after = curve[index - REACH : index], curve[index + 1 : index + REACH + 1]
        value = curve[index]
        if value > 0.2 and (before < value).all() and (after <= value).all():
            expected.add(index)
    assert found == expected


@given(curves, st.integers(0, 300))
def test_only_the_neighbourhood_counts(curve: np.ndarray, begin: int) -> None:
    part = curve[begin:]
    whole = {p.index for p in find_peaks(curve, 0.2) if p.index >= begin + REACH}
    assert {p.index + begin for p in find_peaks(part, 0.2)} == whole


def test_subsample_time_and_width() -> None:
    t = np.arange(400)
    curve = np.exp(-0.5 * ((t - 200.3) / 10) ** 2).astype(np.float32)
    [peak] = find_peaks(curve, 0.3)
    assert abs(peak.index + peak.shift - 200.3) < 0.01
    assert abs(peak.width - 23.55) < 0.1


def test_a_bump_on_the_top_hardly_moves_the_time() -> None:
    t = np.arange(400)
    curve = np.exp(-0.5 * ((t - 200) / 10) ** 2).astype(np.float32)
    curve[203] += 0.05
    [peak] = find_peaks(curve, 0.3)
    assert peak.index == 203
    assert abs(peak.index + peak.shift - 200) < 0.2


def test_flat_top_is_one_peak() -> None:
    curve = np.zeros(300, np.float32)
    curve[140:160] = 1.0
    assert [(p.index, round(p.shift, 6)) for p in find_peaks(curve, 0.3)] == [(140, 9.5)]
    assert find_peaks(curve[:90], 0.3) == []
