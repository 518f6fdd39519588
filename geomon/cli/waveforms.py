"""Commands about the waveform archive."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndOption,
    JsonOption,
    StartOption,
    StationsOption,
    load,
    load_made,
    patterns,
    print_json,
    progress_bars,
    span_of,
    tell_problems,
)
from geomon.errors import DataError, NotArchived

archive_app = typer.Typer(no_args_is_help=True, help="The waveform archive.")


@archive_app.command()
def info(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List what is archived of every sensor."""
    from geomon.services.workspace import workspace

    network = load_made(config, "archive", empty=[], as_json=as_json)
    found = workspace(network).archive.info()
    if as_json:
        print_json([{**asdict(one), "stream_id": str(one.stream_id)} for one in found])
        return
    for one in found:
        print(
            f"{one.stream_id!s:<16} {one.sampling_rate_hz:g} Hz {''.join(one.components):<3} "
            f"{one.first_day} to {one.last_day} {one.n_days} days "
            f"{one.n_samples:>12} samples {one.n_bytes / 1e6:9.1f} MB"
            + (f" {one.n_overflow} in conflict" if one.n_overflow else "")
        )
    total = sum(one.n_bytes for one in found)
    print(f"{len(found)} sensors, {total / 1e9:.3f} GB")


@archive_app.command()
def verify(
    set_aside: Annotated[
        bool,
        typer.Option(
            help="Move damaged objects to hidden names; the next ingest fetches them again."
        ),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Read every byte and name what is not as it was written; exit 1 when there is any."""
    from geomon.services.workspace import workspace

    archive = workspace(load(config)).archive
    with progress_bars() as show:
        findings = archive.verify(progress=partial(show, "verify"))
    moved = {}
    if set_aside:
        moved = {finding.key: archive.set_aside(finding.key) for finding in findings}
    kept_as = {key: aside.kept_as for key, aside in moved.items() if aside is not None}
    if as_json:
        print_json([{**asdict(f), "kept_as": kept_as.get(f.key)} for f in findings])
    else:
        for finding in findings:
            where = f"; kept as {kept_as[finding.key]}" if finding.key in kept_as else ""
            print(f"{finding.key}: {finding.problem}{where}")
        print(f"{len(findings)} damaged objects" if findings else "every object is sound")
        if findings and not set_aside:
            print("geomon archive verify --set-aside lets the next ingest fetch them again")
    if findings:
        raise typer.Exit(1)


@archive_app.command()
def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="miniSEED file to write.")],
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    version: Annotated[int, typer.Option(help="miniSEED version, 2 or 3.")] = 3,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write miniSEED, sample for sample and nanosecond for nanosecond."""
    from geomon.services.workspace import workspace

    if version not in {2, 3}:
        msg = f"--version {version}: miniSEED has versions 2 and 3"
        raise DataError(msg)
    wanted, span = patterns(stations), span_of(start, end)
    archive = workspace(load(config)).archive
    streams = [s for s in archive.streams() if not wanted or s.station_id.matches(wanted)]
    if not streams:
        msg = (
            f"{stations or config}: nothing of it is archived; `geomon archive info` lists what is"
        )
        raise NotArchived(msg)
    with progress_bars() as show:
        n_samples = archive.export(
            streams,
            span,
            output,
            format_version=cast("Literal[2, 3]", version),
            progress=partial(show, "export"),
        )
    if as_json:
        print_json({"file": str(output), "n_samples": n_samples, "n_streams": len(streams)})
    else:
        print(f"wrote {n_samples} samples of {len(streams)} sensors to {output}")


def quality(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell how good each channel's record of each day is: gaps, flat spans, spikes, noise."""
    from geomon.services.quality import assess_days, table
    from geomon.services.quality import quality as look

    span, wanted = span_of(start, end), patterns(stations)
    network = load_made(config, "archive", "catalog", empty=[], as_json=as_json)
    with progress_bars() as progress:
        report = assess_days(network, span, stations=wanted, progress=progress)
    rows = look(network, span, stations=wanted)
    if as_json:
        print_json([row.as_dict() for row in rows])
    else:
        print(table(rows))
    tell_problems(report)
    if report.n_failed:
        raise typer.Exit(1)
