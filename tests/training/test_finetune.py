"""Fine-tuning: learns, forgets nothing, stops in time, resumes, and is the same each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import DataError
from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker, PickerCard
from geomon.training import finetune as module
from geomon.training.finetune import FinetuneRecipe, Lessons, finetune
from tests.training.conftest import recording

TINY = FinetuneRecipe(
    epochs=2, steps_an_epoch=3, batch_size=4, n_events=8, n_noise=4, learning_rate=1e-3
)
LESSONS = Lessons((recording(True),), (recording(True),), (), sha256="x")


def tiny(card: PickerCard) -> Picker:
    load_keras().utils.set_random_seed(4)
    return Picker(unet(root=2, depth=4, name="tiny"), card)


@pytest.fixture(scope="module")
def champion(card: PickerCard) -> Picker:
    return tiny(card)


def weights(picker: Picker) -> list[np.ndarray]:
    return picker.model.get_weights()


def same(one: Picker, two: Picker) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))


def test_training_learns_is_the_same_after_a_stop_and_leaves_the_champion_alone(
    champion: Picker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [one.copy() for one in weights(champion)]
    whole, curve = finetune(champion, TINY, LESSONS, tmp_path / "one", tensorboard=tmp_path / "log")
    assert curve[-1].validation < curve[0].validation
    assert not same(whole, champion)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(champion), strict=True))
    assert list((tmp_path / "log").iterdir())

    drawn: list[int] = []
    original = module._Training._batch

    def dies(self: object, number: int) -> object:
        drawn.append(number)
        if number == 5 and drawn.count(5) == 1:
            msg = "power cut"
            raise OSError(msg)
        return original(self, number)

    monkeypatch.setattr(module._Training, "_batch", dies)
    with pytest.raises(OSError, match="power cut"):
        finetune(champion, TINY, LESSONS, tmp_path / "cut")
    resumed, again = finetune(champion, TINY, LESSONS, tmp_path / "cut")
    assert drawn.count(0) == 1
    assert again[1:] == curve[1:]
    assert same(whole, resumed)


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(
    champion: Picker, tmp_path: Path
) -> None:
    wild = replace(TINY, epochs=5, learning_rate=3.0, patience=1)
    made, curve = finetune(champion, wild, LESSONS, tmp_path / "wild")
    losses = [epoch.validation for epoch in curve]
    best = int(np.argmin(losses))
    assert len(curve) == best + 2 < 6
    _, again = finetune(made, replace(TINY, epochs=1), LESSONS, tmp_path / "again")
    assert again[0].validation == pytest.approx(losses[best], rel=1e-4)


def test_nothing_to_learn_from_is_said(champion: Picker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 windows to train on"):
        finetune(champion, TINY, Lessons((), (), ()), tmp_path)
