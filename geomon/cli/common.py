"""What all commands share: options, how they read their input and print their results."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geomon.config import Config, find_config, load_config
from geomon.errors import DataError, NotMade
from geomon.times import TimeSpan, parse_time

if TYPE_CHECKING:
    from geomon.services.reports import Progress, Report

DEFAULT_CONFIG = "configs/demo.yaml"
START_HELP = "Start of the span in UTC, for example 2024-05-01 or 2024-05-01T23:30."
END_HELP = "End of the span, not included."

ConfigOption = Annotated[
    str, typer.Option("--config", metavar="FILE", help="Config file, or name of a shipped one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
StartOption = Annotated[str, typer.Option("--start", metavar="T", help=START_HELP)]
EndOption = Annotated[str, typer.Option("--end", metavar="T", help=END_HELP)]
StationsOption = Annotated[
    str,
    typer.Option("--stations", metavar="NET.STA,…", help="Stations, wildcards allowed; else all."),
]
AsOfOption = Annotated[
    str, typer.Option("--as-of", metavar="T", help="As it was known at this time; by default now.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write here instead of stdout.")
]


def load(config: str) -> Config:
    """Return the config of a file, or of the name of a shipped one.

    Raises
    ------
    ConfigError
        If it cannot be found or used.
    """
    return load_config(find_config(config))


def load_made(
    config: str, *stores: Literal["archive", "catalog"], empty: object = None, as_json: bool = False
) -> Config:
    """Return the config of a network whose stores are there to be read; nothing is made.

    Parameters
    ----------
    config : str
        File, or name of a shipped one.
    *stores : {"archive", "catalog"}
        What is to be read.
    empty : object, optional
        What a command answers when nothing was ever written: it is printed as JSON when asked
        for, and the command ends well. Without, that is an error.
    as_json : bool
        Whether JSON was asked for.

    Raises
    ------
    ConfigError
        If the config cannot be found or used.
    NotMade
        If nothing was ever written there and there is no empty answer.
    StoreError
        If a store cannot be opened.
    typer.Exit
        After an empty answer.
    """
    from geomon.services.workspace import workspace

    network = load(config)
    try:
        workspace(network).made(*stores)
    except NotMade as error:
        if empty is None:
            raise
        print(f"geomon: {error}", file=sys.stderr)
        if as_json:
            print_json(empty)
        raise typer.Exit from error
    return network


def patterns(stations: str) -> tuple[str, ...]:
    """Read ``NET.STA,NET.STA``, wildcards allowed.

    Raises
    ------
    DataError
        If a part does not have the form NET.STA.
    """
    parts = tuple(part.strip() for part in stations.split(",") if part.strip())
    for part in parts:
        if part.count(".") != 1:
            msg = f"--stations {part}: write NET.STA, for example CX.PB01 or CX.*"
            raise DataError(msg)
    return parts


def span_of(start: str, end: str) -> TimeSpan:
    """Read a span that is not empty.

    Raises
    ------
    DataError
        If a time cannot be read or the end is not later than the start.
    """
    first, last = parse_time(start), parse_time(end)
    if last <= first:
        msg = f"--end {end} must be later than --start {start}"
        raise DataError(msg)
    return TimeSpan(first, last)


def box(text: str) -> tuple[float, float, float, float] | None:
    """Read ``W,S,E,N`` in degrees; None for an empty text.

    Raises
    ------
    DataError
        If it is not four numbers, or no box on Earth.
    """
    from geomon.stores.queries import check_box

    if not text:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        msg = f"--bbox {text}: write W,S,E,N in degrees, for example 7,45,8,46"
        raise DataError(msg) from error
    check_box((west, south, east, north))
    return west, south, east, north


@contextmanager
def progress_bars() -> Iterator["Progress"]:
    """Show one bar a stage on stderr; nothing when stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def print_json(content: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print one JSON document; NaN, which JSON lacks, becomes null."""
    print(json.dumps(_without_nan(content), default=str, ensure_ascii=False))


def _without_nan(content: Any) -> Any:  # noqa: ANN401
    if isinstance(content, float) and content != content:
        return None
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return content


def finish(reports: dict[str, "Report"], *, as_json: bool) -> None:
    """Print reports and their problems; exit 1 when any unit failed.

    Raises
    ------
    typer.Exit
        With status 1.
    """
    if as_json:
        documents = {name: report.as_dict() for name, report in reports.items()}
        print_json(next(iter(documents.values())) if len(documents) == 1 else documents)
    else:
        for name, report in reports.items():
            print(f"{name}: {report.summary()}")
    tell_problems(*reports.values())
    if any(report.n_failed for report in reports.values()):
        raise typer.Exit(1)


def tell_problems(*reports: "Report") -> None:
    """Print every problem of some reports on stderr, one line each."""
    for report in reports:
        for problem in report.problems:
            print(f"geomon: {problem}", file=sys.stderr)


def tell_watched(config: Config, what: str, start: str, end: str, *, as_of: str) -> None:
    """Say on stderr how much of a span was watched, so that no event differs from no data."""
    from geomon.errors import StationMetadataError
    from geomon.services.coverage import coverage

    none = f"geomon: no such {what}{f' as of {as_of}' if as_of else ''}"
    if not (start and end):
        print(f"{none}; with --start and --end, how much was watched is told", file=sys.stderr)
        return
    try:
        rows = coverage(config, span_of(start, end))
    except StationMetadataError:
        print("geomon: nothing was ever archived here: no data, not no earthquake", file=sys.stderr)
        return
    if rows:
        share = sum(row.picked if what == "pick" else row.located for row in rows) / len(rows)
        by_now = " by now" if as_of else ""
        print(
            f"{none}; {share:.0%} of the station-hours of the span were watched{by_now}",
            file=sys.stderr,
        )


def write_bytes(content: bytes, output: Path | None) -> None:
    """Write to a file, or to stdout."""
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(content)
        print(f"wrote {output}", file=sys.stderr)
