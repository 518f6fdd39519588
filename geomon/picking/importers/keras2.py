"""Models that Keras 2 saved as HDF5, rebuilt layer by layer; nothing stored in them is run.

Keras 3 does not load them: some layers are foreign, some are code (`Lambda`), and its hard
sigmoid is another function. Their description is JSON and their weights are plain arrays, so the
network is built anew from the layers known here. Dropout is left out.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geomon.errors import PickerMismatch
from geomon.picking.backend import load_keras
from geomon.picking.importers.rebuilding import Array
from geomon.picking.layers import own_layers

_MAX_BYTES = 2**28
_ACTIVATIONS = frozenset({"linear", "relu", "sigmoid", "softmax", "tanh"})
_GATES = frozenset({"sigmoid", "hard_sigmoid"})
_ATTENTION = {
    "attention_type": "additive", "attention_activation": "linear", "history_only": False,
    "use_additive_bias": True, "use_attention_bias": True,
}  # fmt: skip
# Keras 2: clip(0.2 x + 0.5, 0, 1); Keras 3: the same of x / 1.2.
_HARD_SIGMOID_RATIO = 1.2


@dataclass(frozen=True, slots=True)
class SavedModel:
    """What an HDF5 file holds.

    Attributes
    ----------
    path : Path
        The file.
    config : dict
        Its description of the model, parsed from JSON; empty when it holds weights only.
    weights : dict of str to arrays
        By layer, in the order they were saved.
    digest : str
        SHA-256 of the file.
    """

    path: Path
    config: dict[str, Any]
    weights: dict[str, list[Array]]
    digest: str


def read_model(path: Path) -> SavedModel:
    """Read an HDF5 file of Keras 2.

    Raises
    ------
    PickerMismatch
        If it cannot be read or is none.
    """
    import h5py

    try:
        if path.stat().st_size > _MAX_BYTES:
            msg = f"{path}: more than {_MAX_BYTES} bytes"
            raise PickerMismatch(msg)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with h5py.File(path, "r") as file:
            config = json.loads(file.attrs.get("model_config", "{}"))
            weights: dict[str, list[Array]] = {}
            top = file.get("model_weights", file)
            for group in top:
                for name in _text(top[group].attrs["weight_names"]):
                    layer = name.split("/")[0]
                    weights.setdefault(layer, []).append(_array(top[group], name))
    except (OSError, KeyError, ValueError, TypeError) as error:
        msg = f"{path}: not a model that Keras 2 saved ({error})"
        raise PickerMismatch(msg) from error
    return SavedModel(path, config, weights, digest)


def _text(names: Sequence[str | bytes]) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _array(group: Any, name: str) -> Array:  # noqa: ANN401 - h5py.Group
    """Read one array that lies in this file.

    Raises
    ------
    ValueError
        If it is somewhere else or is not numbers.
    """
    dataset = group[name]
    if dataset.file != group.file or dataset.external or dataset.is_virtual:
        msg = f"{name} lies in another file"
        raise ValueError(msg)
    if dataset.dtype.kind != "f" or dataset.size > _MAX_BYTES // 4:
        msg = f"{name} holds {dataset.size} of {dataset.dtype}"
        raise ValueError(msg)
    return np.asarray(dataset, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Symbolic tensors by layer name, and the weights of the layers that were made."""

    tensors: dict[str, Any]
    weights: dict[str, list[Array]]


def rebuild(saved: SavedModel, entries: Sequence[Mapping[str, Any]], waveform: Any) -> Rebuilt:  # noqa: ANN401
    """Build the layers of a functional or sequential model on an input.

    Parameters
    ----------
    saved : SavedModel
        Whose weights to use.
    entries : sequence of dict
        The description's layers. Those that name no inbound layer follow the one before.
    waveform : symbolic tensor
        What takes the place of the input layer.

    Raises
    ------
    PickerMismatch
        If a layer is not known here or is set up in a way that is not.
    """
    tensors: dict[str, Any] = {}
    weights: dict[str, list[Array]] = {}
    last = waveform
    for entry in entries:
        kind, config = str(entry.get("class_name")), entry.get("config", {})
        try:
            name = str(config["name"])
            if kind == "InputLayer":
                tensors[name] = waveform
                continue
            nodes = entry.get("inbound_nodes") or [[]]
            inputs = [tensors[node[0]] for node in nodes[0]] or [last]
            last = _layer(kind, config)(inputs if len(inputs) > 1 else inputs[0])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            msg = f"{saved.path}: layer {kind} cannot be rebuilt ({error})"
            raise PickerMismatch(msg) from error
        tensors[name] = last
        weights |= _weights(kind, config, saved.weights.get(name) or saved.weights.get(f"{name}_1"))
    return Rebuilt(tensors, weights)


def _one(value: Any) -> int:  # noqa: ANN401 - Keras 2 writes one-dimensional sizes as lists
    return int(value[0] if isinstance(value, list) else value)


def _allowed(value: Any, allowed: frozenset[str]) -> str:  # noqa: ANN401 - parsed JSON
    name = value or "linear"
    if name not in allowed:
        msg = f"activation {name!r}"
        raise ValueError(msg)
    return str(name)


def _layer(kind: str, config: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the layer of a description, or a function that does what it did.

    Raises
    ------
    ValueError
        If it is not one of those known here.
    """
    layers = load_keras().layers
    name = config["name"]
    if kind in {"Dropout", "SpatialDropout1D"}:
        return lambda x: x
    if kind == "Conv1D":
        return layers.Conv1D(
            config["filters"], _one(config["kernel_size"]), strides=_one(config["strides"]),
            padding=config["padding"], dilation_rate=_one(config["dilation_rate"]),
            activation=_allowed(config["activation"], _ACTIVATIONS), use_bias=config["use_bias"],
            name=name,
        )  # fmt: skip
    if kind == "Dense":
        activation = _allowed(config["activation"], _ACTIVATIONS)
        return layers.Dense(
            config["units"], activation=activation, use_bias=config["use_bias"], name=name
        )
    if kind == "BatchNormalization":
        return layers.BatchNormalization(
            epsilon=config["epsilon"], center=config["center"], scale=config["scale"], name=name
        )
    if kind == "Activation":
        return layers.Activation(_allowed(config["activation"], _ACTIVATIONS), name=name)
    if kind == "MaxPooling1D":
        return layers.MaxPooling1D(
            _one(config["pool_size"]), strides=_one(config["strides"]),
            padding=config["padding"], name=name,
        )  # fmt: skip
    if kind == "UpSampling1D":
        return layers.UpSampling1D(_one(config["size"]), name=name)
    if kind == "Cropping1D":
        return layers.Cropping1D(tuple(config["cropping"]), name=name)
    if kind == "Flatten":
        return layers.Flatten(name=name)
    if kind == "Add":
        return layers.Add(name=name)
    if kind == "LSTM":
        return layers.LSTM(
            config["units"], activation=_allowed(config["activation"], _ACTIVATIONS),
            recurrent_activation=_allowed(config["recurrent_activation"], _GATES),
            return_sequences=config["return_sequences"], go_backwards=config["go_backwards"],
            use_bias=config["use_bias"], name=name,
        )  # fmt: skip
    if kind == "Bidirectional":
        inner = config["layer"]
        if inner["class_name"] != "LSTM" or config["merge_mode"] != "concat":
            msg = f"{inner['class_name']} merged by {config['merge_mode']}"
            raise ValueError(msg)
        return layers.Bidirectional(_layer("LSTM", inner["config"]), name=name)
    if kind == "SeqSelfAttention":
        for key, value in _ATTENTION.items():
            if config[key] != value:
                msg = f"{key} is {config[key]!r}, not {value!r}"
                raise ValueError(msg)
        attention = own_layers()["AdditiveSelfAttention"]
        return attention(config["units"], config["attention_width"], name=name)
    if kind == "LayerNormalization":
        return layers.LayerNormalization(epsilon=config["epsilon"], name=name)
    if kind == "FeedForward":
        activation = _allowed(config["activation"], _ACTIVATIONS)
        inner = layers.Dense(config["units"], activation=activation, name=f"{name}_inner")
        return lambda x: layers.Dense(x.shape[-1], name=f"{name}_outer")(inner(x))
    msg = "it is not known here, and code is never run"
    raise ValueError(msg)


def _weights(
    kind: str, config: Mapping[str, Any], arrays: Sequence[Array] | None
) -> dict[str, list[Array]]:
    """Return a layer's weights under the names of the layers that took its place."""
    name = str(config["name"])
    if arrays is None:
        return {}
    if kind == "FeedForward":
        return {f"{name}_inner": list(arrays[:2]), f"{name}_outer": list(arrays[2:])}
    recurrent = config.get("layer", {}).get("config", config)
    if recurrent.get("recurrent_activation") == "hard_sigmoid":
        return {name: [_steeper(array) for array in arrays]}
    return {name: list(arrays)}


def _steeper(array: Array) -> Array:
    """Scale what goes into the gates (input, forget, output; not the cell) of an LSTM."""
    factor = np.full((4, 1), _HARD_SIGMOID_RATIO, dtype=np.float32)
    factor[2] = 1
    units = array.shape[-1] // 4
    return np.asarray(array * np.repeat(factor, units))
