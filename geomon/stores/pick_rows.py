"""Picks as rows: how they are written, found again and read."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import batched
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from geomon.errors import DataError
from geomon.events import Pick
from geomon.ids import SeedId, StreamId
from geomon.stores import schema
from geomon.stores.database import Write, stream_ids
from geomon.stores.schema import pick as table
from geomon.stores.schema import picker as picker_table
from geomon.times import TimeSpan, from_ns, to_ns

BATCH = 500
"""Values in one IN list: few round trips, and far from any database's limit."""

PICK_COLUMNS = (
    table.c.id,
    table.c.stream,
    table.c.component,
    table.c.phase,
    table.c.time_ns,
    table.c.probability,
    table.c.uncertainty_s,
    table.c.snr,
    table.c.amplitude,
    table.c.polarity,
    table.c.polarity_probability,
    table.c.picker,
    table.c.mode,
)
_CONTENT = slice(2, 11)  # component to polarity's probability: what two rows of a pick differ in

type _Key = tuple[int, int, str, int]  # stream, time_ns, phase, picker: unique among current rows


@dataclass(frozen=True, slots=True)
class PicksChange:
    """How many picks became current, and how many stopped being so."""

    added: int = 0
    removed: int = 0


def null(value: float | None) -> float | None:
    """Return the value as a database keeps it: a plain float, None for NaN."""
    return None if value is None or math.isnan(value) else float(value)


@lru_cache(maxsize=8192)
def stream_of(seed_id: SeedId) -> StreamId:
    """Return the stream of a channel, checked and built once a channel."""
    return seed_id.stream_id


def pick_values(pick: Pick) -> tuple[Any, ...]:
    """Return what a pick says besides its sensor and picker, as a row holds it."""
    return (
        pick.seed_id.component,
        pick.phase,
        to_ns(pick.time),
        null(pick.probability),
        null(pick.uncertainty_s),
        null(pick.snr),
        null(pick.amplitude),
        pick.polarity,
        null(pick.polarity_probability),
    )


def hashed_values(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return what `pick_values` gives as hashes take it: without a probability nobody said.

    So hashes of picks made before there was one stay as they are.
    """
    return tuple(values[:-1] if values[-1] is None else values)


def replace_picks(
    write: Write, stream_id: StreamId, span: TimeSpan, picks: Sequence[Pick]
) -> PicksChange:
    """Make `picks` the automatic picks of a stream in a span; see `Catalog.replace_picks`."""
    wanted = _wanted(stream_id, span, picks)
    stream = write.find_stream(stream_id)
    held: dict[tuple[Any, ...], int] = {}
    if stream is not None:
        names = picker_names(write.connection)
        query = select(*PICK_COLUMNS).where(
            table.c.stream == stream,
            table.c.time_ns >= span.start_ns,
            table.c.time_ns < span.end_ns,
            table.c.valid_to.is_(None),
            table.c.mode == "automatic",
        )
        held = {(*row[_CONTENT], names[row[11]]): row[0] for row in write.connection.execute(query)}
    gone = [held[content] for content in held.keys() - wanted.keys()]
    new = [(pick, content[:9]) for content, pick in wanted.items() if content not in held]
    end_validity(write, gone)
    if new:
        _insert(write, [_row(write, *pair) for pair in new], write.stamp_ns(), None)
    return PicksChange(len(new), len(gone))


def _wanted(
    stream_id: StreamId, span: TimeSpan, picks: Sequence[Pick]
) -> dict[tuple[Any, ...], Pick]:
    wanted: dict[tuple[Any, ...], Pick] = {}
    keys = set()
    for pick in picks:
        values = pick_values(pick)
        key = (values[1], values[2], pick.picker)
        if stream_of(pick.seed_id) != stream_id or not span.contains(values[2]):
            msg = f"{pick.seed_id}: pick at {pick.time.isoformat()} is not of {stream_id} in {span}"
            raise DataError(msg)
        if pick.evaluation_mode != "automatic":
            msg = f"{pick.seed_id}: pick at {pick.time.isoformat()} is not automatic"
            raise DataError(msg)
        if key in keys:
            msg = f"{pick.seed_id}: two {pick.phase} picks at {pick.time.isoformat()}"
            raise DataError(msg)
        keys.add(key)
        wanted[(*values, pick.picker)] = pick
    return wanted


def end_validity(write: Write, keys: Iterable[int]) -> None:
    """Make rows of `pick` no longer current."""
    for batch in batched(sorted(keys), BATCH):
        write.connection.execute(
            update(table).where(table.c.id.in_(batch)).values(valid_to=write.stamp_ns())
        )


def _row(write: Write, pick: Pick, values: tuple[Any, ...]) -> dict[str, Any]:
    (
        component, phase, time_ns, probability, uncertainty_s, snr, amplitude, polarity,
        polarity_probability,
    ) = values  # fmt: skip
    return {
        "stream": write.stream(stream_of(pick.seed_id)),
        "component": component,
        "phase": phase,
        "time_ns": time_ns,
        "probability": probability,
        "uncertainty_s": uncertainty_s,
        "snr": snr,
        "amplitude": amplitude,
        "polarity": polarity,
        "polarity_probability": polarity_probability,
        "picker": write.picker(pick.picker),
        "mode": pick.evaluation_mode,
    }


def _insert(
    write: Write, rows: list[dict[str, Any]], valid_from: int, valid_to: int | None
) -> range:
    keys = write.new_ids(table, len(rows))
    run = write.run_key()
    for key, row in zip(keys, rows, strict=True):
        row |= {"id": key, "valid_from": valid_from, "valid_to": valid_to, "run": run}
    write.insert(table, rows)
    return keys


def find_or_add(write: Write, picks: Sequence[Pick], *, as_current: bool) -> list[int]:
    """Return the row of every pick, exactly as it is; one that was never stored is added.

    A row that is no longer current will do: an origin keeps the picks it was made from. A pick
    unknown so far becomes current if `as_current`, unless another version of it is; otherwise it
    is only there for the origin.
    """
    contents = [
        (
            write.stream(stream_of(pick.seed_id)),
            *pick_values(pick),
            write.picker(pick.picker),
            pick.evaluation_mode,
        )
        for pick in picks
    ]
    found: dict[tuple[Any, ...], int] = {}
    current: set[_Key] = set()
    for batch in batched(sorted({content[3] for content in contents}), BATCH):
        query = select(*PICK_COLUMNS, table.c.valid_to).where(table.c.time_ns.in_(batch))
        for row in write.connection.execute(query.order_by(table.c.id)):
            found[tuple(row[1:13])] = row[0]
            if row[13] is None:
                current.add((row[1], row[4], row[3], row[11]))
    missing: dict[tuple[Any, ...], dict[str, Any]] = {}
    superseded: dict[tuple[Any, ...], dict[str, Any]] = {}
    for pick, content in zip(picks, contents, strict=True):
        if content in found or content in missing or content in superseded:
            continue
        key = (content[0], content[3], content[2], content[10])
        is_free = as_current and key not in current
        (missing if is_free else superseded)[content] = _row(write, pick, content[1:10])
        current.add(key)
    for rows, is_current in ((missing, True), (superseded, False)):
        if rows:
            now = write.stamp_ns()
            keys = _insert(write, list(rows.values()), now, None if is_current else now)
            found |= dict(zip(rows, keys, strict=True))
    return [found[content] for content in contents]


def add_current(write: Write, picks: Sequence[Pick]) -> None:
    """Make picks current that are not: new ones, and those that were taken out before."""
    for pick in picks:
        if _current_row(write, pick) is None:
            _insert(write, [_row(write, pick, pick_values(pick))], write.stamp_ns(), None)


def end_manual(write: Write, picks: Sequence[Pick]) -> None:
    """Make manual picks no longer current, but for those that a current event rests on."""
    rows = [row for pick in picks if (row := _current_row(write, pick)) is not None]
    names = users(write.connection, rows)
    end_validity(write, [row for row, user in zip(rows, names, strict=True) if not user])


def _current_row(write: Write, pick: Pick) -> int | None:
    query = select(table.c.id).where(
        table.c.stream == write.stream(stream_of(pick.seed_id)),
        table.c.time_ns == to_ns(pick.time),
        table.c.phase == pick.phase,
        table.c.picker == write.picker(pick.picker),
        table.c.valid_to.is_(None),
    )
    return write.connection.scalar(query)


def picker_names(connection: Connection) -> dict[int, str]:
    """Return every picker's name, by row."""
    rows = connection.execute(select(picker_table.c.id, picker_table.c.name))
    return dict(row._tuple() for row in rows)


class PickReader:
    """Turns rows that start with `PICK_COLUMNS` into picks; names are looked up once."""

    def __init__(self, connection: Connection) -> None:
        self._streams: Mapping[int, StreamId] = stream_ids(connection)
        self._pickers = picker_names(connection)
        self._seed_ids: dict[tuple[int, str], SeedId] = {}

    def seed_id(self, stream: int, component: str) -> SeedId:
        """Return the channel of a stream's row and a component."""
        found = self._seed_ids.get((stream, component))
        if found is None:
            found = self._streams[stream].seed_id(component)
            self._seed_ids[stream, component] = found
        return found

    def pick(self, row: Row[Any] | Sequence[Any]) -> Pick:
        """Return the pick of a row."""
        return Pick(
            time=from_ns(row[4]),
            seed_id=self.seed_id(row[1], row[2]),
            phase=row[3],
            probability=math.nan if row[5] is None else row[5],
            uncertainty_s=math.nan if row[6] is None else row[6],
            snr=row[7],
            amplitude=row[8],
            polarity=row[9],
            polarity_probability=row[10],
            picker=self._pickers[row[11]],
            evaluation_mode=row[12],
        )


def in_span(query: Select[Any], span: TimeSpan, as_of_ns: int | None) -> Select[Any]:
    """Restrict a query of picks to a span, as held now or at an instant."""
    query = query.where(table.c.time_ns >= span.start_ns, table.c.time_ns < span.end_ns)
    if as_of_ns is None:
        return query.where(table.c.valid_to.is_(None))
    return query.where(
        table.c.valid_from <= as_of_ns,
        (table.c.valid_to.is_(None)) | (table.c.valid_to > as_of_ns),
    )


def users(connection: Connection, keys: Sequence[int]) -> list[str]:
    """Return, for each row of `pick`, the id of the current event that uses it, else ""."""
    event, revision, arrival = schema.event, schema.event_revision, schema.arrival
    query = (
        select(arrival.c.pick, event.c.event_id)
        .join(revision, revision.c.origin == arrival.c.origin)
        .join(event, event.c.id == revision.c.event)
        .where(
            revision.c.valid_to.is_(None),
            revision.c.is_withdrawn.is_(False),
            revision.c.review_state != "rejected",
        )
        .order_by(event.c.id.desc())
    )
    found: dict[int, str] = {}
    for batch in batched(keys, BATCH):
        found.update(
            row._tuple() for row in connection.execute(query.where(arrival.c.pick.in_(batch)))
        )
    return [found.get(key, "") for key in keys]
