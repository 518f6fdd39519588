"""Yesterday once more: late data, late picks, and what the day was worth."""

from datetime import date
from typing import Any

from prefect import State, flow, task

from flows.artifacts import show_coverage, show_events, show_map, show_stations
from flows.limits import fetching
from flows.progress import FlowProgress
from flows.requests import DailyRequest
from flows.work import TASK, closing_state
from geomon.config import Config
from geomon.services.daily import DailyReport
from geomon.services.daily import daily as daily_service
from geomon.services.reports import Progress
from geomon.times import day_span


@task(name="daily", task_run_name="daily {day}", **TASK)
def run_day(config: Config, day: date, progress: Progress) -> DailyReport:
    """Ask again for what a day lacks, then pick and locate what changed."""
    with fetching(config):
        return daily_service(config, day, progress=progress)


@flow(name="daily", flow_run_name="daily {request.name} {request.chosen_day}")
def daily(request: DailyRequest) -> State[Any]:
    """Ask again for what yesterday lacks, pick and locate what changed, and report the day."""
    config = request.load()
    day = request.chosen_day
    report = run_day(config, day, FlowProgress())
    show_coverage(config, day_span(day))
    show_events(config, day_span(day))
    show_map(config, day_span(day))
    show_stations(config, day_span(day))
    return closing_state({"daily": report.as_dict()})
