"""How far arrivals may be off their predicted times: readings, paths, stations, the whole model.

What errors share matters as much as their size: P and S of a station are late together, and so are
stations that see an event from the same side. Sizes are shares of the time travelled, or seconds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.events import Pick
from geomon.locating.network import Network

type Floats = NDArray[np.float64]

_MODEL_FLOOR_S = 0.05  # what a layered model and a station's site leave unexplained, any distance
_MODEL_SHARE = 0.015  # and what grows with the time travelled, different for every path
_OWN_SHARE = 0.008  # what each path has to itself
_COMMON_SHARE = 0.015  # all paths of an event, where the model is too slow or too fast altogether
_PATH_SHARE, _PATH_REACH = 0.009, 0.15  # neighbouring paths; they end within a share of the reach
_DELAY_S, _S_DELAY = 0.09, 1.6  # a station's delay of P, and how many times as much of S
_DIFFERENT_SITES_KM = 5.0  # stations closer than this stand on ground more alike
_P_LIKE_S = 0.7  # correlation of P with S: what slows one slows the other
_PERIOD_S = {"P": 0.2, "S": 0.3}  # of what is read of a local earthquake
_LEAST_SIGNAL = 0.5  # of the noise: nothing weaker is told from it


def reading_errors(picks: Sequence[Pick]) -> Floats:
    """Return how exact picks are: one that is doubtful, or hardly above the noise, is less so.

    To the picker's own uncertainty comes what noise leaves to any reading, the wave's period over
    2 π times the ratio of signal to noise (Abakumov, Roeser and Shapiro 2020,
    https://doi.org/10.1190/geo2019-0589.1), where that ratio is known.

    Parameters
    ----------
    picks : sequence of Pick
        Any picks.

    Returns
    -------
    array, shape (n_picks,)
        Standard deviations, s.
    """
    probability = np.array([pick.probability for pick in picks])
    uncertainty = np.array([pick.uncertainty_s for pick in picks])
    doubtful = np.maximum(uncertainty, 0.002) / np.sqrt(np.clip(probability, 0.1, 1.0))
    return np.asarray(np.hypot(doubtful, [_left_by_noise(pick) for pick in picks]))


def _left_by_noise(pick: Pick) -> float:
    """Return the error (s) that noise makes certain; 0 where nobody measured it."""
    if pick.snr is None:
        return 0.0
    # What follows a pick is signal and noise.
    signal = math.sqrt(max(pick.snr**2 - 1, _LEAST_SIGNAL**2))
    return _PERIOD_S[pick.phase] / (2 * math.pi * signal)


@dataclass(frozen=True, slots=True)
class TimingErrors:
    """What predicted times of one network may be off by.

    Attributes
    ----------
    site_share : float
        How much stations differ: 1 in a network of some extent, less within one mine.
    reach_km : float
        Longest path.
    """

    site_share: float
    reach_km: float

    @classmethod
    def of(cls, network: Network) -> "TimingErrors":
        """Follow from where the stations stand."""
        return cls(min(network.spacing_km / _DIFFERENT_SITES_KM, 1.0), network.reach_km)

    def of_model(self, travel_time_s: Floats) -> Floats:
        """Return what each prediction may be wrong by (s), shared or not."""
        return np.asarray(_MODEL_FLOOR_S * self.site_share + _MODEL_SHARE * travel_time_s)

    def of_path(self, travel_time_s: Floats) -> Floats:
        """Return what of that each path has to itself (s)."""
        return np.asarray(_OWN_SHARE * travel_time_s)

    def shared(
        self, travel_time_s: Floats, is_s: NDArray[np.bool_], x_km: Floats, y_km: Floats
    ) -> Floats:
        """Return the covariance (s²) of what n predictions of one event are wrong by together.

        Three parts: what neighbouring paths share, the delay of each station, and what all paths
        are off by. P and S are alike in all three: were they independent, S minus P would tell
        little of how far an event beside the network is.

        Parameters
        ----------
        travel_time_s : array, shape (n,)
            Predictions.
        is_s : array of bool, shape (n,)
            Which are of S.
        x_km, y_km : array, shape (n,)
            Where the stations stand.
        """
        alike = np.where(is_s[:, None] == is_s, 1.0, _P_LIKE_S)
        apart = np.hypot(x_km[:, None] - x_km, y_km[:, None] - y_km)
        near = np.exp(-apart / max(_PATH_REACH * self.reach_km, 1.0))
        path = _PATH_SHARE * travel_time_s
        delay = self.site_share * _DELAY_S * np.where(is_s, _S_DELAY, 1.0)
        common = _COMMON_SHARE * travel_time_s
        return np.asarray(
            alike
            * (
                np.outer(common, common)
                + np.outer(path, path) * near
                + np.outer(delay, delay) * (apart == 0)
            )
        )
