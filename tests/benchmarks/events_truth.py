"""Whether events that are real with probability p are real p of the time."""

import numpy as np

from geomon.locating.reality import LEAST_PROBABILITY
from tests.benchmarks.events_calibration import SCENARIOS, cases
from tests.benchmarks.events_synth import GENERATOR, make_scene
from tests.benchmarks.report import Figure, at_most

SEEDS = (951, 952)
_EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)


def figures(quick: bool) -> list[Figure]:
    """Measure on scenes that the coefficients were not fitted on; `quick` leaves that out."""
    name = "reliability of event probabilities, mean error"
    if quick:
        why = "hundreds of events are needed, which take longer than --quick allows"
        return [Figure(figure=name, value=None, unit="", goal="<= 0.1", conditions=why)]
    found = [
        case
        for scenario in SCENARIOS
        for seed in SEEDS
        for case in cases(make_scene(scenario, seed))
    ]
    said = np.array([case.probability for case in found])
    real = np.array([case.is_real for case in found])
    bins = np.clip(np.digitize(said, _EDGES) - 1, 0, len(_EDGES) - 2)
    rows, error = [], 0.0
    for k in np.unique(bins):
        inside = bins == k
        error += inside.mean() * abs(said[inside].mean() - real[inside].mean())
        rows.append(f"{said[inside].mean():.2f} said {real[inside].mean():.2f} real "
                    f"({inside.sum()})")  # fmt: skip
    kept = said > LEAST_PROBABILITY
    goal, holds = at_most(error, 0.1)
    return [
        Figure(
            figure=name,
            value=float(error),
            unit="",
            goal=goal,
            holds=holds,
            conditions=(
                f"{', '.join(rows)}; {int((kept & ~real).sum())} of {int(kept.sum())} events "
                f"kept are false, those of time-shifted picks among them; seeds {SEEDS}; "
                f"generator {GENERATOR}"
            ),
        )
    ]
