"""Events that were joined or parted stay so, whatever association makes of their picks."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from geomon.config import Association
from geomon.events import Origin, Pick
from geomon.locating.network import Network
from geomon.locating.solve import Solver
from geomon.locating.standing import Standing, keep_decisions
from geomon.times import TimeSpan, to_ns
from tests.locating.builders import CRUST, START_NS, build_stations, located, picks_of

TILE = TimeSpan(START_NS, START_NS + 600 * 10**9)
EVEN, ODD = range(0, 16, 2), range(1, 16, 2)


@pytest.fixture(scope="module")
def solver() -> Solver:
    network = Network.of(build_stations(np.random.default_rng(4), n=16, half_km=40.0))
    return Solver(network, network.travel_times(CRUST), Association())


def standing(
    origin: Origin, event_id: str = "gm1", taken: tuple[Pick, ...] = (), *, is_judged: bool = False
) -> Standing:
    picks = tuple(arrival.pick for arrival in origin.arrivals)
    return Standing(event_id, to_ns(origin.time), picks, taken, 0.9, is_judged, ("tidy-1",))


def picks_in(found: list[tuple[Origin, float]]) -> list[set[Pick]]:
    return [{arrival.pick for arrival in origin.arrivals} for origin, _ in found]


def test_joined_events_are_solved_as_one(solver: Solver) -> None:
    locator = solver.locator
    halves = [picks_of(locator, 10.0, 3.0, -4.0, stations) for stations in (EVEN, ODD)]
    other = located(locator, picks_of(locator, 60.0, -9.0, 2.0, range(10)))
    one = located(locator, [*halves[0], *halves[1]])
    found = [(located(locator, half), 0.8) for half in halves] + [(other, 0.7)]
    picks = [pick for origin, _ in found for pick in (a.pick for a in origin.arrivals)]
    assert keep_decisions(found, (), picks, TILE, solver) == found
    assert keep_decisions(found, [standing(one)], picks, TILE, solver) == [(one, 0.9), (other, 0.7)]
    # The tile beside it leaves both alone.
    beside = TimeSpan(TILE.end_ns, 2 * TILE.end_ns - TILE.start_ns)
    assert keep_decisions(found, [standing(one)], picks, beside, solver) == [(other, 0.7)]


def test_parted_events_are_solved_as_two(solver: Solver) -> None:
    locator = solver.locator
    halves = [located(locator, picks_of(locator, 10.0, 3.0, -4.0, part)) for part in (EVEN, ODD)]
    decided = [standing(half, f"gm{k}") for k, half in enumerate(halves)]
    whole = located(locator, [a.pick for half in halves for a in half.arrivals])
    picks = [arrival.pick for arrival in whole.arrivals]
    found = keep_decisions([(whole, 0.99)], decided, picks, TILE, solver)
    assert picks_in(found) in ([picks_in([(half, 1.0)])[0] for half in order]
                               for order in (halves, halves[::-1]))  # fmt: skip


def test_picks_that_moved_or_went_are_followed_and_new_ones_collected(solver: Solver) -> None:
    locator = solver.locator
    before = picks_of(locator, 10.0, 3.0, -4.0, range(12))
    moved = [replace(pick, time=pick.time + timedelta(seconds=0.02)) for pick in before[2:]]
    late = picks_of(locator, 10.02, 3.0, -4.0, range(12, 14))
    now = located(locator, [*moved, *late])
    [found] = picks_in(
        keep_decisions(
            [(now, 0.8)], [standing(located(locator, before))], [*moved, *late], TILE, solver
        )
    )
    assert found == {*moved, *late}
    few = moved[:4]
    assert keep_decisions([], [standing(located(locator, before))], few, TILE, solver) == []


def test_what_a_judged_event_took_over_does_not_come_back(solver: Solver) -> None:
    locator = solver.locator
    halves = [located(locator, picks_of(locator, 10.0, 3.0, -4.0, part)) for part in (EVEN, ODD)]
    taken = tuple(arrival.pick for arrival in halves[1].arrivals)
    judged = standing(halves[0], taken=taken, is_judged=True)
    picks = [arrival.pick for half in halves for arrival in half.arrivals]
    assert keep_decisions([(halves[1], 0.9)], [judged], picks, TILE, solver) == []
