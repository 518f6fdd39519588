"""Months of stations: plan first, then only what is missing, failed or stale, resumable."""

from functools import partial
from typing import Any

from prefect import State, flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.progress import FlowProgress
from flows.requests import BackfillRequest
from flows.work import TASK, closing_state, fan_out, plain, task_runner
from geomon.services import backfill as service
from geomon.services.backfill import BackfillPlan, BackfillUnit, UnitReport


@task(name="backfill", task_run_name="backfill {unit}", **TASK)
def run_unit(config: str, unit: BackfillUnit) -> UnitReport:
    """Fetch and pick a station, or locate the network, for some days."""
    return service.run_unit(config, unit)


@flow(
    name="backfill",
    flow_run_name="backfill {request.start:%Y-%m-%d} to {request.end:%Y-%m-%d} [{request.mode}]",
    task_runner=task_runner(),
)
def backfill(request: BackfillRequest) -> State[Any]:
    """Plan, then do what the plan says: stations first, then the network.

    Killed at any moment, the next one goes on where it was: the ledger knows what is done.
    """
    plan = service.plan(request.load(), request.span, request.stations, request.mode)
    _show_plan(plan)
    if request.dry_run:
        data = {"plan": plain(plan.as_dict())}
        return Completed(name="Planned", message=plan.text(), data=data)
    progress = FlowProgress()
    stages = {
        "stations": (plan.station_units, request.max_parallel),
        "network": (plan.network_units, 1),  # neighbouring days share the events at their edge
    }
    results = {
        stage: fan_out(
            partial(run_unit.submit, request.config), units, stage=stage,
            max_parallel=max_parallel, progress=progress,
        )
        for stage, (units, max_parallel) in stages.items()
    }  # fmt: skip
    return closing_state(results)


def _show_plan(plan: BackfillPlan) -> None:
    create_markdown_artifact(
        key="backfill-plan",
        markdown=f"# Backfill plan\n\n```\n{plan.text()}\n```\n",
        description=f"{plan.n_units} units of {plan.n_stations} stations, {plan.n_days} days",
    )
