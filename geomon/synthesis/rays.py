"""First arrivals in flat layers by exact ray theory: direct rays and head waves.

Independent of the travel-time tables that location uses, so that one checks the other. Formulas
are those of any textbook, for example Stein and Wysession (2003), chapter 3.2. Times in a flat
Earth are up to 0.4 % longer than in a round one, within 150 km and for the same layers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.errors import DataError
from geomon.events import Phase
from geomon.velocity import LayeredModel

type Floats = NDArray[np.float64]

_ITERATIONS = 100
_THINNEST_KM = 1e-6  # thinner parts of a layer are left out
_TOLERANCE = 1e-13
_STEP_KM = 0.5  # thickness of the constant layers that stand for a gradient


@dataclass(frozen=True, slots=True)
class Rays:
    """First arrivals; every field has the broadcast shape of what was asked.

    Attributes
    ----------
    time_s : travel time.
    ray_parameter_s_km : horizontal slowness.
    takeoff_deg : angle at the source from straight down (0) to straight up (180).
    incidence_deg : angle at the station of the way the wave comes, from the vertical: 0 comes
        straight from below, 180 straight from above.
    """

    time_s: Floats
    ray_parameter_s_km: Floats
    takeoff_deg: Floats
    incidence_deg: Floats


def first_arrivals(
    model: LayeredModel,
    phase: Phase,
    *,
    distance_km: ArrayLike,
    source_depth_km: ArrayLike,
    station_depth_km: ArrayLike = 0.0,
) -> Rays:
    """Return the first arrival of a phase between sources and stations.

    Parameters
    ----------
    model : LayeredModel
        Speeds; the first layer reaches up without end, the last one down.
    phase : {"P", "S"}
        Which speeds.
    distance_km : array-like
        Horizontal distances, >= 0.
    source_depth_km, station_depth_km : array-like
        Depths below sea level, negative above; either may be the deeper one.

    Returns
    -------
    Rays
        Arrays of the broadcast shape.

    Raises
    ------
    DataError
        If a distance is negative or anything is not finite.

    Examples
    --------
    >>> model = LayeredModel("uniform", (0.0,), (6.0,), (3.5,))
    >>> rays = first_arrivals(model, "P", distance_km=3.0, source_depth_km=4.0)
    >>> round(float(rays.time_s), 4)
    0.8333
    """
    distance, source, station = (
        np.array(part, np.float64)
        for part in np.broadcast_arrays(distance_km, source_depth_km, station_depth_km)
    )
    for part in (distance, source, station):
        if not np.all(np.isfinite(part)) or np.any(distance < 0):
            msg = f"distances and depths must be finite and distances >= 0 km, got {part}"
            raise DataError(msg)
    layers = _Layers(model, phase)
    best = _direct(layers, distance, source, station)
    for k in range(1, len(layers.speed)):
        best = _earlier(best, _head(layers, k, distance, source, station, below=True))
        best = _earlier(best, _head(layers, k, distance, source, station, below=False))
    return best


class _Layers:
    """Speeds and the depths they hold between."""

    def __init__(self, model: LayeredModel, phase: Phase) -> None:
        model = model.in_steps(_STEP_KM)
        self.speed = np.asarray(model.speeds(phase), np.float64)
        self.top = np.array([-np.inf, *model.tops_km[1:]])
        self.bottom = np.array([*model.tops_km[1:], np.inf])

    def thickness(self, layer: int, upper_km: Floats, lower_km: Floats) -> Floats:
        """How much of a layer lies between two depths, 0 when none."""
        low = np.minimum(lower_km, self.bottom[layer])
        thick = low - np.maximum(upper_km, self.top[layer])
        return np.asarray(np.where(thick > _THINNEST_KM, thick, 0.0))

    def speed_at(self, depth_km: Floats, towards_km: Floats) -> Floats:
        """Speed at a depth; on an interface, that of the side the ray lies on."""
        side = np.where(towards_km < depth_km, -1e-9, 1e-9)
        layer = np.searchsorted(self.bottom[:-1], depth_km + side, side="right")
        return np.asarray(self.speed[layer])


def _angles(layers: _Layers, p: Floats, source: Floats, station: Floats) -> tuple[Floats, Floats]:
    """Angles of the direct ray at source and station."""
    sine_source = np.clip(p * layers.speed_at(source, station), 0, 1)
    sine_station = np.clip(p * layers.speed_at(station, source), 0, 1)
    takeoff = np.degrees(np.arcsin(sine_source))
    incidence = np.degrees(np.arcsin(sine_station))
    upward = source >= station
    return np.where(upward, 180 - takeoff, takeoff), np.where(upward, incidence, 180 - incidence)


def _direct(layers: _Layers, distance: Floats, source: Floats, station: Floats) -> Rays:
    """Rays that never turn.

    With q the tangent of the ray's angle in the fastest layer crossed, distance is an increasing,
    concave function of q, so that Newton's method started at q = 0 never overshoots.
    """
    upper, lower = np.minimum(source, station), np.maximum(source, station)
    thick = np.stack([layers.thickness(k, upper, lower) for k in range(len(layers.speed))])
    speed = layers.speed.reshape(-1, *([1] * distance.ndim))
    fastest = np.max(np.where(thick > 0, speed, 0.0), axis=0)
    level = fastest == 0
    fastest = np.where(level, layers.speed_at(source, station), fastest)
    q = np.zeros_like(distance)
    excess = np.where(thick > 0, fastest**2 - speed**2, 0.0)
    for _ in range(_ITERATIONS):
        root = np.sqrt(fastest**2 + excess * q**2)
        reached = np.sum(thick * speed * q / root, axis=0)
        slope = np.sum(thick * speed * fastest**2 / root**3, axis=0)
        step = np.where(level, 0.0, (distance - reached) / np.where(level, 1.0, slope))
        q = q + step
        if np.all(np.abs(step) <= _TOLERANCE * (1 + q)):
            break
    p = np.where(level, 1.0, q / np.sqrt(1 + q**2)) / fastest
    vertical = np.sqrt(np.maximum(1 / speed**2 - p**2, 0.0))
    time = p * distance + np.sum(thick * vertical, axis=0)
    takeoff, incidence = _angles(layers, p, source, station)
    return Rays(time, p, takeoff, incidence)


def _head(
    layers: _Layers, k: int, distance: Floats, source: Floats, station: Floats, *, below: bool
) -> Rays:
    """Waves that run along an interface on its faster side; infinite time where there are none.

    `below`: along the top of layer `k`, both ends above it. Otherwise along the bottom of layer
    `k - 1`, both ends below it.
    """
    depth = np.full_like(distance, layers.top[k])
    runner = k if below else k - 1
    p = 1 / layers.speed[runner]
    time, offset = p * distance, np.zeros_like(distance)
    exists = np.minimum(source, station) >= depth
    if below:
        exists = np.maximum(source, station) <= depth
    for end in (source, station):
        upper, lower = (end, depth) if below else (depth, end)
        for layer, speed in enumerate(layers.speed):
            thick = layers.thickness(layer, upper, lower)
            exists &= (thick == 0) | (speed < layers.speed[runner])
            down = np.sqrt(max(1 / speed**2 - p**2, 0.0))
            time = time + thick * down
            offset = offset + (thick * p / down if down > 0 else 0.0)
    exists &= distance >= offset
    slowness = np.full_like(distance, p)
    takeoff = np.degrees(np.arcsin(np.clip(p * layers.speed_at(source, depth), 0, 1)))
    incidence = np.degrees(np.arcsin(np.clip(p * layers.speed_at(station, depth), 0, 1)))
    if not below:
        takeoff, incidence = 180 - takeoff, 180 - incidence
    return Rays(np.where(exists, time, np.inf), slowness, takeoff, incidence)


def _earlier(one: Rays, two: Rays) -> Rays:
    """Take, element by element, the earlier of two arrivals."""
    later = two.time_s < one.time_s
    return Rays(
        np.where(later, two.time_s, one.time_s),
        np.where(later, two.ray_parameter_s_km, one.ray_parameter_s_km),
        np.where(later, two.takeoff_deg, one.takeoff_deg),
        np.where(later, two.incidence_deg, one.incidence_deg),
    )
