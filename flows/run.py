"""Ingest, pick and locate, one after the other; also a command that needs no Prefect server."""

import argparse
import atexit
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prefect import State, flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import ValidationError

from flows.artifacts import show_coverage, show_events
from flows.ingest import ingest_stage
from flows.locate import locate_stage
from flows.pick import pick_stage
from flows.progress import FlowProgress, write_lines
from flows.requests import StationsRequest
from flows.work import Result, closing_state, task_runner
from geomon.config import find_config
from geomon.errors import GeomonError
from geomon.services import champion, processes


@flow(
    name="run",
    flow_run_name="run {request.span.words}",
    task_runner=task_runner(),
)
def run(request: StationsRequest) -> State[Any]:
    """Fetch, pick and locate; each stage does only what is not done yet."""
    progress = FlowProgress()
    results: dict[str, Result] = {}
    stages: dict[str, Callable[[], Result]] = {
        "ingest": partial(ingest_stage, request, progress),
        "pick": partial(pick_stage, request, progress),
        "locate": partial(
            locate_stage, request.config, request.span, request.days_per_task, progress
        ),
    }
    for name, stage in stages.items():
        started = time.monotonic()
        results[name] = stage() | {"took_s": time.monotonic() - started}
    show_coverage(request.load(), request.span, request.stations)
    show_events(request.load(), request.span)
    return closing_state(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow from the command line; print the reports as the last line, in JSON.

    Without a configured Prefect server a private one serves for as long as this takes; its
    database, and so the history of runs, stays beside the archive.
    """
    options = _parser().parse_args(arguments)
    if options.progress_json:
        write_lines()
    try:
        request = StationsRequest(
            config=str(find_config(options.config)), start=options.start, end=options.end,
            stations=tuple(filter(None, options.stations.split(","))),
        )  # fmt: skip
        with _server(request):
            state: State[Any] = run(request, return_state=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        sys.stderr.write(f"geomon: {where or 'request'}: {first['msg']}\n")
        return 2
    except GeomonError as error:
        sys.stderr.write(f"geomon: {error}\n")
        return 2
    if not state.is_completed():
        sys.stderr.write(f"geomon: {state.message}\n")
        return 3
    results: dict[str, Result] = state.result()
    sys.stdout.write(f"{json.dumps(results)}\n")
    return 1 if any(result["n_failed"] for result in results.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.run", description=main.__doc__)
    parser.add_argument("--config", required=True, help="config file, or name of a shipped one")
    parser.add_argument("--start", required=True, help="first instant, ISO 8601 UTC")
    parser.add_argument("--end", required=True, help="first instant after, ISO 8601 UTC")
    parser.add_argument("--stations", default="", help="NET.STA,…, wildcards allowed")
    parser.add_argument("--progress-json", action="store_true", help="tell progress on stdout")
    return parser


@contextmanager
def _server(request: StationsRequest) -> Iterator[None]:
    """Serve the flow by the configured Prefect server, or by a private one.

    The picker is loaded while the private server starts: both take seconds, and there are tasks
    for neither before.
    """
    if PREFECT_API_URL.value():
        yield
        return
    config = request.load()
    port = processes.free_port()
    env = processes.prefect_environment(processes.prefect_home(config, Path(request.config)), port)
    logs = Path(env["PREFECT_HOME"]) / "logs"
    command = (*processes.prefect_server_command(port), "--no-ui")
    server = processes.start("private-server", command, env=env, folder=logs)
    # Prefect sends its last events when the interpreter ends, before this is called.
    atexit.register(processes.end, [server])
    champion.load(config)
    processes.wait_until_healthy(server, f"{env['PREFECT_API_URL']}/health")
    with temporary_settings({PREFECT_API_URL: env["PREFECT_API_URL"]}):
        yield


if __name__ == "__main__":
    sys.exit(main())
