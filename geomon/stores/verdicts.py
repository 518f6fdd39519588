"""What people say of single picks, and which picks and events most need to be looked at.

A verdict outlives the picker that made the pick: it says that at this stream and time the phase is
there, or that nothing is. They are labels to learn from; a manual pick is one of its own.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Select, case, func, select

from geomon.errors import NotHeld
from geomon.events import Phase, Pick
from geomon.ids import StreamId
from geomon.stores import schema
from geomon.stores.database import Database, Run, Write, stream_ids
from geomon.stores.pick_rows import PICK_COLUMNS, PickReader, users
from geomon.stores.queries import OWN
from geomon.times import TimeSpan, from_ns, to_ns

type Judgement = Literal["correct", "wrong", "unsure"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What someone said of a pick: it is right, there is nothing, or it cannot be told."""

    pick: Pick
    verdict: Judgement
    actor: str
    reason: str
    judged: datetime


class Verdicts:
    """The verdicts kept in one catalogue's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def judge(self, pick: Pick, verdict: Judgement, *, actor: str, reason: str = "") -> Verdict:
        """Say of a pick whether it is right; whatever was said before stays readable.

        Raises
        ------
        NotHeld
            If there is no such pick.
        """

        def work(write: Write) -> int:
            key = _row_of(write.connection, pick)
            table, now = schema.pick_verdict, write.stamp_ns()
            [row] = write.new_ids(table, 1)
            values = {"id": row, "pick": key, "verdict": verdict, "actor": actor,
                      "reason": reason, "judged_ns": now, "run": write.run_key()}  # fmt: skip
            write.insert(table, [values])
            return now

        judged_ns = self._database.write(Run.begin("verdict"), work)
        return Verdict(pick, verdict, actor, reason, from_ns(judged_ns))

    def find(self, span: TimeSpan, *, stream_id: StreamId | None = None) -> list[Verdict]:
        """Return the newest verdict on each pick of a span, in pick order."""
        table, pick = schema.pick_verdict, schema.pick
        newest = select(func.max(table.c.id)).group_by(table.c.pick)
        query = (
            select(*PICK_COLUMNS, table.c.verdict, table.c.actor, table.c.reason, table.c.judged_ns)
            .join(table, table.c.pick == pick.c.id)
            .where(
                table.c.id.in_(newest),
                pick.c.time_ns >= span.start_ns,
                pick.c.time_ns < span.end_ns,
            )
        )
        with self._database.read() as connection:
            if stream_id is not None:
                keys = [key for key, known in stream_ids(connection).items() if known == stream_id]
                query = query.where(pick.c.stream.in_(keys))
            reader = PickReader(connection)
            found = [
                Verdict(reader.pick(row), verdict, actor, reason, from_ns(judged_ns))
                for row in connection.execute(query)
                for verdict, actor, reason, judged_ns in [row[len(PICK_COLUMNS) :]]
            ]
        return sorted(found, key=lambda one: one.pick)

    def doubtful_picks(
        self, span: TimeSpan, thresholds: dict[Phase, float], *, limit: int
    ) -> list[tuple[Pick, str]]:
        """Return automatic picks nobody judged, nearest to their threshold first.

        Each with the id of the event that rests on it, empty for none. Picks of events that a
        person reviewed are judged already.
        """
        pick, verdict = schema.pick, schema.pick_verdict
        away = case(
            *((pick.c.phase == phase, func.abs(pick.c.probability - threshold))
              for phase, threshold in thresholds.items()),
            else_=1.0,
        )  # fmt: skip
        query = (
            select(*PICK_COLUMNS)
            .where(
                pick.c.time_ns >= span.start_ns,
                pick.c.time_ns < span.end_ns,
                pick.c.valid_to.is_(None),
                pick.c.mode == "automatic",
                pick.c.id.not_in(select(verdict.c.pick)),
                pick.c.id.not_in(_of_reviewed()),
            )
            .order_by(away, pick.c.time_ns, pick.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            reader = PickReader(connection)
            events = users(connection, [row[0] for row in rows])
            return [
                (reader.pick(row), event_id) for row, event_id in zip(rows, events, strict=True)
            ]

    def doubtful_events(self, span: TimeSpan, *, limit: int) -> list[str]:
        """Return ids of automatic events, the least probable first, then those with few picks."""
        revision, event, origin = schema.event_revision, schema.event, schema.origin
        query = (
            select(event.c.event_id)
            .join(revision, revision.c.event == event.c.id)
            .join(origin, origin.c.id == revision.c.origin)
            .where(
                revision.c.valid_to.is_(None),
                revision.c.is_withdrawn.is_(False),
                revision.c.review_state == "automatic",
                revision.c.catalog == OWN,
                revision.c.time_ns >= span.start_ns,
                revision.c.time_ns < span.end_ns,
            )
            .order_by(
                func.coalesce(revision.c.probability, 1.0), origin.c.n_phases, revision.c.time_ns
            )
            .limit(limit)
        )
        with self._database.read() as connection:
            return list(connection.scalars(query))


def _of_reviewed() -> Select[tuple[int]]:
    """Select the picks of events that a person confirmed or solved."""
    revision, arrival = schema.event_revision, schema.arrival
    return (
        select(arrival.c.pick)
        .join(revision, revision.c.origin == arrival.c.origin)
        .where(
            revision.c.valid_to.is_(None),
            revision.c.is_withdrawn.is_(False),
            revision.c.review_state.in_(("reviewed", "confirmed")),
        )
    )


def _row_of(connection: Connection, pick: Pick) -> int:
    """Return the newest row of a pick.

    Raises
    ------
    NotHeld
        If it was never stored.
    """
    table, picker = schema.pick, schema.picker
    streams = [k for k, known in stream_ids(connection).items() if known == pick.seed_id.stream_id]
    found = connection.scalar(
        select(func.max(table.c.id))
        .join(picker, picker.c.id == table.c.picker)
        .where(
            table.c.stream.in_(streams),
            table.c.time_ns == to_ns(pick.time),
            table.c.phase == pick.phase,
            picker.c.name == pick.picker,
        )
    )
    if found is None:
        msg = f"{pick.seed_id}: no {pick.phase} pick at {pick.time.isoformat()}"
        raise NotHeld(msg)
    return int(found)
