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
    finish,
    load,
    load_made,
    print_json,
    progress_bars,
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
    span = span_of(start, end)
    report = corrections.estimate_corrections(
        load_made(config, "catalog"), span, min_picks=min_picks, valid_from_ns=valid_from_ns
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
    """Show every set of station corrections a file keeps, newest last."""
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


def relocate(
    start: StartOption,
    end: EndOption,
    config: ConfigOption = DEFAULT_CONFIG,
    max_distance_km: Annotated[
        float, typer.Option("--max-distance", min=0.01, help="Kilometres between neighbours.")
    ] = 10.0,
    max_neighbours: Annotated[int, typer.Option(min=1, help="Most neighbours of an event.")] = 10,
    min_links: Annotated[int, typer.Option(min=4, help="Fewest phases two of them share.")] = 8,
    waveforms: Annotated[
        bool, typer.Option(help="Correlate the archive's waveforms besides picks.")
    ] = True,
    preferred: Annotated[
        bool, typer.Option("--preferred", help="Let automatic events prefer the new origins.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Relocate the events of a span relative to each other, by double differences.

    Events keep their other origins; those that a person judged keep the preferred one.
    """
    from geomon.services.relocate import Linking, relocate_events

    linking = Linking(
        max_km=max_distance_km, max_neighbours=max_neighbours, min_links=min_links,
        with_waveforms=waveforms,
    )  # fmt: skip
    span = span_of(start, end)
    network = load_made(config, "archive", "catalog")
    with progress_bars() as progress:
        report = relocate_events(
            network, span, linking=linking, preferred=preferred, progress=progress
        )
    finish({"relocate": report}, as_json=as_json)


def tune(
    start: StartOption,
    end: EndOption,
    config: ConfigOption = DEFAULT_CONFIG,
    only: Annotated[
        str, typer.Option(metavar="NAME,…", help="Change only these, such as tolerance_s,speeds.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show how much the events of a span depend on the settings they are found with.

    One setting is changed at a time; the catalogue and the config stay as they are.
    """
    from geomon.services import tune as service

    span = span_of(start, end)
    names = tuple(name.strip() for name in only.split(",") if name.strip())
    network = load_made(config, "archive", "catalog")
    with progress_bars() as progress:
        report = service.tune(network, span, progress=progress, only=names)
    if as_json:
        print_json(report.as_dict())
        return
    print(f"{'setting':<16}{'value':>10}{'events':>8}{'same':>6}{'new':>5}{'lost':>6}{'picks':>7}"
          f"{'rms s':>8}")  # fmt: skip
    for one in (report.usual, *report.others):
        print(
            f"{one.name or 'as it is':<16}{one.value:>10}{one.n_events:>8}{one.n_same:>6}"
            f"{one.n_new:>5}{one.n_lost:>6}{one.n_picks:>7}{one.median_rms_s:>8.3f}"
        )


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
