"""The picker's network: a one-dimensional U-Net of PhaseNet's size, in plain Keras layers.

Zhu, W. and Beroza, G. C. (2019), PhaseNet: a deep-neural-network-based seismic arrival-time
picking method, Geophys. J. Int. 216, 261-273, https://doi.org/10.1093/gji/ggy423.
"""

from typing import Any

import numpy as np

from geomon.picking.backend import load_keras


def unet(
    *,
    n_components: int = 3,
    n_classes: int = 3,
    root: int = 8,
    kernel: int = 7,
    stride: int = 4,
    depth: int = 5,
    down_kernel: int | None = None,
    down_constraint: Any = None,  # noqa: ANN401 - keras.constraints.Constraint
    name: str = "unet",
) -> Any:  # noqa: ANN401 - keras.Model, which is imported late
    """Build the network for waveforms of any length that is a multiple of ``stride**(depth-1)``.

    Parameters
    ----------
    n_components, n_classes : int
        Channels in; classes out, as probabilities that sum to 1.
    root : int
        Filters of the finest level; each coarser one has twice as many.
    kernel : int
        Filter length, samples of its level.
    stride : int
        Down-sampling between levels.
    depth : int
        Levels.
    down_kernel : int, optional
        Filter length where levels are down-sampled; `kernel` when absent.
    down_constraint : keras.constraints.Constraint, optional
        What those filters must obey while training.

    Returns
    -------
    keras.Model
        From float32 (batch, n_samples, n_components) to float32 (batch, n_samples, n_classes).

    Notes
    -----
    The layers carry the names of PhaseNet's variables, so that its weights fit in. "Same" padding
    makes every level's length an exact fraction of the input's, so that nothing is cropped.
    """
    keras = load_keras()
    layers = keras.layers

    def activated(x: Any, label: str) -> Any:  # noqa: ANN401 - a symbolic tensor
        x = layers.BatchNormalization(epsilon=1e-3, name=label)(x)
        return layers.Activation("relu", name=f"{label}_relu")(x)

    def convolved(x: Any, filters: int, label: str) -> Any:  # noqa: ANN401
        return layers.Conv1D(filters, kernel, padding="same", use_bias=False, name=label)(x)

    waveform = keras.Input((None, n_components), name="waveform")
    x = layers.Conv1D(root, kernel, padding="same", name="input_conv")(waveform)
    x = activated(x, "input_bn")
    skips = []
    for level in range(1, depth + 1):
        filters = root * 2 ** (level - 1)
        x = activated(convolved(x, filters, f"down_conv1_{level}"), f"down_bn1_{level}")
        if level < depth:
            skips.append(x)
            x = layers.Conv1D(
                filters,
                down_kernel or kernel,
                strides=stride,
                padding="same",
                use_bias=False,
                kernel_constraint=down_constraint,
                name=f"down_conv3_{level}",
            )(x)
            x = activated(x, f"down_bn3_{level}")
    for level in range(depth - 1, 0, -1):
        filters = root * 2 ** (level - 1)
        x = layers.Conv1DTranspose(
            filters,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            name=f"up_conv0_{level}",
        )(x)
        x = activated(x, f"up_bn0_{level}")
        x = layers.Concatenate(name=f"join_{level}")([skips[level - 1], x])
        x = activated(convolved(x, filters, f"up_conv1_{level}"), f"up_bn1_{level}")
    x = layers.Conv1D(n_classes, 1, padding="same", name="output_conv")(x)
    return keras.Model(waveform, layers.Softmax(name="probability")(x), name=name)


def folded(model: Any) -> Any:  # noqa: ANN401 - keras.Model
    """Return a copy for inference with batch normalisation worked into the convolutions.

    Saves a fifth of the time; outputs agree to rounding. Normalisations that do not directly
    follow a convolution without activation stay as they are.

    Parameters
    ----------
    model : keras.Model
        A network of one input and one output, whose layers are each used once.

    Returns
    -------
    keras.Model
    """
    keras = load_keras()
    layers = keras.layers
    norms = {
        layer.input.name: layer
        for layer in model.layers
        if isinstance(layer, layers.BatchNormalization)
    }
    waveform = keras.Input(model.input_shape[1:], name=model.layers[0].name)
    tensors = {model.input.name: waveform}
    done: set[str] = set()
    for layer in model.layers[1:]:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        arguments = [tensors[tensor.name] for tensor in inputs]
        value = arguments if len(arguments) > 1 else arguments[0]
        if layer.name in done:
            tensors[layer.output.name] = value
            continue
        config = layer.get_config()
        is_convolution = isinstance(layer, layers.Conv1D | layers.Conv1DTranspose)
        norm = norms.get(layer.output.name) if is_convolution else None
        if norm is None or config["activation"] != "linear":
            copy = type(layer).from_config(config)
            tensors[layer.output.name] = copy(value)
            copy.set_weights(layer.get_weights())
            continue
        done.add(norm.name)
        copy = type(layer).from_config(config | {"use_bias": True})
        tensors[layer.output.name] = copy(value)
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel, *bias = layer.get_weights()
        # The filters are the last axis of a convolution's kernel, the middle one of its transpose.
        wide = scale[:, None] if isinstance(layer, layers.Conv1DTranspose) else scale
        copy.set_weights([kernel * wide, (sum(bias) - mean) * scale + beta])
    return keras.Model(waveform, tensors[model.output.name], name=model.name)
