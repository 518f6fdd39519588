"""Events as rows: how revisions, origins, arrivals and magnitudes are written and read."""

import hashlib
import json
import math
from base64 import b32encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from sqlalchemy import Connection, select, update

from geomon.events import Arrival, Event, Origin, ReviewState
from geomon.stores import schema
from geomon.stores.database import Write
from geomon.stores.magnitude_rows import (
    add_magnitude,
    load_magnitudes,
    load_mechanisms,
    load_other_magnitudes,
    mechanism_row,
    mechanism_values,
    said_of,
)
from geomon.stores.pick_rows import (
    BATCH,
    PICK_COLUMNS,
    PickReader,
    find_or_add,
    hashed_values,
    null,
    pick_values,
)
from geomon.times import from_ns, to_ns

_ORIGIN_VALUES = (
    "time_uncertainty_s", "cov_ee", "cov_en", "cov_ed", "cov_nn", "cov_nd", "cov_dd",
    "ellipse_major_km", "ellipse_minor_km", "ellipse_azimuth_deg", "depth_low_km",
    "depth_high_km", "rms_s", "azimuthal_gap_deg", "nearest_station_km",
)  # fmt: skip


COPIED = (
    "event", "origin", "magnitude", "catalog", "time_ns", "cell", "latitude", "longitude",
    "depth_km", "magnitude_value", "magnitude_type", "content", "event_type", "probability",
    "reasons",
)  # fmt: skip
"""Columns of a revision that stay when only the judgement of an event changes."""


@dataclass(frozen=True, slots=True)
class Held:
    """The current revision of an event: identity, judgement, and the `COPIED` columns."""

    event_key: int
    event_id: str
    owner_ns: int
    revision_key: int
    revision: int
    review_state: ReviewState
    is_withdrawn: bool
    values: dict[str, Any]

    @property
    def content(self) -> str:
        """Hash of what the revision says."""
        return str(self.values["content"])

    @property
    def origin_key(self) -> int:
        """Row of the preferred origin."""
        return int(self.values["origin"])


def cell_of(latitude: float, longitude: float) -> int:
    """Return the one-degree cell of a place: 360 a row, counted from the south pole and 180° W."""
    row = min(math.floor(latitude) + 90, 179)
    column = math.floor(longitude + 180) % 360
    return row * 360 + column


def content_of(event: Event) -> str:
    """Hash everything an event says, but not its id, history or review."""
    origin, magnitude = event.preferred_origin, event.preferred_magnitude
    said = (
        _origin_values(origin),
        [
            (str(a.pick.seed_id), hashed_values(pick_values(a.pick)), a.pick.picker,
             a.pick.evaluation_mode, *_arrival_values(a))
            for a in origin.arrivals
        ],
        magnitude and said_of(magnitude),
        event.event_type,
        _optional(event.probability),
        list(event.reasons),
        *([said_of(one) for one in event.other_magnitudes],) * bool(event.other_magnitudes),
        *(() if event.mechanism is None else mechanism_values(event.mechanism)),
    )  # fmt: skip
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _event_id(event: Event, content: str, salt: int = 0) -> str:
    """Name an event after its first origin time and content, for example ``gm2026abcdefghij``."""
    digest = hashlib.sha256(f"{content}/{salt}".encode()).digest()
    return f"gm{event.preferred_origin.time:%Y}{b32encode(digest).decode().lower()[:10]}"


def new_event_ids(connection: Connection, new: Sequence[tuple[str, Event]]) -> list[str]:
    """Return an id for each new event that no other event has."""
    table = schema.event
    ids: list[str] = []
    salts = [0] * len(new)
    while len(ids) < len(new):
        ids = [
            _event_id(event, content, salt)
            for (content, event), salt in zip(new, salts, strict=True)
        ]
        taken: set[str] = set()
        for batch in batched(ids, BATCH):
            query = select(table.c.event_id).where(table.c.event_id.in_(batch))
            taken.update(connection.scalars(query))
        if taken:
            salts = [salt + (one in taken) for one, salt in zip(ids, salts, strict=True)]
            ids = []
    return ids


def _optional(value: float | None) -> float | None:
    return None if value is None else null(value)


def _origin_values(origin: Origin) -> tuple[Any, ...]:
    return (
        to_ns(origin.time),
        float(origin.latitude),
        float(origin.longitude),
        null(origin.depth_km),
        null(origin.time_uncertainty_s),
        *(null(value) for value in origin.covariance_km2),
        *(null(value) for value in origin.ellipse_km),
        null(origin.ellipse_azimuth_deg),
        *(null(value) for value in origin.depth_interval_km),
        null(origin.rms_s),
        null(origin.azimuthal_gap_deg),
        null(origin.nearest_station_km),
        int(origin.n_stations),
        int(origin.n_phases),
        origin.quality,
        origin.method,
        origin.velocity_model,
    )


_ORIGIN_NAMES = (
    "time_ns", "latitude", "longitude", "depth_km", *_ORIGIN_VALUES,
    "n_stations", "n_phases", "quality", "method", "velocity_model",
)  # fmt: skip


def _arrival_values(arrival: Arrival) -> tuple[float | None, ...]:
    return (
        null(arrival.distance_km),
        null(arrival.azimuth_deg),
        null(arrival.residual_s),
        null(arrival.weight),
    )


@dataclass(slots=True)
class NewRevision:
    """A revision about to be written: of which event, what it says, and why."""

    event_key: int
    revision: int
    event: Event
    content: str
    catalog: str
    reason: str
    actor: str = ""
    review_state: ReviewState = "automatic"


def insert_revisions(
    write: Write, revisions: Sequence[NewRevision], *, with_current_picks: bool = True
) -> None:
    """Write revisions with origins, arrivals and magnitudes of their own, as current ones.

    Their picks are those already stored; others become current too, unless told otherwise.
    """
    if not revisions:
        return
    now, run = write.stamp_ns(), write.run_key()
    picks = [pick for new in revisions for pick in new.event.picks]
    pick_keys = iter(find_or_add(write, picks, as_current=with_current_picks))
    origin_keys = write.new_ids(schema.origin, len(revisions))
    sized = [r for r in revisions if r.event.preferred_magnitude is not None]
    magnitude_keys = dict(
        zip(map(id, sized), write.new_ids(schema.magnitude, len(sized)), strict=True)
    )
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    revision_keys = write.new_ids(schema.event_revision, len(revisions))
    for key, origin_key, new in zip(revision_keys, origin_keys, revisions, strict=True):
        event = new.event
        origin, magnitude = event.preferred_origin, event.preferred_magnitude
        magnitude_key = magnitude_keys.get(id(new))
        values = dict(zip(_ORIGIN_NAMES, _origin_values(origin), strict=True))
        rows["origin"].append({"id": origin_key, "event": new.event_key, "run": run, **values})
        rows["arrival"] += _arrival_rows(origin_key, origin, pick_keys)
        if magnitude is not None and magnitude_key is not None:
            add_magnitude(write, rows, magnitude_key, new.event_key, magnitude)
        for position, other in enumerate(event.other_magnitudes):
            [key_of_other] = write.new_ids(schema.magnitude, 1)
            add_magnitude(write, rows, key_of_other, new.event_key, other)
            rows["origin_magnitude"].append(
                {"origin": origin_key, "position": position, "magnitude": key_of_other}
            )
        if event.mechanism is not None:
            rows["focal_mechanism"].append(mechanism_row(origin_key, event.mechanism))
        rows["event_revision"].append(
            {
                "id": key,
                "event": new.event_key,
                "revision": new.revision,
                "valid_from": now,
                "valid_to": None,
                "origin": origin_key,
                "magnitude": magnitude_key,
                "catalog": new.catalog,
                "time_ns": values["time_ns"],
                "cell": cell_of(origin.latitude, origin.longitude),
                "latitude": values["latitude"],
                "longitude": values["longitude"],
                "depth_km": values["depth_km"],
                "magnitude_value": None if magnitude is None else float(magnitude.value),
                "magnitude_type": None if magnitude is None else magnitude.magnitude_type,
                "content": new.content,
                "event_type": event.event_type,
                "review_state": new.review_state,
                "is_withdrawn": False,
                "probability": _optional(event.probability),
                "reasons": json.dumps(list(event.reasons)),
                "reason": new.reason,
                "actor": new.actor,
                "run": run,
            }
        )
    for name in (
        "origin", "arrival", "magnitude", "station_magnitude", "origin_magnitude",
        "focal_mechanism", "event_revision",
    ):  # fmt: skip
        write.insert(schema.metadata.tables[name], rows[name])


def insert_origins(write: Write, origins: Sequence[tuple[int, Origin]]) -> None:
    """Write origins of events, with their arrivals, beside the preferred ones."""
    if not origins:
        return
    run = write.run_key()
    picks = [arrival.pick for _, origin in origins for arrival in origin.arrivals]
    pick_keys = iter(find_or_add(write, picks, as_current=False))
    keys = write.new_ids(schema.origin, len(origins))
    arrivals: list[dict[str, Any]] = []
    rows = []
    for key, (event_key, origin) in zip(keys, origins, strict=True):
        values = dict(zip(_ORIGIN_NAMES, _origin_values(origin), strict=True))
        rows.append({"id": key, "event": event_key, "run": run, **values})
        arrivals += _arrival_rows(key, origin, pick_keys)
    write.insert(schema.origin, rows)
    write.insert(schema.arrival, arrivals)


def load_origins(connection: Connection, event_key: int) -> list[tuple[int, Origin]]:
    """Read every origin ever held of an event, each with its row, oldest first."""
    table = schema.origin
    query = select(table.c.id, *(table.c[name] for name in _ORIGIN_NAMES))
    rows = connection.execute(query.where(table.c.event == event_key).order_by(table.c.id)).all()
    arrivals = load_arrivals(connection, PickReader(connection), [row[0] for row in rows])
    return [(row[0], _origin(row[1:], arrivals.get(row[0], []))) for row in rows]


def _arrival_rows(
    origin_key: int, origin: Origin, pick_keys: Iterator[int]
) -> list[dict[str, Any]]:
    names = ("distance_km", "azimuth_deg", "residual_s", "weight")
    return [
        {"origin": origin_key, "position": position, "pick": next(pick_keys)}
        | dict(zip(names, _arrival_values(arrival), strict=True))
        for position, arrival in enumerate(origin.arrivals)
    ]


def revise(
    write: Write,
    held: Sequence[Held],
    *,
    reason: str,
    actor: str,
    review_state: ReviewState | None = None,
    is_withdrawn: bool = False,
) -> None:
    """Write revisions that keep origin and magnitude and change only how the event is judged."""
    if not held:
        return
    now, run = write.stamp_ns(), write.run_key()
    end_revisions(write, [one.revision_key for one in held])
    keys = write.new_ids(schema.event_revision, len(held))
    write.insert(
        schema.event_revision,
        [
            {
                **one.values,
                "id": key,
                "revision": one.revision + 1,
                "valid_from": now,
                "valid_to": None,
                "review_state": review_state or one.review_state,
                "is_withdrawn": is_withdrawn,
                "reason": reason,
                "actor": actor,
                "run": run,
            }
            for key, one in zip(keys, held, strict=True)
        ],
    )


def end_revisions(write: Write, keys: Iterable[int]) -> None:
    """Make rows of `event_revision` no longer current."""
    table = schema.event_revision
    for batch in batched(sorted(keys), BATCH):
        write.connection.execute(
            update(table).where(table.c.id.in_(batch)).values(valid_to=write.stamp_ns())
        )


def load_events(connection: Connection, revision_keys: Sequence[int]) -> list[Event]:
    """Read whole events by their revisions' rows, in the order asked."""
    revision, origin, event, run = (
        schema.event_revision, schema.origin, schema.event, schema.run,
    )  # fmt: skip
    reader = PickReader(connection)
    query = (
        select(
            revision.c.id, revision.c.origin, revision.c.magnitude, revision.c.revision,
            revision.c.event_type, revision.c.review_state, revision.c.probability,
            revision.c.valid_from, revision.c.reasons, event.c.event_id, run.c.run_id,
            *(origin.c[name] for name in _ORIGIN_NAMES),
        )
        .join(origin, origin.c.id == revision.c.origin)
        .join(event, event.c.id == revision.c.event)
        .join(run, run.c.id == revision.c.run)
    )  # fmt: skip
    loaded: dict[int, Event] = {}
    for batch in batched(revision_keys, BATCH):
        rows = connection.execute(query.where(revision.c.id.in_(batch))).all()
        arrivals = load_arrivals(connection, reader, [row[1] for row in rows])
        magnitudes = load_magnitudes(connection, reader, [row[2] for row in rows if row[2]])
        others = load_other_magnitudes(connection, reader, [row[1] for row in rows])
        mechanisms = load_mechanisms(connection, [row[1] for row in rows])
        for row in rows:
            loaded[row[0]] = Event(
                preferred_origin=_origin(row[11:], arrivals.get(row[1], [])),
                preferred_magnitude=magnitudes.get(row[2]),
                event_id=row[9],
                revision=row[3],
                event_type=row[4],
                review_state=row[5],
                probability=row[6],
                valid_from=from_ns(row[7]),
                run=row[10],
                reasons=tuple(json.loads(row[8])),
                other_magnitudes=others.get(row[1], ()),
                mechanism=mechanisms.get(row[1]),
            )
    return [loaded[key] for key in revision_keys]


def _number(value: float | None) -> float:
    return math.nan if value is None else value  # one NaN object, so that equal events are equal


def _origin(row: Sequence[Any], arrivals: Iterable[Arrival]) -> Origin:
    numbers = [_number(value) for value in row[4:19]]
    return Origin(
        time=from_ns(row[0]),
        latitude=row[1],
        longitude=row[2],
        depth_km=_number(row[3]),
        time_uncertainty_s=numbers[0],
        covariance_km2=(
            numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6],
        ),
        ellipse_km=(numbers[7], numbers[8]),
        ellipse_azimuth_deg=numbers[9],
        depth_interval_km=(numbers[10], numbers[11]),
        rms_s=numbers[12],
        azimuthal_gap_deg=numbers[13],
        nearest_station_km=numbers[14],
        n_stations=row[19],
        n_phases=row[20],
        quality=row[21],
        method=row[22],
        velocity_model=row[23],
        arrivals=tuple(arrivals),
    )  # fmt: skip


def load_arrivals(
    connection: Connection, reader: PickReader, origin_keys: Sequence[int]
) -> dict[int, list[Arrival]]:
    """Read the arrivals of origins, in their order."""
    table = schema.arrival
    query = select(
        *PICK_COLUMNS, table.c.origin, table.c.distance_km, table.c.azimuth_deg,
        table.c.residual_s, table.c.weight,
    ).join(schema.pick, schema.pick.c.id == table.c.pick)  # fmt: skip
    found: dict[int, list[Arrival]] = defaultdict(list)
    for batch in batched(origin_keys, BATCH):
        rows = connection.execute(
            query.where(table.c.origin.in_(batch)).order_by(table.c.origin, table.c.position)
        )
        for row in rows:
            origin, *numbers = row[len(PICK_COLUMNS) :]
            found[origin].append(Arrival(reader.pick(row), *map(_number, numbers)))
    return found
