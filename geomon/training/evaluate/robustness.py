"""How much picks change when the data change in ways that should not matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.training.evaluate.labelled import kept, onset_s, pick_windows, score_windows, times_s
from geomon.training.evaluate.perturbations import PERTURBATIONS, Perturbation, shifted
from geomon.training.recordings import LabelledWindow

_LOW = 0.02  # picks down to here are kept: a pick below the threshold is one that has changed
_SAME_S = 0.5  # picks this close are the same, before and after


@dataclass(frozen=True, slots=True)
class Change:
    """What a perturbation did to the true picks that were there without it.

    Attributes
    ----------
    median_swing, p95_swing : float
        Median and 95th percentile of how much the probability of P picks changed.
    n_picks, n_lost, n_gone : int
        Picks above the threshold before, P and S; those of them without one after, most often
        because their probability moved across the threshold; and those without any peak after.
    moved_s : float
        95th percentile of how far the others moved.
    """

    median_swing: float
    p95_swing: float
    n_picks: int
    n_lost: int
    n_gone: int
    moved_s: float


@dataclass(frozen=True, slots=True)
class Perturbed:
    """Scores of labelled windows after a perturbation, and what it changed.

    `recall` and `f1` are by phase and tolerance, for example ``recall["P at 0.5 s"]``.
    """

    name: str
    recall: dict[str, float]
    f1: dict[str, float]
    change: Change | None


def _relative(window: LabelledWindow, picks: Sequence[Pick], phase: Phase) -> list[float]:
    """Return pick times in seconds after the first label, which moves with the data."""
    return [time - _first_onset_s(window) for time in times_s(window, picks, phase)]


def _first_onset_s(window: LabelledWindow) -> float:
    return float(np.nanmin([onset_s(window, "P"), onset_s(window, "S")]))


def changes(
    windows: Sequence[LabelledWindow],
    before: Sequence[Sequence[Pick]],
    changed: Sequence[LabelledWindow],
    after: Sequence[Sequence[Pick]],
    thresholds: Mapping[Phase, float],
) -> Change:
    """Follow every true pick, within half a second of the analyst's, from before to after a change.

    Parameters
    ----------
    windows, changed : sequences of LabelledWindow
        As they were and as they are, in the same order.
    before, after : sequences of sequences of Pick
        All their picks down to a low probability.
    thresholds : mapping of phase to float
        What made a pick count before, and makes it lost after.
    """
    swings, moves = [], []
    n_picks = n_lost = n_gone = 0
    for window, picks, other, others in zip(windows, before, changed, after, strict=True):
        for phase, limit in thresholds.items():
            new = [one for one in others if one.phase == phase]
            new_times = np.array(_relative(other, new, phase))
            chances = np.array([one.probability for one in new])
            old = [one for one in picks if one.phase == phase and one.probability > limit]
            label = onset_s(window, phase) - _first_onset_s(window)
            for one, time in zip(old, _relative(window, old, phase), strict=True):
                if not abs(time - label) <= _SAME_S:
                    continue
                near = np.flatnonzero(np.abs(new_times - time) <= _SAME_S)
                best = near[np.argmax(chances[near])] if near.size else None
                probability = 0.0 if best is None else float(chances[best])
                n_picks += 1
                n_gone += best is None
                if phase == "P":
                    swings.append(abs(probability - one.probability))
                if best is None or probability <= limit:
                    n_lost += 1
                else:
                    moves.append(abs(float(new_times[best]) - time))

    def percentile(values: list[float], share: float) -> float:
        return float(np.percentile(values, share)) if values else float("nan")

    return Change(
        median_swing=percentile(swings, 50),
        p95_swing=percentile(swings, 95),
        n_picks=n_picks,
        n_lost=n_lost,
        n_gone=n_gone,
        moved_s=percentile(moves, 95),
    )


def shift_test(
    picker: Picker, windows: Sequence[LabelledWindow], *, n_shifts: int = 8, seed: int = 0
) -> Change:
    """Move windows by 1 to 255 samples against the network's grid, and see what becomes of picks.

    Parameters
    ----------
    picker : Picker
        Its card's thresholds count.
    windows : sequence of LabelledWindow
        What is moved.
    n_shifts : int
        Moves of each window.
    seed : int
        Of the draws.
    """
    rng = np.random.default_rng(seed)
    low = dict.fromkeys(picker.card.phases, _LOW)
    before = pick_windows(picker, windows, low)
    moved = [
        shifted(int(by))(window)
        for window in windows
        for by in rng.choice(np.arange(1, 256), n_shifts, replace=False)
    ]
    return changes(
        [window for window in windows for _ in range(n_shifts)],
        [picks for picks in before for _ in range(n_shifts)],
        moved,
        pick_windows(picker, moved, low),
        picker.card.thresholds,
    )


def perturbed(
    picker: Picker,
    windows: Sequence[LabelledWindow],
    perturbations: Mapping[str, Perturbation] = PERTURBATIONS,
) -> list[Perturbed]:
    """Score windows as they are and after each perturbation.

    Parameters
    ----------
    picker : Picker
        Its card's thresholds count.
    windows : sequence of LabelledWindow
        With analysts' picks.
    perturbations : mapping of str to Perturbation
        What is done to them, by name.

    Returns
    -------
    list of Perturbed
        First the windows as they are.
    """
    limits = picker.card.thresholds
    low = dict.fromkeys(picker.card.phases, _LOW)
    before = pick_windows(picker, windows, low)
    rows = [_row("as recorded", windows, kept(before, limits), None)]
    for name, change in perturbations.items():
        changed = [change(window) for window in windows]
        after = pick_windows(picker, changed, low)
        effect = changes(windows, before, changed, after, limits)
        rows.append(_row(name, changed, kept(after, limits), effect))
    return rows


def _row(
    name: str,
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    change: Change | None,
) -> Perturbed:
    phases: tuple[Phase, ...] = ("P", "S")
    scores = {
        f"{phase} at {tolerance} s": score_windows(windows, picks, phase, tolerance)
        for phase in phases
        for tolerance in (0.1, 0.5)
    }
    recall = {key: one.recall for key, one in scores.items()}
    return Perturbed(name, recall, {key: one.f1 for key, one in scores.items()}, change)
