"""Further origins of events held: what a later method says of where they were.

An event keeps all its origins, each with the run that made it; one of them is preferred. An event
that a person judged keeps the preferred one it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, func, select

from geomon.events import Event, Origin, ReviewState
from geomon.stores import schema
from geomon.stores.database import Database, Run, Write
from geomon.stores.event_rows import (
    Held,
    NewRevision,
    content_of,
    end_revisions,
    insert_origins,
    insert_revisions,
    load_events,
    load_origins,
)
from geomon.stores.queries import OWN, Time, as_ns
from geomon.stores.reviewing import find_event, find_held
from geomon.times import from_ns, to_ns


@dataclass(frozen=True, slots=True)
class HeldOrigin:
    """One of the origins of an event.

    Attributes
    ----------
    origin : Origin
        What it says.
    run : str
        The run that made it.
    is_preferred : bool
        Whether the event prefers it now.
    revision : int or None
        The first revision of the event that preferred it; None if none ever did.
    made_at : datetime, UTC
        When that revision became valid, or else when the run began.
    review_state : str
        How that revision was judged.
    """

    origin: Origin
    run: str
    is_preferred: bool
    revision: int | None
    made_at: datetime
    review_state: ReviewState = "automatic"


@dataclass(frozen=True, slots=True)
class OriginsChange:
    """Ids of events that got another origin, whose preferred one changed, or nothing new."""

    added: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def add_origins(
    database: Database,
    origins: Sequence[tuple[str, Origin]],
    run: Run,
    *,
    preferred: bool,
    why: str,
) -> OriginsChange:
    """Give events further origins; an origin held already changes nothing.

    Parameters
    ----------
    database : Database
        The catalogue's.
    origins : sequence of (event id, Origin)
        One for each event; events unknown or withdrawn meanwhile are passed over.
    run : Run
        What made them.
    preferred : bool
        Whether automatic events prefer them from now on; others never do.
    why : str
        Reason given for the events' new revisions.

    Raises
    ------
    StoreConflict
        If other writers stayed in the way.
    """
    return database.write(run, lambda write: _add(write, origins, preferred=preferred, why=why))


def origins_of(database: Database, event_id: str, as_of: Time | None = None) -> list[HeldOrigin]:
    """Return every origin held of an event, oldest first; empty when it is unknown.

    Parameters
    ----------
    database : Database
        The catalogue's.
    event_id : str
        The event.
    as_of : time, optional
        Only what had been made by then.

    Raises
    ------
    DataError
        If the time cannot be read.
    """
    with database.read() as connection:
        key = find_event(connection, event_id)
        if key is None:
            return []
        [held] = find_held(connection, schema.event.c.id == key)
        made = _made(connection, key)
        found = [
            HeldOrigin(origin, run, row == held.origin_key, revision, from_ns(made_ns), state)
            for row, origin in load_origins(connection, key)
            for run, revision, made_ns, state in [made[row]]
        ]
    return [one for one in found if as_of is None or to_ns(one.made_at) <= as_ns(as_of)]


def other_origins(database: Database, event: Event, as_of: Time | None = None) -> list[HeldOrigin]:
    """Return the origins held of an event that differ from its preferred one, oldest first.

    Of those that say the same, but for their arrivals, the first is returned.

    Raises
    ------
    DataError
        If the time cannot be read.
    """
    known = {said(event.preferred_origin)}
    found = []
    for held in origins_of(database, event.event_id, as_of):
        if (what := said(held.origin)) not in known:
            known.add(what)
            found.append(held)
    return found


def said(origin: Origin) -> str:
    """Return all that an origin says, but for its arrivals, as a text."""
    return repr(replace(origin, arrivals=()))


def _made(
    connection: Connection, event_key: int
) -> dict[int, tuple[str, int | None, int, ReviewState]]:
    """Return, by origin: its run; the first revision that preferred it, since when, its state."""
    origin, run, revision = schema.origin, schema.run, schema.event_revision
    query = (
        select(
            origin.c.id, run.c.run_id, revision.c.revision,
            func.coalesce(revision.c.valid_from, run.c.started_ns),
            func.coalesce(revision.c.review_state, "automatic"),
        )
        .join(run, run.c.id == origin.c.run)
        .outerjoin(revision, revision.c.origin == origin.c.id)
        .where(origin.c.event == event_key)
        .order_by(revision.c.revision.desc())
    )  # fmt: skip
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in connection.execute(query)}


def _add(
    write: Write, origins: Sequence[tuple[str, Origin]], *, preferred: bool, why: str
) -> OriginsChange:
    beside: list[tuple[int, Origin]] = []
    revised: list[tuple[Held, Origin]] = []
    added, promoted, unchanged = [], [], []
    for event_id, origin in origins:
        key = find_event(write.connection, event_id)
        held = find_held(write.connection, schema.event.c.id == key) if key is not None else []
        if not held or held[0].is_withdrawn:
            continue
        known = dict(load_origins(write.connection, held[0].event_key))
        if preferred and held[0].review_state == "automatic":
            if known.get(held[0].origin_key) == origin:
                unchanged.append(event_id)
            else:
                revised.append((held[0], origin))
                promoted.append(event_id)
        elif origin in known.values():
            unchanged.append(event_id)
        else:
            beside.append((held[0].event_key, origin))
            added.append(event_id)
    insert_origins(write, beside)
    _prefer(write, revised, why)
    return OriginsChange(tuple(added), tuple(promoted), tuple(unchanged))


def _prefer(write: Write, revised: Sequence[tuple[Held, Origin]], why: str) -> None:
    events = load_events(write.connection, [held.revision_key for held, _ in revised])
    new = [
        NewRevision(
            held.event_key,
            held.revision + 1,
            moved,
            content_of(moved),
            OWN,
            why,
        )
        for (held, origin), event in zip(revised, events, strict=True)
        for moved in [replace(event, preferred_origin=origin)]
    ]
    end_revisions(write, [held.revision_key for held, _ in revised])
    insert_revisions(write, new)
