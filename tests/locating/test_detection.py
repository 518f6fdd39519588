import numpy as np
import pytest

from geomon.locating.detection import DetectionCurve, TooFewTrials, detection_curve


def trials(seed: int, n: int, half: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    magnitude = rng.uniform(-1, 3, n)
    return magnitude, rng.random(n) < 1 / (1 + np.exp(-slope * (magnitude - half)))


@pytest.mark.parametrize(("half", "slope"), [(0.4, 4.0), (1.5, 2.0)])
def test_the_curve_behind_the_trials_comes_back(half: float, slope: float) -> None:
    inside = 0
    for seed in range(40):
        found = detection_curve(*trials(seed, 150, half, slope))
        assert isinstance(found, DetectionCurve)
        magnitude, error = found.magnitude_at(0.5)
        inside += abs(magnitude - half) <= 2 * error
        probability, low, high = found.probability(half)
        assert low < probability < high
    assert inside >= 34


def test_all_above_and_none_below_is_still_finite() -> None:
    magnitude = np.linspace(-1, 3, 40)
    found = detection_curve(magnitude, magnitude > 1)
    assert isinstance(found, DetectionCurve)
    assert found.magnitude_at(0.5)[0] == pytest.approx(1.0, abs=0.1)
    assert found.probability(2.0)[0] > 0.97
    nothing = detection_curve(magnitude, np.zeros(40, bool))
    assert isinstance(nothing, DetectionCurve)
    assert nothing.probability(3.0)[0] < 0.2


def test_too_few_trials_say_so() -> None:
    found = detection_curve([1.0] * 30, [True] * 30)
    assert found == TooFewTrials("30 trials of 1 magnitudes; needs 20 of several")
    assert isinstance(detection_curve(*trials(1, 19, 0, 2)), TooFewTrials)
