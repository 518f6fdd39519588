"""How well events are located, and whether uncertainties hold what they promise."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from geomon.events import Origin, Pick
from geomon.locating.locate import Locator
from tests.benchmarks import events_relocation
from tests.benchmarks.events_synth import (
    GENERATOR,
    KNOWN,
    LEAST_PICKS,
    Scenario,
    Scene,
    TrueEvent,
    make_scene,
)
from tests.benchmarks.report import Figure, at_most, versions

REGIONAL = Scenario("regional", 150.0, 12.0, 8.0, 0.0)

_IN_LAYERS = Scenario("layers", 150.0, 12.0, 6.0, 0.0, layers=0.02, field=0.0, tails=3.0)
_IN_FIELD = Scenario("field", 150.0, 12.0, 6.0, 0.0, layers=0.01, field=0.02, tails=3.0)
_LOCAL = Scenario("local", 30.0, 12.0, 4.0, 0.0, layers=0.02, field=0.02, statics_s=0.06, tails=3.0)
INSIDE = (_IN_LAYERS, _IN_FIELD, _LOCAL)
OUTSIDE = tuple(
    replace(one, name=f"out {one.name}", outside=1.6, hours=2 * one.hours) for one in INSIDE
)
SEEDS = (41, 42, 43, 44, 45)
_JOINT = 1.51  # standard deviations of the two-dimensional ellipse that holds 68 %
_OUTSIDE_GAP_DEG = 180.0
_LEAST_TRUTHS = 500  # to judge a share by


@dataclass(frozen=True, slots=True)
class Miss:
    """One located event beside the truth."""

    distance_km: float
    depth_km: float
    is_in_ellipse: bool
    is_in_depth_interval: bool
    gap_deg: float
    took_ms: float
    n_dropped: int


def figures(quick: bool) -> list[Figure]:
    """Measure; `quick` takes one seed, shorter times and one crust, too few events to judge by."""
    seeds = SEEDS[:1] if quick else SEEDS
    share = 0.3 if quick else 1.0
    regional = _scenes(REGIONAL, seeds, share)
    network = [miss for scene in regional for miss in located(scene)]
    inside = [miss for miss in network if miss.gap_deg < _OUTSIDE_GAP_DEG]
    distance = np.array([miss.distance_km for miss in inside])
    said = (
        f"{len(inside)} events inside the network of {len(seeds)} regional networks, crust off by "
        f"1 %, path by path too, delays of 0.1 s, 3 % gross errors; seeds {seeds}; "
        f"generator {GENERATOR}; {versions('numpy')}"
    )
    luck = "one network is a matter of luck; " if quick else ""
    answer = [
        _at_most(
            "epicentre error, median", float(np.median(distance)), 0.8, "km", luck + said,
            judged=not quick,
        ),
        _at_most(
            "epicentre error, 90 %", float(np.quantile(distance, 0.9)), 1.6, "km", luck + said,
            judged=not quick,
        ),
        Figure(
            figure="depth error, median", unit="km", conditions=said,
            value=float(np.median([miss.depth_km for miss in inside])),
        ),
        _at_most(
            "location of an event", float(np.median([m.took_ms for m in network])), 30.0, "ms",
            f"median, one core; {said}",
        ),
        _at_most("stations dropped silently", sum(m.n_dropped for m in network), 0, "", said),
    ]  # fmt: skip
    for where, scenarios in (("inside", INSIDE), ("outside", OUTSIDE)):
        answer += _coverage(where, scenarios[:1] if quick else scenarios, seeds, share)
    spoiled = [
        miss.distance_km
        for scene, seed in zip(regional, seeds, strict=True)
        for miss in located(scene, gross=0.1, seed=seed)
        if miss.gap_deg < _OUTSIDE_GAP_DEG
    ]
    answer.append(
        _at_most(
            "epicentre error, median, with 10 % gross outliers", float(np.median(spoiled)), 1.2,
            "km", f"one pick in ten off by 1 to 10 s; {luck}{said}", judged=not quick,
        )
    )  # fmt: skip
    return [*answer, *events_relocation.figures(quick)]


def _coverage(
    where: str, scenarios: Sequence[Scenario], seeds: Sequence[int], share: float
) -> list[Figure]:
    parts = [
        [miss for scene in _scenes(scenario, seeds, share) for miss in located(scene)]
        for scenario in scenarios
    ]
    misses = [miss for part in parts for miss in part]
    too_few = ", too few to judge by" if len(misses) < _LEAST_TRUTHS else ""
    answer = []
    for what, name in (
        ("68 % ellipse holds the epicentre", "is_in_ellipse"),
        ("68 % depth interval holds the depth", "is_in_depth_interval"),
    ):
        value = float(np.mean([getattr(miss, name) for miss in misses]))
        each = ", ".join(
            f"{scenario.name.removeprefix('out ')} "
            f"{np.mean([getattr(miss, name) for miss in part]):.2f}"
            for scenario, part in zip(scenarios, parts, strict=True)
        )
        answer.append(
            Figure(
                figure=f"{what}, {where} the network",
                value=value,
                unit="",
                goal="0.60 to 0.76",
                holds=0.60 <= value <= 0.76 if len(misses) >= _LEAST_TRUTHS else None,
                conditions=(
                    f"{len(misses)} events{too_few} ({each}) in perturbed layers and "
                    "three-dimensional fields, Student-t picks of 3 degrees of freedom; "
                    f"seeds {tuple(seeds)}; generator {GENERATOR}"
                ),
            )
        )
    return answer


def _at_most(
    name: str, value: float, goal: float, unit: str, conditions: str, *, judged: bool = True
) -> Figure:
    words, holds = at_most(value, goal)
    return Figure(
        figure=name, value=value, unit=unit, goal=words, holds=holds if judged else None,
        conditions=conditions,
    )  # fmt: skip


def _scenes(scenario: Scenario, seeds: Sequence[int], share: float) -> list[Scene]:
    return [make_scene(replace(scenario, hours=scenario.hours * share), seed) for seed in seeds]


def located(scene: Scene, *, gross: float = 0.0, seed: int = 0) -> list[Miss]:
    """Locate each event from its own picks, a share of them spoiled."""
    rng = np.random.default_rng(seed)
    locator = Locator(scene.network, scene.network.travel_times(KNOWN))
    by_id = {pick.pick_id: pick for pick in scene.picks}
    misses: list[Miss] = []
    for event in scene.events:
        if len(event.picks) < LEAST_PICKS:
            continue
        picks = [
            _spoiled(rng, by_id[pick_id]) if rng.random() < gross else by_id[pick_id]
            for pick_id in sorted(event.picks)
        ]
        if not misses:
            locator.locate(picks)  # the coarse grid, and compiled code
        started = time.process_time()
        origin = locator.locate(picks)
        took_ms = 1000 * (time.process_time() - started)
        if isinstance(origin, Origin):
            misses.append(_miss(scene, event, origin, took_ms, len(picks) - len(origin.arrivals)))
    return misses


def _spoiled(rng: np.random.Generator, pick: Pick) -> Pick:
    off = float(rng.choice([-1, 1]) * rng.uniform(1, 10))
    return replace(pick, time=pick.time + timedelta(seconds=off))


def _miss(scene: Scene, event: TrueEvent, origin: Origin, took_ms: float, n_dropped: int) -> Miss:
    x, y = scene.network.frame.to_km(origin.latitude, origin.longitude)
    off = np.array([float(x) - event.x_km, float(y) - event.y_km])
    xx, xy, _, yy, _, _ = origin.covariance_km2
    m2 = float(off @ np.linalg.solve(np.array([[xx, xy], [xy, yy]]), off))
    shallow, deep = origin.depth_interval_km
    return Miss(
        float(np.hypot(*off)), abs(origin.depth_km - event.depth_km), m2 <= _JOINT**2,
        shallow <= event.depth_km <= deep, origin.azimuthal_gap_deg, took_ms, n_dropped,
    )  # fmt: skip
