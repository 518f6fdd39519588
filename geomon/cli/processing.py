"""Commands that process waveforms."""

from pathlib import Path
from typing import Annotated

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


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", metavar="D", help="Where everything is put.")
    ] = Path("demo"),
    as_json: JsonOption = False,
) -> None:
    """Go from nothing to a catalogue, a map and a report, offline."""
    from geomon.services.demo import run_demo

    with progress_bars() as progress:
        report = run_demo(directory, progress=progress)
    if as_json:
        finish({"demo": report}, as_json=True)
        return
    print(report.text())
    tell_problems(report)
    if report.n_failed:
        raise typer.Exit(1)


def ingest(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Fetch what the archive does not hold yet."""
    from geomon.services.ingest import ingest as fetch

    network, span, chosen = load(config), span_of(start, end), patterns(stations)
    with progress_bars() as progress:
        report = fetch(network, span, stations=chosen, progress=progress)
    finish({"ingest": report}, as_json=as_json)


def pick(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Pick phases in what is archived."""
    from geomon.services.pick import pick as find_picks

    network, span, chosen = load(config), span_of(start, end), patterns(stations)
    with progress_bars() as progress:
        report = find_picks(network, span, stations=chosen, progress=progress)
    finish({"pick": report}, as_json=as_json)


def locate(
    start: StartOption,
    end: EndOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Associate picks, locate and size the events."""
    from geomon.services.locate import locate as find_events

    network, span = load(config), span_of(start, end)
    with progress_bars() as progress:
        report = find_events(network, span, progress=progress)
    finish({"locate": report}, as_json=as_json)


def run(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Ingest, pick and locate, in order."""
    from geomon.services.run import run as run_all

    network, span, chosen = load(config), span_of(start, end), patterns(stations)
    with progress_bars() as progress:
        reports = run_all(network, span, stations=chosen, progress=progress)
    finish(dict(reports._asdict()), as_json=as_json)


def watch(
    config: ConfigOption = DEFAULT_CONFIG,
    cycles: Annotated[int, typer.Option(help="Stop after so many cycles; 0 never stops.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Watch in near-real time, as one process; prints one line (or JSON document) a cycle."""
    from geomon.services.monitor import watch as watch_network

    failed = False
    for report in watch_network(load(config), cycles=cycles):
        if as_json:
            print_json(report.as_dict())
        else:
            print(report.summary(), flush=True)
        tell_problems(report)
        failed = failed or report.n_failed > 0
    if failed:
        raise typer.Exit(1)


def coverage(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell which station-hours were archived, picked and located."""
    from geomon.services.coverage import coverage as look
    from geomon.services.coverage import table

    span, chosen = span_of(start, end), patterns(stations)
    network = load_made(config, "archive", "catalog", empty=[], as_json=as_json)
    rows = look(network, span, stations=chosen)
    if as_json:
        print_json([row.as_dict() for row in rows])
    else:
        print(table(rows, span))
