"""A pump is no swarm: what repeats to a tenth of a second is left out of association."""

from dataclasses import replace
from datetime import timedelta

import numpy as np

from geomon.events import Phase, Pick
from geomon.ids import StationId
from geomon.locating.machinery import machines
from geomon.locating.network import Network
from geomon.locating.solve import Solver
from geomon.times import NS_PER_S, TimeSpan
from tests.locating.builders import CRUST, START_NS, build_stations, make_pick, simulate

PUMP = StationId("XX", "S03")


def picks_at(seconds: np.ndarray, station: StationId = PUMP, phase: Phase = "P") -> list[Pick]:
    return [
        make_pick(station, phase, START_NS + round(float(s) * 1e6) * 1000, 0.8, 0.05)
        for s in seconds
    ]


def pump(rng: np.random.Generator, period_s: float, n: int) -> np.ndarray:
    """Times of a machine, one in ten missed."""
    times = 7.3 + period_s * np.arange(n) + rng.normal(0, 0.02, n)
    return times[rng.random(n) < 0.9]


def test_a_pump_is_found_among_other_picks() -> None:
    n_found = n_wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        period_s = rng.uniform(15.0, 120.0)
        repeated = picks_at(pump(rng, period_s, 30))
        others = picks_at(rng.uniform(0, 30 * period_s, 15))
        found = machines([*others, *repeated])
        assert {machine.station_id for machine in found} <= {PUMP}
        for machine in found:
            n_wrong += len(set(machine.picks) & set(others))
            n_found += abs(machine.period_s - period_s) < 0.05 and len(
                set(machine.picks) & set(repeated)
            ) >= 0.7 * len(repeated)
    assert n_found >= 95
    assert n_wrong <= 100  # of 1,500


def test_earthquakes_are_no_machines() -> None:
    for seed, rate in ((1, 60), (2, 300), (3, 1000)):
        rng = np.random.default_rng(seed)
        network = Network.of(build_stations(rng, n=12, half_km=30.0))
        scene = simulate(
            rng, network=network, truth=network.travel_times(CRUST), hours=0.5,
            events_per_hour=rate, half_km=30.0, max_depth_km=20.0,
        )  # fmt: skip
        assert machines(scene.picks) == []


def test_what_repeats_at_many_stations_makes_no_events() -> None:
    rng = np.random.default_rng(5)
    network = Network.of(build_stations(rng, n=12, half_km=25.0))
    solver = Solver.of({one.station_id: one for one in network.stations}, CRUST)
    one = simulate(
        rng, network=network, truth=network.travel_times(CRUST), hours=0.02, events_per_hour=0,
        half_km=10.0, max_depth_km=8.0, noise=0.0, times_s=np.array([20.0]), min_magnitude=3.0,
    )  # fmt: skip
    assert len(one.picks) >= 12
    tile = solver.grid.tile_of(START_NS + 60 * NS_PER_S)
    assert len(solver.solve_tile(one.picks, tile).groups) == 1
    again = [
        replace(pick, time=pick.time + timedelta(seconds=31.0 * k))
        for pick in one.picks
        for k in range(12)
    ]
    raw = solver.solve_tile(again, TimeSpan(tile.start_ns, tile.end_ns))
    assert raw.groups == ()
    assert all("repeat every 31.0 s: a machine, left out" in note for note in raw.notes)
    assert len(raw.notes) == len({(p.seed_id.station_id, p.phase) for p in one.picks})
