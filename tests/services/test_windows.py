"""Windows that people review whole: which come first, and what is kept of the answer."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import DataError
from geomon.events import Phase, Pick
from geomon.ids import SeedId
from geomon.services.labelling import labels_of
from geomon.services.proposals import WantedPick
from geomon.services.windows import OpenWindow, n_reviewed, open_windows, review_window
from geomon.services.workspace import Workspace, workspace
from geomon.stores.verdicts import Verdicts
from geomon.stores.windows import WindowChange
from geomon.times import TimeSpan, parse_time
from geomon.training.dataset import WINDOW_NS, Tally, part_of_time
from geomon.waveforms import Provenance, Segment
from tests.api.network import make_config

Z = SeedId.parse("XX.GM01.00.HHZ")
STREAM = Z.stream_id
DAY = TimeSpan.parse("2024-03-05T00:00:00", "2024-03-05T08:00:00")
ANNA = {"actor": "anna"}


def windows_of(part: str) -> list[TimeSpan]:
    """Return the whole windows of the day's hours of one part."""
    first, last = -(-DAY.start_ns // WINDOW_NS), DAY.end_ns // WINDOW_NS
    found = [TimeSpan(n * WINDOW_NS, (n + 1) * WINDOW_NS) for n in range(first, last)]
    return [w for w in found if {part_of_time(w.start_ns), part_of_time(w.end_ns - 1)} == {part}]


TRAIN, TEST = windows_of("train"), windows_of("test")


def pick(window: TimeSpan, after_s: float, probability: float, phase: Phase = "P") -> Pick:
    time = window.start + timedelta(seconds=after_s)
    return Pick(time, Z, phase, probability, 0.05, picker="truth")


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """Eight hours of one station, with some picks; the last hour is missing."""
    space = workspace(make_config(tmp_path))
    end_ns = parse_time("2024-03-05T07:00:00")
    n = (end_ns - DAY.start_ns) // 10**9
    space.archive.write(
        [Segment(Z, DAY.start_ns, 1.0, np.zeros(n, np.int32))], Provenance("test", "-", "-")
    )
    picks = [
        pick(TRAIN[0], 10, 0.95), pick(TRAIN[0], 20, 0.66, "S"), pick(TRAIN[1], 30, 0.52),
        pick(TEST[0], 40, 0.9), pick(TEST[0], 50, 0.51, "S"),
    ]  # fmt: skip
    space.catalog.replace_picks(STREAM, DAY, picks, space.catalog.begin_run("pick"))
    return space


def wanted(phase: Phase, time: datetime) -> WantedPick:
    return WantedPick(Z, phase, time)


def test_the_least_sure_window_comes_first_for_training(space: Workspace):
    [first, second] = open_windows(space.config, DAY, "training", limit=9)
    assert (first.span, first.n_picks, first.n_doubtful) == (TRAIN[1], 1, 1)
    assert (second.span, second.n_picks, second.n_doubtful) == (TRAIN[0], 2, 1)
    assert open_windows(space.config, DAY, "training", limit=1) == [first]


def test_the_exam_is_drawn_whatever_is_there(space: Workspace):
    found = open_windows(space.config, DAY, "exam", limit=99)
    archived = [
        w for w in TEST if w.end <= TimeSpan.parse("2024-03-05T07:00:00", "2024-03-06").start
    ]
    assert {one.span for one in found} == set(archived)
    assert [one for one in found if one.n_picks] == [
        OpenWindow(STREAM, TEST[0], 2, 1, pytest.approx(0.95))
    ]


def test_a_reviewed_window_becomes_labels(space: Workspace):
    config, window = space.config, TEST[0]
    kept, added = pick(window, 40, 0.9), window.start + timedelta(seconds=60.25)
    onsets = [wanted("P", kept.time), wanted("S", added)]

    def review(onsets: list[WantedPick]) -> WindowChange:
        return review_window(config, STREAM, window.start_ns, onsets, **ANNA)

    assert review(onsets) == WindowChange(2, 1, is_new=True)
    assert review(onsets) == WindowChange(2, 1, is_new=False)
    labels = labels_of(config, window, Tally())
    assert {(one.phase, one.kind, one.actor) for one in labels} == {
        ("P", "reviewed", "anna"), ("S", "manual", "anna"), ("S", "rejected", "anna")
    }  # fmt: skip
    assert n_reviewed(config, DAY, "exam") == 1
    assert n_reviewed(config, DAY, "training") == 0
    assert window not in {one.span for one in open_windows(config, DAY, "exam", limit=99)}

    assert review([]) == WindowChange(0, 2, is_new=True)
    assert not any(one.is_onset for one in labels_of(config, window, Tally()))
    said = Verdicts(space.catalog.database).find(window)
    assert [one.verdict for one in said] == ["wrong", "wrong"]
    assert [p.evaluation_mode for p in space.catalog.picks(window)] == ["automatic"] * 2


@pytest.mark.parametrize(
    ("start_ns", "onsets", "message"),
    [
        (TEST[0].start_ns + 1, [], "no window starts"),
        (TEST[0].start_ns, [wanted("P", TEST[0].end)], "is not in this window"),
    ],
    ids=["start", "onset"],
)
def test_what_is_no_window_is_refused(
    space: Workspace, start_ns: int, onsets: list[WantedPick], message: str
):
    with pytest.raises(DataError, match=message):
        review_window(space.config, STREAM, start_ns, onsets, **ANNA)
    assert Verdicts(space.catalog.database).find(DAY) == []
