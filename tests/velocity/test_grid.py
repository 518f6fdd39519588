"""Three-dimensional models from files, and times through them."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file

from geomon.config import load_config
from geomon.errors import DataError
from geomon.events import Origin, Pick
from geomon.ids import SeedId, StationId
from geomon.locating.locate import Locator
from geomon.locating.mechanism import takeoff_deg
from geomon.locating.network import Network
from geomon.locating.solve import Solver
from geomon.locating.station_times import StationTimes
from geomon.locating.travel_times import TravelTimes
from geomon.stations import Station
from geomon.times import from_ns
from geomon.velocity import LayeredModel
from geomon.velocity.grid import Coordinates, VelocityGrid, read_grid

LONGITUDE, LATITUDE = np.linspace(14.8, 15.2, 9), np.linspace(39.9, 40.1, 5)
DEPTH = np.array([-2.0, 0.0, 5.0, 20.0, 40.0])
SPEED = 4.5 + 0.05 * DEPTH[:, None, None] + 0.5 * (LONGITUDE - 15) + np.zeros((5, 5, 9))


def write_netcdf4(path: Path, **changes: object) -> None:
    axes = {"depth": DEPTH, "latitude": LATITUDE, "longitude": LONGITUDE}
    with h5py.File(path, "w") as file:
        for name, values in axes.items():
            file[name] = values
            file[name].make_scale(name)
        for name, values in {"vp": SPEED, "vs": SPEED / 1.75, **changes}.items():
            if values is not None:
                file[name] = values
                for k, axis in enumerate(axes):
                    file[name].dims[k].attach_scale(file[axis])


def test_netcdf_of_either_kind_gives_speeds_where_they_are(tmp_path: Path) -> None:
    write_netcdf4(tmp_path / "new.nc")
    with netcdf_file(tmp_path / "old.nc", "w") as file:
        for name, values, unit in (
            ("longitude", LONGITUDE, "degrees_east"), ("latitude", LATITUDE[::-1], "degrees_north"),
            ("depth", 1000 * DEPTH, "m"),
        ):  # fmt: skip
            file.createDimension(name, values.size)
            axis = file.createVariable(name, "d", (name,))
            axis[:], axis.units = values, unit
        vp = file.createVariable("Vp", "d", ("latitude", "longitude", "depth"))
        vp[:], vp.units = 1000 * SPEED.transpose(1, 2, 0), "m/s"
    grids = read_grid(tmp_path / "new.nc"), read_grid(tmp_path / "old.nc", vp_vs=1.75)
    for grid in grids:
        expected = 4.5 + 0.05 * 10 + 0.5 * 0.07
        assert grid.speed_at(40.03, 15.07, 10.0, "P") == pytest.approx(expected)
        assert grid.speed_at(40.03, 15.07, 10.0, "S") == pytest.approx(expected / 1.75)
        assert grid.speed_at(45, 99, -9, "P") == pytest.approx(4.5 - 0.1 + 0.1)
    assert grids[0].profile().speed_at(10, "P") == pytest.approx(5.0, abs=0.01)


def test_nonlinloc_grids_with_their_transform(tmp_path: Path) -> None:
    _, y, z = np.meshgrid(
        np.arange(21.0) - 10, np.arange(11.0) - 5, np.arange(13.0) - 2, indexing="ij"
    )
    for phase, speed in (("P", 5 + 0.02 * y + 0.05 * z), ("S", 2.9 + 0.03 * z)):
        (tmp_path / f"layer.{phase}.mod.hdr").write_text(
            "21 11 13  -10.0 -5.0 -2.0  1.0 1.0 1.0 SLOW_LEN FLOAT\n"
            "TRANSFORM  SIMPLE LatOrig 40.0  LongOrig 15.0  RotCW 90.0\n"
        )
        (1 / speed).astype("<f4").tofile(tmp_path / f"layer.{phase}.mod.buf")
    grid = read_grid(tmp_path / "layer.P.mod.hdr")
    # North lies clockwise of the y axis, so that axis points west: 3 km east is y = -3.
    east = 15 + 3 / (10_000 / 90 * np.cos(np.radians(40)))
    assert grid.speed_at(40.0, east, 4.0, "P") == pytest.approx(5 - 0.06 + 0.2, abs=1e-4)
    assert grid.speed_at(40.0, east, 4.0, "S") == pytest.approx(3.02, abs=1e-4)
    (tmp_path / "layer.P.mod.buf").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"layer\.P\.mod\.buf: 1 values, but .* announces 21 × 11"):
        read_grid(tmp_path / "layer.P.mod.hdr")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vs": None}, "no S speeds; give them, or set velocity.vp_vs"),
        ({"vp": None}, "has no vp; needs longitude"),
        ({"vs": SPEED}, "allowed is 0 < vs < vp < 15: 225 nodes"),
    ],
)
def test_a_grid_that_lacks_something_says_what(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    write_netcdf4(tmp_path / "a.nc", **changes)
    with pytest.raises(DataError, match=words):
        read_grid(tmp_path / "a.nc")
    (tmp_path / "b.nc").write_text("hello")
    with pytest.raises(DataError, match="neither NetCDF nor a NonLinLoc"):
        read_grid(tmp_path / "b.nc")


def network() -> Network:
    places = ((40.0, 15.0, 850.0), (40.03, 15.06, -300.0), (39.95, 14.95, 0.0))
    return Network.of(
        {
            StationId("XX", f"S{k}"): Station(StationId("XX", f"S{k}"), lat, lon, elevation)
            for k, (lat, lon, elevation) in enumerate(places)
        }
    )


def test_a_layered_grid_gives_the_times_of_the_layered_model(tmp_path: Path) -> None:
    model = LayeredModel("linear", (-2.0, 60.0), (4.5, 7.6), (2.6, 4.4), (0.05, 0.0), (0.029, 0.0))
    depth = np.linspace(-2, 60, 125)
    vp, vs = (np.broadcast_to(model.speed_at(depth, p), (2, 2, 125)) for p in ("P", "S"))
    grid = VelocityGrid(
        "grid", Coordinates(), (np.array([14.0, 16.0]), np.array([39.0, 41.0]), depth),
        vp.astype(np.float32), vs.astype(np.float32),
    )  # fmt: skip
    net = network()
    flat: TravelTimes = net.travel_times(model)
    times = StationTimes.build(grid, net, spacing_km=0.5, cache=tmp_path)
    rng = np.random.default_rng(2)
    box = net.search_box
    points = rng.uniform(*zip(box.x_km, box.y_km, (0, 25), strict=True), (200, 3))
    for phase in ("P", "S"):
        for k in range(3):
            distance = np.hypot(points[:, 0] - net.x_km[k], points[:, 1] - net.y_km[k])
            expected = flat.times(phase, distance, points[:, 2], net.elevation_m[k])
            np.testing.assert_allclose(times.times(phase, k, points), expected, atol=0.01)
    deep = points[points[:, 2] > 5]
    everyone = np.arange(3)
    azimuth, takeoff = Locator(net, flat, times).rays(deep, everyone)
    east, north = net.x_km - deep[:, :1], net.y_km - deep[:, 1:2]
    straight = np.degrees(np.arctan2(east, north)) % 360
    off = np.abs((azimuth - straight + 180) % 360 - 180)
    assert off[np.hypot(east, north) > 2].max() < 3.0
    expected = takeoff_deg(flat, np.hypot(east, north), deep[:, 2:], net.elevation_m)
    assert np.abs(takeoff - expected).max() < 4.0
    np.testing.assert_allclose(Locator(net, flat).rays(deep, everyone)[1], expected, atol=1.0)
    assert len(list(tmp_path.iterdir())) == 3
    again = StationTimes.build(grid, net, spacing_km=0.5, cache=tmp_path)
    np.testing.assert_array_equal(again.tables[1].slowness, times.tables[1].slowness)
    assert np.isnan(times.times("P", 0, np.array([[1e4, 0, 5]]))).all()


def test_the_slow_side_is_late(tmp_path: Path) -> None:
    write_netcdf4(tmp_path / "a.nc", vp=SPEED + 2 * (LONGITUDE > 15), vs=SPEED / 1.75)
    net = network()
    times = StationTimes.build(read_grid(tmp_path / "a.nc"), net, spacing_km=0.5)
    points = np.array([[net.x_km[0] - 6, net.y_km[0], 5.0], [net.x_km[0] + 6, net.y_km[0], 5.0]])
    pairs = times.receivers(np.array([False, True]), [0, 0]).times_from(points)
    assert pairs.shape == (2, 2)
    assert pairs[0, 0] > 1.2 * pairs[1, 0]
    # A ray from the slow side, going north along the boundary, turns into the fast one.
    at = np.array([[net.x_km[0] - 1.0, net.y_km[0] - 15.0, 5.0]])
    layers = LayeredModel("flat", (-2.0,), (6.0,), (3.4,))
    azimuth, _ = Locator(net, net.travel_times(layers), times).rays(at, np.array([0]))
    assert 8 < azimuth[0, 0] < 90


def test_a_network_locates_in_the_grid_its_config_names(tmp_path: Path) -> None:
    write_netcdf4(tmp_path / "a.nc", vp=SPEED + 2 * (LONGITUDE > 15), vs=SPEED / 1.75)
    (tmp_path / "network.yaml").write_text(
        "network: {name: Test}\nsource: {kind: simulated}\nvelocity: {grid: a.nc}\n"
    )
    velocity = load_config(tmp_path / "network.yaml").velocity
    grid = velocity.three_dimensional()
    assert grid is not None
    assert grid.version == velocity.grid_version
    assert velocity.model() == LayeredModel(
        "a", *(getattr(grid.profile(), name) for name in LayeredModel.__slots__[1:])
    )
    places = [(40 + 0.06 * np.sin(k), 15 + 0.08 * np.cos(k)) for k in range(8)]
    stations = {
        StationId("XX", f"S{k}"): Station(StationId("XX", f"S{k}"), lat, lon, 0.0)
        for k, (lat, lon) in enumerate(places)
    }
    solver = Solver.of(stations, velocity.model(), grid=grid)
    point = np.array([1.5, -1.0, 6.0])
    truth = solver.locator.station_times
    assert truth is not None
    picks = [
        Pick(
            from_ns(10**18 + round(1e9 * float(truth.times(phase, k, point[None])[0]))),
            SeedId("XX", f"S{k}", "", "HHZ"), phase, 0.9, 0.02,
        )
        for k in range(8) for phase in ("P", "S")
    ]  # fmt: skip
    origin = solver.locator.locate(picks)
    assert isinstance(origin, Origin)
    x, y = solver.network.frame.to_km(origin.latitude, origin.longitude)
    assert np.linalg.norm([x - 1.5, y + 1.0, origin.depth_km - 6.0]) < 0.4
    assert grid.version in origin.velocity_model
    write_netcdf4(tmp_path / "a.nc")
    with pytest.raises(DataError, match="has changed since the config was read"):
        velocity.three_dimensional()
