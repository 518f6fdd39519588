"""What can be asked of the catalogue's picks, and hashes of what it says of a span."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from geomon.events import EvaluationMode, Phase, Pick
from geomon.ids import StationId, StreamId
from geomon.stores.database import stream_ids
from geomon.stores.pick_rows import (
    PICK_COLUMNS,
    PickReader,
    hashed_values,
    in_span,
    picker_names,
)
from geomon.stores.queries import OWN, Time, as_ns
from geomon.stores.schema import event_revision as revision
from geomon.stores.schema import pick as table
from geomon.times import TimeSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class PickQuery:
    """Conditions on picks, all of which must hold; the arguments of `Catalog.picks`."""

    span: TimeSpan
    stations: tuple[str, ...] = ()
    stream_id: StreamId | None = None
    phase: Phase | None = None
    mode: EvaluationMode | None = None
    min_probability: float | None = None
    as_of: Time | None = None


def find(connection: Connection, query: PickQuery) -> list[tuple[int, Pick]]:
    """Return the row and pick of every one asked for, in (time, stream, phase) order."""
    wanted = _selected(connection, query)
    if query.phase is not None:
        wanted = wanted.where(table.c.phase == query.phase)
    if query.mode is not None:
        wanted = wanted.where(table.c.mode == query.mode)
    if query.min_probability is not None:
        wanted = wanted.where(table.c.probability >= query.min_probability)
    reader = PickReader(connection)
    found = [(row[0], reader.pick(row)) for row in connection.execute(wanted)]
    return sorted(found, key=lambda pair: (pair[1].time, pair[1].seed_id, pair[1].phase, pair[0]))


def picks_digest(connection: Connection, query: PickQuery) -> str:
    """Hash picks of a span; see `Catalog.picks_digest`."""
    return _digest(_lines(connection, query))


def digest(connection: Connection, span: TimeSpan) -> str:
    """Hash what the catalogue says of a span; see `Catalog.digest`."""
    contents = connection.scalars(
        select(revision.c.content).where(
            revision.c.time_ns >= span.start_ns,
            revision.c.time_ns < span.end_ns,
            revision.c.valid_to.is_(None),
            revision.c.is_withdrawn.is_(False),
            revision.c.review_state != "rejected",
            revision.c.catalog == OWN,
        )
    ).all()
    return _digest([*sorted(contents), *_lines(connection, PickQuery(span=span))])


def _selected(connection: Connection, query: PickQuery) -> Select[Any]:
    """Return the query of the picks of a span, stations and stream."""
    as_of_ns = None if query.as_of is None else as_ns(query.as_of)
    wanted = in_span(select(*PICK_COLUMNS), query.span, as_of_ns)
    if query.stream_id is None and not query.stations:
        return wanted
    streams = [
        key
        for key, known in stream_ids(connection).items()
        if query.stream_id in (None, known)
        and (
            not query.stations
            or StationId(known.network, known.station).matches(query.stations)
        )
    ]  # fmt: skip
    return wanted.where(table.c.stream.in_(streams))


def _lines(connection: Connection, query: PickQuery) -> list[str]:
    """Describe picks, one sorted text each."""
    streams, pickers = stream_ids(connection), picker_names(connection)
    return sorted(
        json.dumps([str(streams[row[1]]), *hashed_values(row[2:11]), pickers[row[11]], row[12]])
        for row in connection.execute(_selected(connection, query))
    )


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
