"""What analysts said about events, as labels: who, when, why, and what they took off."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select

from geomon.events import Event, Pick
from geomon.stores.database import Database
from geomon.stores.event_rows import load_events
from geomon.stores.queries import OWN
from geomon.stores.schema import event as event_table
from geomon.stores.schema import event_revision as revision
from geomon.times import TimeSpan, from_ns, to_ns


@dataclass(frozen=True, slots=True)
class ReviewedEvent:
    """An event a person judged.

    Attributes
    ----------
    event : Event
        As it is now; also a rejected one.
    taken_off : tuple of Pick
        Picks that earlier revisions rested on and this one does not.
    actor, reason : str
        Who judged it last, and why.
    reviewed_at : datetime, UTC
        When.
    """

    event: Event
    taken_off: tuple[Pick, ...]
    actor: str
    reason: str
    reviewed_at: datetime


def reviewed_events(database: Database, span: TimeSpan) -> list[ReviewedEvent]:
    """Return the own catalogue's events of a span that a person judged, in time order."""
    wanted = select(revision.c.event).where(
        revision.c.valid_to.is_(None),
        revision.c.is_withdrawn.is_(False),
        revision.c.review_state != "automatic",
        revision.c.catalog == OWN,
        revision.c.time_ns >= span.start_ns,
        revision.c.time_ns < span.end_ns,
    )
    query = (
        select(
            revision.c.id, revision.c.event, revision.c.valid_to, revision.c.actor,
            revision.c.reason, revision.c.valid_from, revision.c.is_withdrawn,
        )
        .join(event_table, event_table.c.id == revision.c.event)
        .where(revision.c.event.in_(wanted), revision.c.is_withdrawn.is_(False))
        .order_by(revision.c.event, revision.c.revision)
    )  # fmt: skip
    with database.read() as connection:
        rows = connection.execute(query).all()
        events = dict(
            zip(
                (row.id for row in rows),
                load_events(connection, [row.id for row in rows]),
                strict=True,
            )
        )
    by_event: dict[int, list[Row[tuple[int, int, int | None, str, str, int, bool]]]] = {}
    for row in rows:
        by_event.setdefault(row.event, []).append(row)
    found = []
    for revisions in by_event.values():
        *before, now = revisions
        # The last one with an actor says who judged: a later run may have added a magnitude.
        judged = next((row for row in reversed(revisions) if row.actor), now)
        current = events[now.id]
        earlier = {pick for row in before for pick in events[row.id].picks}
        found.append(
            ReviewedEvent(
                current,
                tuple(sorted(earlier - set(current.picks))),
                judged.actor,
                judged.reason,
                from_ns(judged.valid_from),
            )
        )
    return sorted(found, key=lambda one: to_ns(one.event.preferred_origin.time))
