"""The simulated network as a source, and behind its loopback data centre."""

import hashlib

import httpx
import numpy as np
import pytest

from geomon.config import FdsnSource as FdsnSettings
from geomon.config import Network, find_config, load_config
from geomon.config import SimulatedSource as Settings
from geomon.ids import SeedId
from geomon.sources.base import WaveformSource
from geomon.sources.fdsn import FdsnSource
from geomon.sources.opening import open_source
from geomon.sources.simulated import SimulatedSource
from geomon.sources.simulated_server import serving
from geomon.synthesis.network import Scenario
from geomon.times import NS_PER_S, TimeSpan, parse_time

MIDNIGHT_NS = parse_time("2024-05-02T00:00:00")
SPAN = TimeSpan(MIDNIGHT_NS - 60 * NS_PER_S, MIDNIGHT_NS + 60 * NS_PER_S)
CHANNELS = tuple(SeedId.parse(f"XX.GM01.00.HH{c}") for c in "ENZ")
SHIFTED = SeedId.parse("XX.GM07.00.EHZ")
CONFIG = load_config(find_config("demo"))


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario.of(CONFIG.source, CONFIG.velocity.model())


@pytest.fixture(scope="module")
def url(scenario):
    with serving(scenario) as base:
        yield base


@pytest.fixture
def fdsn(url):
    settings = FdsnSettings(urls=(url,), requests_per_s=100)
    source = FdsnSource(settings, Network(name="test", select=("XX.*",)))
    yield source
    source.close()


def same(one, two):
    assert [(s.seed_id, s.start_ns, s.sampling_rate_hz) for s in one] == [
        (s.seed_id, s.start_ns, s.sampling_rate_hz) for s in two
    ]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)


def test_a_config_opens_it():
    source = open_source(CONFIG)
    assert isinstance(source, SimulatedSource)
    assert isinstance(source, WaveformSource)
    assert len(source.stations(SPAN).station_ids()) == 12


def test_network_selection_applies(scenario):
    network = Network(name="test", select=("XX.GM03",), channels=("HN",))
    source = SimulatedSource(Settings(), scenario.model, network)
    assert {str(s.stream_id) for s in source.stations(SPAN).seed_ids()} == {"XX.GM03.10.HN"}


def test_fetch_brings_the_scenarios_samples(scenario):
    source = SimulatedSource(Settings(), scenario.model)
    fetched = source.fetch([*CHANNELS, SHIFTED], SPAN)
    assert fetched.outcome == "data"
    assert fetched.missing == ()
    same(fetched.segments, [s for i in [*CHANNELS, SHIFTED] for s in scenario.segments(i, SPAN)])
    again = source.fetch([*CHANNELS, SHIFTED], SPAN)
    assert again.provenance == fetched.provenance
    assert len(fetched.provenance.sha256) == 64


def test_future_and_unknown_channels_are_missing(scenario):
    source = SimulatedSource(Settings(), scenario.model, clock=lambda: SPAN.start_ns)
    fetched = source.fetch([*CHANNELS, SeedId.parse("XX.NONE..HHZ")], SPAN)
    assert fetched.outcome == "nodata"
    assert fetched.is_retryable
    assert [gap.seed_id.station for gap in fetched.missing] == ["GM01"] * 3 + ["NONE"]
    assert all(gap.span == SPAN for gap in fetched.missing)
    assert fetched.provenance.sha256 == hashlib.sha256(b"").hexdigest()


def test_over_http_the_same_samples_arrive(scenario, fdsn):
    direct = SimulatedSource(Settings(), scenario.model)
    for seed_ids in (CHANNELS, (SHIFTED,), (SeedId.parse("XX.GMALP..HHZ"),)):
        fetched = fdsn.fetch(seed_ids, SPAN)
        assert fetched.outcome == "data"
        same(fetched.segments, direct.fetch(seed_ids, SPAN).segments)


def test_over_http_the_same_stations_arrive(scenario, fdsn):
    found = {channel.seed_id: channel for channel in fdsn.stations(SPAN).channels}
    assert list(found) == scenario.stations.seed_ids()
    for channel in scenario.stations.channels:
        other = found[channel.seed_id]
        assert (other.response is None) == (channel.response is None)
        assert (other.latitude, other.azimuth_deg, other.dip_deg, other.sampling_rate_hz) == (
            channel.latitude, channel.azimuth_deg, channel.dip_deg, channel.sampling_rate_hz,
        )  # fmt: skip
        if channel.response is not None:
            np.testing.assert_allclose(other.response.poles, channel.response.poles)
            assert other.response.sensitivity == channel.response.sensitivity


def test_obspys_client_can_use_it(url):
    from obspy import UTCDateTime
    from obspy.clients.fdsn import Client

    client = Client(url)
    start = UTCDateTime(ns=SPAN.start_ns)
    stream = client.get_waveforms("XX", "GM01", "00", "HH?", start, start + 60)
    assert {trace.id for trace in stream} == {str(seed_id) for seed_id in CHANNELS}
    inventory = client.get_stations(network="XX", station="GM0*", level="response")
    assert len(inventory[0]) == 8
    # ObsPy's evaluation of the response agrees with the sensitivity of the counts.
    response = inventory.get_response("XX.GM01.00.HHZ", start)
    gain = abs(response.get_evalresp_response_for_frequencies([1.0], output="VEL")[0])
    assert gain == pytest.approx(4.8e8, rel=1e-3)


def test_late_packets_come_later(scenario):
    now = [SPAN.start_ns + 30 * NS_PER_S]
    with serving(scenario, clock=lambda: now[0]) as base:
        query = {
            "net": "XX", "sta": "GM01", "loc": "00", "cha": "HHZ",
            "start": "2024-05-01T23:59:00", "end": "2024-05-02T00:01:00",
        }  # fmt: skip
        early = httpx.get(f"{base}/fdsnws/dataselect/1/query", params=query)
        now[0] = SPAN.end_ns + 60 * NS_PER_S
        later = httpx.get(f"{base}/fdsnws/dataselect/1/query", params=query)
        now[0] = SPAN.start_ns
        none = httpx.get(f"{base}/fdsnws/dataselect/1/query", params=query)
        missing = httpx.get(f"{base}/fdsnws/dataselect/1/query", params=query | {"nodata": "404"})
    assert 0 < len(early.content) < len(later.content)
    assert (none.status_code, missing.status_code) == (204, 404)


def test_the_port_closes_afterwards(scenario):
    with serving(scenario) as base:
        assert httpx.get(f"{base}/fdsnws/station/1/version").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base}/fdsnws/station/1/version")


@pytest.mark.parametrize(
    ("service", "params", "message"),
    [
        ("dataselect", {"net": "XX"}, "starttime and endtime are needed"),
        ("dataselect", {"start": "yesterday", "end": "2024-01-01"}, "'yesterday' is not a time"),
        ("dataselect", {"start": "2024-01-02", "end": "2024-01-01"}, "ends"),
        ("station", {"colour": "red"}, "'colour' is not a parameter"),
        ("station", {"format": "text"}, "format 'text'"),
        ("station", {"minlatitude": "north"}, "north"),
    ],
)
def test_wrong_questions_are_refused(url, service, params, message):
    answer = httpx.get(f"{url}/fdsnws/{service}/1/query", params=params)
    assert answer.status_code == 400
    assert message in answer.text


def test_a_malformed_selection_is_refused(url):
    answer = httpx.post(f"{url}/fdsnws/dataselect/1/query", content="XX GM01 00 HHZ\n")
    assert answer.status_code == 400
    assert "NET STA LOC CHA START END" in answer.text


def test_a_box_selects_stations(url, scenario):
    south = min(channel.latitude for channel in scenario.stations.channels)
    inside = httpx.get(
        f"{url}/fdsnws/station/1/query", params={"maxlat": south + 1e-6, "level": "response"}
    )
    outside = httpx.get(f"{url}/fdsnws/station/1/query", params={"maxlat": south - 1e-3})
    assert inside.text.count("<Station ") == 1
    assert outside.status_code == 204
