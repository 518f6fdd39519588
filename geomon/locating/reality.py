"""How likely it is that a group of picks was an earthquake.

A logistic function of the evidence against chance (`verify`) and of the number of picks, fitted on
simulated networks from quiet to crowded, with false picks at random, in codas and coherent over
the network, and on the same picks shifted in time station by station, where nothing is real::

    python -m tests.benchmarks.events_calibration

prints the coefficients anew. Evidence alone would do if its assumptions held; few picks break them
more easily than many.
"""

import math

_INTERCEPT = -7.0
_EVIDENCE = 0.8  # for each unit of evidence, within the limits
_LOG_PICKS = 4.0  # for each factor e in the number of picks
_LEAST, _MOST = -15.0, 15.0


def probability(evidence: float, n_picks: int) -> float:
    """Return the probability that an event is real.

    Parameters
    ----------
    evidence : float
        Natural logarithm of the odds against chance; see `verify`.
    n_picks : int
        Picks it explains.

    Examples
    --------
    >>> probability(-12.0, 6) < 0.01 < 0.99 < probability(25.0, 30)
    True
    """
    inside = min(max(evidence, _LEAST), _MOST)
    logit = _INTERCEPT + _EVIDENCE * inside + _LOG_PICKS * math.log(n_picks)
    return 1 / (1 + math.exp(-logit))
