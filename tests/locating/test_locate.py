from dataclasses import replace

import numpy as np
import pytest

from geomon.events import Origin, Pick
from geomon.ids import SeedId
from geomon.locating.fit import Rejected
from geomon.locating.locate import Locator, locate
from geomon.locating.network import Network
from geomon.locating.timing_errors import reading_errors
from geomon.times import NS_PER_S, to_ns
from tests.locating.builders import (
    CRUST,
    Scene,
    TrueEvent,
    build_stations,
    perturbed,
    simulate,
)


def scene(seed: int, n_events: int, spread: float = 1.0, noise: float = 0.0) -> Scene:
    """Events in a model the locator does not know, five minutes apart."""
    rng = np.random.default_rng(seed)
    network = Network.of(build_stations(rng))
    truth = network.travel_times(perturbed(CRUST, rng, 0.02))
    return simulate(
        rng, network=network, truth=truth, hours=n_events / 12, events_per_hour=12, noise=noise,
        half_km=150 * spread, statics_s=0.12, times_s=np.arange(n_events) * 300.0,
    )  # fmt: skip


def located(scene: Scene) -> list[tuple[TrueEvent, Origin]]:
    locator = Locator(scene.network, scene.network.travel_times(CRUST))
    by_id = {pick.pick_id: pick for pick in scene.picks}
    pairs = []
    for event in scene.events:
        if len(event.picks) >= 10:
            origin = locator.locate([by_id[pick_id] for pick_id in event.picks])
            assert isinstance(origin, Origin)
            pairs.append((event, origin))
    return pairs


def miss_km(scene: Scene, event: TrueEvent, origin: Origin) -> np.ndarray:
    x, y = scene.network.frame.to_km(origin.latitude, origin.longitude)
    return np.array([float(x) - event.x_km, float(y) - event.y_km])


def is_inside_ellipse(miss: np.ndarray, origin: Origin) -> bool:
    azimuth = np.radians(origin.ellipse_azimuth_deg)
    along = miss @ [np.sin(azimuth), np.cos(azimuth)]
    across = miss @ [np.cos(azimuth), -np.sin(azimuth)]
    major, minor = origin.ellipse_km
    return bool((along / major) ** 2 + (across / minor) ** 2 <= 1)


@pytest.fixture(scope="module")
def many() -> list[tuple[Scene, TrueEvent, Origin]]:
    found = []
    for seed in range(4):
        some = scene(seed, 55, spread=1.2)
        found += [(some, *pair) for pair in located(some)]
    return found


def test_median_errors_inside_the_network(many: list[tuple[Scene, TrueEvent, Origin]]) -> None:
    inside = [(s, e, o) for s, e, o in many if o.azimuthal_gap_deg <= 180]
    misses = [np.hypot(*miss_km(*case)) for case in inside]
    depths = [abs(o.depth_km - e.depth_km) for _, e, o in inside]
    times = [abs((to_ns(o.time) - e.time_ns) / NS_PER_S) for _, e, o in inside]
    assert len(inside) >= 80
    assert np.median(misses) <= 1.0
    assert np.quantile(misses, 0.9) <= 2.5
    assert np.median(depths) <= 3.0
    assert np.median(times) <= 0.3


def test_ellipse_and_depth_interval_hold_what_they_promise(
    many: list[tuple[Scene, TrueEvent, Origin]],
) -> None:
    held = [is_inside_ellipse(miss_km(s, e, o), o) for s, e, o in many]
    depth = [o.depth_interval_km[0] <= e.depth_km <= o.depth_interval_km[1] for _, e, o in many]
    assert len(many) >= 100
    assert 0.58 <= np.mean(held) <= 0.80
    assert 0.55 <= np.mean(depth) <= 0.82


def test_outside_the_network_says_so() -> None:
    some = scene(7, 60, spread=2.0)
    outside = [(e, o) for e, o in located(some) if o.azimuthal_gap_deg > 200]
    assert len(outside) >= 10
    inside = [o.ellipse_km[0] for _, o in located(scene(8, 30, spread=0.6))]
    assert np.median([o.ellipse_km[0] for _, o in outside]) > 1.5 * np.median(inside)
    assert {o.quality for _, o in outside} <= {"C", "D"}
    held = [is_inside_ellipse(miss_km(some, e, o), o) for e, o in outside]
    assert np.mean(held) >= 0.45


def test_same_picks_same_origin_whatever_their_order() -> None:
    some = scene(1, 3)
    by_id = {pick.pick_id: pick for pick in some.picks}
    picks = [by_id[pick_id] for pick_id in max(some.events, key=lambda e: len(e.picks)).picks]
    tables = some.network.travel_times(CRUST)
    first = locate(picks, some.network, tables)
    second = locate(sorted(picks, reverse=True), some.network, tables)
    assert isinstance(first, Origin)
    assert first == second
    assert [arrival.pick for arrival in first.arrivals] == sorted(picks)
    assert all(0 <= arrival.weight <= 1 for arrival in first.arrivals)
    assert all(0 <= arrival.azimuth_deg < 360 for arrival in first.arrivals)
    shallow, deep = first.depth_interval_km
    assert shallow < deep
    assert first.covariance_km2[0] > 0
    assert first.covariance_km2[5] > 0


def test_gross_outliers_lose_their_weight() -> None:
    some = scene(2, 4)
    by_id = {pick.pick_id: pick for pick in some.picks}
    event = max(some.events, key=lambda e: len(e.picks))
    picks = sorted(by_id[pick_id] for pick_id in event.picks)
    tables = some.network.travel_times(CRUST)
    clean = locate(picks, some.network, tables)
    bad = {picks[3].pick_id, picks[-4].pick_id}
    spoiled = [
        Pick(
            time=pick.time.replace(minute=(pick.time.minute + 1) % 60), seed_id=pick.seed_id,
            phase=pick.phase, probability=pick.probability, uncertainty_s=pick.uncertainty_s,
        )
        if pick.pick_id in bad
        else pick
        for pick in picks
    ]  # fmt: skip
    dirty = locate(spoiled, some.network, tables)
    assert isinstance(clean, Origin)
    assert isinstance(dirty, Origin)
    x, y = some.network.frame.to_km(
        [clean.latitude, dirty.latitude], [clean.longitude, dirty.longitude]
    )
    assert np.hypot(x[0] - x[1], y[0] - y[1]) < 1.5
    assert sorted(arrival.weight for arrival in dirty.arrivals)[1] < 0.01


def test_doubtful_and_weak_picks_count_as_less_exact() -> None:
    pick = scene(2, 4).picks[0]
    sure, doubtful = (replace(pick, probability=p) for p in (0.9, 0.3))
    clear, weak, buried = (replace(sure, snr=snr) for snr in (20.0, 1.5, 0.9))
    errors = reading_errors([sure, clear, doubtful, weak, buried])
    assert errors[1] == pytest.approx(errors[0], rel=0.02)
    assert errors[2] > 1.5 * errors[0]
    assert errors[4] > errors[3] > errors[1]
    assert errors[4] < 0.15  # even then it is a pick


def test_too_few_picks_are_rejected_with_a_reason() -> None:
    some = scene(3, 2)
    tables = some.network.travel_times(CRUST)
    for picks, words in (
        ([], "0 picks at 0 stations"),
        (list(some.picks[:3]), "needs 4 at 3 stations"),
    ):
        answer = locate(picks, some.network, tables)
        assert isinstance(answer, Rejected)
        assert words in answer.reason
    stranger = [
        Pick(p.time, SeedId.parse("ZZ.NONE..HHZ"), p.phase, 0.9, 0.1) for p in some.picks[:6]
    ]
    answer = locate([*some.picks[:2], *stranger], some.network, tables)
    assert isinstance(answer, Rejected)
    assert "of unknown stations" in answer.reason


def test_a_network_across_the_dateline_is_like_any_other() -> None:
    rng = np.random.default_rng(5)
    stations = build_stations(rng, n=15, half_km=60, lat=-20.0, lon=179.9)
    network = Network.of(stations)
    assert network.region.east < network.region.west
    some = simulate(
        rng, network=network, truth=network.travel_times(CRUST), hours=1, events_per_hour=1,
        noise=0, half_km=40, statics_s=0.0, path=0.0, outliers=0.0, times_s=np.array([10.0]),
        min_magnitude=3.0,
    )  # fmt: skip
    [(event, origin)] = located(some)
    assert np.hypot(*miss_km(some, event, origin)) < 2.0
