"""Picker folders: what loads, and what is refused and why."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import PickerMismatch
from geomon.picking.card import (
    Backend,
    Picker,
    imported_folder,
    load_picker,
    picker_folder,
    read_card,
    save_picker,
)


@pytest.fixture(scope="module")
def folder(random_picker: Picker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pickers") / "random"
    save_picker(random_picker, path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for name in ("card.json", "model.keras"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


def edit_card(folder: Path, **changes: object) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rehash(folder: Path) -> None:
    import hashlib

    digest = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    edit_card(folder, weights_sha256=digest)


def test_saved_picker_predicts_the_same(random_picker: Picker, folder: Path) -> None:
    loaded = load_picker(folder)
    x = np.random.default_rng(0).normal(size=(1, 1024, 3)).astype(np.float32)
    assert np.array_equal(loaded.predict(x), random_picker.predict(x))
    assert loaded.card.label == f"random@{loaded.card.weights_sha256[:8]}"
    assert loaded.card.phases == ("P", "S")


@pytest.mark.fault(50, slow=True)
def test_the_same_model_gives_the_same_file(
    random_picker: Picker, folder: Path, tmp_path: Path
) -> None:
    again = save_picker(random_picker, tmp_path / "again")
    assert again.card == read_card(folder)


def test_imported_pickers_are_found_by_name(
    random_picker: Picker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    saved = save_picker(random_picker, imported_folder("mine"))
    assert picker_folder("mine") == tmp_path / "geomon" / "pickers" / "mine"
    assert read_card(picker_folder("mine")) == saved.card
    for name, says in (
        ("../x", "cannot be a picker's name"),
        ("default", "shipped with geomon"),
        ("", "cannot be a picker's name"),
    ):
        with pytest.raises(PickerMismatch, match=says):
            imported_folder(name)


def test_other_weights_than_the_cards(copy: Path) -> None:
    with (copy / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(PickerMismatch, match=r"model\.keras: SHA-256 .* is not the card's"):
        load_picker(copy)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"components": "ZZN"}, "components 'ZZN'"),
        ({"components": "ZRT"}, "components"),
        ({"name": "a/../b"}, "name"),
        ({"gate": {"threshold": 0.3, "reach_s": 1}}, "there is a gate, but no D"),
        (
            {"windows": {"window_samples": 400, "stride": 9, "scaling": "std", "blend": "lines"}},
            r"model input .* is not \(batch, 400, 3\)",
        ),
        ({"classes": ["N", "P"]}, "output"),
        ({"classes": ["N", "P", "P"]}, "classes"),
        ({"thresholds": {"P": 0.3}}, "thresholds"),
        ({"thresholds": {"P": 3, "S": 0.3}}, r"thresholds\.P"),
        ({"sampling_rate_hz": 50}, "sampling_rate_hz"),
        ({"treshold": 1}, "treshold"),
    ],
)
def test_card_that_does_not_fit(copy: Path, changes: dict[str, object], says: str) -> None:
    edit_card(copy, **changes)
    with pytest.raises(PickerMismatch, match=says):
        load_picker(copy)


def test_missing_files(copy: Path, tmp_path: Path) -> None:
    (copy / "model.keras").unlink()
    with pytest.raises(PickerMismatch, match=r"model\.keras: cannot be read"):
        load_picker(copy)
    with pytest.raises(PickerMismatch, match=r"card\.json: cannot be read"):
        read_card(tmp_path / "none")


def rewrite(folder: Path, change: object) -> None:
    """Apply `change` to the configuration inside the model archive."""
    source = io.BytesIO((folder / "model.keras").read_bytes())
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(folder / "model.keras", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)  # type: ignore[operator]
                content = json.dumps(config).encode()
            new.writestr(name, content)
    rehash(folder)


@pytest.mark.fault(50, slow=True)
@pytest.mark.parametrize(
    "layer",
    [
        {"module": "keras.layers", "class_name": "Lambda", "registered_name": None},
        {"module": "os", "class_name": "system", "registered_name": None},
        {"module": "builtins", "class_name": "function", "registered_name": "function"},
        {"module": "keras.layers", "class_name": "Conv1D", "registered_name": "evil>Conv1D"},
        {"module": "geomon.picking.layers", "class_name": "Lambda", "registered_name": None},
        {"module": "evil", "class_name": "AdditiveSelfAttention", "registered_name": None},
    ],
)
def test_foreign_layers_are_refused(copy: Path, layer: dict[str, object]) -> None:
    rewrite(copy, lambda config: config["config"]["layers"].append(layer | {"config": {}}))
    with pytest.raises(PickerMismatch, match=str(layer["class_name"])):
        load_picker(copy)


@pytest.mark.fault(50, slow=True)
def test_not_an_archive(copy: Path) -> None:
    (copy / "model.keras").write_bytes(b"\x80\x04pickle")
    rehash(copy)
    with pytest.raises(PickerMismatch, match=r"not a \.keras archive"):
        load_picker(copy)


def test_folding_changes_nothing_but_rounding(random_picker: Picker) -> None:
    x = np.random.default_rng(1).normal(size=(2, 512, 3)).astype(np.float32)
    plain = np.asarray(random_picker.model(x, training=False))
    assert np.abs(random_picker.predict(x) - plain).max() < 1e-4


def test_wrong_length_is_refused(random_picker: Picker) -> None:
    with pytest.raises(PickerMismatch, match="1000 is not a multiple of 256"):
        random_picker.predict(np.zeros((1, 1000, 3), np.float32))


@pytest.mark.fault(45, slow=True)
def test_what_is_no_number_is_refused(random_picker: Picker, tmp_path: Path) -> None:
    with pytest.raises(PickerMismatch, match="input is not finite"):
        random_picker.predict(np.full((1, 512, 3), np.nan, np.float32))
    save_picker(random_picker, tmp_path)
    broken = load_picker(tmp_path)
    layer = broken.model.get_layer("down_conv1_2")
    layer.set_weights([np.full_like(w, np.nan) for w in layer.get_weights()])
    save_picker(broken, tmp_path)
    backends: tuple[Backend, ...] = ("tensorflow", "onnxruntime")
    for backend in backends:
        with pytest.raises(PickerMismatch, match="weights are infinite or not a number"):
            load_picker(tmp_path, backend=backend)
