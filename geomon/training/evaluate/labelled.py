"""Scores on windows that analysts labelled: one event a window, P and S.

The protocol is PhaseNet's (Zhu and Beroza 2019, https://doi.org/10.1093/gji/ggy423): a pick within
the tolerance of the analyst's is true, any other near the event is false.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.picking.infer import pick
from geomon.processing.condition import highpass
from geomon.times import TimeSpan, to_ns
from geomon.training.evaluate.scores import Score, score
from geomon.training.recordings import LabelledWindow, recorded

REACH_S = 3.0  # picks this far before P and after S belong to the labelled event


def pick_windows(
    picker: Picker, windows: Sequence[LabelledWindow], thresholds: Mapping[Phase, float]
) -> list[list[Pick]]:
    """Pick each labelled window as it would be picked in continuous data.

    Parameters
    ----------
    picker : Picker
        Who picks.
    windows : sequence of LabelledWindow
        What is picked.
    thresholds : mapping of phase to float
        Probability a pick must exceed; the card's where absent.
    """
    return [pick(picker, w.segments, window_span(w), thresholds=thresholds) for w in windows]


def window_span(window: LabelledWindow) -> TimeSpan:
    """Return the span from a window's first to its last sample, gaps included."""
    return TimeSpan(window.span.start_ns, max(segment.end_ns for segment in window.segments))


def onset_s(window: LabelledWindow, phase: Phase) -> float:
    """Return a labelled onset in seconds after the window's start; NaN where there is none."""
    return (window.p_index if phase == "P" else window.s_index) / 100


def event_span_s(window: LabelledWindow, reach_s: float = REACH_S) -> tuple[float, float]:
    """Return from when to when picks belong to the labelled event, seconds after the start."""
    onsets = [onset_s(window, phase) for phase in ("P", "S")]
    return float(np.nanmin(onsets)) - reach_s, float(np.nanmax(onsets)) + reach_s


def times_s(window: LabelledWindow, picks: Sequence[Pick], phase: Phase) -> list[float]:
    """Return the times of a phase's picks in seconds after the window's start."""
    return [(to_ns(p.time) - window.span.start_ns) / 1e9 for p in picks if p.phase == phase]


def kept(picks: Sequence[Sequence[Pick]], thresholds: Mapping[Phase, float]) -> list[list[Pick]]:
    """Return the picks above the thresholds: what picking with these would have given."""
    return [[one for one in found if one.probability > thresholds[one.phase]] for found in picks]


def score_windows(
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    phase: Phase,
    tolerance_s: float,
    reach_s: float = REACH_S,
) -> Score:
    """Score picks on labelled windows as PhaseNet's authors do.

    Analysts label one event a window, and other events are in there too: only picks from
    `reach_s` before P to `reach_s` after S count, so that a pick of the other phase counts as
    false but a second event does not.

    Parameters
    ----------
    windows : sequence of LabelledWindow
        An index of NaN means that the phase was not labelled: nothing is to be found.
    picks : sequence of sequences of Pick
        Those of each window.
    phase : {"P", "S"}
        What is scored.
    tolerance_s : float
        Largest distance from the analyst's pick.
    reach_s : float
        How far around the event picks count.
    """
    true_s, found_s = [], []
    for window, found in zip(windows, picks, strict=True):
        low, high = event_span_s(window, reach_s)
        onset = onset_s(window, phase)
        true_s.append([] if np.isnan(onset) else [onset])
        found_s.append([time for time in times_s(window, found, phase) if low <= time <= high])
    return score(true_s, found_s, tolerance_s)


def extra_picks(
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    tolerance_s: float = 0.5,
    reach_s: float = REACH_S,
) -> float:
    """Return how many picks a window, of both phases, are near the event but not the analyst's."""
    scores = [score_windows(windows, picks, phase, tolerance_s, reach_s) for phase in ("P", "S")]
    return sum(one.n_found - one.residuals_s.size for one in scores) / max(len(windows), 1)


def best_threshold(
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    phase: Phase,
    tolerance_s: float = 0.5,
) -> float:
    """Return the highest threshold from 0.1 to 0.4 whose F1 is within 0.03 of the best.

    Fifty windows cannot tell smaller differences, and what they do not show is how many false
    picks a low threshold makes in quiet hours, nor that onsets unlike those learned from get lower
    probabilities: above 0.4 these are lost.
    """
    choices = np.arange(0.10, 0.401, 0.02)
    values = []
    for threshold in choices:
        above = [[one for one in found if one.probability > threshold] for found in picks]
        values.append(score_windows(windows, above, phase, tolerance_s).f1)
    good = np.flatnonzero(np.asarray(values) >= max(values) - 0.03)
    return round(float(choices[good[-1]]), 2)


def snr_db(window: LabelledWindow) -> float:
    """Return the signal-to-noise ratio of P on the component that shows it best.

    Root mean squares 2 s after and 5 s before P, above 1 Hz, in decibels; it depends on no picker.
    NaN where P is not labelled or nothing was recorded before it.
    """
    if np.isnan(window.p_index):
        return float("nan")
    samples, _ = recorded(window.segments, window_span(window))
    seen = highpass(samples.astype(np.float64), 1.0, 100.0)
    at = round(window.p_index)
    before, after = seen[max(at - 510, 0) : max(at - 10, 0)], seen[at : at + 200]
    if min(len(before), len(after)) < 50:
        return float("nan")
    noise, signal = before.std(axis=0), after.std(axis=0)
    ratio = signal[noise > 0] / noise[noise > 0]
    return float(20 * np.log10(ratio.max())) if ratio.size else float("nan")


def _class_of(value: float, edges: Sequence[float], unit: str) -> str:
    if np.isnan(value):
        return "unknown"
    at = int(np.searchsorted(edges, value, "right"))
    if at == 0:
        return f"below {edges[0]:g} {unit}"
    if at == len(edges):
        return f"{edges[-1]:g} {unit} and more"
    return f"{edges[at - 1]:g} to {edges[at]:g} {unit}"


def _rates(window: LabelledWindow) -> str:
    return f"{window.segments[0].sampling_rate_hz:g} Hz"


def _components(window: LabelledWindow) -> str:
    return "".join(sorted({segment.seed_id.component for segment in window.segments}, reverse=True))


GROUPINGS: Mapping[str, Callable[[LabelledWindow], str]] = {
    "signal-to-noise ratio": lambda w: _class_of(snr_db(w), (10, 20, 30, 40), "dB"),
    "distance (S minus P)": lambda w: _class_of((w.s_index - w.p_index) / 100, (2, 5, 10, 20), "s"),
    "sampling rate": _rates,
    "components": _components,
    "station": lambda w: str(w.station_id),
}


def grouped(windows: Sequence[LabelledWindow], grouping: str) -> dict[str, list[int]]:
    """Return the positions of the windows of each class of one of `GROUPINGS`, classes in order."""
    classes: dict[str, list[int]] = {}
    for number, window in enumerate(windows):
        classes.setdefault(GROUPINGS[grouping](window), []).append(number)

    def place(name: str) -> tuple[bool, float, str]:
        first = name.removeprefix("below ").split(" ")[0]
        is_number = first.replace(".", "").isdigit()
        number = float(first) if is_number else 0.0
        return not is_number, number - name.startswith("below "), name

    return {name: classes[name] for name in sorted(classes, key=place)}
