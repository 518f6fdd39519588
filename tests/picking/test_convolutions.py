"""U-Nets as bare convolutions: the same curves from Keras' layers and from every backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomon.errors import PickerMismatch
from geomon.picking import run_keras
from geomon.picking.architecture import unet
from geomon.picking.card import Backend, Picker, load_picker, picker_folder, save_picker
from geomon.picking.convolutions import Convolutions, convolutions, read_convolutions
from geomon.picking.run_keras import keras_network

WAVEFORMS = np.random.default_rng(0).normal(size=(2, 4096, 3)).astype(np.float32)


def described(model: Any) -> Convolutions | None:
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    return convolutions(model.get_config(), weights)


def unsettled(model: Any) -> Any:
    """Give every weight some value, so that nothing passes by being zero or one."""
    rng = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights([
            rng.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else rng.normal(0, 0.1, w.shape)
            for w in layer.get_weights()
        ])  # fmt: skip
    return model


@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ({}, 4),
        ({"kernel": 5, "down_kernel": 11}, 4),
        ({"root": 4, "kernel": 5, "stride": 2, "depth": 4}, 2),
        ({"kernel": 4, "stride": 4, "depth": 3}, 4),
        ({"kernel": 8, "stride": 3, "depth": 2}, 3),
        ({"root": 16, "depth": 3}, 1),
        ({"depth": 1, "n_classes": 4}, 1),
    ],
)
def test_any_unet_is_rewritten_to_rounding(shape: dict[str, Any], block: int) -> None:
    model = unsettled(unet(**shape))
    plain = described(model)
    assert plain is not None
    assert plain.block == block
    waveforms = WAVEFORMS[:, : 4 * 729] if shape.get("stride") == 3 else WAVEFORMS
    expected = np.asarray(model(waveforms, training=False))
    assert np.abs(keras_network(model)(waveforms) - expected).max() < 1e-5


def test_what_is_no_plain_unet_stays_a_keras_model() -> None:
    import keras

    waveform = keras.Input((None, 3))
    convolved = keras.layers.Conv1D(4, 3, padding="valid")(waveform)
    pooled = keras.layers.MaxPooling1D(2)(convolved)
    for last in (convolved, pooled):
        model = keras.Model(waveform, keras.layers.Softmax()(last))
        assert described(model) is None
        expected = np.asarray(model(WAVEFORMS, training=False))
        assert np.abs(keras_network(model)(WAVEFORMS) - expected).max() < 1e-6


def test_the_file_says_what_the_model_says() -> None:
    picker = load_picker("default")
    stored = read_convolutions((picker_folder("default") / "model.keras").read_bytes())
    model = described(picker.model)
    assert stored is not None
    assert model is not None
    for one, other in zip(stored.steps, model.steps, strict=True):
        assert (one.name, one.inputs, one.left) == (other.name, other.inputs, other.left)
        assert one.kernel.tobytes() == other.kernel.tobytes()
        assert one.bias.tobytes() == other.bias.tobytes()


@pytest.mark.parametrize("name", ["random_picker", "phasenet", "default"])
def test_onnxruntime_gives_the_same_curves(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    picker = load_picker(name) if name == "default" else request.getfixturevalue(name)
    save_picker(picker, tmp_path)
    expected = load_picker(tmp_path).predict(WAVEFORMS)
    assert np.abs(np.asarray(picker.model(WAVEFORMS)) - expected).max() < 1e-5
    other = load_picker(tmp_path, backend="onnxruntime").predict(WAVEFORMS)
    assert np.abs(other - expected).max() < 1e-5


@pytest.mark.parametrize("backend", ["tensorflow", "onnxruntime"])
def test_a_batch_is_its_members(backend: Backend) -> None:
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime")
    picker = load_picker("default", backend=backend)
    together = picker.predict(WAVEFORMS)
    for one, waveforms in zip(together, WAVEFORMS, strict=True):
        assert np.abs(one - picker.predict(waveforms[None])[0]).max() < 1e-5


def test_onnxruntime_refuses_other_networks(random_picker: Picker, tmp_path: Path) -> None:
    import keras

    waveform = keras.Input((None, 3))
    x = keras.layers.Conv1D(3, 3, padding="same", activation="tanh")(waveform)
    model = keras.Model(waveform, keras.layers.Softmax()(x))
    save_picker(Picker(model, random_picker.card), tmp_path / "other")
    with pytest.raises(PickerMismatch, match="backend must be tensorflow"):
        load_picker(tmp_path / "other", backend="onnxruntime")


def test_a_missing_onnxruntime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PickerMismatch, match="onnxruntime is not installed"):
        load_picker("default", backend="onnxruntime")


ALONE = """
import sys
import numpy as np
from geomon.picking.card import load_picker
picker = load_picker("default", backend="onnxruntime")
picker.predict(np.zeros((1, 4096, 3), np.float32))
assert not {"keras", "tensorflow", "jax"} & set(sys.modules)
"""


def test_onnxruntime_needs_no_keras() -> None:
    pytest.importorskip("onnxruntime")
    subprocess.run([sys.executable, "-c", ALONE], check=True)


SAVED = """
import sys
import numpy as np
from geomon.picking.backend import load_keras
from geomon.picking.card import load_picker
assert load_keras().backend.backend() == "jax"
waveforms = np.random.default_rng(0).normal(size=(2, 4096, 3)).astype(np.float32)
np.save(sys.argv[1], load_picker("default").predict(waveforms))
"""


def test_jax_gives_the_same_curves(tmp_path: Path) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("needs jax: pip install jax")
    subprocess.run(
        [sys.executable, "-c", SAVED, str(tmp_path / "curves.npy")],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
    expected = load_picker("default").predict(WAVEFORMS)
    assert np.abs(np.load(tmp_path / "curves.npy") - expected).max() < 1e-5


def test_several_devices_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_picker("default").model
    expected = keras_network(model)(WAVEFORMS)
    monkeypatch.setattr(run_keras, "gpus", lambda: ["/device:CPU:0", "/device:CPU:0"])
    assert np.abs(keras_network(model)(WAVEFORMS) - expected).max() < 1e-5
    # One device is left without work.
    assert np.abs(keras_network(model)(WAVEFORMS[:1]) - expected[:1]).max() < 1e-5


def test_half_precision_is_near() -> None:
    exact, half = (
        load_picker("default", precision=precision).predict(WAVEFORMS)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(half - exact).max() < 0.1
