from pathlib import Path

import numpy as np
import pytest

from geomon.config import Velocity
from geomon.errors import DataError
from geomon.locating.travel_times import TravelTimes
from geomon.sphere import EARTH_KM
from geomon.velocity import LayeredModel

IASP91 = Velocity().model()


@pytest.fixture(scope="module")
def tables() -> TravelTimes:
    return TravelTimes.build(
        IASP91, max_distance_km=305, max_depth_km=35, elevations_m=[0.0, 1000.0]
    )


def test_agrees_with_taup(tables: TravelTimes) -> None:
    from obspy.taup import TauPyModel

    oracle = TauPyModel("iasp91")
    rng = np.random.default_rng(0)
    distance, depth = rng.uniform(1, 300, 40), rng.uniform(0.5, 34, 40)
    for phase in ("P", "S"):
        names = [phase.lower(), phase, f"{phase}n", f"{phase}g"]
        expected = [
            min(a.time for a in oracle.get_travel_times(z, np.degrees(x / EARTH_KM), names))
            for x, z in zip(distance, depth, strict=True)
        ]
        error = tables.times(phase, distance, depth) - expected
        assert np.sqrt(np.mean(error**2)) < 0.010
        assert np.abs(error).max() < 0.040


def test_homogeneous_sphere_is_exact_at_any_elevation_and_near_the_source() -> None:
    model = LayeredModel("one", (0.0,), (6.0,), (3.5,))
    tables = TravelTimes.build(
        model, max_distance_km=40, min_depth_km=-0.4, max_depth_km=15, elevations_m=[100.0, 496.0]
    )
    rng = np.random.default_rng(1)
    distance, depth = rng.uniform(0, 40, 500), rng.uniform(-0.4, 15, 500)
    elevation = rng.uniform(100, 496, 500)
    source, receiver = EARTH_KM - depth, EARTH_KM + elevation / 1000
    chord = np.sqrt(source**2 + receiver**2 - 2 * source * receiver * np.cos(distance / EARTH_KM))
    np.testing.assert_allclose(
        tables.times("P", distance, depth, elevation), chord / 6.0, atol=2e-3
    )
    np.testing.assert_allclose(
        tables.times("S", distance, depth, elevation), chord / 3.5, atol=3e-3
    )


def test_linear_gradient_is_no_stack_of_blocks_above_and_below_the_source() -> None:
    # Rays of ray parameter p in a sphere: with u = r / v, distance is the integral of
    # p / (r √(u² - p²)) and time that of u² / (r √(u² - p²)) (Aki and Richards 2002, eq. 9.22).
    gradient = 0.08
    model = LayeredModel(
        "linear", (-1.0, 40.0), (4.0, 7.5), (2.3, 4.3), (gradient, 0.0), (gradient / 2, 0.0)
    )
    tables = TravelTimes.build(
        model, max_distance_km=40, min_depth_km=-0.8, max_depth_km=15, elevations_m=[-900.0, 900.0]
    )
    rng = np.random.default_rng(4)
    for phase in ("P", "S"):
        for depth, elevation, takeoff in zip(
            rng.uniform(-0.8, 15, 200), rng.uniform(-900, 900, 200), rng.uniform(0, 65, 200),
            strict=True,
        ):  # fmt: skip
            ends = EARTH_KM - depth, EARTH_KM + elevation / 1000
            radius = np.linspace(min(ends), max(ends), 4001)
            u = radius / model.speed_at(EARTH_KM - radius, phase)
            p = u[0] * np.sin(np.radians(takeoff))
            if p >= u.min():
                continue
            root = radius * np.sqrt(u**2 - p**2)
            distance = EARTH_KM * np.trapezoid(p / root, radius)
            if distance < 40:
                time = np.trapezoid(u**2 / root, radius)
                assert tables.times(phase, distance, depth, elevation) == pytest.approx(
                    time, abs=2e-3
                )


def test_shape_follows_the_arguments_and_outside_is_nan(tables: TravelTimes) -> None:
    assert tables.times("P", np.zeros((3, 1)), np.ones(4)).shape == (3, 4)
    assert tables.times("P", 10.0, 5.0).shape == ()
    assert np.isnan(tables.times("P", 400.0, 5.0))
    assert np.isnan(tables.times("P", 10.0, 500.0))


def test_later_with_distance_and_s_after_p(tables: TravelTimes) -> None:
    distance = np.linspace(0.5, 300, 400)
    p, s = (tables.times(phase, distance, 8.0) for phase in ("P", "S"))
    assert (np.diff(p) > 0).all()
    assert (s > 1.6 * p).all()


def test_cache_gives_the_same_table_and_survives_damage(tmp_path: Path) -> None:
    def build() -> TravelTimes:
        return TravelTimes.build(
            IASP91, max_distance_km=50, max_depth_km=20, elevations_m=[0.0], cache=tmp_path
        )

    first = build()
    [file] = tmp_path.iterdir()
    np.testing.assert_array_equal(build().slowness, first.slowness)
    file.write_bytes(file.read_bytes()[:1000])
    np.testing.assert_array_equal(build().slowness, first.slowness)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_nonsense_is_refused() -> None:
    with pytest.raises(DataError, match="station elevations"):
        TravelTimes.build(IASP91, max_distance_km=50, max_depth_km=20, elevations_m=[])
    with pytest.raises(DataError, match="cannot reach"):
        TravelTimes.build(IASP91, max_distance_km=-1, max_depth_km=20, elevations_m=[0.0])
