"""What a picker is: a Keras model together with the card that says how to use it.

A picker folder holds ``model.keras`` and ``card.json``. Neither can run code: the weights file
must have the hash its card states and may only hold layers from an allow-list, which are Keras'
own and the few of `geomon.picking.layers`.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geomon.errors import PickerMismatch
from geomon.events import Phase
from geomon.picking.backend import load_keras
from geomon.picking.convolutions import read_convolutions
from geomon.picking.keras_archive import check_archive, undated
from geomon.picking.layers import own_layers
from geomon.picking.memory import Halving
from geomon.picking.run_keras import Precision, gpus, keras_network
from geomon.picking.windows import Network, Windows, curves

CARD_FILE = "card.json"
MODEL_FILE = "model.keras"
_PACKAGED = Path(__file__).parent / "weights"
_MAX_MODEL_BYTES = 64 * 2**20
_GPU_BATCH = 32  # pieces; the default picker takes some 20 MB for each
type Backend = Literal["tensorflow", "onnxruntime"]
_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Normalisation(_Part):
    """How samples are scaled before the network sees them."""

    window_s: Annotated[float, Field(gt=1, le=30)] | None = 30.0
    """Length of the windows that means and standard deviations are taken over, seconds; none for
    networks that scale each of their own windows."""
    highpass_hz: Annotated[float, Field(gt=0, lt=20)] | None = None
    """Corner of the causal Butterworth high-pass before it; none when absent."""
    highpass_order: Annotated[int, Field(ge=1, le=6)] = 2
    """Order of that filter and of the next."""
    lowpass_hz: Annotated[float, Field(gt=0, lt=50)] | None = None
    """Corner of the causal Butterworth low-pass after it; none when absent."""
    compression: Annotated[float, Field(gt=0)] | None = None
    """Factor c of the compression asinh(c x) after scaling; none when absent."""


class Uncertainty(_Part):
    """One standard deviation of a pick, from its peak: `scale` times width over height.

    Times how many times that is more than a sure peak's 0.24 s.
    """

    scale: Annotated[float, Field(gt=0)] = 1.0
    """Dimensionless factor."""
    floor_s: Annotated[float, Field(gt=0)] = 0.02
    """Smallest value, seconds."""


class Gate(_Part):
    """Picks count only near a detection: where the class D has been sure enough."""

    threshold: Annotated[float, Field(gt=0, lt=1)]
    """Probability of a detection, class D, that must be exceeded."""
    reach_s: Annotated[float, Field(ge=0, le=10)]
    """How far from the pick, seconds."""


class DataItem(_Part):
    """Some of the data a picker was trained on."""

    name: str
    """What people call it."""
    use: Literal["labels", "noise", "teacher", "synthetic"]
    """What it was used for."""
    amount: str
    """How much of it."""
    licence: str = ""
    """Its licence."""
    sha256: str = ""
    """Hash over the names and hashes of its files."""


class Training(_Part):
    """How the weights came about."""

    recipe: dict[str, Any] = {}
    """The settings of the training command."""
    data: tuple[DataItem, ...] = ()
    """All data used."""
    teacher: str = ""
    """Picker whose curves were learned from, if any."""
    span: str = ""
    """Time span of the recordings used."""
    made_with: str = ""
    """Versions of the software."""


class PickerCard(_Part):
    """Everything that must be known to use a picker properly."""

    name: Annotated[str, Field(pattern=rf"^{_NAME}$")]
    """What the picker is called; its picks carry it."""
    version: str
    """Version of these weights."""
    description: str = ""
    """One sentence on what it is, with its source."""
    licence: str = ""
    """Licence of the weights."""
    citation: str = ""
    """What to cite when the picker is used."""
    sampling_rate_hz: Literal[100] = 100
    """Rate of the model's input, Hz."""
    components: Annotated[str, Field(pattern=r"^[ZNE]{3}$")]
    """Order of the input channels: a permutation of Z, N, E."""
    classes: tuple[Literal["N", "P", "S", "D"], ...]
    """Order of the output classes; N is noise, D the detection of an event."""
    normalisation: Normalisation
    """How samples are scaled."""
    halo_samples: Annotated[int, Field(ge=0, le=1920)] = 0
    """Samples on each side of an output sample that it depends on; 0 where there are windows."""
    length_multiple: Annotated[int, Field(ge=1, le=1024)] = 1
    """Input lengths are multiples of this."""
    windows: Windows | None = None
    """How a network with an input of fixed length is run; absent where any length will do."""
    gate: Gate | None = None
    """Where picks count; everywhere when absent."""
    blind_s: Annotated[float, Field(ge=0, le=10)] = 2.0
    """No picks this close to the beginning or end of data, seconds."""
    thresholds: dict[Phase, Annotated[float, Field(gt=0, lt=1)]]
    """Probability a pick must exceed, by phase."""
    uncertainty: dict[Phase, Uncertainty] = {}
    """How a peak's width becomes a pick's uncertainty, by phase."""
    training: Training = Training()
    """How the weights came about."""
    scores: dict[str, float] = {}
    """What was measured on data the picker never saw."""
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the weights file."""
    git_revision: str = ""
    """Revision of the code that trained it."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases the picker tells apart, in P, S order."""
        return tuple(phase for phase in ("P", "S") if phase in self.classes)

    @property
    def label(self) -> str:
        """Name and start of the hash, as written onto every pick."""
        return f"{self.name}@{self.weights_sha256[:8]}"


@dataclass(frozen=True, eq=False)
class Picker:
    """A model and its card, ready to use.

    Attributes
    ----------
    model : keras.Model or None
        None where `network` stands in for it.
    card : PickerCard
        How to use it.
    network : callable, optional
        What runs instead of the model: from waveforms to class probabilities.
    batch : int
        Pieces of a record to be computed at once. Picks do not depend on it but for rounding.
    """

    model: Any = field(repr=False)
    card: PickerCard
    network: Network | None = field(default=None, repr=False)
    batch: int = 1

    @cached_property
    def _network(self) -> Network:
        return Halving(keras_network(self.model) if self.network is None else self.network)

    def predict(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on normalised waveforms.

        Parameters
        ----------
        waveforms : array of float32, shape (batch, n_samples, 3)
            Normalised samples in the card's component order; `n_samples` is a multiple of the
            card's `length_multiple`, and at least a window where the card has windows.

        Returns
        -------
        array of float32, shape (batch, n_samples, n_classes)
            Class probabilities in the card's order.

        Raises
        ------
        PickerMismatch
            If the length does not fit, or input or output is not finite.
        OutOfMemory
            If memory runs out even when they are run one at a time.
        """
        if not np.isfinite(waveforms).all():
            msg = f"{self.card.label}: the model's input is not finite"
            raise PickerMismatch(msg)
        if waveforms.shape[1] % self.card.length_multiple:
            msg = (
                f"{self.card.label}: input length {waveforms.shape[1]} is not a multiple of "
                f"{self.card.length_multiple}"
            )
            raise PickerMismatch(msg)
        if self.card.windows is None:
            out = self._network(waveforms)
        elif waveforms.shape[1] < self.card.windows.window_samples:
            msg = (
                f"{self.card.label}: input length {waveforms.shape[1]} is less than a window of "
                f"{self.card.windows.window_samples}"
            )
            raise PickerMismatch(msg)
        else:
            # One at a time: the batches, and so the rounding, are the same for any number.
            rule = self.card.windows
            out = np.stack([curves(self._network, one, rule) for one in waveforms])
        if not np.isfinite(out).all():
            msg = f"{self.card.label}: the model's output is not finite"
            raise PickerMismatch(msg)
        return out if self.card.gate is None else self._gated(out, self.card.gate)

    def _gated(self, out: NDArray[np.float32], gate: Gate) -> NDArray[np.float32]:
        """Set the phases to zero wherever no detection is near."""
        from scipy.ndimage import maximum_filter1d

        reach = 2 * round(gate.reach_s * self.card.sampling_rate_hz) + 1
        detection = maximum_filter1d(out[:, :, self.card.classes.index("D")], reach, axis=1)
        gated = out.copy()
        for phase in self.card.phases:
            gated[:, :, self.card.classes.index(phase)] *= detection > gate.threshold
        return gated


def _without_keras(content: bytes, card: PickerCard, path: Path) -> Network:
    """Return what runs a plain U-Net without Keras.

    Raises
    ------
    PickerMismatch
        If it is no plain U-Net, or ONNX Runtime is not installed.
    """
    from geomon.picking.run_onnx import onnx_network

    try:
        plain = None if card.windows else read_convolutions(content)
    except (ValueError, TypeError, KeyError, OSError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise PickerMismatch(msg) from error
    if plain is None:
        msg = f"{path}: not a plain U-Net; picker.backend must be tensorflow for it"
        raise PickerMismatch(msg)
    _check_shapes((None, None, plain.n_channels), (None, None, plain.n_classes), card, path)
    _check_finite((array for step in plain.steps for array in (step.kernel, step.bias)), path)
    return onnx_network(plain)


def _check_finite(weights: Iterable[NDArray[np.float32]], path: Path) -> None:
    """Refuse weights that are no numbers: rectifiers turn them into zeros, and hide them.

    Raises
    ------
    PickerMismatch
        If any is infinite or not a number.
    """
    if not all(np.isfinite(array).all() for array in weights):
        msg = f"{path}: weights are infinite or not a number; the training went wrong"
        raise PickerMismatch(msg)


def _check_shapes(
    input_shape: tuple[int | None, ...],
    output_shape: tuple[int | None, ...],
    card: PickerCard,
    path: Path,
) -> None:
    """Refuse a model whose input or output cannot be what the card says.

    Raises
    ------
    PickerMismatch
        If they cannot.
    """
    problem = ""
    length = card.windows.window_samples if card.windows else None
    if sorted(card.components) != ["E", "N", "Z"]:
        problem = f"components {card.components!r} are not a permutation of Z, N, E"
    elif len(set(card.classes)) != len(card.classes) or not card.phases:
        problem = f"classes {card.classes!r} repeat or name no phase"
    elif card.gate is not None and "D" not in card.classes:
        problem = f"there is a gate, but no D among the classes {card.classes!r}"
    elif tuple(input_shape) != (None, length, 3):
        problem = f"model input {input_shape} is not (batch, {length or 'any length'}, 3)"
    elif tuple(output_shape[::2]) != (None, len(card.classes)):
        problem = f"model output {output_shape} does not fit {len(card.classes)} classes"
    elif set(card.thresholds) != set(card.phases):
        problem = f"thresholds for {sorted(card.thresholds)} do not fit phases {card.phases}"
    if problem:
        msg = f"{path}: {problem}"
        raise PickerMismatch(msg)


def read_card(folder: Path) -> PickerCard:
    """Read a picker's card without its model.

    Raises
    ------
    PickerMismatch
        If there is no card or it is not a valid one.
    """
    path = folder / CARD_FILE
    try:
        return PickerCard.model_validate_json(path.read_bytes())
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); `geomon model list` names pickers"
        raise PickerMismatch(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{path}: {where}: {first['msg']}"
        raise PickerMismatch(msg) from error


def packaged_pickers() -> list[Path]:
    """Return the folders of the pickers shipped with geomon, by name."""
    return sorted(path.parent for path in _PACKAGED.glob(f"*/{CARD_FILE}"))


def imported_pickers() -> Path:
    """Return the user's folder of imported pickers; it may not exist yet.

    That is ``geomon/pickers`` below XDG_DATA_HOME, or below ``~/.local/share`` (XDG Base
    Directory Specification 0.8).
    """
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home, "geomon", "pickers")


def check_name(name: str) -> None:
    """Refuse what cannot be a picker's name.

    Raises
    ------
    PickerMismatch
        If it has other characters than letters, digits, "_", "." and "-", or more than 64.
    """
    if not re.fullmatch(_NAME, name):
        msg = f"{name!r} cannot be a picker's name: letters, digits, '_', '.' and '-', at most 64"
        raise PickerMismatch(msg)


def imported_folder(name: str) -> Path:
    """Return the folder that a picker is imported to, and found in by its name.

    Raises
    ------
    PickerMismatch
        If it cannot be a name, or is the name of a picker shipped with geomon.
    """
    check_name(name)
    if (_PACKAGED / name).is_dir():
        msg = f"{name}: a picker shipped with geomon has this name; choose another one"
        raise PickerMismatch(msg)
    return imported_pickers() / name


def picker_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a picker: of a packaged or imported one by name, else the path."""
    if "/" not in str(name_or_path):
        for folder in (_PACKAGED / name_or_path, imported_pickers() / name_or_path):
            if (folder / CARD_FILE).is_file():
                return folder
    return Path(name_or_path)


def load_picker(
    name_or_path: str | Path,
    *,
    backend: Backend = "tensorflow",
    precision: Precision = "float32",
    batch: int | None = None,
) -> Picker:
    """Load a packaged or imported picker by name, or any picker folder by path.

    Parameters
    ----------
    name_or_path : str or Path
        Name or folder.
    backend : {"tensorflow", "onnxruntime"}
        What computes. ONNX Runtime starts in a fraction of a second and runs plain U-Nets; the
        picker then has no `model` to train or save. Otherwise Keras does, on TensorFlow unless
        KERAS_BACKEND says something else. Curves agree to 1e-5.
    precision : {"float32", "bfloat16"}
        What Keras computes plain U-Nets in; curves with the latter are off by up to 0.05.
    batch : int, optional
        Pieces of a record to be computed at once; by default 32 on each GPU, and one without.

    Raises
    ------
    PickerMismatch
        If card or model is missing, the weights do not have the card's hash, the archive holds
        anything but plain layers, model and card disagree, weights are no numbers, or the backend
        is not installed or cannot run it.
    """
    folder = picker_folder(name_or_path)
    card = read_card(folder)
    path = folder / MODEL_FILE
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= _MAX_MODEL_BYTES else b""
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise PickerMismatch(msg) from error
    if not content:
        msg = f"{path}: {size} bytes; a model file has 1 to {_MAX_MODEL_BYTES}"
        raise PickerMismatch(msg)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.weights_sha256:
        msg = f"{path}: SHA-256 {digest[:12]}… is not the card's {card.weights_sha256[:12]}…"
        raise PickerMismatch(msg)
    check_archive(content, path)
    if backend == "onnxruntime":
        return Picker(None, card, _without_keras(content, card, path), batch or 1)
    keras = load_keras()
    try:
        model = keras.saving.load_model(
            path, custom_objects=own_layers(), compile=False, safe_mode=True
        )
    except (ValueError, TypeError, KeyError, OSError) as error:
        msg = f"{path}: Keras cannot load it ({error})"
        raise PickerMismatch(msg) from error
    _check_shapes(model.input_shape, model.output_shape, card, path)
    _check_finite(model.get_weights(), path)
    network = keras_network(model, precision=precision)
    return Picker(model, card, network, batch or max(_GPU_BATCH * len(gpus()), 1))


def save_picker(picker: Picker, folder: Path) -> Picker:
    """Write a picker folder; the card gets the hash of the file written.

    The same model always gives the same file, and so the same label.

    Returns
    -------
    Picker
        The same model with the card as written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MODEL_FILE
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch, MODEL_FILE)
        picker.model.save(draft)
        content = undated(draft)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    card = picker.card.model_copy(update={"weights_sha256": digest})
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Picker(picker.model, card)
