"""The Earth as a sphere: near enough wherever half a percent of a distance does not matter.

Where it does, `pyproj.Geod` has the ellipsoid.
"""

import math

EARTH_KM = 6371.0
"""Mean radius."""
KM_PER_DEG = 111.195
"""Length of a degree along a great circle."""


def great_circle_km(
    latitude_1: float, longitude_1: float, latitude_2: float, longitude_2: float
) -> float:
    """Return the distance between two places, in degrees, along a great circle (haversine).

    NaN if one of them is.
    """
    phi_1, phi_2 = math.radians(latitude_1), math.radians(latitude_2)
    half = math.radians(longitude_2 - longitude_1) / 2
    haversine = (
        math.sin((phi_2 - phi_1) / 2) ** 2 + math.cos(phi_1) * math.cos(phi_2) * math.sin(half) ** 2
    )
    return 2 * EARTH_KM * math.asin(min(math.sqrt(haversine), 1.0))
