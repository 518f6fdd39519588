"""The stream of what becomes of events."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from geomon.api.app import create_app
from geomon.events import Pick
from geomon.ids import SeedId
from geomon.services.workspace import Workspace, workspace
from geomon.stores.catalog import Catalog
from geomon.times import NS_PER_S, TimeSpan
from tests.api.conftest import serving
from tests.api.network import SPAN, bare_event, make_config

SWARM = [bare_event(60.0 * n, 64.0 + 0.1 * n, -21.3, 5.0, 1.0 + n) for n in range(3)]
OTHER_WRITER = """
import sys
from geomon.stores.catalog import Catalog
catalog = Catalog.open(sys.argv[1])
catalog.review(sys.argv[2], "rejected", actor="someone", reason="a quarry")
catalog.close()
"""


@dataclass
class Message:
    """One server-sent event."""

    name: str = ""
    id: str | None = None
    data: str = ""

    @property
    def news(self) -> dict:
        assert self.name == "event"
        return json.loads(self.data)


@pytest.fixture(scope="module")
def live(tmp_path_factory, serve) -> tuple[Workspace, httpx.Client]:
    config = make_config(tmp_path_factory.mktemp("live"))
    space = workspace(config)
    locate(space, SWARM[:1])
    return space, serve(config)


def locate(space: Workspace, events, span: TimeSpan = SPAN) -> None:
    space.catalog.replace_events(span, events, space.catalog.begin_run("locate"))


@contextmanager
def listening(client: httpx.Client, **asked) -> Iterator[Iterator[Message]]:
    with client.stream("GET", "/api/events/stream", timeout=20, **asked) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in response.headers
        yield messages(response)


def messages(response: httpx.Response) -> Iterator[Message]:
    message = Message()
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if not line:
            yield message
            message = Message()
        elif field == "event":
            message.name = value
        elif field in ("id", "data"):
            setattr(message, field, value)


def test_changes_are_told_as_they_happen(live):
    space, client = live
    version = client.get("/api/status").json()["catalog_version"]
    with listening(client) as told:
        first = next(told)
        assert (first.name, first.id) == ("", version)
        locate(space, SWARM)
        created = [next(told), next(told)]
        assert [m.news["what"] for m in created] == ["created", "created"]
        assert created[0].id is None  # one transaction: only its last change is a place to go on
        assert created[1].id == f"{space.catalog.clock_ns():x}"
        listed = client.get("/api/events?order_by=time").json()["features"]
        assert [m.news["summary"] for m in created] == listed[1:]
        known = space.catalog.event(created[0].news["event_id"])
        space.catalog.review(known.event_id, "confirmed", actor="anna")
        updated = next(told).news
        assert (updated["what"], updated["revision"]) == ("updated", 2)
        assert updated["summary"]["properties"]["review_state"] == "confirmed"
    subprocess.run(
        [sys.executable, "-c", OTHER_WRITER, space.config.catalog.url, listed[2]["id"]], check=True
    )
    locate(space, [])
    with listening(client, headers={"Last-Event-ID": created[1].id}) as told:
        next(told)
        missed = {m.news["event_id"]: m.news["what"] for m in (next(told), next(told), next(told))}
    assert missed == {
        listed[0]["id"]: "withdrawn",  # not found again
        listed[1]["id"]: "updated",
        listed[2]["id"]: "withdrawn",  # rejected, by another process
    }


def test_a_change_of_no_event_breaks_no_stream(live, monkeypatch):
    space, client = live
    is_noticed = threading.Event()
    changes = Catalog.changes

    def noticed(*asked, **more):
        found = changes(*asked, **more)
        is_noticed.set()
        return found

    monkeypatch.setattr(Catalog, "changes", noticed)
    with listening(client, params={"since": f"{space.catalog.clock_ns():x}"}) as messages:
        next(messages)
        run = space.catalog.begin_run("pick")
        pick = Pick(SPAN.start, SeedId.parse("XX.GM01..HHZ"), "P", 0.9, 0.05, picker="truth")
        space.catalog.replace_picks(pick.seed_id.stream_id, SPAN, [pick], run)
        assert is_noticed.wait(20)
        event = bare_event(500, 63.0, -20.0, 5.0, 1.0)
        space.catalog.replace_events(
            TimeSpan(SPAN.start_ns + 490 * NS_PER_S, SPAN.end_ns), [event],
            space.catalog.begin_run("locate"),
        )  # fmt: skip
        assert next(messages).news["what"] == "created"


def test_one_who_missed_too_much_starts_anew(live, monkeypatch):
    space, client = live
    monkeypatch.setattr("geomon.api.live.MAX_MISSED", 1)
    monkeypatch.setattr("geomon.api.live.POLL_S", 0.0)  # else its clock is up to a second late
    with listening(client, params={"since": "0"}) as told:
        next(told)
        message = next(told)
    assert (message.name, message.id) == ("reset", f"{space.catalog.clock_ns():x}")


def test_streams_that_ended_leave_their_place(live, monkeypatch):
    _, client = live
    monkeypatch.setattr("geomon.api.live.MAX_STREAMS", 2)
    for _ in range(4):
        with listening(client) as one, listening(client) as two:
            next(one), next(two)
            assert client.get("/api/events/stream").status_code == 503
        wait_for_place(client)
    assert threading.active_count() < 60


def wait_for_place(client: httpx.Client) -> None:
    """The server hears of a closed connection a moment later."""
    for _ in range(200):
        with client.stream("GET", "/api/events/stream") as response:
            if response.status_code == 200:
                return
    pytest.fail("no place was left")


def test_a_server_stops_although_streams_are_open(live):
    space, _ = live
    with ThreadPoolExecutor() as threads, serving(create_app(space.config)) as address:
        ended = threads.submit(httpx.get, f"{address}/api/events/stream", timeout=20)
        with httpx.Client(base_url=address) as client, listening(client) as told:
            next(told)
    assert ended.result().text.startswith("id: ")


@pytest.mark.parametrize("place", ["x", "-1", "1" * 17, ""])
def test_a_place_that_is_none_is_refused(live, place):
    answer = live[1].get("/api/events/stream", params={"since": place})
    assert answer.status_code == 422
    assert answer.json()["detail"]
