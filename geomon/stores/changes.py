"""What became of the catalogue's events since an instant, in the order it happened."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, and_, exists, or_, select

from geomon.stores.queries import summaries
from geomon.stores.schema import event
from geomon.stores.schema import event_revision as revision
from geomon.stores.summary import EventSummary

type What = Literal["created", "updated", "withdrawn"]


@dataclass(frozen=True, slots=True)
class EventChange:
    """The newest state of an event that is not what it was.

    Attributes
    ----------
    stamp_ns : int
        When it changed, by the catalogue's clock; events changed together share it.
    event_id : str
        The event.
    what : {"created", "updated", "withdrawn"}
        How a list of events changes by it: one rejected by a person leaves the list too.
    revision : int
        Number of its newest revision.
    merged_into : str or None
        The event that took its place.
    summary : EventSummary
        What its newest revision says.
    """

    stamp_ns: int
    event_id: str
    what: What
    revision: int
    merged_into: str | None
    summary: EventSummary


def changes(
    connection: Connection, since_ns: int, *, catalog: str | None, limit: int
) -> list[EventChange] | None:
    """Return the events changed after an instant; see `Catalog.changes`."""
    before, heir = revision.alias(), event.alias()
    was_listed = exists(
        select(before.c.id).where(
            before.c.event == revision.c.event,
            before.c.valid_from <= since_ns,
            before.c.valid_to > since_ns,
            before.c.is_withdrawn.is_(False),
            before.c.review_state != "rejected",
        )
    )
    is_gone = or_(revision.c.is_withdrawn, revision.c.review_state == "rejected")
    conditions = [revision.c.valid_to.is_(None), revision.c.valid_from > since_ns]
    if catalog is not None:
        conditions.append(revision.c.catalog == catalog)
    rows = connection.execute(
        select(
            revision.c.id, revision.c.valid_from, event.c.event_id, is_gone, was_listed,
            revision.c.revision, heir.c.event_id,
        )
        .join(event, event.c.id == revision.c.event)
        .outerjoin(heir, and_(is_gone, heir.c.id == event.c.merged_into))
        .where(*conditions)
        .order_by(revision.c.valid_from, revision.c.time_ns, revision.c.id)
        .limit(limit + 1)
    ).all()  # fmt: skip
    if len(rows) > limit:
        return None
    said = summaries(connection, [row[0] for row in rows])
    return [
        EventChange(
            stamp_ns,
            event_id,
            "withdrawn" if gone else "updated" if listed else "created",
            number,
            heir_id,
            said[key],
        )
        for key, stamp_ns, event_id, gone, listed, number, heir_id in rows
    ]
