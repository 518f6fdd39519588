"""Pick the phases in what is archived: one task a station and some days."""

from typing import Any

from prefect import State, flow, task

from flows.artifacts import show_coverage
from flows.progress import FlowProgress
from flows.requests import StationsRequest
from flows.work import (
    TASK,
    Chunk,
    Result,
    closing_state,
    fan_out,
    station_chunks,
    task_runner,
)
from geomon.config import find_config, load_config
from geomon.services.pick import PickReport
from geomon.services.pick import pick as pick_service


@task(name="pick", task_run_name="pick {chunk}", **TASK)
def pick_chunk(chunk: Chunk) -> PickReport:
    """Pick one station for some days."""
    config = load_config(find_config(chunk.config))
    return pick_service(config, chunk.span, stations=(chunk.station,))


def pick_stage(request: StationsRequest, progress: FlowProgress) -> Result:
    """Pick everything a request asks for.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    chunks = station_chunks(
        request.config, request.load(), request.span, request.stations, request.days_per_task,
        ask=False,
    )  # fmt: skip
    return fan_out(
        pick_chunk.submit, chunks, stage="pick", max_parallel=request.max_parallel,
        progress=progress,
    )  # fmt: skip


@flow(
    name="pick",
    flow_run_name="pick {request.span.words}",
    task_runner=task_runner(),
)
def pick(request: StationsRequest) -> State[Any]:
    """Pick the phases in everything archived that was not picked yet, or changed since."""
    result = pick_stage(request, FlowProgress())
    show_coverage(request.load(), request.span, request.stations)
    return closing_state({"pick": result})
