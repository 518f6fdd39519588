"""The retraining flow on a simulated network that an analyst reviewed, with a tiny picker."""

from dataclasses import replace
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.requests import RetrainRequest
from flows.retrain import retrain
from geomon.config import Config, load_config
from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker, save_picker
from geomon.services.champion import pickers_of
from geomon.services.dataset import RetrainSettings
from geomon.services.ingest import ingest
from geomon.services.retrain import PICTURES
from geomon.services.retrain import retrain as service
from geomon.services.workspace import workspace
from geomon.stores.verdicts import Verdicts
from geomon.times import TimeSpan
from geomon.training.dataset import drawn_windows
from geomon.training.fit import TrainingRecipe, draft_card
from tests.networks import simulated_file
from tests.reviews import review_all

DAY = TimeSpan.parse("2024-05-01", "2024-05-02")
# One stretch each to test, to train and to stop by: the hash of the hour says which.
STRETCHES = [
    TimeSpan.parse(f"2024-05-01T{hour}:00", f"2024-05-01T{hour}:23") for hour in ("00", "01", "05")
]


@pytest.fixture(scope="module")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reviewed")
    load_keras().utils.set_random_seed(3)
    tiny = Picker(unet(root=2, name="tiny"), draft_card(TrainingRecipe(name="tiny")))
    save_picker(tiny, folder / "tiny")
    path = simulated_file(
        folder,
        source={"kind": "simulated", "seed": 1, "n_stations": 4},
        network={"name": "Two", "select": ["XX.GM01", "XX.GMALP"]},
        picker={"name": "./tiny"},
    )
    config = load_config(path)
    for span in STRETCHES:
        ingest(config, span)
        review_all(config, span, least_onsets=2)
    return path


def last_state(request: RetrainRequest) -> tuple[str, str]:
    state = retrain(request, return_state=True)
    return state.name, state.message or ""


def shown() -> dict[str, str]:
    with get_client(sync_client=True) as client:
        return {artifact.key: str(artifact.data) for artifact in client.read_artifacts()}


def request_of(path: Path) -> RetrainRequest:
    return RetrainRequest(
        config=str(path), days=1, end=DAY.end, epochs=1, steps_an_epoch=2, n_synthetic=10
    )


def states(config: Config) -> list[str]:
    return [one.state for one in pickers_of(config).listed()]


@pytest.mark.usefixtures("prefect_server")
def test_a_scheduled_run_trains_compares_and_waits_for_an_exam(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = load_config(config_path)
    archive = workspace(config).archive
    streams = archive.streams()
    for stream, window in drawn_windows(streams, STRETCHES[0], 1.0)[:3]:
        pickers_of(config).mark_reviewed(stream, window, "ada")
    name, message = last_state(request_of(config_path))
    assert name == "Untested"
    assert "have more windows reviewed whole" in message
    assert states(config) == ["champion", "challenger"]
    artifacts = shown()
    assert "| exam: recall at 0.5 s |" in artifacts["retraining"]
    assert "windows for train" in artifacts["retraining"]
    for picture in PICTURES:
        assert artifacts[f"retraining-{picture}"].startswith("data:image/png;base64,")
    challenger = pickers_of(config).listed()[-1]
    assert challenger.card.training.teacher == pickers_of(config).listed()[0].card.label
    assert '"part": "train"' in challenger.manifest
    # Once more: the same data, so the same challenger.
    assert last_state(request_of(config_path)) == (name, message)
    assert len(states(config)) == 2


def test_poisoned_labels_are_refused_and_named(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = load_config(config_path)
    catalog = workspace(config).catalog
    before = states(config).count("challenger")
    # Someone confirms a P pick at every third S.
    run = catalog.begin_run("pick")
    manual = [one for one in catalog.picks(STRETCHES[1], mode="manual") if one.phase == "S"]
    for one in manual[::3]:
        wrong = replace(one, phase="P", evaluation_mode="automatic", picker="tiny@0")
        stream, at = one.seed_id.stream_id, TimeSpan.between(one.time, one.time).padded(0.001)
        catalog.replace_picks(stream, at, [wrong], run)
        Verdicts(catalog.database).judge(wrong, "correct", actor="mallory")
    report = service(config, DAY, settings=RetrainSettings(n_synthetic=10))
    assert report.verdict == "poisoned"
    assert "two phases at one onset" in report.reason
    assert report.build is not None
    assert any("mallory" in line for line in report.build.suspects)
    assert states(config).count("challenger") == before
