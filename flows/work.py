"""How flows cut their work into tasks, keep a few of them running, and add up the reports."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.progress import FlowProgress
from geomon.config import Config
from geomon.errors import GeomonError
from geomon.services.reports import Report, distinct
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, TimeSpan

logger = logging.getLogger(__name__)

type Result = dict[str, Any]
"""A report as plain values."""


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """The work of one task: a station, or the whole network, for some days."""

    config: str
    station: str
    span: TimeSpan

    def __str__(self) -> str:
        return f"{self.station} {self.span.words}"


def may_try_again(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell Prefect whether a failed task can get better by itself."""
    try:
        state.result()
    except GeomonError as error:
        return error.retryable
    except Exception:  # noqa: BLE001 - whatever else a task raised is a defect, not weather
        return False
    return False


TASK: dict[str, Any] = {
    "cache_policy": NO_CACHE,  # geomon's ledger knows what is done
    "persist_result": False,
    "retries": 2,
    "retry_delay_seconds": [10, 60],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_try_again,
}
"""Options of every task."""


def task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return a runner with room for any `max_parallel`: `fan_out` keeps fewer at work."""
    runner: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=64)
    return runner


def station_chunks(
    config_name: str,
    config: Config,
    span: TimeSpan,
    stations: Sequence[str],
    days_per_task: int,
    *,
    ask: bool,
) -> list[Chunk]:
    """Cut a span into tasks of one station and some whole UTC days, oldest first.

    With `ask` the source is asked for its stations, otherwise those known are used.

    Raises
    ------
    SourceError
        If the source cannot be asked and nothing is known yet.
    StationMetadataError
        If nothing is known and the source is not to be asked.
    """
    space = workspace(config)
    known = space.refreshed_stations(span) if ask else space.stations()
    streams = known.selected(tuple(stations)).preferred_streams(span, config.network.channels)
    names = sorted({str(stream.station_id) for stream in streams})
    return [
        Chunk(config_name, name, part) for part in parts_of(span, days_per_task) for name in names
    ]


def network_chunks(config_name: str, span: TimeSpan, days_per_task: int) -> list[Chunk]:
    """Cut a span into tasks of the whole network and some whole UTC days, oldest first."""
    return [Chunk(config_name, "network", part) for part in parts_of(span, days_per_task)]


def parts_of(span: TimeSpan, n_days: int) -> list[TimeSpan]:
    """Cut a span at every `n_days`-th midnight UTC, counted from the day it starts in."""
    days = list(span.steps(NS_PER_DAY))
    return [
        TimeSpan(days[first].start_ns, days[min(first + n_days, len(days)) - 1].end_ns)
        for first in range(0, len(days), n_days)
    ]


def fan_out[Unit](
    submit: Callable[[Unit], PrefectFuture[Any]],
    units: Iterable[Unit],
    *,
    stage: str,
    max_parallel: int,
    progress: FlowProgress,
) -> Result:
    """Keep at most `max_parallel` tasks at work until all are done, and add up their reports.

    A task that failed counts as one failed unit, with its error as a problem; the rest goes on.
    """
    waiting = list(units)[::-1]
    total = len(waiting)
    running: list[PrefectFuture[Any]] = []
    results: list[Result] = []
    progress(stage, 0, total)
    while waiting or running:
        while waiting and len(running) < max_parallel:
            running.append(submit(waiting.pop()))
        finished = next(as_completed(running))
        running.remove(finished)
        results.append(outcome(finished))
        progress(stage, len(results), total)
    return combined(results)


def outcome(future: PrefectFuture[Any]) -> Result:
    """Return a finished task's report; one failed unit when it raised."""
    content = future.result(raise_on_failure=False)
    if isinstance(content, Report):
        return content.as_dict()
    if isinstance(content, Mapping):
        return dict(content)
    return Report(n_failed=1, problems=(str(content),)).as_dict()


def combined(results: Sequence[Result]) -> Result:
    """Add reports up: numbers are summed, problems listed once; what cannot be added is dropped."""
    total: Result = Report().as_dict()
    for result in results:
        for key, value in result.items():
            total[key] = _sum(total.get(key), value)
    total["problems"] = distinct(list(total["problems"]))
    return {key: value for key, value in total.items() if value is not None}


def _sum(one: Any, other: Any) -> Any:  # noqa: ANN401 - any value a report holds
    if one is None:
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: one.get(key, 0) + other.get(key, 0) for key in [*one, *other]}
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return (*one, *other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one + other
    return None


def closing_state(
    results: Mapping[str, Result], *, stopped: str = "", also: Sequence[str] = ()
) -> State[Any]:
    """Return how a flow that came to its end ends, and what it did as the message of the state.

    Units that failed are named in it; they stay in the ledger and are tried again by the next run.

    Parameters
    ----------
    results : mapping of str to dict
        A report for each stage.
    stopped : str
        Why it ended before it was through.
    also : sequence of str
        What else there is to say.
    """
    n_failed = sum(int(result["n_failed"]) for result in results.values())
    problems = distinct([line for result in results.values() for line in result["problems"]], 5)
    data = {stage: plain(result) for stage, result in results.items()}
    done = [f"{stage}: {said}" for stage, result in results.items() if (said := counts(result))]
    if stopped:
        message = "; ".join([stopped, *problems, *done, *also])
        return Completed(name="Stopped", message=message, data=data)
    if not n_failed:
        return Completed(message="; ".join([*done, *also, *problems]) or None, data=data)
    message = "; ".join([f"{n_failed} failed: {'; '.join(problems)}", *done, *also])
    logger.warning(message)
    return Completed(name="CompletedWithFailures", message=message, data=data)


def counts(result: Result) -> str:
    """Say what a report counts, zeros left out: ``8 events created, 120 picks added``."""
    found = {
        key.removeprefix("n_").replace("_", " "): value
        for key, value in result.items()
        if key.startswith("n_") and key != "n_failed" and value
    }
    return ", ".join(f"{value:,} {name}" for name, value in found.items())


def plain(value: Any) -> Any:  # noqa: ANN401 - anything in a report
    """Turn a report's values into what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [plain(content) for content in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
