"""What the simulated network would detect; and nothing is written while that is found out."""

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geomon.cli import app
from geomon.config import Config
from geomon.errors import DataError
from geomon.locating.detection import DetectionCurve
from geomon.services.detection import measure_detection
from geomon.services.run import RunReports
from geomon.services.workspace import workspace
from geomon.times import TimeSpan
from tests.equivalence.stores import archive_content
from tests.networks import simulated_file
from tests.services.conftest import SPAN


def test_large_ones_are_found_and_small_ones_are_not(
    processed: tuple[Config, RunReports],
) -> None:
    config, _ = processed
    catalog = workspace(config).catalog
    before = archive_content(config), catalog.version()
    found = measure_detection(config, SPAN, n_events=20, magnitudes=(-2.0, 3.0), seed=3)
    assert (archive_content(config), catalog.version()) == before
    assert isinstance(found.curve, DetectionCurve)
    large = [trial for trial in found.trials if trial.magnitude > 1.5]
    small = [trial for trial in found.trials if trial.magnitude < -1.2]
    assert sum(trial.is_detected for trial in large) >= 0.8 * len(large) > 0
    assert sum(trial.is_detected for trial in small) <= 0.3 * len(small)
    half, error = found.curve.magnitude_at(0.5)
    assert -1.5 < half < 1.2
    assert math.isfinite(error)
    assert {part.name for part in found.times} <= {"day", "night", "2024-05"}
    assert sum(part.n_trials for part in found.regions) == len(found.trials)
    assert any("no response" in problem for problem in found.problems)


def test_what_is_not_archived_detects_nothing_and_says_so(
    processed: tuple[Config, RunReports],
) -> None:
    config, _ = processed
    with pytest.raises(DataError, match="nothing is archived there, so nothing could be detected"):
        measure_detection(config, TimeSpan.parse("2023-05-02", "2023-05-03"))


def test_the_commands_say_what_cannot_be_told(
    tmp_path: Path, processed: tuple[Config, RunReports]
) -> None:
    config, _ = processed
    path = simulated_file(
        tmp_path, archive={"url": config.archive.url}, catalog={"url": config.catalog.url}
    )
    common = ["--config", str(path), "--start", str(SPAN.start), "--end", str(SPAN.end)]
    done = CliRunner().invoke(app, ["catalog", "completeness", *common, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["magnitude_type"] == "ML"
    assert said["reason"].endswith("needs 50")
    done = CliRunner().invoke(app, ["catalog", "detection", *common, "--magnitudes", "2", "1"])
    assert done.exit_code != 0
