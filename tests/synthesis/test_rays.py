"""Exact rays against TauP, against each other, and against what symmetry demands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.errors import DataError
from geomon.synthesis.rays import first_arrivals
from geomon.velocity import LayeredModel

CRUST = LayeredModel("crust", (0.0, 2.0, 12.0, 30.0), (4.6, 5.8, 6.3, 8.0), (2.6, 3.35, 3.65, 4.5))
SLOW_ZONE = LayeredModel("slow zone", (0.0, 3.0, 6.0), (5.5, 4.0, 6.5), (3.1, 2.2, 3.8))

depths = st.floats(-2.5, 25.0)
distances = st.floats(0.0, 150.0)
models = st.sampled_from([CRUST, SLOW_ZONE])


@pytest.fixture(scope="module")
def taup(tmp_path_factory):
    from obspy.taup import TauPyModel
    from obspy.taup.taup_create import build_taup_model

    folder = tmp_path_factory.mktemp("taup")
    bottoms = [*CRUST.tops_km[1:], 200.0]
    crust = [
        f"{depth} {vp} {vs} 2.7"
        for top, bottom, vp, vs in zip(
            CRUST.tops_km, bottoms, CRUST.vp_km_s, CRUST.vs_km_s, strict=True
        )
        for depth in (top, bottom)
    ]
    lines = [
        *crust[:6], "mantle", *crust[6:], "200 8.2 4.6 3.3", "2891 13.7 7.2 5.5", "outer-core",
        "2891 8.0 0 9.9", "5150 10.3 0 12.1", "inner-core", "5150 11.0 3.5 12.7",
        "6371 11.2 3.6 13.0",
    ]  # fmt: skip
    (folder / "crust.nd").write_text("\n".join(lines) + "\n")
    build_taup_model(str(folder / "crust.nd"), output_folder=str(folder), verbose=False)
    return TauPyModel(str(folder / "crust.npz"))


@pytest.mark.parametrize("phase", ["P", "S"])
@pytest.mark.parametrize("depth_km", [0.5, 7.0, 18.0])
def test_times_agree_with_taup(taup, phase, depth_km):
    letters = (phase, phase.lower(), f"{phase}n", f"{phase}g")
    for distance_km in (3.0, 20.0, 60.0, 140.0):
        arrivals = taup.get_travel_times(depth_km, np.degrees(distance_km / 6371.0), letters)
        rays = first_arrivals(CRUST, phase, distance_km=distance_km, source_depth_km=depth_km)
        # TauP's Earth is round, which shortens paths at depth.
        assert float(rays.time_s) == pytest.approx(arrivals[0].time, rel=4e-3)
        if distance_km < 30:
            assert float(rays.time_s) == pytest.approx(arrivals[0].time, abs=0.01)


def test_uniform_model_gives_straight_rays():
    model = LayeredModel("uniform", (0.0,), (6.0,), (3.5,))
    rays = first_arrivals(
        model, "S", distance_km=[3.0, 0.0], source_depth_km=3.0, station_depth_km=-1.0
    )
    np.testing.assert_allclose(rays.time_s, np.array([5.0, 4.0]) / 3.5)
    np.testing.assert_allclose(rays.incidence_deg, [np.degrees(np.arctan2(3, 4)), 0], atol=1e-9)
    np.testing.assert_allclose(rays.takeoff_deg, [180 - np.degrees(np.arctan2(3, 4)), 180])


def test_head_wave_beyond_the_crossover_distance():
    model = LayeredModel("two layers", (0.0, 30.0), (6.0, 8.0), (3.5, 4.5))
    rays = first_arrivals(model, "P", distance_km=200.0, source_depth_km=0.0)
    expected = 200 / 8 + 2 * 30 * np.sqrt(1 / 36 - 1 / 64)
    assert float(rays.time_s) == pytest.approx(expected)
    assert float(rays.incidence_deg) == pytest.approx(np.degrees(np.arcsin(6 / 8)))
    assert float(rays.takeoff_deg) == pytest.approx(np.degrees(np.arcsin(6 / 8)))


def test_fast_layer_above_both_ends_carries_a_head_wave_too():
    rays = first_arrivals(
        SLOW_ZONE, "P", distance_km=30.0, source_depth_km=4.0, station_depth_km=4.0
    )
    along_top = 30 / 5.5 + 2 * 1.0 * np.sqrt(1 / 16 - 1 / 5.5**2)
    along_bottom = 30 / 6.5 + 2 * 2.0 * np.sqrt(1 / 16 - 1 / 6.5**2)
    assert float(rays.time_s) == pytest.approx(min(along_top, along_bottom))


@settings(max_examples=150, deadline=None)
@given(models, distances, depths, depths)
def test_reversing_the_path_keeps_its_time(model, distance_km, one, two):
    there = first_arrivals(
        model, "P", distance_km=distance_km, source_depth_km=one, station_depth_km=two
    )
    back = first_arrivals(
        model, "P", distance_km=distance_km, source_depth_km=two, station_depth_km=one
    )
    assert float(there.time_s) == pytest.approx(float(back.time_s), rel=1e-9, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(models, distances, depths, depths)
def test_no_arrival_beats_the_straight_line_at_top_speed(model, distance_km, one, two):
    rays = first_arrivals(
        model, "S", distance_km=distance_km, source_depth_km=one, station_depth_km=two
    )
    straight = np.hypot(distance_km, one - two)
    assert straight / max(model.vs_km_s) - 2e-6 <= float(rays.time_s)
    assert float(rays.time_s) <= straight / min(model.vs_km_s) + 2e-6
    assert 0 <= float(rays.incidence_deg) <= 180


@settings(max_examples=100, deadline=None)
@given(models, st.floats(0.1, 140.0), depths, depths)
def test_ray_parameter_is_the_slope_of_the_travel_time(model, distance_km, one, two):
    step = 1e-4
    near, far = (
        first_arrivals(
            model, "P", distance_km=distance_km + d, source_depth_km=one, station_depth_km=two
        )
        for d in (-step, step)
    )
    slope = float(far.time_s - near.time_s) / (2 * step)
    between = sorted([float(near.ray_parameter_s_km), float(far.ray_parameter_s_km)])
    assert between[0] - 1e-6 <= slope <= between[1] + 1e-6


def test_broadcasts_stations_against_sources():
    rays = first_arrivals(CRUST, "P", distance_km=np.ones((3, 1)), source_depth_km=np.arange(4.0))
    assert rays.time_s.shape == (3, 4)


@pytest.mark.parametrize("distance_km", [-1.0, np.nan])
def test_refuses_impossible_distances(distance_km):
    with pytest.raises(DataError, match="distances"):
        first_arrivals(CRUST, "P", distance_km=distance_km, source_depth_km=5.0)
