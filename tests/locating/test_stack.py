"""Piles of picks, plane waves from afar, saturated tiles, networks that read P alone."""

from dataclasses import replace

import numpy as np
import pytest

from geomon.config import Association
from geomon.events import Pick
from geomon.locating.plane_waves import PlaneWave
from geomon.locating.reality import probability
from geomon.locating.solve import Solver
from geomon.locating.stack import Nodes, Stack
from geomon.locating.verify import Verifier
from geomon.times import NS_PER_S, TimeSpan, from_ns, to_ns
from tests.locating.builders import (
    CRUST,
    START_NS,
    Scene,
    build_stations,
    make_pick,
    run_tiles,
    simulate,
)


def quiet(seed: int, n_events: int = 3, n_stations: int = 16) -> tuple[Scene, Solver]:
    """Strong events a minute apart, without false picks."""
    rng = np.random.default_rng(seed)
    stations = build_stations(rng, n=n_stations, half_km=30, max_elevation_m=500)
    solver = Solver.of(stations, CRUST)
    scene = simulate(
        rng, network=solver.network, truth=solver.travel_times, hours=n_events / 60,
        events_per_hour=60, noise=0.0, half_km=25, max_depth_km=15, statics_s=0.03, sigma_p=0.04,
        sigma_s=0.07, times_s=30 + 60.0 * np.arange(n_events), min_magnitude=3.0, outliers=0.0,
    )  # fmt: skip
    return scene, solver


def plane_wave(scene: Scene, second: float, slowness: float = 0.06) -> list[Pick]:
    """P at every station, as from an earthquake far to the west."""
    return [
        make_pick(
            station.station_id, "P",
            START_NS + round((second + slowness * scene.network.x_km[k]) * 1000) * 10**6, 0.9, 0.1,
        )
        for k, station in enumerate(scene.network.stations)
    ]  # fmt: skip


def test_the_tallest_pile_is_an_event_and_goes_when_its_picks_do() -> None:
    scene, solver = quiet(1, n_events=1)
    nodes = Nodes.of(scene.network, solver.travel_times)
    span = TimeSpan(START_NS - 60 * NS_PER_S, START_NS + 120 * NS_PER_S)
    stack = Stack(nodes, scene.network, scene.picks, span)
    score, cell = stack.best()
    picks, place = stack.members(cell)
    [event] = scene.events
    assert len({p.pick_id for p in picks} & event.picks) >= 0.6 * len(event.picks)
    assert np.hypot(place[0] - event.x_km, place[1] - event.y_km) <= 4 * nodes.half_km
    stack.blank(cell)
    assert stack.best()[1] != cell
    stack.remove(scene.picks)
    assert stack.best()[0] < score
    assert stack.best()[0] <= 0


def test_waves_from_afar_are_no_event_but_do_not_hide_one() -> None:
    scene, solver = quiet(2)
    assert run_tiles(solver, plane_wave(scene, 20.0)) == []
    both = [*scene.picks, *plane_wave(scene, 25.0), *plane_wave(scene, 90.0, slowness=0.0)]
    assert len(run_tiles(solver, both)) == len(scene.events)


def test_a_wave_from_afar_says_where_it_came_from_and_takes_its_picks() -> None:
    scene, solver = quiet(2)
    picks = plane_wave(scene, 20.0)
    verifier = Verifier(solver.locator, picks, None)
    verified = verifier.verify(picks)
    assert verified is not None
    wave = verifier.distant_wave(verified)
    assert wave is not None
    assert wave.picks == tuple(sorted(picks))
    assert wave.back_azimuth_deg == pytest.approx(270, abs=2)
    assert "at 17 km/s from 270 degrees" in str(wave)
    verifier.let_pass(wave)
    assert verifier.waves == [wave]
    assert verifier.free_picks() == []
    assert "everywhere at once" in str(PlaneWave((0.0, 0.001), wave.picks))


def test_a_network_that_reads_p_alone_finds_events() -> None:
    scene, _ = quiet(3)
    picks = [pick for pick in scene.picks if pick.phase == "P"]
    stations = {station.station_id: station for station in scene.network.stations}
    solver = Solver.of(stations, CRUST, settings=Association(min_s_picks=0))
    assert len(run_tiles(solver, picks)) == len(scene.events)


def test_too_many_picks_are_told_and_nothing_is_emptied() -> None:
    scene, solver = quiet(4, n_events=5, n_stations=8)
    tile = solver.grid.tile_of(START_NS)
    calm = solver.solve_tile(scene.picks, tile)
    assert not calm.is_saturated
    assert calm.groups
    rng = np.random.default_rng(0)
    span = solver.grid.input_span(tile)
    crowd = [
        replace(pick, time=from_ns(span.start_ns + int(rng.integers(span.end_ns - span.start_ns))))
        for pick in scene.picks
        for _ in range(120)
    ]
    busy = solver.solve_tile([*scene.picks, *crowd], tile)
    assert busy.is_saturated
    assert "saturated" in busy.reason


def test_more_evidence_and_more_picks_make_an_event_likelier() -> None:
    scene, solver = quiet(5)
    tile = solver.grid.tile_of(START_NS)
    group = max(solver.solve_tile(scene.picks, tile).groups, key=lambda g: len(g.picks))
    assert probability(group, 10.0) > 0.95
    few = replace(group, picks=group.picks[:6], evidence=5.0)
    assert probability(replace(few, evidence=-10.0), 10.0) < probability(few, 10.0)
    assert probability(few, 1.0) < probability(few, 30.0)
    assert 0 <= probability(replace(group, evidence=-100.0, picks=group.picks[:1]), 1.0) < 0.05


def test_every_origin_has_its_probability() -> None:
    scene, solver = quiet(6)
    tile = solver.grid.tile_of(to_ns(scene.picks[0].time))
    before, after = solver.grid.neighbours(tile)
    raw = [solver.solve_tile(scene.picks, one) for one in (before, tile, after)]
    solved = solver.settle(raw[0], raw[1], raw[2], scene.picks)
    assert len(solved.probabilities) == len(solved.origins) > 0
    assert all(0.5 < p <= 1 for p in solved.probabilities)
