"""Commands that look back at a catalogue's locations: station corrections, relocation, tuning."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndOption,
    JsonOption,
    OutputOption,
    StartOption,
    load,
    print_json,
    span_of,
    tell_problems,
)
from geomon.errors import ConfigError
from geomon.times import format_ns, parse_time

if TYPE_CHECKING:
    from geomon.velocity.corrections import CorrectionSet

corrections_app = typer.Typer(no_args_is_help=True, help="Station corrections of travel times.")


@corrections_app.command("estimate")
def estimate_corrections(
    start: StartOption,
    end: EndOption,
    config: ConfigOption = DEFAULT_CONFIG,
    min_picks: Annotated[
        int, typer.Option(min=2, help="Fewest picks of a phase at a station.")
    ] = 5,
    valid_from: Annotated[
        str | None, typer.Option(metavar="T", help="Use them from here on; by default --start.")
    ] = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find how late P and S arrive at each station, from the events of a span.

    With --output the set is added to a file that keeps all sets; events are located with it once
    the config names the file as velocity.station_corrections.
    """
    from geomon.services import corrections

    valid_from_ns = None if valid_from is None else parse_time(valid_from)
    report = corrections.estimate_corrections(
        load(config), span_of(start, end), min_picks=min_picks, valid_from_ns=valid_from_ns
    )
    if output is not None:
        corrections.keep_corrections(output, report.corrections)
    if as_json:
        print_json(report.as_dict() | {"version": report.corrections.version})
    else:
        _show(report.corrections)
        print(
            f"{report.n_events} events in {report.n_rounds} rounds: median residual "
            f"{report.rms_before_s:.3f} s without, {report.rms_after_s:.3f} s with corrections"
        )
    tell_problems(report)


@corrections_app.command("show")
def show_corrections(
    file: Annotated[
        Path | None, typer.Argument(help="File of corrections; by default the config's.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show every set of station corrections a file keeps, newest last.

    Raises
    ------
    ConfigError
        If no file is given and the config names none.
    """
    from geomon.velocity.corrections import read_corrections

    path = file or load(config).velocity.station_corrections
    if path is None:
        msg = f"{config}: names no velocity.station_corrections; give a file to show"
        raise ConfigError(msg)
    sets = read_corrections(path).sets
    if as_json:
        print_json([_document(one) for one in sets])
        return
    for one in sets:
        _show(one)


def _document(one: "CorrectionSet") -> dict[str, object]:
    return {
        "version": one.version,
        "valid_from": format_ns(one.valid_from_ns),
        "made": format_ns(one.made_ns),
        "model": one.model,
        "n_events": one.n_events,
        "delays": [
            {
                "station": str(delay.station), "phase": delay.phase, "delay_s": delay.delay_s,
                "uncertainty_s": delay.uncertainty_s, "n_picks": delay.n_picks,
            }
            for delay in one.delays
        ],
    }  # fmt: skip


def _show(one: "CorrectionSet") -> None:
    print(
        f"{one.version[:8]}  valid from {format_ns(one.valid_from_ns)}, {one.n_events} events, "
        f"{one.model}"
    )
    for delay in one.delays:
        print(
            f"  {delay.station!s:<12}{delay.phase}  {delay.delay_s:+.3f} ± "
            f"{delay.uncertainty_s:.3f} s  {delay.n_picks} picks"
        )
