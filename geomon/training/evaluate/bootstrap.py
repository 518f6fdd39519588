"""How sure a figure is: bootstrap and swaps of events, and what counting few things allows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from geomon.errors import DataError
from geomon.training.evaluate.scores import Metric, Score, metric

_DRAWS = 2000
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the interval that holds 95 % of what might have come out."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def _by_group(scores: Sequence[Score], groups: Sequence[str] | None) -> list[NDArray[np.float64]]:
    """Add up counts by group, in the same order for every score.

    Raises
    ------
    DataError
        If the scores and groups are not about the same records.
    """
    n = scores[0].counts.shape[0]
    if any(one.counts.shape[0] != n for one in scores) or (groups is not None and len(groups) != n):
        msg = "scores and groups to be compared must be about the same records"
        raise DataError(msg)
    members = np.arange(n) if groups is None else np.unique(list(groups), return_inverse=True)[1]
    sums = [np.zeros((int(members.max()) + 1 if n else 0, 3)) for _ in scores]
    for by_group, one in zip(sums, scores, strict=True):
        np.add.at(by_group, members, one.counts)
    return sums


def _resampled(
    scores: Sequence[Score], groups: Sequence[str] | None, draws: int, seed: int
) -> list[NDArray[np.float64]]:
    """Draw groups with replacement and add up their counts, the same draws for every score.

    Raises
    ------
    DataError
        If the scores and groups are not about the same records.
    """
    sums = _by_group(scores, groups)
    n_groups = len(sums[0])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_groups, np.full(n_groups, 1 / max(n_groups, 1)), size=draws)
    return [weights @ by_group for by_group in sums]


def _interval(estimate: float, values: NDArray[np.float64]) -> Interval:
    known = values[np.isfinite(values)]
    if not known.size:
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.quantile(known, (0.025, 0.975))
    return Interval(estimate, float(low), float(high))


def interval(
    one: Score,
    name: Metric = "f1",
    *,
    groups: Sequence[str] | None = None,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Interval:
    """Return a metric with its bootstrap interval (Efron 1979, percentile method).

    Parameters
    ----------
    one : Score
        Counts of each record.
    name : {"f1", "precision", "recall"}
        Which metric.
    groups : sequence of str, optional
        Event of each record: records of one event are drawn together. Each record is its own
        where absent.
    draws, seed : int
        How often, and the seed of the randomness.

    Raises
    ------
    DataError
        If there are not as many groups as records.
    """
    [sums] = _resampled([one], groups, draws, seed)
    estimate = float(metric(name, one.counts.sum(axis=0)))
    return _interval(estimate, metric(name, sums))


def difference(
    one: Score,
    two: Score,
    name: Metric = "f1",
    *,
    groups: Sequence[str] | None = None,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Interval:
    """Return by how much `one` is better than `two` on the same records, with its interval.

    Both are resampled together, so that what makes some events hard for both cancels. `one` is
    better beyond doubt when `low` is above zero.

    Parameters
    ----------
    one, two : Score
        Of two pickers, on the same records in the same order.
    name, groups, draws, seed
        As for `interval`.

    Raises
    ------
    DataError
        If the scores are not about the same records.
    """
    values = draw_differences(one, two, name, groups=groups, draws=draws, seed=seed)
    first, second = (float(metric(name, score.counts.sum(axis=0))) for score in (one, two))
    return _interval(first - second, values)


def draw_differences(
    one: Score,
    two: Score,
    name: Metric,
    *,
    groups: Sequence[str] | None = None,
    draws: int = _DRAWS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return by how much `one` is better than `two` in each draw of events; see `difference`.

    Draws without anything to count are left out.

    Raises
    ------
    DataError
        If the scores are not about the same records.
    """
    ours, theirs = (metric(name, sums) for sums in _resampled([one, two], groups, draws, seed))
    values = ours - theirs
    return np.asarray(values[np.isfinite(values)])


def chance_of_gain(
    one: Score,
    two: Score,
    name: Metric,
    *,
    groups: Sequence[str],
    draws: int = _DRAWS,
    seed: int = 0,
) -> float:
    """Return how often `one` would be as much better than `two` were they equally good.

    Were they, each event might as well have gone to the one as to the other: the two are swapped,
    event by event, at random. Unlike the bootstrap's, this answer holds also where only a few
    events tell the two apart (Fisher's randomisation test; Phipson and Smyth 2010,
    https://doi.org/10.2202/1544-6115.1585, for the draw that is added).

    Parameters
    ----------
    one, two : Score
        Of two pickers, on the same records in the same order.
    name : {"f1", "precision", "recall"}
        Which metric.
    groups : sequence of str
        Event of each record: records of one event are swapped together.
    draws, seed : int
        How often, and the seed of the randomness.

    Raises
    ------
    DataError
        If the scores and groups are not about the same records.
    """
    ours, theirs = _by_group([one, two], groups)
    apart = theirs - ours
    apart = apart[apart.any(axis=1)]
    gain = float(metric(name, ours.sum(axis=0)) - metric(name, theirs.sum(axis=0)))
    rng = np.random.default_rng(seed)
    n_as_good = 0
    for first in range(0, draws, _DRAWS):
        swapped = rng.random((min(_DRAWS, draws - first), len(apart))) < 0.5
        moved = swapped @ apart
        gains = metric(name, ours.sum(axis=0) + moved) - metric(name, theirs.sum(axis=0) - moved)
        n_as_good += int((gains >= gain - _ROUNDING).sum())
    return (n_as_good + 1) / (draws + 1)


def rate_interval(count: int, amount: float) -> Interval:
    """Return a rate with its exact 95 % interval (Garwood 1936, https://doi.org/10.2307/2333958).

    Parameters
    ----------
    count : int
        Things counted.
    amount : float
        What they were counted in, hours for example; > 0.

    Examples
    --------
    >>> round(rate_interval(0, 3.0).high, 2)
    1.23
    """
    low = 0.5 * float(chi2.ppf(0.025, 2 * count)) if count else 0.0
    high = 0.5 * float(chi2.ppf(0.975, 2 * count + 2))
    return Interval(count / amount, low / amount, high / amount)
