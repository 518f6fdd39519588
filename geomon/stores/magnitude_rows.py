"""Magnitudes and focal mechanisms as rows."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from geomon.events import FocalMechanism, Magnitude, StationMagnitude
from geomon.stores import schema
from geomon.stores.database import Write
from geomon.stores.pick_rows import PickReader, null, stream_of

_MECHANISM = (
    "strike_deg", "dip_deg", "rake_deg", "auxiliary_strike_deg", "auxiliary_dip_deg",
    "auxiliary_rake_deg", "uncertainty_deg", "probability", "misfit",
    "station_distribution_ratio", "n_polarities", "quality",
)  # fmt: skip


def said_of(magnitude: Magnitude) -> tuple[Any, ...]:
    """Return everything a magnitude says, for hashing."""
    stations = [(str(s.seed_id), *_station_values(s)) for s in magnitude.station_magnitudes]
    return _magnitude_values(magnitude), stations


def add_magnitude(
    write: Write,
    rows: dict[str, list[dict[str, Any]]],
    key: int,
    event_key: int,
    magnitude: Magnitude,
) -> None:
    """Add a magnitude and its stations to the rows about to be written."""
    names = ("value", "type", "uncertainty", "n_stations")
    rows["magnitude"].append(
        {"id": key, "event": event_key, "run": write.run_key()}
        | dict(zip(names, _magnitude_values(magnitude), strict=True))
    )
    names = ("type", "value", "amplitude_mm", "distance_km")
    rows["station_magnitude"] += [
        {
            "magnitude": key,
            "position": position,
            "stream": write.stream(stream_of(station.seed_id)),
            "component": station.seed_id.component,
        }
        | dict(zip(names, _station_values(station), strict=True))
        for position, station in enumerate(magnitude.station_magnitudes)
    ]


def _magnitude_values(magnitude: Magnitude) -> tuple[Any, ...]:
    return (
        float(magnitude.value),
        magnitude.magnitude_type,
        null(magnitude.uncertainty),
        int(magnitude.n_stations),
    )


def _station_values(station: StationMagnitude) -> tuple[Any, ...]:
    return (
        station.magnitude_type,
        float(station.value),
        null(station.amplitude_mm),
        null(station.distance_km),
    )


def mechanism_values(mechanism: FocalMechanism) -> tuple[Any, ...]:
    """Return everything a mechanism says, in the order of its columns."""
    return (
        float(mechanism.strike_deg),
        float(mechanism.dip_deg),
        float(mechanism.rake_deg),
        *map(float, mechanism.auxiliary),
        null(mechanism.uncertainty_deg),
        null(mechanism.probability),
        null(mechanism.misfit),
        null(mechanism.station_distribution_ratio),
        int(mechanism.n_polarities),
        mechanism.quality,
    )


def mechanism_row(origin_key: int, mechanism: FocalMechanism) -> dict[str, Any]:
    """Return the row of an origin's mechanism."""
    return {"origin": origin_key} | dict(zip(_MECHANISM, mechanism_values(mechanism), strict=True))


def load_magnitudes(
    connection: Connection, reader: PickReader, keys: Sequence[int]
) -> dict[int, Magnitude]:
    """Read magnitudes with their stations, by their rows."""
    table, station = schema.magnitude, schema.station_magnitude
    stations: dict[int, list[StationMagnitude]] = defaultdict(list)
    rows = connection.execute(
        select(station)
        .where(station.c.magnitude.in_(keys))
        .order_by(station.c.magnitude, station.c.position)
    )
    for row in rows:
        seed_id = reader.seed_id(row.stream, row.component)
        stations[row.magnitude].append(
            StationMagnitude(
                seed_id, row.type, row.value, _number(row.amplitude_mm), _number(row.distance_km)
            )
        )
    found = connection.execute(select(table).where(table.c.id.in_(keys)))
    return {
        row.id: Magnitude(
            row.value, row.type, _number(row.uncertainty), row.n_stations, tuple(stations[row.id])
        )
        for row in found
    }


def load_other_magnitudes(
    connection: Connection, reader: PickReader, origin_keys: Sequence[int]
) -> dict[int, tuple[Magnitude, ...]]:
    """Read the magnitudes origins have beside the preferred one, in their order."""
    table = schema.origin_magnitude
    links = connection.execute(
        select(table.c.origin, table.c.magnitude)
        .where(table.c.origin.in_(origin_keys))
        .order_by(table.c.origin, table.c.position)
    ).all()
    magnitudes = load_magnitudes(connection, reader, [link.magnitude for link in links])
    found: dict[int, list[Magnitude]] = defaultdict(list)
    for link in links:
        found[link.origin].append(magnitudes[link.magnitude])
    return {origin: tuple(several) for origin, several in found.items()}


def load_mechanisms(
    connection: Connection, origin_keys: Sequence[int]
) -> dict[int, FocalMechanism]:
    """Read the mechanisms of origins."""
    table = schema.focal_mechanism
    rows = connection.execute(select(table).where(table.c.origin.in_(origin_keys)))
    return {
        row[0]: FocalMechanism(
            row[1], row[2], row[3], (row[4], row[5], row[6]), _number(row[7]), _number(row[8]),
            _number(row[9]), _number(row[10]), row[11], row[12],
        )
        for row in rows
    }  # fmt: skip


def _number(value: float | None) -> float:
    return math.nan if value is None else value  # one NaN object, so that equal events are equal
