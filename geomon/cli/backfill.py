"""Commands that work through months of stations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndOption,
    JsonOption,
    StartOption,
    StationsOption,
    finish,
    load,
    load_made,
    patterns,
    print_json,
    progress_bars,
    span_of,
    tell_problems,
)
from geomon.errors import DataError

if TYPE_CHECKING:
    from geomon.config import Config
    from geomon.services.backfill import BackfillPlan, Mode

backfill_app = typer.Typer(
    no_args_is_help=True, help="Months of stations: plan first, resumable at any moment."
)
_MODES = ("missing", "failed", "missing+failed", "stale", "all")
ModeOption = Annotated[
    str,
    typer.Option(
        "--mode",
        help=f"One of {', '.join(_MODES)}; stale is what an older picker or config made.",
    ),
]
ParallelOption = Annotated[
    int, typer.Option("--parallel", min=1, max=64, help="Stations at work at once.")
]
HoursOption = Annotated[
    float | None, typer.Option("--max-hours", min=0, help="Begin nothing that would end later.")
]
CostOption = Annotated[
    float | None,
    typer.Option(
        "--max-cost", min=0, help="Begin nothing that would cost more; see compute.cost_per_hour."
    ),
]


def _mode(text: str) -> "Mode":
    if text not in _MODES:
        msg = f"--mode {text}: allowed are {', '.join(_MODES)}"
        raise DataError(msg)
    return cast("Mode", text)


@backfill_app.command()
def plan(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    mode: ModeOption = "missing+failed",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show what is to do and what it would take; nothing runs."""
    from geomon.services import backfill

    planned = backfill.plan(load(config), span_of(start, end), patterns(stations), _mode(mode))
    if as_json:
        print_json(planned.as_dict())
    else:
        print(planned.text())
    tell_problems(planned)


@backfill_app.command()
def run(
    start: StartOption = "",
    end: EndOption = "",
    stations: StationsOption = "",
    mode: ModeOption = "missing+failed",
    plan_file: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="What `plan --json` printed, to do just that.",
        ),
    ] = None,
    parallel: ParallelOption = 1,
    max_hours: HoursOption = None,
    max_cost: CostOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Do what the plan says; stopped or killed, the next run goes on where this one was."""
    from geomon.services import backfill

    network = load(config)
    if plan_file is not None:
        planned = backfill.BackfillPlan.from_json(plan_file.read_text(encoding="utf-8"))
    elif start and end:
        planned = backfill.plan(network, span_of(start, end), patterns(stations), _mode(mode))
    else:
        raise DataError("say --start and --end, or --plan FILE")
    _do(network, planned, parallel, max_hours, max_cost, as_json=as_json)


def _do(
    network: "Config",
    planned: "BackfillPlan",
    parallel: int,
    max_hours: float | None,
    max_cost: float | None,
    *,
    as_json: bool,
) -> None:
    from geomon.services import backfill_run

    limits = backfill_run.Limits(max_hours, max_cost)
    with progress_bars() as progress:
        report = backfill_run.run(
            network, planned, max_parallel=parallel, limits=limits, progress=progress
        )
    finish({"backfill": report}, as_json=as_json)


@backfill_app.command()
def retry(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    parallel: ParallelOption = 1,
    max_hours: HoursOption = None,
    max_cost: CostOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Do again only what failed, after telling why it failed."""
    from geomon.services import backfill

    network = load(config)
    planned = backfill.plan(network, span_of(start, end), patterns(stations), "failed")
    if not as_json:
        for reason in planned.reasons:
            print(f"failed: {reason}")
        if not planned.reasons:
            print("nothing failed: there is nothing to do again")
    _do(network, planned, parallel, max_hours, max_cost, as_json=as_json)


@backfill_app.command()
def status(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show every stream, day and stage as a grid, why stages failed, and what is at work now."""
    from geomon.services import grid

    network, span = load(config), span_of(start, end)
    cells = grid.status(network, span, stations=patterns(stations))
    at_work = grid.at_work(network, span)
    if as_json:
        print_json(grid.document(cells, at_work))
    else:
        print(grid.drawn(cells, at_work))


@backfill_app.command()
def cancel(
    start: Annotated[
        str, typer.Option("--start", metavar="T", help="Only backfills of this time …")
    ] = "1900-01-01",
    end: Annotated[str, typer.Option("--end", metavar="T", help="… to this.")] = "2200-01-01",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell running backfills to stop; what they are at work on they finish."""
    from geomon.services import backfill

    span = span_of(start, end)
    network = load_made(config, "catalog", empty={"n_at_work": 0}, as_json=as_json)
    n_at_work = backfill.cancel(network, span)
    if as_json:
        print_json({"n_at_work": n_at_work})
    else:
        told = f"{n_at_work} units at work are finished" if n_at_work else "none was at work"
        print(f"backfills are told to stop; {told}")
