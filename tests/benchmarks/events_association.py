"""How well picks are grouped into events, beside PyOcto with its defaults and tuned."""

import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyocto

from geomon.events import Origin
from geomon.locating.solve import Solver
from geomon.times import NS_PER_S, to_ns
from tests.benchmarks.events_synth import (
    GENERATOR,
    KNOWN,
    LEAST_PICKS,
    PHASES,
    Scenario,
    Scene,
    make_scene,
)
from tests.benchmarks.report import Figure, at_least, at_most, versions

SETS = (
    (Scenario("regional 10/h", 150.0, 10.0, 3.0, 2.0), 0.97),
    (Scenario("regional 100/h", 150.0, 100.0, 1.0, 2.0), 0.92),
    (Scenario("local 300/h", 30.0, 300.0, 0.3, 0.3), 0.95),
    (Scenario("local 1000/h", 30.0, 1000.0, 0.1, 0.3), 0.80),
)
SEEDS = (21, 22)
TUNING_SEED = 71
# PyOcto is tuned on one stretch so long (hours), and scored on others. As picks get denser it takes
# exponentially longer: there are more and shorter ones where they are dense.
_PEER_HOURS = {"regional 10/h": 3.0, "regional 100/h": 0.1, "local 300/h": 0.1}
_PEER_HOURS |= {"local 1000/h": 0.0125}
_PEER_SEEDS = {"regional 100/h": (21, 22, 23, 24, 25), "local 1000/h": (21, 22, 23, 24)}
_QUICK_HOURS = {"regional 10/h": 0.5, "regional 100/h": 0.1, "local 300/h": 0.05}
_QUICK_HOURS |= {"local 1000/h": 0.017, "local 100/h": 0.3}
_TOO_FEW = "too few to judge by; "
_CPU = Scenario("local 100/h", 30.0, 100.0, 1.0, 0.3)


@dataclass(frozen=True, slots=True)
class Counts:
    """Events found and asked for, and found that are none."""

    n_found: int
    n_true: int
    n_false: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.n_found + other.n_found, self.n_true + other.n_true, self.n_false + other.n_false
        )

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        wrong = self.n_false + self.n_true - self.n_found
        return 2 * self.n_found / max(2 * self.n_found + wrong, 1)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What PyOcto is told; the field's defaults are its own."""

    n_picks: int = 10
    n_p_picks: int = 3
    n_s_picks: int = 3
    n_p_and_s_picks: int = 3
    tolerance_s: float = 2.0
    pick_match_tolerance: float = 1.5
    min_node_size: float = 10.0
    min_node_size_location: float = 1.5
    cutoff_km: float | None = None


DEFAULTS = Tuning()
_LOCAL = {"min_node_size": 4.0, "min_node_size_location": 0.5, "cutoff_km": 60.0}
CANDIDATES = {
    150.0: (
        DEFAULTS,
        Tuning(10, 4, 3, 3, 1.0, 1.0, cutoff_km=120.0),
        Tuning(12, 4, 4, 4, 1.0, 1.0, cutoff_km=120.0),
        Tuning(9, 4, 3, 2, 0.8, 0.8, cutoff_km=100.0),
    ),
    30.0: (
        DEFAULTS,
        Tuning(12, 5, 5, 4, 0.6, 0.6, **_LOCAL),
        Tuning(16, 7, 7, 6, 0.6, 0.6, **_LOCAL),
        Tuning(20, 8, 8, 7, 0.4, 0.4, **_LOCAL),
    ),
}


def figures(scenario: Scenario, goal: float, quick: bool) -> list[Figure]:
    """Score geomon, PyOcto with its defaults, and PyOcto as it does best on another seed.

    `quick` simulates minutes and leaves PyOcto out.
    """
    own = _own(scenario, goal, quick=quick)
    if quick:
        return [replace(own, peer="PyOcto: takes longer than --quick")]
    stretch = replace(scenario, hours=_PEER_HOURS[scenario.name])
    seeds = _PEER_SEEDS.get(scenario.name, SEEDS)
    tuned_on = [make_scene(stretch, TUNING_SEED)]
    best = max(CANDIDATES[scenario.half_km], key=lambda one: _peer_counts(tuned_on, one).f1)
    scenes = [make_scene(stretch, seed) for seed in seeds]
    by_default = _peer_counts(scenes, DEFAULTS)
    tuned = by_default if best == DEFAULTS else _peer_counts(scenes, best)
    said = (
        f"{own.conditions}; PyOcto scored on {by_default.n_true} events in {len(seeds)} × "
        f"{3600 * stretch.hours:.0f} s"
    )
    return [
        replace(
            own, peer=name, peer_value=counts.f1, conditions=said,
            ratio=(own.value or 0.0) / counts.f1 if counts.f1 else None,
        )
        for name, counts in (
            ("PyOcto, its defaults", by_default), ("PyOcto tuned on another seed", tuned),
        )
    ]  # fmt: skip


def _own(scenario: Scenario, goal: float, *, quick: bool) -> Figure:
    seeds: tuple[int, ...] = SEEDS
    if quick:
        scenario, seeds = replace(scenario, hours=_QUICK_HOURS[scenario.name]), SEEDS[:1]
    scenes = [make_scene(scenario, seed) for seed in seeds]
    own = sum((scored(scene, _ours(scene)) for scene in scenes), Counts(0, 0, 0))
    words, holds = at_least(own.f1, goal)
    return Figure(
        figure=f"association F1, {scenario.name}, noise {scenario.noise:g}", value=own.f1, unit="",
        goal=words, holds=None if quick else holds,
        conditions=(
            f"{own.n_true} events of {LEAST_PICKS} picks or more in "
            f"{len(seeds) * scenario.hours:.2g} h, recall {own.n_found / max(own.n_true, 1):.3f}, "
            f"{own.n_false} false; {_TOO_FEW if quick else ''}seeds {seeds}; {_made_by()}"
        ),
    )  # fmt: skip


def _peer_counts(scenes: Sequence[Scene], tuning: Tuning) -> Counts:
    return sum((scored(scene, pyocto_groups(scene, tuning)) for scene in scenes), Counts(0, 0, 0))


def speed(quick: bool) -> list[Figure]:
    """Measure the processor time of an hour, tables and compiled code aside."""
    scenario = replace(_CPU, hours=_QUICK_HOURS[_CPU.name]) if quick else _CPU
    scene = make_scene(scenario, SEEDS[0])
    solver = _solver(scene)
    solver.solve_tile(scene.picks[:200], solver.grid.tile_of(scene.span.start_ns))  # tables, code
    started = time.process_time()
    n_events = len(solved(solver, scene))
    spent = (time.process_time() - started) / scenario.hours
    words, holds = at_most(spent, 5.0)
    few = _TOO_FEW if quick else ""
    return [
        Figure(
            figure="association and location of an hour, local 100/h", value=spent, unit="CPU s",
            goal=words, holds=None if quick else holds,
            conditions=f"{scenario.hours:g} h, {len(scene.picks)} picks, {n_events} events; "
            f"{few}{_made_by()}",
        )
    ]  # fmt: skip


def _made_by() -> str:
    return f"generator {GENERATOR}; " + versions("pyocto", "numpy")


def _solver(scene: Scene) -> Solver:
    stations = {station.station_id: station for station in scene.network.stations}
    return Solver.of(stations, KNOWN, region=scene.network.region)


def solved(solver: Solver, scene: Scene) -> list[Origin]:
    """Return the events of all tiles of a scene."""
    tiles = solver.grid.tiles(scene.span)
    first, last = solver.grid.neighbours(tiles[0])[0], solver.grid.neighbours(tiles[-1])[1]
    raw = {tile: solver.solve_tile(scene.picks, tile) for tile in (first, *tiles, last)}
    origins: list[Origin] = []
    for tile in tiles:
        before, after = solver.grid.neighbours(tile)
        origins += solver.settle(raw[before], raw[tile], raw[after], scene.picks).origins
    return origins


def _ours(scene: Scene) -> list[set[str]]:
    return [
        {arrival.pick.pick_id for arrival in origin.arrivals}
        for origin in solved(_solver(scene), scene)
    ]


def scored(scene: Scene, groups: Sequence[set[str]]) -> Counts:
    """Match groups and events one to one, most shared picks first; half of an event's are enough.

    Events of fewer picks than `LEAST_PICKS` are neither asked for nor counted against a finder.
    """
    claims = []
    for g, group in enumerate(groups):
        owners = [scene.owners.get(pick_id, -1) for pick_id in group]
        for k in set(owners) - {-1}:
            shared = owners.count(k)
            if 2 * shared >= len(scene.events[k].picks):
                claims.append((-shared, g, k))
    of_group: dict[int, int] = {}
    of_event: dict[int, int] = {}
    for _, g, k in sorted(claims):
        if g not in of_group and k not in of_event:
            of_group[g], of_event[k] = k, g
    asked = [k for k, event in enumerate(scene.events) if len(event.picks) >= LEAST_PICKS]
    return Counts(sum(k in of_event for k in asked), len(asked), len(groups) - len(of_group))


def _pyocto_table(scene: Scene) -> bytes:
    """Return travel times at sea level in PyOcto's form, as its own maker would write them."""
    network = scene.network
    times = network.travel_times(KNOWN)
    x = np.arange(0.0, network.reach_km, 1.0)
    z = np.clip(np.arange(0.0, network.box.depth_km[1] + 2), 0.0, network.box.depth_km[1])
    table = struct.pack("iid", x.size, z.size, 1.0)
    for phase in PHASES:
        table += np.nan_to_num(times.times(phase, x[:, None], z[None]), nan=1e6).tobytes()
    return table


def pyocto_groups(scene: Scene, tuning: Tuning) -> list[set[str]]:
    """Return the picks of the events that PyOcto finds."""
    network = scene.network
    box = network.box
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(_pyocto_table(scene))
        velocity = pyocto.VelocityModel1D(
            path, tolerance=tuning.tolerance_s, association_cutoff_distance=tuning.cutoff_km
        )
        associator = pyocto.OctoAssociator(
            xlim=box.x_km, ylim=box.y_km, zlim=(0.0, box.depth_km[1]), velocity_model=velocity,
            time_before=120.0 if box.x_km[1] > 100 else 30.0, n_picks=tuning.n_picks,
            n_p_picks=tuning.n_p_picks, n_s_picks=tuning.n_s_picks,
            n_p_and_s_picks=tuning.n_p_and_s_picks,
            pick_match_tolerance=tuning.pick_match_tolerance, min_node_size=tuning.min_node_size,
            min_node_size_location=tuning.min_node_size_location, n_threads=1,
        )  # fmt: skip
        picks = pd.DataFrame(
            {
                "station": [str(pick.seed_id.station_id) for pick in scene.picks],
                "phase": [pick.phase for pick in scene.picks],
                "time": [(to_ns(p.time) - scene.span.start_ns) / NS_PER_S for p in scene.picks],
            }
        )
        stations = pd.DataFrame(
            {
                "id": [str(station.station_id) for station in network.stations],
                "x": network.x_km, "y": network.y_km, "z": -network.elevation_m / 1000,
            }
        )  # fmt: skip
        _, assigned = associator.associate(picks, stations)
    groups: dict[int, set[str]] = {}
    for event, place in zip(assigned["event_idx"], assigned["pick_idx"], strict=True):
        groups.setdefault(int(event), set()).add(scene.picks[int(place)].pick_id)
    return list(groups.values())
