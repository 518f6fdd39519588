"""Distances on a sphere, beside another's."""

import math

import pytest
from pyproj import Geod

from geomon.sphere import EARTH_KM, KM_PER_DEG, great_circle_km


@pytest.mark.parametrize(
    "places", [(64.0, -21.3, 64.1, -21.0), (0.0, 179.9, 0.0, -179.9), (90.0, 0.0, -90.0, 40.0)]
)
def test_distances_are_those_of_pyproj(places: tuple[float, float, float, float]) -> None:
    latitude_1, longitude_1, latitude_2, longitude_2 = places
    sphere = Geod(a=EARTH_KM * 1000, b=EARTH_KM * 1000)
    *_, metres = sphere.inv(longitude_1, latitude_1, longitude_2, latitude_2)
    assert great_circle_km(*places) == pytest.approx(metres / 1000, rel=1e-9)


def test_unknown_places_are_at_unknown_distances() -> None:
    assert math.isnan(great_circle_km(math.nan, 7.0, 46.0, 7.0))


def test_a_degree_is_a_360th_of_the_way_around() -> None:
    assert math.radians(EARTH_KM) == pytest.approx(KM_PER_DEG, rel=1e-6)
