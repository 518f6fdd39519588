"""Generalized Phase Detection (Ross et al. 2018): a classifier of windows of four seconds.

The published file wraps the network in code for several graphics cards (`Lambda` layers). They
are left aside; the network inside has plain layers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geomon.errors import PickerMismatch
from geomon.picking.backend import load_keras
from geomon.picking.card import DataItem, Normalisation, Picker, PickerCard, Training
from geomon.picking.importers.keras2 import SavedModel, read_model, rebuild
from geomon.picking.importers.rebuilding import UNHASHED, fill
from geomon.picking.windows import Windows

WINDOW = 400
_STRIDE = 10  # as published: a tenth of a second
_CLASSES = ("P", "S", "N")
_MAX_JSON_BYTES = 2**20


def sequence(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the layers of the sequential network in a description, itself or inside a wrapper."""
    inner = config.get("config", [])
    if config.get("class_name") == "Sequential":
        layers = inner.get("layers", []) if isinstance(inner, dict) else inner
        return layers if isinstance(layers, list) else []
    entries = inner.get("layers", []) if isinstance(inner, dict) else []
    return next((found for entry in entries if (found := sequence(entry))), [])


def is_gpd(config: Mapping[str, Any]) -> bool:
    """Whether a description is of a classifier of three-component windows of 400 samples."""
    layers = sequence(config)
    shape = layers[0].get("config", {}).get("batch_input_shape") if layers else None
    return shape == [None, WINDOW, 3]


def read_gpd(path: Path) -> SavedModel:
    """Read network and weights, from one file or two.

    Parameters
    ----------
    path : Path
        The HDF5 file, or the JSON file; the other one is looked for beside it where needed, with
        a name that begins alike.

    Raises
    ------
    PickerMismatch
        If a file cannot be read or the other one is not there.
    """
    if path.suffix != ".json":
        saved = read_model(path)
        if saved.config:
            return saved
        return replace(saved, config=_description(_beside(path, {".json"})))
    saved = read_model(_beside(path, {".h5", ".hdf5"}))
    return replace(saved, config=_description(path))


def _beside(path: Path, endings: set[str]) -> Path:
    """Return the one file beside `path` that has such an ending and a name that begins alike.

    Raises
    ------
    PickerMismatch
        If there is none, or more than one.
    """
    found = [
        other
        for other in sorted(path.parent.iterdir())
        if other.suffix in endings
        and (other.stem.startswith(path.stem) or path.stem.startswith(other.stem))
    ]
    if len(found) != 1:
        wanted = " or ".join(sorted(endings))
        msg = f"{path}: needs one {wanted} file beside it whose name begins alike, not {len(found)}"
        raise PickerMismatch(msg)
    return found[0]


def _description(path: Path) -> dict[str, Any]:
    """Read Keras' description of a model.

    Raises
    ------
    PickerMismatch
        If it is no JSON object.
    """
    try:
        with path.open("rb") as file:
            config = json.loads(file.read(_MAX_JSON_BYTES))
    except (OSError, ValueError) as error:
        msg = f"{path}: not a description of a Keras model ({error})"
        raise PickerMismatch(msg) from error
    return config if isinstance(config, dict) else {}


def import_gpd(path: Path, *, name: str = "gpd", stride: int = _STRIDE) -> Picker:
    """Import Generalized Phase Detection, ``model_pol.json`` and ``model_pol_best.hdf5``.

    Parameters
    ----------
    path : Path
        Either file.
    name : str
        Name of the picker.
    stride : int
        Samples from one classified window to the next.

    Returns
    -------
    Picker
        Not saved yet: its card carries no hash. Save it with `save_picker`.

    Raises
    ------
    PickerMismatch
        If a file cannot be read or is not GPD's.
    """
    saved = read_gpd(path)
    if not is_gpd(saved.config):
        msg = f"{path}: not GPD: no sequential network of windows of {WINDOW} samples"
        raise PickerMismatch(msg)
    keras = load_keras()
    waveform = keras.Input((WINDOW, 3), name="waveform")
    layers = sequence(saved.config)
    rebuilt = rebuild(saved, layers, waveform)
    last = rebuilt.tensors[layers[-1]["config"]["name"]]
    if tuple(last.shape) != (None, len(_CLASSES)):
        msg = f"{path}: not GPD: its output {tuple(last.shape)} is not {len(_CLASSES)} classes"
        raise PickerMismatch(msg)
    output = keras.layers.Reshape((1, len(_CLASSES)), name="classes")(last)
    model = keras.Model(waveform, output, name=name)
    fill(model, rebuilt.weights, f"{path}: not GPD")
    card = PickerCard(
        name=name,
        version=f"{saved.path.name} {saved.digest[:8]}",
        description="Generalized Phase Detection as published",
        licence="MIT",
        citation=(
            "Ross, Z. E., Meier, M.-A., Hauksson, E. and Heaton, T. H. (2018), Generalized seismic "
            "phase detection with deep learning, Bull. Seismol. Soc. Am. 108, 2894-2901, "
            "https://doi.org/10.1785/0120180080"
        ),
        components="NEZ",
        classes=_CLASSES,
        normalisation=Normalisation(
            window_s=None, highpass_hz=3.0, highpass_order=4, lowpass_hz=20.0
        ),
        # "Same" padding at a window's ends reaches far into it, so that one pass over the whole
        # record would not give the same classes: every window is classified by itself.
        windows=Windows(window_samples=WINDOW, stride=stride, scaling="joint peak", blend="lines"),
        thresholds={"P": 0.95, "S": 0.95},
        training=Training(
            span="Southern California, 2000 to 2017",
            data=(DataItem(name="SCSN", use="labels", amount="4.5 million windows"),),
        ),
        weights_sha256=UNHASHED,
    )
    return Picker(model, card)
