"""Near-real time: cycles that find, tell once, and reach back after an outage."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from geomon.services.monitor import cycle, watch, window
from geomon.services.workspace import workspace
from geomon.times import to_ns
from tests.networks import simulated

NOW = datetime(2024, 5, 2, 0, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUICK = {"backend": "onnxruntime"}  # it starts at once


def test_cycles_find_events_and_tell_each_once(tmp_path: Path, httpserver: HTTPServer) -> None:
    told: list[dict[str, object]] = []

    def receive(request: Request) -> Response:
        told.append(request.get_json())
        return Response(status=204)

    httpserver.expect_request("/alert", method="POST").respond_with_handler(receive)
    config = simulated(
        tmp_path,
        picker=QUICK,
        schedule={"lookback_s": 240},
        alerts={"webhook_url": httpserver.url_for("/alert"), "min_stations": 6},
    )
    reports = [cycle(config, now=NOW + step * MINUTE) for step in range(3)]
    assert not any(report.n_failed for report in reports), [r.problems for r in reports]
    assert reports[0].n_events_created > 0
    assert all(report.n_new_samples > 0 for report in reports)
    again = cycle(config, now=NOW + 2 * MINUTE)
    assert again.n_new_samples == again.n_events_created == again.n_alerts == 0
    assert len({event["event_id"] for event in told}) == len(told)
    assert len(told) == sum(report.n_alerts for report in reports) > 0


def test_an_alert_that_cannot_be_delivered_is_a_problem_not_a_failure(tmp_path: Path) -> None:
    config = simulated(
        tmp_path,
        picker=QUICK,
        schedule={"lookback_s": 240},
        alerts={"webhook_url": "http://127.0.0.1:9/closed", "min_stations": 3},
    )
    report = cycle(config, now=NOW)
    assert report.n_failed == 0, report.problems
    assert report.n_alerts > 0, report
    assert any("not delivered" in problem for problem in report.problems), report.problems


def test_after_an_outage_the_window_reaches_back(tmp_path: Path) -> None:
    config = simulated(tmp_path, schedule={"lookback_s": 60})
    assert window(config, NOW).duration_s == 60
    workspace(config).refreshed_stations(window(config, NOW))
    source = workspace(config).source
    [seed_id, *_] = workspace(config).stations().seed_ids()
    first = window(config, NOW)
    fetched = source.fetch([seed_id], first)
    assert fetched.segments, fetched
    workspace(config).archive.write(fetched.segments, fetched.provenance)
    later = NOW + timedelta(hours=2)
    reached = window(config, later)
    assert reached.end_ns == to_ns(later)
    assert abs(reached.start_ns - first.start_ns) < 1_000_000_000
    assert window(config, NOW + timedelta(days=30)).duration_s == 60


def test_watch_stops_after_its_cycles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = simulated(tmp_path, picker=QUICK, schedule={"lookback_s": 60})
    monkeypatch.setattr("geomon.services.monitor.datetime", _Fixed)
    [report] = watch(config, cycles=1)
    assert report.n_failed == 0, report.problems


@pytest.mark.fault(60)
def test_a_jumping_clock_delays_no_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = simulated(tmp_path, schedule={"monitor_every_s": 60})
    slept: list[float] = []
    ticks = iter([0.0, 10.0, 10.0, 70.0, 70.0, 130.0])  # each cycle takes ten seconds

    class Clock:
        monotonic = staticmethod(lambda: next(ticks))
        sleep = staticmethod(slept.append)

        @staticmethod
        def time() -> float:
            raise AssertionError("the clock of the system says nothing about what is due")

    monkeypatch.setattr("geomon.services.monitor.time", Clock)
    monkeypatch.setattr("geomon.services.monitor.cycle", lambda _: None)
    assert len(list(watch(config, cycles=3))) == 3
    assert slept == [50.0, 50.0]


class _Fixed(datetime):
    @classmethod
    def now(cls, tz: object = None) -> "datetime":  # type: ignore[override]
        return NOW
