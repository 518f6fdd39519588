"""First-arrival times of P and S in a layered, spherical Earth, from tables built once.

The layered model is flattened (`flat_earth`), and in the plane of distances and depths
``eikonalfm`` solves the factored eikonal equation (Treister & Haber 2016,
https://doi.org/10.1016/j.jcp.2016.08.012). What is stored and interpolated is the factor, the
mean slowness along the ray; it stays smooth at the source, where time itself has a cusp.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.errors import DataError
from geomon.events import Phase
from geomon.locating.flat_earth import PHASES, Grid, flattened, true_depth
from geomon.locating.kept_tables import kept_table
from geomon.locating.receivers import Receivers
from geomon.sphere import EARTH_KM
from geomon.velocity import LayeredModel

_FORMAT = 1  # part of the cache key: changes when the same inputs give another table
_CELL_PARTS = 16  # points over which a cell's slowness is averaged, so that layers keep thickness

type Floats = NDArray[np.float64]


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
    ) -> Receivers:
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


def _solved(model: LayeredModel, grid: Grid) -> NDArray[np.float32]:
    import eikonalfm

    rows = grid.top_km + grid.dz_km * np.arange(grid.nz)
    parts = (np.arange(_CELL_PARTS) + 0.5) / _CELL_PARTS - 0.5
    flat = rows[:, None] + grid.dz_km * parts
    depth = true_depth(flat)
    slowness = np.empty(grid.shape, dtype=np.float32)
    for k, phase in enumerate(PHASES):
        speed = model.speed_at(depth, phase) * np.exp(flat / EARTH_KM)
        column = 1 / (1 / speed).mean(axis=1)
        speeds = np.ascontiguousarray(np.broadcast_to(column, (grid.nx, grid.nz)))
        for n, level in enumerate(grid.levels):
            slowness[k, n] = eikonalfm.factored_fast_marching(
                speeds, (0, level), (grid.dx_km, grid.dz_km), 2
            )
    return slowness
