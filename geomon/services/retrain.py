"""Retraining: from what analysts said to a challenger, through the gate, into the registry.

Three steps that can be done apart: `build` cuts labelled windows out of the archive, `train` makes
a challenger of the champion, `decide` lets the gate judge it. What each leaves in the work folder
is named by a hash of what it was made from, so that a run that was killed goes on where it was.
"""

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from geomon.config import Config
from geomon.errors import DataError
from geomon.events import Phase
from geomon.picking.card import DataItem, Picker, Training, load_picker, save_picker
from geomon.services.champion import ensure_champion, pickers_of, trial_of
from geomon.services.dataset import BuildReport, RetrainSettings, build, work_folder
from geomon.services.examination import (
    Examination,
    budget_windows,
    equal_budget,
    examination,
)
from geomon.services.fixed_benchmark import fixed_benchmark
from geomon.services.labelling import labels_of
from geomon.services.reports import Report
from geomon.stores.pickers import Decision
from geomon.times import TimeSpan
from geomon.training.breakdown import by_class, class_table, confusion
from geomon.training.dataset import Example, Tally, manifest_hash
from geomon.training.evaluate.evaluation import PHASES
from geomon.training.evaluate.labelled import score_windows
from geomon.training.evaluate.pictures import save_residuals
from geomon.training.finetune import FinetuneRecipe, Lessons, finetune
from geomon.training.gate import judge
from geomon.training.learning import save_confusion, save_detection, save_learning_curve
from geomon.training.seisbench import read_examples

logger = logging.getLogger(__name__)

PICTURES = ("learning", "residuals", "confusion", "detection")
"""PNG files beside a challenger; the last one only where windows were reviewed whole."""

_ROLES = ("champion", "challenger")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainReport(Report):
    """What came of a retraining.

    `verdict` is ``promoted``, ``refused``, ``untested`` (the exam is too small yet) or
    ``poisoned`` (the labels were refused); `table` is the comparison as Markdown.
    """

    verdict: str
    reason: str
    champion: str
    challenger: str = ""
    alpha: float = 0.0
    table: str = ""
    folder: str = ""
    build: BuildReport | None = None


def retrain(
    config: Config,
    span: TimeSpan,
    *,
    recipe: FinetuneRecipe | None = None,
    settings: RetrainSettings | None = None,
    actor: str = "geomon",
) -> RetrainReport:
    """Build, train and decide; started again after a stop, it goes on from there.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Where labels are taken from.
    recipe, settings : optional
        How to train, and how much to use.
    actor : str
        Who asked for it.

    Raises
    ------
    DataError
        If there are too few labelled windows.
    StationMetadataError
        If nothing was ever ingested.
    """
    settings = settings or RetrainSettings()
    built = build(config, span, settings)
    if built.refused:
        return poisoned(config, built)
    trained = train(config, Path(built.folder), recipe or FinetuneRecipe(), settings, span)
    return replace(decide(config, trained, span, settings, actor=actor), build=built)


def poisoned(config: Config, built: BuildReport) -> RetrainReport:
    """Say that nothing was trained, because the labels cannot be trusted."""
    return RetrainReport(
        verdict="poisoned",
        reason=f"labels refused: {built.refused}",
        champion=ensure_champion(config),
        folder=built.folder,
        build=built,
    )


def train(
    config: Config,
    dataset: Path,
    recipe: FinetuneRecipe,
    settings: RetrainSettings,
    span: TimeSpan,
) -> Path:
    """Train a challenger on a data set; return its folder, which is in the registry too.

    Raises
    ------
    DataError
        If there are too few windows, or the loss is not finite.
    """
    registry = pickers_of(config)
    champion_sha = ensure_champion(config)
    champion = load_picker(registry.folder(champion_sha))
    if not (dataset / "metadata.csv").is_file():
        msg = f"{dataset}: no labelled windows; review some events first"
        raise DataError(msg)
    examples = read_examples(dataset)
    noise = np.load(dataset / "noise.npy")
    sha256 = manifest_hash(examples)
    lessons = Lessons(
        tuple(one.recording() for one in examples if one.part == "train"),
        tuple(one.recording() for one in examples if one.part == "validation"),
        tuple(noise),
        sha256,
    )
    key = hashlib.sha256(f"{sha256} {champion_sha} {json.dumps(asdict(recipe))}".encode())
    out = dataset / f"challenger-{key.hexdigest()[:12]}"
    if not (out / "card.json").is_file():
        made, epochs = finetune(champion, recipe, lessons, out)
        save_learning_curve(epochs, out / "learning.png")
        windows = budget_windows(config, span, settings.n_budget)
        limits = _limits(config, champion)
        _, thresholds = equal_budget(config, (champion, made), limits, windows)
        save_picker(_with_card(made, champion, recipe, examples, thresholds, config, span), out)
    registry.add(out, manifest=_manifest(examples))
    return out


def _limits(config: Config, champion: Picker) -> dict[Phase, float]:
    """Return the thresholds the champion picks with: the config's, else its card's."""
    chosen: dict[Phase, float | None] = {
        "P": config.picker.threshold_p, "S": config.picker.threshold_s,
    }  # fmt: skip
    return {phase: chosen[phase] or value for phase, value in champion.card.thresholds.items()}


def _with_card(
    made: Picker,
    champion: Picker,
    recipe: FinetuneRecipe,
    examples: Sequence[Example],
    thresholds: dict[Phase, float],
    config: Config,
    span: TimeSpan,
) -> Picker:
    """Give a challenger its card."""
    sha256 = manifest_hash(examples)
    n_train = sum(one.part == "train" for one in examples)
    stations = sorted({str(one.stream_id.station_id) for one in examples if one.part == "train"})
    item = DataItem(
        name=config.network.name,
        use="labels",
        amount=f"{n_train} windows of {len(stations)} stations: {', '.join(stations)}",
        sha256=sha256,
    )
    old = champion.card
    training = Training(
        recipe=asdict(recipe),
        data=(item, *(one for one in old.training.data if one.name != config.network.name)),
        teacher="" if recipe.from_scratch else old.label,
        span=str(span),
        made_with=old.training.made_with,
    )
    card = old.model_copy(
        update={
            "version": f"{old.version.partition('+')[0]}+{sha256[:8]}",
            "description": f"{old.description.partition('; retrained')[0]}; retrained for "
            f"{config.network.name}",
            "thresholds": thresholds,
            "training": training,
            "scores": {},
        }
    )
    return Picker(made.model, card)


def _manifest(examples: Sequence[Example]) -> str:
    """Return the windows as JSON: what each is for, its event, its labels and its hash."""
    rows = [
        {
            "name": one.name,
            "part": one.part,
            "event": one.event_id,
            "samples": one.samples.shape[0],
            "labels": len(one.marks),
            "sha256": one.sha256,
        }
        for one in examples
    ]
    return json.dumps({"sha256": manifest_hash(examples), "windows": rows})


def decide(
    config: Config,
    challenger: Path,
    span: TimeSpan,
    settings: RetrainSettings,
    *,
    actor: str = "geomon",
) -> RetrainReport:
    """Let the gate judge a challenger, and record what it says.

    Where the exam is too small nothing is recorded: the challenger stays one.

    Raises
    ------
    DataError
        If the benchmark cannot be read.
    StoreConflict
        If another champion was made meanwhile.
    """
    started = time.monotonic()
    registry = pickers_of(config)
    champion_sha = ensure_champion(config)
    decisions = registry.decisions()
    champion = load_picker(registry.folder(champion_sha))
    made = load_picker(challenger)
    trial = trial_of(decisions)
    if any(one.challenger == made.card.weights_sha256 for one in decisions):
        past = next(one for one in decisions if one.challenger == made.card.weights_sha256)
        return _told(config, past, champion_sha, challenger, time.monotonic() - started)
    limits = _limits(config, champion)
    compared = [champion, made]
    if decisions[0].champion != champion_sha:
        compared.append(load_picker(registry.folder(decisions[0].champion)))
    windows = budget_windows(config, span, settings.n_budget)
    thresholds = equal_budget(config, compared, limits, windows)
    pickers = list(zip(compared, thresholds, strict=True))
    material = fixed_benchmark(
        settings.benchmark, work_folder(config) / "benchmark", settings.n_synthetic
    )
    labels = labels_of(config, span, Tally())
    found = examination(config, pickers, limits, labels, material, span, trial=trial)
    judgement = judge(found.evidence)
    table = f"{judgement.table()}\n\n{class_table(by_class(found.windows, *found.picks))}"
    _draw(found, (champion, made), challenger)
    logger.info("%s: %s: %s", made.card.label, judgement.verdict, judgement.reason)
    sha256 = made.card.weights_sha256
    if judgement.verdict != "untested":
        promoted = judgement.verdict == "promoted"
        decision = Decision(
            "promoted" if promoted else "refused", sha256 if promoted else champion_sha, sha256,
            judgement.reason, actor, judgement.alpha, table,
        )  # fmt: skip
        registry.decide(decision, instead_of=champion_sha)
    return RetrainReport(
        took_s=time.monotonic() - started,
        verdict=judgement.verdict,
        reason=judgement.reason,
        champion=champion.card.label,
        challenger=made.card.label,
        alpha=judgement.alpha,
        table=table,
        folder=str(challenger),
    )


def _draw(found: Examination, pickers: Sequence[Picker], folder: Path) -> None:
    """Draw what champion and challenger do on the exam and the benchmark."""
    names = [f"{role} {one.card.label}" for role, one in zip(_ROLES, pickers, strict=True)]
    counts = [confusion(found.windows, picks) for picks in found.picks]
    save_confusion(dict(zip(names, counts, strict=True)), folder / "confusion.png")
    residuals = [
        {phase: score_windows(found.windows, picks, phase, 0.5).residuals_s for phase in PHASES}
        for picks in found.picks
    ]
    save_residuals(dict(zip(names, residuals, strict=True)), folder / "residuals.png")
    if found.detection:
        detected = dict(zip(names, found.detection, strict=True))
        save_detection(detected, folder / "detection.png")


def _told(
    config: Config, past: Decision, champion: str, folder: Path, took_s: float
) -> RetrainReport:
    """Say again what was decided about a challenger before: no second test, nothing spent."""
    registry = pickers_of(config)
    return RetrainReport(
        took_s=took_s,
        verdict=past.outcome,
        reason=f"decided before: {past.reason}",
        champion=registry.find(champion).card.label,
        challenger=registry.find(past.challenger).card.label,
        table=past.report,
        folder=str(folder),
    )
