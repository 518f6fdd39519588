"""Fit how likely an event is real: the coefficients in `geomon.locating.reality`.

``python -m tests.benchmarks.events_calibration`` simulates networks that no figure uses, accepts
almost anything, and fits a logistic function to what turned out true. Picks shifted in time station
by station, and noise without any event, give the cases that are never true.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geomon.config import Association
from geomon.events import Pick
from geomon.locating.network import Network
from geomon.locating.null import shifted_picks
from geomon.locating.solve import Solver
from tests.benchmarks.events_synth import GENERATOR, KNOWN, Scenario, Scene, make_scene

type Floats = NDArray[np.float64]

SEEDS = (901, 902)
SCENARIOS = (
    Scenario("regional 10/h", 150.0, 10.0, 1.5, 2.0),
    Scenario("regional 100/h", 150.0, 100.0, 0.3, 2.0),
    Scenario("local 100/h", 30.0, 100.0, 0.3, 0.3),
    Scenario("local 300/h", 30.0, 300.0, 0.1, 0.5),
)
_LEAST_PROBABILITY = 0.02


def cases(scene: Scene) -> list[tuple[float, int, bool]]:
    """Return evidence, number of picks and truth of every group found in a scene."""
    solver = _solver(scene.network)
    found = _groups(solver, scene, scene.picks)
    found += [(e, n, ()) for e, n, _ in _groups(solver, scene, shifted_picks(scene.picks, 1))]
    answer = []
    for evidence, n_picks, ids in found:
        owners = [scene.owners.get(pick_id, -1) for pick_id in ids]
        best = max(set(owners) - {-1}, key=owners.count, default=-1)
        is_real = best >= 0 and 2 * owners.count(best) >= len(owners)
        answer.append((evidence, n_picks, is_real))
    return answer


def _solver(network: Network) -> Solver:
    times = network.travel_times(KNOWN)
    return Solver(network, times, Association(), least_probability=_LEAST_PROBABILITY)


def _groups(
    solver: Solver, scene: Scene, picks: Sequence[Pick]
) -> list[tuple[float, int, tuple[str, ...]]]:
    raw = [solver.solve_tile(picks, tile) for tile in solver.grid.tiles(scene.span)]
    return [
        (group.evidence, len(group.picks), tuple(pick.pick_id for pick in group.picks))
        for tile in raw
        for group in tile.groups
        if tile.tile.contains(group.time_ns)
    ]


def fitted(evidence: Floats, n_picks: Floats, is_real: NDArray[np.bool_]) -> Floats:
    """Return intercept and slopes of the logistic function, by Newton's method."""
    design = np.stack([np.ones_like(evidence), np.clip(evidence, -15, 15), np.log(n_picks)], axis=1)
    weights = np.zeros(3)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(3)
        weights = weights + np.linalg.solve(hessian, design.T @ (is_real - p) - 1e-3 * weights)
    return weights


def main() -> None:
    """Simulate, fit and print."""
    found = [
        case
        for scenario in SCENARIOS
        for seed in SEEDS
        for case in cases(make_scene(replace(scenario, name=f"fit {scenario.name}"), seed))
    ]
    evidence, n_picks = (np.array([case[k] for case in found], dtype=np.float64) for k in (0, 1))
    is_real = np.array([case[2] for case in found])
    intercept, slope, log_picks = fitted(evidence, n_picks, is_real)
    print(
        f"generator {GENERATOR}, seeds {SEEDS}: {len(found)} groups, {is_real.mean():.0%} real\n"
        f"_INTERCEPT = {intercept:.2f}\n_EVIDENCE = {slope:.3f}\n_LOG_PICKS = {log_picks:.2f}"
    )


if __name__ == "__main__":
    main()
