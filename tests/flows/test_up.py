"""The whole machine as an operator starts it: server, bootstrap, worker, schedules, web page.

What takes time is begun early and looked at late: the first test changes what an operator would
while the monitor's first cycle is at work.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    GlobalConcurrencyLimitCreate,
)
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.states import Running as PrefectRunning
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from geomon.config import load_config
from geomon.ids import SeedId
from geomon.services.processes import free_port
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, TimeSpan
from geomon.waveforms import Provenance, Segment
from tests.flows.conftest import write_config

EVERY_S = 30
YESTERDAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(1)
SPAN = TimeSpan.between(YESTERDAY, YESTERDAY + timedelta(minutes=10))


@dataclass(frozen=True)
class Running:
    """A started `geomon up`; `told` is what its webhook received."""

    process: "subprocess.Popen[str]"
    config_path: Path
    web: str
    api: str
    env: dict[str, str]
    told: list[dict[str, Any]] = field(default_factory=list)

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.api)

    def logs(self) -> str:
        folder = self.config_path.parent / "prefect" / "logs"
        return "\n".join(f"== {p.name}\n{p.read_text()}" for p in sorted(folder.glob("*.log")))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, data_centre: str) -> Iterator[Running]:
    told: list[dict[str, Any]] = []

    def receive(request: Request) -> Response:
        told.append(request.get_json(force=True))
        return Response(status=204)

    with HTTPServer() as hook:
        hook.expect_request("/alert", method="POST").respond_with_handler(receive)
        path = write_config(
            tmp_path_factory.mktemp("up"), data_centre,
            schedule={"monitor_every_s": EVERY_S, "lookback_s": 600, "retrain_every_s": 7200},
            alerts={"webhook_url": hook.url_for("/alert"), "min_stations": 4},
            picker={"name": "default", "backend": "onnxruntime"},  # it starts at once
        )  # fmt: skip
        leave_a_silent_station(path)
        with started(path, told) as made:
            yield made


@contextmanager
def started(path: Path, told: list[dict[str, Any]]) -> Iterator[Running]:
    port, prefect_port = free_port(), free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "2",
    }
    command = [
        sys.executable, "-m", "geomon", "up", "--config", str(path),
        "--port", str(port), "--prefect-port", str(prefect_port),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("running"):
                break
        else:
            pytest.fail("".join(said))
        api = f"http://127.0.0.1:{prefect_port}/api"
        yield Running(process, path, f"http://127.0.0.1:{port}", api, env, told)
        process.send_signal(signal.SIGTERM)


def leave_a_silent_station(config_path: Path) -> None:
    """Archive a second of a station that sent nothing since."""
    start_ns = time.time_ns() - 8 * NS_PER_DAY
    samples = np.arange(100, dtype=np.int32)
    last = Segment(SeedId("XX", "GONE", "", "HHZ"), start_ns, 100.0, samples)
    archive = workspace(load_config(config_path)).archive
    archive.write([last], Provenance("test", "the last second", "0" * 64))


@pytest.fixture(scope="module")
def lost_slot(running: Running) -> str:
    """The name of a limit whose only slot somebody took who died."""
    limit = GlobalConcurrencyLimitCreate(name="lost", limit=1)
    with running.client() as client:
        client.create_global_concurrency_limit(limit)
        taken = client.increment_concurrency_slots_with_lease([limit.name], 1, "concurrency", 60)
        taken.raise_for_status()
    return limit.name


def wait_for[Found](look: Callable[[], Found | None], running: Running, seconds: float) -> Found:
    """Look again and again; fail with the servers' logs when nothing is found in time."""
    deadline = time.monotonic() + seconds
    never = threading.Event()
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        never.wait(0.5)
    pytest.fail(f"nothing after {seconds} s\n{running.logs()}")


def add_automation(running: Running) -> None:
    """Call the webhook on every piece of news, as an operator would have it."""
    with running.client() as client:
        webhook = client.read_block_document_by_name("geomon-alerts-network", "webhook")
        payload = json.dumps({"kind": "operator", "what": "{{ event.event }}"})
        call = CallWebhook(block_document_id=webhook.id, payload=payload)
        trigger = EventTrigger(expect={"geomon.event.new", "geomon.station.silent"}, threshold=1)
        client.create_automation(AutomationCore(name="mine", trigger=trigger, actions=[call]))


@pytest.mark.usefixtures("lost_slot")
def test_a_cron_schedule_gets_its_runs(running: Running) -> None:
    with running.client() as client:
        deployment = client.read_deployment_by_name("daily/network")
        [seeded] = client.read_deployment_schedules(deployment.id)
        assert isinstance(seeded.schedule, CronSchedule)
        of_daily = FlowRunFilter.model_validate({"deployment_id": {"any_": [str(deployment.id)]}})

        def planned() -> list[datetime]:
            found = client.read_flow_runs(flow_run_filter=of_daily)
            return [run.expected_start_time for run in found if run.auto_scheduled]

        times = wait_for(planned, running, 120)
    assert {(time.hour, time.minute) for time in times} == {(2, 0)}


def test_what_an_operator_changed_survives_the_next_deployment(running: Running) -> None:
    add_automation(running)
    with running.client() as client:
        daily = client.read_deployment_by_name("daily/network").id
        ingest = client.read_deployment_by_name("ingest/network").id
        [seeded] = client.read_deployment_schedules(daily)
        client.update_deployment_schedule(daily, seeded.id, active=False)
        hourly = DeploymentScheduleCreate(
            schedule=CronSchedule(cron="7 * * * *", timezone="UTC"), active=True
        )
        [added] = client.create_deployment_schedules(ingest, [hourly])
        again = subprocess.run(
            [sys.executable, "-m", "flows.bootstrap", "--config", str(running.config_path)],
            env=running.env | {"PREFECT_API_URL": running.api},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (again.returncode, again.stdout) == (0, ""), again.stderr
        automations = {found.name: found.enabled for found in client.read_automations()}
        [kept] = client.read_deployment_schedules(daily)
        assert (kept.id, kept.active) == (seeded.id, False)
        [still] = client.read_deployment_schedules(ingest)
        assert (still.id, still.active, still.schedule.cron) == (added.id, True, "7 * * * *")
        queues = {queue.name: queue.priority for queue in client.read_work_queues()}
    assert queues["monitor"] < queues["backfill"]
    assert len([name for name in automations if name.startswith("geomon: ")]) == 3


def test_a_schedule_runs_the_monitor_flow_against_the_data_centre(running: Running) -> None:
    with running.client() as client:
        deployment = client.read_deployment_by_name("monitor/network")
        [schedule] = client.read_deployment_schedules(deployment.id)
        assert schedule.schedule.interval == timedelta(seconds=EVERY_S)
        of_monitor = FlowRunFilter.model_validate({"deployment_id": {"any_": [str(deployment.id)]}})

        def finished() -> FlowRun | None:
            runs = client.read_flow_runs(flow_run_filter=of_monitor)
            ended = [run for run in runs if run.state is not None and run.state.is_final()]
            # One that comes while another is at work is cancelled, on a slow machine.
            worked = [run for run in ended if not run.state.is_cancelled()]
            return min(worked, key=lambda run: run.end_time, default=None)

        run = wait_for(finished, running, 300)
    assert run.auto_scheduled
    assert run.state_name == "Completed", f"{run.state.message}\n{running.logs()}"
    config = load_config(running.config_path)
    now = datetime.now(UTC)
    span = TimeSpan.between(now - timedelta(minutes=30), now)
    space = workspace(config)
    assert len(space.archive.streams()) >= 6
    assert len(space.catalog.picks(span)) > 20
    assert space.coverage.spans("locate", "network", span, states=("done",))
    logged = running.logs()
    assert "archived" in logged
    assert "picked" in logged


def test_news_reach_a_webhook_and_start_automations(running: Running) -> None:
    def told() -> set[tuple[str, str]]:
        return {(str(one["kind"]), str(one.get("what", ""))) for one in running.told}

    kinds = ("event.new", "station.silent")
    wanted = {(kind, "") for kind in kinds} | {("operator", f"geomon.{kind}") for kind in kinds}
    wait_for(lambda: wanted <= told(), running, 240)
    silent = [one["station"] for one in running.told if one["kind"] == "station.silent"]
    assert silent == ["XX.GONE"]
    events = [one["event_id"] for one in running.told if one["kind"] == "event.new"]
    assert len(set(events)) == len(events)
    with running.client() as client:
        report = client.read_deployment_by_name("report/network")
        of_report = FlowRunFilter.model_validate({"deployment_id": {"any_": [str(report.id)]}})
        reports = wait_for(lambda: client.read_flow_runs(flow_run_filter=of_report), running, 60)
        assert reports[0].created_by.type == "AUTOMATION"


def test_a_run_from_the_terminal_is_about_the_network_of_its_deployment(running: Running) -> None:
    # After the first cycles of monitor, which would else begin at what this archives.
    request = {
        "start": SPAN.start.isoformat(),
        "end": SPAN.end.isoformat(),
        "stations": ["XX.GM04"],
    }
    command = ("deployment", "run", "ingest/network", "-p", f"request={json.dumps(request)}")
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *command], capture_output=True, text=True, check=False,
        env=running.env | {"PREFECT_API_URL": running.api},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = wait_for(lambda: last_run(running, "ingest"), running, 240)
    assert run.state_name == "Completed", f"{run.state.message}\n{running.logs()}"
    assert archived(running, "XX.GM04") == pytest.approx(600, abs=30)


def last_run(running: Running, flow: str) -> FlowRun | None:
    """Return a finished run that a person started."""
    with running.client() as client:
        deployment = client.read_deployment_by_name(f"{flow}/network")
        of_flow = FlowRunFilter.model_validate({"deployment_id": {"any_": [str(deployment.id)]}})
        runs = client.read_flow_runs(flow_run_filter=of_flow)
    by_hand = [run for run in runs if not run.auto_scheduled and run.parameters["request"]]
    ended = [run for run in by_hand if len(run.parameters["request"]) > 1 and run.state.is_final()]
    return ended[0] if ended else None


def archived(running: Running, station: str) -> float:
    """Return how many seconds of a station are archived of the span asked for."""
    archive = workspace(load_config(running.config_path)).archive
    [stream] = [one for one in archive.streams() if str(one.station_id) == station]
    return max(
        sum(part.duration_s for part in parts) for parts in archive.coverage(stream, SPAN).values()
    )


def test_the_form_of_a_backfill_explains_itself_and_refuses_mistakes(running: Running) -> None:
    with running.client() as client:
        deployment = client.read_deployment_by_name("backfill/network")
    form = deployment.parameter_openapi_schema
    fields = form["definitions"]["BackfillRequest"]["properties"]
    assert deployment.parameters == {"request": {"config": str(running.config_path)}}
    assert all(field["title"] and field["description"] for field in fields.values())
    assert [fields[name]["format"] for name in ("start", "end")] == ["date-time", "date-time"]
    assert fields["mode"]["enum"] == ["missing", "failed", "missing+failed", "stale", "all"]
    assert (fields["mode"]["default"], fields["max_parallel"]["default"]) == ("missing+failed", 2)
    wrong = {"stations": ["GM01"], "mode": "everything"}  # and no times
    checked = httpx.post(
        f"{running.api}/ui/schemas/validate", json={"schema": form, "values": {"request": wrong}}
    ).json()
    assert not checked["valid"]
    [of_request] = checked["errors"]
    told = {error["property"] for error in of_request["errors"] if "property" in error}
    assert told == {"stations", "mode", "start", "end"}
    refused = submit_form(running, wrong)
    assert refused.status_code == httpx.codes.CONFLICT, refused.text


def submit_form(running: Running, request: dict[str, Any]) -> httpx.Response:
    """Ask for a backfill by the call that the form of the Prefect page makes."""
    with running.client() as client:
        deployment = client.read_deployment_by_name("backfill/network")
    form = {
        "parameters": {"request": {"config": str(running.config_path), **request}},
        "state": {"type": "SCHEDULED", "message": "Run from the Prefect UI"},
        "enforce_parameter_schema": True,
    }
    return httpx.post(f"{running.api}/deployments/{deployment.id}/create_flow_run", json=form)


@pytest.mark.fault(44)
def test_neither_dead_runs_nor_dead_holders_keep_what_they_have(
    running: Running, lost_slot: str
) -> None:
    with running.client() as client:
        dead = last_heard_of(running, client, before_s=239)
        name = "geomon: end flow runs that show no sign of life"
        [automation] = client.read_automations_by_name(name)

        def ended() -> FlowRun | None:
            client.resume_automation(automation.id)  # so that the server looks at it now
            run = client.read_flow_run(dead)
            return run if run.state is not None and run.state.is_final() else None

        def is_free() -> bool:
            return client.read_global_concurrency_limit_by_name(lost_slot).active_slots == 0

        run = wait_for(ended, running, 60)
        assert (run.state_name, run.state.message) == ("Crashed", "No sign of life for 240 s.")
        wait_for(is_free, running, 120)


def last_heard_of(running: Running, client: SyncPrefectClient, before_s: float) -> UUID:
    """Make a run whose process and worker died a while ago."""
    deployment = client.read_deployment_by_name("daily/network")
    run = client.create_flow_run_from_deployment(deployment.id, state=PrefectRunning())
    heartbeat = {
        "id": str(uuid4()),
        "event": "prefect.flow-run.heartbeat",
        "occurred": (datetime.now(UTC) - timedelta(seconds=before_s)).isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run.id}"},
    }
    httpx.post(f"{running.api}/events", json=[heartbeat]).raise_for_status()
    return run.id


@pytest.mark.fault(44)
def test_a_form_sent_after_an_outage_of_the_server_is_worked_on(running: Running) -> None:
    before = {name: started_by(running, name) for name in ("server", "worker")}
    os.kill(before["server"], signal.SIGKILL)

    def is_back() -> bool:
        now = {name: started_by(running, name) for name in before}
        return None not in now.values() and not set(now.values()) & set(before.values())

    wait_for(is_back, running, 120)
    asked = {"start": f"{SPAN.start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{SPAN.end:%Y-%m-%dT%H:%M:%SZ}"}
    sent = submit_form(running, asked | {"stations": ["XX.GM01"], "max_parallel": 1})
    assert sent.status_code == httpx.codes.CREATED, sent.text
    run = wait_for(lambda: last_run(running, "backfill"), running, 240)
    assert run.name == f"backfill {SPAN.words} [missing+failed]"
    assert run.state_name == "Completed", f"{run.state.message}\n{running.logs()}"
    assert archived(running, "XX.GM01") == pytest.approx(600, abs=30)


def started_by(running: Running, name: str) -> int | None:
    """Return the process of the Prefect server or its worker, while there is one."""
    for pid in _children(running.process.pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if words[3:5] == [name, "start"]:
                return pid
    return None


def test_the_picker_is_retrained_as_often_as_the_config_says(running: Running) -> None:
    with running.client() as client:
        deployment = client.read_deployment_by_name("retrain/network")
        [seeded] = client.read_deployment_schedules(deployment.id)
    assert seeded.active
    assert seeded.schedule.interval == timedelta(hours=2)


def test_the_page_and_the_event_service_answer(running: Running) -> None:
    assert httpx.get(f"{running.web}/").status_code == 200
    assert httpx.get(f"{running.web}/fdsnws/event/1/version").status_code == 200


def test_sigterm_stops_everything_that_was_started(running: Running) -> None:
    started = _descendants(running.process.pid)
    assert len(started) >= 3
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=60) == 0
    left = [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not left, running.logs()
    for url in (running.web, running.api):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def _descendants(pid: int) -> list[int]:
    return [found for child in _children(pid) for found in (child, *_descendants(child))]


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
