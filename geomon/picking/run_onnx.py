"""The convolutions of a picker run by ONNX Runtime, without Keras or TensorFlow.

The graph is made in memory from the picker's own file, so there is no second file to keep, to
trust or to lose. Its encoding is ONNX' (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto),
whose few messages used here are written out below.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.errors import PickerMismatch
from geomon.picking.convolutions import (
    WAVEFORM,
    Convolution,
    Convolutions,
    class_probabilities,
)
from geomon.picking.windows import Network

_FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_INT, _INTS = 2, 7  # AttributeProto.AttributeType
_OPERATORS = 13  # version of the operator set
_IR = 8  # version of the format
_OUT = "logits"


def onnx_network(convolutions: Convolutions) -> Network:
    """Return a function that runs the convolutions on one thread, so that bits never differ.

    Parameters
    ----------
    convolutions : Convolutions
        From `geomon.picking.convolutions.read_convolutions`.

    Returns
    -------
    callable
        From float32 (batch, n_samples, channels) to float32 (batch, n_samples, classes).

    Raises
    ------
    PickerMismatch
        If ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        msg = (
            "picker.backend: onnxruntime is not installed; "
            "pip install onnxruntime, or set the backend to tensorflow"
        )
        raise PickerMismatch(msg) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        onnx_model(convolutions), options, providers=["CPUExecutionProvider"]
    )

    def network(waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        return class_probabilities(session.run([_OUT], {WAVEFORM: waveforms})[0], convolutions)

    return network


def onnx_model(convolutions: Convolutions) -> bytes:
    """Write convolutions as an ONNX model.

    They are pictures of height 1 there, because ONNX Runtime's quick convolutions have two
    dimensions.

    Parameters
    ----------
    convolutions : Convolutions
        What to write; its input is `WAVEFORM` and its output ``logits``.
    """
    first, last = convolutions.steps[0], convolutions.steps[-1]
    channels, filters = first.kernel.shape[1], last.kernel.shape[2]
    nodes = [
        _node("Reshape", [WAVEFORM, "blocks"], "blocked"),
        _node("Transpose", ["blocked"], f"{WAVEFORM} by channel", perm=[0, 3, 1, 2]),
    ]
    arrays: dict[str, NDArray[Any]] = {"blocks": np.array([0, 1, -1, channels], dtype=np.int64)}
    names = {WAVEFORM: f"{WAVEFORM} by channel"}
    for step in convolutions.steps:
        names[step.name] = f"step {step.name}"
        nodes += _step_nodes(step, [names[name] for name in step.inputs], names[step.name])
        order = (1, 2, 0) if step.up > 1 else (2, 1, 0)
        arrays[f"kernel {step.name}"] = step.kernel.transpose(order)[:, :, None]
        arrays[f"bias {step.name}"] = step.bias
    nodes.append(_node("Transpose", [names[last.name]], _OUT, perm=[0, 2, 3, 1]))
    graph = b"".join([
        *(_field(1, node) for node in nodes),
        _field(2, "picker"),
        *(_field(5, _tensor(name, array)) for name, array in arrays.items()),
        _field(11, _value(WAVEFORM, ["batch", "n_samples", channels // convolutions.block])),
        _field(12, _value(_OUT, ["batch", 1, "n_blocks", filters])),
    ])  # fmt: skip
    return _field(1, _IR) + _field(7, graph) + _field(8, _field(1, "") + _field(2, _OPERATORS))


def _step_nodes(step: Convolution, inputs: list[str], output: str) -> list[bytes]:
    nodes = []
    if len(inputs) > 1:
        nodes.append(_node("Concat", inputs, f"joined {step.name}", axis=1))
        inputs = [f"joined {step.name}"]
    result = f"linear {step.name}" if step.is_rectified else output
    nodes.append(
        _node(
            "Conv" if step.up == 1 else "ConvTranspose",
            [*inputs, f"kernel {step.name}", f"bias {step.name}"],
            result,
            kernel_shape=[1, step.kernel.shape[0]],
            strides=[1, step.down * step.up],
            pads=[0, step.left, 0, step.right],
        )
    )
    if step.is_rectified:
        nodes.append(_node("Relu", [result], output))
    return nodes


def _varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, value: int | str | bytes) -> bytes:
    """Encode one field of a message: a whole number, or the bytes of a text or message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _node(
    operator: str, inputs: Sequence[str], output: str, **attributes: int | list[int]
) -> bytes:
    return b"".join([
        *(_field(1, name) for name in inputs),
        _field(2, output),
        _field(4, operator),
        *(_field(5, _attribute(name, value)) for name, value in attributes.items()),
    ])  # fmt: skip


def _attribute(name: str, value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, _INT)
    return _field(1, name) + b"".join(_field(8, v) for v in value) + _field(20, _INTS)


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    return b"".join([
        *(_field(1, size) for size in array.shape),
        _field(2, _INT64 if array.dtype == np.int64 else _FLOAT),
        _field(8, name),
        _field(9, array.astype(array.dtype.newbyteorder("<")).tobytes()),
    ])  # fmt: skip


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """Describe an input or output; sizes with a name are any."""
    sizes = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape
    )
    tensor = _field(1, _FLOAT) + _field(2, sizes)
    return _field(1, name) + _field(2, _field(1, tensor))
