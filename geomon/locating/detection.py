"""How likely a network detects an earthquake of some magnitude, from trials.

The probability rises with magnitude as a logistic function (Ogata and Katsura 1993,
https://doi.org/10.1111/j.1365-246X.1993.tb04663.x, use the cumulative normal, which is hardly
different). Jeffreys' prior keeps the fit finite where all above some magnitude were detected and
none below (Firth 1993, https://doi.org/10.1093/biomet/80.1.27).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

LEAST_TRIALS = 20
_ROUNDS = 100
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class DetectionCurve:
    """Detection probability by magnitude: 1 / (1 + exp(-(intercept + slope * magnitude))).

    Attributes
    ----------
    intercept, slope : float
        Of the logistic function; the slope is positive where larger events are seen better.
    covariance : (float, float, float)
        Variance of the intercept, covariance, variance of the slope.
    n_trials, n_detected : int
        What it rests on.
    """

    intercept: float
    slope: float
    covariance: tuple[float, float, float]
    n_trials: int
    n_detected: int

    def probability(self, magnitude: float) -> tuple[float, float, float]:
        """Return the probability at a magnitude, and its 95 % interval."""
        logit = self.intercept + self.slope * magnitude
        aa, ab, bb = self.covariance
        error = _NORMAL_95 * math.sqrt(max(aa + 2 * ab * magnitude + bb * magnitude**2, 0.0))
        low, middle, high = (_logistic(logit + d) for d in (-error, 0.0, error))
        return middle, low, high

    def magnitude_at(self, probability: float) -> tuple[float, float]:
        """Return the magnitude detected with a probability, and its standard deviation.

        NaN where larger events are not seen better.
        """
        if self.slope <= 0:
            return math.nan, math.nan
        magnitude = (math.log(probability / (1 - probability)) - self.intercept) / self.slope
        aa, ab, bb = self.covariance
        variance = (aa + 2 * ab * magnitude + bb * magnitude**2) / self.slope**2
        return magnitude, math.sqrt(max(variance, 0.0))


@dataclass(frozen=True, slots=True)
class TooFewTrials:
    """Why no curve can be told."""

    reason: str


def detection_curve(
    magnitudes: Sequence[float] | Floats, is_detected: Sequence[bool] | NDArray[np.bool_]
) -> DetectionCurve | TooFewTrials:
    """Fit detection probability to trials.

    Parameters
    ----------
    magnitudes : sequence of float
        Of the events tried.
    is_detected : sequence of bool
        Whether each was detected.
    """
    m = np.asarray(magnitudes, dtype=np.float64)
    y = np.asarray(is_detected, dtype=np.float64)
    if m.size < LEAST_TRIALS or np.ptp(m) <= 0:
        return TooFewTrials(
            f"{m.size} trials of {np.unique(m).size} magnitudes; needs {LEAST_TRIALS} of several"
        )
    middle = float(m.mean())
    design = np.stack([np.ones_like(m), m - middle], axis=1)
    weights = np.zeros(2)
    information = np.eye(2)
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        spread = p * (1 - p)
        information = (design * spread[:, None]).T @ design + 1e-9 * np.eye(2)
        leverage = np.einsum("ij,jk,ik->i", design, np.linalg.inv(information), design) * spread
        step = np.linalg.solve(information, design.T @ (y - p + leverage * (0.5 - p)))
        weights = weights + step / max(1.0, float(np.abs(step).max()) / 2)
        if float(np.abs(step).max()) < 1e-9:
            break
    back = np.array([[1.0, -middle], [0.0, 1.0]])
    intercept, slope = back @ weights
    covariance = back @ np.linalg.inv(information) @ back.T
    return DetectionCurve(
        float(intercept), float(slope),
        (float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])),
        m.size, int(y.sum()),
    )  # fmt: skip


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-min(max(value, -500.0), 500.0)))
