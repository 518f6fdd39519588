"""The command that reviews events: what the page does, for scripts and terminals."""

from typing import TYPE_CHECKING, Annotated

import typer

from geomon.cli.common import DEFAULT_CONFIG, ConfigOption, JsonOption, load, print_json
from geomon.errors import DataError
from geomon.events import Event

if TYPE_CHECKING:
    from geomon.services.proposals import WantedPick


def review(
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="Event id.")],
    actor: Annotated[str, typer.Option(help="Who judges; kept with the change.")],
    state: Annotated[str, typer.Option(help="automatic, reviewed, confirmed or rejected.")] = "",
    event_type: Annotated[str, typer.Option("--type", help="A QuakeML event type.")] = "",
    depth_km: Annotated[
        float | None, typer.Option("--depth", help="Locate again at this depth, km.")
    ] = None,
    drop: Annotated[
        str, typer.Option(help="Locate again without these picks: NET.STA.P,NET.STA.S,…")
    ] = "",
    merge: Annotated[str, typer.Option(help="Ids of events that are this one too.")] = "",
    restore: Annotated[int | None, typer.Option(help="Say again what this revision said.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last review.")] = False,
    reason: Annotated[str, typer.Option(help="Why; alone, it is a remark.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Judge an event, solve it anew, merge others into it, or take a review back.

    Whatever is done is a new revision; later automatic runs respect it.
    """
    from geomon.services import review as service
    from geomon.services.workspace import workspace
    from geomon.stores.amending import Amendments

    network = load(config)
    given = [bool(state or event_type), depth_km is not None or bool(drop), bool(merge),
             restore is not None, undo]  # fmt: skip
    if sum(given) > 1 or not (any(given) or reason):
        msg = (
            "say one thing at a time: --state and --type, or --depth and --drop, --merge, "
            "--restore, --undo, or a remark with --reason"
        )
        raise DataError(msg)
    if undo:
        for changed in service.undo(network, event_id, actor=actor, reason=reason):
            print(f"{changed}: as before")
        return
    held = service.current(network, event_id)
    if state or event_type:
        held = service.judge(
            network, event_id, actor=actor, reason=reason,
            state=service.state_named(state) if state else None, event_type=event_type or None,
        )  # fmt: skip
    elif depth_km is not None or drop:
        held = service.save(
            network, event_id, held.revision, _without(held, drop), actor=actor, reason=reason,
            depth_km=depth_km,
        )  # fmt: skip
    elif merge:
        others = [service.current(network, other) for other in merge.split(",")]
        held = service.merge(
            network, event_id, held.revision, [(one.event_id, one.revision) for one in others],
            actor=actor, reason=reason,
        )  # fmt: skip
    elif restore is not None:
        held = service.restore(
            network, event_id, held.revision, restore, actor=actor, reason=reason
        )
    else:
        held = service.comment(network, event_id, actor=actor, reason=reason)
    if as_json:
        history = Amendments(workspace(network).catalog.database).history(held.event_id)
        print_json({"event_id": held.event_id, "review_state": held.review_state,
                    "event_type": held.event_type, "revision": held.revision,
                    "actor": history[0].actor, "reason": history[0].reason})  # fmt: skip
    else:
        origin = held.preferred_origin
        print(
            f"{held.event_id}: {held.review_state}, {held.event_type}, revision {held.revision}, "
            f"{origin.latitude:.4f} {origin.longitude:.4f} {origin.depth_km:.2f} km"
        )


def _without(event: Event, drop: str) -> list["WantedPick"]:
    """Return an event's picks but for those named.

    Raises
    ------
    DataError
        If the event has no such pick.
    """
    from geomon.services.proposals import as_wanted

    names = {f"{pick.seed_id.station_id}.{pick.phase}": pick for pick in event.picks}
    gone = {name.strip() for name in drop.split(",") if name.strip()}
    if unknown := sorted(gone - names.keys()):
        msg = f"--drop {unknown[0]}: {event.event_id} has {', '.join(sorted(names))}"
        raise DataError(msg)
    return as_wanted(pick for name, pick in names.items() if name not in gone)
