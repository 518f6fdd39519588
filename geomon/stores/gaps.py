"""What a source was asked for and did not have: when to ask again, when to believe it.

A hole near now means "not yet". Per channel, a hole is ``pending`` for two hours, then
``unconfirmed``, and ``confirmed`` once it came back on two questions at least ten minutes apart.
Holes are asked for again 5 min, 30 min, 2 h, 12 h, 48 h and 7 d after their end, older ones ten
minutes after the last question, and confirmed ones no more. Data that arrive close a hole or
shrink it, whatever its state.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, select, update

from geomon.stores.database import Database, Run, Write
from geomon.stores.schema import gap as table
from geomon.times import NS_PER_S, TimeSpan, merged, subtracted

type GapState = Literal["pending", "unconfirmed", "confirmed"]

_STEPS_NS = tuple(step * NS_PER_S for step in (300, 1800, 7200, 43_200, 172_800, 604_800))
_APART_NS = 600 * NS_PER_S
_PENDING_NS = 7200 * NS_PER_S


@dataclass(frozen=True, slots=True)
class KnownGap:
    """A hole of one channel or stream, how often it was asked for, and when next."""

    key: str
    span: TimeSpan
    state: GapState
    n_asked: int
    next_ns: int | None


class Gaps:
    """The holes of one catalogue's network."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self,
        key: str,
        asked: TimeSpan,
        holes: Sequence[TimeSpan],
        *,
        now_ns: int | None = None,
        run: Run | None = None,
    ) -> None:
        """Say what is still missing after a source was asked for a span of a channel.

        Parameters
        ----------
        key : str
            SEED id or stream id.
        asked : TimeSpan
            What was asked for; holes known within it that are not in `holes` are closed.
        holes : sequence of TimeSpan
            What did not come.
        now_ns : int, optional
            When it was asked; now.
        run : Run, optional
            Who asked; a run of its own when not given.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """
        self.note_all({key: holes}, asked, now_ns=now_ns, run=run)

    def note_all(
        self,
        holes: Mapping[str, Sequence[TimeSpan]],
        asked: TimeSpan,
        *,
        now_ns: int | None = None,
        run: Run | None = None,
    ) -> None:
        """Say what is still missing of several channels, all at once: see `note`.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """
        instant = time.time_ns() if now_ns is None else now_ns

        def work(write: Write) -> None:
            for key, of_key in sorted(holes.items()):
                left = merged(hole.intersection(asked) for hole in of_key if hole.overlaps(asked))
                _note(write, key, asked, left, instant)

        if holes:
            self._database.write(run or Run.begin("ingest"), work)

    def to_ask(
        self, key: str, holes: Sequence[TimeSpan], *, now_ns: int | None = None
    ) -> list[TimeSpan]:
        """Return the parts of holes worth asking for now: never asked, or due again."""
        if not holes:
            return []
        instant = time.time_ns() if now_ns is None else now_ns
        reach = TimeSpan(min(h.start_ns for h in holes), max(h.end_ns for h in holes))
        waiting = [
            gap.span
            for gap in self.known(key, reach)
            if gap.next_ns is None or gap.next_ns > instant
        ]
        return [part for hole in merged(holes) for part in subtracted(hole, waiting)]

    def due(self, *, now_ns: int | None = None) -> list[KnownGap]:
        """Return every hole that should be asked for again by now, newest first."""
        instant = time.time_ns() if now_ns is None else now_ns
        with self._database.read() as connection:
            rows = connection.execute(select(table).where(table.c.state != "confirmed"))
            gaps = [_known(row) for row in rows]
        due = [gap for gap in gaps if gap.next_ns is not None and gap.next_ns <= instant]
        return sorted(due, key=lambda gap: (-gap.span.end_ns, gap.key))

    def known(self, key: str, span: TimeSpan) -> list[KnownGap]:
        """Return the holes of a channel that touch a span, in time order."""
        with self._database.read() as connection:
            return [_known(row) for row in _rows(connection, key, span)]

    def in_span(self, span: TimeSpan) -> list[KnownGap]:
        """Return the holes of all channels that touch a span, in (channel, time) order."""
        query = select(table).where(table.c.start_ns < span.end_ns, table.c.end_ns > span.start_ns)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(table.c.key, table.c.start_ns))
            return [_known(row) for row in rows]


def _known(row: Any) -> KnownGap:  # noqa: ANN401 - a row of any query on the table
    return KnownGap(
        row.key, TimeSpan(row.start_ns, row.end_ns), row.state, row.n_asked, _next_ns(row)
    )


def _next_ns(row: Any) -> int | None:  # noqa: ANN401 - a row of any query on the table
    if row.state == "confirmed":
        return None
    for step in _STEPS_NS:
        if row.end_ns + step > row.asked_ns:
            return int(row.end_ns + step)
    return int(row.asked_ns + _APART_NS)


def _rows(connection: Connection, key: str, span: TimeSpan) -> Sequence[Any]:
    return connection.execute(
        select(table)
        .where(table.c.key == key, table.c.start_ns < span.end_ns, table.c.end_ns > span.start_ns)
        .order_by(table.c.start_ns)
    ).all()


def _note(
    write: Write, key: str, asked: TimeSpan, missing: Sequence[TimeSpan], now_ns: int
) -> None:
    rows = _rows(write.connection, key, asked)
    kept = {(row.start_ns, row.end_ns): row for row in rows}
    for hole in missing:
        same = kept.pop((hole.start_ns, hole.end_ns), None)
        if same is None:
            continue
        state = _state(hole, same.first_asked_ns, now_ns)
        if same.state != "confirmed" and now_ns > same.asked_ns:
            write.connection.execute(
                update(table)
                .where(_is_row(key, hole))
                .values(state=state, n_asked=same.n_asked + 1, asked_ns=now_ns, run=write.run_key())
            )
    unknown = [
        hole
        for hole in missing
        if not any((row.start_ns, row.end_ns) == (hole.start_ns, hole.end_ns) for row in rows)
    ]
    for row in kept.values():
        old = TimeSpan(row.start_ns, row.end_ns)
        write.stamp_ns()
        write.connection.execute(delete(table).where(_is_row(key, old)))
        for rest in subtracted(old, [asked]):
            _insert(write, key, rest, row.state, row.n_asked, row.first_asked_ns, row.asked_ns)
    for hole in unknown:
        before = [
            row for row in rows if row.start_ns <= hole.start_ns and hole.end_ns <= row.end_ns
        ]
        first_ns = before[0].first_asked_ns if before else now_ns
        n_asked = before[0].n_asked + 1 if before else 1
        _insert(write, key, hole, _state(hole, first_ns, now_ns), n_asked, first_ns, now_ns)


def _state(hole: TimeSpan, first_ns: int, now_ns: int) -> GapState:
    if now_ns - hole.end_ns < _PENDING_NS:
        return "pending"
    return "confirmed" if now_ns - first_ns >= _APART_NS else "unconfirmed"


def _is_row(key: str, span: TimeSpan) -> Any:  # noqa: ANN401 - an SQL condition
    return (
        (table.c.key == key) & (table.c.start_ns == span.start_ns) & (table.c.end_ns == span.end_ns)
    )


def _insert(
    write: Write,
    key: str,
    span: TimeSpan,
    state: str,
    n_asked: int,
    first_ns: int,
    asked_ns: int,
) -> None:
    row = {
        "key": key,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "state": state,
        "n_asked": n_asked,
        "first_asked_ns": first_ns,
        "asked_ns": asked_ns,
        "run": write.run_key(),
    }
    write.insert(table, [row])
