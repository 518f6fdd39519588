"""A picker's network run by Keras, on TensorFlow or any other backend of Keras."""

from functools import partial
from typing import Any

import numpy as np

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


def keras_network(model: Any) -> Network:  # noqa: ANN401 - keras.Model
    """Return a function that runs a model: a plain U-Net as bare convolutions, which is quicker.

    Parameters
    ----------
    model : keras.Model
        From float32 (batch, n_samples, channels) to class probabilities.

    Returns
    -------
    callable
        From array to array, as the model.
    """
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    plain = convolutions(model.get_config(), weights)
    if plain is None:
        run = _traced(partial(folded(model), training=False))
        return lambda waveforms: np.asarray(run(waveforms), dtype=np.float32)
    run = _traced(partial(_convolved, plain))
    return lambda waveforms: class_probabilities(np.array(run(waveforms)), plain)


def _traced(function: Any) -> Any:  # noqa: ANN401 - from tensor to tensor
    """Let TensorFlow trace a function once a shape; pieces all have the same shape."""
    if load_keras().backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    traced = tf.function(function, autograph=False)
    return lambda x: traced(tf.constant(x))


def _convolved(plain: Convolutions, waveforms: Any) -> Any:  # noqa: ANN401 - tensors
    """Run convolutions, in `keras.ops` alone.

    As pictures of height 1: TensorFlow turns them into such anyway, and joins bias and rectifier
    to convolutions of two dimensions only.
    """
    ops = load_keras().ops
    batch, n, channels = waveforms.shape
    shape = (batch, 1, n // plain.block, channels * plain.block)
    outputs = {WAVEFORM: ops.reshape(waveforms, shape)}
    for step in plain.steps:
        parts = [outputs[name] for name in step.inputs]
        joined = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        x = _linear(ops, step, joined) + step.bias
        outputs[step.name] = ops.relu(x) if step.is_rectified else x
    return outputs[plain.steps[-1].name]


def _linear(ops: Any, step: Convolution, x: Any) -> Any:  # noqa: ANN401 - tensors
    is_same = step.right - step.left in {0, 1}  # what Keras' "same" padding does
    if step.up > 1:
        kernel = step.kernel.transpose(0, 2, 1)[None]
        if is_same:
            return ops.conv_transpose(x, kernel, (1, step.up), "same")
        x = ops.conv_transpose(x, kernel, (1, step.up), "valid")
        return x[:, :, step.left : x.shape[2] - step.right]
    if not is_same:
        x = ops.pad(x, ((0, 0), (0, 0), (step.left, step.right), (0, 0)))
    return ops.conv(x, step.kernel[None], (1, step.down), "same" if is_same else "valid")
