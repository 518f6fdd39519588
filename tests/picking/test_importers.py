"""Published weights against the graphs they were published with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomon.errors import PickerMismatch
from geomon.picking.card import Picker, load_picker, save_picker
from geomon.picking.importers import import_phasenet


def original_phasenet(checkpoint: Path, x: np.ndarray) -> Any:
    """Run the inference part of the published TensorFlow 1 graph, weights as constants."""
    import tensorflow as tf
    from tensorflow.core.protobuf import meta_graph_pb2

    meta = meta_graph_pb2.MetaGraphDef()
    meta.ParseFromString(checkpoint.with_name(checkpoint.name + ".meta").read_bytes())
    for node in meta.graph_def.node:
        node.attr.pop("_output_shapes", None)
        node.device = ""
    [output] = [
        n.name for n in meta.graph_def.node if n.op == "Softmax" and n.name.startswith("preds")
    ]
    part = tf.compat.v1.graph_util.extract_sub_graph(meta.graph_def, [output])
    [first] = [n for n in part.node if n.name.endswith("input_conv/Conv2D")]
    reader = tf.train.load_checkpoint(str(checkpoint))
    for node in part.node:
        if node.op in {"VariableV2", "VarHandleOp"}:
            dtype = node.attr["dtype"]
            node.op = "Const"
            for key in list(node.attr):
                node.attr.pop(key)
            node.attr["dtype"].CopyFrom(dtype)
            value = tf.make_tensor_proto(reader.get_tensor(node.name))
            node.attr["value"].tensor.CopyFrom(value)
    with tf.Graph().as_default() as graph:
        waveform = tf.compat.v1.placeholder(tf.float32, [None, None, 1, 3], name="waveform")
        tf.import_graph_def(part, input_map={first.input[0]: waveform}, name="phasenet")
        feed: dict[Any, Any] = {waveform: x[:, :, None, :]}
        for operation in graph.get_operations():
            if operation.name.endswith(("is_training", "drop_rate")):
                is_flag = operation.outputs[0].dtype == tf.bool
                feed[operation.outputs[0]] = False if is_flag else 0.0
        with tf.compat.v1.Session(graph=graph) as session:
            out = session.run(graph.get_tensor_by_name(f"phasenet/{output}:0"), feed)
    return out.reshape(len(x), -1, 3)


def with_crops(picker: Picker, x: np.ndarray) -> np.ndarray:
    """Run a picker's own layers on 3000 samples, which the original crops between its levels.

    The published graph takes no other length; the picker itself takes multiples of 256, where
    there is nothing to crop.
    """
    model = picker.model
    apply = lambda name, value: model.get_layer(name)(value)  # noqa: E731

    def block(value: Any, layer: str, norm: str) -> Any:
        return apply(f"{norm}_relu", apply(norm, apply(layer, value)))

    value, skips = block(x, "input_conv", "input_bn"), []
    for level in range(1, 6):
        value = block(value, f"down_conv1_{level}", f"down_bn1_{level}")
        skips.append(value)
        if level < 5:
            value = block(value, f"down_conv3_{level}", f"down_bn3_{level}")
    for level in range(4, 0, -1):
        skip = skips[level - 1]
        value = block(value, f"up_conv0_{level}", f"up_bn0_{level}")
        cut = (value.shape[1] - skip.shape[1]) // 2
        value = apply(f"join_{level}", [skip, value[:, cut : cut + skip.shape[1]]])
        value = block(value, f"up_conv1_{level}", f"up_bn1_{level}")
    return np.asarray(apply("probability", apply("output_conv", value)))


def test_phasenet_equals_its_original(
    phasenet: Picker, shared_weights: Path, shared_data: Path
) -> None:
    files = sorted((shared_data / "phasenet_ncedc" / "dataset" / "waveform_train").glob("*.npz"))
    windows = np.stack([np.load(file)["data"][2500:5500] for file in files[::20]])
    windows -= windows.mean(axis=1, keepdims=True)
    spread = windows.std(axis=1, keepdims=True)
    x = (windows / np.where(spread > 0, spread, 1)).astype(np.float32)
    expected = original_phasenet(shared_weights / "phasenet" / "model_95.ckpt", x)
    got = with_crops(phasenet, x)
    assert np.abs(got - expected).max() < 1e-5
    assert np.array_equal(got.argmax(axis=-1), expected.argmax(axis=-1))
    uncropped = np.pad(x, ((0, 0), (0, 72), (0, 0)))
    assert np.abs(with_crops(phasenet, uncropped) - phasenet.predict(uncropped)).max() < 1e-6


def test_imported_picker_can_be_saved(phasenet: Picker, tmp_path: Path) -> None:
    saved = save_picker(phasenet, tmp_path / "phasenet")
    loaded = load_picker(tmp_path / "phasenet")
    assert loaded.card == saved.card
    assert loaded.card.components == "ENZ"


def test_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt.index").write_bytes(b"nothing")
    with pytest.raises(PickerMismatch, match=r"x\.ckpt\.index: not a TensorFlow checkpoint"):
        import_phasenet(tmp_path / "x.ckpt.index")
