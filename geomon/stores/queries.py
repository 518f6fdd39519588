"""What can be asked of the catalogue's events, and the SQL that answers it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, union_all

from geomon.errors import DataError
from geomon.stores.schema import (
    contributor,
    event,
    event_alias,
    magnitude,
    origin,
    origin_magnitude,
)
from geomon.stores.schema import event_revision as revision
from geomon.stores.summary import Contribution, EventSummary
from geomon.times import from_ns, parse_time, to_ns

OWN = "geomon"
"""Name of the catalogue that holds what geomon finds itself."""

ITSELF = ""
"""Among contributors: geomon, whose events name none."""

type Time = datetime | str | int
"""A UTC-aware `datetime`, ISO 8601 text, or nanoseconds since 1970."""

type Order = Literal["time", "-time", "magnitude", "-magnitude"]
type _Index = Literal["cells", "sizes", "period", "updated"]

_MAX_CELLS = 400
"""Boxes of more one-degree cells than this are looked up by time or magnitude instead."""
_FEW = 20_000
"""So few rows are all looked at; of more, the first ones in the order asked for are enough."""

_BATCH = 500


def as_ns(time: Time) -> int:
    """Return a time as nanoseconds since 1970 UTC.

    Raises
    ------
    DataError
        If a text is no time or a `datetime` has no time zone.
    """
    if isinstance(time, str):
        return parse_time(time)
    return to_ns(time) if isinstance(time, datetime) else int(time)


@dataclass(frozen=True, slots=True)
class Circle:
    """Distances from a point, in degrees of arc, both ends included."""

    latitude: float
    longitude: float
    max_radius_deg: float
    min_radius_deg: float = 0.0

    def contains(self, latitude: float, longitude: float) -> bool:
        """Tell whether a place lies within the radii."""
        phi_1, phi_2 = math.radians(self.latitude), math.radians(latitude)
        half_lon = math.radians(longitude - self.longitude) / 2
        haversine = (
            math.sin((phi_2 - phi_1) / 2) ** 2
            + math.cos(phi_1) * math.cos(phi_2) * math.sin(half_lon) ** 2
        )
        distance_deg = math.degrees(2 * math.asin(min(1.0, math.sqrt(haversine))))
        return self.min_radius_deg <= distance_deg <= self.max_radius_deg

    def box(self) -> tuple[float, float, float, float]:
        """Return west, south, east, north around the circle."""
        south = max(self.latitude - self.max_radius_deg, -90.0)
        north = min(self.latitude + self.max_radius_deg, 90.0)
        if south <= -90 or north >= 90:
            return (-180.0, south, 180.0, north)
        ratio = math.sin(math.radians(self.max_radius_deg)) / math.cos(math.radians(self.latitude))
        half_deg = math.degrees(math.asin(ratio)) + 1e-9 if ratio < 1 else 180.0
        if half_deg >= 180:
            return (-180.0, south, 180.0, north)
        west, east = self.longitude - half_deg, self.longitude + half_deg
        return (_wrapped(west), south, _wrapped(east), north)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Conditions on events, all of which must hold; the arguments of `Catalog.events`."""

    start: Time | None = None
    end: Time | None = None
    bbox: tuple[float, float, float, float] | None = None
    circle: Circle | None = None
    min_magnitude: float | None = None
    max_magnitude: float | None = None
    magnitude_type: str | None = None
    min_depth_km: float | None = None
    max_depth_km: float | None = None
    event_type: str | Sequence[str] | None = None
    event_ids: Sequence[str] | None = None
    updated_after: Time | None = None
    as_of: Time | None = None
    catalog: str | None = OWN
    contributors: Sequence[str] | None = None
    include_rejected: bool = False
    order_by: Order = "time"
    limit: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        if self.bbox is not None:
            check_box(self.bbox)
        _check_range("start", self.start, "end", self.end)
        _check_range("smallest magnitude", self.min_magnitude, "largest", self.max_magnitude)
        _check_range("smallest depth", self.min_depth_km, "largest", self.max_depth_km)
        if self.limit is not None and self.limit < 0:
            msg = f"limit {self.limit} is negative"
            raise DataError(msg)
        if self.offset < 0:
            msg = f"offset {self.offset} is negative"
            raise DataError(msg)


def _check_range(
    low_name: str, low: Time | float | None, high_name: str, high: Time | float | None
) -> None:
    """Refuse a range that ends before it starts, or an end that is no number.

    Raises
    ------
    DataError
        If it is one.
    """
    ends = [as_ns(e) if isinstance(e, str | datetime) else e for e in (low, high) if e is not None]
    if any(end != end for end in ends) or sorted(ends) != ends:
        msg = f"{low_name} {low} is not before {high_name} {high}"
        raise DataError(msg)


def check_box(bbox: tuple[float, float, float, float]) -> None:
    """Refuse west, south, east and north, in degrees, that are not on Earth or out of order.

    Raises
    ------
    DataError
        If they are not on Earth or out of order.
    """
    west, south, east, north = bbox
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        msg = f"box {bbox}: west and east must lie in [-180, 180]"
        raise DataError(msg)
    if not -90 <= south <= north <= 90:
        msg = f"box {bbox}: needs -90 <= south <= north <= 90"
        raise DataError(msg)


_SUMMARY = (
    revision.c.id, event.c.event_id, origin.c.time_ns, origin.c.latitude, origin.c.longitude,
    origin.c.depth_km, magnitude.c.value, magnitude.c.type, magnitude.c.uncertainty,
    origin.c.n_stations, origin.c.n_phases, origin.c.rms_s, origin.c.azimuthal_gap_deg,
    origin.c.nearest_station_km, origin.c.ellipse_major_km, origin.c.ellipse_minor_km,
    origin.c.ellipse_azimuth_deg, origin.c.depth_low_km, origin.c.depth_high_km,
    origin.c.time_uncertainty_s, origin.c.quality, revision.c.event_type,
    revision.c.review_state, revision.c.probability, revision.c.revision, revision.c.valid_from,
    revision.c.catalog,
)  # fmt: skip


def find(connection: Connection, query: EventQuery) -> list[tuple[int, EventSummary]]:
    """Return the revision row and summary of every event asked for, in the order asked for."""
    conditions, index = _conditions(connection, query)
    keys = _page(query, conditions, index).subquery()
    statement = _said().join(keys, keys.c.id == revision.c.id).order_by(*_order(query, None))
    return [(row[0], _summary(row)) for row in connection.execute(statement).all()]


def _page(
    query: EventQuery, conditions: Sequence[ColumnElement[bool]], index: _Index | None
) -> Select[Any]:
    """Return the revision rows of the events asked for.

    The largest first are looked up apart from those without magnitude: PostgreSQL's index has the
    unknown ones at its other end.
    """
    page = select(revision.c.id).where(*conditions).order_by(*_order(query, index))
    if query.limit is None:
        # SQLite knows no OFFSET without LIMIT.
        return page.limit(2**62).offset(query.offset) if query.offset else page
    if query.order_by == "-magnitude" and not _in_sizes(revision.c.magnitude_value, query):
        sized = revision.c.magnitude_value.is_not(None)
        firsts = (
            select(revision.c.id)
            .where(*conditions, kind)
            .order_by(*_order(query, index, all_sized=True))
            .limit(query.offset + query.limit)
            .subquery()
            for kind in (sized, ~sized)
        )
        ids = union_all(*(select(first.c.id) for first in firsts))
        page = select(revision.c.id).where(revision.c.id.in_(ids)).order_by(*_order(query, None))
    return page.limit(query.limit).offset(query.offset)


def summaries(connection: Connection, keys: Sequence[int]) -> dict[int, EventSummary]:
    """Return what revisions say, by their rows."""
    found: dict[int, EventSummary] = {}
    for batch in batched(keys, _BATCH):
        rows = connection.execute(_said().where(revision.c.id.in_(batch)))
        found |= {row[0]: _summary(row) for row in rows}
    return found


def _said() -> Select[Any]:
    return (
        select(*_SUMMARY)
        .join(event, event.c.id == revision.c.event)
        .join(origin, origin.c.id == revision.c.origin)
        .outerjoin(magnitude, magnitude.c.id == revision.c.magnitude)
    )


def contributions(connection: Connection, event_ids: Sequence[str]) -> dict[str, Contribution]:
    """Return where events come from, by their ids; geomon's own are left out."""
    found: dict[str, Contribution] = {}
    for batch in batched(event_ids, _BATCH):
        rows = connection.execute(
            select(event.c.event_id, contributor.c.agency, func.min(event_alias.c.alias))
            .join(contributor, contributor.c.event == event.c.id)
            .join(event_alias, event_alias.c.event == event.c.id)
            .where(event.c.event_id.in_(batch))
            .group_by(event.c.event_id, contributor.c.agency)
        )
        found |= {row[0]: Contribution(row[1], row[2]) for row in rows}
    return found


def count(connection: Connection, query: EventQuery) -> int:
    """Return how many events match, before limit and offset."""
    conditions, _ = _conditions(connection, query)
    statement = select(func.count()).where(*conditions)
    return connection.scalar(statement.select_from(revision)) or 0


def _summary(row: Row[Any]) -> EventSummary:
    return EventSummary._make((row[1], from_ns(row[2]), *row[3:25], from_ns(row[25]), row[26]))


def current_or_as_of(as_of: Time | None) -> ColumnElement[bool]:
    """Return the condition that a revision is valid now, or was at an instant."""
    if as_of is None:
        return revision.c.valid_to.is_(None)
    instant = as_ns(as_of)
    return (revision.c.valid_from <= instant) & or_(
        revision.c.valid_to.is_(None), revision.c.valid_to > instant
    )


def _conditions(
    connection: Connection, query: EventQuery
) -> tuple[list[ColumnElement[bool]], _Index | None]:
    """Return all conditions, of which one kind may use an index: the most selective one.

    Databases without statistics choose badly between a box, a period and a magnitude, and walk
    through time to spare a sort. So the few rows each kind would leave are counted, up to a
    limit, and the others are written as expressions no index knows. With many rows whatever the
    kind, walking in the order asked for ends soon.
    """
    conditions = _plain_conditions(query)
    boxes = [box for box in (query.bbox, query.circle and query.circle.box()) if box]
    for box in boxes:
        conditions += _in_box(box)
    if query.circle is not None:
        conditions += _in_circle(query.circle)
    period = _in_period(revision.c.time_ns, query)
    sizes = [] if query.magnitude_type else _in_sizes(revision.c.magnitude_value, query)
    cells = next((cells for box in boxes if (cells := _cells(box)) is not None), None)
    kinds: dict[_Index, list[ColumnElement[bool]]] = {
        "cells": [] if cells is None else [revision.c.cell.in_(cells), *period],
        "sizes": sizes,
        "period": period,
        "updated": _updated(revision.c.valid_from, query),
    }
    best: _Index | None = "period" if query.as_of is not None else _fewest(connection, kinds)
    if sizes and best != "sizes":
        sizes = _in_sizes(revision.c.magnitude_value + 0.0, query)
    if best in ("sizes", "updated"):
        period = _in_period(revision.c.time_ns + 0, query)
    if best == "cells" and cells is not None:
        conditions.append(revision.c.cell.in_(cells))
    changed_ns: ColumnElement[int] = revision.c.valid_from
    updated = _updated(changed_ns if best == "updated" else changed_ns + 0, query)
    return [*conditions, *period, *sizes, *updated], best


def _plain_conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    """Return the conditions that no index of places, times or sizes answers."""
    conditions = [current_or_as_of(query.as_of), revision.c.is_withdrawn.is_(False)]
    if query.catalog is not None:
        conditions.append(revision.c.catalog == query.catalog)
    if query.contributors is not None:
        conditions.append(_contributed(query.contributors))
    if not query.include_rejected:
        conditions.append(revision.c.review_state != "rejected")
    if query.event_ids is not None:
        keys = select(event.c.id).where(event.c.event_id.in_(list(query.event_ids)))
        conditions.append(revision.c.event.in_(keys))
    if query.event_type is not None:
        types = [query.event_type] if isinstance(query.event_type, str) else query.event_type
        conditions.append(revision.c.event_type.in_(list(types)))
    if query.magnitude_type is not None:
        conditions.append(_has_magnitude(query, query.magnitude_type.lower()))
    if query.min_depth_km is not None:
        conditions.append(revision.c.depth_km >= query.min_depth_km)
    if query.max_depth_km is not None:
        conditions.append(revision.c.depth_km <= query.max_depth_km)
    return conditions


def _contributed(agencies: Sequence[str]) -> ColumnElement[bool]:
    named = [agency.lower() for agency in agencies]
    others = select(contributor.c.event).where(func.lower(contributor.c.agency).in_(named))
    found = revision.c.event.in_(others)
    return or_(found, revision.c.catalog == OWN) if ITSELF in named else found


def _has_magnitude(query: EventQuery, kind: str) -> ColumnElement[bool]:
    """Return the condition that a magnitude of a type, preferred or not, has the size asked for."""
    preferred = [func.lower(revision.c.magnitude_type) == kind]
    preferred += _in_sizes(revision.c.magnitude_value + 0.0, query)
    others = (
        select(origin_magnitude.c.origin)
        .join(magnitude, magnitude.c.id == origin_magnitude.c.magnitude)
        .where(func.lower(magnitude.c.type) == kind, *_in_sizes(magnitude.c.value, query))
    )
    return or_(and_(*preferred), revision.c.origin.in_(others))


def _in_period(time: ColumnElement[int], query: EventQuery) -> list[ColumnElement[bool]]:
    conditions = []
    if query.start is not None:
        conditions.append(time >= as_ns(query.start))
    if query.end is not None:
        conditions.append(time < as_ns(query.end))
    return conditions


def _updated(changed_ns: ColumnElement[int], query: EventQuery) -> list[ColumnElement[bool]]:
    return [] if query.updated_after is None else [changed_ns > as_ns(query.updated_after)]


def _in_sizes(size: ColumnElement[float], query: EventQuery) -> list[ColumnElement[bool]]:
    conditions = []
    if query.min_magnitude is not None:
        conditions.append(size >= query.min_magnitude)
    if query.max_magnitude is not None:
        conditions.append(size <= query.max_magnitude)
    return conditions


def _fewest(
    connection: Connection, kinds: Mapping[_Index, Sequence[ColumnElement[bool]]]
) -> _Index | None:
    """Return the kind of condition that leaves the fewest rows; None when all leave many."""
    counts: dict[_Index, int] = {}
    for kind, conditions in kinds.items():
        if conditions:
            few = select(revision.c.id).where(revision.c.valid_to.is_(None), *conditions)
            limited = few.limit(_FEW).subquery()
            counts[kind] = connection.scalar(select(func.count()).select_from(limited)) or 0
    best = min(counts, key=lambda kind: counts[kind], default=None)
    return best if best is not None and counts[best] < _FEW else None


def _in_box(bbox: tuple[float, float, float, float]) -> list[ColumnElement[bool]]:
    west, south, east, north = bbox
    latitude, longitude = revision.c.latitude, revision.c.longitude
    conditions: list[ColumnElement[bool]] = [latitude >= south, latitude <= north]
    if west == -180 and east == 180:
        pass
    elif west <= east:
        inside: ColumnElement[bool] = (longitude >= west) & (longitude <= east)
        if west == -180 or east == 180:  # one meridian, two names
            inside = or_(inside, longitude == -west if west == -180 else longitude == -east)
        conditions.append(inside)
    else:
        conditions.append(or_(longitude >= west, longitude <= east))
    return conditions


def _in_circle(circle: Circle) -> list[ColumnElement[bool]]:
    """Return the conditions as limits of the haversine, which grows with the distance."""
    half_rad = math.radians(0.5)
    sin_lat = func.sin((revision.c.latitude - circle.latitude) * half_rad)
    sin_lon = func.sin((revision.c.longitude - circle.longitude) * half_rad)
    cosines = func.cos(revision.c.latitude * (2 * half_rad)) * math.cos(
        math.radians(circle.latitude)
    )
    haversine = sin_lat * sin_lat + cosines * sin_lon * sin_lon
    conditions: list[ColumnElement[bool]] = []
    if circle.min_radius_deg > 0:
        conditions.append(haversine >= math.sin(circle.min_radius_deg * half_rad) ** 2)
    if circle.max_radius_deg < 180:
        conditions.append(haversine <= math.sin(circle.max_radius_deg * half_rad) ** 2)
    return conditions


def _cells(bbox: tuple[float, float, float, float]) -> list[int] | None:
    """Return the one-degree cells a box touches; None when there are too many."""
    west, south, east, north = bbox
    if west == -180 and east == 180:
        return None
    first, last = math.floor(west + 180), math.floor(east + 180)
    n_columns = last - first + 1 if west <= east else last + 360 - first + 1
    rows = range(min(math.floor(south) + 90, 179), min(math.floor(north) + 90, 179) + 1)
    if n_columns * len(rows) > _MAX_CELLS:
        return None
    columns = sorted({(first + i) % 360 for i in range(n_columns)})
    return [row * 360 + column for row in rows for column in columns]


def _order(query: EventQuery, index: _Index | None, *, all_sized: bool = False) -> list[Any]:
    """Return the order asked for; an index on other columns is not given up to spare a sort."""
    key = revision.c.event
    time: ColumnElement[int] = revision.c.time_ns
    if index in ("cells", "sizes", "updated"):
        time = time + 0
    size = revision.c.magnitude_value
    if query.order_by == "magnitude":
        return [size.asc().nulls_last(), time, key]
    if query.order_by == "-magnitude":
        all_sized = all_sized or bool(_in_sizes(size, query))
        return [size.desc() if all_sized else size.desc().nulls_last(), time.desc(), key]
    return [time, key] if query.order_by == "time" else [time.desc(), key.desc()]


def _wrapped(longitude: float) -> float:
    return (longitude + 180) % 360 - 180
