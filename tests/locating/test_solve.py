import numpy as np
import pytest

from geomon.config import Association, Region
from geomon.events import Origin, Pick
from geomon.locating.associate import Associator
from geomon.locating.network import Network
from geomon.locating.null import shifted_picks
from geomon.locating.solve import Solver
from geomon.times import NS_PER_S, TimeSpan, to_ns
from tests.locating.builders import (
    CRUST,
    START_NS,
    Scene,
    build_stations,
    perturbed,
    picks_of,
    run_tiles,
    simulate,
)


def swarm(seed: int, *, half_km: float, rate: float, noise: float, hours: float) -> Scene:
    rng = np.random.default_rng(seed)
    stations = build_stations(rng, n=25, half_km=half_km, max_elevation_m=1000)
    (south, north), (west, east) = Network.of(stations).frame.to_degrees(
        [-1.1 * half_km, 1.1 * half_km], [-1.1 * half_km, 1.1 * half_km]
    )
    region = Region(
        west=float(west), south=float(south), east=float(east), north=float(north),
        max_depth_km=30,
    )  # fmt: skip
    network = Network.of(stations, region)
    return simulate(
        rng, network=network, truth=network.travel_times(perturbed(CRUST, rng, 0.01)),
        hours=hours, events_per_hour=rate, noise=noise, half_km=half_km, max_depth_km=20,
        statics_s=0.08,
    )  # fmt: skip


def solver_of(scene: Scene) -> Solver:
    stations = {station.station_id: station for station in scene.network.stations}
    return Solver.of(stations, CRUST, region=scene.network.region)


def scored(scene: Scene, origins: list[Origin]) -> tuple[float, float]:
    """Recall over events of eight picks or more, and precision, each event matched once."""
    owner = {pick_id: k for k, event in enumerate(scene.events) for pick_id in event.picks}
    found: set[int] = set()
    for origin in origins:
        owners = [owner.get(a.pick.pick_id, -1) for a in origin.arrivals]
        for k in set(owners) - {-1}:
            if 2 * owners.count(k) >= len(scene.events[k].picks) and k not in found:
                found.add(k)
                break
    visible = {k for k, event in enumerate(scene.events) if len(event.picks) >= 8}
    return len(found & visible) / len(visible), len(found) / len(origins)


def test_p_at_many_stations_needs_no_s() -> None:
    rng = np.random.default_rng(8)
    solver = Solver.of(build_stations(rng, n=14, half_km=60.0), CRUST)
    whole = picks_of(solver.locator, 20.0, 5.0, -10.0, range(14))
    [origin] = run_tiles(solver, [pick for pick in whole if pick.phase == "P"])
    assert len(origin.arrivals) >= 12
    assert run_tiles(solver, [pick for pick in whole[:14] if pick.phase == "P"]) == []


@pytest.mark.parametrize(
    ("half_km", "rate", "noise", "hours"), [(30.0, 100.0, 0.3, 0.25), (120.0, 20.0, 2.0, 0.6)]
)
def test_events_are_found_among_noise(
    half_km: float, rate: float, noise: float, hours: float
) -> None:
    scene = swarm(3, half_km=half_km, rate=rate, noise=noise, hours=hours)
    solver = solver_of(scene)
    origins = run_tiles(solver, scene.picks)
    recall, precision = scored(scene, origins)
    assert recall >= 0.85
    assert precision >= 0.95
    used = [a.pick for origin in origins for a in origin.arrivals]
    assert len(used) == len(set(used))
    for origin in origins:
        slots = [(a.pick.seed_id.station_id, a.pick.phase) for a in origin.arrivals]
        assert len(slots) == len(set(slots))
    errors = []
    for origin in origins:
        nearest = min(scene.events, key=lambda e: abs(e.time_ns - to_ns(origin.time)))
        x, y = scene.network.frame.to_km(origin.latitude, origin.longitude)
        errors.append(float(np.hypot(x - nearest.x_km, y - nearest.y_km)))
    assert np.median(errors) <= half_km / 40


def test_chance_makes_no_event() -> None:
    scene = swarm(5, half_km=30.0, rate=100.0, noise=0.5, hours=0.15)
    assert run_tiles(solver_of(scene), shifted_picks(scene.picks, 2)) == []


def test_missed_picks_come_home() -> None:
    scene = swarm(6, half_km=30.0, rate=20.0, noise=0.0, hours=0.1)
    event = max(scene.events, key=lambda e: len(e.picks))
    picks = [p for p in scene.picks if p.pick_id in event.picks]
    solver = solver_of(scene)
    rng = np.random.default_rng(0)
    hidden = [picks[k] for k in rng.choice(len(picks), len(picks) // 3, replace=False)]
    origin = solver.locate([p for p in picks if p not in hidden])
    assert isinstance(origin, Origin)
    found = solver.collect_missed(origin, hidden)
    assert len(found) >= 0.7 * len(hidden)
    assert solver.collect_missed(origin, list(reversed(hidden))) == found
    late = [
        Pick(p.time.replace(year=p.time.year + 1), p.seed_id, p.phase, 0.9, 0.1) for p in hidden
    ]
    assert solver.collect_missed(origin, late) == ()


def test_an_empty_answer_says_why() -> None:
    scene = swarm(7, half_km=30.0, rate=40.0, noise=0.0, hours=0.2)
    solver = solver_of(scene)
    tile = solver.grid.tile_of(START_NS)
    assert solver.solve_tile([], tile).reason == "no picks of known stations"
    first = scene.picks[0]
    one_station = [p for p in scene.picks if p.seed_id.station == first.seed_id.station]
    tile = solver.grid.tile_of(to_ns(first.time))
    assert "needs 4 stations" in solver.solve_tile(one_station, tile).reason


def test_the_associator_does_not_care_about_order_or_strangers() -> None:
    scene = swarm(8, half_km=30.0, rate=60.0, noise=0.3, hours=0.1)
    tables = scene.network.travel_times(CRUST)
    associator = Associator(scene.network, tables, Association())
    span = TimeSpan(START_NS - 60 * NS_PER_S, START_NS + 480 * NS_PER_S)
    first = associator.associate(scene.picks, span)
    assert first.groups
    shuffled = list(scene.picks)
    np.random.default_rng(1).shuffle(shuffled)  # type: ignore[arg-type]
    again = Associator(scene.network, tables, Association()).associate(shuffled, span)
    assert again == first
    used = {p for g in first.groups for p in g.picks}
    assert used.isdisjoint(first.unused)
    assert used | set(first.unused) == set(scene.picks)


def test_shifting_keeps_every_pick_and_its_station() -> None:
    scene = swarm(9, half_km=30.0, rate=60.0, noise=0.3, hours=0.2)
    shifted = shifted_picks(scene.picks, 1)
    assert len(shifted) == len(scene.picks)
    assert shifted == shifted_picks(scene.picks, 1)
    assert shifted != shifted_picks(scene.picks, 2)
    assert {p.seed_id for p in shifted} == {p.seed_id for p in scene.picks}
    assert shifted_picks([], 1) == []
