"""One line about an event: what catalogues are listed, compared and exported by."""

import math
from datetime import UTC, datetime
from typing import NamedTuple

from geomon.events import Event


class EventSummary(NamedTuple):
    """One line of the catalogue: an event without its arrivals; None is unknown, never NaN.

    The fields, in this order, are the columns of every table made of events. Uncertainties are one
    standard deviation; the ellipse and the depth interval hold 68 %.
    """

    event_id: str
    time: datetime
    latitude: float
    longitude: float
    depth_km: float | None
    magnitude: float | None
    magnitude_type: str | None
    magnitude_uncertainty: float | None
    n_stations: int
    n_phases: int
    rms_s: float | None
    azimuthal_gap_deg: float | None
    nearest_station_km: float | None
    ellipse_major_km: float | None
    ellipse_minor_km: float | None
    ellipse_azimuth_deg: float | None
    depth_low_km: float | None
    depth_high_km: float | None
    time_uncertainty_s: float | None
    quality: str
    event_type: str
    review_state: str
    probability: float | None
    revision: int
    updated: datetime
    catalog: str


class Contribution(NamedTuple):
    """Where an event of another catalogue comes from, and the public id it has there."""

    agency: str
    public_id: str


EVENT_COLUMNS = EventSummary._fields


def summary_of(event: Event, catalog: str = "geomon") -> EventSummary:
    """Return one line about an event."""
    origin, magnitude = event.preferred_origin, event.preferred_magnitude
    updated = event.valid_from or datetime.fromtimestamp(0, UTC)
    return EventSummary(
        event.event_id, origin.time, origin.latitude, origin.longitude, _known(origin.depth_km),
        None if magnitude is None else magnitude.value,
        None if magnitude is None else magnitude.magnitude_type,
        None if magnitude is None else _known(magnitude.uncertainty),
        origin.n_stations, origin.n_phases, _known(origin.rms_s),
        _known(origin.azimuthal_gap_deg), _known(origin.nearest_station_km),
        _known(origin.ellipse_km[0]), _known(origin.ellipse_km[1]),
        _known(origin.ellipse_azimuth_deg), _known(origin.depth_interval_km[0]),
        _known(origin.depth_interval_km[1]), _known(origin.time_uncertainty_s), origin.quality,
        event.event_type, event.review_state, event.probability, event.revision, updated, catalog,
    )  # fmt: skip


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
