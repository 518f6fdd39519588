"""First-arrival times of P and S in a layered, spherical Earth, from tables built once.

The layered model is flattened (Müller 1971, Journal of Geophysics 37: z' = -R ln((R - z) / R),
v' = v R / (R - z)), so that distances along the surface and depths make a plane in which
``eikonalfm`` solves the factored eikonal equation (Treister & Haber 2016,
https://doi.org/10.1016/j.jcp.2016.08.012). What is stored and interpolated is the factor, the
mean slowness along the ray; it stays smooth at the source, where time itself has a cusp.
"""

import hashlib
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from geomon.errors import DataError
from geomon.events import Phase
from geomon.velocity import LayeredModel

logger = logging.getLogger(__name__)

EARTH_RADIUS_KM = 6371.0
_FORMAT = 1  # part of the cache key: changes when the same inputs give another table
_CELL_PARTS = 16  # points over which a cell's slowness is averaged, so that layers keep thickness
_MAX_LEVEL_GAP_KM = 0.5
_PHASES: tuple[Phase, Phase] = ("P", "S")

type Floats = NDArray[np.float64]


def flattened(depth_km: ArrayLike) -> Floats:
    """Return the depth (km) in the flattened Earth of a depth below sea level (km)."""
    depth = np.asarray(depth_km, dtype=np.float64)
    return np.asarray(-EARTH_RADIUS_KM * np.log1p(-depth / EARTH_RADIUS_KM))


def true_depth(flat_km: Floats) -> Floats:
    """Return the depth below sea level (km) of a depth in the flattened Earth (km)."""
    return np.asarray(EARTH_RADIUS_KM * -np.expm1(-flat_km / EARTH_RADIUS_KM))


@dataclass(frozen=True, slots=True)
class Grid:
    """Where a table has nodes, in the flattened Earth.

    Attributes
    ----------
    dx_km, dz_km : float
        Spacing along the surface and in depth.
    nx, nz : int
        Number of nodes.
    top_km : float
        Flattened depth of the first row of nodes.
    levels : tuple of int
        Rows on which receivers stand, increasing.
    """

    dx_km: float
    dz_km: float
    nx: int
    nz: int
    top_km: float
    levels: tuple[int, ...]

    @classmethod
    def reaching(
        cls,
        model: LayeredModel,
        *,
        max_distance_km: float,
        depths_km: tuple[float, float],
        elevations_m: Sequence[float],
        spacing_km: float | None = None,
    ) -> "Grid":
        """Lay out nodes fine enough for the distances and deep enough for the rays.

        The spacing in depth is 1/1800 of the largest distance, 0.05 to 0.5 km; along the surface
        twice that. Rays may dive below the deepest source, so the grid ends below every interface
        and every turning point that a first arrival can reach.
        """
        dz = spacing_km or min(max(max_distance_km / 1800, 0.05), 0.5)
        highest = min(depths_km[0], *(-elevation / 1000 for elevation in elevations_m))
        sagitta = max_distance_km**2 / (8 * EARTH_RADIUS_KM)
        reach = max(depths_km[1], max_distance_km / 5) + sagitta
        bottom = max(
            depths_km[1] + sagitta,
            *(top + sagitta + 1 for top in model.tops_km if top < reach),
            *(turning + sagitta for turning in _turning_depths_km(model, max_distance_km)),
        )
        first = math.floor(float(flattened(highest)) / dz) - 1
        last = math.ceil(float(flattened(bottom)) / dz) + 1
        top = first * dz
        rows = [(float(flattened(-elevation / 1000)) - top) / dz for elevation in elevations_m]
        shallow, deep = math.floor(min(rows) + 1e-9), math.ceil(max(rows) - 1e-9)
        interfaces = [round((float(flattened(z)) - top) / dz) for z in model.tops_km[1:]]
        edges = sorted({shallow, deep, *(row for row in interfaces if shallow < row < deep)})
        levels = set(edges)
        for above, below in pairwise(edges):
            parts = math.ceil((below - above) * dz / _MAX_LEVEL_GAP_KM)
            levels.update(above + round(k * (below - above) / parts) for k in range(parts))
        return cls(
            dx_km=2 * dz,
            dz_km=dz,
            nx=math.ceil(max_distance_km / (2 * dz)) + 2,
            nz=last - first + 1,
            top_km=top,
            levels=tuple(sorted(levels)),
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the table: phases, levels, nodes along the surface, nodes in depth."""
        return (len(_PHASES), len(self.levels), self.nx, self.nz)


@dataclass(frozen=True, slots=True, eq=False)
class TravelTimes:
    """Tables of one model, ready for look-ups.

    Attributes
    ----------
    model : LayeredModel
        What they were made from.
    grid : Grid
        Where the nodes are.
    slowness : array of float32, shape (2, n_levels, nx, nz)
        Mean slowness along the ray, s/km, of P and S, from each receiver level to each node.
    """

    model: LayeredModel
    grid: Grid
    slowness: NDArray[np.float32]

    @classmethod
    def build(
        cls,
        model: LayeredModel,
        *,
        max_distance_km: float,
        max_depth_km: float,
        elevations_m: Sequence[float],
        min_depth_km: float = 0.0,
        spacing_km: float | None = None,
        cache: Path | None = None,
    ) -> "TravelTimes":
        """Make the tables, or read them from the cache.

        Parameters
        ----------
        model : LayeredModel
            The velocity model.
        max_distance_km : float
            Largest distance between a station and a source: to the farthest corner.
        max_depth_km, min_depth_km : float
            Depths of sources, below sea level; the least may be negative.
        elevations_m : sequence of float
            Station elevations; times hold between the least and the largest.
        spacing_km : float, optional
            Spacing of the nodes in depth; by default it follows from `max_distance_km`.
        cache : path, optional
            Folder that keeps tables under the hash of what they depend on; None keeps nothing.

        Raises
        ------
        DataError
            If a distance or depth makes no sense, or no elevation is given.
        """
        if not elevations_m or not np.all(np.isfinite(elevations_m)):
            msg = f"travel times in {model.name}: need finite station elevations"
            raise DataError(msg)
        if not (0 < max_distance_km < 5000 and min_depth_km < max_depth_km < 1000):
            msg = (
                f"travel times in {model.name}: cannot reach {max_distance_km} km and depths "
                f"{min_depth_km} to {max_depth_km} km"
            )
            raise DataError(msg)
        grid = Grid.reaching(
            model,
            max_distance_km=max_distance_km,
            depths_km=(min_depth_km, max_depth_km),
            elevations_m=elevations_m,
            spacing_km=spacing_km,
        )
        key = repr((_FORMAT, model.version, grid))
        slowness = kept_table(cache, "travel_times", key, grid.shape, lambda: _solved(model, grid))
        return cls(model, grid, slowness)

    @property
    def max_distance_km(self) -> float:
        """Largest distance the tables hold."""
        return (self.grid.nx - 1) * self.grid.dx_km

    def times(
        self,
        phase: Phase,
        distance_km: ArrayLike,
        depth_km: ArrayLike,
        station_elevation_m: ArrayLike = 0.0,
    ) -> Floats:
        """Return travel times (s); arguments broadcast, NaN beyond the tables.

        Parameters
        ----------
        phase : {"P", "S"}
            First arrival of which phase.
        distance_km : array_like
            Distance along the surface between epicentre and station.
        depth_km : array_like
            Source depth below sea level.
        station_elevation_m : array_like
            Receiver elevation above sea level.
        """
        distance, depth, elevation = np.broadcast_arrays(
            np.asarray(distance_km, dtype=np.float64),
            np.asarray(depth_km, dtype=np.float64),
            np.asarray(station_elevation_m, dtype=np.float64),
        )
        is_s = np.full(elevation.size, phase == "S")
        receivers = self.receivers(is_s, elevation.ravel())
        return receivers.times(distance.ravel(), depth.ravel()).reshape(distance.shape)

    def receivers(
        self,
        is_s: NDArray[np.bool_],
        elevation_m: Floats,
        x_km: Floats | float = 0.0,
        y_km: Floats | float = 0.0,
    ) -> "Receivers":
        """Prepare look-ups for n (phase, station) pairs; elevations beyond the levels are clipped.

        Parameters
        ----------
        is_s : array of bool, shape (n,)
            Whether each is an S phase.
        elevation_m : array, shape (n,)
            Elevation of each station.
        x_km, y_km : array, shape (n,), optional
            Where each station stands, for times from points in the same plane.
        """
        grid = self.grid
        levels = np.asarray(grid.levels, dtype=np.float64)
        flat = flattened(-np.asarray(elevation_m, dtype=np.float64) / 1000)
        row = np.clip((flat - grid.top_km) / grid.dz_km, levels[0], levels[-1])
        upper = np.clip(np.searchsorted(levels, row, side="right") - 1, 0, max(levels.size - 2, 0))
        lower = np.minimum(upper + 1, levels.size - 1)
        gap = np.where(lower > upper, levels[lower] - levels[upper], 1.0)
        size = grid.nx * grid.nz
        first = is_s.astype(np.int64) * levels.size
        return Receivers(
            grid=grid,
            slowness=self.slowness.reshape(-1),
            upper=(first + upper) * size,
            lower=(first + lower) * size,
            weight=(row - levels[upper]) / gap,
            flat_depth_km=grid.top_km + row * grid.dz_km,
            x_km=np.full(is_s.size, x_km, np.float64),
            y_km=np.full(is_s.size, y_km, np.float64),
        )


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


def _turning_depths_km(model: LayeredModel, max_distance_km: float) -> Iterator[float]:
    """Yield how deep rays dive in each layer whose speed increases with depth.

    There they are arcs of circles around a point speed / gradient above the layer's top (Slotnick
    1959, Lessons in seismic computing).
    """
    half = max_distance_km / 2
    for phase in _PHASES:
        layers = zip(
            model.tops_km, (*model.tops_km[1:], math.inf), model.speeds(phase),
            model.gradients(phase), strict=True,
        )  # fmt: skip
        for top, bottom, speed, gradient in layers:
            if gradient > 0:
                centre = speed / gradient
                yield min(top + math.hypot(half, centre) - centre, bottom)


def _solved(model: LayeredModel, grid: Grid) -> NDArray[np.float32]:
    import eikonalfm

    rows = grid.top_km + grid.dz_km * np.arange(grid.nz)
    parts = (np.arange(_CELL_PARTS) + 0.5) / _CELL_PARTS - 0.5
    flat = rows[:, None] + grid.dz_km * parts
    depth = true_depth(flat)
    slowness = np.empty(grid.shape, dtype=np.float32)
    for k, phase in enumerate(_PHASES):
        speed = model.speed_at(depth, phase) * np.exp(flat / EARTH_RADIUS_KM)
        column = 1 / (1 / speed).mean(axis=1)
        speeds = np.ascontiguousarray(np.broadcast_to(column, (grid.nx, grid.nz)))
        for n, level in enumerate(grid.levels):
            slowness[k, n] = eikonalfm.factored_fast_marching(
                speeds, (0, level), (grid.dx_km, grid.dz_km), 2
            )
    return slowness


def kept_table(
    cache: Path | None,
    kind: str,
    key: str,
    shape: tuple[int, ...],
    make: Callable[[], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return a table from the folder that keeps it under the hash of a key, or make and keep it.

    Without a folder it is made every time.
    """
    if cache is None:
        return make()
    path = cache / f"{kind}_{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
    table = _read_table(path, shape)
    if table is None:
        table = make()
        _write_table(path, table)
    return table


def _read_table(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return a kept table, or None when there is none of this shape that can be read."""
    try:
        table = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("%s: unreadable travel times are built again (%s)", path, error)
        return None
    if table.shape != shape or table.dtype != np.float32:
        logger.warning("%s: holds %s, not %s; built again", path, table.shape, shape)
        return None
    return np.asarray(table)


def _write_table(path: Path, slowness: NDArray[np.float32]) -> None:
    """Write to a temporary file and rename: readers see all of it or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.stem, suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, slowness, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        logger.warning("%s: travel times are not kept (%s)", path, error)
