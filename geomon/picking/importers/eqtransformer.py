"""EQTransformer (Mousavi et al. 2020), the original and the conservative model.

Its three curves are a detection, P and S. As its authors run it, picks count only where the
detection is sure. They also leave dropout on and average several draws; here it is off.
"""

from pathlib import Path

from geomon.errors import PickerMismatch
from geomon.picking.backend import load_keras
from geomon.picking.card import DataItem, Gate, Normalisation, Picker, PickerCard, Training
from geomon.picking.importers.keras2 import SavedModel, read_model, rebuild
from geomon.picking.importers.rebuilding import UNHASHED, fill
from geomon.picking.windows import Windows

WINDOW = 6000
_OUTPUTS = ["detector", "picker_P", "picker_S"]


def is_eqtransformer(saved: SavedModel) -> bool:
    """Whether a saved model has EQTransformer's three outputs."""
    config = saved.config.get("config")
    outputs = config.get("output_layers", []) if isinstance(config, dict) else []
    return [output[0] for output in outputs] == _OUTPUTS


def import_eqtransformer(path: Path, *, name: str = "eqtransformer") -> Picker:
    """Import EQTransformer's weights, ``EqT_model.h5`` or ``EqT_model2.h5``.

    Parameters
    ----------
    path : Path
        The HDF5 file.
    name : str
        Name of the picker.

    Returns
    -------
    Picker
        Not saved yet: its card carries no hash. Save it with `save_picker`.

    Raises
    ------
    PickerMismatch
        If the file cannot be read or is not EQTransformer's.
    """
    saved = read_model(path)
    if not is_eqtransformer(saved):
        msg = f"{path}: not EQTransformer: its outputs are not {', '.join(_OUTPUTS)}"
        raise PickerMismatch(msg)
    keras = load_keras()
    waveform = keras.Input((WINDOW, 3), name="waveform")
    entries = saved.config["config"]["layers"]
    rebuilt = rebuild(saved, entries, waveform)
    curves = [rebuilt.tensors[output] for output in _OUTPUTS]
    model = keras.Model(waveform, keras.layers.Concatenate(name="curves")(curves), name=name)
    fill(model, rebuilt.weights, f"{path}: not EQTransformer")
    n_recurrent = sum(entry["class_name"] == "Bidirectional" for entry in entries)
    kind = "original" if n_recurrent == 3 else "conservative"
    card = PickerCard(
        name=name,
        version=f"{path.name} {saved.digest[:8]}",
        description=f"EQTransformer, the {kind} model; dropout is off",
        licence="MIT",
        citation=(
            "Mousavi, S. M., Ellsworth, W. L., Zhu, W., Chuang, L. Y. and Beroza, G. C. (2020), "
            "Earthquake transformer, Nature Communications 11, 3952, "
            "https://doi.org/10.1038/s41467-020-17591-w"
        ),
        components="ENZ",
        classes=("D", "P", "S"),
        # The original's band is 1 to 45 Hz, two poles each, forwards and backwards.
        normalisation=Normalisation(window_s=None, highpass_hz=1.0, lowpass_hz=45.0),
        windows=Windows(window_samples=WINDOW, stride=3000, scaling="std", blend="triangle"),
        gate=Gate(threshold=0.3, reach_s=1.0),
        thresholds={"P": 0.1, "S": 0.1},
        training=Training(data=(DataItem(name="STEAD", use="labels", amount="1 million windows"),)),
        weights_sha256=UNHASHED,
    )
    return Picker(model, card)
