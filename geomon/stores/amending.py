"""What analysts do to events: solve them anew, make, merge and split them, and take it back.

Every action is one run of its own; what it says of each event is a new revision, with who did it
and why. Nothing is overwritten: undoing an action is another one, which says again what was held
before. Automatic runs leave alone what a person touched (see `geomon.stores.replacing`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select, update

from geomon.errors import NotHeld, StoreError
from geomon.events import Event, ReviewState
from geomon.stores import schema
from geomon.stores.database import Database, Run, Write
from geomon.stores.event_rows import (
    Held,
    NewRevision,
    content_of,
    end_revisions,
    insert_revisions,
    load_events,
    new_event_ids,
    revise,
)
from geomon.stores.pick_rows import add_current, end_manual
from geomon.stores.queries import OWN
from geomon.stores.reviewing import find_event, find_held
from geomon.times import from_ns, to_ns


class Outdated(StoreError):
    """Someone else changed the event since it was read; look again and decide again."""


@dataclass(frozen=True, slots=True)
class Revision:
    """Who said what kind of thing about an event, when and why.

    `run_kind` is ``locate`` for automatic processing, which has no `actor`.
    """

    event_id: str
    revision: int
    time: datetime
    review_state: ReviewState
    event_type: str
    is_withdrawn: bool
    actor: str
    reason: str
    run: str
    run_kind: str


@dataclass(frozen=True, slots=True)
class Action:
    """One thing an analyst did: the revisions it made, and whether it can still be undone."""

    run: str
    time: datetime
    actor: str
    reason: str
    event_ids: tuple[str, ...]
    is_latest: bool


class Amendments:
    """The analysts' side of one catalogue's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---------------------------------------------------------------------------------- writing

    def amend(
        self, event: Event, *, state: ReviewState, actor: str, reason: str, revision: int
    ) -> str:
        """Give an event a solution, type or judgement made by a person.

        Parameters
        ----------
        event : Event
            What is to be held; `event_id` names which event.
        state : {"automatic", "reviewed", "confirmed", "rejected"}
            The judgement that goes with it.
        actor, reason : str
            Who says so, and why.
        revision : int
            The revision the analyst looked at.

        Raises
        ------
        Outdated
            If the event has a newer revision.
        NotHeld
            If there is no such event.
        """

        def work(write: Write) -> str:
            held = _expected(write.connection, event.event_id, revision)
            before = _event(write.connection, held)
            _say(write, held, replace(event, event_id=held.event_id), state, actor, reason)
            _settle(write, [before], [event])
            return held.event_id

        return self._write(work)

    def create(self, event: Event, *, actor: str, reason: str) -> str:
        """Add an event that automatic processing missed; return its id."""

        def work(write: Write) -> str:
            event_id = _create(write, event, actor, reason)
            _settle(write, [], [event])
            return event_id

        return self._write(work)

    def merge(
        self, event: Event, others: Sequence[tuple[str, int]], *, revision: int, actor: str,
        reason: str,
    ) -> str:  # fmt: skip
        """Let one event take over others, which lead to it from then on.

        Parameters
        ----------
        event : Event
            The joint solution; `event_id` names the event that stays.
        others : sequence of (str, int)
            Id and revision, as the analyst saw them, of the events that end.
        revision : int
            The revision of the event that stays.
        actor, reason : str
            Who says so, and why.

        Raises
        ------
        Outdated
            If any of the events has a newer revision.
        NotHeld
            If there is no such event.
        """

        def work(write: Write) -> str:
            into = _expected(write.connection, event.event_id, revision)
            gone = [_expected(write.connection, *other) for other in others]
            before = [_event(write.connection, held) for held in (into, *gone)]
            _say(write, into, event, "reviewed", actor, reason)
            why = reason or f"merged into {into.event_id}"
            revise(write, gone, reason=why, actor=actor, review_state="reviewed", is_withdrawn=True)
            _lead(write, gone, into.event_key)
            _settle(write, before, [event])
            return into.event_id

        return self._write(work)

    def split(
        self, stays: Event, leaves: Event, *, revision: int, actor: str, reason: str
    ) -> tuple[str, str]:
        """Make two events of one; return the ids of the one that stays and of the new one.

        Raises
        ------
        Outdated
            If the event has a newer revision.
        NotHeld
            If there is no such event.
        """

        def work(write: Write) -> tuple[str, str]:
            held = _expected(write.connection, stays.event_id, revision)
            before = _event(write.connection, held)
            _say(write, held, stays, "reviewed", actor, reason)
            made = _create(write, leaves, actor, reason or f"split from {held.event_id}")
            _settle(write, [before], [stays, leaves])
            return held.event_id, made

        return self._write(work)

    def comment(self, event_id: str, *, actor: str, reason: str) -> None:
        """Add a remark to an event's history; nothing else changes.

        Raises
        ------
        NotHeld
            If there is no such event.
        """
        self._write(
            lambda write: revise(
                write, [_held(write.connection, event_id)], reason=reason, actor=actor
            )
        )

    def undo(self, event_id: str, *, actor: str, reason: str = "") -> tuple[str, ...]:
        """Take back the action that made an event's current revision, on every event it changed.

        Each of them gets a new revision that says what the one before the action said; an event
        the action made is withdrawn, one it withdrew comes back.

        Returns
        -------
        tuple of str
            Ids of the events that changed.

        Raises
        ------
        Outdated
            If another event of the action was changed since.
        NotHeld
            If there is no such event, or no analyst's action to undo.
        """

        def work(write: Write) -> tuple[str, ...]:
            connection = write.connection
            touched = _of_last_action(connection, event_id)
            befores = [_before(connection, held) for held in touched]
            events = [None if one is None else _event(connection, one) for one in befores]
            now = [_event(connection, held) for held in touched if not held.is_withdrawn]
            said = reason or "undone"
            stands, gone = [], []
            for held, before, event in zip(touched, befores, events, strict=True):
                if before is None or event is None or before.is_withdrawn:
                    state: ReviewState = "automatic" if before is None else before.review_state
                    revise(
                        write, [held], reason=said, actor=actor, review_state=state,
                        is_withdrawn=True,
                    )  # fmt: skip
                    gone.append(held)
                else:
                    _say(write, held, event, before.review_state, actor, said)
                    stands.append(held)
            _lead(write, stands, None)
            _lead(write, gone, stands[0].event_key if len(stands) == 1 else None)
            _settle(write, now, [event for event in events if event is not None])
            return tuple(held.event_id for held in touched)

        return self._write(work)

    # ---------------------------------------------------------------------------------- reading

    def history(self, event_id: str) -> list[Revision]:
        """Return who changed an event, newest first; empty when it is unknown."""
        event = schema.event
        with self._database.read() as connection:
            key = _named(connection, event_id)
            rows = connection.execute(
                _revisions().where(event.c.id == key).order_by(schema.event_revision.c.id.desc())
            )
            return [_revision(row) for row in rows]

    def actions(self, limit: int = 50) -> list[Action]:
        """Return what analysts did last, newest first."""
        revision, run = schema.event_revision, schema.run
        with self._database.read() as connection:
            recent = connection.scalars(
                select(run.c.id).where(run.c.kind == "review").order_by(run.c.id.desc())
                .limit(limit)
            ).all()  # fmt: skip
            rows = connection.execute(
                _revisions(revision.c.valid_to)
                .where(revision.c.run.in_(recent))
                .order_by(revision.c.run.desc(), revision.c.id)
            ).all()
        actions = []
        for name, group in groupby(rows, key=lambda row: row[8]):
            of_run = list(group)
            revisions = [_revision(row) for row in of_run]
            actions.append(
                Action(
                    name, revisions[0].time, revisions[0].actor, revisions[0].reason,
                    tuple(one.event_id for one in revisions),
                    all(row[10] is None for row in of_run),
                )
            )  # fmt: skip
        return actions

    def _write[T](self, work: Callable[[Write], T]) -> T:
        return self._database.write(Run.begin("review"), work)


def _named(connection: Connection, event_id: str) -> int | None:
    """Return the row of an event by its own id, also of one that was merged, or any other name."""
    own = connection.scalar(select(schema.event.c.id).where(schema.event.c.event_id == event_id))
    return find_event(connection, event_id) if own is None else own


def _held(connection: Connection, event_id: str) -> Held:
    key = find_event(connection, event_id)
    held = find_held(connection, schema.event.c.id == key) if key is not None else []
    if not held or held[0].is_withdrawn:
        msg = f"{event_id}: no such event in the catalogue"
        raise NotHeld(msg)
    return held[0]


def _expected(connection: Connection, event_id: str, revision: int) -> Held:
    held = _held(connection, event_id)
    if held.event_id != event_id or held.revision != revision:
        msg = (
            f"{event_id}: changed since it was read (revision {held.revision} of {held.event_id}, "
            f"not {revision}); look at it again"
        )
        raise Outdated(msg)
    return held


def _event(connection: Connection, held: Held) -> Event:
    return load_events(connection, [held.revision_key])[0]


def _say(
    write: Write, held: Held, event: Event, state: ReviewState, actor: str, reason: str
) -> None:
    """Write the next revision of an event."""
    end_revisions(write, [held.revision_key])
    add_current(write, [pick for pick in event.picks if pick.evaluation_mode == "manual"])
    catalog = str(held.values["catalog"])
    insert_revisions(
        write,
        [
            NewRevision(
                held.event_key, held.revision + 1, event, content_of(event), catalog, reason,
                actor, state,
            )
        ],
        with_current_picks=catalog == OWN,
    )  # fmt: skip


def _create(write: Write, event: Event, actor: str, reason: str) -> str:
    table, content = schema.event, content_of(event)
    [event_id] = new_event_ids(write.connection, [(content, event)])
    [key] = write.new_ids(table, 1)
    owner_ns = to_ns(event.preferred_origin.time)
    row = {"id": key, "event_id": event_id, "catalog": OWN, "owner_ns": owner_ns,
           "merged_into": None, "run": write.run_key()}  # fmt: skip
    write.insert(table, [row])
    add_current(write, [pick for pick in event.picks if pick.evaluation_mode == "manual"])
    insert_revisions(write, [NewRevision(key, 1, event, content, OWN, reason, actor, "reviewed")])
    return event_id


def _settle(write: Write, before: Sequence[Event], after: Sequence[Event]) -> None:
    """End the manual picks that were taken out: they were somebody's idea of an event only."""
    kept = {pick for event in after for pick in event.picks}
    dropped = {
        pick for event in before for pick in event.picks if pick.evaluation_mode == "manual"
    } - kept
    end_manual(write, sorted(dropped))


def _lead(write: Write, events: Sequence[Held], to: int | None) -> None:
    """Let ids lead to another event, or to their own again."""
    table = schema.event
    for held in events:
        write.connection.execute(
            update(table).where(table.c.id == held.event_key).values(merged_into=to)
        )


def _of_last_action(connection: Connection, event_id: str) -> list[Held]:
    """Return the current revisions that the action behind an event's current one made.

    Raises
    ------
    Outdated
        If others of them were changed since.
    NotHeld
        If there is no such event, or the action was none of an analyst.
    """
    event, revision, run = schema.event, schema.event_revision, schema.run
    key = _named(connection, event_id)
    found = connection.execute(
        select(revision.c.run, run.c.kind)
        .join(run, run.c.id == revision.c.run)
        .where(revision.c.event == key, revision.c.valid_to.is_(None))
    ).first()
    if found is None:
        msg = f"{event_id}: no such event in the catalogue"
        raise NotHeld(msg)
    if found[1] != "review":
        msg = f"{event_id}: nobody has reviewed it since it was located, so nothing can be undone"
        raise NotHeld(msg)
    touched = connection.scalars(select(revision.c.event).where(revision.c.run == found[0])).all()
    held = find_held(connection, event.c.id.in_(touched), revision.c.run == found[0])
    if len(held) < len(touched):
        msg = f"{event_id}: other events of the same action were changed since; undo that first"
        raise Outdated(msg)
    return held


def _before(connection: Connection, held: Held) -> Held | None:
    """Return the revision an event had before its current one; None for its first."""
    revision = schema.event_revision
    row = connection.execute(
        select(revision.c.id, revision.c.review_state, revision.c.is_withdrawn).where(
            revision.c.event == held.event_key, revision.c.revision == held.revision - 1
        )
    ).first()
    if row is None:
        return None
    return replace(held, revision_key=row[0], review_state=row[1], is_withdrawn=row[2])


def _revisions(*more: ColumnElement[Any]) -> Select[Any]:
    event, revision, run = schema.event, schema.event_revision, schema.run
    return (
        select(
            event.c.event_id, revision.c.revision, revision.c.valid_from, revision.c.review_state,
            revision.c.event_type, revision.c.is_withdrawn, revision.c.actor, revision.c.reason,
            run.c.run_id, run.c.kind, *more,
        )
        .join(event, event.c.id == revision.c.event)
        .join(run, run.c.id == revision.c.run)
    )  # fmt: skip


def _revision(row: Row[Any]) -> Revision:
    return Revision(row[0], row[1], from_ns(row[2]), *row[3:10])
