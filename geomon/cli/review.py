"""The command that reviews events: what the page does, for scripts and terminals."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, get_args

import typer

from geomon.cli.common import DEFAULT_CONFIG, ConfigOption, JsonOption, load_made, print_json
from geomon.config import Config
from geomon.errors import DataError
from geomon.events import Event, Phase, Polarity
from geomon.ids import SeedId
from geomon.times import from_ns, parse_time

if TYPE_CHECKING:
    from geomon.services.proposals import WantedPick

_NEW = "new"
_PHASES, _POLARITIES = get_args(Phase.__value__), get_args(Polarity.__value__)


class _Signed(TypedDict):
    """Who reviews, and why."""

    actor: str
    reason: str


EventArgument = Annotated[
    str, typer.Argument(metavar="EVENT", help="Event id; new for an event that was missed.")
]
ActorOption = Annotated[str, typer.Option(help="Who judges; kept with the change.")]
StateOption = Annotated[str, typer.Option(help="automatic, reviewed, confirmed or rejected.")]
TypeOption = Annotated[str, typer.Option("--type", help="A QuakeML event type.")]
DepthOption = Annotated[
    float | None, typer.Option("--depth", help="Locate again at this depth, km.")
]
PickOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Locate again with this pick moved or added: NET.STA.LOC.CHA.P=TIME, then, "
        "if known, ,UNCERTAINTY_S and ,POLARITY; as often as needed."
    ),
]
PicksOption = Annotated[
    Path | None, typer.Option(help="More of them, in CSV as `geomon picks query` writes it.")
]
DropOption = Annotated[
    str, typer.Option(help="Locate again without these picks: NET.STA.P,NET.STA.S,…")
]
SplitOption = Annotated[
    str, typer.Option(help="Make a second event of these picks: NET.STA.P,NET.STA.S,…")
]
MergeOption = Annotated[str, typer.Option(help="Ids of events that are this one too.")]
RestoreOption = Annotated[int | None, typer.Option(help="Say again what this revision said.")]
UndoOption = Annotated[bool, typer.Option("--undo", help="Take back the last review.")]
ReasonOption = Annotated[str, typer.Option(help="Why; alone, it is a remark.")]


def review(
    event_id: EventArgument,
    actor: ActorOption,
    state: StateOption = "",
    event_type: TypeOption = "",
    depth_km: DepthOption = None,
    pick: PickOption = None,
    picks: PicksOption = None,
    drop: DropOption = "",
    split: SplitOption = "",
    merge: MergeOption = "",
    restore: RestoreOption = None,
    undo: UndoOption = False,
    reason: ReasonOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Judge an event, solve it anew, add, merge or split events, or take a review back.

    Whatever is done is a new revision; later automatic runs respect it.
    """
    from geomon.services import review as service

    network, signed = load_made(config, "catalog"), _Signed(actor=actor, reason=reason)
    solves = depth_km is not None or bool(pick or picks or drop)
    others = bool(merge or split or undo or restore is not None)
    if event_id == _NEW:
        if others or state or drop or not (pick or picks):
            msg = "a new event is made of --pick or --picks, with --depth and --type if need be"
            raise DataError(msg)
        made = service.create(
            network, _read(pick or (), picks), depth_km=depth_km,
            event_type=event_type or "earthquake", **signed,
        )  # fmt: skip
        _tell(network, [made], as_json=as_json)
        return
    given = [bool(state or event_type), solves, bool(merge), bool(split), restore is not None, undo]
    if sum(given) > 1 or not (any(given) or reason):
        msg = (
            "say one thing at a time: --state and --type, or --depth, --pick, --picks and --drop, "
            "or --merge, --split, --restore, --undo, or a remark with --reason"
        )
        raise DataError(msg)
    if undo:
        for changed in service.undo(network, event_id, **signed):
            print(f"{changed}: as before")
        return
    held = service.current(network, event_id)
    seen = held.event_id, held.revision
    if state or event_type:
        named = service.state_named(state) if state else None
        what = event_type or None
        held = service.judge(network, event_id, state=named, event_type=what, **signed)
    elif solves:
        wanted = _changed(_parted(held, drop, "--drop")[1], _read(pick or (), picks))
        held = service.save(network, *seen, wanted, depth_km=depth_km, **signed)
    elif merge:
        joined = [service.current(network, other.strip()) for other in merge.split(",")]
        held = service.merge(
            network, *seen, [(one.event_id, one.revision) for one in joined], **signed
        )
    elif split:
        both = service.split(network, *seen, _parted(held, split, "--split")[0], **signed)
        _tell(network, both, as_json=as_json)
        return
    elif restore is not None:
        held = service.restore(network, *seen, restore, **signed)
    else:
        held = service.comment(network, event_id, **signed)
    _tell(network, [held], as_json=as_json)


def _tell(network: Config, events: Sequence[Event], *, as_json: bool) -> None:
    """Say what became of events: the one, or the one that stays and the new one."""
    from geomon.services.workspace import workspace
    from geomon.stores.amending import Amendments

    amendments = Amendments(workspace(network).catalog.database)
    rows: list[dict[str, Any]] = []
    for event in events:
        newest, *_ = amendments.history(event.event_id)
        rows.append(
            {"event_id": event.event_id, "review_state": event.review_state,
             "event_type": event.event_type, "revision": event.revision,
             "actor": newest.actor, "reason": newest.reason}
        )  # fmt: skip
        if not as_json:
            origin = event.preferred_origin
            print(
                f"{event.event_id}: {event.review_state}, {event.event_type}, revision "
                f"{event.revision}, {origin.latitude:.4f} {origin.longitude:.4f} "
                f"{origin.depth_km:.2f} km"
            )
    if as_json:
        print_json(rows[0] if len(rows) == 1 else rows)


def _parted(event: Event, names: str, option: str) -> tuple[list["WantedPick"], list["WantedPick"]]:
    """Return an event's picks that are named, and the others.

    Raises
    ------
    DataError
        If the event has no such pick.
    """
    from geomon.services.proposals import as_wanted

    known = {f"{pick.seed_id.station_id}.{pick.phase}": pick for pick in event.picks}
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := sorted(wanted - known.keys()):
        msg = f"{option} {unknown[0]}: {event.event_id} has {', '.join(sorted(known))}"
        raise DataError(msg)
    return (
        as_wanted(pick for name, pick in known.items() if name in wanted),
        as_wanted(pick for name, pick in known.items() if name not in wanted),
    )


def _changed(held: Iterable["WantedPick"], new: Iterable["WantedPick"]) -> list["WantedPick"]:
    """Return picks with new ones in the place of those of the same station and phase."""
    by_name = {(pick.seed_id.station_id, pick.phase): pick for pick in (*held, *new)}
    return list(by_name.values())


def _read(texts: Iterable[str], file: Path | None) -> list["WantedPick"]:
    """Read picks as they are given in options and in a file.

    Raises
    ------
    DataError
        If one of them cannot be read.
    """
    found = []
    for text in texts:
        name, _, rest = text.partition("=")
        channel, _, phase = name.strip().rpartition(".")
        time, uncertainty, polarity, *_ = *rest.split(","), "", ""
        cells = {"phase": phase, "time": time, "uncertainty_s": uncertainty, "polarity": polarity}
        found.append(_wanted(channel, cells, f"--pick {text}"))
    if file is not None:
        try:
            with file.open(encoding="utf-8", newline="") as lines:
                rows = list(csv.DictReader(lines))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            msg = f"--picks {file}: cannot be read: {error}"
            raise DataError(msg) from error
        for number, row in enumerate(rows, 2):
            codes = (row.get(code) or "" for code in ("network", "station", "location", "channel"))
            found.append(_wanted(".".join(codes), row, f"--picks {file}, line {number}"))
    return found


def _wanted(channel: str, cells: Mapping[str, str | None], said: str) -> "WantedPick":
    """Return one pick.

    Raises
    ------
    DataError
        If something of it cannot be read.
    """
    from geomon.services.proposals import WantedPick

    phase, polarity = cells.get("phase") or "", cells.get("polarity") or "undecidable"
    try:
        if phase not in _PHASES or polarity not in _POLARITIES:
            msg = f"phases are {' and '.join(_PHASES)}, polarities {', '.join(_POLARITIES)}"
            raise DataError(msg)
        uncertainty = cells.get("uncertainty_s")
        return WantedPick(
            SeedId.parse(channel),
            phase,  # type: ignore[arg-type]
            from_ns(parse_time((cells.get("time") or "").strip())),
            float(uncertainty) if uncertainty else None,
            polarity,  # type: ignore[arg-type]
        )
    except (DataError, ValueError) as error:
        msg = f"{said}: {error}; write NET.STA.LOC.CHA.P=TIME"
        raise DataError(msg) from error
