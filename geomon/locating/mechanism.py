"""Focal mechanisms from first motions, by a search over all double couples.

After Hardebeck and Shearer (2002, https://doi.org/10.1785/0120010200): many trials with slightly
different rays, since takeoff angles depend on depth and velocity. Where they count all mechanisms
that contradict hardly more polarities than the best one does, here each counts as is likely given
how probable each polarity is. Their mean is preferred, how their planes scatter around its planes
is its uncertainty, and both decide the quality class. Radiation and
axes are those of Aki and Richards (2002, chapter 4): x north, y east, z down.

No kept library does it for arrays: SKHASH (U.S. Geological Survey) is run on control files and
needs NumPy before 2, HASH itself needs a Fortran compiler, MTfit does not build on today's Python.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.events import FocalMechanism
from geomon.locating.travel_times import TravelTimes

type Floats = NDArray[np.float64]

MIN_POLARITIES = 8
MAX_GAP_DEG = 120.0
_TRIALS = 16
_SEED = 4711
_WRONG = 0.1  # chance that a polarity is wrong whose probability nobody said
_ELSE_WRONG = 0.05  # chance that a sensor is reversed, or its ray on the nodal plane's other side
_RAY_ERROR_DEG = 5.0  # of a takeoff angle, from the velocity model
_NEAR_DEG = 45.0  # mechanisms so close to each other count as the same
_STEP_DEG = 6.0
_DIFFERENCE_KM = 0.2  # over which times are differentiated
_SYMMETRIES = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float64)
_CLASSES: tuple[tuple[Literal["A", "B", "C"], float, float, float, float], ...] = (
    # probability above, uncertainty (degrees), misfit, station distribution ratio
    ("A", 0.8, 25.0, 0.15, 0.5),
    ("B", 0.6, 35.0, 0.20, 0.4),
    ("C", 0.5, 45.0, 0.30, 0.3),
)


@dataclass(frozen=True, slots=True)
class NoMechanism:
    """Why first motions give no mechanism."""

    reason: str


def takeoff_deg(
    travel_times: TravelTimes,
    distance_km: ArrayLike,
    depth_km: ArrayLike,
    station_elevation_m: ArrayLike,
) -> Floats:
    """Return the angle from straight down at which first P leaves a source, degrees.

    From how its travel time changes as the source moves: the slowness points against that.

    Parameters
    ----------
    travel_times : TravelTimes
        Tables of the velocity model.
    distance_km, depth_km, station_elevation_m : array_like
        As in `TravelTimes.times`.
    """
    distance = np.maximum(np.asarray(distance_km, np.float64), _DIFFERENCE_KM)
    depth = np.asarray(depth_km, np.float64)
    step = _DIFFERENCE_KM / 2
    across, down = (
        travel_times.times("P", distance + dx, depth + dz, station_elevation_m)
        - travel_times.times("P", distance - dx, depth - dz, station_elevation_m)
        for dx, dz in ((step, 0.0), (0.0, step))
    )
    return np.asarray(np.degrees(np.arctan2(np.maximum(across, 0.0), -down)))


def focal_mechanism(
    polarity: ArrayLike,
    azimuth_deg: ArrayLike,
    takeoff_deg_by_trial: ArrayLike,
    probability: ArrayLike | None = None,
) -> FocalMechanism | NoMechanism:
    """Find the double couple that explains first motions.

    Parameters
    ----------
    polarity : array_like, shape (n,)
        Above 0 where the ground moved up first, below 0 where down; 0 is left out.
    azimuth_deg : array_like, shape (n,)
        From the epicentre to each station.
    takeoff_deg_by_trial : array_like, shape (n,) or (m, n)
        Angles from straight down; rows are equally likely, as for m depths the source may have.
    probability : array_like, shape (n,), optional
        That each polarity was read right, from 0.5 up; NaN where nobody said.

    Returns
    -------
    FocalMechanism or NoMechanism
        The latter with fewer than 8 polarities, or more than 120 degrees without any.

    Examples
    --------
    >>> azimuth, takeoff = np.arange(0, 360, 15.0), np.tile([50.0, 110.0, 80.0], 8)
    >>> up = np.sign(radiation(30, 60, 90, azimuth, takeoff))
    >>> found = focal_mechanism(up, azimuth, takeoff)
    >>> kagan_angle_deg((30, 60, 90), (found.strike_deg, found.dip_deg, found.rake_deg)) < 20
    True
    """
    sign = np.sign(np.asarray(polarity, np.float64))
    takeoffs = np.atleast_2d(np.asarray(takeoff_deg_by_trial, np.float64))
    good = (sign != 0) & np.isfinite(takeoffs).all(axis=0)
    sign, takeoffs = sign[good], takeoffs[:, good]
    azimuth = np.asarray(azimuth_deg, np.float64)[good]
    wrong = _chance_wrong(probability, good)
    if sign.size < MIN_POLARITIES:
        return NoMechanism(f"{sign.size} polarities; needs {MIN_POLARITIES}")
    ordered = np.sort(azimuth % 360)
    gap = float(np.diff([*ordered, ordered[0] + 360]).max())
    if gap > MAX_GAP_DEG:
        return NoMechanism(f"{gap:.0f}° without a polarity; at most {MAX_GAP_DEG:g}°")
    tension, pressure = (axes.astype(np.float32) for axes in _all_axes())
    rng = np.random.default_rng(_SEED)
    accepted = np.zeros(len(tension))
    log_odds = np.log(wrong / (1 - wrong)).astype(np.float32)
    for trial in range(_TRIALS):
        rays = takeoffs[trial % len(takeoffs)]
        ray = _rays(azimuth, rays + _RAY_ERROR_DEG * rng.standard_normal(sign.size))
        ray = ray.astype(np.float32)
        upward = np.abs(tension @ ray) > np.abs(pressure @ ray)
        accepted += np.exp(((upward != (sign > 0)) @ log_odds).astype(np.float64))
    ray = _rays(azimuth, np.median(takeoffs, axis=0))
    return _summed_up(*_all_axes(), accepted, sign * (1 - 2 * wrong), ray)


def _chance_wrong(probability: ArrayLike | None, good: NDArray[np.bool_]) -> Floats:
    """Return the chance that each usable polarity is wrong: misread, or right but of elsewhere."""
    if probability is None:
        return np.full(np.count_nonzero(good), _WRONG)
    misread = np.clip(1 - np.asarray(probability, np.float64)[good], 0.0, 0.5)
    wrong = misread * (1 - _ELSE_WRONG) + (1 - misread) * _ELSE_WRONG
    # At one half a polarity would have no weight, and a misfit of such ones no meaning.
    return np.where(np.isnan(wrong), _WRONG, np.minimum(wrong, 0.49))


def _summed_up(
    tension: Floats, pressure: Floats, accepted: Floats, weighed_sign: Floats, ray: Floats
) -> FocalMechanism:
    """Return the mean of acceptable mechanisms, those far from it left out of the mean."""
    weight = accepted
    angle = np.zeros(len(weight))
    for _ in range(3):
        tensor = np.einsum("k,ki,kj->ij", weight, tension, tension)
        tensor -= np.einsum("k,ki,kj->ij", weight, pressure, pressure)
        _, axes = np.linalg.eigh(tensor)
        mean = axes[:, 2], axes[:, 0]
        angle = _angles_deg(mean, (tension, pressure))
        weight = np.where(angle <= _NEAR_DEG, accepted, 0.0)
        if not weight.any():
            weight = accepted
    probability = float(accepted[angle <= _NEAR_DEG].sum() / accepted.sum())
    uncertainty = _plane_deviation_deg(mean, (tension, pressure), accepted)
    strength = (mean[0] @ ray) ** 2 - (mean[1] @ ray) ** 2
    distance = np.sqrt(np.abs(strength))
    share = distance * np.abs(weighed_sign)
    misfit = float(share[strength * weighed_sign < 0].sum() / share.sum())
    ratio = float(distance.mean())
    quality: Literal["A", "B", "C", "D"] = next(
        (
            name
            for name, likely, degrees, most, least in _CLASSES
            if probability > likely and uncertainty <= degrees and misfit <= most and ratio >= least
        ),
        "D",
    )
    one, other = _planes(*mean)
    return FocalMechanism(
        *one, other, uncertainty, probability, misfit, ratio, weighed_sign.size, quality
    )


def _plane_deviation_deg(
    mean: tuple[Floats, Floats], many: tuple[Floats, Floats], weight: Floats
) -> float:
    """Root mean square angle between nodal planes and those of the mean."""
    ours = mean[0] + mean[1], mean[0] - mean[1]
    theirs = many[0] + many[1], many[0] - many[1]
    # Halves of the dot products of vectors √2 long; planes may correspond either way round.
    angles = np.degrees(
        [[np.arccos(np.minimum(np.abs(other @ one) / 2, 1)) for other in theirs] for one in ours]
    )
    squares = np.minimum(
        angles[0, 0] ** 2 + angles[1, 1] ** 2, angles[0, 1] ** 2 + angles[1, 0] ** 2
    )
    return float(np.sqrt((weight * squares).sum() / weight.sum() / 2))


def radiation(
    strike_deg: float, dip_deg: float, rake_deg: float, azimuth_deg: ArrayLike, takeoff: ArrayLike
) -> Floats:
    """Return the P radiation of a double couple in [-1, 1], positive where the ground goes up."""
    tension, pressure = _axes(
        np.radians([strike_deg]), np.radians([dip_deg]), np.radians([rake_deg])
    )
    ray = _rays(np.asarray(azimuth_deg, np.float64), np.asarray(takeoff, np.float64))
    return np.asarray(((tension @ ray) ** 2 - (pressure @ ray) ** 2)[0])


def kagan_angle_deg(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Return the smallest rotation between two double couples (strike, dip, rake), degrees.

    Kagan (1991, https://doi.org/10.1111/j.1365-246X.1991.tb06343.x): 0 to 120.
    """
    axes = [_axes(*(np.radians([angle]) for angle in each)) for each in (one, other)]
    return float(_angles_deg((axes[0][0][0], axes[0][1][0]), axes[1])[0])


def _angles_deg(one: tuple[Floats, Floats], many: tuple[Floats, Floats]) -> Floats:
    """Smallest rotations between one pair of T and P axes and others, shape (n,)."""
    null = np.cross(*one), np.cross(*many)
    cosines = np.stack([many[0] @ one[0], many[1] @ one[1], null[1] @ null[0]], axis=-1)
    trace = (cosines @ _SYMMETRIES.T).max(axis=-1)
    return np.asarray(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))))


def _axes(strike: Floats, dip: Floats, rake: Floats) -> tuple[Floats, Floats]:
    """T and P axes of double couples, each of shape (n, 3); angles in radians."""
    normal = np.stack(
        [-np.sin(dip) * np.sin(strike), np.sin(dip) * np.cos(strike), -np.cos(dip)], axis=-1
    )
    slip = np.stack(
        [
            np.cos(rake) * np.cos(strike) + np.cos(dip) * np.sin(rake) * np.sin(strike),
            np.cos(rake) * np.sin(strike) - np.cos(dip) * np.sin(rake) * np.cos(strike),
            -np.sin(dip) * np.sin(rake),
        ],
        axis=-1,
    )
    return (normal + slip) / math.sqrt(2), (normal - slip) / math.sqrt(2)


def _planes(
    tension: Floats, pressure: Floats
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return both nodal planes of T and P axes, the steeper one second."""
    first, second = (tension + pressure) / math.sqrt(2), (tension - pressure) / math.sqrt(2)
    planes = [_plane(first, second), _plane(second, first)]
    planes.sort(key=lambda plane: plane[1])
    return planes[0], planes[1]


def _plane(normal: Floats, slip: Floats) -> tuple[float, float, float]:
    if normal[2] > 0:  # the normal of the hanging wall's side points up
        normal, slip = -normal, -slip
    dip = math.acos(min(-normal[2], 1.0))
    strike = math.atan2(-normal[0], normal[1])
    along = slip[0] * math.cos(strike) + slip[1] * math.sin(strike)
    up = -slip[2] / max(math.sin(dip), 1e-9)
    return math.degrees(strike) % 360, math.degrees(dip), math.degrees(math.atan2(up, along))


@lru_cache(maxsize=1)
def _all_axes() -> tuple[Floats, Floats]:
    """T and P axes of double couples, spread evenly over all there are."""
    angles = np.radians(np.arange(0, 360, _STEP_DEG))
    dips = np.arccos((np.arange(14) + 0.5) / 14)
    # Rakes from -90 to 90 degrees: the others are the auxiliary planes of these.
    rakes = angles[: angles.size // 2] - np.pi / 2 + np.radians(_STEP_DEG / 2)
    grid = np.meshgrid(angles, dips, rakes, indexing="ij")
    return _axes(*(part.ravel() for part in grid))


def _rays(azimuth_deg: Floats, takeoff: Floats) -> Floats:
    """Directions in which rays leave, shape (3, n)."""
    azimuth, angle = np.radians(azimuth_deg), np.radians(takeoff)
    sine = np.sin(angle)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(angle)])
