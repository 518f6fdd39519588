"""How good picks are: matching with true ones, precision, recall, residuals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.picking.infer import pick
from geomon.times import to_ns
from geomon.training.recordings import LabelledWindow

TOLERANCES_S = (0.1, 0.5)


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


@dataclass(frozen=True, slots=True)
class Score:
    """Counts and residuals of one phase at one tolerance.

    `residuals_s` are found minus true, positive when late.
    """

    n_true: int
    n_found: int
    residuals_s: NDArray[np.float64]

    @property
    def recall(self) -> float:
        """Share of true picks that were found."""
        return self.residuals_s.size / self.n_true if self.n_true else float("nan")

    @property
    def precision(self) -> float:
        """Share of found picks that are true."""
        return self.residuals_s.size / self.n_found if self.n_found else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.n_true + self.n_found
        return 2 * self.residuals_s.size / total if total else float("nan")

    @property
    def bias_s(self) -> float:
        """Median residual."""
        return float(np.median(self.residuals_s)) if self.residuals_s.size else float("nan")


def score(
    true_s: Sequence[Sequence[float]], found_s: Sequence[Sequence[float]], tolerance_s: float
) -> Score:
    """Score the picks of several windows of one phase together."""
    residuals = []
    for one, two in zip(true_s, found_s, strict=True):
        residuals += [two[j] - one[i] for i, j in match(one, two, tolerance_s)]
    return Score(sum(map(len, true_s)), sum(map(len, found_s)), np.array(residuals))


def pick_windows(
    picker: Picker, windows: Sequence[LabelledWindow], thresholds: Mapping[Phase, float]
) -> list[list[Pick]]:
    """Pick each labelled window as it would be picked in continuous data."""
    return [pick(picker, w.segments, w.span, thresholds=thresholds) for w in windows]


def score_windows(
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    phase: Phase,
    tolerance_s: float,
    reach_s: float = 3.0,
) -> Score:
    """Score picks on labelled windows as PhaseNet's authors do.

    Analysts label one event a window, and other events are in there too: only picks from
    `reach_s` before P to `reach_s` after S count, so that a pick of the other phase counts as
    false but a second event does not.
    """
    true_s, found_s = [], []
    for window, found in zip(windows, picks, strict=True):
        low, high = window.p_index / 100 - reach_s, window.s_index / 100 + reach_s
        times = [
            (to_ns(one.time) - window.span.start_ns) / 1e9 for one in found if one.phase == phase
        ]
        true_s.append([(window.p_index if phase == "P" else window.s_index) / 100])
        found_s.append([time for time in times if low <= time <= high])
    return score(true_s, found_s, tolerance_s)


def best_threshold(
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    phase: Phase,
    tolerance_s: float = 0.5,
) -> float:
    """Return the highest threshold from 0.1 to 0.7 whose F1 is within 0.01 of the best.

    Near its best F1 hardly changes with the threshold, and what labelled windows do not show is
    how many false picks a low one makes in quiet hours.
    """
    choices = np.arange(0.10, 0.701, 0.02)
    values = []
    for threshold in choices:
        kept = [[one for one in found if one.probability > threshold] for found in picks]
        values.append(score_windows(windows, kept, phase, tolerance_s).f1)
    good = np.flatnonzero(np.asarray(values) >= max(values) - 0.01)
    return round(float(choices[good[-1]]), 2)
