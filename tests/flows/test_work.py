import threading

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client

from flows.progress import FlowProgress
from flows.work import TASK, closing_state, combined, fan_out, parts_of, task_runner
from geomon.errors import PickerMismatch, SourceUnavailable
from geomon.services.reports import Report
from geomon.times import TimeSpan

QUICK = TASK | {"retry_delay_seconds": 0, "retry_jitter_factor": None}
pytestmark = pytest.mark.usefixtures("prefect_server")


def test_spans_are_cut_at_midnights_from_their_first_day() -> None:
    span = TimeSpan.parse("2014-05-01T10:00", "2014-05-10T03:00")
    assert [str(part) for part in parts_of(span, 7)] == [
        "2014-05-01T10:00:00Z/2014-05-08T00:00:00Z",
        "2014-05-08T00:00:00Z/2014-05-10T03:00:00Z",
    ]
    assert len(parts_of(span, 1)) == 10
    assert parts_of(span, 10) == [span]


def test_reports_add_up() -> None:
    one = {"n_failed": 1, "problems": ("a",), "took_s": 0.5, "outcomes": {"data": 2}, "n": 1}
    other = {"n_failed": 0, "problems": ("a", "b"), "took_s": 1.0, "outcomes": {"nodata": 1}}
    assert combined([one, other]) == {
        "n_failed": 1, "problems": ("a", "b"), "took_s": 1.5,
        "outcomes": {"data": 2, "nodata": 1}, "n": 1,
    }  # fmt: skip


def test_only_what_can_get_better_is_tried_again() -> None:
    tried: list[str] = []

    @task(**QUICK)
    def fail(error: Exception) -> None:
        tried.append(str(error))
        raise error

    @flow(task_runner=task_runner())
    def try_all() -> dict[str, object]:
        errors = [SourceUnavailable("down"), PickerMismatch("wrong"), ZeroDivisionError("bug")]
        return fan_out(fail.submit, errors, stage="x", max_parallel=1, progress=FlowProgress())

    result = try_all()
    assert [tried.count(name) for name in ("down", "wrong", "bug")] == [3, 1, 1]
    assert result["n_failed"] == 3
    assert {"down", "wrong"} <= set(result["problems"])


def test_a_failed_unit_stops_no_other_and_no_more_than_asked_run_at_once() -> None:
    lock = threading.Lock()
    meet = threading.Barrier(3, timeout=30)  # passes only when three are at work together
    alive = most = 0

    @task(**QUICK)
    def work(unit: int) -> Report:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        meet.wait()
        with lock:
            alive -= 1
        if unit == 4:
            msg = "unit 4 is broken"
            raise PickerMismatch(msg)
        return Report(took_s=1.0)

    @flow(task_runner=task_runner())
    def all_units() -> dict[str, object]:
        return fan_out(work.submit, range(9), stage="x", max_parallel=3, progress=FlowProgress())

    result = all_units()
    assert most == 3
    assert result == {"n_failed": 1, "problems": ("unit 4 is broken",), "took_s": 8.0}


def test_a_flow_says_what_failed_and_completes() -> None:
    @flow
    def close() -> object:
        return closing_state({"pick": Report(n_failed=2, problems=("A", "B")).as_dict()})

    state = close(return_state=True)
    assert state.is_completed()
    assert state.name == "CompletedWithFailures"
    assert state.message == "2 failed: A; B"
    assert state.result()["pick"]["n_failed"] == 2


def test_progress_is_a_bar_in_the_page() -> None:
    @flow
    def tell() -> None:
        progress = FlowProgress()
        for done in range(4):
            progress("told", done, 3)

    tell()
    with get_client(sync_client=True) as client:
        [bar] = [a for a in client.read_artifacts() if a.key == "progress-told"]
    assert bar.data == 100.0
