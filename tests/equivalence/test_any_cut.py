"""Whole, in pieces of minutes, or shuffled: the same picks, the same events, the same bytes."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from geomon.config import Config
from geomon.services.demo import DEMO_SPAN
from geomon.services.ingest import ingest
from geomon.services.locate import locate
from geomon.services.pick import pick
from geomon.services.run import run
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan
from tests.equivalence.stores import archive_content, archived_samples, catalog_content
from tests.networks import simulated
from tests.science import hengill

_MINUTE_NS = 60 * NS_PER_S
AROUND_MIDNIGHT = TimeSpan.parse("2024-05-01T23:57", "2024-05-02T00:03")


def minutes(span: TimeSpan, seed: int, length: int = 1) -> list[TimeSpan]:
    pieces = list(span.steps(length * _MINUTE_NS))
    random.Random(seed).shuffle(pieces)
    return pieces


def processed(config: Config, pieces: Sequence[TimeSpan]) -> Config:
    for piece in pieces:
        reports = run(config, piece)
        assert not any(report.n_failed for report in reports), reports
    return config


def digest(config: Config, span: TimeSpan) -> str:
    catalog = workspace(config).catalog
    assert len(catalog.events(span.start, span.end)) > 0
    return catalog.digest(span.padded(900))


def test_the_demo_hour(tmp_path: Path) -> None:
    whole = processed(simulated(tmp_path / "whole"), [DEMO_SPAN])
    cut = simulated(tmp_path / "cut")
    for piece in minutes(DEMO_SPAN, seed=5, length=5):
        assert ingest(cut, piece).n_failed == 0
        assert pick(cut, piece).n_failed == 0
    for piece in minutes(DEMO_SPAN, seed=6, length=3):
        assert locate(cut, piece).n_failed == 0
    assert digest(whole, DEMO_SPAN) == digest(cut, DEMO_SPAN)
    assert len(workspace(whole).catalog.events(DEMO_SPAN.start, DEMO_SPAN.end)) > 40


@pytest.mark.fault(53, slow=True)
def test_live_like_across_midnight(tmp_path: Path) -> None:
    whole = processed(simulated(tmp_path / "whole"), [AROUND_MIDNIGHT])
    cut = processed(simulated(tmp_path / "cut"), minutes(AROUND_MIDNIGHT, seed=3))
    assert digest(whole, AROUND_MIDNIGHT) == digest(cut, AROUND_MIDNIGHT)
    # Objects also name the requests that filled them, so samples are compared, not bytes.
    assert archived_samples(whole, AROUND_MIDNIGHT) == archived_samples(cut, AROUND_MIDNIGHT)


def test_running_twice_changes_no_row_and_no_byte(tmp_path: Path) -> None:
    config = processed(simulated(tmp_path), [AROUND_MIDNIGHT])
    archive, catalog = archive_content(config), catalog_content(config)
    processed(config, [AROUND_MIDNIGHT])
    assert archive_content(config) == archive
    assert catalog_content(config) == catalog


@pytest.mark.parametrize("seed", [1])
def test_hengill(tmp_path: Path, shared_data: Path, seed: int) -> None:
    with hengill.served(shared_data, tmp_path / "whole") as config:
        whole = processed(config, [hengill.SPAN])
    with hengill.served(shared_data, tmp_path / "cut") as config:
        cut = processed(config, minutes(hengill.SPAN, seed))
    assert digest(whole, hengill.SPAN) == digest(cut, hengill.SPAN)
