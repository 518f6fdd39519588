"""Associate picks, locate and size the events: one task for some days, one after the other."""

from typing import Any

from prefect import State, flow, task

from flows.artifacts import show_events
from flows.progress import FlowProgress
from flows.requests import LocateRequest
from flows.work import TASK, Chunk, Result, closing_state, fan_out, network_chunks, task_runner
from geomon.config import find_config, load_config
from geomon.services.locate import LocateReport
from geomon.services.locate import locate as locate_service
from geomon.services.reports import Progress, no_progress
from geomon.times import TimeSpan


@task(name="locate", task_run_name="locate {chunk}", **TASK)
def locate_chunk(chunk: Chunk, progress: Progress = no_progress) -> LocateReport:
    """Find the events of some days."""
    config = load_config(find_config(chunk.config))
    return locate_service(config, chunk.span, progress=progress)


def locate_stage(config: str, span: TimeSpan, days_per_task: int, progress: FlowProgress) -> Result:
    """Find the events of a span, oldest first: an event at an edge is seen by both sides."""
    chunks = network_chunks(config, span, days_per_task)
    if len(chunks) == 1:  # then the service tells more than one task done of one
        return fan_out(
            lambda chunk: locate_chunk.submit(chunk, progress), chunks, stage="locate",
            max_parallel=1, progress=FlowProgress(is_silent=True),
        )  # fmt: skip
    return fan_out(locate_chunk.submit, chunks, stage="locate", max_parallel=1, progress=progress)


@flow(
    name="locate",
    flow_run_name="locate {request.span.words}",
    task_runner=task_runner(),
)
def locate(request: LocateRequest) -> State[Any]:
    """Associate picks, locate and size the events wherever picks changed."""
    result = locate_stage(request.config, request.span, request.days_per_task, FlowProgress())
    show_events(request.load(), request.span)
    return closing_state({"locate": result})
