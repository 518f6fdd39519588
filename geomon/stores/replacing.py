"""Replace the automatic events of a tile by new ones, keeping identity and history."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import batched

from sqlalchemy import Connection, or_, select, update

from geomon.events import RELATIVE, Event, Origin
from geomon.ids import StreamId
from geomon.locating.relative import RELATIVE_TYPE, needs_relative, sized
from geomon.stores import schema
from geomon.stores.database import Write, stream_ids
from geomon.stores.event_rows import (
    Held,
    NewRevision,
    content_of,
    end_revisions,
    insert_revisions,
    load_origins,
    new_event_ids,
    revise,
)
from geomon.stores.magnitude_rows import load_magnitudes
from geomon.stores.matching import Solution, is_mostly_of, match, sharing
from geomon.stores.pick_rows import BATCH, PickReader, stream_of
from geomon.stores.queries import OWN
from geomon.stores.reviewing import find_held
from geomon.times import TimeSpan, to_ns

_EDGE_S = 60.0
"""How far beyond its tile an event may have been found before."""


@dataclass(frozen=True, slots=True)
class EventsChange:
    """Ids of the events a replacement made, revised, withdrew and left as they were."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def replace_events(write: Write, span: TimeSpan, events: Sequence[Event]) -> EventsChange:
    """Make `events` the automatic events of a tile; see `Catalog.replace_events`."""
    new = sorted(((content_of(event), event) for event in events), key=lambda pair: pair[0])
    new = [pair for i, pair in enumerate(new) if i == 0 or pair[0] != new[i - 1][0]]
    held = _held_near(write.connection, span)
    same, new, held = _identical(span, new, held)
    known = _solutions(write.connection, span, held)
    wanted = [_solution(content, event) for content, event in new]
    pairs = match(wanted, known)
    settled = [
        known[k] for k, one in enumerate(held) if one.review_state in ("reviewed", "confirmed")
    ]
    created = [
        index
        for index in range(len(new))
        if index not in pairs and not is_mostly_of(wanted[index], settled)
    ]
    stands = [held[k] for k in pairs.values() if held[k].review_state != "automatic"]
    updated = [
        (_as_decided(write.connection, new[n], held[k]), held[k])
        for n, k in sorted(pairs.items())
        if held[k].review_state == "automatic"
    ]
    matched = set(pairs.values())
    lost = [
        k
        for k, one in enumerate(held)
        if k not in matched
        and span.contains(one.owner_ns)
        and one.review_state == "automatic"
        and not one.is_withdrawn
    ]
    made = _create(write, span, [new[index] for index in created])
    really_updated = _update(write, span, updated)
    names = dict(zip(created, made, strict=True))
    names |= {n: (held[k].event_key, held[k].event_id) for n, k in pairs.items()}
    takers = _takers([(wanted[n], name) for n, name in names.items()], known, lost)
    for k in lost:
        taker = takers.get(k)
        revise(
            write,
            [held[k]],
            reason="not found again" if taker is None else f"merged into {taker[1]}",
            actor="",
            is_withdrawn=True,
        )
        if taker is not None:
            write.connection.execute(
                update(schema.event)
                .where(schema.event.c.id == held[k].event_key)
                .values(merged_into=taker[0])
            )
    revised = {one.event_id for one in really_updated}
    return EventsChange(
        tuple(event_id for _, event_id in made),
        tuple(sorted(revised)),
        tuple(sorted(held[k].event_id for k in lost)),
        tuple(
            sorted(
                {one.event_id for one in (*same, *stands, *(one for _, one in updated))} - revised
            )
        ),
    )


def _held_near(connection: Connection, span: TimeSpan) -> list[Held]:
    """Return the current revisions of own events owned by the tile or found close to its edges.

    Also of those that a person merged into others: what is found again of them stays there.
    """
    wide = span.padded(_EDGE_S)
    event = schema.event
    return find_held(
        connection,
        event.c.catalog == OWN,
        or_(event.c.merged_into.is_(None), schema.event_revision.c.review_state != "automatic"),
        event.c.owner_ns >= wide.start_ns,
        event.c.owner_ns < wide.end_ns,
    )


def _identical(
    span: TimeSpan, new: list[tuple[str, Event]], held: list[Held]
) -> tuple[list[Held], list[tuple[str, Event]], list[Held]]:
    """Set aside the events of the tile that say exactly what they said before."""
    said = {content for content, _ in new}
    same = {
        one.content: one
        for one in held
        if one.content in said and span.contains(one.owner_ns) and not one.is_withdrawn
    }
    kept = {one.event_key for one in same.values()}
    return (
        list(same.values()),
        [pair for pair in new if pair[0] not in same],
        [one for one in held if one.event_key not in kept],
    )


def _solution(content: str, event: Event) -> Solution:
    origin = event.preferred_origin
    return Solution(
        content,
        to_ns(origin.time),
        origin.latitude,
        origin.longitude,
        origin.ellipse_km[0],
        tuple((stream_of(p.seed_id), p.phase, to_ns(p.time)) for p in event.picks),
    )


def _solutions(connection: Connection, span: TimeSpan, held: Sequence[Held]) -> list[Solution]:
    """Read what matching needs of events held.

    Closeness alone makes two solutions one event only within the tile: beyond its edges there
    are other earthquakes of the same swarm, each of which is replaced by its own tile.
    """
    if not held:
        return []
    origin, arrival, pick = schema.origin, schema.arrival, schema.pick
    streams = stream_ids(connection)
    sigmas: dict[int, float | None] = {}
    picks: dict[int, list[tuple[StreamId, str, int]]] = defaultdict(list)
    for batch in batched({one.origin_key for one in held}, BATCH):
        query = select(origin.c.id, origin.c.ellipse_major_km).where(origin.c.id.in_(batch))
        sigmas.update(row._tuple() for row in connection.execute(query))
        for row in connection.execute(
            select(arrival.c.origin, pick.c.stream, pick.c.phase, pick.c.time_ns)
            .join(pick, pick.c.id == arrival.c.pick)
            .where(arrival.c.origin.in_(batch))
        ):
            picks[row[0]].append((streams[row[1]], row[2], row[3]))
    solutions = []
    for one in held:
        sigma_km = sigmas[one.origin_key]
        solutions.append(
            Solution(
                one.event_id,
                one.values["time_ns"],
                one.values["latitude"],
                one.values["longitude"],
                float("nan") if sigma_km is None else sigma_km,
                tuple(picks[one.origin_key]),
                rank=int(one.is_withdrawn),
                allows="both" if span.contains(one.owner_ns) else "picks",
            )
        )
    return solutions


def _as_decided(connection: Connection, new: tuple[str, Event], held: Held) -> tuple[str, Event]:
    """Return a new solution with what steps over the whole catalogue decided about an event.

    That is its kind, such as a blast; its place relative to its neighbours', as long as picks and
    velocity model are the same; and a magnitude relative to theirs where the solution brings none
    from a sensor with a response.
    """
    event = new[1]
    method = select(schema.origin.c.method).where(schema.origin.c.id == held.origin_key)
    if str(connection.scalar(method)).endswith(RELATIVE):
        origin = dict(load_origins(connection, held.event_key))[held.origin_key]
        if _rests_on(origin) == _rests_on(event.preferred_origin):
            event = replace(event, preferred_origin=origin)
    kind = str(held.values["event_type"])
    if kind != event.event_type:
        event = replace(event, event_type=kind, reasons=tuple(json.loads(held.values["reasons"])))
    if held.values["magnitude_type"] == RELATIVE_TYPE and needs_relative(event):
        key = int(held.values["magnitude"])
        relative = load_magnitudes(connection, PickReader(connection), [key])[key]
        event = sized(event, relative)
    return new if event is new[1] else (content_of(event), event)


def _rests_on(origin: Origin) -> tuple[str, frozenset[str]]:
    """Return the velocity model and picks of an origin."""
    return origin.velocity_model, frozenset(arrival.pick.pick_id for arrival in origin.arrivals)


def _owner_ns(span: TimeSpan, event: Event) -> int:
    """Return the instant of the tile closest to the origin: relocation may leave the tile."""
    return min(max(to_ns(event.preferred_origin.time), span.start_ns), span.end_ns - 1)


def _create(
    write: Write, span: TimeSpan, new: Sequence[tuple[str, Event]]
) -> list[tuple[int, str]]:
    if not new:
        return []
    table = schema.event
    run = write.run_key()
    keys = write.new_ids(table, len(new))
    ids = new_event_ids(write.connection, new)
    write.insert(
        table,
        [
            {
                "id": key,
                "event_id": event_id,
                "catalog": OWN,
                "owner_ns": _owner_ns(span, event),
                "merged_into": None,
                "run": run,
            }
            for key, event_id, (_, event) in zip(keys, ids, new, strict=True)
        ],
    )
    insert_revisions(
        write,
        [
            NewRevision(key, 1, event, content, OWN, "found")
            for key, (content, event) in zip(keys, new, strict=True)
        ],
    )
    return list(zip(keys, ids, strict=True))


def _update(
    write: Write, span: TimeSpan, pairs: Sequence[tuple[tuple[str, Event], Held]]
) -> list[Held]:
    """Give events their new solutions; return those that say something new."""
    changed = [
        (content, event, one)
        for (content, event), one in pairs
        if content != one.content or one.is_withdrawn
    ]
    end_revisions(write, [one.revision_key for _, _, one in changed])
    insert_revisions(
        write,
        [
            NewRevision(
                one.event_key,
                one.revision + 1,
                event,
                content,
                OWN,
                "found again" if one.is_withdrawn else "new solution",
            )
            for content, event, one in changed
        ],
    )
    table = schema.event
    for (_, event), one in pairs:
        owner_ns = _owner_ns(span, event)
        if owner_ns != one.owner_ns:
            write.stamp_ns()
            write.connection.execute(
                update(table).where(table.c.id == one.event_key).values(owner_ns=owner_ns)
            )
    return [one for _, _, one in changed]


def _takers(
    found: Sequence[tuple[Solution, tuple[int, str]]],
    known: Sequence[Solution],
    lost: Sequence[int],
) -> dict[int, tuple[int, str]]:
    """Return which event, by row and id, took over at least half of the picks of a lost one."""
    takers: dict[int, tuple[int, str]] = {}
    gone = [known[k] for k in lost]
    for solution, name in found:
        for index in sharing(solution, gone):
            takers.setdefault(lost[index], name)
    return takers
