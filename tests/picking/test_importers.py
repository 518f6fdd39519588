"""Imported pickers against their originals: outputs to 1e-5, and what is recognised or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from geomon.errors import PickerMismatch
from geomon.picking.card import Picker, load_picker, save_picker
from geomon.picking.importers import (
    import_eqtransformer,
    import_gpd,
    import_phasenet,
    import_picker,
    import_seisbench,
    recognise,
)
from tests.benchmarks.seisbench import SeisBenchMissing, run_seisbench
from tests.picking import keras2_forward
from tests.picking.data.capture_seisbench import REFERENCE, noise
from tests.picking.seisbench_files import random_state, write_json, write_pt

TOLERANCE = 1e-5
SAVED_BY_SEISBENCH = """
import sys
import numpy as np, torch
from seisbench.models import PhaseNet
torch.manual_seed(3)
model = PhaseNet(phases="PSN", norm=sys.argv[2])
for part in model.modules():
    if isinstance(part, torch.nn.BatchNorm1d):
        torch.nn.init.uniform_(part.running_mean, -0.2, 0.2)
        torch.nn.init.uniform_(part.running_var, 0.8, 1.6)
model.eval()
model.save(sys.argv[1] + "/random")
waveforms = np.random.default_rng(1).normal(size=(2, 3, 3001)).astype("f4")
with torch.no_grad():
    prepared = model.annotate_batch_pre(torch.from_numpy(waveforms), {})
    curves = model(prepared).transpose(1, 2).numpy()
np.savez(sys.argv[1] + "/curves.npz", waveforms=waveforms.transpose(0, 2, 1), curves=curves)
"""


def real_windows(folder: Path, n: int) -> np.ndarray:
    """A few recordings' samples, shape (files, n, 3), scaled as the originals do."""
    files = sorted((folder / "phasenet_ncedc" / "dataset" / "waveform_train").glob("*.npz"))[::25]
    windows = np.stack([np.load(file)["data"][1500 : 1500 + n] for file in files]).astype(float)
    windows -= windows.mean(axis=1, keepdims=True)
    spread = windows.std(axis=1, keepdims=True)
    return (windows / np.where(spread > 0, spread, 1)).astype(np.float32)


def assert_equal(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < TOLERANCE
    assert np.array_equal(got.argmax(axis=-1), expected.argmax(axis=-1))


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


def test_phasenet_equals_its_original(shared_weights: Path, shared_data: Path) -> None:
    checkpoint = shared_weights / "phasenet" / "model_95.ckpt"
    x = real_windows(shared_data, 3000)
    published = import_phasenet(checkpoint, fixed=True)
    assert published.card.windows is not None
    assert_equal(np.asarray(published.model(x)), original_phasenet(checkpoint, x))


def test_phasenet_over_records_equals_its_windows(phasenet: Picker, shared_weights: Path) -> None:
    x = np.random.default_rng(2).normal(size=(1, 4096, 3)).astype(np.float32)
    published = import_phasenet(shared_weights / "phasenet" / "model_95.ckpt", fixed=True)
    # Up to where the window's end can be felt: beyond it the network sees zeros.
    felt = 3000 - phasenet.card.halo_samples
    window, whole = (
        np.asarray(one.model(x[:, :n])) for one, n in ((published, 3000), (phasenet, 4096))
    )
    assert np.abs(whole[:, :felt] - window[:, :felt]).max() < TOLERANCE
    assert np.abs(whole[:, :3000] - window).max() > TOLERANCE


@pytest.mark.parametrize("file", ["EqT_model.h5", "EqT_model2.h5"])
def test_eqtransformer_equals_its_definition(
    shared_weights: Path, shared_data: Path, file: str
) -> None:
    path = shared_weights / "eqtransformer" / file
    x = real_windows(shared_data, 6000)
    got = np.asarray(import_eqtransformer(path).model(x))
    expected = keras2_forward.eqtransformer(path, x)
    assert expected.max(axis=(0, 1)).min() > 0.5
    assert_equal(got, expected)
    assert np.array_equal(got[..., 1:].argmax(axis=1), expected[..., 1:].argmax(axis=1))


def test_gpd_equals_its_definition(shared_weights: Path, shared_data: Path) -> None:
    recordings = real_windows(shared_data, 3000)
    x = np.concatenate([recordings[:, k : k + 400] for k in range(1000, 2000, 100)])
    x /= np.maximum(np.abs(x).max(axis=(1, 2), keepdims=True), 1e-12)
    got = np.asarray(import_gpd(shared_weights / "gpd" / "model_pol.json").model(x))[:, 0]
    expected = keras2_forward.gpd(shared_weights / "gpd" / "model_pol_best.hdf5", x)
    assert set(expected.argmax(axis=-1)) == {0, 1, 2}
    assert_equal(got, expected)


@pytest.fixture
def seisbench_files(tmp_path: Path) -> Path:
    write_pt(tmp_path / "random.pt", random_state())
    write_json(tmp_path / "random.json")
    return tmp_path / "random.pt"


def test_seisbench_equals_its_stored_output(seisbench_files: Path) -> None:
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    picker = import_seisbench(seisbench_files, fixed=True)
    got = np.asarray(picker.model(noise()))[0, :: reference["step"]]
    assert_equal(got, np.array(reference["probabilities"]))


@pytest.mark.parametrize("norm", ["std", "peak"])
def test_seisbench_equals_seisbench(tmp_path: Path, norm: str) -> None:
    try:
        run_seisbench(SAVED_BY_SEISBENCH, str(tmp_path), norm)
    except SeisBenchMissing as missing:
        pytest.skip(str(missing))
    with np.load(tmp_path / "curves.npz") as file:
        waveforms, expected = file["waveforms"], file["curves"]
    picker = import_picker(tmp_path / "random.pt", name="random")
    assert picker.card.classes == ("P", "S", "N")
    assert (picker.card.windows is None) == (norm == "std")
    got = import_seisbench(tmp_path / "random.json", fixed=True).predict(waveforms)
    assert_equal(got, expected)


def importer(kind: str, shared_weights: Path, tmp_path: Path) -> Path:
    """Any one file of each format."""
    if kind == "seisbench":
        write_pt(tmp_path / "random.pt", random_state())
        write_json(tmp_path / "random.json")
        return tmp_path / "random.json"
    files = {
        "phasenet": "phasenet/model_95.ckpt.data-00000-of-00001",
        "eqtransformer": "eqtransformer/EqT_model2.h5",
        "gpd": "gpd/model_pol_best.hdf5",
    }
    return shared_weights / files[kind]


@pytest.mark.parametrize("kind", ["phasenet", "eqtransformer", "gpd", "seisbench"])
def test_recognised_saved_and_loaded(kind: str, shared_weights: Path, tmp_path: Path) -> None:
    path = importer(kind, shared_weights, tmp_path)
    assert recognise(path) == kind
    imported = import_picker(path, name="mine")
    saved = save_picker(imported, tmp_path / "mine")
    loaded = load_picker(tmp_path / "mine")
    assert loaded.card == saved.card
    assert loaded.card.name == "mine"
    for text in (loaded.card.citation, loaded.card.licence, loaded.card.description):
        assert text
    x = np.random.default_rng(0).normal(size=(1, 6144, 3)).astype(np.float32)
    assert np.array_equal(loaded.predict(x), imported.predict(x))


def test_gpd_from_weights_and_description_apart(shared_weights: Path, tmp_path: Path) -> None:
    shutil.copy(shared_weights / "gpd" / "model_pol.json", tmp_path)
    weights = tmp_path / "model_pol_weights.hdf5"
    with pytest.raises(PickerMismatch, match=r"model_pol\.json: needs one \.h5 or \.hdf5 file"):
        import_gpd(tmp_path / "model_pol.json")
    with (
        h5py.File(shared_weights / "gpd" / "model_pol_best.hdf5") as whole,
        h5py.File(weights, "w") as file,
    ):
        whole.copy(whole["model_weights"]["sequential_1"], file, "sequential_1")
    x = np.random.default_rng(0).normal(size=(1, 800, 3)).astype(np.float32)
    expected = import_gpd(shared_weights / "gpd" / "model_pol_best.hdf5").predict(x)
    for path in (weights, tmp_path / "model_pol.json"):
        assert recognise(path) == "gpd"
        assert np.array_equal(import_gpd(path).predict(x), expected)


def changed(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Copy an HDF5 file with another description."""
    shutil.copy(source, target)
    target.chmod(0o600)
    with h5py.File(target, "a") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(config)
    return target


def layer_of(config: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in config["config"]["layers"] if one["class_name"] == kind)


def test_code_in_a_model_is_not_run(shared_weights: Path, tmp_path: Path) -> None:
    source = shared_weights / "eqtransformer" / "EqT_model2.h5"

    def to_lambda(config: dict[str, Any]) -> None:
        layer_of(config, "Add").update(class_name="Lambda")

    with pytest.raises(PickerMismatch, match=r"x\.h5: layer Lambda cannot be rebuilt .*never run"):
        import_eqtransformer(changed(source, tmp_path / "x.h5", to_lambda))


def test_attention_of_another_kind_is_refused(shared_weights: Path, tmp_path: Path) -> None:
    source = shared_weights / "eqtransformer" / "EqT_model2.h5"

    def to_history(config: dict[str, Any]) -> None:
        layer_of(config, "SeqSelfAttention")["config"]["history_only"] = True

    with pytest.raises(PickerMismatch, match="history_only is True, not False"):
        import_eqtransformer(changed(source, tmp_path / "x.h5", to_history))


def test_weights_of_another_shape_are_refused(seisbench_files: Path) -> None:
    state = random_state()
    write_pt(seisbench_files, state | {"down_branch.2.0.weight": np.zeros((32, 16, 5), "<f4")})
    with pytest.raises(PickerMismatch, match=r"random\.pt: not SeisBench's PhaseNet: down_conv1_3"):
        import_seisbench(seisbench_files)
    write_pt(seisbench_files, state | {"extra.weight": np.zeros(3, "<f4")})
    with pytest.raises(PickerMismatch, match="the network has no extra"):
        import_seisbench(seisbench_files)
    write_pt(seisbench_files, state | {"out.bias": np.full(3, np.nan, "<f4")})
    with pytest.raises(PickerMismatch, match="output_conv has weights that are no finite numbers"):
        import_seisbench(seisbench_files)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"phases": "Pg"}, "phases 'Pg'"),
        ({"in_channels": 4}, "in_channels is 4"),
        ({"sampling_rate": 50}, "sampling_rate is 50 Hz"),
        ({"component_order": "Z12"}, "component_order"),
        ({"norm": "log"}, "norm 'log'"),
        ({"in_samples": 600}, "in_samples is 600"),
    ],
)
def test_seisbench_models_we_could_not_do_right(
    seisbench_files: Path, arguments: dict[str, object], says: str
) -> None:
    write_json(seisbench_files.with_suffix(".json"), **arguments)
    with pytest.raises(PickerMismatch, match=rf"random\.json: {says}"):
        import_seisbench(seisbench_files)


def test_what_is_no_published_picker(tmp_path: Path) -> None:
    contents = {
        "x.ckpt.index": b"nothing", "x.h5": b"\x89HDF\r\n\x1a\nnot really", "x.json": b"{}",
        "x.pkl": b"\x80\x04cos\nsystem\n.",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PickerMismatch, match=name.replace(".", r"\.")):
            recognise(tmp_path / name)
    with pytest.raises(PickerMismatch, match=r"none: cannot be read \(No such file"):
        recognise(tmp_path / "none")
    with pytest.raises(PickerMismatch, match=r"x\.ckpt\.index: not a TensorFlow checkpoint"):
        import_phasenet(tmp_path / "x.ckpt.index")
    with pytest.raises(PickerMismatch, match=r"x\.json: cannot be read|x\.pt: cannot be read"):
        import_seisbench(tmp_path / "x.pt")
