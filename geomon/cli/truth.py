"""Commands about how true the catalogue is: doubles, blasts, what is detected, what is chance."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndOption,
    JsonOption,
    StartOption,
    load_made,
    print_json,
    progress_bars,
    span_of,
)
from geomon.errors import DataError

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]


def merge(
    start: StartOption,
    end: EndOption,
    imported: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="CATALOG", help="Also an imported catalogue's events."),
    ] = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Merge events that are one earthquake, and split those that are two.

    Events that people reviewed are left as they are. A merged event's names lead to the one that
    took over, and the history of both says why.
    """
    from geomon.services.duplicates import tidy

    span = span_of(start, end)
    network = load_made(config, "catalog", empty=[], as_json=as_json)
    done = tidy(network, span, catalogs=imported or (), dry_run=dry_run)
    if as_json:
        print_json([asdict(one) for one in done])
        return
    words = {"merged": "takes over", "split": "split into itself and", "kept": "perhaps also"}
    for one in done:
        others = ", ".join(one.others) or "a new event"
        print(f"{one.event_id} {words[one.kind]} {others}: {one.reason}")
    print(f"{len(done)} merges and splits {'to do (dry run)' if dry_run else 'done'}")


def blasts(
    start: StartOption,
    end: EndOption,
    dry_run: DryRunOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Find quarry blasts by hour, weekday, place and depth, and call automatic events so.

    Months of events tell habits. Types that people gave are never changed.
    """
    from geomon.services.blasts import name_blasts

    span = span_of(start, end)
    report = name_blasts(load_made(config, "catalog"), span, dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
        return
    for one in report.suspects:
        print(f"{one.event_id}  {one.time}  {one.event_type}: {one.reason}")
    print(
        f"{len(report.suspects)} suspects, {len(report.named)} newly called quarry blasts, "
        f"{len(report.taken_back)} earthquakes again{' (dry run)' if dry_run else ''}"
    )


def detection(
    start: StartOption,
    end: EndOption,
    n_events: Annotated[int, typer.Option("--events", min=20, help="How many to try.")] = 120,
    magnitudes: Annotated[
        tuple[float, float], typer.Option(help="Smallest and largest magnitude tried.")
    ] = (-1.0, 3.0),
    seed: Annotated[int, typer.Option(min=0, help="Draws times, places and sizes.")] = 0,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell how likely the network detects an earthquake, by magnitude, region and time.

    Simulated earthquakes are added to archived records in memory, picked, associated and located;
    nothing is written to the archive or the catalogue.
    """
    from geomon.locating.detection import TooFewTrials
    from geomon.services.detection import measure_detection

    if magnitudes[0] >= magnitudes[1]:
        msg = f"--magnitudes {magnitudes[0]:g} {magnitudes[1]:g}: the first must be smaller"
        raise DataError(msg)
    span = span_of(start, end)
    network = load_made(config, "archive", "catalog")
    with progress_bars() as progress:
        found = measure_detection(
            network, span, n_events=n_events, magnitudes=magnitudes, seed=seed, progress=progress
        )
    for problem in found.problems:
        print(f"geomon: {problem}", file=sys.stderr)
    if isinstance(found.curve, TooFewTrials):
        if as_json:
            print_json({"reason": found.curve.reason, "n_trials": len(found.trials)})
        else:
            print(f"detection probability: {found.curve.reason}")
        return
    low, high = magnitudes
    steps = [low + (high - low) * k / 16 for k in range(17)]
    rows = [(m, *found.curve.probability(m)) for m in steps]
    if as_json:
        print_json(
            {
                "n_trials": found.curve.n_trials,
                "n_detected": found.curve.n_detected,
                "magnitude_50": _uncertain(found.curve.magnitude_at(0.5)),
                "magnitude_90": _uncertain(found.curve.magnitude_at(0.9)),
                "curve": [
                    dict(zip(("magnitude", "probability", "low", "high"), row, strict=True))
                    for row in rows
                ],
                "regions": [asdict(part) for part in found.regions],
                "times": [asdict(part) for part in found.times],
                "trials": [asdict(trial) for trial in found.trials],
            }
        )
        return
    for share in (0.5, 0.9):
        magnitude, error = found.curve.magnitude_at(share)
        print(f"{share:.0%} are detected from ML {magnitude:.2f} ± {error:.2f}")
    print(f"{found.curve.n_detected} of {found.curve.n_trials} simulated earthquakes found")
    for m, probability, least, most in rows:
        print(f"  ML {m:5.2f}  {probability:4.0%}  ({least:.0%} to {most:.0%})")
    for part in (*found.regions, *found.times):
        half = "" if part.magnitude_50 is None else f", half from ML {part.magnitude_50:.2f}"
        print(f"  {part.name}: {part.n_detected} of {part.n_trials}{half}")


def reliability(
    start: StartOption,
    end: EndOption,
    rounds: Annotated[int, typer.Option(min=1, help="How often picks are shifted.")] = 5,
    output: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the reliability diagram here.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell whether events are real as often as their probabilities say.

    The picks are shifted in time station by station, so that all events they make are false, and
    compared with the events held.
    """
    from geomon.services.pictures import save_reliability
    from geomon.services.reliability import measure_reliability

    span = span_of(start, end)
    settings = load_made(config, "catalog")
    with progress_bars() as progress:
        report = measure_reliability(settings, span, rounds=rounds, progress=progress)
    if output is not None:
        title = f"{settings.network.name}, {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}"
        save_reliability(report.bins, output, title=title)
    if as_json:
        print_json(asdict(report))
        return
    for problem in report.problems:
        print(f"geomon: {problem}", file=sys.stderr)
    print(f"{report.n_events} events; chance makes {report.n_chance:g} of the same picks")
    for one in report.bins:
        print(f"  said {one.stated:4.0%}  real {one.real:4.0%} ± {one.error:.0%}  "
              f"({one.n_found} events, {one.n_chance:g} by chance)")  # fmt: skip


def _uncertain(pair: tuple[float, float]) -> dict[str, Any]:
    return dict(zip(("value", "uncertainty"), pair, strict=True))
