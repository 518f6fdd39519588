"""Readers of layered velocity models in the formats seismologists have them in.

===================  ======================================================================
``.yaml``, ``.yml``  `layers` as in a config: top_km, vp_km_s, and optionally vs_km_s,
                     vp_gradient and vs_gradient (km/s per km); optionally `name` and `vp_vs`
``.csv``             the same columns, one layer a line; or PyOcto's depth, vp, vs, which are
                     points with straight lines between them
``.nd``, ``.tvel``   TauP: depth, vp, vs, … as points with straight lines between them; equal
                     depths make a step. It ends where S ends: at a liquid core.
``.crh``             HYPOINVERSE: a title, then vp and top of each layer; no S speeds
``.mod``             VELEST: a title, the number of layers, then speed and top of each; S after P
``.in``, ``.txt`` …  NonLinLoc control file: LAYER depth vp vp_gradient vs vs_gradient …
===================  ======================================================================

A file of another name is recognised by its content. Formats without S speeds need a Vp/Vs ratio.
Depths are kilometres below sea level, speeds km/s.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from geomon.errors import DataError
from geomon.velocity import LayeredModel

_MAX_BYTES = 4_000_000  # a layered model is some lines; what is larger is something else
_WATER_KM_S = 0.0  # S speed of a liquid
_A_NUMBER = re.compile(r"[-+.]?\d")


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer as a file gives it, and the line it stands on."""

    line: int
    top_km: float
    vp_km_s: float
    vs_km_s: float | None
    vp_gradient: float = 0.0
    vs_gradient: float | None = 0.0


type _Numbered = tuple[int, str]


def read_model(path: Path, *, vp_vs: float | None = None, name: str | None = None) -> LayeredModel:
    """Read a layered model, whatever its format.

    Parameters
    ----------
    path : path
        The file; its format follows from the extension, otherwise from the content.
    vp_vs : float, optional
        Ratio of P to S speed, for files without S speeds.
    name : str, optional
        What to call the model; by default what the file says, or its name.

    Raises
    ------
    DataError
        If the file cannot be read, or makes no model; the message names file and line, and what
        to do.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            msg = f"{path}: too large for a layered velocity model; is it one?"
            raise DataError(msg)
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path}: velocity model cannot be read: {error.strerror}; check the path"
        raise DataError(msg) from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    extension = path.suffix.lower()
    if extension not in {".yaml", *_READERS}:
        extension = ".yaml" if extension == ".yml" else _recognised(path, lines)
    if extension == ".yaml":
        given, layers = _yaml(path, text)
        name, vp_vs = name or given.get("name"), vp_vs or given.get("vp_vs")
    else:
        layers = _READERS[extension](path, lines)
    return _model(path, layers, vp_vs, str(name or path.stem))


def _recognised(path: Path, lines: Sequence[_Numbered]) -> str:
    # The extension a file should have by what is in it.
    words = [line.split() for _, line in lines]
    if any(word[0] == "LAYER" for word in words):
        return ".in"
    if any(re.match(r"layers\s*:", line) for _, line in lines):
        return ".yaml"
    if words and "," in lines[0][1] and not _A_NUMBER.match(words[0][0]):
        return ".csv"
    if len(words) > 2 and len(words[1]) <= 2 and words[1][0].isdigit():
        return ".mod"
    numbers = [word for word in words if _A_NUMBER.match(word[0])]
    if numbers and all(len(word) >= 3 for word in numbers):
        return ".nd"
    msg = (
        f"{path}: not a velocity model in a format geomon knows: name it .csv, .yaml, .nd, .tvel, "
        ".crh or .mod after what it is, or give layers: in the config"
    )
    raise DataError(msg)


def _numbers(path: Path, line: int, words: Iterable[str], what: str) -> list[float]:
    try:
        return [float(word.replace("D", "E").replace("d", "e")) for word in words]
    except ValueError as error:
        msg = f"{path}:{line}: {error}; expected {what}"
        raise DataError(msg) from error


def _at_least(path: Path, line: int, values: Sequence[float], count: int, what: str) -> None:
    if len(values) < count:
        msg = f"{path}:{line}: {len(values)} numbers; expected {what}"
        raise DataError(msg)


def _layers_of_points(path: Path, points: Sequence[tuple[int, list[float]]]) -> list[_Layer]:
    # Points (depth, vp, vs) with straight lines between them; a liquid ends the model.
    layers = []
    solid = [(line, point) for line, point in points if point[2] > _WATER_KM_S]
    if solid and points[0][1][2] <= _WATER_KM_S:
        msg = (
            f"{path}:{points[0][0]}: S speed is 0 on top: water carries no S; begin the model at "
            "the sea floor"
        )
        raise DataError(msg)
    for (line, (top, vp, vs)), (next_line, (bottom, vp_below, vs_below)) in pairwise(solid):
        if bottom < top:
            msg = f"{path}:{next_line}: depth {bottom} km lies above {top} km; sort the points"
            raise DataError(msg)
        if bottom > top:
            thick = bottom - top
            layers.append(
                _Layer(line, top, vp, vs, (vp_below - vp) / thick, (vs_below - vs) / thick)
            )
    if solid:
        line, (top, vp, vs) = solid[-1]
        layers.append(_Layer(line, top, vp, vs))
    return layers


def _taup(path: Path, lines: Sequence[_Numbered]) -> list[_Layer]:
    what = "depth (km), vp, vs (km/s) and anything more"
    points: list[tuple[int, list[float]]] = []
    for line, text in lines[2:] if path.suffix.lower() == ".tvel" else lines:
        words = text.split("#")[0].split()
        if len(words) <= 1:  # a comment, or the name of a discontinuity: mantle, outer-core
            continue
        values = _numbers(path, line, words, what)
        _at_least(path, line, values, 3, what)
        if points and values[2] <= _WATER_KM_S:
            break
        points.append((line, values[:3]))
    return _layers_of_points(path, points)


def _csv(path: Path, lines: Sequence[_Numbered]) -> list[_Layer]:
    rows = csv.reader(text for _, text in lines)
    header = [word.strip().lower() for word in next(rows, [])]
    values = [
        (line, _row(path, line, header, row))
        for (line, _), row in zip(lines[1:], rows, strict=True)
    ]
    if {"depth", "vp", "vs"} <= set(header):
        points = []
        for line, value in values:
            given = [value[key] for key in ("depth", "vp", "vs")]
            if None in given:
                msg = f"{path}:{line}: depth, vp or vs is empty; every point needs all three"
                raise DataError(msg)
            points.append((line, [float(one) for one in given if one is not None]))
        return _layers_of_points(path, points)
    if not {"top_km", "vp_km_s"} <= set(header):
        msg = (
            f"{path}:{lines[0][0] if lines else 1}: columns are {', '.join(header) or 'missing'}; "
            "expected top_km, vp_km_s and optionally vs_km_s, vp_gradient, vs_gradient (layers), "
            "or depth, vp, vs (points)"
        )
        raise DataError(msg)
    return [_layer(path, line, value) for line, value in values]


def _row(
    path: Path, line: int, header: Sequence[str], row: Sequence[str]
) -> dict[str, float | None]:
    if len(row) != len(header):
        msg = f"{path}:{line}: {len(row)} values under {len(header)} columns ({', '.join(header)})"
        raise DataError(msg)
    numbers: dict[str, float | None] = {}
    for key, word in zip(header, row, strict=True):
        if key in _COLUMNS:
            numbers[key] = _numbers(path, line, [word], f"a number for {key}")[0] if word else None
    return numbers


def _layer(path: Path, line: int, value: dict[str, float | None]) -> _Layer:
    top, vp = value.get("top_km"), value.get("vp_km_s")
    if top is None or vp is None:
        msg = f"{path}:{line}: every layer needs top_km and vp_km_s"
        raise DataError(msg)
    return _Layer(
        line, top, vp, value.get("vs_km_s"), value.get("vp_gradient") or 0.0,
        value.get("vs_gradient"),
    )  # fmt: skip


_COLUMNS = (
    "top_km", "vp_km_s", "vs_km_s", "vp_gradient", "vs_gradient", "depth", "vp", "vs",
)  # fmt: skip


def _yaml(path: Path, text: str) -> tuple[dict[str, Any], list[_Layer]]:
    try:
        content = yaml.safe_load(text)
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)  # with the lines things stand on
    except yaml.YAMLError as error:
        msg = f"{path}: cannot be read as YAML: {' '.join(str(error).split())}"
        raise DataError(msg) from error
    if not isinstance(content, dict) or not isinstance(content.get("layers"), list):
        msg = f"{path}: expected layers: a list of {{top_km: …, vp_km_s: …, vs_km_s: …}}"
        raise DataError(msg)
    marks = next(value for key, value in node.value if key.value == "layers").value
    layers = []
    for entry, mark in zip(content["layers"], marks, strict=True):
        line = mark.start_mark.line + 1
        if not isinstance(entry, dict) or (unknown := set(entry) - set(_COLUMNS[:5])):
            unexpected = f"{', '.join(sorted(map(str, unknown)))}: " if unknown else ""
            msg = f"{path}:{line}: {unexpected}a layer has {', '.join(_COLUMNS[:5])}"
            raise DataError(msg)
        numbers = _numbers(path, line, map(str, entry.values()), "numbers")
        layers.append(_layer(path, line, dict(zip(entry, numbers, strict=True))))
    ratio = content.get("vp_vs")
    if ratio is not None and not isinstance(ratio, int | float):
        msg = f"{path}: vp_vs = {ratio!r}: expected a number"
        raise DataError(msg)
    return content, layers


def _nonlinloc(path: Path, lines: Sequence[_Numbered]) -> list[_Layer]:
    what = "LAYER depth vp vp_gradient vs vs_gradient density density_gradient"
    layers = []
    for line, text in lines:
        words = text.split()
        if words[0] == "LAYER":
            values = _numbers(path, line, words[1:], what)
            _at_least(path, line, values, 5, what)
            layers.append(_Layer(line, values[0], values[1], values[3], values[2], values[4]))
    return layers


def _hypoinverse(path: Path, lines: Sequence[_Numbered]) -> list[_Layer]:
    what = "vp (km/s) and depth of the layer's top (km)"
    layers = []
    for line, text in lines[1:]:
        values = _numbers(path, line, text.split()[:2], what)
        _at_least(path, line, values, 2, what)
        layers.append(_Layer(line, values[1], values[0], None))
    return layers


def _velest(path: Path, lines: Sequence[_Numbered]) -> list[_Layer]:
    rest = iter(lines[1:])
    p_layers, s_layers = _velest_block(path, rest), _velest_block(path, rest)
    if not s_layers:
        return [_Layer(line, top, speed, None) for line, speed, top in p_layers]
    tops = sorted({top for _, _, top in (*p_layers, *s_layers)})
    return [
        _Layer(p[0], top, p[1], s[1])
        for top in tops
        for p, s in [(_holding(p_layers, top), _holding(s_layers, top))]
    ]


def _velest_block(path: Path, lines: Iterator[_Numbered]) -> list[tuple[int, float, float]]:
    # One list of (line, speed, top) below its length.
    found = next(lines, None)
    if found is None:
        return []
    line, text = found
    [count] = _numbers(path, line, text.split()[:1], "the number of layers")
    block: list[tuple[int, float, float]] = []
    for _ in range(int(count)):
        entry = next(lines, None)
        if entry is None:
            msg = f"{path}:{line}: announces {count:g} layers, but {len(block)} follow"
            raise DataError(msg)
        what = "speed (km/s) and depth of the layer's top (km)"
        values = _numbers(path, entry[0], entry[1].split()[:2], what)
        _at_least(path, entry[0], values, 2, what)
        block.append((entry[0], values[0], values[1]))
    return block


def _holding(block: Sequence[tuple[int, float, float]], depth: float) -> tuple[int, float, float]:
    """Return the layer of a block that holds at a depth."""
    return [layer for layer in block if layer[2] <= depth][-1] if block[0][2] <= depth else block[0]


def _model(path: Path, layers: Sequence[_Layer], vp_vs: float | None, name: str) -> LayeredModel:
    if not layers:
        msg = f"{path}: holds no layer; is it a velocity model?"
        raise DataError(msg)
    for above, below in pairwise(layers):
        if below.top_km <= above.top_km:
            msg = (
                f"{path}:{below.line}: top {below.top_km:g} km is not below the one before, "
                f"{above.top_km:g} km; list layers from the top down"
            )
            raise DataError(msg)
    without = [layer for layer in layers if layer.vs_km_s is None]
    if without and vp_vs is None:
        msg = (
            f"{path}:{without[0].line}: no S speed; give vs, or set velocity.vp_vs, for "
            "example 1.73"
        )
        raise DataError(msg)
    vs, vs_gradient = [], []
    for layer in layers:
        ratio = vp_vs or 1.0
        has_s = layer.vs_km_s is not None
        vs.append(layer.vs_km_s if layer.vs_km_s is not None else layer.vp_km_s / ratio)
        default = 0.0 if has_s else layer.vp_gradient / ratio
        vs_gradient.append(default if layer.vs_gradient is None or not has_s else layer.vs_gradient)
    for layer, speed in zip(layers, vs, strict=True):
        if not 0 < speed < layer.vp_km_s < 15:
            msg = (
                f"{path}:{layer.line}: vp {layer.vp_km_s:g} and vs {speed:g} km/s; allowed is "
                "0 < vs < vp < 15: are the columns in this order, and in km/s?"
            )
            raise DataError(msg)
    try:
        return LayeredModel(
            name,
            tuple(layer.top_km for layer in layers),
            tuple(layer.vp_km_s for layer in layers),
            tuple(vs),
            tuple(layer.vp_gradient for layer in layers),
            tuple(vs_gradient),
        )
    except DataError as error:
        msg = f"{path}: {error}"
        raise DataError(msg) from error


_READERS: dict[str, Callable[[Path, Sequence[_Numbered]], list[_Layer]]] = {
    ".csv": _csv,
    ".nd": _taup,
    ".tvel": _taup,
    ".crh": _hypoinverse,
    ".mod": _velest,
    ".in": _nonlinloc,
}
