"""Commands that read the catalogue."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    END_HELP,
    START_HELP,
    AsOfOption,
    ConfigOption,
    EndOption,
    JsonOption,
    OutputOption,
    StartOption,
    box,
    load,
    load_made,
    print_json,
    span_of,
    tell_watched,
    write_bytes,
)
from geomon.errors import DataError, StoreError
from geomon.events import Event
from geomon.times import format_ns, parse_time, to_ns

if TYPE_CHECKING:
    from geomon.events import Pick
    from geomon.stores.relocating import HeldOrigin

catalog_app = typer.Typer(no_args_is_help=True, help="The event catalogue.")

AnyStart = Annotated[
    str, typer.Option("--start", metavar="T", help=f"{START_HELP} By default the first event.")
]
AnyEnd = Annotated[
    str, typer.Option("--end", metavar="T", help=f"{END_HELP} By default after the last event.")
]
BoxOption = Annotated[
    str, typer.Option("--bbox", metavar="W,S,E,N", help="Edges in degrees, such as 7,45,8,46.")
]
MinOption = Annotated[float | None, typer.Option("--min-magnitude", help="Smallest magnitude.")]
MaxOption = Annotated[float | None, typer.Option("--max-magnitude", help="Largest magnitude.")]
CatalogOption = Annotated[
    str, typer.Option("--catalog", help="Name of the catalogue, or all; the own one by default.")
]
ContributorOption = Annotated[str, typer.Option(help="Agency that contributed the events.")]
TypeOption = Annotated[
    str,
    typer.Option("--event-type", metavar="TYPE,…", help="QuakeML types, such as quarry blast."),
]
AllOriginsOption = Annotated[
    bool, typer.Option("--all-origins", help="In QuakeML, also origins that are not preferred.")
]
EventArgument = Annotated[str, typer.Argument(metavar="EVENT", help="Event id.")]
_FILES = ("csv", "geojson", "quakeml", "parquet", "nonlinloc", "hypodd", "nordic")
_WITHOUT_CREDITS = ("csv", "nonlinloc", "hypodd", "nordic")
_FORMATS = ("table", *_FILES)
_ORDERS = ("time", "-time", "magnitude", "-magnitude")


@catalog_app.command()
def query(
    start: AnyStart = "",
    end: AnyEnd = "",
    bbox: BoxOption = "",
    min_magnitude: MinOption = None,
    max_magnitude: MaxOption = None,
    min_depth: Annotated[float | None, typer.Option(help="Shallowest, km.")] = None,
    max_depth: Annotated[float | None, typer.Option(help="Deepest, km.")] = None,
    event_type: TypeOption = "",
    catalog: CatalogOption = "geomon",
    contributor: ContributorOption = "",
    as_of: AsOfOption = "",
    order_by: Annotated[str, typer.Option(help="time, -time, magnitude or -magnitude.")] = "time",
    limit: Annotated[int | None, typer.Option(help="At most so many events.")] = None,
    all_origins: AllOriginsOption = False,
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(_FORMATS)}.")] = "table",
    output: OutputOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List events; an empty answer says on stderr how much of the span was watched."""
    from geomon.services.workspace import workspace
    from geomon.stores.exports import Format, export, to_table
    from geomon.stores.queries import Order
    from geomon.stores.relocating import other_origins

    if form not in _FORMATS:
        msg = f"--format {form}: allowed are {', '.join(_FORMATS)}"
        raise DataError(msg)
    if order_by not in _ORDERS:
        msg = f"--order-by {order_by}: allowed are {', '.join(_ORDERS)}"
        raise DataError(msg)
    if output is not None and (as_json or form == "table"):
        msg = f"--output {output}: give --format, one of {', '.join(_FILES)}, and no --json"
        raise DataError(msg)
    _check_order(start, end, "--start", "--end")
    _check_order(min_magnitude, max_magnitude, "--min-magnitude", "--max-magnitude")
    _check_order(min_depth, max_depth, "--min-depth", "--max-depth")
    types, region = _event_types(event_type), box(bbox)
    network = (
        load_made(config, "catalog", empty=[], as_json=as_json)
        if as_json or form == "table"
        else load(config)  # an empty file
    )
    space = workspace(network)
    if catalog not in (known := ["all", *space.catalog.names()]):
        msg = f"--catalog {catalog}: held are {', '.join(known)}"
        raise DataError(msg)
    agencies = space.catalog.contributors()
    if contributor and contributor.lower() not in [one.lower() for one in agencies]:
        msg = f"--contributor {contributor}: held are {', '.join(agencies)}"
        raise DataError(msg)
    found = space.catalog.events(
        start or None, end or None, region, min_magnitude=min_magnitude,
        max_magnitude=max_magnitude, min_depth_km=min_depth, max_depth_km=max_depth,
        event_type=types,
        catalog=None if catalog == "all" else catalog,
        contributors=[contributor] if contributor else None, as_of=as_of or None,
        order_by=cast("Order", order_by), limit=limit,
    )  # fmt: skip
    if as_json:
        print_json([summary._asdict() for summary in found.summaries])
    elif form == "table":
        print(to_table(found))
    else:
        credits = space.public_stations().credits
        content = export(
            found, cast("Format", form), agency=network.network.agency, credits=credits,
            others=(lambda event: other_origins(space.catalog.database, event, as_of or None))
            if all_origins else None,
        )  # fmt: skip
        write_bytes(content, output)
        _tell_credits([credit.text() for credit in credits], form, output)
    if not len(found):
        tell_watched(network, "event", start, end, as_of=as_of)


@catalog_app.command("completeness")
def tell_completeness(
    start: AnyStart = "",
    end: AnyEnd = "",
    bbox: BoxOption = "",
    magnitude_type: Annotated[str, typer.Option("--type", help="Magnitude type.")] = "ML",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Estimate down to which magnitude the catalogue is complete, and the b-value."""
    from geomon.locating.completeness import TooFew, completeness
    from geomon.services.workspace import workspace

    region = box(bbox)
    found = workspace(load_made(config, "catalog")).catalog.events(
        start or None, end or None, region
    )
    ordered = sorted(found.summaries, key=lambda summary: summary.time)
    answer = completeness(
        [
            event.magnitude
            for event in ordered
            if event.magnitude is not None and event.magnitude_type == magnitude_type
        ]
    )
    if as_json:
        print_json({"magnitude_type": magnitude_type, **asdict(answer)})
    elif isinstance(answer, TooFew):
        print(f"completeness of {magnitude_type}: {answer.reason}")
    else:
        doubt = "" if answer.is_exponential else "; magnitudes above it are not exponential"
        print(
            f"complete from {magnitude_type} {answer.magnitude:.1f} ± {answer.uncertainty:.1f} "
            f"({answer.n_complete} of {answer.n_events} events), "
            f"b {answer.b_value:.2f} ± {answer.b_uncertainty:.2f}{doubt}"
        )


@catalog_app.command()
def export(
    output: OutputOption = None,
    start: AnyStart = "",
    end: AnyEnd = "",
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(_FILES)}.")] = (
        "quakeml"
    ),
    bbox: BoxOption = "",
    min_magnitude: MinOption = None,
    event_type: TypeOption = "",
    catalog: CatalogOption = "geomon",
    contributor: ContributorOption = "",
    as_of: AsOfOption = "",
    all_origins: AllOriginsOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write all events, or those that meet some conditions, to a file.

    With --json, stdout says what was written where.
    """
    if form not in _FILES:
        msg = f"--format {form}: allowed are {', '.join(_FILES)}"
        raise DataError(msg)
    if as_json and output is None:
        raise DataError("--json tells of a file: give --output FILE too")
    query(
        start=start, end=end, bbox=bbox, min_magnitude=min_magnitude, event_type=event_type,
        catalog=catalog, contributor=contributor, as_of=as_of, all_origins=all_origins, form=form,
        output=output, config=config,
    )  # fmt: skip
    if as_json:
        print_json({"file": str(output), "format": form})


@catalog_app.command()
def show(
    event_id: EventArgument,
    as_of: AsOfOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show one event: origin, magnitude, arrivals and history."""
    from geomon.services.workspace import workspace
    from geomon.stores.relocating import other_origins

    catalog = workspace(load_made(config, "catalog")).catalog
    event = catalog.event(event_id, as_of or None)
    if event is None:
        msg = f"{event_id}: no such event{f' as of {as_of}' if as_of else ''}"
        raise StoreError(msg)
    n_revisions = len(catalog.revisions(event.event_id))
    others = other_origins(catalog.database, event, as_of or None)
    if as_json:
        print_json(
            {
                **asdict(event),
                "n_revisions": n_revisions,
                "other_origins": [asdict(held) for held in others],
            }
        )
    else:
        print(_text(event, n_revisions, others))


@catalog_app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="An instant, ISO 8601 UTC.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A later one; now without.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell how the catalogue changed from one instant to another, or to now."""
    from geomon.services.workspace import workspace

    _check_order(before, after, "A", "B")
    network = load_made(config, "catalog", empty=[], as_json=as_json)
    found = workspace(network).catalog.diff(before, after or None)
    if as_json:
        print_json(
            [
                {
                    "event_id": one.event_id,
                    "kind": one.kind,
                    "columns": one.columns,
                    "before": one.before and one.before._asdict(),
                    "after": one.after and one.after._asdict(),
                }
                for one in found
            ]
        )
        return
    signs = {"added": "+", "removed": "-", "changed": "~"}
    for one in found:
        shown = one.after or one.before
        when = f"{shown.time:%Y-%m-%d %H:%M:%S}" if shown else ""
        print(f"{signs[one.kind]} {one.event_id}  {when}  {', '.join(one.columns)}".rstrip())
    told = [
        f"{sign} {sum(one.kind == kind for one in found)} {kind}" for kind, sign in signs.items()
    ]
    print(", ".join(told), file=sys.stderr)


@catalog_app.command("import")
def import_events(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="QuakeML 1.2 document."),
    ],
    into: Annotated[str, typer.Option(help="Name of the catalogue they go to.")] = "imported",
    contributor: Annotated[
        str, typer.Option(help="Agency they come from; by default the one each event names.")
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take in events of other agencies, kept apart from the own ones."""
    from geomon.services.workspace import workspace

    report = workspace(load(config)).catalog.import_quakeml(
        file.read_bytes(), name=str(file), catalog=into, contributor=contributor
    )
    if as_json:
        print_json(asdict(report))
        return
    print(
        f"{into}: {len(report.created)} new, {len(report.updated)} revised, "
        f"{len(report.unchanged)} known"
    )
    for problem in report.problems:
        print(f"geomon: {problem}", file=sys.stderr)


@catalog_app.command()
def digest(
    start: StartOption,
    end: EndOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Hash what the catalogue says of a span: equal for equal events and picks."""
    from geomon.services.workspace import workspace

    found = workspace(load(config)).catalog.digest(span_of(start, end))
    if as_json:
        print_json({"digest": found})
    else:
        print(found)


def _event_types(text: str) -> list[str] | None:
    """Read ``TYPE,TYPE``; None for an empty text."""
    if not text:
        return None
    from geomon.services.review import EVENT_TYPES

    types = [part.strip() for part in text.split(",")]
    if unknown := set(types).difference(EVENT_TYPES):
        msg = f"--event-type {min(unknown)}: QuakeML has {', '.join(EVENT_TYPES)}"
        raise DataError(msg)
    return types


def _check_order[T: (str, float)](
    low: T | None, high: T | None, low_name: str, high_name: str
) -> None:
    """Refuse times that cannot be read, and two limits that nothing can lie between."""
    values = [
        parse_time(one) if isinstance(one, str) else one
        for one in (low, high)
        if one is not None and one != ""
    ]
    if len(values) == 2 and values[1] < values[0]:
        msg = f"{high_name} {high} is below {low_name} {low}"
        raise DataError(msg)


def _tell_credits(credits: Sequence[str], form: str, output: Path | None) -> None:
    """Say whose waveforms events were found in; beside a file that has no place for it, in one."""
    for credit in credits:
        print(f"geomon: waveforms of {credit}", file=sys.stderr)
    if credits and output is not None and form in _WITHOUT_CREDITS:
        beside = output.with_name(f"{output.name}.credits.txt")
        beside.write_text("\n".join([*credits, ""]), encoding="utf-8")


def _mechanism(event: Event) -> list[str]:
    found = event.mechanism
    if found is None:
        return []
    return [
        f"mechanism  strike {found.strike_deg:.0f}°, dip {found.dip_deg:.0f}°, rake "
        f"{found.rake_deg:.0f}° ± {found.uncertainty_deg:.0f}°, class {found.quality}, "
        f"{found.n_polarities} polarities"
    ]


def _other(held: "HeldOrigin") -> str:
    origin = held.origin
    when = "never preferred" if held.revision is None else f"revision {held.revision}"
    return (
        f"  {origin.time:%Y-%m-%d %H:%M:%S.%f}  {origin.latitude:.4f} {origin.longitude:.4f} "
        f"{origin.depth_km:.2f} km  {origin.method}, {when}, run {held.run}"
    )


def _first_motion(pick: "Pick") -> str:
    """Return the direction of a first motion and how likely it is right; empty for none."""
    if pick.polarity == "undecidable":
        return ""
    chance = pick.polarity_probability
    direction = "up" if pick.polarity == "positive" else "down"
    return f"  {direction}" if chance is None else f"  {direction}, {100 * chance:.0f} %"


def _text(event: Event, n_revisions: int, others: "Sequence[HeldOrigin]") -> str:
    origin, magnitude = event.preferred_origin, event.preferred_magnitude
    low, high = origin.depth_interval_km
    sizes = [
        f"{one.magnitude_type} {one.value:.2f} ± {one.uncertainty:.2f} ({one.n_stations} stations)"
        for one in (magnitude, *event.other_magnitudes)
        if one is not None
    ]
    lines = [
        f"{event.event_id}  {event.event_type}, {event.review_state}, revision {event.revision} "
        f"of {n_revisions}, run {event.run}",
        f"origin     {origin.time:%Y-%m-%d %H:%M:%S.%f} UTC ± {origin.time_uncertainty_s:.2f} s",
        f"epicentre  {origin.latitude:.4f} {origin.longitude:.4f}, 68 % ellipse "
        f"{origin.ellipse_km[0]:.2f} × {origin.ellipse_km[1]:.2f} km, "
        f"azimuth {origin.ellipse_azimuth_deg:.0f}°",
        f"depth      {origin.depth_km:.2f} km, 68 % between {low:.2f} and {high:.2f} km",
        f"magnitude  {', '.join(sizes) or 'none'}",
        f"quality    {origin.quality}: rms {origin.rms_s:.3f} s, gap "
        f"{origin.azimuthal_gap_deg:.0f}°, nearest station {origin.nearest_station_km:.1f} km, "
        f"{origin.n_phases} phases at {origin.n_stations} stations",
        *_mechanism(event),
        f"method     {origin.method}, model {origin.velocity_model}",
        "  channel           phase  time                        residual  distance  weight  "
        "first motion",
    ]
    for arrival in sorted(event.arrivals, key=lambda one: one.pick.time):
        pick = arrival.pick
        lines.append(
            f"  {pick.seed_id!s:<17} {pick.phase:<6} {format_ns(to_ns(pick.time)):<27} "
            f"{arrival.residual_s:+7.3f} s {arrival.distance_km:6.1f} km {arrival.weight:7.2f}"
            f"{_first_motion(pick)}"
        )
    if others:
        lines += ["other origins", *map(_other, others)]
    return "\n".join(lines)
