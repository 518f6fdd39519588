"""One event as JSON: what is known, on what it rests, what was said before."""

import math
from collections.abc import Sequence

from geomon.api import schemas
from geomon.events import Arrival, Event, FocalMechanism


def event_detail(event: Event, revisions: Sequence[Event]) -> schemas.EventDetail:
    """Describe an event and its history; `revisions` come oldest first."""
    magnitude = event.preferred_magnitude
    arrivals = sorted(event.arrivals, key=lambda a: (a.distance_km, a.pick.time))
    return schemas.EventDetail(
        id=event.event_id,
        properties=properties(event),
        arrivals=[_arrival(arrival) for arrival in arrivals],
        station_magnitudes=[
            schemas.StationMagnitudeRow(
                network=row.seed_id.network,
                station=row.seed_id.station,
                location=row.seed_id.location,
                channel=row.seed_id.channel,
                magnitude_type=row.magnitude_type,
                value=row.value,
                amplitude_mm=known(row.amplitude_mm),
                distance_km=known(row.distance_km),
            )
            for row in (magnitude.station_magnitudes if magnitude else ())
        ],
        other_magnitudes=[
            schemas.MagnitudeRow(
                magnitude_type=one.magnitude_type,
                value=one.value,
                uncertainty=known(one.uncertainty),
                n_stations=one.n_stations,
            )
            for one in event.other_magnitudes
        ],
        mechanism=None if event.mechanism is None else _mechanism(event.mechanism),
        revisions=[properties(revision) for revision in reversed(revisions)],
    )


def properties(event: Event) -> schemas.EventProperties:
    """Describe an event without its arrivals."""
    origin, magnitude = event.preferred_origin, event.preferred_magnitude
    return schemas.EventProperties(
        event_id=event.event_id,
        time=origin.time,
        latitude=origin.latitude,
        longitude=origin.longitude,
        depth_km=known(origin.depth_km),
        depth_low_km=known(origin.depth_interval_km[0]),
        depth_high_km=known(origin.depth_interval_km[1]),
        time_uncertainty_s=known(origin.time_uncertainty_s),
        ellipse_major_km=known(origin.ellipse_km[0]),
        ellipse_minor_km=known(origin.ellipse_km[1]),
        ellipse_azimuth_deg=known(origin.ellipse_azimuth_deg),
        rms_s=known(origin.rms_s),
        azimuthal_gap_deg=known(origin.azimuthal_gap_deg),
        nearest_station_km=known(origin.nearest_station_km),
        n_stations=origin.n_stations,
        n_phases=origin.n_phases,
        quality=origin.quality,
        magnitude=known(magnitude.value) if magnitude else None,
        magnitude_type=magnitude.magnitude_type if magnitude else None,
        magnitude_uncertainty=known(magnitude.uncertainty) if magnitude else None,
        magnitude_n_stations=magnitude.n_stations if magnitude else None,
        event_type=event.event_type,
        review_state=event.review_state,
        probability=known(event.probability),
        revision=event.revision,
        updated=event.valid_from,
        method=origin.method,
        velocity_model=origin.velocity_model,
        run=event.run,
    )


def known(value: float | None) -> float | None:
    """Return a number, or None where it is unknown: JSON has no NaN."""
    return value if value is not None and math.isfinite(value) else None


def _mechanism(mechanism: FocalMechanism) -> schemas.MechanismRow:
    return schemas.MechanismRow(
        strike_deg=mechanism.strike_deg,
        dip_deg=mechanism.dip_deg,
        rake_deg=mechanism.rake_deg,
        auxiliary=mechanism.auxiliary,
        uncertainty_deg=known(mechanism.uncertainty_deg),
        probability=known(mechanism.probability),
        n_polarities=mechanism.n_polarities,
        quality=mechanism.quality,
    )


def _arrival(arrival: Arrival) -> schemas.ArrivalRow:
    pick = arrival.pick
    return schemas.ArrivalRow(
        network=pick.seed_id.network,
        station=pick.seed_id.station,
        location=pick.seed_id.location,
        channel=pick.seed_id.channel,
        phase=pick.phase,
        time=pick.time,
        uncertainty_s=known(pick.uncertainty_s),
        probability=known(pick.probability),
        snr=known(pick.snr),
        polarity=pick.polarity,
        polarity_probability=pick.polarity_probability,
        picker=pick.picker,
        evaluation_mode=pick.evaluation_mode,
        distance_km=known(arrival.distance_km),
        azimuth_deg=known(arrival.azimuth_deg),
        residual_s=known(arrival.residual_s),
        weight=known(arrival.weight),
    )
