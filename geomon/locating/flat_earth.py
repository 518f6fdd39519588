"""The flattened Earth, and where tables of travel times have nodes in it.

The layered model is flattened (Müller 1971, Journal of Geophysics 37: z' = -R ln((R - z) / R),
v' = v R / (R - z)), so that distances along the surface and depths make a plane.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.events import Phase
from geomon.sphere import EARTH_KM
from geomon.velocity import LayeredModel

PHASES: tuple[Phase, Phase] = ("P", "S")
"""What tables hold, in their order."""
_MAX_LEVEL_GAP_KM = 0.5

type Floats = NDArray[np.float64]


def flattened(depth_km: ArrayLike) -> Floats:
    """Return the depth (km) in the flattened Earth of a depth below sea level (km)."""
    depth = np.asarray(depth_km, dtype=np.float64)
    return np.asarray(-EARTH_KM * np.log1p(-depth / EARTH_KM))


def true_depth(flat_km: Floats) -> Floats:
    """Return the depth below sea level (km) of a depth in the flattened Earth (km)."""
    return np.asarray(EARTH_KM * -np.expm1(-flat_km / EARTH_KM))


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
        sagitta = max_distance_km**2 / (8 * EARTH_KM)
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
        return (len(PHASES), len(self.levels), self.nx, self.nz)


def _turning_depths_km(model: LayeredModel, max_distance_km: float) -> Iterator[float]:
    """Yield how deep rays dive in each layer whose speed increases with depth.

    There they are arcs of circles around a point speed / gradient above the layer's top (Slotnick
    1959, Lessons in seismic computing).
    """
    half = max_distance_km / 2
    for phase in PHASES:
        layers = zip(
            model.tops_km, (*model.tops_km[1:], math.inf), model.speeds(phase),
            model.gradients(phase), strict=True,
        )  # fmt: skip
        for top, bottom, speed, gradient in layers:
            if gradient > 0:
                centre = speed / gradient
                yield min(top + math.hypot(half, centre) - centre, bottom)
