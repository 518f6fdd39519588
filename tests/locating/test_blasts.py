"""Quarries and faults side by side: who prefers working hours is a blast."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from geomon.events import Event
from geomon.locating.blasts import suspects
from tests.stores.events import make_event

START = datetime(2025, 1, 1, tzinfo=UTC)
LONGITUDE = -21.3  # solar time is 1.4 h behind UTC


def event(time: datetime, latitude: float, depth_km: float, magnitude: float = 1.2) -> Event:
    made = make_event(0.0, latitude=latitude, longitude=LONGITUDE, depth_km=depth_km,
                      value=magnitude, n_stations=1)  # fmt: skip
    origin = replace(
        made.preferred_origin, time=time, arrivals=(),
        depth_interval_km=(max(depth_km - 1.5, 0.0), depth_km + 1.5),
    )  # fmt: skip
    return replace(made, preferred_origin=origin)


def quarry(rng: np.random.Generator, n: int, latitude: float) -> list[Event]:
    """Blasts on weekdays between 9 and 16 h solar time."""
    made: list[Event] = []
    while len(made) < n:
        day = START + timedelta(days=int(rng.integers(200)))
        if day.weekday() < 5:
            time = day + timedelta(hours=float(rng.uniform(9, 16)) - LONGITUDE / 15)
            made.append(event(time, latitude + rng.normal(0, 0.006), rng.uniform(0, 1.5)))
    return made


def fault(rng: np.random.Generator, n: int, latitude: float) -> list[Event]:
    times = [START + timedelta(days=float(rng.uniform(0, 200))) for _ in range(n)]
    return [
        event(time, latitude + rng.normal(0, 0.006), float(rng.uniform(1, 12))) for time in times
    ]


def aftershocks(rng: np.random.Generator, n: int, latitude: float) -> list[Event]:
    """Shallow, begun on a weekday morning, most of them the same day (Omori)."""
    start = datetime(2025, 3, 5, 10, 0, tzinfo=UTC)
    delay = 0.02 * (10 ** rng.uniform(0, 3.5, n) - 1)  # days, up to two months
    return [
        event(start + timedelta(days=float(d)), latitude + rng.normal(0, 0.006), 1.0) for d in delay
    ]


def called(events: list[Event]) -> set[int]:
    return {one.place for one in suspects(events) if one.probability >= 0.8}


def of(make: Callable[..., list[Event]], n: int, seed: int, latitude: float = 64.0) -> list[Event]:
    return make(np.random.default_rng(seed), n, latitude)


def test_a_quarry_is_found_among_faults() -> None:
    events = [*of(quarry, 40, 1), *of(fault, 150, 2, 64.5), *of(aftershocks, 200, 3, 65.0)]
    assert called(events) == set(range(40))


def test_faults_and_aftershocks_are_not_called_quarries() -> None:
    for seed in range(4):
        assert called(of(aftershocks, 300, seed)) == set()
        assert called(of(fault, 300, seed)) == set()


def test_an_earthquake_beside_a_quarry_stays_one() -> None:
    events = of(quarry, 40, 5)
    night = START + timedelta(days=12, hours=1)
    events += [event(night, 64.0, 1.0), event(events[0].preferred_origin.time, 64.0, 9.0)]
    assert called(events) == set(range(40))


def test_order_does_not_matter_and_few_days_say_nothing() -> None:
    events = [*of(quarry, 30, 6), *of(fault, 60, 7)]
    order = np.random.default_rng(8).permutation(len(events)).tolist()
    assert {order[k] for k in called([events[k] for k in order])} == called(events)
    assert called(of(quarry, 7, 9)) == set()
    [first, *_] = suspects(of(quarry, 30, 6))
    assert first.reason.startswith("suspected blast, probability 0.99")
    assert "30 were by day" in first.reason
