"""Training a challenger from the champion's weights, or from nothing, on a network's own labels.

Half of each batch is replayed: synthetic earthquakes on the network's own quiet hours, whose
targets are partly what the champion says of them (distillation), so that nothing is forgotten. The
other half are labelled windows. Which epoch is best is told by windows that are not learned from.
"""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker
from geomon.picking.run_keras import gpus
from geomon.training.antialias import smoothed
from geomon.training.devices import Devices
from geomon.training.progress import scalar_log
from geomon.training.windows import Recording, Sampler, draw_events, draw_noise_pool

logger = logging.getLogger(__name__)

_VALIDATION_BATCHES = 8
_LAST = 10**6  # numbers of validation batches start here: training never draws them

type Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class FinetuneRecipe:
    """Everything that decides what comes out of retraining, champion and data apart.

    Attributes
    ----------
    seed : int
        Of all randomness.
    epochs, steps_an_epoch, batch_size : int
        Most epochs, batches in each, windows in each of these.
    learning_rate : float
        Rate of the optimiser (Adam); it halves towards the last epoch.
    patience : int
        Epochs without improvement after which training stops.
    real_share : float
        Share of a batch that is labelled windows.
    distillation : float
        How much the champion's curves count in the targets of replayed windows, in [0, 1].
    n_events, n_noise : int
        Size of the pools of synthetic seismograms and noise that are replayed, at most.
    from_scratch : bool
        Start from random weights instead of the champion's.
    """

    seed: int = 1
    epochs: int = 30
    steps_an_epoch: int = 100
    batch_size: int = 16
    learning_rate: float = 3e-4
    patience: int = 5
    real_share: float = 0.5
    distillation: float = 0.3
    n_events: int = 2000
    n_noise: int = 400
    from_scratch: bool = False


@dataclass(frozen=True, slots=True)
class Epoch:
    """How one epoch went: losses in training, on labelled and on replayed windows kept aside."""

    training: float
    validation: float
    replay: float

    @property
    def loss(self) -> float:
        """What an epoch is judged by: labelled and replayed windows count alike."""
        return self.validation + self.replay


def best_epoch(epochs: Sequence[Epoch]) -> int:
    """Return the number of the epoch with the least loss, the first of equal ones."""
    return min(range(len(epochs)), key=lambda number: epochs[number].loss)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What there is to learn from: labelled windows to train on and to stop by, quiet noise."""

    train: tuple[Recording, ...]
    validation: tuple[Recording, ...]
    noise: tuple[NDArray[np.float16], ...]
    sha256: str = ""


def finetune(
    champion: Picker,
    recipe: FinetuneRecipe,
    lessons: Lessons,
    out: Path,
    *,
    tensorboard: Path | None = None,
    devices: Sequence[Any] | None = None,
) -> tuple[Picker, tuple[Epoch, ...]]:
    """Train a challenger; an interrupted run goes on from its last epoch.

    Parameters
    ----------
    champion : Picker
        Where weights and card come from, and who teaches.
    recipe : FinetuneRecipe
        Settings.
    lessons : Lessons
        Data.
    out : Path
        Folder of the checkpoint.
    tensorboard : Path, optional
        Folder for the losses, as TensorBoard reads them.
    devices : sequence, optional
        Where batches are shared out to, as `Devices` takes them; all GPUs by default.

    Returns
    -------
    picker : Picker
        Weights of the best epoch, with the champion's card.
    epochs : tuple of Epoch
        The learning curve; the first one is before any training.

    Raises
    ------
    DataError
        If there is nothing to train on, or the loss is not finite.
    """
    if not lessons.train or not lessons.validation:
        msg = (
            f"{len(lessons.train)} windows to train on and {len(lessons.validation)} to stop by: "
            "both are needed; review more events"
        )
        raise DataError(msg)
    keras = load_keras()
    keras.utils.set_random_seed(recipe.seed)
    run = _Training(champion, recipe, lessons, out, Devices(recipe.batch_size, devices))
    log = nullcontext() if tensorboard is None else scalar_log(tensorboard)
    with ThreadPoolExecutor(1) as drawing, log as write:
        while not run.is_over:
            epoch = run.one_epoch(drawing)
            logger.info(
                "epoch %d: loss %.4f, kept aside %.4f, replayed %.4f",
                len(run.epochs) - 1, epoch.training, epoch.validation, epoch.replay,
            )  # fmt: skip
            if write is not None:
                write(len(run.epochs) - 1, **asdict(epoch))
    return Picker(run.best(), champion.card), tuple(run.epochs)


class _Training:
    """One run: the model, its samplers, and what is written down after each epoch."""

    def __init__(
        self,
        champion: Picker,
        recipe: FinetuneRecipe,
        lessons: Lessons,
        out: Path,
        devices: Devices,
    ) -> None:
        self.recipe = recipe
        self._devices = devices
        self.epochs: list[Epoch] = []
        rng = np.random.default_rng(recipe.seed)
        self._n_real = round(recipe.real_share * recipe.batch_size)
        # No more than will ever be replayed, or looked at between epochs.
        n_batches = recipe.epochs * recipe.steps_an_epoch
        n_replayed = n_batches * (recipe.batch_size - self._n_real)
        most = n_replayed + _VALIDATION_BATCHES * recipe.batch_size
        noise = np.concatenate(
            [
                draw_noise_pool(rng, min(recipe.n_noise, most)),
                *(one[None] for one in lessons.noise),
            ]
        )
        events = draw_events(rng, min(recipe.n_events, most))
        card = champion.card

        def sampler(recordings: Sequence[Recording], share: float, seed: int) -> Sampler:
            return Sampler(card, events, noise, recordings, real_share=share, seed=seed)

        self._real = sampler(lessons.train, 1.0, recipe.seed)
        self._aside = sampler(lessons.validation, 1.0, recipe.seed + 1)
        self._replayed = sampler((), 0.0, recipe.seed + 2)
        self._champion = champion
        out.mkdir(parents=True, exist_ok=True)
        self._checkpoint, self._best = out / "checkpoint.keras", out / "best.weights.h5"
        self._state = out / "checkpoint.json"
        self._key = {
            **json.loads(json.dumps(asdict(recipe))),
            "champion": card.weights_sha256,
            "data": lessons.sha256,
        }
        with devices.holding():
            self._begin()
        self._exam = [self._validation(number) for number in range(_VALIDATION_BATCHES)]
        if not self.epochs:
            self._note(float("nan"))

    @property
    def is_over(self) -> bool:
        """Whether the last epoch was done, or the last few brought nothing."""
        waited = len(self.epochs) - 1 - best_epoch(self.epochs)
        return len(self.epochs) > self.recipe.epochs or waited >= self.recipe.patience

    def _begin(self) -> None:
        """Go on from the checkpoint of the same run, else start from the champion."""
        keras = load_keras()
        smoothed(4)  # registers the constraint a checkpoint names
        held = json.loads(self._state.read_text()) if self._state.is_file() else {}
        if held.get("key") == self._key and self._checkpoint.is_file():
            self.model = keras.saving.load_model(self._checkpoint)
            self.epochs = [Epoch(*values) for values in held["epochs"]]
            logger.info("resumed after epoch %d", len(self.epochs) - 1)
        else:
            self.model = keras.models.clone_model(self._champion.model)
            if not self.recipe.from_scratch:
                self.model.set_weights(self._champion.model.get_weights())
            optimizer = keras.optimizers.Adam(self.recipe.learning_rate, clipnorm=1.0)
            self.model.compile(
                optimizer=optimizer,
                loss="categorical_crossentropy",
                # On processors compiling takes longer than it saves.
                jit_compile=bool(gpus()) and self._devices.count == 1,
            )
            optimizer.build(self.model.trainable_variables)
        self._devices.joined(self.model)
        self._keep_from_aliasing()

    def _keep_from_aliasing(self) -> None:
        """Hold strided kernels to what the champion's own training held them to.

        Only where the champion's obey it already: others were trained without.
        """
        for layer in self.model.layers:
            stride = getattr(layer, "strides", (1,))[0]
            if stride == 1 or "Transpose" in type(layer).__name__:
                continue
            constraint = smoothed(int(stride))
            kernel = np.asarray(layer.kernel)
            if kernel.shape[0] >= 2 * stride - 1 and np.allclose(
                np.asarray(constraint(layer.kernel)), kernel, atol=1e-4 * np.abs(kernel).max()
            ):
                layer.kernel.constraint = constraint

    def one_epoch(self, drawing: ThreadPoolExecutor) -> Epoch:
        """Train for one epoch, measure, and write the checkpoint.

        Raises
        ------
        DataError
            If the loss is not finite.
        """
        recipe, number = self.recipe, len(self.epochs) - 1
        self.model.optimizer.learning_rate = recipe.learning_rate * (
            1 - 0.5 * number / recipe.epochs
        )
        first = number * recipe.steps_an_epoch
        following = drawing.submit(self._batch, first)
        losses = []
        for step in range(first + 1, first + recipe.steps_an_epoch + 1):
            x, y, weight = following.result()
            following = drawing.submit(self._batch, step)
            batch = self._devices.shared(x, self._taught(x, y), weight)
            loss = self.model.train_on_batch(*batch)
            losses.append(float(np.asarray(loss)))
        if not np.isfinite(losses).all():
            msg = f"the loss of epoch {number + 1} is not finite: a window or a rate is wrong"
            raise DataError(msg)
        return self._note(float(np.mean(losses)))

    def _batch(self, number: int) -> Batch:
        """Draw labelled windows first, then replayed ones."""
        n_replayed = self.recipe.batch_size - self._n_real
        real, replayed = (
            self._real.batch(number, self._n_real), self._replayed.batch(number, n_replayed)
        )  # fmt: skip
        return _joined(real, replayed)

    def _taught(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mix the champion's curves into the targets of replayed windows."""
        share = self.recipe.distillation
        if share == 0 or self.recipe.from_scratch:
            return y
        curves = np.asarray(self._champion.model(x[self._n_real :], training=False))
        mixed = y.copy()
        mixed[self._n_real :] = (1 - share) * y[self._n_real :] + share * curves
        return mixed

    def _validation(self, number: int) -> tuple[Batch, Batch]:
        size = self.recipe.batch_size
        return (
            self._aside.batch(_LAST + number, size), self._replayed.batch(_LAST + number, size)
        )  # fmt: skip

    def _note(self, training: float) -> Epoch:
        """Measure the model, and write down what is needed to go on from here."""
        # Whole batches, on each device: what is measured is the same on all.
        losses = [
            [float(np.asarray(self.model.test_on_batch(*batch))) for batch in pair]
            for pair in self._exam
        ]
        validation, replay = (float(value) for value in np.mean(losses, axis=0))
        epoch = Epoch(training, validation, replay)
        self.epochs.append(epoch)
        if best_epoch(self.epochs) == len(self.epochs) - 1:
            self.model.save_weights(self._best)
        # Under another name first: a kill while writing must not spoil the last checkpoint.
        fresh = self._checkpoint.with_name("checkpoint.fresh.keras")
        self.model.save(fresh)
        fresh.replace(self._checkpoint)
        noted = [[e.training, e.validation, e.replay] for e in self.epochs]
        draft = self._state.with_suffix(".fresh")
        draft.write_text(json.dumps({"key": self._key, "epochs": noted}))
        draft.replace(self._state)
        return epoch

    def best(self) -> Any:  # noqa: ANN401 - a Keras model
        """Return a plain model with the weights of the best epoch."""
        plain = load_keras().models.clone_model(self._champion.model)
        self.model.load_weights(self._best)
        plain.set_weights(self.model.get_weights())
        return plain


def _joined(one: Batch, two: Batch) -> Batch:
    x, y, weight = (np.concatenate(parts) for parts in zip(one, two, strict=True))
    return x, y, weight
