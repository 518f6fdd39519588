"""Commands that work through months of stations."""

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
    patterns,
    print_json,
    progress_bars,
    span_of,
)
from geomon.errors import DataError

if TYPE_CHECKING:
    from geomon.services.backfill import Mode

backfill_app = typer.Typer(
    no_args_is_help=True, help="Months of stations: plan first, resumable at any moment."
)
_MODES = ("missing", "failed", "missing+failed", "stale", "all")
ModeOption = Annotated[str, typer.Option("--mode", help=f"One of {', '.join(_MODES)}.")]


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


@backfill_app.command()
def run(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    mode: ModeOption = "missing+failed",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Do what the plan says; stopped or killed, the next run goes on where this one was."""
    from geomon.services import backfill

    network = load(config)
    planned = backfill.plan(network, span_of(start, end), patterns(stations), _mode(mode))
    with progress_bars() as progress:
        report = backfill.run(network, planned, progress=progress)
    finish({"backfill": report}, as_json=as_json)


@backfill_app.command()
def retry(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Do again only what failed."""
    run(start, end, stations, "failed", config, as_json)


@backfill_app.command()
def status(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show every stream, day and stage as a grid."""
    from dataclasses import asdict

    from geomon.services import backfill

    cells = backfill.status(load(config), span_of(start, end), stations=patterns(stations))
    if as_json:
        print_json([asdict(cell) for cell in cells])
    else:
        print(backfill.grid(cells))
