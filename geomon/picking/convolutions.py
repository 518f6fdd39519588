"""A picker's network as nothing but a list of convolutions: what every backend runs.

A U-Net of plain layers is read from a Keras model's description and weights, with the batch
normalisations worked into the convolutions; the file is read without Keras. Its finest level is
then rewritten: several samples of few channels become one sample of many, which processors'
vectors fit better. Outputs agree to rounding.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

WAVEFORM = "waveform"
_WIDE = 8  # channels from which on a convolution fills a processor's vectors as it is
# The names Keras gives the layers of a class in its weights file, before their numbers.
_STORED_AS = {
    "Conv1D": "conv1d",
    "Conv1DTranspose": "conv1d_transpose",
    "BatchNormalization": "batch_normalization",
}

type Weights = Mapping[str, Sequence[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """One convolution, of some earlier outputs side by side; lengths are exact multiples.

    Attributes
    ----------
    name : str
        What later ones call its output.
    inputs : tuple of str
        Names of what it reads, joined along the channels.
    kernel : array of float32, shape (taps, channels, filters)
        Tap t of output sample j weighs input sample ``down * j + t - left``; where `up` is
        above 1, tap t of input sample m goes to output sample ``up * m + t - left``.
    bias : array of float32, shape (filters,)
        What is added.
    left : int
        See `kernel`; outside its ends the input is zero.
    down, up : int
        Input samples an output sample, or output samples an input sample; one of them is 1.
    is_rectified : bool
        Whether what is below zero becomes zero.
    """

    name: str
    inputs: tuple[str, ...]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    left: int
    down: int = 1
    up: int = 1
    is_rectified: bool = False

    @property
    def right(self) -> int:
        """What `left` is at the other end."""
        return int(self.kernel.shape[0]) - self.down * self.up - self.left


@dataclass(frozen=True, slots=True)
class Convolutions:
    """A network from waveforms to the logarithms of class probabilities, but for a constant.

    Attributes
    ----------
    steps : tuple of Convolution
        In order; the first reads `WAVEFORM`, the last gives the output.
    block : int
        How many samples are taken as one, their channels one behind the other.
    """

    steps: tuple[Convolution, ...]
    block: int = 1

    @property
    def n_channels(self) -> int:
        """Channels of the waveforms."""
        return int(self.steps[0].kernel.shape[1]) // self.block

    @property
    def n_classes(self) -> int:
        """Classes told apart."""
        return int(self.steps[-1].kernel.shape[2]) // self.block


def class_probabilities(
    logits: NDArray[np.float32], convolutions: Convolutions
) -> NDArray[np.float32]:
    """Turn the output of the last convolution into probabilities: the softmax over the classes.

    Parameters
    ----------
    logits : array of float32, shape (batch, ..., block * n_classes)
        As the backends give it.
    convolutions : Convolutions
        What was run.

    Returns
    -------
    array of float32, shape (batch, n_samples, n_classes)
    """
    samples = logits.reshape(logits.shape[0], -1, convolutions.n_classes)
    # Classes first: sums over three neighbours are slow, three sums of long rows are not.
    out = np.ascontiguousarray(np.moveaxis(samples, -1, 0))
    out -= out.max(axis=0)
    np.exp(out, out=out)
    out /= out.sum(axis=0)
    return np.moveaxis(out, 0, -1)


def read_convolutions(content: bytes) -> Convolutions | None:
    """Read the convolutions of a ``.keras`` archive, without Keras.

    Parameters
    ----------
    content : bytes
        The file, already checked.

    Returns
    -------
    Convolutions or None
        None when the model is something else.
    """
    import h5py

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        config = json.loads(archive.read("config.json"))["config"]
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
    numbers: Counter[str] = Counter()
    weights = {}
    with file:
        for layer in config["layers"]:
            stored = _STORED_AS.get(layer["class_name"])
            if stored is None:
                continue
            number = numbers[stored]
            numbers[stored] += 1
            arrays = file[f"layers/{stored}_{number}/vars" if number else f"layers/{stored}/vars"]
            weights[layer["config"]["name"]] = [arrays[str(k)][()] for k in range(len(arrays))]
    return convolutions(config, weights)


def convolutions(config: Mapping[str, Any], weights: Weights) -> Convolutions | None:
    """Write a Keras model as convolutions.

    Parameters
    ----------
    config : mapping
        The model's ``get_config()``.
    weights : mapping of str to arrays
        Each layer's weights in Keras' order, by the layer's name.

    Returns
    -------
    Convolutions or None
        None when the model holds anything but convolutions, batch normalisation, rectification,
        joints and paddings that keep every level's length an exact fraction of the input's, and
        a softmax at its end.
    """
    try:
        steps = _Reader(config, weights).steps()
    except _NotPlainError:
        return None
    return _blocked(steps)


class _NotPlainError(Exception):
    """The model cannot be written as convolutions."""


class _Reader:
    """Goes through the layers and gathers each convolution with what belongs to it."""

    def __init__(self, config: Mapping[str, Any], weights: Weights) -> None:
        self._layers = config["layers"]
        self._weights = weights
        self._inputs = {layer["config"]["name"]: _inputs(layer) for layer in self._layers}
        self._uses = Counter(name for names in self._inputs.values() for name in names)
        self._sources: dict[str, tuple[str, ...]] = {}  # the outputs that each layer's consists of
        self._found: dict[str, Convolution] = {}
        self._padded: dict[str, tuple[int, int]] = {}  # zeros around a layer's output
        self._uncropped: dict[str, int] = {}  # samples too many of a convolution's output

    def steps(self) -> tuple[Convolution, ...]:
        first, *others, last = self._layers
        if first["class_name"] != "InputLayer" or not others:
            raise _NotPlainError
        self._sources[first["config"]["name"]] = (WAVEFORM,)
        for layer in others:
            name = layer["config"]["name"]
            if not self._inputs[name] or not self._sources.keys() >= set(self._inputs[name]):
                raise _NotPlainError
            self._read(layer["class_name"], layer["config"], name)
        steps = tuple(self._found.values())
        is_end = last["class_name"] == "Softmax" and last["config"]["axis"] in {-1, 2}
        [before] = self._inputs[last["config"]["name"]] or [""]
        if not is_end or self._uncropped or self._sources.get(before) != (steps[-1].name,):
            raise _NotPlainError
        if any(step.left < 0 or step.right < 0 for step in steps):
            raise _NotPlainError
        return steps

    def _read(self, kind: str, config: Mapping[str, Any], name: str) -> None:
        inputs = self._inputs[name]
        if kind in {"Conv1D", "Conv1DTranspose"}:
            self._convolve(kind, config, name)
        elif self._padded.keys() & set(inputs):
            raise _NotPlainError
        elif kind == "Concatenate" and config["axis"] in {-1, 2}:
            self._sources[name] = tuple(s for source in inputs for s in self._sources[source])
        elif kind == "ZeroPadding1D":
            left, right = config["padding"]
            self._padded[name] = (left, right)
            self._sources[name] = self._sources[inputs[0]]
        else:
            self._change(kind, config, name)

    def _convolve(self, kind: str, config: Mapping[str, Any], name: str) -> None:
        [source] = self._inputs[name]
        is_up = kind == "Conv1DTranspose"
        kernel, *bias = self._weights[name]
        [stride] = config["strides"]
        surplus = kernel.shape[0] - stride
        zeros = self._padded.get(source)
        left = surplus // 2
        if is_up and config["padding"] == "valid" and surplus:
            self._uncropped[name] = surplus
        elif not is_up and config["padding"] == "valid" and sum(zeros or (0, 0)) == surplus:
            left, zeros = (zeros or (0, 0))[0], None
        elif config["padding"] != "same":
            raise _NotPlainError
        if (
            zeros is not None
            or tuple(config["dilation_rate"]) != (1,)
            or config.get("groups", 1) != 1
            or config["activation"] not in {"linear", "relu"}
        ):
            raise _NotPlainError
        filters = kernel.shape[1 if is_up else 2]
        self._found[name] = Convolution(
            name,
            self._sources[source],
            kernel.transpose(0, 2, 1) if is_up else kernel,
            bias[0] if bias else np.zeros(filters, dtype=np.float32),
            left,
            down=1 if is_up else stride,
            up=stride if is_up else 1,
            is_rectified=config["activation"] == "relu",
        )
        self._sources[name] = (name,)

    def _change(self, kind: str, config: Mapping[str, Any], name: str) -> None:
        # Into the convolution before it, whose output nothing else may read.
        [source] = self._inputs[name]
        [behind, *more] = self._sources[source]
        if more or behind not in self._found or self._uses[source] > 1:
            raise _NotPlainError
        step = self._found[behind]
        if kind == "BatchNormalization" and not step.is_rectified:
            step = _normalised(step, config, self._weights[name])
        elif kind == "Activation" and config["activation"] == "relu":
            step = replace(step, is_rectified=True)
        elif kind == "Cropping1D" and self._uncropped.pop(behind, -1) == sum(config["cropping"]):
            step = replace(step, left=config["cropping"][0])
        else:
            raise _NotPlainError
        self._found[behind] = step
        self._sources[name] = (behind,)


def _inputs(layer: Mapping[str, Any]) -> list[str]:
    """Return the names of the layers that one layer reads."""
    found: list[str] = []
    for node in layer.get("inbound_nodes", ()):
        pending = list(node["args"])
        while pending:
            item = pending.pop(0)
            if isinstance(item, list | tuple):
                pending = [*item, *pending]
            elif isinstance(item, Mapping):
                found.append(item["config"]["keras_history"][0])
    return found


def _normalised(
    step: Convolution, config: Mapping[str, Any], weights: Sequence[NDArray[np.float32]]
) -> Convolution:
    """Work a batch normalisation into the convolution before it."""
    *adjust, mean, variance = (np.asarray(array, dtype=np.float64) for array in weights)
    gamma = adjust.pop(0) if config["scale"] else 1.0
    beta = adjust.pop(0) if config["center"] else 0.0
    scale = gamma / np.sqrt(variance + config["epsilon"])
    return replace(
        step,
        kernel=(step.kernel * scale).astype(np.float32),
        bias=((step.bias - mean) * scale + beta).astype(np.float32),
    )


def _blocked(steps: Sequence[Convolution]) -> Convolutions:
    """Take as many samples as one at the finest level as the first coarser level does."""
    block = next((step.down for step in steps if step.down > 1), 1)
    fineness: dict[str, int] = {
        WAVEFORM: 1
    }  # samples of the input that one of an output stands for
    widths = {WAVEFORM: int(steps[0].kernel.shape[1])}
    for step in steps:
        fineness[step.name] = fineness[step.inputs[0]] * step.down // step.up
        widths[step.name] = int(step.kernel.shape[2])
    fine = {name for name, samples in fineness.items() if samples == 1}
    if block == 1 or steps[-1].name not in fine or max(widths[name] for name in fine) > _WIDE:
        return Convolutions(tuple(steps))
    if any(step.name in fine and step.up not in {1, block} for step in steps) or any(
        step.inputs[0] in fine and step.down not in {1, block} for step in steps
    ):
        return Convolutions(tuple(steps))
    return Convolutions(
        tuple(
            _blocked_step(step, block, fine, [widths[name] for name in step.inputs])
            for step in steps
        ),
        block,
    )


def _blocked_step(
    step: Convolution, block: int, fine: set[str], widths: Sequence[int]
) -> Convolution:
    """Rewrite a convolution that reads or gives blocks, so that its steps are whole blocks.

    Sample q of input block m + d weighs in on sample r of output block m by the tap that the
    two are apart.
    """
    n_in = block if step.inputs[0] in fine else 1
    n_out = block if step.name in fine else 1
    if n_in == n_out == 1:
        return step
    taps, _, filters = step.kernel.shape

    def tap(d: int, q: int, r: int) -> int:
        if step.up > 1:
            return r - block * d + step.left
        return block * d + q - r + step.left

    reach = -(-taps // block) + 1
    pairs = [(q, r) for q in range(n_in) for r in range(n_out)]
    used = [d for d in range(-reach, reach + 1) if any(0 <= tap(d, *p) < taps for p in pairs)]
    kernel = np.zeros((used[-1] - used[0] + 1, n_in * sum(widths), n_out * filters), np.float32)
    for d in used:
        for q, r in pairs:
            if not 0 <= (t := tap(d, q, r)) < taps:
                continue
            begin = 0
            for width in widths:  # each of the joined inputs has its own blocks
                place = n_in * begin + q * width
                kernel[d - used[0], place : place + width, r * filters : (r + 1) * filters] = (
                    step.kernel[t, begin : begin + width]
                )
                begin += width
    return replace(step, kernel=kernel, bias=np.tile(step.bias, n_out), left=-used[0], down=1, up=1)
