"""Which solution is which event: one to one, the same for any order, whatever came before."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.events import Event
from geomon.stores.catalog import Catalog
from geomon.stores.matching import Solution, match
from geomon.times import NS_PER_S, TimeSpan, to_ns
from tests.stores.events import HOUR, STREAMS, dump, make_event, said

TILES = list(HOUR.steps(1200 * NS_PER_S))
SECOND = NS_PER_S


def solution(
    seconds: float, *picks: tuple[int, float], key: str = "", sigma_km: float = 1.0,
    latitude: float = 64.0, **more: object,
) -> Solution:  # fmt: skip
    return Solution(
        key or f"{seconds}",
        round(seconds * SECOND),
        latitude,
        -21.0,
        sigma_km,
        tuple((STREAMS[station], "P", round(time * SECOND)) for station, time in picks),
        **more,
    )


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (solution(0, (1, 5), (2, 6)), solution(9, (1, 5.3), (3, 6), latitude=70.0), True),
        (solution(0, (1, 5), (2, 6)), solution(9, (1, 5.301), (3, 6), latitude=70.0), False),
        (solution(0, (1, 5), (2, 6), (3, 7)), solution(9, (1, 5), (4, 6), (5, 7)), False),
        (solution(0), solution(2.99, latitude=64.03), True),
        (solution(0), solution(3.0), False),
        (solution(0), solution(1.0, latitude=64.04), False),
        (solution(0), solution(1.0, sigma_km=float("nan")), False),
        (solution(0), solution(1.0, allows="picks"), False),
    ],
)
def test_the_rule(one: Solution, two: Solution, same: bool) -> None:
    assert match([one], [two]) == ({0: 0} if same else {})


def test_picks_decide_before_place_and_the_living_before_the_withdrawn() -> None:
    new = solution(10, (1, 15), (2, 16))
    near = solution(10.1, (5, 15), key="near")
    shared = solution(12, (1, 15), (2, 16), key="shared")
    assert match([new], [near, shared]) == {0: 1}
    assert match([new], [near, replace(shared, rank=1)]) == {0: 0}


@given(st.randoms(use_true_random=False), st.integers(0, 8), st.integers(0, 8))
def test_one_to_one_and_the_same_in_any_order(shuffle: random.Random, n: int, k: int) -> None:
    def some(count: int, kind: str) -> list[Solution]:
        return [
            solution(
                shuffle.uniform(0, 12),
                *((shuffle.randrange(12), shuffle.uniform(10, 14)) for _ in range(3)),
                key=f"{kind}{index}",
            )
            for index in range(count)
        ]

    new, known = some(n, "new"), some(k, "known")
    pairs = {(new[a].key, known[b].key) for a, b in match(new, known).items()}
    assert len({b for _, b in pairs}) == len(pairs)
    shuffle.shuffle(new)
    shuffle.shuffle(known)
    assert {(new[a].key, known[b].key) for a, b in match(new, known).items()} == pairs
    assert match(new, new) == {index: index for index in range(n)}


def variants(base: int) -> list[Event]:
    """Solutions of one earthquake near a tile's edge, from the same picks.

    Two on either side of an edge share no pick, as reconciled tiles do not.
    """
    edge = 1200.0 * (base // 3)
    seconds = edge + (-0.4, 0.3, 300.0)[base % 3]
    return [
        replace(
            event,
            preferred_origin=replace(
                event.preferred_origin,
                time=event.preferred_origin.time + timedelta(seconds=shift),
                depth_km=5.0 + shift,
            ),
        )
        for shift in (0.0, 0.5, -0.5)
        for event in [make_event(seconds, latitude=64.0 + base / 10, first_station=6 * (base % 3))]
    ]


def in_tile(events: list[Event], tile: TimeSpan) -> list[Event]:
    return [e for e in events if tile.contains(to_ns(e.preferred_origin.time))]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_no_history_shows_in_what_the_catalogue_says(catalog_factory, data) -> None:
    earthquakes = [variants(base) for base in range(1, 8)]
    choice = st.lists(st.sampled_from([None, 0, 1, 2]), min_size=7, max_size=7)
    catalog: Catalog = catalog_factory()
    run = catalog.begin_run("locate")
    for _ in range(data.draw(st.integers(1, 3))):
        chosen = data.draw(choice)
        events = [e[c] for e, c in zip(earthquakes, chosen, strict=True) if c is not None]
        for tile in data.draw(st.permutations(TILES)):
            catalog.replace_events(tile, in_tile(events, tile), run)
    final = [e for e in events if HOUR.contains(to_ns(e.preferred_origin.time))]
    assert said(catalog.events()) == said(sorted(final, key=lambda e: e.preferred_origin.time))
    rows = dump(catalog)
    for tile in data.draw(st.permutations(TILES)):
        catalog.replace_events(tile, in_tile(events, tile), catalog.begin_run("again"))
    assert dump(catalog) == rows
    catalog.close()
