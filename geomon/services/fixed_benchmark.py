"""The fixed benchmark: the same windows for every challenger, so that nothing is forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.training.evaluate.evaluation import PHASES
from geomon.training.evaluate.labelled import kept, pick_windows, score_windows
from geomon.training.evaluate.scores import TOLERANCES_S, Score
from geomon.training.evaluate.testsets import EvaluationSet, read_set, synthetic_set


def fixed_benchmark(folder: Path | None, kept_folder: Path, n_synthetic: int) -> EvaluationSet:
    """Return the benchmark: synthetic earthquakes, a folder of one's own, benchmark stations.

    Parameters
    ----------
    folder : Path or None
        Labelled windows, as `read_set` reads them.
    kept_folder : Path
        Windows of the network's benchmark stations, written once; need not exist.
    n_synthetic : int
        Synthetic windows.

    Raises
    ------
    DataError
        If a folder cannot be read.
    """
    parts = [synthetic_set(n_synthetic)]
    if folder is not None:
        parts.append(read_set(folder))
    if kept_folder.is_dir():
        parts.append(read_set(kept_folder))
    return EvaluationSet(
        " + ".join(part.name for part in parts),
        tuple(window for part in parts for window in part.windows),
        tuple(f"{part.name} {event}" for part in parts for event in part.events),
    )


@dataclass(frozen=True, slots=True)
class Benchmarked:
    """One picker on the fixed benchmark.

    Attributes
    ----------
    scores : dict of str to Score
        By tolerance, P and S together: a record for each window and phase, P first.
    residuals_s : dict of phase to list
        Found minus true at 0.5 s.
    picks : list of list of Pick
        Those of each window.
    """

    scores: dict[str, Score]
    residuals_s: dict[Phase, list[float]]
    picks: list[list[Pick]]


def benchmark(
    picker: Picker, limits: Mapping[Phase, float], material: EvaluationSet
) -> Benchmarked:
    """Score a picker on the fixed benchmark."""
    found = kept(pick_windows(picker, material.windows, limits), limits)
    by_phase = {
        (phase, tolerance): score_windows(material.windows, found, phase, tolerance)
        for phase in PHASES
        for tolerance in TOLERANCES_S
    }
    scores = {
        f"{tolerance} s": Score(
            np.concatenate([by_phase[phase, tolerance].counts for phase in PHASES]),
            np.concatenate([by_phase[phase, tolerance].residuals_s for phase in PHASES]),
        )
        for tolerance in TOLERANCES_S
    }
    residuals = {phase: by_phase[phase, 0.5].residuals_s.tolist() for phase in PHASES}
    return Benchmarked(scores, residuals, found)
