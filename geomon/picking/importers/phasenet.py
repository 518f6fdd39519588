"""PhaseNet (Zhu & Beroza 2019, https://doi.org/10.1093/gji/ggy423): its network and its checkpoint.

The network looks at windows of fixed length, 3000 samples where it was published. Its levels'
samples lie where "same" padding and centred crops put them for that length. Rebuilt with just
these offsets it takes any length, and far from the ends gives what the window would have given.
"""

import struct
from pathlib import Path
from typing import Any, Literal

from geomon.errors import PickerMismatch
from geomon.picking.backend import load_keras
from geomon.picking.card import Normalisation, Picker, PickerCard, Training
from geomon.picking.importers.rebuilding import UNHASHED, fill
from geomon.picking.windows import Windows

CITATION = (
    "Zhu, W. and Beroza, G. C. (2019), PhaseNet: a deep-neural-network-based seismic arrival-time "
    "picking method, Geophys. J. Int. 216, 261-273, https://doi.org/10.1093/gji/ggy423"
)
_WINDOW = 3000
_DEPTH = 5
_KERNEL = 7
_STRIDE = 4
_PARTS = (".index", ".meta", ".data-00000-of-00001")
_TABLE_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)  # ends every checkpoint index


def network(window: int, *, root: int = 8, fixed: bool = False, name: str = "phasenet") -> Any:  # noqa: ANN401
    """Build PhaseNet's network; its layers carry the names of the published variables.

    Parameters
    ----------
    window : int
        Length of the windows the weights were trained on: decides where the levels' samples lie.
    root : int
        Filters of the finest level; each coarser one has twice as many.
    fixed : bool
        Take windows of just that length, as published; otherwise any multiple of 256.
    name : str
        Name of the model.

    Returns
    -------
    keras.Model
        From float32 (batch, n_samples, 3) to probabilities (batch, n_samples, 3).
    """
    keras = load_keras()
    layers = keras.layers
    sizes = [window]
    for _ in range(_DEPTH - 1):
        sizes.append(-(-sizes[-1] // _STRIDE))
    surplus = _KERNEL - _STRIDE

    def ends(level: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Zeros around a level on the way down, and samples to cut off there on the way up."""
        size, coarse = sizes[level], sizes[level + 1]
        zeros = _STRIDE * (coarse - 1) + _KERNEL - size
        before = zeros // 2
        cut = surplus // 2 + (_STRIDE * coarse - size) // 2
        if fixed:
            return (before, zeros - before), (cut, _STRIDE * coarse + surplus - size - cut)
        return (before, surplus - before), (cut, surplus - cut)

    def activated(x: Any, label: str) -> Any:  # noqa: ANN401 - a symbolic tensor
        x = layers.BatchNormalization(epsilon=1e-3, name=label)(x)
        return layers.Activation("relu", name=f"{label}_relu")(x)

    def convolved(x: Any, filters: int, label: str) -> Any:  # noqa: ANN401
        layer = layers.Conv1D(filters, _KERNEL, padding="same", use_bias=False, name=label)
        return layer(x)

    waveform = keras.Input((window if fixed else None, 3), name="waveform")
    x = layers.Conv1D(root, _KERNEL, padding="same", name="input_conv")(waveform)
    x = activated(x, "input_bn")
    skips = []
    for level in range(_DEPTH):
        filters, label = root * 2**level, level + 1
        x = activated(convolved(x, filters, f"down_conv1_{label}"), f"down_bn1_{label}")
        if level < _DEPTH - 1:
            skips.append(x)
            zeros, _ = ends(level)
            x = layers.ZeroPadding1D(zeros, name=f"down_pad_{label}")(x)
            x = layers.Conv1D(
                filters, _KERNEL, strides=_STRIDE, use_bias=False, name=f"down_conv3_{label}"
            )(x)
            x = activated(x, f"down_bn3_{label}")
    for level in reversed(range(_DEPTH - 1)):
        filters, label = root * 2**level, level + 1
        x = layers.Conv1DTranspose(
            filters, _KERNEL, strides=_STRIDE, use_bias=False, name=f"up_conv0_{label}"
        )(x)
        x = activated(x, f"up_bn0_{label}")
        _, cut = ends(level)
        x = layers.Cropping1D(cut, name=f"up_crop_{label}")(x)
        x = layers.Concatenate(name=f"join_{label}")([skips[level], x])
        x = activated(convolved(x, filters, f"up_conv1_{label}"), f"up_bn1_{label}")
    x = layers.Conv1D(3, 1, name="output_conv")(x)
    return keras.Model(waveform, layers.Softmax(name="probability")(x), name=name)


def over_records(window_s: float, *, highpass_hz: float | None = None) -> dict[str, Any]:
    """Return what a card says of a network that takes any length."""
    return {
        "normalisation": Normalisation(window_s=window_s, highpass_hz=highpass_hz),
        "halo_samples": 1792,
        "length_multiple": _STRIDE ** (_DEPTH - 1),
    }


def in_windows(window: int, scaling: Literal["std", "peak"]) -> dict[str, Any]:
    """Return what a card says of a network that takes windows, half of each over the next."""
    return {
        "normalisation": Normalisation(window_s=None),
        "windows": Windows(
            window_samples=window, stride=window // 2, scaling=scaling, blend="triangle"
        ),
    }


def checkpoint_prefix(path: Path) -> Path | None:
    """Return the prefix of the TensorFlow checkpoint a path belongs to; None when it is none."""
    text = str(path)
    for part in _PARTS:
        text = text.removesuffix(part)
    try:
        is_table = Path(f"{text}.index").read_bytes().endswith(_TABLE_MAGIC)
    except OSError:
        return None
    return Path(text) if is_table else None


def _is_training_state(name: str) -> bool:
    """Whether a checkpoint variable belongs to the optimiser, not to the network."""
    return "Adam" in name or "beta1_power" in name or "beta2_power" in name or "step" in name


def import_phasenet(checkpoint: Path, *, name: str = "phasenet", fixed: bool = False) -> Picker:
    """Import PhaseNet's published TensorFlow 1 checkpoint (Zhu & Beroza 2019).

    Parameters
    ----------
    checkpoint : Path
        The checkpoint's prefix or any one of its files, for example
        ``model_95.ckpt`` or ``model_95.ckpt.index``.
    name : str
        Name of the picker.
    fixed : bool
        Keep the published input of 3000 samples, and no filter, instead of whole records.

    Returns
    -------
    Picker
        Not saved yet: its card carries no hash. Save it with `save_picker`.

    Raises
    ------
    PickerMismatch
        If the checkpoint cannot be read or is not PhaseNet's.
    """
    prefix = checkpoint_prefix(checkpoint)
    if prefix is None:
        msg = f"{checkpoint}: not a TensorFlow checkpoint (there is no index of one)"
        raise PickerMismatch(msg)
    load_keras()
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = [n for n in reader.get_variable_to_shape_map() if not _is_training_state(n)]
        arrays = {n: reader.get_tensor(n) for n in names}
    except (ValueError, tf.errors.OpError) as error:
        msg = f"{checkpoint}: not a TensorFlow checkpoint ({error})"
        raise PickerMismatch(msg) from error
    by_layer: dict[str, dict[str, Any]] = {}
    for variable, array in arrays.items():
        layer, leaf = ("", *variable.split("/"))[-2:]
        by_layer.setdefault(layer, {})[leaf] = array
    order = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
    weights = {
        layer: [
            # The original is a two-dimensional network one sample wide.
            leaves.pop(leaf)[:, 0] if leaf == "kernel" else leaves.pop(leaf)
            for leaf in order
            if leaf in leaves
        ]
        for layer, leaves in by_layer.items()
    }
    model = network(_WINDOW, fixed=fixed, name=name)
    fill(model, weights, f"{checkpoint}: not PhaseNet")
    card = PickerCard(
        name=name,
        version="190703-214543/95",
        description="PhaseNet as published: a U-Net over whole records",
        licence="MIT",
        citation=CITATION,
        components="ENZ",
        classes=("N", "P", "S"),
        # The original knows neither filter nor local windows. Its 30-s windows lose small events
        # in swarms and under microseisms; with these values it finds half as many again there
        # and scores the same on its home data.
        **(in_windows(_WINDOW, "std") if fixed else over_records(20.0, highpass_hz=2.0)),
        thresholds={"P": 0.3, "S": 0.3},
        training=Training(span="Northern California, 1984 to 2018"),
        weights_sha256=UNHASHED,
    )
    return Picker(model, card)
