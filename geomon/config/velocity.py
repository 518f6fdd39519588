"""The velocity model of a config: a built-in one, layers, a file, or a grid."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from geomon.config.section import Section
from geomon.errors import DataError
from geomon.velocity import BUILT_IN, IASP91, LayeredModel
from geomon.velocity.corrections import CorrectionHistory, read_corrections
from geomon.velocity.files import read_model
from geomon.velocity.grid import VelocityGrid, read_grid


class Layer(Section):
    """One layer of constant or linearly increasing speed."""

    top_km: float
    """Depth of its top below sea level, kilometres; negative above sea level."""
    vp_km_s: Annotated[float, Field(gt=0, lt=15)]
    """P speed at its top, kilometres a second."""
    vs_km_s: Annotated[float, Field(gt=0, lt=15)] | None = None
    """S speed at its top, kilometres a second; by default the P speed divided by `vp_vs`."""
    vp_gradient: Annotated[float, Field(gt=-5, lt=5)] = 0.0
    """Increase of P speed with depth within the layer, km/s per km; 0 in the last layer."""
    vs_gradient: Annotated[float, Field(gt=-5, lt=5)] | None = None
    """The same of S speed; by default 0, or the P gradient divided by `vp_vs` without `vs_km_s`."""


class Velocity(Section):
    """The velocity model: a built-in one by name, layers, or a file."""

    name: str | None = None
    """Its name. Without layers and file, one of the built-in crusts: iasp91 (Kennett and Engdahl,
    1991) or ak135 (Kennett et al., 1995)."""
    file: Path | None = None
    """File of a layered model: YAML or CSV, TauP (.nd, .tvel), NonLinLoc control file, PyOcto
    (CSV of depth, vp, vs), HYPOINVERSE (.crh) or VELEST (.mod)."""
    vp_vs: Annotated[float, Field(gt=1.15, lt=4)] | None = None
    """Ratio of P to S speed, where S speeds are not given."""
    layers: tuple[Layer, ...] = ()
    """Layers from the top down."""
    grid: Path | None = None
    """File of a three-dimensional model: NetCDF (vp and vs over longitude, latitude, depth) or
    NonLinLoc (the .hdr of P, beside its .buf). Events are located in it, and their picks grouped
    in its mean layers."""
    grid_version: str | None = None
    """Hash of the grid's speeds, filled in when the config is read."""
    station_corrections: Path | None = None
    """File of station corrections to associate and locate with; `geomon corrections estimate`
    makes it."""
    station_corrections_version: str | None = None
    """Hash of the station corrections, filled in when the config is read."""

    @model_validator(mode="after")
    def _physical(self) -> "Velocity":
        if (self.file is not None) + bool(self.layers) + (self.grid is not None) > 1 and not (
            self.grid_version
        ):
            msg = "give one of layers, file and grid"
            raise ValueError(msg)
        if self.file is None and self.grid is None:
            self.model()
        return self

    def model(self) -> LayeredModel:
        """Return the model the rest of geomon works with.

        Raises
        ------
        DataError
            If the layers make no model, the file cannot be read, or the name is not built in.
        """
        if self.file is not None:
            return read_model(self.file, vp_vs=self.vp_vs, name=self.name)
        if self.grid is not None and not self.layers:
            return read_grid(self.grid, vp_vs=self.vp_vs, name=self.name).profile()
        if not self.layers:
            name = self.name or IASP91.name
            if name not in BUILT_IN:
                known = " and ".join(BUILT_IN)
                msg = f"no model {name!r} is built in, only {known}; give layers or a file"
                raise DataError(msg)
            return BUILT_IN[name]
        if self.vp_vs is None and any(layer.vs_km_s is None for layer in self.layers):
            msg = "a layer has no vs_km_s; give it, or vp_vs for all layers, for example 1.73"
            raise DataError(msg)
        ratio = self.vp_vs or 1.0
        return LayeredModel(
            self.name or "layers",
            tuple(layer.top_km for layer in self.layers),
            tuple(layer.vp_km_s for layer in self.layers),
            tuple(layer.vs_km_s or layer.vp_km_s / ratio for layer in self.layers),
            tuple(layer.vp_gradient for layer in self.layers),
            tuple(
                layer.vp_gradient / ratio * (layer.vs_km_s is None)
                if layer.vs_gradient is None
                else layer.vs_gradient
                for layer in self.layers
            ),
        )

    def three_dimensional(self) -> VelocityGrid | None:
        """Return the three-dimensional model, if there is one.

        Raises
        ------
        DataError
            If its file cannot be read, or is not the one the config was read with.
        """
        if self.grid is None:
            return None
        model = read_grid(self.grid, vp_vs=self.vp_vs, name=self.name)
        if self.grid_version not in {None, model.version}:
            msg = f"{self.grid}: has changed since the config was read; start again"
            raise DataError(msg)
        return model

    def corrections(self) -> CorrectionHistory:
        """Return the station corrections; empty where none are named.

        Raises
        ------
        DataError
            If their file cannot be read, or is not the one the config was read with.
        """
        if self.station_corrections is None:
            return CorrectionHistory()
        history = read_corrections(self.station_corrections)
        if self.station_corrections_version not in {None, history.version}:
            msg = f"{self.station_corrections}: has changed since the config was read; start again"
            raise DataError(msg)
        return history

    @classmethod
    def of(cls, model: LayeredModel) -> "Velocity":
        """Return the section that holds a model's layers."""
        return cls(
            name=model.name,
            layers=tuple(
                Layer(top_km=top, vp_km_s=vp, vs_km_s=vs, vp_gradient=p_grows, vs_gradient=s_grows)
                for top, vp, vs, p_grows, s_grows in zip(
                    model.tops_km, model.vp_km_s, model.vs_km_s,
                    model.gradients("P"), model.gradients("S"), strict=True,
                )
            ),
        )  # fmt: skip
