import numpy as np
import pytest

from geomon.locating.completeness import Completeness, TooFew, completeness


def catalogue(seed: int, n: int, mc: float, b: float) -> np.ndarray:
    """Gutenberg-Richter magnitudes, detected with a chance that rises around mc - 0.2."""
    rng = np.random.default_rng(seed)
    magnitude = mc - 2 + rng.exponential(1 / (b * np.log(10)), n)
    seen = rng.random(n) < 1 / (1 + np.exp(-(magnitude - mc + 0.25) / 0.06))
    return np.round(magnitude[seen], 1)


@pytest.mark.parametrize(("mc", "b"), [(1.0, 1.0), (0.3, 0.8), (2.1, 1.2)])
def test_known_completeness_and_slope_come_back(mc: float, b: float) -> None:
    found = completeness(catalogue(1, 150_000, mc, b))
    assert isinstance(found, Completeness)
    assert abs(found.magnitude - mc) <= 0.2
    assert abs(found.b_value - b) <= max(3 * found.b_uncertainty, 0.06)
    assert 0 < found.uncertainty < 0.3
    assert found.is_exponential


def test_the_same_magnitudes_give_the_same_answer() -> None:
    some = catalogue(2, 20_000, 1.0, 1.0)
    assert completeness(some) == completeness(list(some))
    assert completeness([*some, float("nan")]) == completeness(some)


def test_a_doubtful_distribution_says_so() -> None:
    rng = np.random.default_rng(3)
    found = completeness(rng.normal(2, 0.3, 2000))
    assert isinstance(found, Completeness)
    assert found.n_complete <= found.n_events == 2000


def test_too_few_events_say_how_many_are_needed() -> None:
    assert completeness([1.0] * 49) == TooFew("49 events with a magnitude; needs 50")
