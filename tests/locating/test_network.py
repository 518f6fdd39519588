from dataclasses import replace

import numpy as np
import pytest

from geomon.config import Region
from geomon.errors import StationMetadataError
from geomon.ids import StationId
from geomon.locating.network import Frame, Network, default_region, geodesic
from geomon.locating.quality import azimuthal_gap, quality_class
from geomon.stations import Station
from tests.locating.builders import CRUST


def station(code: str, latitude: float, longitude: float, elevation_m: float = 0.0) -> Station:
    return Station(StationId("XX", code), latitude, longitude, elevation_m)


def test_frame_keeps_distances_from_its_centre_and_turns_back() -> None:
    frame = Frame(64.0, -179.9)
    latitude, longitude = np.array([63.5, 64.2, 65.0]), np.array([179.5, -179.0, -178.0])
    x, y = frame.to_km(latitude, longitude)
    distance, azimuth = geodesic(64.0, -179.9, latitude, longitude)
    np.testing.assert_allclose(np.hypot(x, y), distance, rtol=1e-6)
    np.testing.assert_allclose(np.degrees(np.arctan2(x, y)) % 360, azimuth, atol=1e-6)
    back_lat, back_lon = frame.to_degrees(x, y)
    np.testing.assert_allclose(back_lat, latitude)
    np.testing.assert_allclose((back_lon - longitude + 180) % 360 - 180, 0, atol=1e-9)


def test_default_region_grows_the_stations_by_half() -> None:
    region = default_region([station("A", 40.0, 10.0), station("B", 41.0, 12.0)])
    assert (region.south, region.north) == (39.5, 41.5)
    assert (region.west, region.east) == (9.0, 13.0)


def test_one_tight_array_still_has_a_region() -> None:
    region = default_region([station("A", 40.0, 10.0)])
    assert region.north - region.south > 0.08
    with pytest.raises(StationMetadataError, match="no station"):
        default_region([])


def test_network_reaches_the_farthest_corner() -> None:
    places = [station("A", 40.0, 10.0, 900), station("B", 41.0, 12.0), station("C", 40.5, 11.0)]
    network = Network.of(
        {s.station_id: s for s in places}, Region(west=9, south=39, east=13, north=42)
    )
    tables = network.travel_times(CRUST)
    (west, east), (south, north) = network.search_box.x_km, network.search_box.y_km
    for x in (west, east):
        for y in (south, north):
            distance = np.hypot(network.x_km - x, network.y_km - y)
            times = tables.times("S", distance, 30.0, network.elevation_m)
            assert np.isfinite(times).all()
    assert network.max_travel_time_s(tables) > 30
    with pytest.raises(StationMetadataError):
        Network.of({})


def test_gap_and_quality() -> None:
    assert azimuthal_gap([0, 90, 180, 270]) == 90
    assert azimuthal_gap([]) == 360
    assert azimuthal_gap([42.0]) == 360
    good = {
        "gap_deg": 80.0, "nearest_km": 4.0, "depth_km": 8.0, "n_phases": 14,
        "ellipse_major_km": 0.5, "depth_half_width_km": 0.8, "rms_s": 0.1,
    }  # fmt: skip
    assert quality_class(**good) == "A"  # type: ignore[arg-type]
    assert quality_class(**{**good, "gap_deg": 140.0}) == "B"  # type: ignore[arg-type]
    assert quality_class(**{**good, "gap_deg": 190.0}) == "C"  # type: ignore[arg-type]
    assert quality_class(**{**good, "gap_deg": 250.0}) == "D"  # type: ignore[arg-type]
    assert quality_class(**{**good, "ellipse_major_km": 30.0}) == "D"  # type: ignore[arg-type]


def test_events_are_looked_for_up_to_the_highest_station_or_as_asked() -> None:
    places = ((46.0, 7.0, 350.0), (46.1, 7.1, 2900.0), (46.0, 7.2, -20.0))
    stations = {
        StationId("XX", f"S{k}"): Station(StationId("XX", f"S{k}"), *place)
        for k, place in enumerate(places)
    }
    assert Network.of(stations).box.depth_km == (-2.9, 30.0)
    sunk = {key: replace(one, elevation_m=-500.0) for key, one in stations.items()}
    assert Network.of(sunk).box.depth_km[0] == 0.0
    region = Region(west=6.9, south=45.9, east=7.3, north=46.2, min_depth_km=-4.0)
    assert Network.of(stations, region).box.depth_km[0] == -4.0
    with pytest.raises(ValueError, match="min_depth_km"):
        Region(west=6.9, south=45.9, east=7.3, north=46.2, min_depth_km=5.0, max_depth_km=4.0)
