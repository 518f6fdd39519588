"""PhaseNet in SeisBench's format: weights in ``NAME.pt``, what to do with them in ``NAME.json``.

Woollam, J. et al. (2022), SeisBench: a toolbox for machine learning in seismology, Seismol. Res.
Lett. 93, 1695-1709, https://doi.org/10.1785/0220210324.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geomon.errors import PickerMismatch
from geomon.events import Phase
from geomon.picking.card import Picker, PickerCard
from geomon.picking.importers.phasenet import CITATION, in_windows, network, over_records
from geomon.picking.importers.rebuilding import UNHASHED, Array, fill
from geomon.picking.importers.torch_archive import read_tensors

_WINDOW = 3001
_LEAVES = ("weight", "bias", "running_mean", "running_var")
_MAX_JSON_BYTES = 2**20


def companion(path: Path) -> tuple[Path, Path]:
    """Return the weights and the description that belong together: NAME.pt[.v3], NAME.json[.v3]."""
    weights = path.with_name(path.name.replace(".json", ".pt"))
    return weights, path.with_name(path.name.replace(".pt", ".json"))


def import_seisbench(path: Path, *, name: str = "phasenet", fixed: bool = False) -> Picker:
    """Import a PhaseNet that SeisBench has saved or keeps among its models.

    Weights whose training divided windows by their standard deviation run over whole records;
    those trained on windows divided by their peak run in such windows.

    Parameters
    ----------
    path : Path
        The ``.pt`` file, or the ``.json`` file beside it.
    name : str
        Name of the picker.
    fixed : bool
        Keep the input of 3001 samples in any case.

    Returns
    -------
    Picker
        Not saved yet: its card carries no hash. Save it with `save_picker`.

    Raises
    ------
    PickerMismatch
        If a file cannot be read, or the model is not a PhaseNet of three components and the
        classes N, P and S at 100 Hz.
    """
    weights_path, description_path = companion(path)
    about = _description(description_path)
    arguments = about.get("model_args", {})
    classes, scaling = _checked(arguments, description_path)
    tensors = read_tensors(weights_path)
    first = tensors.get("inc.weight")
    root = first.shape[0] if first is not None and first.ndim == 3 else 8
    is_fixed = fixed or scaling == "peak"
    model = network(_WINDOW, root=root, fixed=is_fixed, name=name)
    fill(model, _by_layer(tensors), f"{weights_path}: not SeisBench's PhaseNet")
    digest = hashlib.sha256(weights_path.read_bytes()).hexdigest()
    card = PickerCard(
        name=name,
        version=f"{weights_path.name} {digest[:8]}",
        description=f"PhaseNet by SeisBench. {str(about.get('docstring') or '').strip()}".strip(),
        licence="not stated in the file",
        citation=f"{CITATION}; Woollam, J. et al. (2022), https://doi.org/10.1785/0220210324",
        components=arguments.get("component_order", "ZNE"),
        classes=classes,
        **(in_windows(_WINDOW, scaling) if is_fixed else over_records(30.0)),
        thresholds=_thresholds(about.get("default_args")),
        weights_sha256=UNHASHED,
    )
    return Picker(model, card)


def _description(path: Path) -> dict[str, Any]:
    """Read the JSON beside the weights.

    Raises
    ------
    PickerMismatch
        If it is missing or is no JSON object.
    """
    try:
        with path.open("rb") as file:
            about = json.loads(file.read(_MAX_JSON_BYTES))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); SeisBench keeps it beside the weights"
        raise PickerMismatch(msg) from error
    except ValueError as error:
        msg = f"{path}: not JSON ({error})"
        raise PickerMismatch(msg) from error
    if not isinstance(about, dict) or not isinstance(about.get("model_args", {}), dict):
        msg = f"{path}: not a description of SeisBench's"
        raise PickerMismatch(msg)
    return about


def _checked(arguments: Mapping[str, Any], path: Path) -> tuple[Any, Any]:
    """Return class order and scaling, after looking for what we could not do right.

    Raises
    ------
    PickerMismatch
        If the model asks for something else.
    """
    labels = arguments.get("phases") or arguments.get("labels") or "NPS"
    problem = ""
    if sorted(labels) != ["N", "P", "S"]:
        problem = f"phases {labels!r} are not N, P and S"
    elif sorted(arguments.get("component_order", "ZNE")) != ["E", "N", "Z"]:
        problem = f"component_order {arguments['component_order']!r} is not an order of Z, N, E"
    elif arguments.get("in_channels", 3) != 3:
        problem = f"in_channels is {arguments['in_channels']}, not 3"
    elif arguments.get("sampling_rate", 100) != 100:
        problem = f"sampling_rate is {arguments['sampling_rate']} Hz, not 100"
    elif arguments.get("in_samples", _WINDOW) != _WINDOW:
        problem = f"in_samples is {arguments['in_samples']}, not {_WINDOW}"
    elif arguments.get("norm", "std") not in {"std", "peak"}:
        problem = f"norm {arguments['norm']!r} is neither 'std' nor 'peak'"
    elif arguments.get("norm_detrend"):
        problem = "norm_detrend is not supported"
    if problem:
        msg = f"{path}: {problem}"
        raise PickerMismatch(msg)
    by_peak = arguments.get("norm", "std") == "peak" or arguments.get("norm_amp_per_comp")
    return tuple(labels), "peak" if by_peak else "std"


def _thresholds(defaults: Any) -> dict[Phase, float]:  # noqa: ANN401 - parsed JSON
    """Return the thresholds the description names, else SeisBench's 0.3."""
    known = defaults if isinstance(defaults, dict) else {}
    phases: tuple[Phase, ...] = ("P", "S")
    return {phase: known.get(f"{phase}_threshold", 0.3) for phase in phases}


def _by_layer(tensors: Mapping[str, Array]) -> dict[str, list[Array]]:
    """Sort tensors by the layers of `network`, with axes in Keras' order."""
    layers = {"inc": "input_conv", "in_bn": "input_bn", "out": "output_conv"}
    for level in range(5):
        parts = ("down_conv1", "down_bn1", "down_conv3", "down_bn3")
        layers |= {f"down_branch.{level}.{k}": f"{p}_{level + 1}" for k, p in enumerate(parts)}
    for step in range(4):
        parts = ("up_conv0", "up_bn0", "up_conv1", "up_bn1")
        layers |= {f"up_branch.{step}.{k}": f"{p}_{4 - step}" for k, p in enumerate(parts)}
    found: dict[str, list[Array]] = {}
    for leaf in _LEAVES:
        for key, array in tensors.items():
            module, _, ending = key.rpartition(".")
            if ending == leaf:
                # Keras has (kernel, in, out) and (kernel, out, in), PyTorch the other way round.
                turned = array.transpose() if array.ndim == 3 else array
                found.setdefault(layers.get(module, module), []).append(turned)
    return found
