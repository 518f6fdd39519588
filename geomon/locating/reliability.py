"""Whether events are real as often as their probabilities say, on a network's own picks.

Nobody knows which events are real, but chance can be counted: picks shifted in time station by
station make events that are all false (`null`). Of the events held at some probability, those that
chance makes at the same probability are false; the rest are real.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomon.locating.reality import LEAST_PROBABILITY

_EDGES = (LEAST_PROBABILITY, 0.7, 0.85, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Events of about one probability.

    Attributes
    ----------
    stated : float
        Their mean probability of being real.
    real : float
        The share that chance does not make, in [0, 1].
    error : float
        One standard deviation of `real`, from the counts.
    n_found : int
        Events held.
    n_chance : float
        Events that chance makes in the same time.
    """

    stated: float
    real: float
    error: float
    n_found: int
    n_chance: float


def reliability(
    found: Sequence[float], chance: Sequence[float], rounds: int
) -> tuple[ReliabilityBin, ...]:
    """Compare what events' probabilities state with how many chance makes.

    Parameters
    ----------
    found : sequence of float
        Probabilities of the events held.
    chance : sequence of float
        Probabilities of those made by shifted picks, of all rounds.
    rounds : int
        How often the picks were shifted; at least 1.

    Returns
    -------
    tuple of ReliabilityBin
        By probability, those that hold any event.

    Notes
    -----
    Picks of real earthquakes, shifted, are noise as well: there is somewhat more chance than
    there was, and real shares are rather too small than too large.

    Examples
    --------
    >>> [one] = reliability([0.6] * 10, [0.6] * 8, rounds=2)
    >>> one.stated, one.real, one.n_chance
    (0.6, 0.6, 4.0)
    """
    edges = np.array(_EDGES[1:-1])
    held, made = np.asarray(found, np.float64), np.asarray(chance, np.float64)
    answer = []
    for k in range(len(_EDGES) - 1):
        stated = held[np.digitize(held, edges) == k]
        n_found, n_made = stated.size, int((np.digitize(made, edges) == k).sum())
        if not n_found:
            continue
        false = n_made / rounds / n_found
        # Both counts are Poisson; one more chance event than counted is always possible.
        error = math.hypot(math.sqrt(n_made + 1) / rounds, false * math.sqrt(n_found)) / n_found
        answer.append(
            ReliabilityBin(
                round(float(stated.mean()), 4), max(1 - false, 0.0), error, n_found,
                n_made / rounds,
            )
        )  # fmt: skip
    return tuple(answer)
