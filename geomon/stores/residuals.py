"""How one station's picks fitted the events they belong to."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from geomon.events import Phase
from geomon.ids import StationId
from geomon.stores import schema
from geomon.stores.database import Database, stream_ids
from geomon.times import TimeSpan, from_ns


@dataclass(frozen=True, slots=True)
class Residual:
    """One arrival of a current event; `residual_s` is observed minus predicted."""

    event_id: str
    phase: Phase
    time: datetime
    residual_s: float
    distance_km: float | None
    weight: float | None


def residuals(
    database: Database, station_id: StationId, span: TimeSpan, *, limit: int
) -> list[Residual]:
    """Return the newest residuals of a station in a span, oldest first."""
    pick, arrival = schema.pick, schema.arrival
    revision, event = schema.event_revision, schema.event
    with database.read() as connection:
        keys = [
            key for key, stream in stream_ids(connection).items() if stream.station_id == station_id
        ]
        query = (
            select(
                event.c.event_id, pick.c.phase, pick.c.time_ns, arrival.c.residual_s,
                arrival.c.distance_km, arrival.c.weight,
            )
            .join(arrival, arrival.c.pick == pick.c.id)
            .join(revision, revision.c.origin == arrival.c.origin)
            .join(event, event.c.id == revision.c.event)
            .where(
                pick.c.stream.in_(keys),
                pick.c.time_ns >= span.start_ns,
                pick.c.time_ns < span.end_ns,
                arrival.c.residual_s.is_not(None),
                revision.c.valid_to.is_(None),
                revision.c.is_withdrawn.is_(False),
                revision.c.review_state != "rejected",
            )
            .order_by(pick.c.time_ns.desc())
            .limit(limit)
        )  # fmt: skip
        rows = connection.execute(query).all()
    return [
        Residual(row[0], row[1], from_ns(row[2]), row[3], row[4], row[5]) for row in reversed(rows)
    ]
