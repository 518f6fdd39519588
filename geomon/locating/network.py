"""The stations and the area searched, laid out on a plane: what association and location share."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.config import Region
from geomon.errors import StationMetadataError
from geomon.events import Pick
from geomon.ids import StationId
from geomon.locating.travel_times import TravelTimes
from geomon.sphere import KM_PER_DEG
from geomon.stations import Station
from geomon.velocity import LayeredModel
from geomon.velocity.corrections import StationDelay

if TYPE_CHECKING:
    from pyproj import Geod, Proj

type Floats = NDArray[np.float64]

_MIN_HALF_WIDTH_KM = 5.0  # a region around one tight array still has room for an event
_OUTSIDE = 0.5  # share of the region's half width searched beyond each edge when locating


@lru_cache(maxsize=1)
def _ellipsoid() -> "Geod":
    from pyproj import Geod

    return Geod(ellps="WGS84")


def geodesic(
    latitude: float, longitude: float, latitudes: ArrayLike, longitudes: ArrayLike
) -> tuple[Floats, Floats]:
    """Return distances (km) and azimuths (degrees from north, [0, 360)) from one point to others.

    On the WGS84 ellipsoid.
    """
    there_lat = np.asarray(latitudes, dtype=np.float64)
    there_lon = np.asarray(longitudes, dtype=np.float64)
    here_lat, here_lon = np.full_like(there_lat, latitude), np.full_like(there_lon, longitude)
    azimuth, _, metres = _ellipsoid().inv(here_lon, here_lat, there_lon, there_lat)
    return np.asarray(metres) / 1000, np.asarray(azimuth) % 360


@dataclass(frozen=True)
class Frame:
    """A plane in kilometres (x east, y north): azimuthal equidistant around a point, WGS84.

    Distances from the centre are exact; between points 150 km from it they are off by 1 in 10,000.
    """

    latitude: float
    longitude: float

    @cached_property
    def _projection(self) -> "Proj":
        from pyproj import Proj

        return Proj(
            proj="aeqd", lat_0=self.latitude, lon_0=self.longitude, ellps="WGS84", units="km"
        )

    def to_km(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[Floats, Floats]:
        """Turn degrees into (x, y)."""
        lon, lat = np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)
        x, y = self._projection(lon, lat)
        return np.asarray(x), np.asarray(y)

    def to_degrees(self, x_km: ArrayLike, y_km: ArrayLike) -> tuple[Floats, Floats]:
        """Turn (x, y) into latitude and longitude."""
        x, y = np.asarray(x_km, dtype=np.float64), np.asarray(y_km, dtype=np.float64)
        longitude, latitude = self._projection(x, y, inverse=True)
        return np.asarray(latitude), np.asarray(longitude)


@dataclass(frozen=True, slots=True)
class Box:
    """A volume in a frame: x, y and depth limits in kilometres."""

    x_km: tuple[float, float]
    y_km: tuple[float, float]
    depth_km: tuple[float, float]

    def grown(self, share: float) -> "Box":
        """Return the box with each horizontal half width grown by a share of itself."""
        (west, east), (south, north) = self.x_km, self.y_km
        dx, dy = share * (east - west) / 2, share * (north - south) / 2
        return Box((west - dx, east + dx), (south - dy, north + dy), self.depth_km)

    def contains(self, points_km: Floats) -> NDArray[np.bool_]:
        """Tell which points (m, 3) lie within, the limits included."""
        limits = np.array([self.x_km, self.y_km, self.depth_km])
        return np.asarray(((points_km >= limits[:, 0]) & (points_km <= limits[:, 1])).all(axis=1))


def default_region(stations: Iterable[Station], max_depth_km: float = 30.0) -> Region:
    """Return the stations' box grown by half its size, at least 5 km, on every side.

    Raises
    ------
    StationMetadataError
        If there is no station.
    """
    places = [(station.latitude, station.longitude) for station in stations]
    if not places:
        msg = "network: no station, so no region to look for events in"
        raise StationMetadataError(msg)
    latitudes = np.array([latitude for latitude, _ in places])
    longitudes = np.array([longitude for _, longitude in places])
    reference = longitudes[0]
    turned = (longitudes - reference + 180) % 360 - 180  # a network may straddle the dateline
    shrink = max(math.cos(math.radians(float(np.abs(latitudes).max()))), 0.05)
    dy = max((latitudes.max() - latitudes.min()) / 2, _MIN_HALF_WIDTH_KM / KM_PER_DEG)
    dx = max((turned.max() - turned.min()) / 2, _MIN_HALF_WIDTH_KM / KM_PER_DEG / shrink)
    west, east = (
        float((turned.min() + reference - dx + 180) % 360 - 180),
        float((turned.max() + reference + dx + 180) % 360 - 180),
    )
    if turned.max() - turned.min() + 2 * dx >= 360:
        west, east = -180.0, 180.0
    return Region(
        west=west,
        south=max(float(latitudes.min() - dy), -90.0),
        east=east,
        north=min(float(latitudes.max() + dy), 90.0),
        max_depth_km=max_depth_km,
    )


def _least_depth_km(region: Region, elevation_m: Floats) -> float:
    """Return the top of what is searched: ground as high as any station stands on."""
    if region.min_depth_km is not None:
        return region.min_depth_km
    return min(-float(elevation_m.max()) / 1000, 0.0)


@dataclass(frozen=True, eq=False)
class Network:
    """Stations in id order and the region, in one frame centred on the region.

    Attributes
    ----------
    stations : tuple of Station
        In id order.
    region : Region
        Where events are looked for.
    frame : Frame
        The plane everything below lies in.
    x_km, y_km, elevation_m : array, shape (n_stations,)
        Where the stations stand.
    box : Box
        The region, from the highest station (or the region's least depth) down.
    delay_s : array, shape (2, n_stations)
        How late P and S arrive at each station: the station corrections.
    """

    stations: tuple[Station, ...]
    region: Region
    frame: Frame
    x_km: Floats
    y_km: Floats
    elevation_m: Floats
    box: Box
    delay_s: Floats

    @classmethod
    def of(
        cls,
        stations: Mapping[StationId, Station],
        region: Region | None = None,
        corrections: Iterable[StationDelay] = (),
    ) -> "Network":
        """Lay out stations and region; by default the region follows from the stations.

        Station corrections of stations that are not given are ignored.

        Raises
        ------
        StationMetadataError
            If there is no station.
        """
        ordered = tuple(stations[key] for key in sorted(stations))
        area = region or default_region(ordered)
        if not ordered:
            msg = "network: no station to locate with"
            raise StationMetadataError(msg)
        width = (area.east - area.west) % 360 or 360.0
        frame = Frame((area.south + area.north) / 2, (area.west + width / 2 + 180) % 360 - 180)
        x, y = frame.to_km([s.latitude for s in ordered], [s.longitude for s in ordered])
        elevation = np.array([station.elevation_m for station in ordered])
        share = np.linspace(0, 1, 21)
        longitudes = area.west + width * share
        latitudes = area.south + (area.north - area.south) * share
        edge_x, edge_y = frame.to_km(
            np.r_[np.full(21, area.south), np.full(21, area.north), latitudes, latitudes],
            np.r_[longitudes, longitudes, np.full(21, area.west), np.full(21, area.east)],
        )
        box = Box(
            (float(edge_x.min()), float(edge_x.max())),
            (float(edge_y.min()), float(edge_y.max())),
            (_least_depth_km(area, elevation), area.max_depth_km),
        )
        bare = cls(ordered, area, frame, x, y, elevation, box, np.zeros((2, len(ordered))))
        return bare.corrected(corrections)

    def corrected(self, corrections: Iterable[StationDelay]) -> "Network":
        """Return the network with these station corrections, and no others."""
        delay = np.zeros_like(self.delay_s)
        for one in corrections:
            if one.station in self.index:
                delay[int(one.phase == "S"), self.index[one.station]] = one.delay_s
        return replace(self, delay_s=delay)

    def delay_of(self, pick: Pick) -> float:
        """Return the station correction of a pick of a known station (s)."""
        return float(self.delay_s[int(pick.phase == "S"), self.index[pick.seed_id.station_id]])

    @cached_property
    def index(self) -> dict[StationId, int]:
        """Position of each station."""
        return {station.station_id: n for n, station in enumerate(self.stations)}

    @cached_property
    def search_box(self) -> Box:
        """The region grown by half its half width: events beside it are seen to be there."""
        return self.box.grown(_OUTSIDE)

    @cached_property
    def reach_km(self) -> float:
        """Largest distance between a station and a point searched."""
        (west, east), (south, north) = self.search_box.x_km, self.search_box.y_km
        dx = np.maximum(np.abs(self.x_km - west), np.abs(self.x_km - east))
        dy = np.maximum(np.abs(self.y_km - south), np.abs(self.y_km - north))
        return float(np.hypot(dx, dy).max())

    @cached_property
    def spacing_km(self) -> float:
        """Median distance of a station to its third nearest neighbour (or the farthest)."""
        if len(self.stations) < 2:
            return _MIN_HALF_WIDTH_KM
        apart = np.hypot(
            self.x_km[:, None] - self.x_km[None, :], self.y_km[:, None] - self.y_km[None, :]
        )
        neighbour = min(3, len(self.stations) - 1)
        return max(float(np.median(np.sort(apart, axis=1)[:, neighbour])), 0.1)

    def travel_times(self, model: LayeredModel, cache: Path | None = None) -> TravelTimes:
        """Return the tables this network needs, from the cache folder where it holds them."""
        return TravelTimes.build(
            model,
            max_distance_km=self.reach_km * 1.02 + 1,
            min_depth_km=self.box.depth_km[0],
            max_depth_km=self.box.depth_km[1],
            elevations_m=[float(elevation) for elevation in self.elevation_m],
            cache=cache,
        )

    def max_travel_time_s(self, travel_times: TravelTimes) -> float:
        """Return the longest S time from a point of the region to any station."""
        (west, east), (south, north) = self.box.x_km, self.box.y_km
        dx = np.maximum(np.abs(self.x_km - west), np.abs(self.x_km - east))
        dy = np.maximum(np.abs(self.y_km - south), np.abs(self.y_km - north))
        depths = np.array(self.box.depth_km)
        times = travel_times.times(
            "S", np.hypot(dx, dy)[:, None], depths[None, :], self.elevation_m[:, None]
        )
        return float(np.nanmax(times))
