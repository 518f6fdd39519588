"""Matching and scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.training.evaluate import match, score

times = st.lists(st.floats(0, 20, allow_nan=False), max_size=12)


@given(times, times, st.floats(0.01, 2))
def test_matching_is_one_to_one_and_within_tolerance(
    one: list[float], two: list[float], tolerance: float
) -> None:
    pairs = match(one, two, tolerance)
    assert len({i for i, _ in pairs}) == len(pairs) == len({j for _, j in pairs})
    assert all(abs(one[i] - two[j]) <= tolerance for i, j in pairs)
    left = set(range(len(one))) - {i for i, _ in pairs}
    right = set(range(len(two))) - {j for _, j in pairs}
    assert not any(abs(one[i] - two[j]) <= tolerance for i in left for j in right)


def test_scores() -> None:
    result = score([[1.0, 5.0], [3.0]], [[1.05, 4.9, 8.0], []], 0.5)
    assert (result.n_true, result.n_found) == (3, 3)
    assert result.recall == result.precision == result.f1 == pytest.approx(2 / 3)
    assert result.bias_s == pytest.approx(-0.025)
    nothing = score([[]], [[]], 0.5)
    assert np.isnan(nothing.f1)
