"""Further origins of events held: what a later method says of where they were.

An event keeps all its origins, each with the run that made it; one of them is preferred. An event
that a person judged keeps the preferred one it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from geomon.events import Origin
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
from geomon.stores.queries import OWN
from geomon.stores.reviewing import find_event, find_held


@dataclass(frozen=True, slots=True)
class HeldOrigin:
    """One of the origins of an event, the run that made it, and whether it is preferred."""

    origin: Origin
    run: str
    is_preferred: bool


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


def origins_of(database: Database, event_id: str) -> list[HeldOrigin]:
    """Return every origin held of an event, oldest first; empty when it is unknown."""

    def read(connection: Connection) -> list[HeldOrigin]:
        key = find_event(connection, event_id)
        if key is None:
            return []
        [held] = find_held(connection, schema.event.c.id == key)
        table, run = schema.origin, schema.run
        query = select(table.c.id, run.c.run_id).join(run, run.c.id == table.c.run)
        runs = dict(row._tuple() for row in connection.execute(query.where(table.c.event == key)))
        return [
            HeldOrigin(origin, runs[row], row == held.origin_key)
            for row, origin in load_origins(connection, key)
        ]

    with database.read() as connection:
        return read(connection)


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
