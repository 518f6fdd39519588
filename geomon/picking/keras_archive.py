"""The ``.keras`` archive of a picker: what may be in it, and how it is made the same every time."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geomon.errors import PickerMismatch
from geomon.picking.layers import OWN_LAYERS

_MAX_CONFIG_BYTES = 4 * 2**20
_LAYERS = frozenset(
    {
        "Activation",
        "Add",
        "AveragePooling1D",
        "BatchNormalization",
        "Bidirectional",
        "Concatenate",
        "Conv1D",
        "Conv1DTranspose",
        "Cropping1D",
        "Dense",
        "DepthwiseConv1D",
        "Dropout",
        "Flatten",
        "Functional",
        "InputLayer",
        "LSTM",
        "LayerNormalization",
        "MaxPooling1D",
        "ReLU",
        "Reshape",
        "SeparableConv1D",
        "Softmax",
        "SpatialDropout1D",
        "UpSampling1D",
        "ZeroPadding1D",
    }
)
_SHARED = re.compile(rb'("shared_object_id": )([0-9]+)')
# What else Keras writes as an object into a configuration, by where it comes from.
_OTHER_MODULES = ("keras.initializers", "keras.regularizers", "keras.constraints")
_OTHER_CLASSES = frozenset({"DTypePolicy", "__keras_tensor__", "__tuple__"})


def _objects(config: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - parsed JSON
    """Yield every serialised object inside a Keras configuration."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def check_archive(content: bytes, path: Path) -> None:
    """Refuse an archive that names anything but the layers allowed.

    Parameters
    ----------
    content : bytes
        The ``.keras`` file.
    path : Path
        Where it came from, for the error.

    Raises
    ------
    PickerMismatch
        If it does, or is no archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open("config.json") as file:
            config = json.loads(file.read(_MAX_CONFIG_BYTES))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        msg = f"{path}: not a .keras archive ({error})"
        raise PickerMismatch(msg) from error
    for entry in _objects(config):
        name, module = str(entry["class_name"]), str(entry.get("module"))
        plain = module in {"keras.layers", "keras.src.models.functional"} and name in _LAYERS
        own = module == "geomon.picking.layers" and name in OWN_LAYERS
        other = module in _OTHER_MODULES or (name in _OTHER_CLASSES and module in {"keras", "None"})
        if not (plain or own or other) or entry.get("registered_name") not in {None, name}:
            msg = f"{path}: layer class {name!r} of module {module!r} is not allowed in a picker"
            raise PickerMismatch(msg)


def undated(path: Path) -> bytes:
    """Return a Keras archive without the times and memory addresses of its making.

    Parameters
    ----------
    path : Path
        A ``.keras`` file as Keras writes it.
    """
    content = io.BytesIO()
    seen: dict[bytes, int] = {}

    def numbered(match: re.Match[bytes]) -> bytes:
        """Name a shared object by the order it comes in, not by its address."""
        return match[1] + str(seen.setdefault(match[2], len(seen) + 1)).encode()

    with zipfile.ZipFile(path) as dated, zipfile.ZipFile(content, "w") as archive:
        for name in dated.namelist():
            part = dated.read(name)
            if name == "metadata.json":
                about = json.loads(part)
                part = json.dumps({"keras_version": about["keras_version"]}).encode()
            elif name == "config.json":
                part = _SHARED.sub(numbered, part)
            archive.writestr(zipfile.ZipInfo(name), part)
    return content.getvalue()
