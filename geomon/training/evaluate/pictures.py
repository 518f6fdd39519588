"""Pictures of an evaluation: residuals, precision and recall, reliability, the worst misses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.picking.infer import probabilities
from geomon.processing.condition import highpass
from geomon.training.evaluate.evaluation import PHASES, Evaluation, Miss
from geomon.training.evaluate.labelled import event_span_s, kept, onset_s, times_s, window_span
from geomon.training.recordings import LabelledWindow, recorded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#1b2733"
_COLOURS: dict[Phase, str] = {"P": "#c0392b", "S": "#2266aa"}
_PICKERS = ("#1b2733", "#c0392b", "#2266aa", "#2e8b57", "#b8860b", "#7b4fa3")
_DPI = 110


def save_residuals(
    residuals: Mapping[str, Mapping[Phase, NDArray[np.float64]]], path: Path
) -> None:
    """Draw histograms of the residuals of every picker; write a PNG.

    Parameters
    ----------
    residuals : mapping of str to mapping of phase to array
        By picker and phase, seconds, found minus true.
    path : Path
        PNG file to write.
    """
    figure, axes = _side_by_side()
    edges = np.arange(-0.5, 0.5001, 0.04)
    for panel, phase in zip(axes, PHASES, strict=True):
        for colour, (name, of) in zip(_PICKERS, residuals.items(), strict=False):
            values = of[phase]
            label = name
            if values.size:
                label += f"  {np.median(values):+.3f} ± {values.std():.3f} s"
            panel.hist(values, edges, histtype="step", color=colour, lw=1.4, label=label)
        for tolerance in (-0.1, 0.1):
            panel.axvline(tolerance, color="0.8", lw=0.8, zorder=0)
        panel.set(xlabel="found minus true (s)", ylabel="picks", xlim=(-0.5, 0.5))
        panel.margins(y=0.08 + 0.07 * len(residuals))
        _finish(panel, f"{phase} residuals (median ± standard deviation)", "upper left")
    figure.savefig(path, dpi=_DPI)


def save_precision_recall(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw precision against recall at 0.5 s, a dot at each card's threshold; write a PNG."""
    figure, axes = _side_by_side()
    for panel, phase in zip(axes, PHASES, strict=True):
        for colour, one in zip(_PICKERS, evaluations, strict=False):
            points = one.operating[phase]
            recall = [point.recall for point in points]
            panel.plot(recall, [p.precision for p in points], color=colour, lw=1.4)
            here = one.accuracy[f"{phase} at 0.5 s"]
            label = f"{one.picker}  F1 {here.f1.estimate:.3f}"
            panel.plot(
                here.recall.estimate, here.precision.estimate, "o", color=colour, label=label
            )
        panel.set(xlabel="recall", ylabel="precision")
        panel.margins(0.05)
        _finish(panel, f"{phase} within 0.5 s, by threshold", "lower left")
    figure.savefig(path, dpi=_DPI)


def save_reliability(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw the share of true picks by stated probability; write a PNG."""
    figure, axes = _side_by_side()
    for panel, phase in zip(axes, PHASES, strict=True):
        panel.plot([0, 1], [0, 1], color="0.8", lw=0.8, zorder=0)
        for colour, one in zip(_PICKERS, evaluations, strict=False):
            rows = one.calibration[phase].reliability
            label = f"{one.picker}  off by {one.calibration[phase].expected_error:.2f}"
            panel.plot(
                [row.probability for row in rows], [row.share_true for row in rows],
                color=colour, lw=1.2, label=label,
            )  # fmt: skip
            panel.scatter(
                [row.probability for row in rows], [row.share_true for row in rows],
                s=[12 * np.sqrt(row.n) for row in rows], color=colour, alpha=0.7, linewidth=0,
            )  # fmt: skip
        panel.set(xlabel="probability of the picks", ylabel="share that is true")
        panel.set(xlim=(0, 1.02), ylim=(-0.03, 1.05))
        _finish(panel, f"{phase}: what probabilities mean (dots by number of picks)")
    figure.savefig(path, dpi=_DPI)


def save_misses(
    picker: Picker,
    windows: Sequence[LabelledWindow],
    picks: Sequence[Sequence[Pick]],
    misses: Sequence[Miss],
    path: Path,
) -> None:
    """Draw the worst misses above 1 Hz, with curves, and true and found picks; write a PNG.

    Parameters
    ----------
    picker : Picker
        Whose curves are drawn.
    windows, picks
        All windows, and all their picks.
    misses : sequence of Miss
        Which of them are drawn.
    path : Path
        PNG file to write.
    """
    from matplotlib.figure import Figure

    n_rows = max(-(-len(misses) // 2), 1)
    figure = Figure(figsize=(13, 3.1 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, 2, squeeze=False).ravel()
    for panel in panels[len(misses) :]:
        panel.set_axis_off()
    found = kept(picks, picker.card.thresholds)
    for panel, miss in zip(panels, misses, strict=False):
        _draw_miss(panel, picker, windows[miss.number], found[miss.number], miss.words)
    figure.suptitle(
        f"{picker.card.label}: worst windows (solid: analyst, dashed: found, P red, S blue)",
        x=0.01, ha="left", fontsize=11, color=_INK,
    )  # fmt: skip
    figure.savefig(path, dpi=_DPI)


def _draw_miss(
    panel: "Axes", picker: Picker, window: LabelledWindow, found: Sequence[Pick], words: str
) -> None:
    span = window_span(window)
    low, high = event_span_s(window, 5.0)
    samples, valid = recorded(window.segments, span)
    ground = highpass(samples.astype(np.float64), 1.0, 100.0)
    seconds = np.arange(samples.shape[0]) / 100
    seen = (seconds >= low) & (seconds <= high)
    for row, letter in enumerate("ZNE"):
        if not valid[seen, row].any():
            continue
        trace = ground[seen, row]
        trace /= np.percentile(np.abs(trace), 99.8) or 1.0
        panel.plot(seconds[seen], 1.5 - row + 0.42 * trace, color=_INK, lw=0.5)
        panel.annotate(letter, (low, 1.6 - row), fontsize=8, color=_INK)
    curves = probabilities(picker, window.segments, span)
    for column, phase in enumerate(curves.phases):
        curve = curves.probabilities[: seen.size, column][seen[: curves.probabilities.shape[0]]]
        panel.plot(seconds[seen][: curve.size], curve - 2.1, color=_COLOURS[phase], lw=1)
        panel.axvline(onset_s(window, phase), color=_COLOURS[phase], lw=1.2, alpha=0.6)
        for time in times_s(window, found, phase):
            if low <= time <= high:
                panel.axvline(time, color=_COLOURS[phase], lw=1.2, ls=(0, (3, 2)))
    panel.axhline(-2.1, color="0.8", lw=0.6, zorder=0)
    panel.set(xlim=(low, high), ylim=(-2.25, 2.1), yticks=[], xlabel="seconds")
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.set_title(f"{window.name}: {words}", loc="left", fontsize=9, color=_INK)


def _side_by_side() -> "tuple[Figure, NDArray[np.object_]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    return figure, figure.subplots(1, 2)


def _finish(
    panel: "Axes", title: str, place: Literal["upper left", "lower left"] = "upper left"
) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(title, loc="left", fontsize=10, color=_INK)
    panel.legend(frameon=False, fontsize=8, loc=place)
    panel.grid(color="0.94")
    panel.set_axisbelow(True)
