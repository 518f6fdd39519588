"""Fit how likely an event is real: the coefficients in `geomon.locating.reality`.

``python -m tests.benchmarks.events_calibration`` simulates networks that no figure uses, accepts
almost anything, and fits a logistic function to what turned out true. Picks shifted in time station
by station, and noise without any event, give the cases that are never true.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.config import Association
from geomon.events import Pick
from geomon.locating.null import shifted_picks
from geomon.locating.reality import features
from geomon.locating.solve import Solver
from tests.benchmarks.events_synth import GENERATOR, KNOWN, Scenario, Scene, make_scene

type Floats = NDArray[np.float64]

SEEDS = (901, 902, 903)
SCENARIOS = (
    Scenario("fit regional 10/h", 150.0, 10.0, 3.0, 2.0),
    Scenario("fit regional 100/h", 150.0, 100.0, 0.5, 2.0),
    Scenario("fit local 100/h", 30.0, 100.0, 0.3, 0.3),
    Scenario("fit local 300/h", 30.0, 300.0, 0.1, 0.5),
)
_LEAST_PROBABILITY = 0.01  # so much is accepted here, to see what is true of it


@dataclass(frozen=True, slots=True)
class Case:
    """One group of picks: what its probability depends on, and whether it was an earthquake."""

    features: Floats
    probability: float
    is_real: bool


def cases(scene: Scene) -> list[Case]:
    """Return every group found in a scene, and in its picks shifted in time."""
    solver = Solver(
        scene.network, scene.network.travel_times(KNOWN), Association(),
        least_probability=_LEAST_PROBABILITY,
    )  # fmt: skip
    answer = []
    for picks, owners in ((scene.picks, scene.owners), (shifted_picks(scene.picks, 1), {})):
        for tile in solver.grid.tiles(scene.span):
            for group in solver.solve_tile(picks, tile).groups:
                if tile.contains(group.time_ns):
                    answer.append(
                        Case(
                            features(group),
                            group.probability,
                            _is_real(group.picks, owners),
                        )
                    )
    return answer


def _is_real(picks: Sequence[Pick], owners: Mapping[str, int]) -> bool:
    """Tell whether one event caused at least half of the picks."""
    events = Counter(owners.get(pick.pick_id, -1) for pick in picks)
    del events[-1]
    return 2 * max(events.values(), default=0) >= len(picks)


def fitted(found: Sequence[Case]) -> Floats:
    """Return intercept and slopes of the logistic function, by Newton's method."""
    design = np.array([[1.0, *case.features] for case in found])
    is_real = np.array([case.is_real for case in found])
    weights = np.zeros(design.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(weights.size)
        weights = weights + np.linalg.solve(hessian, design.T @ (is_real - p) - 1e-3 * weights)
    return np.asarray(weights)


def main() -> None:
    """Simulate, fit and print."""
    found = [
        case
        for scenario in SCENARIOS
        for seed in SEEDS
        for case in cases(make_scene(scenario, seed))
    ]
    n_real = sum(case.is_real for case in found)
    print(f"generator {GENERATOR}, seeds {SEEDS}: {len(found)} groups, {n_real} real")
    names = ("_INTERCEPT", "_EVIDENCE", "_LOG_PICKS", "_LOG_STATIONS")
    for name, weight in zip(names, fitted(found), strict=True):
        print(f"{name} = {weight:.3g}")


if __name__ == "__main__":
    main()
