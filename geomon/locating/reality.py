"""How likely it is that a group of picks was an earthquake.

A logistic function of the evidence against chance (`verify`) and the numbers of picks and stations,
fitted on simulated networks from quiet to crowded, with false picks at random, in codas and
coherent over the network, and on the same picks shifted in time, where nothing is real::

    python -m tests.benchmarks.events_calibration

prints the coefficients anew. Evidence alone would do if its assumptions held; few picks break them
more easily than many.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geomon.events import Pick

LEAST_PROBABILITY = 0.5
"""That an event was real, to be one."""
_INTERCEPT = -5.95
_EVIDENCE = 0.462  # for each unit of evidence, within the limits
_LOG_PICKS = 10.5  # for each factor e in the number of picks
_LOG_STATIONS = -6.53  # and of their stations: P and S of one station are worth more than two P
_FITTED_PER_HOUR = 60.0  # events where these were fitted, roughly
_LEAST, _MOST = -20.0, 15.0


class Found(Protocol):
    """What the probability depends on: a verified candidate, or a group of picks."""

    @property
    def evidence(self) -> float:
        """Natural logarithm of the odds against chance; see `verify`."""

    @property
    def picks(self) -> tuple[Pick, ...]:
        """What it explains; at least one."""


def probability(found: Found, events_per_hour: float) -> float:
    """Return the probability that an event is real.

    Parameters
    ----------
    found : Found
        The candidate.
    events_per_hour : float
        Events around it so far: in quiet times chance has as many tries, and fewer rivals.
    """
    logit = _INTERCEPT + float(features(found) @ _SLOPES)
    logit += min(math.log((1 + events_per_hour) / _FITTED_PER_HOUR), 0.0)
    return 1 / (1 + math.exp(-logit))


def features(found: Found) -> NDArray[np.float64]:
    """Return what the logistic function weighs: evidence, logarithms of counts."""
    n_stations = len({pick.seed_id.station_id for pick in found.picks})
    inside = min(max(found.evidence, _LEAST), _MOST)
    return np.array([inside, math.log(len(found.picks)), math.log(n_stations)])


_SLOPES = np.array([_EVIDENCE, _LOG_PICKS, _LOG_STATIONS])
