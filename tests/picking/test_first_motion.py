"""First motions are told where they are clear, right then, and as surely as they are right."""

import numpy as np
import pytest

from geomon.picking.first_motion import AFTER, BEFORE, first_motion
from tests.benchmarks.first_motions import recorded, told

SIGMA_S = 0.05


@pytest.fixture(scope="module")
def earthquakes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return recorded(1, 1000)


@pytest.mark.parametrize("scatter", [0, 3, 8])
def test_what_is_told_is_right_as_often_as_said(
    earthquakes: tuple[np.ndarray, np.ndarray, np.ndarray], scatter: int
) -> None:
    raw, filtered, truth = earthquakes
    late = np.round(np.random.default_rng(2).normal(0, scatter, truth.size)).astype(int)
    sigma_s = np.full(truth.size, max(scatter, 2) / 100)
    sign, chance = told(raw, filtered, late, sigma_s)
    speaks = sign != 0
    right = sign == truth
    assert speaks.mean() > 0.7
    assert right[speaks].mean() > 0.95
    sure = chance >= 0.97
    assert sure.mean() > 0.5
    assert right[sure].mean() > 0.985
    unsure = speaks & (chance < 0.95)
    assert 0.75 < right[unsure].mean() < right[sure].mean()


def test_a_reversed_sensor_reverses_it(
    earthquakes: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    raw, filtered, truth = earthquakes
    late, sigma_s = np.zeros(truth.size, dtype=int), np.full(truth.size, SIGMA_S)
    sign, chance = told(raw, filtered, late, sigma_s)
    reversed_sign, reversed_chance = told(-raw, -filtered, late, sigma_s)
    np.testing.assert_array_equal(reversed_sign, -sign)
    np.testing.assert_allclose(reversed_chance, chance, atol=1e-3)


def test_noise_has_none() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(BEFORE + AFTER, 1000))
    found = [first_motion(one, one, SIGMA_S) for one in noise.T]
    assert found.count(("undecidable", None)) >= 995


def test_what_is_clipped_or_dead_has_none() -> None:
    trace = np.random.default_rng(4).normal(size=BEFORE + AFTER)
    trace[BEFORE:] += 80 * np.sin(np.arange(AFTER) / 4)
    assert first_motion(trace, trace, SIGMA_S)[0] == "positive"
    assert first_motion(trace, np.minimum(trace, 30), SIGMA_S) == ("undecidable", None)
    still = np.zeros(BEFORE + AFTER)
    assert first_motion(still, still, SIGMA_S)[0] == "undecidable"
    still[BEFORE:] = 100 * np.sin(np.arange(AFTER) / 4)
    assert first_motion(still, still, SIGMA_S)[0] == "undecidable"


def test_the_second_motion_is_not_the_first() -> None:
    rng = np.random.default_rng(5)
    trace = rng.normal(size=BEFORE + AFTER)
    t = np.arange(AFTER + 10)
    # Begins 0.1 s before the pick, softly: the first swing downwards is half as high.
    trace[BEFORE - 10 :] += 40 * np.where(t < 8, -0.5, 1) * np.sin(np.pi * t / 8) ** 2
    assert first_motion(trace, trace, SIGMA_S)[0] in ("negative", "undecidable")
