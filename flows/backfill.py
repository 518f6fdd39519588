"""Months of stations: plan first, then only what is missing, failed or stale, resumable."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prefect import State, flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows.artifacts import show_grid
from flows.limits import fetching
from flows.progress import FlowProgress
from flows.requests import BackfillRequest, PickOn
from flows.work import TASK, closing_state, plain, task_runner
from geomon.config import Config, find_config, load_config
from geomon.services.backfill import BackfillPlan, BackfillUnit, UnitReport, run_one
from geomon.services.backfill import plan as make_plan
from geomon.services.backfill_run import Limits, drive
from geomon.services.pick import PickReport


@task(name="backfill", task_run_name="backfill {unit}", **TASK)
def run_unit(config_name: str, unit: BackfillUnit, pick_on: PickOn) -> UnitReport:
    """Fetch and pick a station, or locate the network, for some days."""
    config = load_config(find_config(config_name))
    picking = partial(_pick_on_gpu, config_name) if pick_on == "gpu-pool" else None
    return run_one(config, unit, fetching=partial(fetching, config), picking=picking)


@flow(
    name="backfill",
    flow_run_name="backfill {request.span.words} [{request.mode}]",
    task_runner=task_runner(),
)
def backfill(request: BackfillRequest) -> State[Any]:
    """Plan, then do what the plan says: the newest days first, their stations before the network.

    Killed at any moment, the next one goes on where it was: the ledger knows what is done.
    """
    config = request.load()
    plan = make_plan(config, request.span, request.stations, request.mode)
    _show_plan(plan)
    if request.dry_run:
        data = {"plan": plain(plan.as_dict())}
        return Completed(name="Planned", message=plan.text(), data=data)
    report = drive(
        config, plan,
        begin=lambda unit: run_unit.submit(request.config, unit, request.pick_on),
        first=_first,
        max_parallel=request.max_parallel,
        limits=Limits(request.max_hours, request.max_cost),
        progress=FlowProgress(),
    )  # fmt: skip
    show_grid(config, request.span, request.stations)
    changed = [report.difference.text()] if report.difference else []
    return closing_state({"backfill": report.as_dict()}, stopped=report.stopped, also=changed)


def _pick_on_gpu(config_name: str, _: Config, unit: BackfillUnit) -> PickReport:
    """Have a station picked by a worker of the GPU pool; asked twice, it is done once."""
    request = {
        "config": config_name, "start": unit.span.start.isoformat(),
        "end": unit.span.end.isoformat(), "stations": [unit.station],
    }  # fmt: skip
    name = deployment.name or Path(config_name).stem
    done = run_deployment(
        f"pick/{name}-gpu", parameters={"request": request}, poll_interval=2,
        idempotency_key=f"{flow_run.id}/{unit}",
    )  # fmt: skip
    assert isinstance(done, FlowRun)
    if done.state is not None and done.state.name == "Completed":
        return PickReport()
    return PickReport(n_failed=1, problems=(f"{unit}: {done.state}",))


def _first(
    running: Sequence[PrefectFuture[UnitReport]],
) -> tuple[PrefectFuture[UnitReport], UnitReport]:
    """Wait for any task; one that raised counts as a failed unit, with its error as a problem."""
    done: PrefectFuture[UnitReport] = next(as_completed(list(running)))
    content: object = done.result(raise_on_failure=False)
    if isinstance(content, UnitReport):
        return done, content
    return done, UnitReport(n_failed=1, problems=(str(content),))


def _show_plan(plan: BackfillPlan) -> None:
    create_markdown_artifact(
        key="backfill-plan",
        markdown=f"# Backfill plan\n\n```\n{plan.text()}\n```\n",
        description=f"{plan.n_units} units of {plan.n_stations} x {plan.n_days} station-days",
    )
