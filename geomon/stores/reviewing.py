"""What people do to events: judge them, and name them."""

from sqlalchemy import ColumnElement, Connection, select

from geomon.errors import NotHeld
from geomon.events import ReviewState
from geomon.stores.database import Write
from geomon.stores.event_rows import COPIED, Held, revise
from geomon.stores.schema import event, event_alias
from geomon.stores.schema import event_revision as revision


def find_held(connection: Connection, *conditions: ColumnElement[bool]) -> list[Held]:
    """Return the current revisions of the events that meet conditions, oldest event first."""
    query = (
        select(
            event.c.id, event.c.event_id, event.c.owner_ns, revision.c.id, revision.c.revision,
            revision.c.review_state, revision.c.is_withdrawn,
            *(revision.c[name] for name in COPIED),
        )
        .join(revision, revision.c.event == event.c.id)
        .where(revision.c.valid_to.is_(None), *conditions)
        .order_by(event.c.id)
    )  # fmt: skip
    return [
        Held(key, event_id, owner_ns, row, number, state, is_withdrawn,
             dict(zip(COPIED, values, strict=True)))
        for key, event_id, owner_ns, row, number, state, is_withdrawn, *values
        in connection.execute(query)
    ]  # fmt: skip


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
    NotHeld
        If there is no such event.
    """
    key = find_event(write.connection, event_id)
    held = find_held(write.connection, event.c.id == key) if key is not None else []
    if not held or held[0].is_withdrawn:
        msg = f"{event_id}: no such event in the catalogue"
        raise NotHeld(msg)
    if held[0].review_state != state:
        revise(write, held, reason=reason or state, actor=actor, review_state=state)
