"""What picks say about a hypocentre, as weighted samples: importance sampling around a best point.

Travel times are wrong in ways that picks share: P and S of a station are late together, and so are
stations that see an event from the same side. Taken for independent, ten such picks would look like
ten opinions. Residuals therefore have a full covariance, the origin time may be anything, and how
large the errors are altogether is learned from the residuals themselves (a multivariate Student-t).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geomon.locating.network import Box

type Floats = NDArray[np.float64]

_PRIOR_DOF = 6.0  # how many picks' worth of certainty the assumed errors have
_ROUNDS = ((250, 30), (400, 50), (800, 0))  # samples to draw, and centres to draw next from
_KERNEL_DOF, _WIDE_SHARE = 5.0, 0.1
_SHARPNESS = 4.0  # power of the likelihood whose mean is reported


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted samples of the hypocentre and the origin time.

    Attributes
    ----------
    points : array, shape (n, 3)
        East, north, down in the network's frame, km.
    times_s : array, shape (n,)
        Origin time of each, s.
    weights : array, shape (n,)
        How much each counts; together 1.
    log_likelihood : array, shape (n,)
        What the picks say about each, but for a constant.
    """

    points: Floats
    times_s: Floats
    weights: Floats
    log_likelihood: Floats

    @cached_property
    def centre(self) -> Floats:
        """The hypocentre to report: the mean of the sharpened posterior.

        Where the posterior is symmetrical or flat that is its mean; where it has a long tail, as
        of P alone at a few stations beside an event, it stays near the likeliest place.
        """
        excess = self.log_likelihood - self.log_likelihood.max()
        weights = self.weights * np.exp((_SHARPNESS - 1) * excess)
        return np.asarray(weights @ self.points / weights.sum())

    @cached_property
    def covariance(self) -> Floats:
        """Mean square deviation (km²) from the centre."""
        deviation = self.points - self.centre
        return np.asarray((self.weights[:, None] * deviation).T @ deviation)

    def ellipse(self) -> tuple[float, float, float]:
        """Return semi-axes (km) and azimuth (degrees) of the ellipse that holds 68 %."""
        deviation = (self.points - self.centre)[:, :2]
        values, vectors = np.linalg.eigh(self.covariance[:2, :2])
        values = np.maximum(values, 1e-6)
        m2 = ((deviation @ vectors) ** 2 / values).sum(axis=1)
        [radius2] = quantiles(m2, self.weights, (0.68,))
        minor, major = (math.sqrt(radius2 * value) for value in values)
        east, north = vectors[:, 1]
        return major, minor, math.degrees(math.atan2(east, north)) % 180

    def depth_interval(self) -> tuple[float, float]:
        """Return the depths (km) that 16 % lie above and 16 % below."""
        shallow, deep = quantiles(self.points[:, 2], self.weights, (0.16, 0.84))
        return shallow, deep


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """How the residuals of one event's picks spread, with the origin time left free.

    Attributes
    ----------
    whitener : array, shape (n, n)
        Turns residuals into independent ones of unit variance.
    ones : array, shape (n,)
        What a shift of the origin time becomes.
    n_effective : float
        Number of picks, each counted by its weight.
    """

    whitener: Floats
    ones: Floats
    n_effective: float

    @classmethod
    def of(cls, covariance_s2: Floats, n_effective: float) -> "Residuals":
        """Prepare from the covariance of residuals (s²)."""
        whitener = np.linalg.inv(np.linalg.cholesky(covariance_s2))
        return cls(whitener, whitener.sum(axis=1), n_effective)

    def log_likelihood(self, residual_s: Floats) -> tuple[Floats, Floats]:
        """Return log likelihood and best origin time (s) of residuals (m, n) without one."""
        white = residual_s @ self.whitener.T
        time = white @ self.ones / (self.ones @ self.ones)
        misfit = np.maximum((white**2).sum(axis=1) - time**2 * (self.ones @ self.ones), 0.0)
        dof = _PRIOR_DOF + max(self.n_effective - 1, 1.0)
        return -dof / 2 * np.log(_PRIOR_DOF + misfit), time

    @property
    def time_variance(self) -> float:
        """Variance (s²) of the origin time of a known hypocentre."""
        return float(1 / (self.ones @ self.ones))


def sample(
    log_likelihood: Callable[[Floats], tuple[Floats, Floats]],
    point: Floats,
    covariance: Floats,
    box: Box,
    rng: np.random.Generator,
) -> Posterior:
    """Draw from the posterior, first around the best point, then from what was found.

    Parameters
    ----------
    log_likelihood : callable
        Of points (m, 3): log likelihood and origin time of each, shape (m,).
    point : array, shape (3,)
        The best point.
    covariance : array, shape (3, 3)
        A first idea of how well it is known, km².
    box : Box
        Where a hypocentre can be; all places in it are equally likely beforehand.
    rng : numpy.random.Generator
        Source of chance.
    """
    centres = point[None]
    kernel = 2.0 * covariance
    for n_samples, n_centres in _ROUNDS:
        points, log_q = _mixture(rng, centres, kernel, covariance, n_samples)
        likelihood, times = np.full(n_samples, -np.inf), np.zeros(n_samples)
        valid = box.contains(points)
        likelihood[valid], times[valid] = log_likelihood(points[valid])
        log_w = likelihood - log_q
        weights = np.exp(log_w - log_w.max())
        weights /= weights.sum()
        deviation = points - weights @ points
        covariance = (weights[:, None] * deviation).T @ deviation + 1e-4 * np.eye(3)
        if n_centres:
            steps = (rng.random() + np.arange(n_centres)) / n_centres
            chosen = np.minimum(np.searchsorted(np.cumsum(weights), steps), n_samples - 1)
            centres = points[chosen]
            kernel = covariance * n_centres ** (-2 / 7)  # Silverman's width in 3 dimensions
    return Posterior(points, times, weights, likelihood)


def quantiles(values: Floats, weights: Floats, shares: tuple[float, ...]) -> list[float]:
    """Return weighted quantiles of values."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order]) - 0.5 * weights[order]
    return [float(q) for q in np.interp(shares, cumulative, values[order])]


def _mixture(
    rng: np.random.Generator, centres: Floats, kernel: Floats, wide: Floats, n_samples: int
) -> tuple[Floats, Floats]:
    """Draw from Student-t kernels on the centres and, one in ten, a wide one; with log density."""
    dof = _KERNEL_DOF
    is_wide = rng.random(n_samples) < _WIDE_SHARE
    z = rng.standard_normal((n_samples, 3)) / np.sqrt(rng.chisquare(dof, (n_samples, 1)) / dof)
    narrow_root, wide_root = np.linalg.cholesky(kernel), np.linalg.cholesky(6.0 * wide)
    middle = centres.mean(axis=0)
    chosen = centres[rng.integers(len(centres), size=n_samples)]
    points = np.where(is_wide[:, None], middle + z @ wide_root.T, chosen + z @ narrow_root.T)

    def density(root: Floats, around: Floats) -> Floats:
        inverse = np.linalg.inv(root)
        white, places = points @ inverse.T, around @ inverse.T
        m2 = (white**2).sum(axis=1)[:, None] + (places**2).sum(axis=1) - 2 * white @ places.T
        height = (1 + np.maximum(m2, 0.0) / dof) ** (-(dof + 3) / 2)
        return np.asarray(height.mean(axis=1) / np.prod(np.diagonal(root)))

    narrow = density(narrow_root, centres)
    q = (1 - _WIDE_SHARE) * narrow + _WIDE_SHARE * density(wide_root, middle[None])
    return points, np.log(q)
