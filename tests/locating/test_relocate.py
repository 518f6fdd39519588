"""Double-difference relocation of a simulated cluster, in a model the locator does not know."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from geomon.locating.correlate import correlate
from geomon.locating.fit import Fit
from geomon.locating.locate import Locator
from geomon.locating.network import Network
from geomon.locating.relocate import (
    Arrivals,
    Differences,
    Relocated,
    Times,
    neighbours,
    picked_differences,
    relocate,
)
from geomon.times import NS_PER_S
from tests.locating.builders import CRUST, START_NS, build_stations, make_pick, perturbed

N_EVENTS = 40


@dataclass(frozen=True)
class Cluster:
    """Truth, what single-event location says, and what relocation starts from."""

    truth: np.ndarray
    located: np.ndarray
    times_s: np.ndarray
    arrivals: Arrivals
    correlated: Differences
    travel_times: Times
    limits: tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    rng = np.random.default_rng(11)
    network = Network.of(build_stations(rng, n=14, half_km=40))
    true_times = network.travel_times(perturbed(CRUST, rng, 0.03))
    locator = Locator(network, network.travel_times(CRUST))
    truth = np.array([5.0, -3.0, 9.0]) + rng.normal(0, [0.8, 0.5, 0.6], (N_EVENTS, 3))
    delays = rng.normal(0, 0.1, (2, len(network.stations)))
    located, origin_s = np.empty((N_EVENTS, 3)), np.empty(N_EVENTS)
    rows, exact = [], np.full((N_EVENTS, 2, len(network.stations)), np.nan)
    for k, (x, y, z) in enumerate(truth):
        picks = []
        for s, station in enumerate(network.stations):
            distance = np.hypot(x - network.x_km[s], y - network.y_km[s])
            for c, (phase, sigma) in enumerate((("P", 0.05), ("S", 0.09))):
                if rng.random() < 0.2:
                    continue
                travelled = float(true_times.times(phase, distance, z, station.elevation_m))  # type: ignore[arg-type]
                exact[k, c, s] = 60.0 * k + travelled + delays[c, s]
                error = rng.normal(0, sigma) if rng.random() < 0.95 else rng.normal(0, 1.0)
                rows.append((k, s, c, exact[k, c, s] + error, sigma))
                time_ns = START_NS + round(rows[-1][3] * NS_PER_S)
                picks.append(make_pick(station.station_id, phase, time_ns, 0.9, sigma))
        fit = locator.fit(picks)
        assert isinstance(fit, Fit)
        located[k], origin_s[k] = fit.point, (fit.time_ns - START_NS) / NS_PER_S
    event, station_, phase_, time_s, sigma_s = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    arrivals = Arrivals(event, station_, phase_, time_s, sigma_s)
    pairs = neighbours(truth, arrivals, max_km=2.0, max_neighbours=8, min_links=8)
    both = [(i, j, s, c) for i, j in pairs for c in (0, 1) for s in range(len(network.stations))
            if np.isfinite(exact[i, c, s] - exact[j, c, s])]  # fmt: skip
    one, two, s, c = np.array(both).T
    difference = exact[one, c, s] - exact[two, c, s] + rng.normal(0, 0.004, one.size)
    difference[::50] += 0.15  # some correlate a cycle off
    correlated = Differences(
        one, two, s, c, difference, np.full(one.size, 0.004), np.ones(one.size, dtype=bool)
    )
    n = len(network.stations)
    receivers = locator.receivers(np.repeat([False, True], n), np.tile(np.arange(n), 2))
    box = network.search_box
    limits = np.array([box.x_km, box.y_km, box.depth_km]).T
    return Cluster(
        truth, located, origin_s, arrivals, correlated,
        lambda points: receivers.times_from(points).reshape(-1, 2, n), (limits[0], limits[1]),
    )  # fmt: skip


def relocated(cluster: Cluster, *, with_waveforms: bool) -> Relocated:
    pairs = neighbours(
        cluster.located, cluster.arrivals, max_km=10.0, max_neighbours=10, min_links=8
    )
    differences = picked_differences(cluster.arrivals, pairs)
    if with_waveforms:
        differences = differences.joined(cluster.correlated)
    return relocate(
        cluster.located, cluster.times_s, differences, cluster.travel_times,
        limits_km=cluster.limits,
    )  # fmt: skip


@pytest.fixture(scope="module")
def full(cluster: Cluster) -> Relocated:
    return relocated(cluster, with_waveforms=True)


def relative_miss(points: np.ndarray, truth: np.ndarray) -> float:
    """Return the median distance of events from where they are, centroids laid together."""
    off = points - truth
    return float(np.median(np.linalg.norm(off - np.median(off, axis=0), axis=1)))


def test_relative_places_are_recovered_much_better_than_by_single_location(
    cluster: Cluster, full: Relocated
) -> None:
    single = relative_miss(cluster.located, cluster.truth)
    picked = relative_miss(relocated(cluster, with_waveforms=False).points_km, cluster.truth)
    correlated = relative_miss(full.points_km, cluster.truth)
    assert picked < 0.7 * single
    assert correlated < 0.15 * single
    assert full.rms_after_s < 0.2 * full.rms_before_s
    assert set(full.cluster.tolist()) == {0}


def test_the_cluster_stays_and_the_same_input_gives_the_same_places(
    cluster: Cluster, full: Relocated
) -> None:
    again = relocated(cluster, with_waveforms=True)
    np.testing.assert_array_equal(full.points_km, again.points_km)
    np.testing.assert_allclose(full.points_km.mean(0), cluster.located.mean(0), atol=0.05)


def test_uncertainties_are_of_the_size_of_the_errors(cluster: Cluster, full: Relocated) -> None:
    off = full.points_km - cluster.truth
    off -= np.median(off, axis=0)
    share = (np.abs(off) <= 2 * full.sigma_km + 0.02).mean()
    assert share > 0.7
    assert np.median(full.sigma_km) < 0.05


def test_events_without_neighbours_stay_where_they_are(cluster: Cluster) -> None:
    points = cluster.located.copy()
    points[0] += [30.0, 0.0, 0.0]
    alone = replace(cluster, located=points, correlated=cluster.correlated.taken(
        (cluster.correlated.one != 0) & (cluster.correlated.two != 0)
    ))  # fmt: skip
    found = relocated(alone, with_waveforms=True)
    assert found.cluster[0] == -1
    np.testing.assert_array_equal(found.points_km[0], points[0])
    assert np.isnan(found.sigma_km[0]).all()
    none = relocate(
        points[:2], cluster.times_s[:2], cluster.correlated.taken(np.zeros_like(
            cluster.correlated.is_correlated)), cluster.travel_times, limits_km=cluster.limits,
    )  # fmt: skip
    np.testing.assert_array_equal(none.points_km, points[:2])


def test_lags_of_noisy_copies_are_found_within_a_fraction_of_a_sample() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(150) / 100
    shifts = rng.uniform(-0.08, 0.08, 30)
    records = np.array(
        [
            np.sin(2 * np.pi * 7 * (t - 0.5 - d)) * np.exp(-(((t - 0.7 - d) / 0.2) ** 2))
            for d in shifts
        ]
    )
    records += rng.normal(0, 0.05, records.shape)
    pairs = np.array([(i, j) for i in range(30) for j in range(i)])
    found = correlate(records, pairs, 100.0, 0.25)
    error = found.lag_s - (shifts[pairs[:, 0]] - shifts[pairs[:, 1]])
    assert np.abs(error).max() < 0.01
    assert found.coefficient.min() > 0.9
    assert 0.3 < np.std(error) / np.median(found.sigma_s) < 3
    flat = correlate(np.zeros((2, 100)), np.array([[0, 1]]), 100.0, 0.1)
    assert flat.coefficient[0] < 0.1
