"""The flows on a simulated network: the same results as the services, and as before."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from flows.backfill import backfill
from flows.daily import daily
from flows.ingest import ingest
from flows.locate import locate
from flows.pick import pick
from flows.report import report
from flows.requests import (
    BackfillRequest,
    DailyRequest,
    LocateRequest,
    ReportRequest,
    StationsRequest,
)
from flows.run import main, run
from geomon.config import load_config
from geomon.services.run import run as run_services
from geomon.services.workspace import workspace
from geomon.times import TimeSpan
from tests.flows.conftest import write_config

pytestmark = pytest.mark.usefixtures("prefect_server")
START, END = datetime(2024, 5, 1, 23, 55, tzinfo=UTC), datetime(2024, 5, 2, 0, 5, tzinfo=UTC)
SPAN = TimeSpan.between(START, END)


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory, data_centre: str) -> str:
    """What the services find without Prefect."""
    config = load_config(write_config(tmp_path_factory.mktemp("services"), data_centre))
    reports = run_services(config, SPAN)
    assert not any(report.n_failed for report in reports)
    assert reports.locate.n_events > 0
    return workspace(config).catalog.digest(SPAN)


def digest(config_path: Path) -> str:
    return workspace(load_config(config_path)).catalog.digest(SPAN)


def latest_run() -> FlowRun:
    with get_client(sync_client=True) as client:
        return max(client.read_flow_runs(), key=lambda run: run.created)


def test_run_finds_what_the_services_find_and_twice_is_once(
    config_path: Path, expected: str
) -> None:
    request = StationsRequest(config=str(config_path), start=START, end=END)
    first = run(request)
    assert digest(config_path) == expected
    assert first["ingest"]["n_new_samples"] > 0
    second = run(request)
    assert digest(config_path) == expected
    assert second["ingest"]["n_new_samples"] == 0
    assert second["pick"]["n_added"] == second["pick"]["n_removed"] == 0
    assert second["locate"]["n_created"] == second["locate"]["n_updated"] == 0
    with get_client(sync_client=True) as client:
        names = {task_run.name for task_run in client.read_task_runs()}
        shown = {artifact.key: artifact.data for artifact in client.read_artifacts()}
    station = str(workspace(load_config(config_path)).stations().station_ids()[0])
    when = "2024-05-01 23:55 to 2024-05-02 00:05"
    assert {f"ingest {station} {when}", f"pick {station} {when}", f"locate network {when}"} <= names
    assert station in shown["coverage"]
    assert "| 2024-05-0" in shown["events"]
    look_at_the_report(config_path)


def look_at_the_report(config_path: Path) -> None:
    found = report(ReportRequest(config=str(config_path), day="2024-05-02"))
    assert found["n_events"] > 0
    with get_client(sync_client=True) as client:
        shown = {artifact.key: artifact for artifact in client.read_artifacts()}
    assert shown["map"].data.startswith("data:image/png;base64,iVBOR")
    assert '"silent"' in shown["stations"].data
    assert f"{found['n_events']} events" in shown["map"].description


def test_the_three_stages_apart_find_the_same(config_path: Path, expected: str) -> None:
    middle = datetime(2024, 5, 2, tzinfo=UTC)
    for start, end in ((middle, END), (START, middle)):
        ingest(StationsRequest(config=str(config_path), start=start, end=end, max_parallel=4))
        pick(StationsRequest(config=str(config_path), start=start, end=end))
        locate(LocateRequest(config=str(config_path), start=start, end=end))
    assert digest(config_path) == expected


def test_a_backfill_plans_and_then_finds_the_same(config_path: Path, expected: str) -> None:
    request = BackfillRequest(config=str(config_path), start=START, end=END, mode="missing")
    plan = backfill(request.model_copy(update={"dry_run": True}))
    assert plan["plan"]["n_units"] > 0
    assert latest_run().state_name == "Planned"
    assert digest(config_path) != expected
    backfill(request)
    assert digest(config_path) == expected
    assert backfill(request.model_copy(update={"dry_run": True}))["plan"]["n_units"] == 0


def test_daily_reports_the_day(tmp_path: Path, data_centre: str) -> None:
    path = write_config(tmp_path, data_centre, network={"name": "One", "select": ["XX.NONE"]})
    result = daily(DailyRequest(config=str(path), day="2024-05-01"))
    assert result["daily"]["n_events"] == 0
    assert latest_run().name == "daily network 2024-05-01"


def test_a_dead_data_centre_fails_the_flow_with_one_clear_line(config_path: Path) -> None:
    dead = write_config(config_path.parent / "dead", "http://127.0.0.1:9")
    state = run(StationsRequest(config=str(dead), start=START, end=END), return_state=True)
    assert state.is_failed()
    assert "127.0.0.1:9" in state.message


def test_the_command_refuses_what_it_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    span = ["--start", "2024-05-02", "--end", "2024-05-01"]
    assert main(["--config", "demo", *span]) == 2
    assert "later than start" in capsys.readouterr().err
    assert main(["--config", str(tmp_path / "none.yaml"), *span]) == 2
    assert "none.yaml: no such config file" in capsys.readouterr().err
