"""Double couples are found again from their first motions, wrong ones among them."""

import numpy as np
import pytest

from geomon.events import FocalMechanism
from geomon.locating.mechanism import (
    NoMechanism,
    focal_mechanism,
    kagan_angle_deg,
    radiation,
    takeoff_deg,
)
from geomon.locating.travel_times import TravelTimes
from geomon.synthesis.rays import first_arrivals
from geomon.synthesis.swarm import TrueEvent
from geomon.synthesis.swarm import radiation as simulated_radiation
from geomon.velocity import LayeredModel

CRUST = LayeredModel("crust", (0.0, 2.0, 12.0, 30.0), (4.6, 5.8, 6.3, 8.0), (2.6, 3.35, 3.65, 4.5))


def test_radiation_is_that_of_the_simulated_network() -> None:
    event = TrueEvent(0, 0.0, 0.0, 5.0, 1.0, 3e6, 37.0, 62.0, -48.0, 0, 0)
    rng = np.random.default_rng(0)
    azimuth, takeoff = rng.uniform(0, 360, 300), rng.uniform(0, 180, 300)
    expected, _, _ = simulated_radiation(event, azimuth, takeoff)
    np.testing.assert_allclose(radiation(37, 62, -48, azimuth, takeoff), expected, atol=1e-12)


def test_planes_are_two_views_of_one_mechanism_and_angles_follow_known_cases() -> None:
    assert kagan_angle_deg((0, 90, 0), (90, 90, 180)) == pytest.approx(0, abs=1e-5)
    assert kagan_angle_deg((0, 90, 0), (20, 90, 0)) == pytest.approx(20)
    assert kagan_angle_deg((0, 90, 0), (90, 90, 0)) == pytest.approx(90)
    rng = np.random.default_rng(1)
    azimuth, takeoff = rng.uniform(0, 360, 60), rng.uniform(20, 150, 60)
    found = focal_mechanism(np.sign(radiation(120, 50, 70, azimuth, takeoff)), azimuth, takeoff)
    assert isinstance(found, FocalMechanism)
    first = (found.strike_deg, found.dip_deg, found.rake_deg)
    assert kagan_angle_deg(first, found.auxiliary) == pytest.approx(0, abs=1e-4)
    assert kagan_angle_deg(first, (120, 50, 70)) < 12
    assert found.quality == "A"


def test_wrong_polarities_cost_certainty_not_the_mechanism() -> None:
    rng = np.random.default_rng(2)
    angles, within = [], []
    for _ in range(6):
        true = (
            float(rng.uniform(0, 360)),
            float(rng.uniform(30, 85)),
            float(rng.uniform(-180, 180)),
        )
        azimuth, takeoff = rng.uniform(0, 360, 40), rng.uniform(40, 130, 40)
        sign = np.sign(radiation(*true, azimuth, takeoff))
        sign[rng.choice(40, 4, replace=False)] *= -1
        found = focal_mechanism(sign, azimuth, takeoff + 5 * rng.standard_normal(40))
        assert isinstance(found, FocalMechanism)
        angle = kagan_angle_deg((found.strike_deg, found.dip_deg, found.rake_deg), true)
        angles.append(angle)
        within.append(angle < 2 * found.uncertainty_deg)
    assert np.median(angles) < 20
    assert np.mean(within) > 0.8


def test_improbable_polarities_count_less() -> None:
    rng = np.random.default_rng(3)
    true = (210.0, 55.0, 60.0)
    azimuth, takeoff = rng.uniform(0, 360, 30), rng.uniform(40, 130, 30)
    sign = np.sign(radiation(*true, azimuth, takeoff))
    probability = np.full(30, 0.99)
    wrong = rng.choice(30, 9, replace=False)
    sign[wrong] *= -1
    probability[wrong] = 0.6
    weighed = focal_mechanism(sign, azimuth, takeoff, probability)
    alike = focal_mechanism(sign, azimuth, takeoff)
    unknown = focal_mechanism(sign, azimuth, takeoff, np.full(30, np.nan))
    assert isinstance(weighed, FocalMechanism)
    assert isinstance(alike, FocalMechanism)
    assert unknown == alike
    assert weighed.misfit < alike.misfit
    assert weighed.uncertainty_deg < alike.uncertainty_deg
    assert kagan_angle_deg((weighed.strike_deg, weighed.dip_deg, weighed.rake_deg), true) < 20


@pytest.mark.parametrize(
    ("polarity", "azimuth", "words"),
    [
        ([1, -1, 0, 0, 1, 1, 1, 1, 1, 0], np.arange(0, 360, 36.0), "7 polarities; needs 8"),
        ([1, -1] * 5, np.linspace(0, 100, 10), "260° without a polarity"),
    ],
)  # fmt: skip
def test_too_little_gives_none(polarity: list[int], azimuth: np.ndarray, words: str) -> None:
    found = focal_mechanism(polarity, azimuth, np.full(10, 90.0))
    assert isinstance(found, NoMechanism)
    assert words in found.reason


def test_takeoff_angles_follow_exact_rays() -> None:
    tables = TravelTimes.build(
        CRUST, max_distance_km=70, max_depth_km=20, elevations_m=[0.0, 1000.0]
    )
    rng = np.random.default_rng(3)
    distance, depth = rng.uniform(0.5, 60, 100), rng.uniform(2.5, 11.5, 100)
    exact = first_arrivals(CRUST, "P", distance_km=distance, source_depth_km=depth)
    error = np.abs(takeoff_deg(tables, distance, depth, 0.0) - exact.takeoff_deg)
    assert np.median(error) < 0.5
    assert np.quantile(error, 0.95) < 3.0
