"""Commands about how true the catalogue is: doubled events, blasts, what would be detected."""

from dataclasses import asdict
from typing import Annotated

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndOption,
    JsonOption,
    StartOption,
    load,
    print_json,
    span_of,
)

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

    done = tidy(load(config), span_of(start, end), catalogs=imported or (), dry_run=dry_run)
    if as_json:
        print_json([asdict(one) for one in done])
        return
    words = {"merged": "takes over", "split": "split into itself and", "kept": "perhaps also"}
    for one in done:
        others = ", ".join(one.others) or "a new event"
        print(f"{one.event_id} {words[one.kind]} {others}: {one.reason}")
    print(f"{len(done)} {'found' if dry_run else 'done'}")


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

    report = name_blasts(load(config), span_of(start, end), dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
        return
    for one in report.suspects:
        print(f"{one.event_id}  {one.time}  {one.event_type}: {one.reason}")
    print(
        f"{len(report.suspects)} suspects, {len(report.named)} newly called quarry blasts, "
        f"{len(report.taken_back)} earthquakes again{' (dry run)' if dry_run else ''}"
    )
