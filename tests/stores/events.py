"""Builders of picks and events for the tests of the stores."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import select

from geomon.events import (
    Arrival,
    Event,
    FocalMechanism,
    Magnitude,
    Origin,
    Pick,
    StationMagnitude,
)
from geomon.ids import StreamId
from geomon.stores import schema
from geomon.stores.catalog import Catalog
from geomon.times import TimeSpan

T0 = datetime(2026, 7, 4, 17, 0, tzinfo=UTC)
HOUR = TimeSpan.between(T0, T0 + timedelta(hours=1))
STREAMS = tuple(StreamId("GM", f"ST{number:02d}", "", "HH") for number in range(12))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def make_pick(
    seconds: float,
    stream_id: StreamId = STREAMS[0],
    phase: str = "P",
    probability: float = 0.9,
    picker: str = "default-1a2b",
    mode: str = "automatic",
) -> Pick:
    return Pick(
        time=at(seconds),
        seed_id=stream_id.seed_id("Z" if phase == "P" else "N"),
        phase=phase,
        probability=probability,
        uncertainty_s=0.03,
        snr=12.5,
        amplitude=4321.0,
        polarity="positive" if phase == "P" else "undecidable",
        polarity_probability=0.95 if phase == "P" and mode == "automatic" else None,
        picker=picker,
        evaluation_mode=mode,
    )


def make_event(
    seconds: float = 100.0,
    *,
    latitude: float = 64.05,
    longitude: float = -21.3,
    depth_km: float = 5.5,
    value: float | None = 1.7,
    n_stations: int = 6,
    first_station: int = 0,
    pick_shift_s: float = 0.0,
    picker: str = "default-1a2b",
    sigma_km: float = 0.8,
) -> Event:
    arrivals = []
    stations = []
    for number in range(n_stations):
        stream_id = STREAMS[(first_station + number) % len(STREAMS)]
        distance_km = 5.0 + 3.0 * number
        for phase, speed in (("P", 5.8), ("S", 3.36)):
            travel_s = round(math.hypot(distance_km, depth_km) / speed, 6)
            pick = make_pick(
                seconds + travel_s + pick_shift_s, stream_id, phase, 0.5 + 0.04 * number, picker
            )
            arrivals.append(Arrival(pick, distance_km, 30.0 * number, 0.01 * number, 0.9))
        stations.append(
            StationMagnitude(
                stream_id.seed_id("N"), "ML", (value or 0) + 0.1 * number, 0.12, distance_km
            )
        )
    origin = Origin(
        time=at(seconds),
        latitude=latitude,
        longitude=longitude,
        depth_km=depth_km,
        time_uncertainty_s=0.08,
        covariance_km2=(0.4, 0.1, -0.05, 0.3, 0.02, 1.1),
        ellipse_km=(sigma_km, 0.6 * sigma_km),
        ellipse_azimuth_deg=35.0,
        depth_interval_km=(depth_km - 1.2, depth_km + 1.4),
        rms_s=0.07,
        azimuthal_gap_deg=95.0,
        nearest_station_km=5.0,
        n_stations=n_stations,
        n_phases=2 * n_stations,
        quality="A",
        method="student-t",
        velocity_model="iasp91-0123",
        arrivals=tuple(arrivals),
    )
    magnitude = None if value is None else Magnitude(value, "ML", 0.1, n_stations, tuple(stations))
    return Event(origin, magnitude, probability=0.97)


def with_mechanism(event: Event) -> Event:
    """Return an event that also has a moment magnitude and a focal mechanism."""
    seed_id = STREAMS[0].seed_id("E")
    moment = Magnitude(
        1.9, "Mw", 0.12, 1, (StationMagnitude(seed_id, "Mw", 1.9, math.nan, 8.5),)
    )  # fmt: skip
    mechanism = FocalMechanism(
        35.5, 42.0, -80.25, (202.0, 48.8, -98.6), 18.5, 0.92, 0.07, 0.61, 14, "A"
    )  # fmt: skip
    return replace(event, other_magnitudes=(moment,), mechanism=mechanism)


def many_events(
    count: int, *, seed: int = 1, span_s: float = 3600.0, **place: float
) -> list[Event]:
    """Return events spread evenly in time and randomly in place, 6 stations each."""
    rng = np.random.default_rng(seed)
    events = []
    for number in range(count):
        events.append(
            make_event(
                round((number + 0.5) * span_s / count, 6),
                latitude=place.get("latitude", float(rng.uniform(63.8, 64.2))),
                longitude=place.get("longitude", float(rng.uniform(-21.8, -21.0))),
                depth_km=round(float(rng.uniform(1, 12)), 3),
                value=round(float(rng.exponential(0.6)), 2),
                first_station=number % 12,
            )
        )
    return events


def said(events: Sequence[Event]) -> list[tuple[object, ...]]:
    """What events say, without their ids and history."""
    return [
        (
            e.preferred_origin,
            e.preferred_magnitude,
            e.other_magnitudes,
            e.mechanism,
            e.event_type,
            e.probability,
        )
        for e in events
    ]


def dump(catalog: Catalog) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with catalog.database.read() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for name, table in schema.metadata.tables.items()
        }
