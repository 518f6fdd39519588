"""What goes wrong between a data centre and the archive: what comes is true, and all comes at last.

The faults are those of the source's own tests, here on the whole way: ``ingest`` asks a real server
through a proxy that spoils answers, and the archive is compared with the recordings.
"""

import logging
from types import SimpleNamespace

import pytest

from geomon.services.ingest import ingest
from geomon.stores import gaps
from geomon.times import NS_PER_S, TimeSpan
from tests import faultproxy as f
from tests.faults.networks import (
    Configured,
    assert_everything_archived,
    assert_nothing_invented,
    restarted,
)
from tests.faults.numbers import by_number
from tests.servers import free_port
from tests.sources.conftest import SPAN, quick
from tests.sources.test_faults import LASTING, MENDED


@pytest.mark.parametrize("name", by_number(MENDED, once=True))
def test_a_fault_that_strikes_once_leaves_no_trace(
    proxy: f.FaultProxy, configured: Configured, name: str
) -> None:
    config = configured(proxy.url)
    proxy.script = list(MENDED[name])
    report = ingest(config, SPAN)
    assert (report.n_failed, report.n_new_samples) == (0, 204_000)
    assert_everything_archived(config)
    n_requests = len(proxy.requests)
    assert ingest(config, SPAN).n_new_samples == 0
    assert len(proxy.requests) == n_requests


@pytest.mark.parametrize("name", by_number(LASTING, once=True))
def test_a_fault_that_lasts_is_told_and_made_up_for_later(
    proxy: f.FaultProxy, configured: Configured, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = configured(proxy.url, max_attempts=1, deadline_s=1.0, read_timeout_s=0.4)
    proxy.always, outcome = LASTING[name]
    report = ingest(config, SPAN)
    # The recordings end with the span, so a moment beyond it stays missing and the cap is told.
    assert {"data": "too_large"}.get(outcome, outcome) in report.outcomes
    is_told = bool(set(report.outcomes) - {"data", "nodata"})
    assert bool(report.n_failed) == (is_told and report.missing_s > 0)
    assert report.problems or outcome == "nodata"
    n_archived = assert_nothing_invented(config)
    assert report.n_new_samples == n_archived
    proxy.always = f.honest
    restarted(config)
    config = config.model_copy(update={"source": quick(proxy.url)})
    later_ns = gaps.time.time_ns() + 3600 * NS_PER_S  # a hole is asked for again after a while
    monkeypatch.setattr(gaps, "time", SimpleNamespace(time_ns=lambda: later_ns))
    again = ingest(config, SPAN)
    assert (again.n_failed, again.n_new_samples) == (0, 204_000 - n_archived)
    assert_everything_archived(config)
    restarted(config)


@pytest.mark.fault(1)
@pytest.mark.parametrize("dead", ["http://127.0.0.1:{}", "http://nowhere.invalid:{}"])
def test_a_dead_data_centre_is_named_and_the_next_one_serves(
    dataselect: str, configured: Configured, dead: str
) -> None:
    url = dead.format(free_port())
    config = configured(url, dataselect, max_attempts=1)
    inside = TimeSpan(SPAN.start_ns + 10 * NS_PER_S, SPAN.end_ns - 10 * NS_PER_S)
    report = ingest(config, inside)
    assert (report.n_failed, report.missing_s) == (0, 0)
    assert any(url.removeprefix("http://") in line for line in report.problems)
    assert assert_nothing_invented(config) >= 580 * (3 * 100 + 40)


@pytest.mark.fault(1, 14)
def test_one_broken_station_day_does_not_stop_the_others(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    def broken_for_pb01(exchange: f.Exchange) -> None:
        is_pb01 = b"PB01" in exchange.request.body
        (f.status(500) if is_pb01 else f.altered(lambda whole: whole))(exchange)

    proxy.always = broken_for_pb01
    config = configured(proxy.url, max_attempts=3, pause_s=0)
    report = ingest(config, SPAN)
    assert (report.n_failed, report.n_new_samples) == (1, 24_000)
    assert sum(b"PB01" in request.body for request in proxy.requests) == 3
    assert_nothing_invented(config)


@pytest.mark.fault(15)
def test_a_server_that_takes_little_at_a_time_is_asked_in_parts(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    proxy.always = f.limited(1, 200.0)
    config = configured(proxy.url)
    assert ingest(config, SPAN).n_failed == 0
    assert_everything_archived(config)


@pytest.mark.fault(16)
def test_a_closed_door_is_knocked_on_once_and_named_once(
    proxy: f.FaultProxy, configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.always = f.status(403)
    with caplog.at_level(logging.WARNING):
        report = ingest(configured(proxy.url), SPAN)
    assert (report.n_failed, len(proxy.requests)) == (2, 2)
    [line] = report.problems
    assert "HTTP 403" in line
