"""Detection, confusion and classes of windows are counted as told, and drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomon.events import Phase, Pick
from geomon.ids import StreamId
from geomon.times import NS_PER_S, TimeSpan, from_ns, parse_time
from geomon.training.breakdown import by_class, class_table, confusion, detection
from geomon.training.dataset import Label
from geomon.training.evaluate import best_threshold
from geomon.training.learning import save_confusion, save_detection
from geomon.training.recordings import LabelledWindow
from geomon.waveforms import Segment

STREAM = StreamId("XX", "S1", "", "HH")
START = parse_time("2024-05-01")
WINDOW = TimeSpan(START, START + 150 * NS_PER_S)  # five pieces


def pick(seconds: float, phase: Phase, probability: float = 0.9) -> Pick:
    time = from_ns(START + round(seconds * NS_PER_S))
    return Pick(time, STREAM.seed_id("Z"), phase, probability, 0.05)


def label(seconds: float, phase: Phase = "P") -> Label:
    return Label(STREAM, START + round(seconds * NS_PER_S), phase, "manual", "e1")


def labelled(p_s: float, s_s: float, rate: float = 100.0) -> LabelledWindow:
    noise = np.random.default_rng(0).normal(0, 10, round(60 * rate))
    segment = Segment(STREAM.seed_id("Z"), START, rate, noise)
    return LabelledWindow("w", STREAM.station_id, (segment,), 100 * p_s, 100 * s_s)


def test_pieces_of_reviewed_windows_tell_detection_from_noise() -> None:
    labels = [label(10), label(40), replace(label(70), kind="doubtful", actor="ada")]
    picks = {STREAM: [pick(10.1, "P", 0.8), pick(70, "P", 0.9), pick(100, "S", 0.4)]}
    found = detection([(STREAM, WINDOW)], labels, picks, {"P": 0.3, "S": 0.3})
    assert found.with_onset.tolist() == [0.8, 0.0]
    assert found.without.tolist() == [0.4, 0.0]  # the piece where ada could not tell is left out
    assert found.n_false == 1
    assert found.false_an_hour == 60
    assert found.area == 0.625
    false, true = found.curve()
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == found.area
    nothing = detection([], labels, picks, {"P": 0.3, "S": 0.3})
    assert np.isnan([nothing.area, nothing.false_an_hour]).all()


@pytest.mark.parametrize(("probability", "expected"), [(0.9, 0.4), (0.31, 0.3), (0.05, 0.4)])
def test_a_threshold_is_as_high_as_costs_nothing_and_no_higher_than_was_seen_to_help(
    probability: float, expected: float
) -> None:
    windows, picks = [labelled(20, 25)] * 3, [[pick(20.1, "P", probability)]] * 3
    assert best_threshold(windows, picks, "P") == expected


def test_phases_that_are_swapped_missed_or_made_up_are_told_apart() -> None:
    windows = [labelled(20, 25)] * 3
    picks = [
        [pick(20.1, "P"), pick(25.1, "S"), pick(27, "P")],
        [pick(20.1, "S"), pick(25.1, "P")],
        [pick(50, "P")],  # far from the event
    ]
    assert confusion(windows, picks).tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 0]]


def test_windows_are_scored_by_kind() -> None:
    windows = [labelled(20, 21), labelled(20, 21), labelled(20, 21), labelled(20, 40, 40.0)]
    good = [[pick(20, "P"), pick(21, "S")]] * 3 + [[]]
    bad = [[pick(20, "P")]] * 3 + [[]]
    rows = by_class(windows, bad, good)
    by_name = {(row.grouping, row.name): row for row in rows}
    near = by_name["distance (S minus P)", "below 2 s"]
    assert (near.n_windows, near.challenger) == (3, 1.0)
    assert round(near.champion, 3) == 0.667
    assert by_name["sampling rate", "100 Hz"].n_windows == 3
    assert ("sampling rate", "40 Hz") not in by_name  # one window says nothing
    assert by_name["station", "XX.S1"].n_windows == 4
    assert any(row.grouping == "signal-to-noise ratio" for row in rows)
    assert "| distance (S minus P) | below 2 s | 3 | 0.667 | 1.000 |" in class_table(rows)


def test_pictures_are_written(tmp_path: Path) -> None:
    counts = np.array([[9, 1, 0], [0, 7, 3], [1, 1, 0]])
    save_confusion({"one": counts, "two": counts}, tmp_path / "confusion.png")
    picks = {STREAM: [pick(10.1, "P", 0.8)]}
    found = detection([(STREAM, WINDOW)], [label(10)], picks, {"P": 0.3, "S": 0.3})
    save_detection({"one": found}, tmp_path / "detection.png")
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
