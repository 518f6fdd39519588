"""From labels to windows: what is kept, what is dropped and why, and what it is for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import DataError
from geomon.ids import StationId, StreamId
from geomon.picking.prepare import STEP_NS
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.training.dataset import (
    BLOCK_NS,
    WINDOW_NS,
    Example,
    Label,
    Mark,
    Planned,
    Tally,
    cut,
    drawn_windows,
    is_benchmark_station,
    manifest_hash,
    newest,
    part_of,
    part_of_time,
    plan,
    settled,
)
from geomon.training.seisbench import read_examples, write_examples

STREAM = next(
    stream
    for number in range(9)
    if not is_benchmark_station((stream := StreamId("XX", f"S{number}", "", "HH")).station_id)
)
HOURS = range(parse_time("2024-05-01") // BLOCK_NS, parse_time("2024-05-08") // BLOCK_NS)
TRAIN = next(hour for hour in HOURS if part_of_time(hour * BLOCK_NS) == "train") * BLOCK_NS


def label(
    seconds: float, phase="P", kind="manual", event="e1", start=TRAIN, stream=STREAM
) -> Label:
    return Label(stream, start + round(seconds * NS_PER_S), phase, kind, event)


def test_hours_and_stations_are_split_by_hash_and_all_parts_get_some() -> None:
    parts = [part_of_time(hour * BLOCK_NS) for hour in HOURS]
    assert {"train", "validation", "test"} == set(parts)
    assert 0.5 < parts.count("train") / len(parts) < 0.8
    codes = [StationId("XX", f"S{number:03d}") for number in range(300)]
    assert 0.1 < np.mean([is_benchmark_station(code) for code in codes]) < 0.25
    benchmark = next(code for code in codes if is_benchmark_station(code))
    test = next(hour for hour in HOURS if part_of_time(hour * BLOCK_NS) == "test") * BLOCK_NS
    assert part_of(benchmark, TimeSpan(test, test + 1)) == "benchmark"
    assert part_of(benchmark, TimeSpan(TRAIN, TRAIN + 1)) is None  # others learn from its events
    tally = Tally()
    at_benchmark = replace(STREAM, station=benchmark.station)
    assert plan([label(60, stream=at_benchmark)], tally) == []
    assert tally.dropped == {"windows: benchmark stations outside test hours": 1}


def test_a_longer_span_moves_nothing_between_training_and_test() -> None:
    labels = [
        label(60, start=hour * BLOCK_NS + offset, event=f"e{hour}-{offset}")
        for hour in HOURS
        for offset in (0, 900 * NS_PER_S, 3590 * NS_PER_S)
    ]
    early = {
        (one.stream_id, one.span): one.part for one in plan(labels[: len(labels) // 3], Tally())
    }
    late = {(one.stream_id, one.span): one.part for one in plan(labels, Tally())}
    assert all(late[key] == part for key, part in early.items())
    spans = {part: [k[1] for k, p in late.items() if p == part] for part in set(late.values())}
    for one in spans["train"]:
        assert not any(one.overlaps(other) for other in spans["test"])


def test_windows_at_the_edge_of_two_parts_are_dropped_and_counted() -> None:
    edge = next(h for h in HOURS if part_of_time(h * BLOCK_NS) != part_of_time((h + 1) * BLOCK_NS))
    tally = Tally()
    assert plan([label(3599, start=edge * BLOCK_NS)], tally) == []
    assert tally.dropped == {"windows: at the edge of training and test": 1}
    assert tally.lines() == ["1 dropped: windows: at the edge of training and test"]


def test_an_event_is_not_on_two_sides_where_it_arrives_late() -> None:
    edge = next(h for h in HOURS if part_of_time(h * BLOCK_NS) != part_of_time((h + 1) * BLOCK_NS))
    far = replace(STREAM, location="99")
    onsets = [label(3540, start=edge * BLOCK_NS), label(3660, start=edge * BLOCK_NS, stream=far)]
    tally = Tally()
    [kept] = plan(onsets, tally)
    assert kept.stream_id == STREAM
    assert tally.dropped == {"windows: at the edge of training and test": 1}


def test_an_analysts_word_replaces_what_was_there() -> None:
    tally = Tally()
    kept = settled(
        [
            label(100, kind="automatic"),
            label(100.3),
            label(103, "S", kind="reviewed"),
            label(200, kind="automatic"),
            label(200, kind="rejected", event=""),
            label(300, kind="doubtful", event=""),
        ],
        tally,
    )
    assert [(one.kind, one.phase) for one in kept] == [
        ("manual", "P"), ("reviewed", "S"), ("rejected", "P"), ("doubtful", "P"),
    ]  # fmt: skip
    assert tally.dropped == {"labels an analyst moved": 1, "labels an analyst rejected": 1}


def test_windows_hold_the_labels_of_other_events_too() -> None:
    labels = [label(100), label(105, "S"), label(120, event="e2"), label(300, event="e3")]
    planned = plan(settled(labels, Tally()), Tally())
    assert [one.event_id for one in planned] == ["e1", "e2", "e3"]
    assert [len(one.labels) for one in planned] == [3, 3, 1]
    assert planned[0].span.start_ns == TRAIN + 65 * NS_PER_S


def read(stream: StreamId, span: TimeSpan) -> tuple[np.ndarray, np.ndarray] | None:
    n = (span.end_ns - span.start_ns) // STEP_NS
    samples = np.random.default_rng(n).normal(0, 100, (n, 3)).astype(np.float32)
    valid = np.ones((n, 3), dtype=np.bool_)
    valid[4000:4100] = False
    samples[~valid] = 0
    return samples, valid


def examples() -> list[Example]:
    labels = [label(100), label(105, "S", "reviewed"), label(108, kind="rejected", event="")]
    return cut(plan(settled(labels, Tally()), Tally()), read, Tally())


def test_labels_in_gaps_and_windows_without_data_are_dropped_and_counted() -> None:
    planned = [*plan([label(100), label(105.5)], Tally()), *plan([label(500, event="e2")], Tally())]
    tally = Tally()

    def read_one(stream: StreamId, span: TimeSpan) -> tuple[np.ndarray, np.ndarray] | None:
        return read(stream, span) if span == planned[0].span else None

    [found] = cut(planned, read_one, tally)
    assert [mark.index for mark in found.marks] == [3500.0]
    assert tally.dropped == {"labels in a gap": 1, "windows: no data": 1}


def test_rejected_and_doubtful_labels_weigh_but_teach_no_onset() -> None:
    recording = examples()[0].recording()
    assert recording.index.tolist() == [3500.0]  # S lies in a gap
    assert recording.weight[3500] == 1.0
    assert recording.weight[4300] == 2.0
    doubt = Mark(1000.0, "P", "doubtful")
    one = replace(examples()[0], marks=(doubt,)).recording()
    assert one.index.size == 0
    assert one.weight[1000] == 0.0
    assert one.weight[2000] == 1.0


def test_a_data_set_in_the_format_of_seisbench_comes_back_as_it_was(tmp_path: Path) -> None:
    made = examples()
    assert write_examples(tmp_path, made) == len(made)
    back = sorted(read_examples(tmp_path), key=lambda one: one.start_ns)
    assert [one.name for one in back] == [one.name for one in made]
    assert manifest_hash(back) == manifest_hash(made)
    assert all(np.array_equal(a.valid, b.valid) for a, b in zip(back, made, strict=True))
    with pytest.raises(DataError, match="no windows to write"):
        write_examples(tmp_path / "none", [])


def test_windows_with_an_analysts_word_are_kept_first_then_the_latest() -> None:
    def planned(seconds: int, kind: str) -> Planned:
        one = label(seconds, kind=kind)
        return Planned(STREAM, TimeSpan(one.time_ns, one.time_ns + 1), "train", "", (one,))

    some = [planned(1, "manual"), planned(2, "automatic"), planned(3, "automatic")]
    tally = Tally()
    assert newest(some, 2, tally) == [some[0], some[2]]
    assert tally.dropped == {"windows: older than those used": 1}


def test_the_exam_is_drawn_from_test_hours_and_only_grows() -> None:
    streams = [replace(STREAM, location=code) for code in ("", "00", "10")]
    short = TimeSpan(HOURS[0] * BLOCK_NS, HOURS[40] * BLOCK_NS)
    long = TimeSpan(HOURS[0] * BLOCK_NS, (HOURS[-1] + 1) * BLOCK_NS)
    few, many = (drawn_windows(streams, span, 0.2) for span in (short, long))
    assert set(few) < set(many)
    assert all(part_of(stream.station_id, window) == "test" for stream, window in many)
    assert all(window.start_ns % WINDOW_NS == 0 for _, window in many)
    assert set(many) < set(drawn_windows(streams, long, 0.5))
