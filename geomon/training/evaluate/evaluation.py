"""Everything measured about one picker on one set of windows, and pickers compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.training.evaluate.artefacts import ARTEFACTS, false_picks
from geomon.training.evaluate.bootstrap import Interval, difference, interval, rate_interval
from geomon.training.evaluate.budget import LOWEST, matched_to
from geomon.training.evaluate.calibration import Calibration, calibration
from geomon.training.evaluate.labelled import (
    GROUPINGS,
    extra_picks,
    grouped,
    kept,
    pick_windows,
    score_windows,
)
from geomon.training.evaluate.robustness import Change, Perturbed, perturbed, shift_test
from geomon.training.evaluate.scores import TOLERANCES_S, Score
from geomon.training.evaluate.tasks import TaskScores, run_tasks
from geomon.training.evaluate.testsets import EvaluationSet

PHASES: tuple[Phase, ...] = ("P", "S")
_THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.025), 3)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well one phase is found at one tolerance."""

    f1: Interval
    precision: Interval
    recall: Interval
    bias_s: float
    mae_s: float
    std_s: float
    n_true: int
    n_found: int

    @classmethod
    def of(cls, score: Score, events: Sequence[str]) -> "Accuracy":
        """Summarise a score, with intervals by event."""
        return cls(
            interval(score, "f1", groups=events),
            interval(score, "precision", groups=events),
            interval(score, "recall", groups=events),
            score.bias_s, score.mae_s, score.std_s, score.n_true, score.n_found,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClassScore:
    """F1 of one class of windows, for example of those of one station."""

    n_windows: int
    f1: dict[str, float]


@dataclass(frozen=True, slots=True)
class Operating:
    """Precision and recall at one threshold."""

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured about one picker.

    Attributes
    ----------
    picker, description : str
        Label and description of its card.
    thresholds : dict of phase to float
        Those of the card, which everything but `operating` is measured with.
    accuracy : dict of str to Accuracy
        By phase and tolerance, for example ``"P at 0.1 s"``; so are the keys below.
    extra_picks : float
        Picks a window near the event that are not the analyst's.
    by_class : dict of str to dict of str to ClassScore
        By signal-to-noise ratio, distance and so on.
    tasks : TaskScores
        Detection, phase identification and onset time.
    calibration : dict of phase to Calibration
        Of probabilities and uncertainties.
    operating : dict of phase to tuple of Operating
        Precision and recall at 0.5 s by threshold.
    perturbed : tuple of Perturbed
        The windows as recorded, and after each perturbation.
    shift : Change
        What moving the windows against the network's grid does.
    false_picks_an_hour : dict of str to Interval
        P and S together, on noise and each artefact.
    ungated_picks_an_hour : dict of str to float
        The same without the gate on input.
    """

    picker: str
    description: str
    thresholds: dict[Phase, float]
    accuracy: dict[str, Accuracy]
    extra_picks: float
    by_class: dict[str, dict[str, ClassScore]]
    tasks: TaskScores
    calibration: dict[Phase, Calibration]
    operating: dict[Phase, tuple[Operating, ...]]
    perturbed: tuple[Perturbed, ...]
    shift: Change
    false_picks_an_hour: dict[str, Interval]
    ungated_picks_an_hour: dict[str, float]


@dataclass(frozen=True, slots=True)
class Miss:
    """A window a picker does badly on: how badly, and what it found there."""

    number: int
    phase: Phase
    badness: float
    words: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One picker against the reference at the reference's pick budget.

    `thresholds` are those that give as many picks on continuous data; `gain` is by how much F1 is
    better than the reference's, by phase and tolerance, with its interval by event.
    """

    picker: str
    reference: str
    thresholds: dict[Phase, float]
    f1: dict[str, float]
    gain: dict[str, Interval]


type Progress = Callable[[str, int, int], None]
"""Called with the picker's label, steps done and steps in all."""


def no_progress(label: str, done: int, total: int) -> None:
    """Tell nobody."""


def picked(picker: Picker, material: EvaluationSet) -> list[list[Pick]]:
    """Return the picks of every window down to `LOWEST`, once for everything that needs them."""
    return pick_windows(picker, material.windows, dict.fromkeys(PHASES, LOWEST))


def evaluate(
    picker: Picker,
    material: EvaluationSet,
    picks: Sequence[Sequence[Pick]],
    *,
    noise_s: int = 1800,
    most_perturbed: int = 60,
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure everything about one picker.

    Parameters
    ----------
    picker : Picker
        Must know P and S.
    material : EvaluationSet
        What it is scored on.
    picks : sequence of sequences of Pick
        See `picked`.
    noise_s : int
        Seconds of noise for each artefact.
    most_perturbed : int
        Windows, at most, that are perturbed and shifted.
    progress : callable
        Told how far it is.

    Raises
    ------
    DataError
        If the picker lacks a phase.
    """
    if picker.card.phases != PHASES:
        msg = f"{picker.card.label}: needs P and S to be evaluated, has {picker.card.phases}"
        raise DataError(msg)
    windows, limits = material.windows, picker.card.thresholds
    above = kept(picks, limits)
    scores = {
        f"{phase} at {tolerance} s": score_windows(windows, above, phase, tolerance)
        for phase in PHASES
        for tolerance in TOLERANCES_S
    }
    progress(picker.card.label, 0, 4)
    tasks = run_tasks(picker, windows)
    some = material.at_most(most_perturbed).windows
    progress(picker.card.label, 1, 4)
    rows = tuple(perturbed(picker, some))
    progress(picker.card.label, 2, 4)
    shift = shift_test(picker, some)
    progress(picker.card.label, 3, 4)
    false = {kind: false_picks(picker, kind, noise_s) for kind in ARTEFACTS}
    hours = noise_s / 3600
    progress(picker.card.label, 4, 4)
    return Evaluation(
        picker=picker.card.label,
        description=picker.card.description,
        thresholds=dict(limits),
        accuracy={key: Accuracy.of(one, material.events) for key, one in scores.items()},
        extra_picks=extra_picks(windows, above),
        by_class={name: _by_class(material, name, scores) for name in GROUPINGS},
        tasks=tasks,
        calibration={p: calibration(windows, picks, p, limits[p]) for p in PHASES},
        operating={phase: _operating(material, picks, phase) for phase in PHASES},
        perturbed=rows,
        shift=shift,
        false_picks_an_hour={k: rate_interval(one.believed, hours) for k, one in false.items()},
        ungated_picks_an_hour={kind: one.made / hours for kind, one in false.items()},
    )


def _by_class(
    material: EvaluationSet, grouping: str, scores: Mapping[str, Score]
) -> dict[str, ClassScore]:
    return {
        name: ClassScore(len(rows), {key: one.part(rows).f1 for key, one in scores.items()})
        for name, rows in grouped(material.windows, grouping).items()
    }


def _operating(
    material: EvaluationSet, picks: Sequence[Sequence[Pick]], phase: Phase
) -> tuple[Operating, ...]:
    points = []
    for threshold in _THRESHOLDS:
        above = kept(picks, dict.fromkeys(PHASES, float(threshold)))
        score = score_windows(material.windows, above, phase, 0.5)
        points.append(Operating(float(threshold), score.precision, score.recall))
    return tuple(points)


def residuals(
    material: EvaluationSet, picks: Sequence[Sequence[Pick]], limits: Mapping[Phase, float]
) -> dict[Phase, NDArray[np.float64]]:
    """Return the residuals of each phase within half a second."""
    above = kept(picks, limits)
    return {
        phase: score_windows(material.windows, above, phase, 0.5).residuals_s for phase in PHASES
    }


def worst(
    material: EvaluationSet,
    picks: Sequence[Sequence[Pick]],
    limits: Mapping[Phase, float],
    count: int = 6,
) -> list[Miss]:
    """Return the windows a picker does worst on: picks missed or false, then late or early."""
    misses = []
    above = kept(picks, limits)
    for number, window in enumerate(material.windows):
        found: list[Miss] = []
        for phase in PHASES:
            one = score_windows([window], [above[number]], phase, 0.5)
            n_missed = one.n_true - one.residuals_s.size
            n_false = one.n_found - one.residuals_s.size
            if n_missed or n_false:
                what = [f"{phase} missed"] * bool(n_missed) + [f"{n_false} false {phase}"] * bool(
                    n_false
                )
                found.append(Miss(number, phase, 1.0 + n_missed + 0.5 * n_false, ", ".join(what)))
            elif one.residuals_s.size:
                off = float(one.residuals_s[0])
                found.append(Miss(number, phase, abs(off), f"{phase} {off:+.2f} s"))
        if found:
            top = max(found, key=lambda miss: miss.badness)
            words = "; ".join(miss.words for miss in found)
            misses.append(Miss(number, top.phase, sum(miss.badness for miss in found), words))
    return sorted(misses, key=lambda miss: -miss.badness)[:count]


def compare(
    reference: Picker,
    pickers: Sequence[Picker],
    material: EvaluationSet,
    picks: Mapping[str, Sequence[Sequence[Pick]]],
) -> list[Comparison]:
    """Compare pickers with a reference at its pick budget.

    Thresholds are set on the continuous recordings, so that each picker makes as many picks of
    each phase as the reference does with its card's thresholds; scores are of the windows.

    Parameters
    ----------
    reference : Picker
        Whose budget holds.
    pickers : sequence of Picker
        To be compared with it.
    material : EvaluationSet
        With continuous recordings.
    picks : mapping of str to picks
        Of each picker on every window, down to `LOWEST`, by label.

    Raises
    ------
    DataError
        If there are no continuous recordings.
    """
    base = kept(picks[reference.card.label], reference.card.thresholds)
    found = []
    for picker in pickers:
        limits = matched_to(reference, picker, material.continuous)
        above = kept(picks[picker.card.label], limits)
        f1, gain = {}, {}
        for phase in PHASES:
            for tolerance in TOLERANCES_S:
                key = f"{phase} at {tolerance} s"
                ours = score_windows(material.windows, above, phase, tolerance)
                theirs = score_windows(material.windows, base, phase, tolerance)
                f1[key] = ours.f1
                gain[key] = difference(ours, theirs, groups=material.events)
        label = picker.card.label
        found.append(Comparison(label, reference.card.label, limits, f1, gain))
    return found
