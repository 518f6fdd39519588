"""What is told, by which rule, to whom, and how often."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from geomon.config import Alerts, Config
from geomon.ids import SeedId
from geomon.services.alerts import is_worth_telling, tell
from geomon.services.workspace import workspace
from geomon.stores.catalog import Catalog
from geomon.stores.summary import EventSummary
from geomon.times import to_ns
from geomon.waveforms import Provenance, Segment
from tests.networks import simulated
from tests.stores.events import HOUR, T0, make_event

NOW = T0 + timedelta(hours=2)


def network(folder: Path, **alerts: object) -> tuple[Config, Catalog]:
    config = simulated(folder, alerts={"min_stations": 5, **alerts})
    return config, workspace(config).catalog


def found(catalog: Catalog, *events: object) -> None:
    catalog.replace_events(HOUR, events, catalog.begin_run("locate"))


def kinds(config: Config) -> list[tuple[str, str]]:
    return [(n.kind, n.subject) for n in tell(config, now=NOW).notices]


@pytest.mark.parametrize(
    ("rule", "is_told"),
    [
        ({}, True), ({"min_stations": 7}, False), ({"min_magnitude": 1.7}, True),
        ({"min_magnitude": 1.8}, False), ({"max_gap_deg": 90}, False), ({"max_gap_deg": 95}, True),
        ({"min_probability": 0.98}, False), ({"min_probability": 0.9}, True),
    ],
)  # fmt: skip
def test_an_event_is_told_by_the_rule(tmp_path: Path, rule, is_told: bool) -> None:
    config, catalog = network(tmp_path, **rule)
    found(catalog, make_event())
    assert bool(kinds(config)) is is_told


def test_what_the_rule_asks_for_and_is_unknown_is_not_told(tmp_path: Path) -> None:
    _, catalog = network(tmp_path)
    found(catalog, make_event(value=None))
    [summary] = catalog.events().summaries
    unknown: EventSummary = summary._replace(azimuthal_gap_deg=None, probability=None)
    assert is_worth_telling(Alerts(), unknown)
    for rule in ({"min_magnitude": 0.0}, {"max_gap_deg": 359}, {"min_probability": 0.0}):
        assert not is_worth_telling(Alerts(**rule), unknown)


def test_new_updated_retracted_and_found_again_each_once(tmp_path: Path) -> None:
    config, catalog = network(tmp_path)
    first = make_event()
    found(catalog, first)
    [(kind, event_id)] = kinds(config)
    assert (kind, kinds(config)) == ("event.new", [])
    found(catalog, make_event(value=1.8))  # too small a change to be news
    assert kinds(config) == []
    found(catalog, make_event(value=2.4))
    assert (kinds(config), kinds(config)) == ([("event.updated", event_id)], [])
    found(catalog)
    assert (kinds(config), kinds(config)) == ([("event.retracted", event_id)], [])
    found(catalog, first)
    assert kinds(config) == [("event.new", event_id)]
    catalog.review(event_id, "rejected", actor="ana", reason="quarry")
    [notice] = tell(config, now=NOW).notices
    assert notice.kind == "event.retracted"
    assert "rejected by an analyst" in notice.text
    assert kinds(config) == []


def test_what_was_never_told_is_not_retracted_and_old_events_are_no_news(tmp_path: Path) -> None:
    config, catalog = network(tmp_path, min_magnitude=3.0)
    found(catalog, make_event())
    found(catalog)
    assert kinds(config) == []
    config, catalog = network(tmp_path / "old")
    found(catalog, make_event())
    assert tell(config, now=NOW + timedelta(days=3)).notices == ()
    assert kinds(config) == []  # it was looked at


def test_two_that_tell_at_once_tell_once(tmp_path: Path) -> None:
    config, catalog = network(tmp_path)
    found(catalog, make_event(), make_event(2000.0, latitude=63.9))
    told: list[tuple[str, str]] = []
    threads = [threading.Thread(target=lambda: told.extend(kinds(config))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told += kinds(config)
    assert len(told) == len(set(told)) == 2


def test_what_could_not_be_delivered_is_delivered_later_and_only_there(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    received: list[dict[str, object]] = []
    answers = [Response(status=503), Response(status=204)]

    def receive(request: Request) -> Response:
        received.append(request.get_json())
        return answers.pop(0)

    httpserver.expect_request("/alert").respond_with_handler(receive)
    with mail_server() as (port, mails):
        config, catalog = network(
            tmp_path, webhook_url=httpserver.url_for("/alert"),
            email_to=["duty@example.org", "chief@example.org"], smtp_host="127.0.0.1",
            smtp_port=port,
        )  # fmt: skip
        found(catalog, make_event())
        [problem] = tell(config, now=NOW).problems
        assert "not delivered by webhook" in problem
        assert tell(config, now=NOW).problems == ()
        assert kinds(config) == []
    [first, again] = received
    assert first == again
    assert first["kind"] == "event.new"
    assert first["is_provisional"] is True
    assert first["text"].startswith("Demo swarm: ML 1.7 2026-07-04 17:01:40 UTC")
    assert set(first) >= {"event_id", "time", "latitude", "longitude", "depth_km", "magnitude"}
    json.dumps(first, allow_nan=False)
    [mail] = mails
    assert mail["To"] == "duty@example.org, chief@example.org"
    assert mail["Subject"].startswith("Demo swarm: ML 1.7")
    assert "magnitude: 1.7" in mail.get_payload()


def test_a_station_is_told_when_it_falls_silent_and_when_it_is_back(tmp_path: Path) -> None:
    config, _ = network(tmp_path, silent_after_s=3600)
    archive = workspace(config).archive

    def sent(until_s: int) -> None:
        samples = np.arange(100, dtype=np.int32)
        start_ns = to_ns(T0) + until_s * 1_000_000_000
        segment = Segment(SeedId.parse("XX.GM01.00.HHZ"), start_ns, 100.0, samples)
        archive.write([segment], Provenance("test", str(until_s), "0" * 64))

    sent(0)
    at = [T0 + timedelta(minutes=minutes) for minutes in (30, 62, 65, 70)]
    assert tell(config, now=at[0]).notices == ()
    [silent] = tell(config, now=at[1]).notices
    assert (silent.kind, silent.subject) == ("station.silent", "XX.GM01")
    assert tell(config, now=at[2]).notices == ()
    sent(68 * 60)
    [back] = tell(config, now=at[3]).notices
    assert (back.kind, tell(config, now=at[3]).notices) == ("station.back", ())
    assert tell(config, now=T0 + timedelta(days=90)).notices == ()  # silent since long


@contextmanager
def mail_server() -> Iterator[tuple[int, list]]:
    """Receive e-mails by SMTP; yield the port and what came."""
    mails: list = []

    class Session(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 test")
            for line in self.rfile:
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.say("354 go on")
                    lines = []
                    for part in self.rfile:
                        if part == b".\r\n":
                            break
                        lines.append(part)
                    mails.append(message_from_bytes(b"".join(lines)))
                self.say("221 bye" if verb == b"QUIT" else "250 ok")
                if verb == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], mails
        finally:
            server.shutdown()
            thread.join()
