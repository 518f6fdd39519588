from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.config import Association
from geomon.errors import DataError
from geomon.events import Pick
from geomon.ids import StationId
from geomon.locating.associate import PickGroup
from geomon.locating.network import Network
from geomon.locating.solve import Solver
from geomon.locating.tiles import RawTile, TileGrid, is_same_event, kept_groups, reconcile
from geomon.times import NS_PER_S, TimeSpan, from_ns
from tests.locating.builders import (
    CRUST,
    START_NS,
    Scene,
    build_stations,
    make_pick,
    run_tiles,
    simulate,
)

GRID = TileGrid(600 * NS_PER_S, 60 * NS_PER_S, 25 * NS_PER_S, 3.0)
FEW = Association(min_stations=3, min_p_picks=3, min_s_picks=0)
TILES = GRID.tiles(TimeSpan(START_NS, START_NS + 5 * GRID.length_ns))


def pick(station: int, second: float) -> Pick:
    return make_pick(
        StationId("XX", f"S{station:02d}"), "P", START_NS + round(second * 1000) * 10**6, 0.9, 0.1
    )


def group(second: float, picks: list[Pick], latitude: float = 0.0) -> PickGroup:
    time = from_ns(START_NS + round(second * 1000) * 10**6)
    return PickGroup(time, latitude, 0.0, 5.0, tuple(sorted(picks)))


@st.composite
def raw_results(draw: st.DrawFn) -> list[RawTile]:
    """Five neighbouring tiles; two runs may see the same event differently, or not at all."""
    seen: list[list[PickGroup]] = [[] for _ in TILES]
    for number in range(draw(st.integers(0, 14))):
        edge = draw(st.integers(0, 5)) * 600.0
        second = edge + draw(st.integers(-400, 400)) / 10
        stations = draw(st.lists(st.integers(0, 9), min_size=4, max_size=9, unique=True))
        picks = [pick(station, round(second) + 2 + station % 4) for station in stations]
        for k, tile in enumerate(TILES):
            shift = draw(st.sampled_from([-0.4, 0.0, 0.3]))
            dropped = draw(st.integers(0, 1))
            if draw(st.booleans()):
                found = group(second + shift, picks[dropped:], latitude=number / 10)
                seen[k] += kept_groups([found], tile, GRID)
    raw = []
    for tile, groups in zip(TILES, seen, strict=True):
        disjoint: list[PickGroup] = []
        for one in sorted(groups, key=lambda g: g.rank):  # as an associator's groups are
            taken = {p for other in disjoint for p in other.picks}
            if taken.isdisjoint(one.picks):
                disjoint.append(one)
        raw.append(RawTile(tile, tuple(disjoint)))
    return raw


@given(raw_results())
@settings(max_examples=150, deadline=None)
def test_every_pick_is_used_once_and_every_event_belongs_to_one_tile(raw: list[RawTile]) -> None:
    final = [reconcile(*raw[k - 1 : k + 2], GRID, FEW) for k in (1, 2, 3)]
    groups = [g for settled in final for g in settled.groups]
    used = [p for g in groups for p in g.picks]
    assert len(used) == len(set(used))
    for settled, tile in zip(final, TILES[1:4], strict=True):
        assert all(tile.contains(g.time_ns) for g in settled.groups)
        assert all(len(g.picks) >= 3 for g in settled.groups)
        beside = {p for g in settled.beside for p in g.picks}
        assert beside.isdisjoint(p for g in settled.groups for p in g.picks)
    for one in groups:
        assert not any(is_same_event(one, two, 3.0) for two in groups if two is not one)


@given(raw_results(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_groups_does_not_matter(raw: list[RawTile], random: object) -> None:
    shuffled = []
    for one in raw:
        groups = list(one.groups)
        random.shuffle(groups)  # type: ignore[attr-defined]
        shuffled.append(replace(one, groups=tuple(groups)))
    for k in (1, 2, 3):
        assert reconcile(*raw[k - 1 : k + 2], GRID, FEW) == reconcile(
            *shuffled[k - 1 : k + 2], GRID, FEW
        )


@given(raw_results())
@settings(max_examples=60, deadline=None)
def test_an_event_seen_by_both_sides_of_an_edge_is_kept(raw: list[RawTile]) -> None:
    final = [reconcile(*raw[k - 1 : k + 2], GRID, FEW) for k in (1, 2, 3)]
    kept = [g for settled in final for g in settled.groups]
    used = {p for g in kept for p in g.picks}
    for left, right in ((raw[1], raw[2]), (raw[2], raw[3])):
        for g in left.groups:
            if g in right.groups:  # exactly the same in both: its picks end in some event
                assert used & set(g.picks)


def test_the_better_supported_wins_and_the_loser_keeps_the_rest() -> None:
    shared = pick(1, 605.0)
    strong = group(598.0, [shared, *(pick(s, 604.0 + s) for s in range(2, 9))])
    weak = group(602.0, [shared, *(pick(s, 620.0 + s) for s in range(2, 6))], latitude=1.0)
    empty = [RawTile(tile, ()) for tile in TILES]
    before, this, after = empty[0], replace(empty[1], groups=(weak,)), empty[2]
    first = replace(before, groups=(strong,))
    [kept] = reconcile(first, this, after, GRID, FEW).groups
    assert shared not in kept.picks
    assert len(kept.picks) == 4
    assert reconcile(first, this, after, GRID, FEW).beside == (strong,)


def test_tiles_must_be_neighbours() -> None:
    raw = [RawTile(tile, ()) for tile in TILES]
    with pytest.raises(DataError, match="not between"):
        reconcile(raw[0], raw[2], raw[3], GRID, FEW)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_tiles_cover_a_span_without_overlap(start_s: int, length_s: int) -> None:
    span = TimeSpan(start_s * NS_PER_S, (start_s + length_s) * NS_PER_S)
    tiles = GRID.tiles(span)
    assert tiles[0].start_ns <= span.start_ns
    assert span.end_ns <= tiles[-1].end_ns
    assert all(a.end_ns == b.start_ns for a, b in pairwise(tiles))
    assert set(tiles) <= set(GRID.affected(span))
    for tile in GRID.affected(span):
        assert GRID.dependency_span(tile).overlaps(span)


# A real network and associator, with events on the edges of tiles.


@pytest.fixture(scope="module")
def local() -> tuple[Scene, Solver]:
    rng = np.random.default_rng(4)
    stations = build_stations(rng, n=14, half_km=25, max_elevation_m=500)
    network = Network.of(stations)
    solver = Solver.of(stations, CRUST, settings=Association(tile_s=120))
    length = solver.grid.length_ns / NS_PER_S
    start = -(-START_NS // solver.grid.length_ns) * solver.grid.length_ns
    times = [30.0, length - 0.05, length + 45, 2 * length + 0.02, 2 * length + 30, 3 * length - 1.0]
    scene = simulate(
        rng, network=network, truth=network.travel_times(CRUST), hours=4 * length / 3600,
        events_per_hour=1, noise=0.3, half_km=20, max_depth_km=15, statics_s=0.03, sigma_p=0.04,
        sigma_s=0.07, times_s=np.array(times), start_ns=start, min_magnitude=2.0, outliers=0.0,
    )  # fmt: skip
    return scene, solver


@pytest.mark.fault(53, slow=True)
def test_events_on_tile_edges_are_found_once_and_whole(local: tuple[Scene, Solver]) -> None:
    scene, solver = local
    origins = run_tiles(solver, scene.picks)
    for event in scene.events:
        same = [
            {a.pick.pick_id for a in origin.arrivals}
            for origin in origins
            if abs((origin.time - from_ns(event.time_ns)).total_seconds()) < 1
        ]
        assert len(same) == 1
        assert len(same[0] & event.picks) >= 0.9 * len(event.picks)
    assert len(origins) == len(scene.events)
    used = [a.pick for origin in origins for a in origin.arrivals]
    assert len(used) == len(set(used))


def test_order_of_tiles_and_of_picks_does_not_matter(local: tuple[Scene, Solver]) -> None:
    scene, solver = local
    first = run_tiles(solver, scene.picks)
    shuffled = list(scene.picks)
    np.random.default_rng(0).shuffle(shuffled)  # type: ignore[arg-type]
    assert run_tiles(solver, shuffled, backwards=True) == first
