"""Near-real time: everything since the watermark, as one short flow run a cycle."""

from typing import Any

from prefect import State, flow, task

from flows.artifacts import show_events
from flows.requests import NetworkRequest
from flows.work import TASK, closing_state
from geomon.config import Config
from geomon.services.monitor import CycleReport
from geomon.services.monitor import cycle as cycle_service
from geomon.times import TimeSpan


@task(name="cycle", task_run_name="cycle of {config.network.name}", **TASK)
def run_cycle(config: Config) -> CycleReport:
    """Fetch, pick and locate everything since the watermark."""
    return cycle_service(config)


@flow(name="monitor", flow_run_name="monitor {request.name}")
def monitor(request: NetworkRequest) -> State[Any]:
    """Fetch, pick and locate everything since the watermark, and tell about new events.

    The window comes from what is archived, never from the scheduled time: a run that starts
    late, or twice, does the same work.
    """
    config = request.load()
    report = run_cycle(config)
    show_events(config, TimeSpan.between(report.start, report.end))
    return closing_state({"monitor": report.as_dict()})
