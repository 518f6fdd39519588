"""Keras 2 in NumPy: what the layers of GPD and EQTransformer compute at inference, in float64.

Written from the layers' definitions, apart from the importers: it reads the files by itself, and
takes GPD's network out of its wrapper and EQTransformer's dropout as absent.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.special import expit, softmax

type Arrays = Sequence[np.ndarray]

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
    "softmax": lambda x: softmax(x, axis=-1),
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
}


def conv1d(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    kernel, bias = weights
    before = (len(kernel) - 1) // 2
    padded = np.pad(x, ((0, 0), (before, len(kernel) - 1 - before), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=1)
    out = np.tensordot(windows, kernel, axes=([2, 3], [1, 0])) + bias
    return ACTIVATIONS[config["activation"]](out)


def max_pooling1d(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    assert config["pool_size"] == config["strides"] == [2]
    if x.shape[1] % 2 and config["padding"] == "same":
        x = np.pad(x, ((0, 0), (0, 1), (0, 0)), constant_values=-np.inf)
    n = x.shape[1] // 2
    return x[:, : 2 * n].reshape(len(x), n, 2, -1).max(axis=2)


def batch_normalization(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    gamma, beta, mean, variance = weights
    return gamma * (x - mean) / np.sqrt(variance + config["epsilon"]) + beta


def layer_normalization(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    gamma, beta = weights
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt(variance + config["epsilon"]) + beta


def dense(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    return ACTIVATIONS[config["activation"]](x @ weights[0] + weights[1])


def feed_forward(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    w1, b1, w2, b2 = weights
    return ACTIVATIONS[config["activation"]](x @ w1 + b1) @ w2 + b2


def lstm(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    kernel, recurrent, bias = weights
    gate, squash = ACTIVATIONS[config["recurrent_activation"]], ACTIVATIONS[config["activation"]]
    hidden = cell = np.zeros((len(x), config["units"]))
    out = []
    for step in range(x.shape[1]):
        i, f, c, o = np.split(x[:, step] @ kernel + hidden @ recurrent + bias, 4, axis=-1)
        cell = gate(f) * cell + gate(i) * squash(c)
        hidden = gate(o) * squash(cell)
        out.append(hidden)
    return np.stack(out, axis=1)


def bidirectional(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    inner = config["layer"]["config"]
    forward = lstm(x, inner, weights[:3])
    backward = lstm(x[:, ::-1], inner, weights[3:])[:, ::-1]
    return np.concatenate([forward, backward], axis=-1)


def seq_self_attention(x: np.ndarray, config: Mapping[str, Any], weights: Arrays) -> np.ndarray:
    w_t, w_x, b_h, w_a, b_a = weights
    mixed = np.tanh((x @ w_t)[:, :, None] + (x @ w_x)[:, None] + b_h)
    score = (mixed @ w_a)[..., 0] + b_a
    score = np.exp(score - score.max(axis=-1, keepdims=True))
    if config["attention_width"] is not None:
        steps = np.arange(x.shape[1])
        lower = steps[:, None] - config["attention_width"] // 2
        score = score * (lower <= steps) * (steps < lower + config["attention_width"])
    return score / (score.sum(axis=-1, keepdims=True) + 1e-7) @ x


LAYERS: dict[str, Callable[[np.ndarray, Mapping[str, Any], Arrays], np.ndarray]] = {
    "Activation": lambda x, config, weights: ACTIVATIONS[config["activation"]](x),
    "BatchNormalization": batch_normalization,
    "Bidirectional": bidirectional,
    "Conv1D": conv1d,
    "Cropping1D": lambda x, config, weights: x[
        :, config["cropping"][0] : x.shape[1] - config["cropping"][1]
    ],
    "Dense": dense,
    "FeedForward": feed_forward,
    "Flatten": lambda x, config, weights: x.reshape(len(x), -1),
    "LSTM": lstm,
    "LayerNormalization": layer_normalization,
    "MaxPooling1D": max_pooling1d,
    "SeqSelfAttention": seq_self_attention,
    "SpatialDropout1D": lambda x, config, weights: x,
    "UpSampling1D": lambda x, config, weights: x.repeat(config["size"], axis=1),
}


def description(file: h5py.File) -> list[dict[str, Any]]:
    return json.loads(file.attrs["model_config"])["config"]["layers"]


def eqtransformer(path: Path, x: np.ndarray) -> np.ndarray:
    """Detection, P and S curves, shape (batch, 6000, 3)."""
    values: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        for layer in description(file):
            name, kind = layer["name"], layer["class_name"]
            if kind == "InputLayer":
                values[name] = x.astype(np.float64)
                continue
            inputs = [values[node[0]] for node in layer["inbound_nodes"][0]]
            group = file["model_weights"][name]
            weights = [np.asarray(group[key], float) for key in group.attrs["weight_names"]]
            if kind == "Add":
                values[name] = inputs[0] + inputs[1]
            else:
                values[name] = LAYERS[kind](inputs[0], layer["config"], weights)
    return np.concatenate([values[name] for name in ("detector", "picker_P", "picker_S")], axis=-1)


def gpd(path: Path, x: np.ndarray) -> np.ndarray:
    """P, S and noise of each window, shape (batch, 3)."""
    value = x.astype(np.float64)
    order = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
    with h5py.File(path) as file:
        [network] = [one for one in description(file) if one["class_name"] == "Sequential"]
        group = file["model_weights"][network["name"]]
        for layer in network["config"]:
            stored = group.get(f"{layer['config']['name']}_1", {})
            weights = [
                np.asarray(stored[f"{leaf}:0"], float) for leaf in order if f"{leaf}:0" in stored
            ]
            value = LAYERS[layer["class_name"]](value, layer["config"], weights)
    return value
