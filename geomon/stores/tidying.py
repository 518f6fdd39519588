"""What programs do to events already held: join two that are one, part one that is two, restate.

Unlike a new solution of a tile these actions speak of events by their ids. Each is one run, and
each event it touches gets a revision that says why; an event that ends leads to the one that took
over. What people decided is left alone.
"""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from geomon.events import Event, Pick
from geomon.locating.standing import Standing
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
from geomon.stores.queries import OWN
from geomon.stores.reviewing import find_held
from geomon.times import TimeSpan, to_ns

RUN_KIND = "tidy"
"""Of the runs that join and part: what they decided holds when events are located again."""


class Tidying:
    """The tidying side of one catalogue's database.

    Events are given as they were read; where one has changed since, nothing is done and the answer
    is empty or false: the next run sees what is there then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def join(
        self, stays: Event, gone: Sequence[Event], *, solution: Event | None, reason: str, run: Run
    ) -> bool:
        """Let one event take over others.

        Parameters
        ----------
        stays : Event
            The event that takes over.
        gone : sequence of Event
            Those that end; their ids, and what other agencies call them, lead to it from now on.
        solution : Event or None
            What it says from now on; None leaves it as it is.
        reason : str
            Why they are one.
        run : Run
            Who does this.

        Returns
        -------
        bool
            Whether it was done.
        """

        def work(write: Write) -> bool:
            held = [_unchanged(write, event) for event in (stays, *gone)]
            into, *ending = held
            if into is None or None in ending:
                return False
            ended = [one for one in ending if one is not None]
            if solution is not None:
                _say(write, into, solution, f"merged with {_names(ended)}: {reason}")
            revise(
                write, ended, reason=f"merged into {into.event_id}: {reason}", actor="",
                is_withdrawn=True,
            )  # fmt: skip
            table = schema.event
            keys = [one.event_key for one in ended]
            # What led to an event that ends leads on.
            write.connection.execute(
                update(table).where(table.c.id.in_(keys)).values(merged_into=into.event_key)
            )
            return True

        return self._database.write(run, work)

    def part(self, event: Event, stays: Event, leaves: Event, *, reason: str, run: Run) -> str:
        """Make two events of one; return the id of the new one, empty if nothing was done."""

        def work(write: Write) -> str:
            held = _unchanged(write, event)
            if held is None:
                return ""
            content = content_of(leaves)
            [event_id] = new_event_ids(write.connection, [(content, leaves)])
            [key] = write.new_ids(schema.event, 1)
            row = {
                "id": key, "event_id": event_id, "catalog": OWN,
                "owner_ns": to_ns(leaves.preferred_origin.time), "merged_into": None,
                "run": write.run_key(),
            }  # fmt: skip
            write.insert(schema.event, [row])
            _say(write, held, stays, f"split, {event_id} left: {reason}")
            said = f"split from {held.event_id}: {reason}"
            insert_revisions(write, [NewRevision(key, 1, leaves, content, OWN, said)])
            return event_id

        return self._database.write(run, work)

    def restate(self, events: Sequence[tuple[Event, str]], run: Run) -> tuple[str, ...]:
        """Say something else of automatic events: another type, another magnitude.

        Parameters
        ----------
        events : sequence of (Event, str)
            What is to be held, under id and revision of what was read, and why.
        run : Run
            Who does this.

        Returns
        -------
        tuple of str
            Ids of the events that say so now.
        """

        def work(write: Write) -> tuple[str, ...]:
            done = []
            for event, reason in events:
                held = _unchanged(write, event)
                if held is None or held.review_state != "automatic":
                    continue
                _say(write, held, event, reason)
                done.append(held.event_id)
            return tuple(done)

        return self._database.write(run, work)

    def standing(self, span: TimeSpan) -> tuple[Standing, ...]:
        """Return the events of a span that were joined or parted, as they are now.

        Parameters
        ----------
        span : TimeSpan
            Origin times, before or after the decision.
        """
        with self._database.read() as connection:
            return _standing(connection, span)


def _standing(connection: Connection, span: TimeSpan) -> tuple[Standing, ...]:
    event, revision, run = schema.event, schema.event_revision, schema.run
    rows = connection.execute(
        select(revision.c.event, event.c.merged_into, run.c.run_id)
        .join(event, event.c.id == revision.c.event)
        .join(run, run.c.id == revision.c.run)
        .where(
            run.c.kind == RUN_KIND, revision.c.catalog == OWN,
            revision.c.time_ns >= span.start_ns, revision.c.time_ns < span.end_ns,
        )
        .order_by(revision.c.id)
    ).all()  # fmt: skip
    decisions: dict[int, list[str]] = defaultdict(list)
    gone: dict[int, set[int]] = defaultdict(set)
    for key, into, run_id in rows:
        decisions[key if into is None else into].append(run_id)
        if into is not None:
            gone[into].add(key)
    wanted = sorted({*decisions, *(key for keys in gone.values() for key in keys)})
    held = {one.event_key: one for one in find_held(connection, event.c.id.in_(wanted))}
    events = dict(
        zip(held, load_events(connection, [one.revision_key for one in held.values()]), strict=True)
    )
    found = []
    for key in sorted(decisions):
        if held[key].is_withdrawn:
            continue
        is_judged = held[key].review_state != "automatic"
        taken: set[Pick] = {pick for other in gone[key] for pick in events[other].picks}
        found.append(
            Standing(
                held[key].event_id, held[key].owner_ns, tuple(sorted(events[key].picks)),
                tuple(sorted(taken)), events[key].probability or 0.0, is_judged,
                tuple(dict.fromkeys(decisions[key])),
            )
        )  # fmt: skip
    return tuple(found)


def _unchanged(write: Write, event: Event) -> Held | None:
    """Return what is held of an event if that is still what was read."""
    found = find_held(write.connection, schema.event.c.event_id == event.event_id)
    if not found or found[0].is_withdrawn or found[0].revision != event.revision:
        return None
    return found[0]


def _say(write: Write, held: Held, event: Event, reason: str) -> None:
    """Write the next revision of an event; how it was judged stays."""
    end_revisions(write, [held.revision_key])
    catalog = str(held.values["catalog"])
    insert_revisions(
        write,
        [
            NewRevision(
                held.event_key, held.revision + 1, event, content_of(event), catalog, reason,
                review_state=held.review_state,
            )
        ],
        with_current_picks=catalog == OWN,
    )  # fmt: skip


def _names(events: Sequence[Held]) -> str:
    return ", ".join(sorted(event.event_id for event in events))
