"""What the card of a trained picker says of its own picks: thresholds, uncertainties, scores."""

import numpy as np

from geomon.picking.card import Picker, Uncertainty
from geomon.training.evaluate import best_threshold, pick_windows, score_windows
from geomon.training.recordings import LabelledWindow

_LOW = 0.05  # picks down to here are kept while thresholds are chosen


def tuned(picker: Picker, windows: tuple[LabelledWindow, ...]) -> Picker:
    """Choose thresholds, calibrate uncertainties and note scores, all on windows kept aside.

    Parameters
    ----------
    picker : Picker
        Trained on none of the windows.
    windows : tuple of LabelledWindow
        Of stations that it was not trained on.

    Returns
    -------
    Picker
        The same network with a new card.

    Notes
    -----
    The scores are of the windows that chose the thresholds, and flatter a little. Windows it was
    trained on, or synthetic ones, are worse to choose on: nearly all thresholds do there, so that
    the highest is chosen, and onsets elsewhere are lost. How much is flattery
    ``python -m tests.benchmarks.picking`` says: there three pickers, each with another third of
    the stations kept aside, are also scored with each other's thresholds.
    """
    raw = Picker(picker.model, picker.card.model_copy(update={"uncertainty": {}}))
    low = pick_windows(raw, windows, {"P": _LOW, "S": _LOW})
    thresholds, uncertainty, scores = {}, {}, {}
    for phase in picker.card.phases:
        thresholds[phase] = best_threshold(windows, low, phase)
        kept = [[one for one in found if one.probability > thresholds[phase]] for found in low]
        widths = [
            (one.uncertainty_s, abs(score_windows([w], [[one]], phase, 0.5).residuals_s))
            for w, found in zip(windows, kept, strict=True)
            for one in found
            if one.phase == phase
        ]
        ratios = [float(residual[0]) / width for width, residual in widths if residual.size]
        # 68 % of residuals lie within one standard deviation.
        scale = float(np.quantile(ratios, 0.68)) if len(ratios) > 20 else 0.3
        uncertainty[phase] = Uncertainty(scale=round(max(scale, 0.02), 3), floor_s=0.02)
        for tolerance in (0.1, 0.5):
            result = score_windows(windows, kept, phase, tolerance)
            scores[f"{phase} F1 at {tolerance} s"] = round(result.f1, 4)
            scores[f"{phase} recall at {tolerance} s"] = round(result.recall, 4)
    card = picker.card.model_copy(
        update={"thresholds": thresholds, "uncertainty": uncertainty, "scores": scores}
    )
    return Picker(picker.model, card)
