"""Three-dimensional velocity models, on grids read from NetCDF or NonLinLoc files.

NetCDF: variables vp and vs (km/s or m/s) over longitude, latitude and depth (km or m, positive
down), as the models collected by the EMC of EarthScope
(https://ds.iris.edu/ds/products/emc-earthmodels/) have them. NonLinLoc: a ``.hdr`` beside its
``.buf``, P and S in files named ``….P.mod.hdr`` and ``….S.mod.hdr``. Without S, a Vp/Vs ratio
makes it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.errors import DataError
from geomon.events import Phase
from geomon.velocity import MAX_SPEED_KM_S, LayeredModel

if TYPE_CHECKING:
    from pyproj import Proj

type Floats = NDArray[np.float64]

_NAMES = {
    "x": ("longitude", "lon"), "y": ("latitude", "lat"), "depth": ("depth", "z"),
    "vp": ("vp",), "vs": ("vs",),
}  # fmt: skip
_KM_PER_DEGREE = 10_000 / 90  # NonLinLoc's
_ELLIPSOIDS = {
    "WGS-84": "WGS84",
    "GRS-80": "GRS80",
    "Clarke-1880": "clrk80",
    "Clarke-1866": "clrk66",
}
_KINDS = {
    "VELOCITY": (1.0, 1.0), "VELOCITY_METERS": (1.0, 0.001), "VEL2": (0.5, 1.0),
    "SLOWNESS": (-1.0, 1.0), "SLOW2": (-0.5, 1.0), "SLOW2_METERS": (-0.5, 0.001),
    "SLOW_LEN": (-1.0, 1.0),
}  # fmt: skip
"""What a NonLinLoc grid holds: the power of it, and the factor, that give km/s."""
_PROJECTIONS = {"LAMBERT": "lcc", "TRANS_MERC": "tmerc", "AZIMUTHAL_EQUIDIST": "aeqd"}


@dataclass(frozen=True)
class Coordinates:
    """How degrees become the horizontal coordinates of a grid: as they are, or by a projection.

    Attributes
    ----------
    kind : str
        ``GEOGRAPHIC``, or a NonLinLoc transform: SIMPLE, LAMBERT, TRANS_MERC, AZIMUTHAL_EQUIDIST.
    latitude, longitude : float
        Where x and y are 0.
    rotation_deg : float
        Where north points, clockwise from the y axis.
    parallels : tuple of float
        Standard parallels of LAMBERT.
    ellipsoid : str
        As PROJ names it.
    """

    kind: str = "GEOGRAPHIC"
    latitude: float = 0.0
    longitude: float = 0.0
    rotation_deg: float = 0.0
    parallels: tuple[float, ...] = ()
    ellipsoid: str = "WGS84"

    @cached_property
    def _projection(self) -> "Proj":
        from pyproj import Proj

        options = {
            "proj": _PROJECTIONS[self.kind], "lat_0": self.latitude, "lon_0": self.longitude,
            "ellps": self.ellipsoid, "units": "km",
            **dict(zip(("lat_1", "lat_2"), self.parallels, strict=False)),
        }  # fmt: skip
        return Proj(options)

    def of(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[Floats, Floats]:
        """Return a grid's x and y of some places."""
        lat, lon = np.asarray(latitude, np.float64), np.asarray(longitude, np.float64)
        if self.kind == "GEOGRAPHIC":
            return lon, lat
        if self.kind == "SIMPLE":
            x = ((lon - self.longitude + 180) % 360 - 180) * np.cos(np.radians(lat))
            x, y = x * _KM_PER_DEGREE, (lat - self.latitude) * _KM_PER_DEGREE
        else:
            x, y = map(np.asarray, self._projection(lon, lat))
        turn = np.radians(-self.rotation_deg)
        return (
            np.asarray(x * np.cos(turn) - y * np.sin(turn)),
            np.asarray(y * np.cos(turn) + x * np.sin(turn)),
        )


@dataclass(frozen=True, eq=False)
class VelocityGrid:
    """Speeds at the nodes of a grid, linear between them, and beyond them as at its edge.

    Attributes
    ----------
    name : str
        What people call it.
    coordinates : Coordinates
        What the first two axes are.
    axes : three arrays
        Increasing x and y (km, or longitude and latitude), and depth below sea level (km).
    vp_km_s, vs_km_s : array of float32, shape (n_x, n_y, n_depths)
        Speeds.

    Raises
    ------
    DataError
        If shapes do not fit, an axis does not increase, or a speed is impossible.
    """

    name: str
    coordinates: Coordinates
    axes: tuple[Floats, Floats, Floats]
    vp_km_s: NDArray[np.float32]
    vs_km_s: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = tuple(axis.size for axis in self.axes)
        if not self.vp_km_s.shape == self.vs_km_s.shape == shape or min(shape) < 2:
            msg = (
                f"velocity grid {self.name}: vp {self.vp_km_s.shape} and vs {self.vs_km_s.shape} "
                f"on axes of {shape} nodes; needs the same, at least 2 each way"
            )
            raise DataError(msg)
        for name, axis in zip(("x", "y", "depth"), self.axes, strict=True):
            if not (np.diff(axis) > 0).all():
                msg = f"velocity grid {self.name}: {name} does not increase"
                raise DataError(msg)
        with np.errstate(invalid="ignore"):
            good = (
                (self.vs_km_s > 0) & (self.vs_km_s < self.vp_km_s) & (self.vp_km_s < MAX_SPEED_KM_S)
            )
        if not good.all():
            at = tuple(int(k) for k in np.argwhere(~good)[0])
            msg = (
                f"velocity grid {self.name}: node {at} has vp {self.vp_km_s[at]:.4g} and vs "
                f"{self.vs_km_s[at]:.4g} km/s; allowed is 0 < vs < vp < {MAX_SPEED_KM_S:g}: "
                f"{int((~good).sum())} nodes are empty or wrong"
            )
            raise DataError(msg)

    @cached_property
    def version(self) -> str:
        """Hash of the speeds and where they are."""
        digest = hashlib.sha256(repr(self.coordinates).encode())
        for array in (*self.axes, self.vp_km_s, self.vs_km_s):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def speed_at(
        self, latitude: ArrayLike, longitude: ArrayLike, depth_km: ArrayLike, phase: Phase
    ) -> Floats:
        """Return the speed (km/s) at some places, shape of the broadcast arguments."""
        from scipy.interpolate import RegularGridInterpolator

        x, y = self.coordinates.of(latitude, longitude)
        points = np.stack(np.broadcast_arrays(x, y, np.asarray(depth_km, np.float64)), axis=-1)
        for k, axis in enumerate(self.axes):
            np.clip(points[..., k], axis[0], axis[-1], out=points[..., k])
        values = self.vp_km_s if phase == "P" else self.vs_km_s
        return np.asarray(RegularGridInterpolator(self.axes, values)(points), np.float64)

    def profile(self) -> LayeredModel:
        """Return the layered model of the same mean slowness at each depth, linear between."""
        depth = self.axes[2]
        vp, vs = (
            1 / (1 / speed.astype(np.float64)).mean(axis=(0, 1))
            for speed in (self.vp_km_s, self.vs_km_s)
        )
        steps = np.diff(depth)
        return LayeredModel(
            self.name,
            *(tuple(map(float, values)) for values in (depth, vp, vs)),
            *(tuple(map(float, [*np.diff(values) / steps, 0.0])) for values in (vp, vs)),
        )


def read_grid(path: Path, *, vp_vs: float | None = None, name: str | None = None) -> VelocityGrid:
    """Read a 3-D model from a NetCDF file or a NonLinLoc header.

    Parameters
    ----------
    path : path
        A NetCDF file, version 3 or 4, or the ``.hdr`` of P.
    vp_vs : float, optional
        Ratio of P to S speed, where the file has no S.
    name : str, optional
        What to call it; by default the file's name.

    Raises
    ------
    DataError
        If the file cannot be read, or lacks something; the message says what.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if path.suffix.lower() == ".hdr":
            return _nonlinloc(path, vp_vs, name or path.name.split(".")[0])
        if head[:3] == b"CDF":
            variables = _netcdf3(path)
        elif head == b"\x89HDF":
            variables = _netcdf4(path)
        else:
            msg = f"{path}: neither NetCDF nor a NonLinLoc .hdr; give a file of either as grid"
            raise DataError(msg)
    except OSError as error:
        msg = f"{path}: velocity grid cannot be read: {error.strerror or error}; check the path"
        raise DataError(msg) from error
    return _of_variables(path, variables, vp_vs, name or path.stem)


@dataclass(frozen=True, slots=True)
class _Variable:
    """Values of a NetCDF variable, the dimensions they run along, and their unit."""

    values: Floats
    dimensions: tuple[str, ...]
    unit: str


def _netcdf3(path: Path) -> dict[str, _Variable]:
    from scipy.io import netcdf_file

    with netcdf_file(path, mmap=False) as file:
        return {
            name: _Variable(
                _filled(variable[:], getattr(variable, "_FillValue", None)),
                tuple(variable.dimensions), _text(getattr(variable, "units", "")),
            )
            for name, variable in file.variables.items()
        }  # fmt: skip


def _netcdf4(path: Path) -> dict[str, _Variable]:
    import h5py

    with h5py.File(path) as file:
        return {
            name: _Variable(
                _filled(dataset[()], dataset.attrs.get("_FillValue")),
                tuple(
                    dimension[0].name.rsplit("/", 1)[-1] if len(dimension) else name
                    for dimension in dataset.dims
                ),
                _text(dataset.attrs.get("units", "")),
            )
            for name, dataset in file.items()
            if isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "fiu"
        }


def _filled(values: Any, missing: Any) -> Floats:  # noqa: ANN401 - what either library gives
    array = np.array(values, np.float64)
    if missing is not None:
        array[array == float(np.asarray(missing).ravel()[0])] = np.nan
    return array


def _text(value: Any) -> str:  # noqa: ANN401
    return value.decode() if isinstance(value, bytes) else str(value)


def _of_variables(
    path: Path, variables: Mapping[str, _Variable], vp_vs: float | None, name: str
) -> VelocityGrid:
    known = {key.lower(): key for key in variables}
    names = {
        role: next((known[one] for one in allowed if one in known), None)
        for role, allowed in _NAMES.items()
    }
    for role in ("x", "y", "depth", "vp"):
        if names[role] is None:
            msg = (
                f"{path}: has no {_NAMES[role][0]}; needs longitude, latitude, depth and vp (and "
                f"vs, or velocity.vp_vs), found {', '.join(variables) or 'nothing'}"
            )
            raise DataError(msg)
    axes = [variables[names[role] or ""] for role in ("x", "y", "depth")]
    order = [names[role] for role in ("x", "y", "depth")]
    scale = 0.001 if axes[2].unit in {"m", "meter", "meters", "metre", "metres"} else 1.0
    coordinates = [axes[0].values, axes[1].values, scale * axes[2].values]

    def speeds(role: str) -> NDArray[np.float32] | None:
        if names[role] is None:
            return None
        variable = variables[names[role] or ""]
        if sorted(variable.dimensions) != sorted(map(str, order)):
            msg = f"{path}: {names[role]} runs along {variable.dimensions}, not along {order}"
            raise DataError(msg)
        values = variable.values.transpose([variable.dimensions.index(str(one)) for one in order])
        for axis, along in enumerate(coordinates):
            if along[0] > along[-1]:
                values = np.flip(values, axis)
        is_metres = variable.unit.replace(" ", "") in {"m/s", "m.s-1", "ms-1", "ms^-1"}
        return np.asarray(values * (0.001 if is_metres else 1.0), np.float32)

    vp, vs = speeds("vp"), speeds("vs")
    ascending = [np.sort(along) for along in coordinates]
    if vp is None:
        msg = f"{path}: has no vp"
        raise DataError(msg)
    return VelocityGrid(
        name, Coordinates(), (ascending[0], ascending[1], ascending[2]), vp,
        _with_ratio(path, vp, vs, vp_vs),
    )  # fmt: skip


def _with_ratio(
    path: Path, vp: NDArray[np.float32], vs: NDArray[np.float32] | None, vp_vs: float | None
) -> NDArray[np.float32]:
    if vs is not None:
        return vs
    if vp_vs is None:
        msg = f"{path}: no S speeds; give them, or set velocity.vp_vs, for example 1.73"
        raise DataError(msg)
    return np.asarray(vp / vp_vs, np.float32)


def _nonlinloc(path: Path, vp_vs: float | None, name: str) -> VelocityGrid:
    coordinates, axes, vp = _nonlinloc_speeds(path)
    beside = path.with_name(path.name.replace(".P.", ".S."))
    vs = None
    if beside != path and beside.exists():
        of_s, axes_of_s, vs = _nonlinloc_speeds(beside)
        same = all(np.array_equal(p, s) for p, s in zip(axes, axes_of_s, strict=True))
        if of_s != coordinates or not same:
            msg = f"{beside}: not on the same grid as {path.name}"
            raise DataError(msg)
    return VelocityGrid(name, coordinates, axes, vp, _with_ratio(path, vp, vs, vp_vs))


def _nonlinloc_speeds(
    path: Path,
) -> tuple[Coordinates, tuple[Floats, Floats, Floats], NDArray[np.float32]]:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    words = lines[0] if lines else []
    try:
        shape = tuple(map(int, words[:3]))
        origin, step = list(map(float, words[3:6])), list(map(float, words[6:9]))
        kind = words[9]
    except (IndexError, ValueError) as error:
        msg = f"{path}:1: expected nx ny nz, x y z of the origin, dx dy dz, kind; got {words}"
        raise DataError(msg) from error
    kind_of_number = np.dtype("<f8" if "DOUBLE" in words else "<f4")
    buffer = path.with_suffix(".buf")
    raw = np.fromfile(buffer, kind_of_number)
    if raw.size != np.prod(shape):
        msg = f"{buffer}: {raw.size} values, but {path.name} announces {' × '.join(words[:3])}"
        raise DataError(msg)
    if kind not in _KINDS:
        msg = f"{path}:1: {kind} is no kind of speed; expected one of {', '.join(_KINDS)}"
        raise DataError(msg)
    power, unit_km = _KINDS[kind]
    scale = step[0] if kind == "SLOW_LEN" else unit_km
    with np.errstate(divide="ignore", invalid="ignore"):
        values = scale * raw.astype(np.float64).reshape(shape) ** power
    x, y, z = (
        np.asarray(first + d * np.arange(n), np.float64)
        for first, d, n in zip(origin, step, shape, strict=True)
    )
    return _transform(path, lines[1:]), (x, y, z), np.asarray(values, np.float32)


def _transform(path: Path, lines: list[list[str]]) -> Coordinates:
    words = next((line[1:] for line in lines if line and line[0].startswith("TRANS")), ["NONE"])
    given = dict(zip(words[1::2], words[2::2], strict=False))
    if words[0] == "GLOBAL":
        return Coordinates()
    if words[0] not in {"SIMPLE", *_PROJECTIONS}:
        msg = (
            f"{path}: transform {words[0]}: the grid's place on Earth needs one of GLOBAL, SIMPLE, "
            f"{', '.join(_PROJECTIONS)}"
        )
        raise DataError(msg)
    parallels = [given[key] for key in ("FirstStdParal", "SecondStdParal") if key in given]
    return Coordinates(
        kind=words[0],
        latitude=float(given.get("LatOrig", 0)),
        longitude=float(given.get("LongOrig", 0)),
        rotation_deg=float(given.get("RotCW", 0)),
        parallels=tuple(map(float, parallels)),
        ellipsoid=_ELLIPSOIDS.get(given.get("RefEllipsoid", "WGS-84"), "WGS84"),
    )
