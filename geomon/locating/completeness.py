"""Down to which magnitude a catalogue is complete, and how magnitudes are distributed above.

The magnitude of completeness is where the histogram peaks, with the usual 0.2 added (maximum
curvature: Wiemer and Wyss 2000, https://doi.org/10.1785/0119990114; Woessner and Wiemer 2005,
https://doi.org/10.1785/0120040007), then raised until magnitudes above it pass Lilliefors' test for
an exponential distribution (Herrmann and Marzocchi 2021, https://doi.org/10.1785/0220200337). The
b-value is estimated from increases of magnitude alone, which changes of completeness hardly touch
(b-positive: van der Elst 2021, https://doi.org/10.1029/2020JB021027). Uncertainties come from
drawing the catalogue anew from itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

LEAST_EVENTS = 50
_CORRECTION = 0.2
_SIGNIFICANCE = 0.1
_N_BOOTSTRAP = 200
_N_LILLIEFORS = 500
_MOST_TESTED = 2000  # a larger sample only shows that no catalogue is exactly exponential


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a catalogue's magnitudes say about it.

    Attributes
    ----------
    magnitude, uncertainty : float
        Magnitude of completeness, and its standard deviation.
    b_value, b_uncertainty : float
        Slope of the frequency-magnitude distribution, and its standard deviation; NaN where too few
        magnitudes increase.
    n_events, n_complete : int
        Magnitudes given, and those at or above completeness.
    is_exponential : bool
        Whether magnitudes above it pass Lilliefors' test.
    """

    magnitude: float
    uncertainty: float
    b_value: float
    b_uncertainty: float
    n_events: int
    n_complete: int
    is_exponential: bool


@dataclass(frozen=True, slots=True)
class TooFew:
    """Why completeness cannot be told."""

    reason: str


def completeness(
    magnitudes: Sequence[float] | Floats, *, bin_width: float = 0.1, seed: int = 0
) -> Completeness | TooFew:
    """Estimate the magnitude of completeness and the b-value.

    Parameters
    ----------
    magnitudes : sequence of float
        Of one type, in the order of their events' times; NaN is left out.
    bin_width : float
        To which magnitudes are meaningful.
    seed : int
        Of the draws that tell uncertainties.
    """
    given = np.asarray(magnitudes, dtype=np.float64)
    given = given[np.isfinite(given)]
    if given.size < LEAST_EVENTS:
        return TooFew(f"{given.size} events with a magnitude; needs {LEAST_EVENTS}")
    rng = np.random.default_rng(seed)
    binned = np.round(given / bin_width) * bin_width
    least = _peak(binned, bin_width) + _CORRECTION
    critical = _lilliefors_critical(rng)
    magnitude, is_exponential = least, False
    for step in range(round(1.0 / bin_width) + 1):
        tried = least + step * bin_width
        above = given[binned >= tried - bin_width / 2]
        if above.size < LEAST_EVENTS:
            break
        if _is_exponential(above - tried + bin_width / 2, bin_width, critical, rng):
            magnitude, is_exponential = tried, True
            break
    raised = magnitude - least
    draws = [
        _peak(rng.choice(binned, binned.size), bin_width) + _CORRECTION + raised
        for _ in range(_N_BOOTSTRAP)
    ]
    increases = _increases(given, bin_width)
    b_values = (
        [_b_value(rng.choice(increases, increases.size), bin_width) for _ in range(_N_BOOTSTRAP)]
        if increases.size >= 10
        else [math.nan]
    )
    return Completeness(
        magnitude=round(float(magnitude), 6),
        uncertainty=max(float(np.std(draws)), bin_width / math.sqrt(12)),
        b_value=_b_value(increases, bin_width) if increases.size >= 10 else math.nan,
        b_uncertainty=float(np.std(b_values)),
        n_events=int(given.size),
        n_complete=int((binned >= magnitude - bin_width / 2).sum()),
        is_exponential=is_exponential,
    )


def _peak(binned: Floats, bin_width: float) -> float:
    """Return the fullest bin; the largest of equals, to be on the safe side."""
    index = np.round(binned / bin_width).astype(np.int64)
    values, counts = np.unique(index, return_counts=True)
    return float(values[counts == counts.max()].max() * bin_width)


def _increases(magnitudes: Floats, bin_width: float) -> Floats:
    """Return how much each event exceeds the one before, where it clearly does."""
    steps = np.diff(magnitudes)
    return np.asarray(steps[steps >= 2 * bin_width - 1e-9])


def _b_value(increases: Floats, bin_width: float) -> float:
    """Return the maximum likelihood slope of binned exceedances (Utsu 1965, as b-positive)."""
    least = 2 * bin_width
    excess = float(increases.mean()) - least
    return math.log1p(bin_width / max(excess, 1e-9)) / (bin_width * math.log(10))


def _distance(excess: Floats) -> float:
    """Return Kolmogorov and Smirnov's distance to the exponential of the same mean, times √n."""
    ordered = np.sort(excess)
    n = ordered.size
    expected = 1 - np.exp(-ordered / ordered.mean())
    above, below = np.arange(1, n + 1) / n - expected, expected - np.arange(n) / n
    return float(max(above.max(), below.max()) * math.sqrt(n))


def _lilliefors_critical(rng: np.random.Generator) -> float:
    """Return the distance that one exponential sample in ten exceeds; it hardly depends on n."""
    draws = [_distance(rng.exponential(size=200)) for _ in range(_N_LILLIEFORS)]
    return float(np.quantile(draws, 1 - _SIGNIFICANCE))


def _is_exponential(
    excess: Floats, bin_width: float, critical: float, rng: np.random.Generator
) -> bool:
    """Test after spreading each magnitude over its bin, without which no binned sample passes."""
    if excess.size > _MOST_TESTED:
        excess = rng.choice(excess, _MOST_TESTED, replace=False)
    spread = np.floor(excess / bin_width + 1e-9) * bin_width
    spread = spread + rng.uniform(0, bin_width, excess.size)
    return _distance(spread) <= critical
