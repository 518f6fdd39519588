"""Which picker picks: promotion counts from the next piece of work on, and can be taken back."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from geomon.config import Config
from geomon.errors import StoreConflict, StoreError
from geomon.picking.card import Picker, load_picker, save_picker
from geomon.services.champion import (
    ensure_champion,
    load,
    pickers_of,
    promote,
    rollback,
    trial_of,
)
from geomon.services.offer import offer_backfill
from geomon.services.pick import pick, picker_version
from geomon.services.workspace import workspace
from geomon.stores.pickers import Decision
from geomon.times import TimeSpan
from tests.networks import simulated
from tests.services.conftest import SPAN


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default picker with slightly other weights."""
    default = load_picker("default")
    weights = [one * np.float32(1.001) for one in default.model.get_weights()]
    default.model.set_weights(weights)
    folder = tmp_path_factory.mktemp("other")
    save_picker(Picker(default.model, default.card), folder)
    return folder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return simulated(tmp_path, picker={"name": "champion"})


def test_the_first_model_is_the_floor_and_the_champion_until_another_is_promoted(
    config: Config, other: Path
) -> None:
    assert load(config).card.name == "default"
    first = ensure_champion(config)
    assert ensure_champion(config) == first
    before = picker_version(config)
    registry = pickers_of(config)
    added = registry.add(other, manifest="{}")
    assert registry.add(other) == added
    assert [one.state for one in registry.listed()] == ["champion", "challenger"]
    assert picker_version(config) == before
    promote(config, f"default@{added[:8]}", actor="ada", reason="tried it")
    assert load(config).card.weights_sha256 == added
    assert picker_version(config) != before
    assert [one.state for one in registry.listed()] == ["archived", "champion"]
    with pytest.raises(StoreError, match="is the champion already"):
        promote(config, added[:12], actor="ada", reason="again")
    assert rollback(config, actor="ada", reason="worse at night").sha256 == first
    assert picker_version(config) == before
    with pytest.raises(StoreError, match="no other picker was champion before"):
        rollback(config, actor="ada", reason="once more")
    outcomes = [(one.outcome, one.actor, one.reason) for one in registry.decisions()]
    assert outcomes[1:] == [
        ("promoted", "ada", "tried it"), ("rolled back", "ada", "worse at night"),
    ]  # fmt: skip


def test_only_one_of_two_deciders_wins(config: Config, other: Path) -> None:
    first = ensure_champion(config)
    registry = pickers_of(config)
    added = registry.add(other)
    decision = Decision("promoted", added, added, "better", "geomon", 0.025, "| a |")
    registry.decide(decision, instead_of=first)
    with pytest.raises(StoreConflict, match="another champion was made meanwhile"):
        registry.decide(decision, instead_of=first)
    held = registry.decisions()[-1]
    assert (held.alpha, held.report) == (0.025, "| a |")
    with pytest.raises(StoreError, match="no such picker"):
        registry.find("default@00000000")


def test_tests_against_one_champion_are_counted() -> None:
    installed = Decision("installed", "a", "a", "", "")
    refused = Decision("refused", "a", "b", "", "", alpha=0.02)
    promoted = Decision("promoted", "c", "c", "", "", alpha=0.01)
    assert trial_of([installed]) == 1
    assert trial_of([installed, refused, refused]) == 3
    assert trial_of([installed, refused, promoted]) == 1
    assert trial_of([installed, replace(refused, alpha=0.0)]) == 1
    back = Decision("rolled back", "a", "c", "", "")
    assert trial_of([installed, refused, promoted, back]) == 3  # what was spent stays spent


def test_windows_are_reviewed_once(config: Config) -> None:
    registry = pickers_of(config)
    stream = next(iter(workspace(config).refreshed_stations(SPAN).seed_ids())).stream_id
    assert registry.mark_reviewed(stream, SPAN, "ada")
    assert not registry.mark_reviewed(stream, SPAN, "bob")
    wide = SPAN.padded(timedelta(hours=1).total_seconds())
    [held] = registry.reviewed_windows(wide)
    assert (held.stream_id, held.span, held.actor) == (stream, SPAN, "ada")
    assert registry.reviewed_windows(TimeSpan(0, 1)) == []


def test_the_next_pick_task_uses_the_new_champion_and_says_so(
    processed: tuple[Config, object], other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = {"url": processed[0].archive.url}
    config = simulated(tmp_path, picker={"name": "champion"}, archive=archive)
    station = (str(workspace(config).stations().station_ids()[0]),)
    pick(config, SPAN, stations=station)
    catalog = workspace(config).catalog
    first = {one.picker for one in catalog.picks(SPAN)}
    added = pickers_of(config).add(other)
    ensure_champion(config)
    promote(config, added[:8], actor="ada", reason="trial")
    offer = offer_backfill(config)
    assert offer.span is not None
    assert offer.span.contains(SPAN.start_ns - 1)  # pieces belong to the day they start in
    assert offer.plan is not None
    assert offer.plan.text() in offer.text()
    assert "geomon backfill run --start 2024-05-0" in offer.text()
    assert "--mode stale" in offer.text()
    assert {one.picker for one in catalog.picks(SPAN)} == first  # offered, not done
    again = pick(config, SPAN, stations=station)
    assert again.picked_s > 0
    now = {one.picker for one in catalog.picks(SPAN)}
    assert now == {f"default@{added[:8]}"}
    assert now != first
    assert catalog.runs()[-1].picker == f"default@{added[:8]}"

    def needless(*_: object) -> Picker:
        pytest.fail("loaded with nothing to pick")

    monkeypatch.setattr("geomon.services.pick.load", needless)
    assert pick(config, SPAN, stations=station).picked_s == 0
