"""Near-real time: everything since the watermark, as one short flow run a cycle."""

from typing import Any

from prefect import State, flow, task
from prefect.events import emit_event

from flows.artifacts import show_events
from flows.limits import fetching
from flows.requests import NetworkRequest
from flows.work import TASK, closing_state
from geomon.config import Config
from geomon.services.alerts import Notice
from geomon.services.monitor import CycleReport
from geomon.services.monitor import cycle as cycle_service
from geomon.times import TimeSpan


@task(name="cycle", task_run_name="cycle of {config.network.name}", **TASK)
def run_cycle(config: Config) -> CycleReport:
    """Fetch, pick and locate everything since the watermark."""
    with fetching(config):
        return cycle_service(config)


def emit(config: Config, notice: Notice) -> None:
    """Emit what was told as an event of Prefect, for automations to act on."""
    what = notice.kind.partition(".")[0]
    emit_event(
        event=f"geomon.{notice.kind}",
        resource={
            "prefect.resource.id": f"geomon.{what}.{notice.subject}",
            "prefect.resource.name": notice.subject,
            "geomon.network": config.network.name,
        },
        payload={"kind": notice.kind, "text": notice.text, **notice.content},
    )


@flow(name="monitor", flow_run_name="monitor {request.name}")
def monitor(request: NetworkRequest) -> State[Any]:
    """Fetch, pick and locate everything since the watermark, and tell about new events.

    The window comes from what is archived, never from the scheduled time: a run that starts
    late, or twice, does the same work.
    """
    config = request.load()
    report = run_cycle(config)
    for notice in report.notices:
        emit(config, notice)
    show_events(config, TimeSpan.between(report.start, report.end))
    return closing_state({"monitor": report.as_dict()})
