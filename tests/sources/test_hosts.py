"""Every host is asked the way it wants: how much at once, how often, and what not at all."""

import time
from contextlib import closing

import numpy as np
import pytest

from geomon.config import FdsnSource as Settings
from geomon.config import HostLimits
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources import dataselect as dataselect_module
from geomon.sources.dataselect import bounded
from geomon.sources.fdsn import FdsnSource
from geomon.sources.hosts import rules_of
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan
from geomon.waveforms import Gap
from tests.faultproxy import FaultProxy, status
from tests.servers import free_port
from tests.sources.conftest import CHANNELS, PB01, PB02, RECORDINGS, SPAN, START_NS, quick

HOUR_NS = 3600 * NS_PER_S


@pytest.mark.parametrize(
    ("host", "connections"),
    [
        ("service.iris.edu", 5), ("service.earthscope.org", 5), ("ws.ipgp.fr", 2),
        ("WS.IPGP.FR:443", 2), ("geofon.gfz.de", 3), ("127.0.0.1:8080", 3),
    ],
)  # fmt: skip
def test_known_hosts_have_known_limits(host, connections):
    rules = rules_of(host, Settings(urls=(host,)))
    assert (rules.max_connections, rules.requests_per_s) == (connections, 5.0)


def test_a_config_overrides_one_limit_of_one_host():
    settings = Settings(urls=("IPGP",), limits={"ws.ipgp.fr": {"requests_per_s": 1}})
    assert settings.limits["ws.ipgp.fr"] == HostLimits(requests_per_s=1)
    rules = rules_of("ws.ipgp.fr", settings)
    assert (rules.max_connections, rules.requests_per_s) == (2, 1.0)
    assert rules_of("geofon.gfz.de", settings).requests_per_s == 5.0
    assert hash(settings) == hash(settings.model_copy())


def test_a_limit_for_all_hosts_yields_to_one_for_a_single_host():
    settings = Settings(urls=("x",), max_connections=1, limits={"x": {"max_connections": 4}})
    assert rules_of("x", settings).max_connections == 4
    assert rules_of("service.iris.edu", settings).max_connections == 1


@pytest.mark.parametrize("host", ["service.iris.edu", "service.earthscope.org"])
def test_only_what_is_being_recorded_now_is_forbidden(host):
    rules = rules_of(host, Settings(urls=(host,)))
    now_ns = START_NS
    assert rules.forbids(TimeSpan(now_ns - HOUR_NS, now_ns), now_ns)
    assert rules.forbids(TimeSpan(now_ns - NS_PER_DAY, now_ns + NS_PER_DAY), now_ns)
    assert not rules.forbids(TimeSpan(now_ns - NS_PER_DAY, now_ns - HOUR_NS), now_ns)
    other = rules_of("geofon.gfz.de", Settings(urls=(host,)))
    assert not other.forbids(TimeSpan(now_ns - HOUR_NS, now_ns), now_ns)


@pytest.mark.parametrize("url", ["IRIS", "https://service.iris.edu"])
def test_polling_earthscope_is_refused_before_anything_is_sent(network, url):
    now_ns = time.time_ns()
    span = TimeSpan(now_ns - HOUR_NS, now_ns)
    with closing(FdsnSource(quick(url), network)) as source:
        fetched = source.fetch([PB02], span)
    assert fetched.outcome == "rejected"
    assert not fetched.is_retryable
    assert fetched.asked == ()
    assert [gap.span for gap in fetched.missing] == [span]
    [line] = fetched.problems
    assert "use kind: seedlink, or another data centre" in line


def test_a_centre_that_may_be_polled_is_asked_instead(dataselect, network, monkeypatch):
    monkeypatch.setattr(dataselect_module.time, "time_ns", lambda: SPAN.end_ns + NS_PER_S)
    with closing(FdsnSource(quick("https://service.iris.edu", dataselect), network)) as source:
        fetched = source.fetch([PB02], SPAN)
    assert fetched.outcome == "data"
    assert fetched.missing == ()
    assert fetched.provenance.source == f"fdsn:{dataselect.removeprefix('http://')}"
    assert "forbids asking for data of the last hour" in fetched.problems[0]


def gap(days: float, code: str = "HHZ", start_ns: int = 0) -> Gap:
    return Gap(SeedId.parse(f"CX.PB01..{code}"), TimeSpan(start_ns, round(days * NS_PER_DAY)))


def channel_days(request: list[Gap]) -> float:
    return sum(g.span.duration_s for g in request) / 86_400


@pytest.mark.parametrize(
    ("wanted", "sizes"),
    [
        ([gap(1)] * 8, [8]),
        ([gap(1)] * 9, [8, 1]),
        ([gap(5), gap(5)], [5, 5]),
        ([gap(20)], [8, 8, 4]),
        ([gap(1), gap(17), gap(0.5)], [1, 8, 8, 1.5]),
        ([], []),
    ],
)
def test_requests_are_bounded_in_channel_days(wanted, sizes):
    requests = list(bounded(wanted, 8.0))
    assert [channel_days(request) for request in requests] == pytest.approx(sizes)
    assert sum(map(channel_days, requests)) == pytest.approx(channel_days(wanted))


def test_a_long_request_is_asked_in_parts_and_loses_nothing(dataselect, network):
    """Three minutes a request: every channel is cut in time, in the middle of its records."""
    with (
        FaultProxy(dataselect) as proxy,
        closing(FdsnSource(quick(proxy.url, max_channel_days=180 / 86_400), network)) as source,
    ):
        fetched = source.fetch(CHANNELS, SPAN)
    assert fetched.outcome == "data"
    assert fetched.missing == ()
    assert len(proxy.requests) == 4 * len(CHANNELS)
    assert [segment.seed_id for segment in fetched.segments] == sorted(CHANNELS)
    for segment in fetched.segments:
        assert segment.start_ns == START_NS
        np.testing.assert_array_equal(segment.samples, RECORDINGS[segment.seed_id].samples)


def test_one_fetch_holds_no_more_than_it_may(dataselect, network):
    settings = quick(dataselect, max_channel_days=180 / 86_400, max_answer_mb=0.1)
    with closing(FdsnSource(settings, network)) as source:
        fetched = source.fetch(CHANNELS, SPAN)
    assert fetched.outcome == "too_large"
    assert 1e5 <= fetched.n_bytes < 2e5
    assert fetched.missing
    assert "too much for one fetch" in fetched.problems[-1]


def test_every_request_is_accounted_for(dataselect, network):
    before_ns = time.time_ns()
    with (
        FaultProxy(dataselect) as proxy,
        closing(FdsnSource(quick(proxy.url), network)) as source,
    ):
        proxy.script = [status(500), status(503)]
        fetched = source.fetch([*PB01, PB02], SPAN)
        first, second, third = fetched.asked
        assert [a.outcome for a in fetched.asked] == ["network", "throttled", "data"]
        for asked, request in zip(fetched.asked, proxy.requests, strict=True):
            assert asked.url == proxy.url + request.path
            assert asked.request == request.body.decode()
            assert before_ns <= asked.asked_ns <= time.time_ns()
            assert asked.took_s >= 0
    assert (first.n_bytes, first.sha256) == (second.n_bytes, second.sha256) == (0, "")
    assert third.n_bytes == fetched.n_bytes > 0
    assert third.sha256 == fetched.provenance.sha256


def test_a_request_that_was_never_sent_is_not_accounted_for(network):
    address = f"http://127.0.0.1:{free_port()}"
    with closing(FdsnSource(quick(address, max_attempts=5, pause_s=60), network)) as source:
        assert len(source.fetch([PB02], SPAN).asked) == 5
        assert source.fetch([PB02], SPAN).asked == ()


def test_only_centres_that_gave_samples_are_their_source(dataselect, network, tmp_path):
    """The first is dead; the second has all: the archive's bytes do not tell of the first."""
    alone = FdsnSource(quick(dataselect), network)
    both = FdsnSource(quick(f"http://127.0.0.1:{free_port()}", dataselect), network)
    with closing(alone), closing(both):
        assert both.fetch([PB02], SPAN).provenance == alone.fetch([PB02], SPAN).provenance


def test_two_centres_that_each_gave_part_are_both_named(httpserver, dataselect, network):
    half = RECORDINGS[PB02].clipped(TimeSpan(START_NS, START_NS + 300 * NS_PER_S))
    httpserver.expect_request("/fdsnws/dataselect/1/query").respond_with_data(
        encode([half], format_version=2, record_length=512)
    )
    first = f"127.0.0.1:{httpserver.port}"
    with closing(FdsnSource(quick(f"http://{first}", dataselect), network)) as source:
        fetched = source.fetch([PB02], SPAN)
    [segment] = fetched.segments
    np.testing.assert_array_equal(segment.samples, RECORDINGS[PB02].samples)
    second = dataselect.removeprefix("http://")
    assert fetched.provenance.source == f"fdsn:{first} fdsn:{second}"
    again = fetched.asked[-1].request
    assert "05:05:00" in again or "05:04:" in again
