"""What a person says of a whole window: which onsets are in it, and that there are no others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update

from geomon.errors import DataError
from geomon.events import Pick
from geomon.ids import StreamId
from geomon.stores import schema
from geomon.stores.database import Database, Run, Write
from geomon.stores.pick_rows import PICK_COLUMNS, PickReader, add_current, end_validity, users
from geomon.times import TimeSpan, to_ns


@dataclass(frozen=True, slots=True)
class WindowChange:
    """How many onsets a window has, how many picks in it are none, and whether that is news."""

    n_onsets: int
    n_wrong: int
    is_new: bool


class Windows:
    """The windows that people reviewed whole, in one catalogue's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def review(
        self,
        stream_id: StreamId,
        span: TimeSpan,
        onsets: Sequence[Pick],
        *,
        actor: str,
        reason: str = "",
    ) -> WindowChange:
        """Say that `onsets` are all there is in a window of a stream.

        An automatic pick at the time and phase of an onset is right, any other automatic one is
        wrong; an onset without such a pick becomes a manual pick, and a manual pick that is no
        onset is taken out. All of it is one commit; saying the same again changes nothing.

        Parameters
        ----------
        stream_id : StreamId
            The stream.
        span : TimeSpan
            The window.
        onsets : sequence of Pick
            Picks of the stream in the window; those that nobody knows yet must be manual.
        actor, reason : str
            Who says so, and why.

        Raises
        ------
        DataError
            If an event rests on a manual pick that is no onset: it has to lose the pick first.
        """

        def work(write: Write) -> WindowChange:
            keys = {(pick.phase, to_ns(pick.time)) for pick in onsets}
            held = _held(write, stream_id, span)
            known = {(pick.phase, to_ns(pick.time)) for pick in held.values()}
            gone = [
                row
                for row, pick in held.items()
                if pick.evaluation_mode == "manual" and (pick.phase, to_ns(pick.time)) not in keys
            ]
            for row, event_id in zip(gone, users(write.connection, gone), strict=True):
                if event_id:
                    pick = held[row]
                    msg = (
                        f"{pick.seed_id}: {event_id} rests on the {pick.phase} pick; edit it there"
                    )
                    raise DataError(msg)
            new = [pick for pick in onsets if (pick.phase, to_ns(pick.time)) not in known]
            end_validity(write, gone)
            add_current(write, new)
            verdicts = {
                row: "correct" if (pick.phase, to_ns(pick.time)) in keys else "wrong"
                for row, pick in held.items()
                if pick.evaluation_mode == "automatic"
            }
            n_said = _say(write, verdicts, actor, reason)
            is_new = _mark(write, stream_id, span, actor, changed=bool(gone or new or n_said))
            return WindowChange(len(keys), list(verdicts.values()).count("wrong"), is_new)

        return self._database.write(Run.begin("window"), work)


def _held(write: Write, stream_id: StreamId, span: TimeSpan) -> dict[int, Pick]:
    """Return the current picks of a stream in a span, by row."""
    table = schema.pick
    query = select(*PICK_COLUMNS).where(
        table.c.stream == write.stream(stream_id),
        table.c.time_ns >= span.start_ns,
        table.c.time_ns < span.end_ns,
        table.c.valid_to.is_(None),
    )
    reader = PickReader(write.connection)
    return {row[0]: reader.pick(row) for row in write.connection.execute(query)}


def _say(write: Write, verdicts: dict[int, str], actor: str, reason: str) -> int:
    """Write the verdicts that differ from the last ones; return how many."""
    table = schema.pick_verdict
    newest = (
        select(func.max(table.c.id)).where(table.c.pick.in_(list(verdicts))).group_by(table.c.pick)
    )
    said = {
        row.pick: row.verdict
        for row in write.connection.execute(
            select(table.c.pick, table.c.verdict).where(table.c.id.in_(newest))
        )
    }
    news = {row: verdict for row, verdict in verdicts.items() if said.get(row) != verdict}
    if news:
        now, run = write.stamp_ns(), write.run_key()
        rows: list[dict[str, Any]] = [
            {"id": key, "pick": row, "verdict": verdict, "actor": actor, "reason": reason,
             "judged_ns": now, "run": run}
            for key, (row, verdict) in zip(
                write.new_ids(table, len(news)), news.items(), strict=True
            )
        ]  # fmt: skip
        write.insert(table, rows)
    return len(news)


def _mark(write: Write, stream_id: StreamId, span: TimeSpan, actor: str, *, changed: bool) -> bool:
    """Note who reviewed a window last; return whether anything is new."""
    table, stream = schema.reviewed_window, write.stream(stream_id)
    here = (table.c.stream == stream, table.c.start_ns == span.start_ns)
    is_known = write.connection.scalar(select(table.c.stream).where(*here)) is not None
    if is_known and not changed:
        return False
    values = {"actor": actor, "reviewed_ns": write.stamp_ns(), "run": write.run_key()}
    if is_known:
        write.connection.execute(update(table).where(*here).values(values))
    else:
        ends = {"start_ns": span.start_ns, "end_ns": span.end_ns}
        write.insert(table, [{"stream": stream, **ends, **values}])
    return True
