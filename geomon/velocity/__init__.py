"""Velocity models: layers over a half-space, which everything agrees on, and their file formats."""

import hashlib
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.errors import DataError
from geomon.events import Phase

MAX_SPEED_KM_S = 15.0


@dataclass(frozen=True, slots=True)
class LayeredModel:
    """Layers over a half-space; within a layer speed is constant or grows linearly with depth.

    Attributes
    ----------
    name : str
        What people call it.
    tops_km : tuple of float
        Depth of each layer's top below sea level, increasing; negative above sea level. The
        first layer reaches up without end, at the speed of its top; the last one down.
    vp_km_s, vs_km_s : tuple of float
        Speeds at the top of each layer.
    vp_gradient, vs_gradient : tuple of float
        Increase of speed with depth within each layer, km/s per km; empty where all are constant.
        The last layer has no bottom, so its gradient is 0.

    Raises
    ------
    DataError
        If the lengths differ, the tops do not increase, or a speed is impossible (not positive,
        above 15 km/s, or Vs not below Vp) at the top or bottom of a layer.
    """

    name: str
    tops_km: tuple[float, ...]
    vp_km_s: tuple[float, ...]
    vs_km_s: tuple[float, ...]
    vp_gradient: tuple[float, ...] = ()
    vs_gradient: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        n_layers = len(self.tops_km)
        if not n_layers == len(self.vp_km_s) == len(self.vs_km_s) > 0:
            msg = f"velocity model {self.name}: needs as many vp and vs as layer tops, at least one"
            raise DataError(msg)
        if not {len(self.vp_gradient), len(self.vs_gradient)} <= {0, n_layers}:
            msg = f"velocity model {self.name}: needs a gradient for each layer, or none at all"
            raise DataError(msg)
        # None at all and all zero are the same model: of one form, so that they are equal.
        for name in ("vp_gradient", "vs_gradient"):
            if not any(getattr(self, name)):
                object.__setattr__(self, name, ())
        if not all(map(math.isfinite, self.tops_km)) or any(
            below <= above for above, below in pairwise(self.tops_km)
        ):
            msg = f"velocity model {self.name}: layer tops {self.tops_km} km must increase"
            raise DataError(msg)
        self._check_speeds()

    def _check_speeds(self) -> None:
        if any(gradients and gradients[-1] for gradients in (self.vp_gradient, self.vs_gradient)):
            msg = (
                f"velocity model {self.name}: the last layer has no bottom, so its gradient must "
                "be 0; add a layer where the gradient ends"
            )
            raise DataError(msg)
        bottoms = [*self.tops_km[1:], self.tops_km[-1]]
        for layer, (top, bottom) in enumerate(zip(self.tops_km, bottoms, strict=True)):
            for depth in (top, bottom):
                vp, vs = (
                    self.speeds(phase)[layer] + self.gradients(phase)[layer] * (depth - top)
                    for phase in ("P", "S")
                )
                if not 0 < vs < vp < MAX_SPEED_KM_S:
                    where = f"layer at {top} km" + (f", at its bottom {bottom} km," * (depth > top))
                    msg = (
                        f"velocity model {self.name}: {where} has vp {vp:.4g} and vs {vs:.4g} "
                        f"km/s; allowed is 0 < vs < vp < {MAX_SPEED_KM_S:g}"
                    )
                    raise DataError(msg)

    @property
    def version(self) -> str:
        """Hash of the layers, whatever the name."""
        key = repr((self.tops_km, self.vp_km_s, self.vs_km_s))
        if self.has_gradients:
            key += repr((self.vp_gradient, self.vs_gradient))
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    @property
    def has_gradients(self) -> bool:
        """Whether speed changes with depth within any layer."""
        return bool(self.vp_gradient or self.vs_gradient)

    def speeds(self, phase: Phase) -> tuple[float, ...]:
        """Return the speeds a phase travels at on top of each layer, km/s."""
        return self.vp_km_s if phase == "P" else self.vs_km_s

    def gradients(self, phase: Phase) -> tuple[float, ...]:
        """Return the increase of a phase's speed with depth in each layer, km/s per km."""
        return (self.vp_gradient if phase == "P" else self.vs_gradient) or (0.0,) * len(
            self.tops_km
        )

    def speed_at(self, depth_km: ArrayLike, phase: Phase) -> NDArray[np.float64]:
        """Return the speed (km/s) at depths below sea level (km), same shape as `depth_km`."""
        depth, tops = np.asarray(depth_km, np.float64), np.asarray(self.tops_km)
        layer = np.maximum(np.searchsorted(tops, depth, side="right") - 1, 0)
        below_top = np.maximum(depth - tops[layer], 0.0)
        speed = np.asarray(self.speeds(phase))[layer]
        return np.asarray(speed + np.asarray(self.gradients(phase))[layer] * below_top)

    def in_steps(self, thickness_km: float) -> "LayeredModel":
        """Return the model with each gradient cut into constant layers at most so thick.

        For what only knows constant layers. Each has the speed of its middle, so that vertical
        times stay right to second order; a model without gradients comes back as it is.
        """
        if not self.has_gradients:
            return self
        tops: list[float] = []
        middles: list[float] = []
        for layer, top in enumerate(self.tops_km):
            flat = not (self.gradients("P")[layer] or self.gradients("S")[layer])
            bottom = top if flat else self.tops_km[layer + 1]
            parts = max(math.ceil((bottom - top) / thickness_km), 1)
            step = (bottom - top) / parts
            tops += [top + k * step for k in range(parts)]
            middles += [top + (k + 0.5) * step for k in range(parts)]
        vp, vs = (tuple(map(float, self.speed_at(middles, phase))) for phase in ("P", "S"))
        return LayeredModel(self.name, tuple(tops), vp, vs)


IASP91 = LayeredModel("iasp91", (0.0, 20.0, 35.0), (5.8, 6.5, 8.04), (3.36, 3.75, 4.47))
"""Crust and uppermost mantle of Kennett and Engdahl (1991, Geophys. J. Int. 105, 429-465)."""

AK135 = LayeredModel("ak135", (0.0, 20.0, 35.0), (5.8, 6.5, 8.04), (3.46, 3.85, 4.48))
"""The same of Kennett, Engdahl and Buland (1995, https://doi.org/10.1111/j.1365-246X.1995.tb03540.x)."""

BUILT_IN = {model.name: model for model in (IASP91, AK135)}
"""Models known by name."""
