"""What an analyst does with events: judge them, solve them anew, make, merge and split them.

The command line and the page do the same through this module. A solution is proposed first,
without a change, and solved again from the same picks when it is saved; who did what, when and why
is kept with each revision (`geomon.stores.amending`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from geomon.config import Config
from geomon.errors import DataError, NotHeld
from geomon.events import Event, ReviewState
from geomon.services.proposals import (
    Proposal,
    WantedPick,
    as_wanted,
    check_actor,
    joint_picks,
    propose,
)
from geomon.services.workspace import workspace
from geomon.stores.amending import Amendments
from geomon.stores.catalog import Catalog
from geomon.times import to_ns

EVENT_TYPES = (
    "not existing", "not reported", "earthquake", "anthropogenic event", "collapse",
    "cavity collapse", "mine collapse", "building collapse", "explosion",
    "accidental explosion", "chemical explosion", "controlled explosion",
    "experimental explosion", "industrial explosion", "mining explosion", "quarry blast",
    "road cut", "blasting levee", "nuclear explosion", "induced or triggered event",
    "rock burst", "reservoir loading", "fluid injection", "fluid extraction", "crash",
    "plane crash", "train crash", "boat crash", "other event", "atmospheric event",
    "sonic boom", "sonic blast", "acoustic noise", "thunder", "avalanche", "snow avalanche",
    "debris avalanche", "hydroacoustic event", "ice quake", "slide", "landslide", "rockslide",
    "meteorite", "volcanic eruption",
)  # fmt: skip
"""QuakeML 1.2, ``EventType``."""

_STATES = get_args(ReviewState.__value__)


def save(
    config: Config,
    event_id: str,
    revision: int,
    picks: Sequence[WantedPick],
    *,
    actor: str,
    reason: str = "",
    depth_km: float | None = None,
    state: ReviewState = "reviewed",
) -> Event:
    """Give an event the solution of an analyst's picks; see `propose`.

    Raises
    ------
    DataError
        If the picks give no solution.
    Outdated
        If the event is no longer at this revision.
    NotHeld
        If there is no such event.
    """
    held = current(config, event_id)
    proposed = _needed(propose(config, picks, actor=actor, event=held, depth_km=depth_km))
    _amendments(config).amend(
        proposed,
        state=state_named(state),
        actor=actor,
        reason=reason or "relocated",
        revision=revision,
    )
    return current(config, event_id)


def create(
    config: Config,
    picks: Sequence[WantedPick],
    *,
    actor: str,
    reason: str = "",
    depth_km: float | None = None,
    event_type: str = "earthquake",
) -> Event:
    """Add an event that was missed.

    Raises
    ------
    DataError
        If the picks give no solution, or the type is none of QuakeML's.
    """
    proposed = _needed(propose(config, picks, actor=actor, depth_km=depth_km))
    made = replace(proposed, event_type=_event_type(event_type))
    event_id = _amendments(config).create(made, actor=actor, reason=reason or "missed")
    return current(config, event_id)


def merge(
    config: Config,
    event_id: str,
    revision: int,
    others: Sequence[tuple[str, int]],
    *,
    actor: str,
    reason: str = "",
    picks: Sequence[WantedPick] | None = None,
) -> Event:
    """Let one event take over others.

    By default it is solved from the picks of all: one a station and phase, its own first.

    Raises
    ------
    DataError
        If no other event is named, or the picks give no solution.
    Outdated
        If one of the events is no longer at the revision given.
    NotHeld
        If one of them is unknown.
    """
    held = current(config, event_id)
    wrong = [other for other, _ in others if other == held.event_id]
    if not others or wrong:
        msg = f"{event_id}: name another event to merge into it"
        raise DataError(msg)
    union = picks or joint_picks([held, *(current(config, other) for other, _ in others)])
    proposed = _needed(propose(config, union, actor=actor, event=held))
    _amendments(config).merge(proposed, others, revision=revision, actor=actor, reason=reason)
    return current(config, event_id)


def split(
    config: Config,
    event_id: str,
    revision: int,
    leaving: Sequence[WantedPick],
    *,
    actor: str,
    reason: str = "",
) -> tuple[Event, Event]:
    """Make a second event of some picks of one; both are solved anew.

    Returns
    -------
    (Event, Event)
        The one that stays, and the new one.

    Raises
    ------
    DataError
        If either part gives no solution.
    Outdated
        If the event is no longer at this revision.
    NotHeld
        If there is no such event.
    """
    held = current(config, event_id)
    gone = {(one.seed_id.stream_id, one.phase, to_ns(one.time)) for one in leaving}
    rest = [
        one
        for one in as_wanted(held.picks)
        if (one.seed_id.stream_id, one.phase, to_ns(one.time)) not in gone
    ]
    stays = _needed(propose(config, rest, actor=actor, event=held), "what stays")
    leaves = _needed(propose(config, leaving, actor=actor), "the new event")
    one, two = _amendments(config).split(
        stays, leaves, revision=revision, actor=actor, reason=reason
    )
    return current(config, one), current(config, two)


def judge(
    config: Config,
    event_id: str,
    *,
    actor: str,
    state: ReviewState | None = None,
    event_type: str | None = None,
    reason: str = "",
) -> Event:
    """Say what an event is: confirmed or rejected, or of another type.

    Raises
    ------
    DataError
        If the state or the type is none there is.
    NotHeld
        If there is no such event.
    """
    check_actor(actor)
    held = current(config, event_id)
    new_state = held.review_state if state is None else state_named(state)
    new_type = held.event_type if event_type is None else _event_type(event_type)
    if new_type != held.event_type and new_state == "automatic":
        new_state = "reviewed"  # or the next automatic run would take the type back
    if (new_state, new_type) == (held.review_state, held.event_type):
        return held
    _amendments(config).amend(
        replace(held, event_type=new_type), state=new_state, actor=actor,
        reason=reason or (new_type if new_type != held.event_type else new_state),
        revision=held.revision,
    )  # fmt: skip
    return current(config, event_id)


def comment(config: Config, event_id: str, *, actor: str, reason: str) -> Event:
    """Add a remark to an event's history.

    Raises
    ------
    DataError
        If the remark is empty.
    NotHeld
        If there is no such event.
    """
    check_actor(actor)
    if not reason.strip():
        msg = f"{event_id}: the remark is empty"
        raise DataError(msg)
    _amendments(config).comment(event_id, actor=actor, reason=reason)
    return current(config, event_id)


def undo(config: Config, event_id: str, *, actor: str, reason: str = "") -> tuple[str, ...]:
    """Take back the last thing an analyst did to an event; see `Amendments.undo`."""
    check_actor(actor)
    return _amendments(config).undo(event_id, actor=actor, reason=reason)


def restore(
    config: Config, event_id: str, revision: int, to: int, *, actor: str, reason: str = ""
) -> Event:
    """Say again, in a new revision, what an event's earlier one said.

    Raises
    ------
    Outdated
        If the event is no longer at `revision`.
    NotHeld
        If there is no such event or revision.
    """
    check_actor(actor)
    held = current(config, event_id)
    earlier = [one for one in _catalog(config).revisions(held.event_id) if one.revision == to]
    if not earlier:
        msg = f"{event_id}: has no revision {to}"
        raise NotHeld(msg)
    state = "reviewed" if earlier[0].review_state == "automatic" else earlier[0].review_state
    _amendments(config).amend(
        earlier[0], state=state, actor=actor, reason=reason or f"as in revision {to}",
        revision=revision,
    )  # fmt: skip
    return current(config, event_id)


def current(config: Config, event_id: str) -> Event:
    """Return an event as it is held now.

    Raises
    ------
    NotHeld
        If there is no such event.
    """
    found = _catalog(config).event(event_id)
    if found is None:
        msg = f"{event_id}: no such event in the catalogue"
        raise NotHeld(msg)
    return found


def _catalog(config: Config) -> Catalog:
    return workspace(config).catalog


def _amendments(config: Config) -> Amendments:
    return Amendments(_catalog(config).database)


def _needed(proposal: Proposal, what: str = "the event") -> Event:
    """Return the event proposed.

    Raises
    ------
    DataError
        If there is none.
    """
    if proposal.event is None:
        msg = f"{what} cannot be located: {proposal.reason}"
        raise DataError(msg)
    return proposal.event


def state_named(state: str) -> ReviewState:
    """Return a state that there is.

    Raises
    ------
    DataError
        If it is none.
    """
    for known in _STATES:
        if state == known:
            return known  # type: ignore[no-any-return]
    msg = f"state {state[:40]!r}: allowed are {', '.join(_STATES)}"
    raise DataError(msg)


def _event_type(event_type: str) -> str:
    """Return a type that QuakeML has.

    Raises
    ------
    DataError
        If it has no such type.
    """
    if event_type not in EVENT_TYPES:
        msg = f"event type {event_type[:40]!r}: QuakeML has {', '.join(EVENT_TYPES)}"
        raise DataError(msg)
    return event_type
