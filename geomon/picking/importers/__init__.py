"""Published pickers, rebuilt as plain Keras models from their weights.

Every importer reads its format as data, never as code, and returns a picker that is used, saved
and loaded like any other.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from geomon.errors import PickerMismatch
from geomon.picking.card import Picker, check_name
from geomon.picking.importers.eqtransformer import import_eqtransformer, is_eqtransformer
from geomon.picking.importers.gpd import import_gpd, is_gpd
from geomon.picking.importers.keras2 import read_model
from geomon.picking.importers.phasenet import checkpoint_prefix, import_phasenet
from geomon.picking.importers.seisbench import import_seisbench
from geomon.picking.importers.torch_archive import is_torch_archive

__all__ = [
    "Format",
    "import_eqtransformer",
    "import_gpd",
    "import_phasenet",
    "import_picker",
    "import_seisbench",
    "recognise",
]

Format = Literal["phasenet", "eqtransformer", "gpd", "seisbench"]
"""PhaseNet's TensorFlow 1 checkpoint, EQTransformer's and GPD's HDF5 files of Keras 2, and
PhaseNet as SeisBench saves it."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MAX_JSON_BYTES = 2**20


def recognise(path: Path) -> Format:
    """Say what a file holds, by its content.

    Parameters
    ----------
    path : Path
        Any one of the files a published picker comes in.

    Raises
    ------
    PickerMismatch
        If it cannot be read or is none of the formats.
    """
    if checkpoint_prefix(path) is not None:
        return "phasenet"
    try:
        with path.open("rb") as file:
            start = file.read(_MAX_JSON_BYTES)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise PickerMismatch(msg) from error
    found: Format | None = None
    if start.startswith(_HDF5):
        saved = read_model(path)
        if is_eqtransformer(saved):
            found = "eqtransformer"
        elif not saved.config or is_gpd(saved.config):
            found = "gpd"
    elif is_torch_archive(path):
        found = "seisbench"
    elif start.lstrip().startswith(b"{"):
        found = _described(start)
    if found is None:
        msg = f"{path}: none of the formats known: {', '.join(get_args(Format))}"
        raise PickerMismatch(msg)
    return found


def _described(text: bytes) -> Format | None:
    """Say which picker a JSON file belongs to."""
    try:
        content = json.loads(text)
    except ValueError:
        return None
    if "model_args" in content:
        return "seisbench"
    return "gpd" if is_gpd(content) else None


def import_picker(path: Path, *, name: str, form: Format | None = None) -> Picker:
    """Import a published picker.

    Parameters
    ----------
    path : Path
        Any one of its files.
    name : str
        Name of the picker.
    form : str, optional
        Its format; recognised by the content when absent.

    Returns
    -------
    Picker
        Not saved yet: its card carries no hash. Save it with `save_picker`.

    Raises
    ------
    PickerMismatch
        If the files cannot be read or do not hold such a picker, or if the name is none.
    """
    check_name(name)
    importers: dict[Format, Callable[..., Picker]] = {
        "phasenet": import_phasenet,
        "eqtransformer": import_eqtransformer,
        "gpd": import_gpd,
        "seisbench": import_seisbench,
    }
    return importers[form or recognise(path)](path, name=name)
