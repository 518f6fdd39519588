"""A picker's network run by Keras, on TensorFlow or any other backend of Keras."""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from geomon.picking.architecture import folded
from geomon.picking.backend import load_keras
from geomon.picking.convolutions import (
    WAVEFORM,
    Convolution,
    Convolutions,
    class_probabilities,
    convolutions,
)
from geomon.picking.windows import Network

type Precision = Literal["float32", "bfloat16"]


def keras_network(model: Any, *, precision: Precision = "float32") -> Network:  # noqa: ANN401
    """Return a function that runs a model: a plain U-Net as bare convolutions, which is quicker.

    Where there are several GPUs, each gets its share of a batch.

    Parameters
    ----------
    model : keras.Model
        From float32 (batch, n_samples, channels) to class probabilities.
    precision : {"float32", "bfloat16"}
        What a plain U-Net is computed in; probabilities are off by up to 0.05 with the latter.

    Returns
    -------
    callable
        From array to array, as the model.
    """
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    plain = convolutions(model.get_config(), weights)
    if plain is None:
        run = _shared_out(_traced(partial(folded(model), training=False)))
        return lambda waveforms: np.asarray(run(waveforms), dtype=np.float32)
    run = _shared_out(_traced(partial(_convolved, plain, precision)))
    return lambda waveforms: class_probabilities(np.array(run(waveforms)), plain)


def gpus() -> list[Any]:
    """Return the GPUs that Keras' backend sees, as that backend names them."""
    backend = load_keras().backend.backend()
    if backend == "jax":
        import jax

        return [device for device in jax.devices() if device.platform == "gpu"]
    if backend == "tensorflow":
        import tensorflow as tf

        return [device.name for device in tf.config.list_logical_devices("GPU")]
    return []


def _traced(function: Any) -> Any:  # noqa: ANN401 - from tensor to tensor
    """Let the backend compile a function once a shape; pieces all have the same shape."""
    backend = load_keras().backend.backend()
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend != "tensorflow":
        return function
    import tensorflow as tf

    traced = tf.function(function, autograph=False)
    return lambda x: traced(tf.constant(x))


def _shared_out(run: Any) -> Network:  # noqa: ANN401 - from array to tensor
    """Split batches over the GPUs, if there are several."""
    devices = gpus()
    if len(devices) < 2:
        return lambda waveforms: np.asarray(run(waveforms))

    def shared(waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = []
        for device, part in zip(devices, np.array_split(waveforms, len(devices)), strict=True):
            if len(part):
                with _on(device):
                    parts.append(run(part))  # returns before it is done: all GPUs work at once
        return np.concatenate([np.asarray(part) for part in parts])

    return shared


def _on(device: Any) -> AbstractContextManager[Any]:  # noqa: ANN401 - as `gpus` gives it
    if load_keras().backend.backend() == "jax":
        import jax

        return cast("AbstractContextManager[Any]", jax.default_device(device))
    import tensorflow as tf

    return cast("AbstractContextManager[Any]", tf.device(device))


def _convolved(plain: Convolutions, precision: Precision, waveforms: Any) -> Any:  # noqa: ANN401
    """Run convolutions, in `keras.ops` alone.

    As pictures of height 1: TensorFlow turns them into such anyway, and joins bias and rectifier
    to convolutions of two dimensions only.
    """
    ops = load_keras().ops
    batch, n, channels = waveforms.shape
    shape = (batch, 1, n // plain.block, channels * plain.block)
    outputs = {WAVEFORM: ops.cast(ops.reshape(waveforms, shape), precision)}
    for step in plain.steps:
        parts = [outputs[name] for name in step.inputs]
        joined = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        x = _linear(ops, step, joined) + ops.cast(step.bias, precision)
        outputs[step.name] = ops.relu(x) if step.is_rectified else x
    return ops.cast(outputs[plain.steps[-1].name], "float32")


def _linear(ops: Any, step: Convolution, x: Any) -> Any:  # noqa: ANN401 - tensors
    dtype = x.dtype
    is_same = step.right - step.left in {0, 1}  # what Keras' "same" padding does
    if step.up > 1:
        kernel = ops.cast(step.kernel.transpose(0, 2, 1)[None], dtype)
        if is_same:
            return ops.conv_transpose(x, kernel, (1, step.up), "same")
        x = ops.conv_transpose(x, kernel, (1, step.up), "valid")
        return x[:, :, step.left : x.shape[2] - step.right]
    if not is_same:
        x = ops.pad(x, ((0, 0), (0, 0), (step.left, step.right), (0, 0)))
    return ops.conv(
        x, ops.cast(step.kernel[None], dtype), (1, step.down), "same" if is_same else "valid"
    )
