"""How training went and what came of it, drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from geomon.training.breakdown import CLASSES, Detection
from geomon.training.finetune import Epoch, best_epoch

_DPI = 110
_COLOURS = ("#1b2733", "#c0392b", "#2266aa")


def save_learning_curve(epochs: Sequence[Epoch], path: Path) -> None:
    """Draw the losses of each epoch and mark the best one; write a PNG."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    numbers = range(len(epochs))
    for name, colour in zip(("training", "validation", "replay"), _COLOURS, strict=True):
        values = [getattr(epoch, name) for epoch in epochs]
        axes.plot(numbers, values, color=colour, marker=".", label=name)
    best = best_epoch(epochs)
    axes.axvline(best, color="0.7", lw=0.8, label=f"best: epoch {best}")
    axes.set(xlabel="epoch", ylabel="cross-entropy")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=_DPI)


def save_confusion(counts: Mapping[str, NDArray[np.int64]], path: Path) -> None:
    """Draw what is there against what each picker found, shares of each row; write a PNG.

    Parameters
    ----------
    counts : mapping of str to array of int64, shape (3, 3)
        By picker, as from `confusion`.
    path : Path
        PNG file to write.
    """
    figure = Figure(figsize=(4.4 * len(counts), 4), layout="constrained")
    panels = figure.subplots(1, len(counts), squeeze=False).ravel()
    for panel, (name, of) in zip(panels, counts.items(), strict=True):
        share = of / np.maximum(of.sum(axis=1, keepdims=True), 1)
        panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), n in np.ndenumerate(of):
            if (row, column) != (2, 2):  # nothing found where nothing is: cannot be counted
                ink = "white" if share[row, column] > 0.6 else _COLOURS[0]
                panel.text(column, row, f"{n}", ha="center", va="center", color=ink)
        panel.set_xticks(range(3), [f"found {name}" for name in CLASSES])
        panel.set_yticks(range(3), CLASSES)
        panel.set_title(name, loc="left", fontsize=10)
    figure.savefig(path, dpi=_DPI)


def save_detection(found: Mapping[str, Detection], path: Path) -> None:
    """Draw the receiver operating characteristic of each picker; write a PNG."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    for colour, (name, one) in zip(_COLOURS, found.items(), strict=False):
        axes.plot(*one.curve(), color=colour, lw=1.4, label=f"{name}  area {one.area:.4f}")
    axes.plot([0, 1], [0, 1], color="0.8", lw=0.8, zorder=0)
    axes.set(xlabel="share of pieces without an onset", ylabel="share of pieces with an onset")
    axes.set_title("called an earthquake, by threshold", loc="left", fontsize=10)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=_DPI)
