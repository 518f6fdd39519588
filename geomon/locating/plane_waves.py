"""Waves from afar: planes of P arrivals too fast for any source within the network."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.events import Pick

type Floats = NDArray[np.float64]

MAX_SLOWNESS_S_KM = 0.11
"""Of what comes from afar: Pn or faster."""
_SLOWEST_TOLD = 0.01  # s/km: below it the wave is everywhere at once, and comes from nowhere
_ROUNDS, _DOF = 8, 4.0


@dataclass(frozen=True, slots=True)
class PlaneWave:
    """A distant earthquake's P, or a disturbance everywhere at once, crossing the network.

    Attributes
    ----------
    slowness_s_km : (float, float)
        East and north; it points where the wave goes.
    picks : tuple of Pick
        Its picks, in order of time.
    """

    slowness_s_km: tuple[float, float]
    picks: tuple[Pick, ...]

    @property
    def back_azimuth_deg(self) -> float:
        """Where it comes from, clockwise from north."""
        east, north = self.slowness_s_km
        return math.degrees(math.atan2(-east, -north)) % 360

    def __str__(self) -> str:
        slowness = math.hypot(*self.slowness_s_km)
        how = (
            "everywhere at once" if slowness < _SLOWEST_TOLD
            else f"at {1 / slowness:.0f} km/s from {self.back_azimuth_deg:.0f} degrees"
        )  # fmt: skip
        return (
            f"a wave from afar at {self.picks[0].time:%H:%M:%S}, {how}: {len(self.picks)} P picks "
            "taken, no event here"
        )


def plane_through(x_km: Floats, y_km: Floats, time_s: Floats) -> tuple[Floats, float]:
    """Return slowness (s/km, east and north) and time at the origin of the robust best plane.

    Parameters
    ----------
    x_km, y_km, time_s : array, shape (n,)
        Where and when a phase was picked.
    """
    design = np.stack([x_km, y_km, np.ones_like(x_km)], axis=1)
    solution = np.array([0.0, 0.0, float(np.median(time_s))])
    for _ in range(_ROUNDS):
        off = time_s - design @ solution
        scale = max(1.5 * float(np.median(np.abs(off))), 0.1)
        weight = 1 / (1 + (off / scale) ** 2 / _DOF)
        normal = (design * weight[:, None]).T @ design + np.diag([1e-6, 1e-6, 0.0])
        solution = np.linalg.solve(normal, design.T @ (weight * time_s))
    return solution[:2], float(solution[2])
