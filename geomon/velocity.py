"""A layered velocity model: the one kind of model everything else agrees on."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.errors import DataError
from geomon.events import Phase


@dataclass(frozen=True, slots=True)
class LayeredModel:
    """Constant-velocity layers over a half-space.

    Attributes
    ----------
    name : str
        What people call it.
    tops_km : tuple of float
        Depth of each layer's top below sea level, increasing; negative above sea level. The
        first layer reaches up without end, the last one down.
    vp_km_s, vs_km_s : tuple of float
        Speeds in each layer.

    Raises
    ------
    DataError
        If the lengths differ, the tops do not increase, or a speed is impossible (not positive,
        above 15 km/s, or Vs not below Vp).
    """

    name: str
    tops_km: tuple[float, ...]
    vp_km_s: tuple[float, ...]
    vs_km_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.tops_km) == len(self.vp_km_s) == len(self.vs_km_s) > 0:
            msg = f"velocity model {self.name}: needs as many vp and vs as layer tops, at least one"
            raise DataError(msg)
        if any(below <= above for above, below in pairwise(self.tops_km)):
            msg = f"velocity model {self.name}: layer tops {self.tops_km} km must increase"
            raise DataError(msg)
        for top, vp, vs in zip(self.tops_km, self.vp_km_s, self.vs_km_s, strict=True):
            if not 0 < vs < vp < 15:
                msg = (
                    f"velocity model {self.name}: layer at {top} km has vp {vp} and vs {vs} km/s; "
                    "allowed is 0 < vs < vp < 15"
                )
                raise DataError(msg)

    @property
    def version(self) -> str:
        """Hash of the layers, whatever the name."""
        key = repr((self.tops_km, self.vp_km_s, self.vs_km_s))
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    def speeds(self, phase: Phase) -> tuple[float, ...]:
        """Return the layer speeds a phase travels at, km/s."""
        return self.vp_km_s if phase == "P" else self.vs_km_s

    def speed_at(self, depth_km: ArrayLike, phase: Phase) -> NDArray[np.float64]:
        """Return the speed (km/s) at depths below sea level (km), same shape as `depth_km`."""
        layer = np.searchsorted(np.asarray(self.tops_km), np.asarray(depth_km), side="right") - 1
        return np.asarray(self.speeds(phase))[np.maximum(layer, 0)]
