"""What people do to events: judge them, and name them."""

from typing import Any

from sqlalchemy import Connection, Select, select

from geomon.errors import StoreError
from geomon.events import ReviewState
from geomon.stores.database import Write
from geomon.stores.event_rows import Held, revise
from geomon.stores.schema import event, event_alias
from geomon.stores.schema import event_revision as revision


def select_held() -> Select[Any]:
    """Return the query whose rows are the arguments of `Held`: current revisions of events."""
    return (
        select(
            event.c.id, event.c.event_id, event.c.owner_ns, revision.c.id, revision.c.revision,
            revision.c.origin, revision.c.magnitude, revision.c.time_ns,
            revision.c.magnitude_value, revision.c.cell, revision.c.content,
            revision.c.review_state, revision.c.is_withdrawn, revision.c.event_type,
            revision.c.probability, revision.c.reasons,
        )
        .join(revision, revision.c.event == event.c.id)
        .where(revision.c.valid_to.is_(None))
    )  # fmt: skip


def find_event(connection: Connection, event_id: str) -> int | None:
    """Return the row of an event by its id or a foreign one, following merges."""
    row = connection.execute(
        select(event.c.id, event.c.merged_into).where(event.c.event_id == event_id)
    ).first()
    if row is None:
        row = connection.execute(
            select(event.c.id, event.c.merged_into)
            .join(event_alias, event_alias.c.event == event.c.id)
            .where(event_alias.c.alias == event_id)
        ).first()
    while row is not None and row[1] is not None:
        row = connection.execute(
            select(event.c.id, event.c.merged_into).where(event.c.id == row[1])
        ).one()
    return None if row is None else row[0]


def review(write: Write, event_id: str, state: ReviewState, actor: str, reason: str) -> None:
    """Give an event a review state, as a new revision; see `Catalog.review`.

    Raises
    ------
    StoreError
        If there is no such event.
    """
    key = find_event(write.connection, event_id)
    row = write.connection.execute(select_held().where(event.c.id == key)).first()
    if row is None or (held := Held(*row)).is_withdrawn:
        msg = f"{event_id}: no such event in the catalogue"
        raise StoreError(msg)
    if held.review_state != state:
        revise(write, [held], reason=reason or state, actor=actor, review_state=state)
