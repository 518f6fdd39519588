"""What a day was worth: coverage, events with a map, and the health of the stations."""

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows.artifacts import show_coverage, show_events, show_map, show_stations
from flows.requests import ReportRequest


@flow(name="report", flow_run_name="report {request.name} {request.when}")
def report(request: ReportRequest) -> State[Any]:
    """Leave the coverage, the events with a map, and the stations of a day; nothing is computed."""
    config, span = request.load(), request.span
    show_coverage(config, span)
    n_events = show_events(config, span)
    show_map(config, span)
    n_silent = show_stations(config, span)
    message = f"{n_events} events, {n_silent} stations silent"
    return Completed(message=message, data={"n_events": n_events, "n_silent": n_silent})
