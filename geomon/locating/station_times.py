"""First-arrival times in a three-dimensional model: a table for each station, computed once.

Each station gets a grid of its own with a node exactly where it stands, in the network's plane and
in flattened depth (as in `flat_earth`), and ``eikonalfm`` solves the factored eikonal equation
on it for P and S. Tables are kept under the hash of the model, the grid and the place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.events import Phase
from geomon.locating.flat_earth import PHASES, flattened, true_depth
from geomon.locating.kept_tables import kept_table
from geomon.locating.network import Network
from geomon.sphere import EARTH_KM
from geomon.velocity.grid import VelocityGrid

type Floats = NDArray[np.float64]

_FORMAT = 1  # part of the cache key: changes when the same inputs give another table
_MAX_NODES = 6_000_000  # of one table: some 50 MB and 30 s


@dataclass(frozen=True, slots=True)
class _Table:
    """Mean slowness (s/km) of P and S from a station to the nodes of its grid.

    `corner_km` is the first node, `station_km` the station, both (x, y, flattened depth).
    """

    corner_km: tuple[float, float, float]
    station_km: tuple[float, float, float]
    slowness: NDArray[np.float32]  # (2, nx, ny, nz)


@dataclass(frozen=True, slots=True, eq=False)
class StationTimes:
    """Tables of a network's stations in one model.

    Attributes
    ----------
    model : VelocityGrid
        What they were made from.
    spacing_km : float
        Distance of nodes, every way.
    tables : tuple of _Table
        One a station, in the network's order.
    """

    model: VelocityGrid
    spacing_km: float
    tables: tuple[_Table, ...]

    @classmethod
    def build(
        cls,
        model: VelocityGrid,
        network: Network,
        *,
        spacing_km: float | None = None,
        cache: Path | None = None,
    ) -> "StationTimes":
        """Make the tables, or read them from the cache.

        Parameters
        ----------
        model : VelocityGrid
            Speeds.
        network : Network
            Stations, and the box sources are searched in.
        spacing_km : float, optional
            Distance of nodes; by default 1/80 of the box, at least 0.1 km.
        cache : path, optional
            Folder that keeps tables; None keeps nothing.

        Raises
        ------
        DataError
            If the spacing makes a table too large to hold.
        """
        box = network.search_box
        widths = [high - low for low, high in (box.x_km, box.y_km)]
        spacing = spacing_km or max(max(widths) / 80, 0.1)
        tables = []
        for x, y, elevation_m in zip(network.x_km, network.y_km, network.elevation_m, strict=True):
            station = (float(x), float(y), float(flattened(-elevation_m / 1000)))
            corner, shape = _laid_out(network, station, spacing)
            if math.prod(shape) > _MAX_NODES:
                msg = (
                    f"travel times in {model.name}: {' × '.join(map(str, shape))} nodes of "
                    f"{spacing:g} km are too many; widen the spacing or narrow network.region"
                )
                raise DataError(msg)
            frame = (network.frame.latitude, network.frame.longitude)
            key = repr((_FORMAT, model.version, frame, station, corner, shape, spacing))
            slowness = kept_table(
                cache,
                "station_times",
                key,
                (2, *shape),
                partial(_solved, model, network, station, corner, shape, spacing),
            )
            tables.append(_Table(corner, station, slowness))
        return cls(model, spacing, tuple(tables))

    def times(self, phase: Phase, station: int, points_km: Floats) -> Floats:
        """Return travel times (s) between a station and points; NaN beyond the tables.

        Parameters
        ----------
        phase : {"P", "S"}
            First arrival of which phase.
        station : int
            Position of the station in the network.
        points_km : array, shape (n, 3)
            East, north and depth below sea level in the network's frame.
        """
        table = self.tables[station]
        place = np.array(points_km, np.float64)
        place[:, 2] = flattened(place[:, 2])
        at = (place - table.corner_km) / self.spacing_km
        limit = np.array(table.slowness.shape[1:]) - 1
        node = np.clip(at.astype(np.int64), 0, limit - 1)
        share = at - node
        values = table.slowness[PHASES.index(phase)]
        mean = np.zeros(len(place))
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, share, 1 - share), axis=1)
            mean += weight * values[tuple((node + corner).T)]
        times = mean * np.linalg.norm(place - table.station_km, axis=1)
        outside = ((at < 0) | (at > limit)).any(axis=1)
        return np.where(outside, np.nan, times)

    def receivers(
        self, is_s: NDArray[np.bool_], stations: Sequence[int] | NDArray[np.int64]
    ) -> "StationReceivers":
        """Prepare look-ups for n (phase, station) pairs."""
        pairs = tuple((PHASES[int(s)], int(k)) for s, k in zip(is_s, stations, strict=True))
        return StationReceivers(self, pairs)


@dataclass(frozen=True, slots=True, eq=False)
class StationReceivers:
    """n (phase, station) pairs."""

    of: StationTimes
    pairs: tuple[tuple[Phase, int], ...]

    def times_from(self, points_km: Floats) -> Floats:
        """Return travel times (s), shape (n_points, n), from points (n_points, 3) to the pairs."""
        columns = [self.of.times(phase, station, points_km) for phase, station in self.pairs]
        return np.stack(columns, axis=1)


def _laid_out(
    network: Network, station: tuple[float, float, float], spacing: float
) -> tuple[tuple[float, float, float], tuple[int, int, int]]:
    """Return the first node and the number of nodes that hold the box and the station.

    Rays dive below the deepest source: by a tenth of the longest distance, as in gradients of
    some tenth of a km/s per km.
    """
    box = network.search_box
    longest = math.hypot(box.x_km[1] - box.x_km[0], box.y_km[1] - box.y_km[0])
    deepest = float(flattened(box.depth_km[1] + longest / 10))
    limits = (box.x_km, box.y_km, (float(flattened(box.depth_km[0])), deepest))
    before = [
        math.ceil((at - min(low, at)) / spacing) + 1
        for at, (low, _) in zip(station, limits, strict=True)
    ]
    after = [
        math.ceil((max(high, at) - at) / spacing) + 1
        for at, (_, high) in zip(station, limits, strict=True)
    ]
    x, y, z = (at - n * spacing for at, n in zip(station, before, strict=True))
    nx, ny, nz = (b + a + 1 for b, a in zip(before, after, strict=True))
    return (x, y, z), (nx, ny, nz)


def _solved(
    model: VelocityGrid,
    network: Network,
    station: tuple[float, float, float],
    corner: tuple[float, float, float],
    shape: tuple[int, int, int],
    spacing: float,
) -> NDArray[np.float32]:
    import eikonalfm

    x, y, flat = (first + spacing * np.arange(n) for first, n in zip(corner, shape, strict=True))
    latitude, longitude = network.frame.to_degrees(*np.meshgrid(x, y, indexing="ij"))
    source = tuple(round((at - first) / spacing) for at, first in zip(station, corner, strict=True))
    slowness = np.empty((2, *shape), np.float32)
    for k, phase in enumerate(PHASES):
        speed = model.speed_at(
            latitude[..., None],
            longitude[..., None],
            true_depth(np.asarray(flat, np.float64)),
            phase,
        )
        speed *= np.exp(flat / EARTH_KM)
        slowness[k] = eikonalfm.factored_fast_marching(
            np.ascontiguousarray(speed), source, (spacing,) * 3, 2
        )
    return slowness
