"""FDSN web services, against a real dataselect server on loopback."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from geomon.errors import ConfigError, SourceUnavailable
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources.base import WaveformSource
from geomon.sources.fdsn import FdsnSource
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests.faultproxy import Exchange, FaultProxy, honest
from tests.servers import dataselect_server, free_port
from tests.sources.conftest import CHANNELS, PB01, PB02, RECORDINGS, SPAN, START_NS, quick


@pytest.fixture
def source(dataselect, network):
    source = FdsnSource(quick(dataselect), network)
    yield source
    source.close()


def test_what_was_recorded_comes_back_bit_for_bit(source):
    fetched = source.fetch(CHANNELS, SPAN)
    assert isinstance(source, WaveformSource)
    assert fetched.outcome == "data"
    assert fetched.problems == ()
    assert fetched.missing == ()
    assert [s.seed_id for s in fetched.segments] == sorted(CHANNELS)
    for segment in fetched.segments:
        assert segment.start_ns == START_NS
        np.testing.assert_array_equal(segment.samples, RECORDINGS[segment.seed_id].samples)


def test_connections_end_with_the_source(dataselect, network):
    """Sockets left open would warn, and warnings are errors here."""
    source = FdsnSource(quick(dataselect), network)
    assert source.fetch([PB02], SPAN).outcome == "data"
    clients = [centre._client for centre in source.centres]
    del source
    gc.collect()
    assert all(client.is_closed for client in clients)


AWKWARD = (
    Segment(PB01[0], START_NS + 123_456_000, 100.0, RECORDINGS[PB01[0]].samples[:9_999]),
    # A gap of a hundred seconds, and a clock that is 3.7 ms late after it.
    Segment(PB01[0], START_NS + 200_127_156_000, 100.0, RECORDINGS[PB01[0]].samples[20_000:31_111]),
    Segment(PB01[1], START_NS + 1_000, 62.5, RECORDINGS[PB01[1]].samples[:30_001]),
    Segment(PB02, START_NS - 999_000, 40.0, RECORDINGS[PB02].samples.astype(np.float32) / 7),
)


@pytest.mark.parametrize("record_length", [512, 4096])
def test_samples_and_nanoseconds_are_those_of_the_files(network, tmp_path, record_length):
    """Starts off the second, a gap, a rate of 62.5 Hz, floats; asked for as one and in parts."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number, segment in enumerate(AWKWARD):
        content = encode([segment], format_version=2, record_length=record_length)
        (folder / f"{number}.mseed").write_bytes(content)
    span = SPAN.padded(1.0)
    wanted = [PB01[0], PB01[1], PB02]
    with dataselect_server(folder) as url:
        for channel_days in (8.0, 97 / 86_400):
            settings = quick(url, max_channel_days=channel_days, requests_per_s=100)
            with closing(FdsnSource(settings, network)) as source:
                fetched = source.fetch(wanted, span)
            assert [s.seed_id for s in fetched.segments] == [s.seed_id for s in AWKWARD]
            for found, truth in zip(fetched.segments, AWKWARD, strict=True):
                assert found.start_ns == truth.start_ns
                assert found.sampling_rate_hz == truth.sampling_rate_hz
                assert found.samples.dtype == truth.samples.dtype
                np.testing.assert_array_equal(found.samples, truth.samples)
                last = truth.samples.size - 1
                assert found.time_ns(last) == truth.time_ns(last)


def test_a_window_inside_is_trimmed_on_the_sample_grid(source):
    span = TimeSpan(START_NS + 100_005_000_000, START_NS + 200 * NS_PER_S)
    [segment] = source.fetch([PB02], span).segments
    assert segment.start_ns == START_NS + 100_025_000_000
    assert segment.end_ns == span.end_ns
    np.testing.assert_array_equal(segment.samples, RECORDINGS[PB02].samples[4001:8000])


def test_nothing_there_is_no_data_and_everything_is_missing(source):
    elsewhere = SeedId.parse("CX.PB03..HHZ")
    fetched = source.fetch([elsewhere], SPAN)
    assert fetched.outcome == "nodata"
    assert fetched.is_retryable
    assert [(gap.seed_id, gap.span) for gap in fetched.missing] == [(elsewhere, SPAN)]


def test_records_around_a_hole_are_believed_at_once(httpserver, network):
    around = encode([RECORDINGS[PB01[0]]])
    httpserver.expect_request("/fdsnws/dataselect/1/query").respond_with_data(around)
    hole = TimeSpan(SPAN.end_ns, SPAN.end_ns + 60 * NS_PER_S)
    with closing(FdsnSource(quick(httpserver.url_for("")), network)) as source:
        fetched = source.fetch(PB01[:1], hole)
    assert fetched.outcome == "nodata"
    assert [gap.span for gap in fetched.missing] == [hole]
    assert len(httpserver.log) == 1


def test_channels_a_table_does_not_name_are_looked_up(source):
    stations = source.stations(SPAN)
    assert stations.seed_ids() == sorted(CHANNELS)
    assert stations.problems == ()


def test_stations_without_data_are_named_and_the_others_go_on(dataselect, network):
    with network.stations.open("a") as table:
        table.write("CX,PB99,-21.5,-69.9,10\n")
    source = FdsnSource(quick(dataselect), network)
    stations = source.stations(SPAN)
    assert stations.seed_ids() == sorted(CHANNELS)
    [line] = stations.problems
    assert line.startswith("CX.PB99: no recordings found")
    source.close()


def test_channels_cannot_be_looked_up_on_a_dead_server(network):
    address = f"127.0.0.1:{free_port()}"
    source = FdsnSource(quick(f"http://{address}"), network)
    with pytest.raises(SourceUnavailable, match=f"looking for channels: {address}"):
        source.stations(SPAN)


def test_never_more_connections_than_allowed(dataselect, network):
    """Six threads share one source; the server sees at most two of them at a time."""
    at_once, most, lock = 0, 0, threading.Lock()

    def counted(exchange: Exchange) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        honest(exchange)
        with lock:
            at_once -= 1

    with FaultProxy(dataselect) as proxy:
        proxy.always = counted
        source = FdsnSource(quick(proxy.url, max_connections=2), network)
        with ThreadPoolExecutor(6) as pool:
            fetched = list(pool.map(lambda _: source.fetch([PB02], SPAN), range(12)))
        source.close()
    assert {f.outcome for f in fetched} == {"data"}
    assert most <= 2


def test_a_dead_server_is_one_clear_line(network):
    address = f"127.0.0.1:{free_port()}"
    source = FdsnSource(quick(f"http://{address}"), network)
    fetched = source.fetch(PB01, SPAN)
    assert fetched.outcome == "network"
    assert len(fetched.missing) == 3
    [line] = fetched.problems
    assert line.startswith(address)


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "NOWHERE", "file:///etc/passwd", "http://[::1:x/"]
)
def test_an_unusable_address_is_refused_before_anything_runs(network, url):
    with pytest.raises(ConfigError, match=r"^source\.urls: "):
        FdsnSource(quick(url), network)


def test_asking_for_the_whole_world_is_refused(network):
    with pytest.raises(ConfigError, match=r"network: give select"):
        FdsnSource(quick("SCEDC"), network.model_copy(update={"stations": None}))
