"""The whole machine as an operator starts it: server, bootstrap, worker, schedules, web page."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule

from geomon.config import load_config
from geomon.services.processes import free_port
from geomon.services.workspace import workspace
from geomon.times import TimeSpan
from tests.flows.conftest import write_config

EVERY_S = 30


@dataclass(frozen=True)
class Running:
    """A started `geomon up`."""

    process: "subprocess.Popen[str]"
    config_path: Path
    web: str
    api: str
    env: dict[str, str]

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.api)

    def logs(self) -> str:
        folder = self.config_path.parent / "prefect" / "logs"
        return "\n".join(f"== {p.name}\n{p.read_text()}" for p in sorted(folder.glob("*.log")))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, data_centre: str) -> Iterator[Running]:
    schedule = {"monitor_every_s": EVERY_S, "lookback_s": 600, "retrain_every_s": 7200}
    path = write_config(tmp_path_factory.mktemp("up"), data_centre, schedule=schedule)
    port, prefect_port = free_port(), free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env["PREFECT_WORKER_QUERY_SECONDS"] = "2"
    command = [
        sys.executable, "-m", "geomon", "up", "--config", str(path),
        "--port", str(port), "--prefect-port", str(prefect_port),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        told = []
        for line in process.stderr:
            told.append(line)
            if line.startswith("running"):
                break
        else:
            pytest.fail("".join(told))
        api = f"http://127.0.0.1:{prefect_port}/api"
        yield Running(process, path, f"http://127.0.0.1:{port}", api, env)
        process.send_signal(signal.SIGTERM)


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


def test_the_picker_is_retrained_as_often_as_the_config_says(running: Running) -> None:
    with running.client() as client:
        deployment = client.read_deployment_by_name("retrain/network")
        [seeded] = client.read_deployment_schedules(deployment.id)
    assert seeded.active
    assert seeded.schedule.interval == timedelta(hours=2)


def test_the_page_and_the_event_service_answer(running: Running) -> None:
    assert httpx.get(f"{running.web}/").status_code == 200
    assert httpx.get(f"{running.web}/fdsnws/event/1/version").status_code == 200


def test_what_an_operator_changed_survives_the_next_deployment(running: Running) -> None:
    with running.client() as client:
        monitor = client.read_deployment_by_name("monitor/network").id
        ingest = client.read_deployment_by_name("ingest/network").id
        [seeded] = client.read_deployment_schedules(monitor)
        client.update_deployment_schedule(monitor, seeded.id, active=False)
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
        [kept] = client.read_deployment_schedules(monitor)
        assert (kept.id, kept.active) == (seeded.id, False)
        [still] = client.read_deployment_schedules(ingest)
        assert (still.id, still.active, still.schedule.cron) == (added.id, True, "7 * * * *")
        queues = {queue.name: queue.priority for queue in client.read_work_queues()}
    assert queues["monitor"] < queues["backfill"]
    assert len([name for name in automations if name.startswith("geomon: ")]) == 2  # no webhook


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
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found
