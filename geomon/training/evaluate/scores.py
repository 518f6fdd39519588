"""Matching found picks with true ones: precision, recall, F1, residuals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCES_S = (0.1, 0.5)

type Metric = Literal["f1", "precision", "recall"]


def match(
    true_s: Sequence[float], found_s: Sequence[float], tolerance_s: float
) -> list[tuple[int, int]]:
    """Pair true and found times one to one, nearest pairs first.

    Parameters
    ----------
    true_s, found_s : sequence of float
        Times, seconds.
    tolerance_s : float
        Largest distance of a pair.

    Returns
    -------
    list of (int, int)
        Positions in `true_s` and `found_s`.

    Examples
    --------
    >>> match([1.0, 2.0], [2.05, 1.4, 9.0], 0.5)
    [(1, 0), (0, 1)]
    """
    distances = sorted(
        (abs(one - two), i, j)
        for i, one in enumerate(true_s)
        for j, two in enumerate(found_s)
        if abs(one - two) <= tolerance_s
    )
    pairs: list[tuple[int, int]] = []
    left, right = set(range(len(true_s))), set(range(len(found_s)))
    for _, i, j in distances:
        if i in left and j in right:
            left.remove(i)
            right.remove(j)
            pairs.append((i, j))
    return pairs


def metric(name: Metric, counts: ArrayLike) -> NDArray[np.float64]:
    """Return F1, precision or recall of counts.

    Parameters
    ----------
    name : {"f1", "precision", "recall"}
        Which one.
    counts : array-like, shape (..., 3)
        True, found and matched picks.

    Returns
    -------
    array of float64, shape (...)
        In [0, 1]; NaN where nothing is to be counted.

    Examples
    --------
    >>> float(metric("f1", [4, 5, 3]).round(3))
    0.667
    """
    true, found, matched = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    whole = {"f1": 0.5 * (true + found), "precision": found, "recall": true}[name]
    share = np.divide(matched, whole, out=np.full(np.shape(matched), np.nan), where=whole > 0)
    return np.asarray(share)


@dataclass(frozen=True, slots=True)
class Score:
    """Counts and residuals of one phase at one tolerance.

    Attributes
    ----------
    counts : array of int, shape (n_records, 3)
        True, found and matched picks of each record.
    residuals_s : array of float64, shape (n_matched,)
        Found minus true, positive when late.
    """

    counts: NDArray[np.int64]
    residuals_s: NDArray[np.float64]

    @property
    def n_true(self) -> int:
        """True picks."""
        return int(self.counts[:, 0].sum())

    @property
    def n_found(self) -> int:
        """Found picks."""
        return int(self.counts[:, 1].sum())

    @property
    def recall(self) -> float:
        """Share of true picks that were found."""
        return float(metric("recall", self.counts.sum(axis=0)))

    @property
    def precision(self) -> float:
        """Share of found picks that are true."""
        return float(metric("precision", self.counts.sum(axis=0)))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return float(metric("f1", self.counts.sum(axis=0)))

    @property
    def bias_s(self) -> float:
        """Median residual."""
        return float(np.median(self.residuals_s)) if self.residuals_s.size else float("nan")

    @property
    def mae_s(self) -> float:
        """Mean absolute residual."""
        return float(np.abs(self.residuals_s).mean()) if self.residuals_s.size else float("nan")

    @property
    def std_s(self) -> float:
        """Standard deviation of the residuals."""
        return float(self.residuals_s.std()) if self.residuals_s.size else float("nan")

    def part(self, records: Sequence[int]) -> "Score":
        """Return the score of some of the records, by their position."""
        ends = np.cumsum(self.counts[:, 2])
        begins = ends - self.counts[:, 2]
        residuals = [self.residuals_s[begins[k] : ends[k]] for k in records]
        return Score(self.counts[list(records)], np.concatenate([*residuals, np.empty(0)]))


def score(
    true_s: Sequence[Sequence[float]], found_s: Sequence[Sequence[float]], tolerance_s: float
) -> Score:
    """Score the picks of several records of one phase together.

    Parameters
    ----------
    true_s, found_s : sequences of sequences of float
        Times of each record, seconds.
    tolerance_s : float
        Largest distance of a true and a found pick that count as one.
    """
    residuals: list[float] = []
    counts = np.zeros((len(true_s), 3), dtype=np.int64)
    for k, (one, two) in enumerate(zip(true_s, found_s, strict=True)):
        pairs = match(one, two, tolerance_s)
        residuals += [two[j] - one[i] for i, j in pairs]
        counts[k] = len(one), len(two), len(pairs)
    return Score(counts, np.array(residuals, dtype=np.float64))
