"""How training went, drawn."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from geomon.training.finetune import Epoch

_DPI = 110


def save_learning_curve(epochs: Sequence[Epoch], path: Path) -> None:
    """Draw the losses of each epoch and mark the best one; write a PNG."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    numbers = range(len(epochs))
    for name, colour in (("training", "#1b2733"), ("validation", "#c0392b"), ("replay", "#2266aa")):
        values = [getattr(epoch, name) for epoch in epochs]
        axes.plot(numbers, values, color=colour, marker=".", label=name)
    best = min(numbers, key=lambda k: epochs[k].validation + epochs[k].replay)
    axes.axvline(best, color="0.7", lw=0.8, label=f"best: epoch {best}")
    axes.set(xlabel="epoch", ylabel="cross-entropy")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=_DPI)
