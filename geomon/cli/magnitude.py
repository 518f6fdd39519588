"""Commands about magnitudes."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndOption,
    JsonOption,
    OutputOption,
    StartOption,
    load_made,
    print_json,
    span_of,
)
from geomon.errors import DataError

magnitude_app = typer.Typer(no_args_is_help=True, help="Magnitudes.")


@magnitude_app.command("calibrate")
def calibrate(
    start: StartOption,
    end: EndOption,
    reference: Annotated[
        Path,
        typer.Option(help="QuakeML, or CSV of time, latitude, longitude, magnitude."),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find attenuation and station corrections from events whose magnitude others know.

    Prints the `magnitude` section to put into the config; nothing changes by itself.
    """
    from geomon.locating.calibration import NotCalibrated, as_config
    from geomon.services.calibration import calibrate_magnitudes

    span = span_of(start, end)
    result = calibrate_magnitudes(load_made(config, "catalog"), span, reference)
    if isinstance(result.calibration, NotCalibrated):
        msg = (
            f"{reference}: {result.n_matched} of {result.n_reference} events are in the "
            f"catalogue: {result.calibration.reason}"
        )
        raise DataError(msg)
    text = as_config(result.calibration, reference.name)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    if as_json:
        found = result.calibration
        print_json(
            {
                "magnitude": found.settings.model_dump(mode="json"),
                "uncertainty": found.uncertainty,
                "scatter": found.scatter,
                "scatter_before": found.scatter_before,
                "n_events": found.n_events,
            }
        )
    elif output is None:
        print(text, end="")


@magnitude_app.command("relative")
def relative(
    start: StartOption,
    end: EndOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Size events that no sensor with a response saw, by amplitude ratios to their neighbours.

    Such a magnitude is called MLrel; events with a local or moment magnitude keep theirs.
    """
    from geomon.services.relative import size_by_neighbours

    span = span_of(start, end)
    report = size_by_neighbours(load_made(config, "archive", "catalog"), span, dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
        return
    for problem in report.refused:
        print(f"geomon: {problem}", file=sys.stderr)
    print(f"{len(report.sized)} events sized by their neighbours{' (dry run)' if dry_run else ''}")
