"""Travel times looked up in tables, for the stations and phases of one event at a time."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geomon.locating.flat_earth import Grid, flattened

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Receivers:
    """n (phase, station) pairs with their places in the tables worked out.

    Attributes
    ----------
    grid : Grid
        Where the tables have nodes.
    slowness : array of float32, shape (2 * n_levels * nx * nz,)
        The tables (s/km), one after the other.
    upper, lower : array of int, shape (n,)
        Where in it the levels above and below each receiver begin.
    weight : array, shape (n,)
        How far each stands from the upper level to the lower one, in [0, 1].
    flat_depth_km : array, shape (n,)
        Flattened depth of each.
    x_km, y_km : array, shape (n,)
        Where each stands.
    """

    grid: Grid
    slowness: NDArray[np.float32]
    upper: NDArray[np.int64]
    lower: NDArray[np.int64]
    weight: Floats
    flat_depth_km: Floats
    x_km: Floats
    y_km: Floats

    def times_from(self, points_km: Floats) -> Floats:
        """Return travel times (s), shape (m, n), from points (m, 3): east, north, depth below sea.

        NaN where a source lies outside the tables.
        """
        grid = self.grid
        points = np.ascontiguousarray(points_km, dtype=np.float64)
        times = np.empty((len(points), self.upper.size))
        _look_up(
            points[:, 0], points[:, 1], flattened(points[:, 2]),
            self.x_km, self.y_km, self.flat_depth_km,
            self.slowness, self.upper, self.lower, self.weight,
            (grid.nx, grid.nz), (grid.dx_km, grid.dz_km), grid.top_km, times,
        )  # fmt: skip
        return times

    def times(self, distance_km: Floats, depth_km: Floats) -> Floats:
        """Return travel times (s), shape of the broadcast arguments; their last axis is n or 1.

        NaN where a source lies outside the tables.
        """
        grid = self.grid
        flat = flattened(depth_km)
        x = distance_km / grid.dx_km
        z = (flat - grid.top_km) / grid.dz_km
        column = np.clip(x.astype(np.int64), 0, grid.nx - 2)
        row = np.clip(z.astype(np.int64), 0, grid.nz - 2)
        a, b = x - column, z - row
        node = column * grid.nz + row
        mean = self._blended(self.upper + node, a, b)
        if len(grid.levels) > 1:
            mean += self.weight * (self._blended(self.lower + node, a, b) - mean)
        times = mean * np.hypot(distance_km, flat - self.flat_depth_km)
        outside = (x > grid.nx - 1) | (z < 0) | (z > grid.nz - 1)
        return np.where(outside, np.nan, times) if np.any(outside) else times

    def _blended(self, node: NDArray[np.int64], a: Floats, b: Floats) -> Floats:
        nz, table = self.grid.nz, self.slowness
        near = table[node] + b * (table[node + 1] - table[node])
        node = node + nz
        far = table[node] + b * (table[node + 1] - table[node])
        return np.asarray(near + a * (far - near))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _look_up(
    x: Floats,
    y: Floats,
    flat: Floats,
    station_x: Floats,
    station_y: Floats,
    station_flat: Floats,
    slowness: NDArray[np.float32],
    upper: NDArray[np.int64],
    lower: NDArray[np.int64],
    weight: Floats,
    shape: tuple[int, int],
    spacing_km: tuple[float, float],
    top_km: float,
    times: Floats,
) -> None:
    """Do what `Receivers.times` does, point by point: location spends most of its time here."""
    nx, nz = shape
    dx, dz = spacing_km
    for m in range(x.size):
        at = (flat[m] - top_km) / dz
        row = min(max(int(at), 0), nz - 2)
        b = at - row
        is_outside = not 0 <= at <= nz - 1
        for k in range(station_x.size):
            distance = math.hypot(x[m] - station_x[k], y[m] - station_y[k])
            along = distance / dx
            column = min(int(along), nx - 2)
            a = along - column
            node = column * nz + row
            mean = _blend(slowness, upper[k] + node, nz, a, b)
            if lower[k] != upper[k]:
                mean += weight[k] * (_blend(slowness, lower[k] + node, nz, a, b) - mean)
            if is_outside or along > nx - 1:
                times[m, k] = math.nan
            else:
                times[m, k] = mean * math.hypot(distance, flat[m] - station_flat[k])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _blend(slowness: NDArray[np.float32], node: int, nz: int, a: float, b: float) -> float:
    near = slowness[node] + b * (slowness[node + 1] - slowness[node])
    far = slowness[node + nz] + b * (slowness[node + nz + 1] - slowness[node + nz])
    return float(near + a * (far - near))
