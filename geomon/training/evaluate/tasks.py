"""The three tasks of Münchmeyer et al. (2022): is there an event, which phase, and when.

Detection: does a window hold an onset; the statistic is the larger of the P and S probability in
it. Phase identification: a window of 10 s holds one onset, P or S. Onset time: the phase is known
too, and its time is where its probability is largest. No threshold is involved.

Münchmeyer, J. et al. (2022), Which picker fits my data? A quantitative evaluation of deep learning
based seismic pickers, J. Geophys. Res. Solid Earth 127, https://doi.org/10.1029/2021JB023499.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from geomon.events import Phase
from geomon.picking.card import Picker
from geomon.picking.infer import Curves, probabilities
from geomon.training.evaluate.labelled import onset_s, window_span
from geomon.training.evaluate.scores import metric
from geomon.training.recordings import LabelledWindow

# The paper's windows for detection have 30 s, but many recordings hold less before P.
DETECTION_S = 20.0
PHASE_S = 10.0
_EDGE_S = 1.0  # onsets lie at least this far inside a window for detection,
_PHASE_EDGE_S = 0.5  # and this far inside one for phases, and other onsets as far outside
_OUTLIER_S = 0.45  # residuals beyond this are outliers


@dataclass(frozen=True, slots=True)
class OnsetTimes:
    """Residuals of one phase in windows of 10 s, found minus true.

    `rmse_s` and `mae_s` are over all of them; `modified_rmse_s` and `modified_mae_s` leave out the
    share `outliers`, which lies beyond 0.45 s.
    """

    n: int
    mean_s: float
    rmse_s: float
    mae_s: float
    modified_rmse_s: float
    modified_mae_s: float
    outliers: float

    @classmethod
    def of(cls, residuals_s: NDArray[np.float64]) -> "OnsetTimes":
        """Summarise residuals; all NaN when there are none."""
        if not residuals_s.size:
            return cls(0, *[float("nan")] * 6)
        inside = residuals_s[np.abs(residuals_s) <= _OUTLIER_S]
        sizes = [
            (float(np.sqrt(np.mean(one**2))), float(np.abs(one).mean()))
            if one.size
            else (float("nan"), float("nan"))
            for one in (residuals_s, inside)
        ]
        outliers = 1 - inside.size / residuals_s.size
        return cls(residuals_s.size, float(residuals_s.mean()), *sizes[0], *sizes[1], outliers)


@dataclass(frozen=True, slots=True)
class TaskScores:
    """What a picker achieves in the three tasks.

    Attributes
    ----------
    n_event, n_noise : int
        Windows with and without an onset.
    detection_auc : float
        Area under the receiver operating characteristic; 0.5 is guessing.
    n_phases : int
        Windows for phase identification.
    phase_mcc : float
        Matthews correlation coefficient of P against S.
    p_f1, s_f1 : float
        F1 of calling an onset P, and S.
    onset_times : dict of phase to OnsetTimes
        Of the third task.
    """

    n_event: int
    n_noise: int
    detection_auc: float
    n_phases: int
    phase_mcc: float
    p_f1: float
    s_f1: float
    onset_times: dict[Phase, OnsetTimes]


def area_under_curve(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Return the chance that a positive ranks above a negative; ties count half.

    Examples
    --------
    >>> area_under_curve(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    if not positive.size or not negative.size:
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))[: positive.size]
    above = ranks.sum() - positive.size * (positive.size + 1) / 2
    return float(above / positive.size / negative.size)


def matthews(called_p: NDArray[np.bool_], is_p: NDArray[np.bool_]) -> float:
    """Return the Matthews correlation coefficient of a decision; 0 when it is always the same."""
    if called_p.size == 0:
        return float("nan")
    if called_p.all() or not called_p.any() or is_p.all() or not is_p.any():
        return 0.0
    return float(np.corrcoef(called_p, is_p)[0, 1])


def run_tasks(picker: Picker, windows: Sequence[LabelledWindow], *, seed: int = 0) -> TaskScores:
    """Give a picker the three tasks on labelled windows.

    Where in its window an onset lies is drawn at random. A window is left out of a task where it
    is too short, or another onset is in the way.

    Parameters
    ----------
    picker : Picker
        Must know P and S.
    windows : sequence of LabelledWindow
        One event each; what precedes P is noise.
    seed : int
        Of the draws.
    """
    rng = np.random.default_rng(seed)
    events: list[float] = []
    noise: list[float] = []
    called: list[tuple[bool, bool]] = []
    residuals: dict[Phase, list[float]] = {"P": [], "S": []}
    for window in windows:
        curves = probabilities(picker, window.segments, window_span(window))
        onsets = {
            phase: onset for phase in curves.phases if not np.isnan(onset := onset_s(window, phase))
        }
        end = window_span(window).duration_s
        first = min(onsets.values())
        size = DETECTION_S
        begin = _drawn(rng, max(0.0, first - size + _EDGE_S), min(end - size, first - _EDGE_S))
        if begin is not None:
            events.append(float(_cut(curves, begin, size).max()))
        begin = _drawn(rng, 0.0, first - _EDGE_S - size)
        if begin is not None:
            noise.append(float(_cut(curves, begin, size).max()))
        for phase, onset in onsets.items():
            others = [other for name, other in onsets.items() if name != phase]
            low = max([0.0, *(t + _PHASE_EDGE_S for t in others if t <= onset)])
            high = min([end, *(t - _PHASE_EDGE_S for t in others if t > onset)])
            begin = _drawn(
                rng,
                max(low, onset - PHASE_S + _PHASE_EDGE_S),
                min(high - PHASE_S, onset - _PHASE_EDGE_S),
            )
            if begin is None:
                continue
            part = _cut(curves, begin, PHASE_S)
            by_phase = {name: part[:, curves.phases.index(name)] for name in curves.phases}
            called.append((bool(by_phase["P"].max() > by_phase["S"].max()), phase == "P"))
            found = begin + int(by_phase[phase].argmax()) / 100
            residuals[phase].append(found - onset)
    decisions = np.array(called, dtype=np.bool_).reshape(-1, 2)
    called_p, is_p = decisions.T
    counts = {
        "P": (is_p.sum(), called_p.sum(), (called_p & is_p).sum()),
        "S": ((~is_p).sum(), (~called_p).sum(), (~called_p & ~is_p).sum()),
    }
    return TaskScores(
        n_event=len(events),
        n_noise=len(noise),
        detection_auc=area_under_curve(np.array(events), np.array(noise)),
        n_phases=len(called),
        phase_mcc=matthews(called_p, is_p),
        p_f1=float(metric("f1", counts["P"])),
        s_f1=float(metric("f1", counts["S"])),
        onset_times={phase: OnsetTimes.of(np.array(r)) for phase, r in residuals.items()},
    )


def _drawn(rng: np.random.Generator, low: float, high: float) -> float | None:
    """Draw a window's beginning on whole samples; None where it does not fit."""
    return None if high < low else round(float(rng.uniform(low, high)), 2)


def _cut(curves: Curves, begin_s: float, length_s: float) -> NDArray[np.float32]:
    first = round(begin_s * 100)
    return curves.probabilities[first : first + round(length_s * 100)]
