"""Whether probabilities and uncertainties mean what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomon.events import Phase, Pick
from geomon.training.evaluate.labelled import REACH_S, event_span_s, onset_s, times_s
from geomon.training.evaluate.scores import match
from geomon.training.recordings import LabelledWindow

_EDGES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0001)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Picks of one class of probability: what they say on average, and how many are true."""

    probability: float
    share_true: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How honest the picks of one phase are.

    Attributes
    ----------
    reliability : tuple of Reliability
        By class of probability; classes without picks are left out.
    expected_error : float
        Mean distance of probability and share true, weighted by picks (Naeini et al. 2015).
    n : int
        True picks above the threshold, whose residuals the next two are about.
    within_1_sigma, within_2_sigma : float
        Share of residuals within one and two stated standard deviations; 0.68 and 0.95 are honest.
    """

    reliability: tuple[Reliability, ...]
    expected_error: float
    n: int
    within_1_sigma: float
    within_2_sigma: float


def calibration(
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    phase: Phase,
    threshold: float,
    *,
    tolerance_s: float = 0.5,
) -> Calibration:
    """Compare probabilities and uncertainties with what came of them.

    Parameters
    ----------
    windows : sequence of LabelledWindow
        Analysts' picks.
    picks : sequence of sequences of Pick
        Of each window, down to a probability of 0.05.
    phase : {"P", "S"}
        What is looked at.
    threshold : float
        Above it uncertainties are looked at.
    tolerance_s : float
        A pick this close to the analyst's is true.
    """
    probability, true, ratio = [], [], []
    for window, found in zip(windows, picks, strict=True):
        onset = onset_s(window, phase)
        low, high = event_span_s(window, REACH_S)
        times = times_s(window, found, phase)
        near = [
            (one, time)
            for one, time in zip((p for p in found if p.phase == phase), times, strict=True)
            if low <= time <= high
        ]
        labels = [] if np.isnan(onset) else [onset]
        pairs = {j for _, j in match(labels, [time for _, time in near], tolerance_s)}
        for number, (one, time) in enumerate(near):
            probability.append(one.probability)
            true.append(number in pairs)
            if number in pairs and one.probability > threshold:
                ratio.append(abs(time - onset) / one.uncertainty_s)
    stated, came = np.array(probability), np.array(true, dtype=np.float64)
    classes = np.digitize(stated, _EDGES)
    table = tuple(
        Reliability(float(stated[here].mean()), float(came[here].mean()), int(here.sum()))
        for here in (classes == number for number in range(1, len(_EDGES)))
        if here.any()
    )
    total = sum(row.n for row in table)
    off = sum(row.n * abs(row.probability - row.share_true) for row in table)
    ratios = np.array(ratio)
    within = [float(np.mean(ratios <= k)) if ratios.size else float("nan") for k in (1, 2)]
    return Calibration(table, off / total if total else float("nan"), ratios.size, *within)
