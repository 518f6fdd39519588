"""Probabilities of being real, checked against what chance makes of the network's own picks."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geomon.cli import app
from geomon.config import Config
from geomon.locating.reliability import reliability
from geomon.services.run import RunReports
from geomon.services.workspace import workspace
from tests.networks import simulated_file
from tests.services.conftest import SPAN


def test_chance_is_taken_off_bin_by_bin() -> None:
    found = [0.6] * 20 + [0.9] * 30 + [1.0] * 100
    low, middle, high = reliability(found, [0.55] * 20 + [0.88] * 6, rounds=2)
    assert (low.n_found, low.n_chance, low.real) == (20, 10.0, 0.5)
    assert middle.stated == 0.9
    assert middle.real == pytest.approx(0.9)
    assert (high.real, high.n_chance) == (1.0, 0.0)
    assert low.error > middle.error > high.error > 0
    [none] = reliability([0.6], [0.6] * 30, rounds=3)
    assert none.real == 0.0


def test_the_command_draws_the_diagram_and_writes_nothing_else(
    processed: tuple[Config, RunReports], tmp_path: Path
) -> None:
    config, _ = processed
    path = simulated_file(
        tmp_path, archive={"url": config.archive.url}, catalog={"url": config.catalog.url}
    )
    catalog = workspace(config).catalog
    before, picture = catalog.version(), tmp_path / "reliability.png"
    done = CliRunner().invoke(
        app,
        ["catalog", "reliability", "--config", str(path), "--start", str(SPAN.start), "--end",
         str(SPAN.end), "--rounds", "1", "--output", str(picture), "--json"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["n_events"] == len(catalog.events(SPAN.start_ns, SPAN.end_ns)) > 0
    assert said["n_chance"] <= 0.2 * said["n_events"]
    assert sum(one["n_found"] for one in said["bins"]) == said["n_events"]
    assert said["bins"][-1]["stated"] > 0.9
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert catalog.version() == before
