"""The simulated network keeps its promises: known truth, awkward cases, the same samples always."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.errors import StationMetadataError
from geomon.ids import SeedId
from geomon.synthesis.network import Scenario
from geomon.synthesis.rays import first_arrivals
from geomon.synthesis.swarm import events_of, radiation
from geomon.synthesis.troubles import HALF_HOUR_NS, troubles
from geomon.times import NS_PER_S, TimeSpan, parse_time

SPAN = TimeSpan.parse("2024-05-01T23:30:00", "2024-05-02T00:30:00")
MIDNIGHT_NS = parse_time("2024-05-02T00:00:00")
QUIET = SeedId.parse("XX.GM01.00.HHZ")


def near(scenario, event):
    return sorted(scenario.arrivals(event).values(), key=lambda arrival: arrival.p_ns)


def test_demo_hour_has_its_swarm(scenario):
    events = scenario.events(SPAN)
    assert len(events) == 48
    assert all(a.time_ns < b.time_ns for a, b in pairwise(events))
    assert all(0 <= event.magnitude <= 3 and 3 <= event.depth_km <= 12 for event in events)
    assert max(event.magnitude for event in events) > 1.5
    waits = np.diff([event.time_ns for event in events]) / NS_PER_S
    assert np.sum(waits < 10.5) >= 4
    assert np.median(waits) > 50


@pytest.mark.parametrize("edge", ["2024-05-02T00:00:00", "2024-05-02T00:10:00"])
def test_an_event_straddles_midnight_and_a_tile_edge(scenario, edge):
    edge_ns = parse_time(edge)
    split = [
        event
        for event in scenario.events(SPAN)
        if any(a.p_ns < edge_ns <= a.s_ns for a in near(scenario, event))
    ]
    assert split
    assert any(event.time_ns < edge_ns for event in split)


def test_magnitudes_follow_gutenberg_and_richter(scenario):
    day = TimeSpan.parse("2024-06-01", "2024-06-02")
    magnitudes = np.array([event.magnitude for event in scenario.events(day)])
    assert magnitudes.size == 24 * 48
    assert np.mean(magnitudes >= 1) == pytest.approx(0.1, abs=0.02)
    assert np.mean(magnitudes >= 2) == pytest.approx(0.01, abs=0.007)


def test_most_events_are_seen_by_six_stations(scenario):
    table = scenario.truth(SPAN)
    assert list(table.columns) == [
        "time", "latitude", "longitude", "depth_km", "magnitude", "n_stations_above_noise",
    ]  # fmt: skip
    assert (table["n_stations_above_noise"] >= 6).sum() >= 40
    assert table["n_stations_above_noise"].max() == 12
    largest = table.loc[table["magnitude"].idxmax()]
    assert largest["n_stations_above_noise"] >= 11


def test_arrivals_are_those_of_the_layered_model(scenario):
    event = scenario.events(SPAN)[3]
    arrivals = scenario.arrivals(event)
    assert len(arrivals) == 12
    for station_id, arrival in arrivals.items():
        station = scenario.stations.station(station_id, event.time_ns)
        for phase, time_ns in (("P", arrival.p_ns), ("S", arrival.s_ns)):
            rays = first_arrivals(
                scenario.model, phase, distance_km=arrival.distance_km,
                source_depth_km=event.depth_km, station_depth_km=-station.elevation_m / 1000,
            )  # fmt: skip
            late_s = (time_ns - event.time_ns) / NS_PER_S - float(rays.time_s)
            assert abs(late_s) < 0.25


def test_awkward_stations_are_there(scenario):
    channels = scenario.stations.channels
    assert not scenario.stations.problems
    ids = {channel.seed_id for channel in channels}
    assert len(scenario.stations.station_ids()) == 12
    assert any(len(seed_id.station) == 5 for seed_id in ids)
    assert {seed_id.location for seed_id in ids} == {"", "00", "10"}
    assert {c.sampling_rate_hz for c in channels} == {40.0, 100.0, 200.0}
    assert {c.seed_id.station for c in channels if c.response is None} == {"GM09"}
    assert [s.channel for s in ids if s.station == "GM06"] == ["EHZ"]
    assert {s.component for s in ids if s.station == "GM08"} == {"Z", "1", "2"}
    assert {s.stream_id.band_instrument for s in ids if s.station == "GM03"} == {"HH", "HN"}
    assert all(c.dip_deg == -90 for c in channels if c.seed_id.component == "Z")
    assert Scenario(scenario.model, n_stations=30).stations.station_ids()[-1].station == "GMALP"


def test_every_trouble_happens_in_the_demo_hour(scenario):
    seen = set()
    for sensor in scenario.sensors:
        for half_hour in range(SPAN.start_ns // HALF_HOUR_NS, SPAN.end_ns // HALF_HOUR_NS):
            trouble = troubles(scenario.seed, sensor.index, len(sensor.components), half_hour)
            seen |= {name for name in trouble.__slots__ if getattr(trouble, name)}
            part = TimeSpan(half_hour * HALF_HOUR_NS, (half_hour + 1) * HALF_HOUR_NS)
            spans = [gap.span for gap in trouble.gaps] + [late.span for late in trouble.late]
            assert all(part.intersection(span) == span for span in spans)
    assert seen == {"gaps", "resent", "spikes", "steps", "pulses", "flats", "late"}


def test_samples_are_counts_on_the_sampling_grid(scenario):
    for seed_id in scenario.stations.seed_ids():
        channel = scenario.stations.channel(seed_id, SPAN.start_ns)
        minute = TimeSpan(MIDNIGHT_NS - 30 * NS_PER_S, MIDNIGHT_NS + 30 * NS_PER_S)
        for segment in scenario.segments(seed_id, minute):
            assert segment.samples.dtype == np.int32
            assert segment.sampling_rate_hz == channel.sampling_rate_hz
            assert minute.start_ns <= segment.start_ns < segment.end_ns
            assert segment.time_ns(segment.samples.size - 1) < minute.end_ns


def laid_out(segments, span, rate_hz):
    """All samples of a span by position; None where there is none."""
    values = {}
    for segment in segments:
        first = round((segment.start_ns - span.start_ns) * rate_hz / NS_PER_S)
        for i, value in enumerate(segment.samples):
            assert values.setdefault(first + i, int(value)) == int(value)
    return values


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["XX.GM05.00.HHN", "XX.GM04..BHZ", "XX.GM07.00.EHE", "XX.GMALP..HHZ"]),
    st.lists(st.integers(1, 89), min_size=1, max_size=4, unique=True),
)
def test_any_cut_gives_the_same_samples(scenario, seed_id, cuts):
    seed_id = SeedId.parse(seed_id)
    span = TimeSpan(MIDNIGHT_NS - 45 * NS_PER_S, MIDNIGHT_NS + 45 * NS_PER_S)
    edges = [span.start_ns, *(span.start_ns + c * NS_PER_S for c in sorted(cuts)), span.end_ns]
    rate_hz = scenario.stations.channel(seed_id, span.start_ns).sampling_rate_hz
    whole = laid_out(scenario.segments(seed_id, span), span, rate_hz)
    fresh = Scenario(scenario.model)
    pieces = [
        segment
        for start, end in reversed(list(pairwise(edges)))
        for segment in fresh.segments(seed_id, TimeSpan(start, end))
    ]
    assert laid_out(pieces, span, rate_hz) == whole


def test_sent_again_means_the_same_samples(scenario):
    resent = [
        (seed_id, segments)
        for seed_id in scenario.stations.seed_ids()
        if seed_id.component == "Z" and len(segments := scenario.segments(seed_id, SPAN)) > 1
    ]
    doubled = 0
    for _, segments in resent:
        for one, two in pairwise(segments):
            if two.start_ns < one.end_ns:
                at = round((two.start_ns - segments[0].start_ns) * one.sampling_rate_hz / 1e9)
                same = segments[0].samples[at : at + two.samples.size]
                if same.size == two.samples.size:
                    np.testing.assert_array_equal(same, two.samples)
                    doubled += 1
    assert doubled


def test_late_packets_and_the_future_are_not_there_yet(scenario):
    half_hour = SPAN.start_ns // HALF_HOUR_NS
    found = [
        (sensor, late)
        for sensor in scenario.sensors
        for late in troubles(scenario.seed, sensor.index, len(sensor.components), half_hour).late
    ]
    sensor, late = found[0]
    seed_id = sensor.seed_ids()[0]

    def covered(now_ns):
        parts = scenario.segments(seed_id, late.span, now_ns=now_ns)
        return sum(part.samples.size for part in parts)

    assert covered(late.available_ns - 1) == 0
    assert covered(late.available_ns) == covered(None) > 0
    now_ns = SPAN.start_ns + 60 * NS_PER_S
    [segment] = scenario.segments(QUIET, SPAN, now_ns=now_ns)
    assert now_ns - 10 * NS_PER_S < segment.end_ns < now_ns
    assert scenario.segments(QUIET, SPAN, now_ns=SPAN.start_ns) == ()


def test_an_earthquake_stands_in_the_samples_where_truth_says(scenario):
    event = max(scenario.events(SPAN), key=lambda event: event.magnitude)
    p_ns = scenario.arrivals(event)[QUIET.station_id].p_ns
    span = TimeSpan(p_ns - 10 * NS_PER_S, p_ns + 10 * NS_PER_S)
    [segment] = scenario.segments(QUIET, span)
    step = np.abs(np.diff(segment.samples))
    first = np.argmax(step > 8 * step[:900].max())
    assert abs(segment.time_ns(int(first)) - p_ns) < 0.05 * NS_PER_S


def test_other_seeds_and_quiet_networks(scenario):
    other = Scenario(scenario.model, seed=2)
    assert other.events(SPAN) != scenario.events(SPAN)
    assert other.stations.version != scenario.stations.version
    quiet = Scenario(scenario.model, events_per_hour=0.0)
    assert quiet.events(SPAN) == ()
    assert quiet.truth(SPAN).empty
    assert list(quiet.truth(SPAN).columns) == list(scenario.truth(SPAN).columns)
    rates = [len(events_of(1, 3.0, half_hour)) for half_hour in range(400)]
    assert np.mean(rates) == pytest.approx(1.5, abs=0.1)


def test_radiation_of_a_double_couple():
    [event, *_] = events_of(1, 48.0, 1000)
    rng = np.random.default_rng(1)
    azimuth, takeoff = (
        rng.uniform(0, 360, 20_000),
        np.degrees(np.arccos(rng.uniform(-1, 1, 20_000))),
    )
    p, sv, sh = radiation(event, azimuth, takeoff)
    # Mean squares over the focal sphere are 4/15 and 2/5 (Aki and Richards, 2002, box 4.4).
    assert np.mean(p**2) == pytest.approx(4 / 15, rel=0.05)
    assert np.mean(sv**2 + sh**2) == pytest.approx(2 / 5, rel=0.05)
    assert abs(np.mean(p)) < 0.02


def test_unknown_channels_and_times_before_the_network(scenario):
    with pytest.raises(StationMetadataError, match=r"XX\.NONE"):
        scenario.segments(SeedId.parse("XX.NONE..HHZ"), SPAN)
    assert scenario.segments(QUIET, TimeSpan.parse("1999-01-01", "1999-01-02")) == ()
    empty = TimeSpan(SPAN.start_ns, SPAN.start_ns)
    assert scenario.segments(QUIET, empty) == ()
    assert scenario.events(empty) == ()
