"""Published pickers, rebuilt as plain Keras models from their weights."""

from pathlib import Path
from typing import Any

from geomon.errors import PickerMismatch
from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.picking.card import Normalisation, Picker, PickerCard, Training

_UNHASHED = "0" * 64  # until the picker is saved


def _is_training_state(name: str) -> bool:
    """Whether a checkpoint variable belongs to the optimiser, not to the network."""
    return "Adam" in name or "beta1_power" in name or "beta2_power" in name or "step" in name


def _tensor(reader: Any, names: list[str], layer: str, leaf: str) -> Any:  # noqa: ANN401
    found = [name for name in names if name.endswith(f"/{layer}/{leaf}")]
    if len(found) != 1:
        msg = f"PhaseNet checkpoint: {len(found)} variables are called {layer}/{leaf}, not one"
        raise PickerMismatch(msg)
    names.remove(found[0])
    return reader.get_tensor(found[0])


def import_phasenet(checkpoint: Path, *, name: str = "phasenet") -> Picker:
    """Import PhaseNet's published TensorFlow 1 checkpoint (Zhu & Beroza 2019).

    Parameters
    ----------
    checkpoint : Path
        The checkpoint's prefix or any one of its files, for example
        ``model_95.ckpt`` or ``model_95.ckpt.index``.
    name : str
        Name of the picker.

    Returns
    -------
    Picker
        Not saved yet: its card carries no hash. Save it with `save_picker`.

    Raises
    ------
    PickerMismatch
        If the checkpoint cannot be read or is not PhaseNet's.
    """
    keras = load_keras()
    import tensorflow as tf

    prefix = str(checkpoint)
    for ending in (".index", ".meta", ".data-00000-of-00001"):
        prefix = prefix.removesuffix(ending)
    try:
        reader = tf.train.load_checkpoint(prefix)
    except (ValueError, tf.errors.OpError) as error:
        msg = f"{checkpoint}: not a TensorFlow checkpoint ({error})"
        raise PickerMismatch(msg) from error
    names = [n for n in reader.get_variable_to_shape_map() if not _is_training_state(n)]
    model = unet(name=name)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv1D | keras.layers.Conv1DTranspose):
            # The original is a two-dimensional network one sample wide.
            weights = [_tensor(reader, names, layer.name, "kernel")[:, 0]]
            if layer.use_bias:
                weights.append(_tensor(reader, names, layer.name, "bias"))
        elif isinstance(layer, keras.layers.BatchNormalization):
            weights = [
                _tensor(reader, names, layer.name, leaf)
                for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
            ]
        else:
            continue
        try:
            layer.set_weights(weights)
        except ValueError as error:
            msg = f"{checkpoint}: {layer.name} has another shape than PhaseNet's ({error})"
            raise PickerMismatch(msg) from error
    if names:
        msg = f"{checkpoint}: variables PhaseNet does not have: {', '.join(sorted(names)[:3])}"
        raise PickerMismatch(msg)
    card = PickerCard(
        name=name,
        version="190703-214543/95",
        description="PhaseNet as published, https://doi.org/10.1093/gji/ggy423",
        licence="MIT",
        components="ENZ",
        classes=("N", "P", "S"),
        # The original knows neither filter nor local windows. Its 30-s windows lose small events
        # in swarms and under microseisms; with these values it finds half as many again there
        # and scores the same on its home data.
        normalisation=Normalisation(window_s=20.0, highpass_hz=2.0),
        halo_samples=1792,
        length_multiple=256,
        thresholds={"P": 0.3, "S": 0.3},
        training=Training(span="Northern California, 1984 to 2018"),
        weights_sha256=_UNHASHED,
    )
    return Picker(model, card)
