"""Retraining on a schedule: labels, a challenger, the gate, and an offer to pick again."""

import base64
from pathlib import Path
from typing import Any

from prefect import State, flow, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.states import Completed

from flows.requests import RetrainRequest
from flows.work import TASK, plain
from geomon.config import Config
from geomon.services import retrain as service
from geomon.services.dataset import BuildReport, RetrainSettings
from geomon.services.dataset import build as build_service
from geomon.services.offer import offer_backfill
from geomon.services.retrain import RetrainReport
from geomon.times import TimeSpan
from geomon.training.finetune import FinetuneRecipe

_NAMES = {"promoted": "Promoted", "refused": "Refused", "untested": "Untested"}


@task(name="dataset", task_run_name="labels of {config.network.name}", **TASK)
def build(config: Config, span: TimeSpan, settings: RetrainSettings) -> BuildReport:
    """Cut labelled windows out of the archive and check the labels."""
    return build_service(config, span, settings)


@task(name="train", task_run_name="challenger of {config.network.name}", **TASK)
def train(
    config: Config,
    dataset: Path,
    recipe: FinetuneRecipe,
    settings: RetrainSettings,
    span: TimeSpan,
) -> Path:
    """Train a challenger; a run that was killed goes on from its last epoch."""
    return service.train(config, dataset, recipe, settings, span)


@task(name="decide", task_run_name="gate of {config.network.name}", **TASK)
def decide(
    config: Config, challenger: Path, span: TimeSpan, settings: RetrainSettings
) -> RetrainReport:
    """Compare champion and challenger, and decide."""
    return service.decide(config, challenger, span, settings)


@flow(name="retrain", flow_run_name="retrain {request.name}")
def retrain(request: RetrainRequest) -> State[Any]:
    """Learn from what analysts said; promote the challenger only when the gate says so.

    Nothing is picked again: what that would take is offered in the artifact.
    """
    config, span = request.load(), request.span
    settings = RetrainSettings(
        benchmark=Path(request.benchmark) if request.benchmark else None,
        n_synthetic=request.n_synthetic,
    )
    recipe = FinetuneRecipe(
        seed=request.seed,
        epochs=request.epochs,
        steps_an_epoch=request.steps_an_epoch,
        from_scratch=request.from_scratch,
    )
    built = build(config, span, settings)
    if built.refused:
        return _closed(config, built, service.poisoned(config, built), "Labels refused")
    if not built.n_train or not built.n_validation:
        message = f"{built.n_train} windows to train on, {built.n_validation} to stop by: too few"
        _show(built, message)
        return Completed(name="Nothing to learn", message=message, data=plain(built.as_dict()))
    challenger = train(config, Path(built.folder), recipe, settings, span)
    report = decide(config, challenger, span, settings)
    for name in service.PICTURES:
        path = challenger / f"{name}.png"
        if path.is_file():
            picture = base64.b64encode(path.read_bytes()).decode()
            create_image_artifact(
                f"data:image/png;base64,{picture}",
                key=f"retraining-{name}",
                description=f"{report.challenger}: {name}",
            )
    return _closed(config, built, report, _NAMES.get(report.verdict, "Decided before"))


def _closed(config: Config, built: BuildReport, report: RetrainReport, name: str) -> State[Any]:
    offer = offer_backfill(config).text() if report.verdict == "promoted" else ""
    words = f"{report.challenger or 'no challenger'}: {report.verdict}: {report.reason}"
    _show(built, words, report.table, offer)
    return Completed(name=name, message=words, data=plain(report.as_dict()))


def _show(built: BuildReport, words: str, table: str = "", offer: str = "") -> None:
    """Leave the comparison to look at, with what was learned from and what may follow."""
    counts = "\n".join(f"- {line}" for line in (*built.counts, *built.findings))
    suspects = "\n".join(f"- {line}" for line in built.suspects[:50])
    parts = ["# Retraining", words, table, "## Labels", counts]
    if suspects:
        parts += ["## Labels to look at again", suspects]
    if offer:
        parts += ["## Pick again?", f"```\n{offer}\n```"]
    create_markdown_artifact(
        key="retraining", markdown="\n\n".join(part for part in parts if part), description=words
    )
