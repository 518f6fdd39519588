"""The whole evaluation: on a picker with random weights and a few windows, with its report."""

import json
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import DataError
from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker, PickerCard, save_picker
from geomon.training.evaluate.artefacts import disturbed_noise
from geomon.training.evaluate.budget import Continuous, continuous_picks, counted, matched_to
from geomon.training.evaluate.evaluation import picked, worst
from geomon.training.evaluate.report import evaluate_pickers
from geomon.training.evaluate.tasks import run_tasks
from geomon.training.evaluate.testsets import EvaluationSet, synthetic_set


def random_picker(card: PickerCard, folder: Path, seed: int) -> Picker:
    load_keras().utils.set_random_seed(seed)
    model = unet()
    rng = np.random.default_rng(seed)
    model.set_weights(
        [w + rng.normal(0, 0.3, w.shape) * (w.ndim == 3) for w in model.get_weights()]
    )
    named = card.model_copy(update={"name": f"random{seed}"})
    return save_picker(Picker(model, named), folder)


@pytest.fixture(scope="module")
def pickers(card: PickerCard, tmp_path_factory: pytest.TempPathFactory) -> list[Picker]:
    folder = tmp_path_factory.mktemp("pickers")
    return [random_picker(card, folder / str(seed), seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def material() -> EvaluationSet:
    from dataclasses import replace

    noise = Continuous(tuple(disturbed_noise("5-Hz burst, abrupt", 300)))
    return replace(synthetic_set(4), continuous=(noise,))


def test_a_report_is_written(
    pickers: list[Picker], material: EvaluationSet, tmp_path: Path
) -> None:
    steps: list[tuple[str, int, int]] = []
    report = evaluate_pickers(
        pickers, material, folder=tmp_path, noise_s=120, most_perturbed=2,
        progress=lambda *step: steps.append(step),
    )  # fmt: skip
    labels = [picker.card.label for picker in pickers]
    assert [one.picker for one in report.evaluations] == labels
    assert steps[-1] == (labels[1], 4, 4)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["n_windows"] == content["n_events"] == 4
    assert set(content["evaluations"][0]["accuracy"]) == {
        "P at 0.1 s", "P at 0.5 s", "S at 0.1 s", "S at 0.5 s",
    }  # fmt: skip
    [comparison] = report.comparisons
    assert comparison.reference == labels[0]
    text = (tmp_path / "report.md").read_text()
    assert all(label in text for label in labels)
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {f"misses_{label.replace('@', '_')}.png" for label in labels} | {
        "residuals.png", "precision_recall.png", "reliability.png",
    }  # fmt: skip
    assert all(name in text for name in drawn)


def test_equal_budgets_give_equal_numbers_of_picks(
    pickers: list[Picker], material: EvaluationSet
) -> None:
    one, two = pickers
    limits = matched_to(one, two, material.continuous)
    wanted = counted(continuous_picks(one, material.continuous), one.card.thresholds)
    made = counted(continuous_picks(two, material.continuous), limits)
    assert all(made[phase] <= wanted[phase] for phase in wanted)
    assert matched_to(one, one, material.continuous).keys() == wanted.keys()


def test_worst_windows_come_first(pickers: list[Picker], material: EvaluationSet) -> None:
    picker = pickers[0]
    misses = worst(material, picked(picker, material), picker.card.thresholds, 3)
    assert [miss.badness for miss in misses] == sorted(
        (miss.badness for miss in misses), reverse=True
    )
    assert len(misses) == 3


def test_tasks_need_room(pickers: list[Picker], material: EvaluationSet) -> None:
    tasks = run_tasks(pickers[0], material.windows)
    assert tasks.n_event == tasks.n_noise == 4
    assert 0 <= tasks.detection_auc <= 1
    assert tasks.n_phases <= 8
    again = run_tasks(pickers[0], material.windows)
    assert str(again) == str(tasks)


def test_a_picker_without_s_is_refused(material: EvaluationSet, pickers: list[Picker]) -> None:
    card = pickers[0].card.model_copy(update={"classes": ("N", "P")})
    with pytest.raises(DataError, match="needs P and S"):
        evaluate_pickers([Picker(pickers[0].model, card)], material)
