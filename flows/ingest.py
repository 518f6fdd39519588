"""Fetch what the archive does not hold yet: one task a station and some days."""

from typing import Any

from prefect import State, flow, task

from flows.artifacts import show_coverage
from flows.limits import fetching
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
from geomon.services.ingest import IngestReport
from geomon.services.ingest import ingest as ingest_service


@task(name="ingest", task_run_name="ingest {chunk}", **TASK)
def ingest_chunk(chunk: Chunk) -> IngestReport:
    """Fetch one station for some days."""
    config = load_config(find_config(chunk.config))
    with fetching(config):
        return ingest_service(config, chunk.span, stations=(chunk.station,))


def ingest_stage(request: StationsRequest, progress: FlowProgress) -> Result:
    """Fetch everything a request asks for.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    """
    chunks = station_chunks(
        request.config, request.load(), request.span, request.stations, request.days_per_task,
        ask=True,
    )  # fmt: skip
    return fan_out(
        ingest_chunk.submit, chunks, stage="fetch", max_parallel=request.max_parallel,
        progress=progress,
    )  # fmt: skip


@flow(
    name="ingest",
    flow_run_name="ingest {request.span.words}",
    task_runner=task_runner(),
)
def ingest(request: StationsRequest) -> State[Any]:
    """Fetch what the archive does not hold yet."""
    result = ingest_stage(request, FlowProgress())
    show_coverage(request.load(), request.span, request.stations)
    return closing_state({"ingest": result})
