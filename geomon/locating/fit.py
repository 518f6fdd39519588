"""One event's picks as arrays, and the best point for them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.events import Pick
from geomon.locating.receivers import Receivers
from geomon.locating.station_times import StationReceivers
from geomon.times import NS_PER_S

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why picks could not be located."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The picks of one event as arrays.

    Attributes
    ----------
    picks : tuple of Pick
        In canonical order.
    base_ns : int
        When the first of them was, nanoseconds since 1970.
    time_s : array, shape (n_picks,)
        When each was after that, less its station correction.
    x_km, y_km : array, shape (n_picks,)
        Where the stations stand in the network's frame.
    sigma_s : array, shape (n_picks,)
        How exact the readings are: one standard deviation.
    station : array of int, shape (n_picks,)
        Positions of the stations in the network.
    is_s : array of bool, shape (n_picks,)
        Which are of S.
    receivers : Receivers or StationReceivers
        The look-ups of their travel times.
    """

    picks: tuple[Pick, ...]
    base_ns: int
    time_s: Floats
    x_km: Floats
    y_km: Floats
    sigma_s: Floats
    station: NDArray[np.int64]
    is_s: NDArray[np.bool_]
    receivers: Receivers | StationReceivers

    def travel_times(self, points: Floats) -> Floats:
        """Return how long (s) each pick's phase takes from points (m, 3; km), (m, n_picks)."""
        return self.receivers.times_from(points)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The best point for some picks, with a Gaussian idea of how well it is known.

    Attributes
    ----------
    data : Observed
        The picks.
    point : array, shape (3,)
        East, north, down in the network's frame, km.
    time_s : float
        Origin time after `data.base_ns`.
    residual_s, sigma_s : array, shape (n_picks,)
        Observed minus predicted, and the standard deviation each was given.
    scale : float
        Factor by which the residuals are larger than expected; part of `sigma_s`.
    covariance : array, shape (4, 4)
        Of east, north, down (km) and origin time (s).
    """

    data: Observed
    point: Floats
    time_s: float
    residual_s: Floats
    sigma_s: Floats
    scale: float
    covariance: Floats

    @property
    def time_ns(self) -> int:
        """Origin time in nanoseconds since 1970."""
        return self.data.base_ns + round(self.time_s * NS_PER_S)
