"""A day watched live, done as one daily run, or filled back: the same catalogue."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from geomon.config import Config
from geomon.services.backfill import plan
from geomon.services.backfill_run import run
from geomon.services.daily import daily
from geomon.services.monitor import cycle
from geomon.services.workspace import workspace
from tests.faults import swarm

SPAN = swarm.RECORDED


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return swarm.record(tmp_path_factory.mktemp("swarm") / "recorded")


def network(recorded: Path, folder: Path) -> Config:
    config = swarm.configured(recorded, folder)
    return config.model_copy(
        update={
            "picker": config.picker.model_copy(update={"backend": "onnxruntime"}),
            "schedule": config.schedule.model_copy(update={"lookback_s": 120}),
        }
    )


def digest(config: Config) -> str:
    assert len(workspace(config).catalog.events()) > 0
    return workspace(config).catalog.digest(SPAN.padded(900))


def filled(config: Config, workers: int, seed: int) -> str:
    """Fill back with the stations' units in any order."""
    planned = plan(config, SPAN)
    stations = [unit for unit in planned.units if not unit.is_network]
    random.Random(seed).shuffle(stations)
    network_units = [unit for unit in planned.units if unit.is_network]
    units = (*stations, *network_units)
    report = run(config, replace(planned, units=units), max_parallel=workers)
    assert (report.n_failed, report.n_left) == (0, 0)
    return digest(config)


@pytest.mark.fault(43, slow=True)
def test_live_daily_and_filled_back_are_the_same(recorded: Path, tmp_path: Path) -> None:
    live = network(recorded, tmp_path / "live")
    ids: set[str] = set()
    for after_s in (40, 110, 200, 360):
        assert cycle(live, now=SPAN.start + timedelta(seconds=after_s)).n_failed == 0
        ids |= {event.event_id for event in workspace(live).catalog.events()}
    assert digest(live)
    assert {event.event_id for event in workspace(live).catalog.events()} <= ids

    once = network(recorded, tmp_path / "daily")
    assert daily(once, SPAN.start.date()).n_failed == 0
    expected = digest(once)
    assert digest(live) == expected
    assert filled(network(recorded, tmp_path / "one"), 1, seed=1) == expected
    assert filled(network(recorded, tmp_path / "four"), 4, seed=2) == expected
