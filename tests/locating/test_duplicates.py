"""One earthquake with two origins, and one origin for two earthquakes."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.config import Association
from geomon.events import Arrival
from geomon.locating.duplicates import joined, parted, why_same
from geomon.locating.locate import Locator
from geomon.locating.network import Network
from tests.locating.builders import CRUST, build_stations, located, picks_of

SETTINGS = Association()


@pytest.fixture(scope="module")
def locator() -> Locator:
    network = Network.of(build_stations(np.random.default_rng(4), n=16, half_km=40.0))
    return Locator(network, network.travel_times(CRUST))


def test_halves_of_one_earthquake_are_joined(locator: Locator) -> None:
    halves = [
        located(locator, picks_of(locator, 10.0, 3.0, -4.0, stations))
        for stations in (range(0, 16, 2), range(1, 16, 2))
    ]
    assert why_same(*halves).endswith("no station saw both")
    for given_order in (halves, halves[::-1]):
        [one] = joined(given_order, locator)
        assert len(one.origin.arrivals) == 32
        assert {id(given_order[k]) for k in one.members} == {id(half) for half in halves}
    assert joined(halves, locator)[0].origin == joined(halves[::-1], locator)[0].origin
    assert joined([joined(halves, locator)[0].origin], locator) == []


def test_events_one_station_tells_apart_stay_two(locator: Locator) -> None:
    one = located(locator, picks_of(locator, 10.0, 3.0, -4.0, range(9)))
    two = located(locator, picks_of(locator, 12.0, 3.5, -4.0, range(8, 16)))
    assert why_same(one, two) == ""
    assert joined([one, two], locator) == []


def test_the_same_picks_are_the_same_event_wherever_it_was_placed(locator: Locator) -> None:
    picks = picks_of(locator, 10.0, 3.0, -4.0, range(10))
    one = located(locator, picks)
    moved = replace(
        located(locator, picks[:12]), latitude=one.latitude + 1.0, time=one.time - timedelta(0, 9)
    )
    [found] = joined([moved, one], locator)
    assert found.members == (1, 0)
    assert found.reason == "12 of 12 picks shared"
    assert found.origin.latitude == pytest.approx(one.latitude, abs=1e-3)


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(6)))
def test_any_order_joins_alike(locator: Locator, order: list[int]) -> None:
    parts = [range(0, 16, 3), range(1, 16, 3), range(2, 16, 3)]
    origins = [
        located(locator, picks_of(locator, second, 3.0, -4.0, part))
        for second in (10.0, 100.0) for part in parts
    ]  # fmt: skip
    found = joined([origins[k] for k in order], locator)
    assert [len(one.origin.arrivals) for one in found] == [32, 32]
    assert {frozenset(order[m] for m in one.members) for one in found} == {
        frozenset({0, 1, 2}), frozenset({3, 4, 5}),
    }  # fmt: skip


@pytest.mark.parametrize("second", [11.5, 14.0])
def test_two_earthquakes_in_one_event_are_parted(locator: Locator, second: float) -> None:
    one = picks_of(locator, 10.0, 3.0, -4.0, range(9))
    two = picks_of(locator, second, 12.0, 9.0, range(9, 16))
    mixed = located(locator, [*one, *two])
    found = parted(mixed, locator, SETTINGS)
    assert found is not None
    for origin, true in zip(found, (one, two), strict=True):  # one pick may fit both
        assert len({a.pick for a in origin.arrivals} ^ set(true)) <= 2


def test_a_phase_twice_at_a_station_is_two_earthquakes(locator: Locator) -> None:
    """As imported events may have it."""
    one = picks_of(locator, 10.0, 3.0, -4.0, range(12))
    two = picks_of(locator, 13.0, 6.0, 0.0, range(3, 14))
    origin = located(locator, one)
    doubled = replace(
        origin,
        arrivals=(*origin.arrivals, *(Arrival(pick, 10.0, 0.0, 3.0, 0.1) for pick in two)),
    )
    found = parted(doubled, locator, SETTINGS)
    assert found is not None
    assert [{a.pick for a in origin.arrivals} for origin in found] == [set(one), set(two)]


def test_one_earthquake_with_wrong_picks_stays_one(locator: Locator) -> None:
    picks = picks_of(locator, 10.0, 3.0, -4.0, range(12))
    rng = np.random.default_rng(3)
    wrong = [
        replace(pick, time=pick.time + timedelta(seconds=float(rng.uniform(1, 4))))
        for pick in picks[::4]
    ]
    kept = [pick for n, pick in enumerate(picks) if n % 4]
    assert parted(located(locator, [*kept, *wrong]), locator, SETTINGS) is None
    assert parted(located(locator, picks), locator, SETTINGS) is None
