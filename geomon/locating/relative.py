"""Magnitudes from amplitude ratios to neighbours, where an event has no other.

A sensor without a known response still tells how much larger one event was than another beside it:
magnitudes differ by the logarithm of their amplitudes' ratio, once the small difference in distance
is taken out. The neighbour's local magnitude, from sensors with a response, sets the scale (as for
repeating events: Schaff and Richards 2014, https://doi.org/10.1093/gji/ggu057).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geomon.config import MagnitudeSettings
from geomon.events import Arrival, Event, Magnitude, Phase, StationMagnitude
from geomon.ids import SeedId
from geomon.locating.duration import DURATION_TYPE
from geomon.locating.magnitude import MAGNITUDE_TYPE, NoMagnitude
from geomon.locating.network import geodesic

RELATIVE_TYPE = "MLrel"
_NEAR_KM = 10.0  # neighbours share most of the path to a station
_LEAST_STATIONS = 2
_MOST_NEIGHBOURS = 20
_LEAST_ERROR = 0.15  # of ratios in counts: corner frequencies differ

type _Slot = tuple[SeedId, Phase]


@dataclass(frozen=True, slots=True)
class _Neighbour:
    event: Event
    away_km: float
    value: float


def relative_magnitude(
    event: Event, known: Sequence[Event], settings: MagnitudeSettings
) -> Magnitude | NoMagnitude:
    """Size an event by its neighbours.

    Parameters
    ----------
    event : Event
        With picks that have amplitudes.
    known : sequence of Event
        Events with a local magnitude; those within 10 km count, the nearest 20 of them.
    settings : MagnitudeSettings
        How amplitudes fall with distance.

    Returns
    -------
    Magnitude or NoMagnitude
        Of type ``MLrel``, the median of the stations; each station's is the median over neighbours
        and channels. Its `amplitude_mm` is NaN: counts are no millimetres.
    """
    amplitudes = _amplitudes(event)
    by_slot: dict[_Slot, list[float]] = {}
    neighbours = _neighbours(event, known)
    depth_km = event.preferred_origin.depth_km
    for near in neighbours:
        theirs = _amplitudes(near.event)
        for slot in amplitudes.keys() & theirs.keys():
            (ours, here), (other, there) = amplitudes[slot], theirs[slot]
            here_km = math.hypot(here.distance_km, _finite(depth_km))
            there_km = math.hypot(there.distance_km, _finite(near.event.preferred_origin.depth_km))
            further = settings.a * math.log10(max(here_km, 0.1) / max(there_km, 0.1))
            further += settings.b * (here_km - there_km)
            value = near.value + math.log10(ours / other) + further
            by_slot.setdefault(slot, []).append(value)
    stations = [
        StationMagnitude(
            seed_id, RELATIVE_TYPE, float(np.median(values)), math.nan,
            amplitudes[seed_id, phase][1].distance_km,
        )
        for (seed_id, phase), values in sorted(by_slot.items())
    ]  # fmt: skip
    by_station: dict[object, list[float]] = {}
    for one in stations:
        by_station.setdefault(one.seed_id.station_id, []).append(one.value)
    if len(by_station) < _LEAST_STATIONS:
        named = min(event.picks).seed_id if event.picks else SeedId("XX", "NONE", "", "HHZ")
        return NoMagnitude(
            named, f"{len(neighbours)} neighbours within {_NEAR_KM:g} km with a local magnitude "
            f"share {len(by_station)} stations with amplitudes; needs {_LEAST_STATIONS}",
        )  # fmt: skip
    each = np.array([np.median(values) for values in by_station.values()])
    value = float(np.median(each))
    spread = 1.4826 * float(np.median(np.abs(each - value)))
    error = 1.2533 * spread / math.sqrt(each.size)
    return Magnitude(
        value, RELATIVE_TYPE, math.hypot(error, _LEAST_ERROR), each.size, tuple(stations)
    )


def needs_relative(event: Event) -> bool:
    """Tell whether an event has no magnitude from a sensor with a response."""
    magnitude = event.preferred_magnitude
    return magnitude is None or magnitude.magnitude_type in (DURATION_TYPE, RELATIVE_TYPE)


def sized(event: Event, relative: Magnitude) -> Event:
    """Return an event with a relative magnitude before any other it has."""
    others = [event.preferred_magnitude, *event.other_magnitudes]
    kept = tuple(one for one in others if one is not None and one.magnitude_type != RELATIVE_TYPE)
    return replace(event, preferred_magnitude=relative, other_magnitudes=kept)


def _amplitudes(event: Event) -> Mapping[_Slot, tuple[float, Arrival]]:
    """Return the arrivals with an amplitude, by channel and phase."""
    return {
        (arrival.pick.seed_id, arrival.pick.phase): (arrival.pick.amplitude, arrival)
        for arrival in event.arrivals
        if arrival.pick.amplitude is not None and arrival.pick.amplitude > 0
    }


def _neighbours(event: Event, known: Sequence[Event]) -> list[_Neighbour]:
    """Return the nearest events with a local magnitude."""
    sized = [
        one
        for one in known
        if one.event_id != event.event_id
        and one.preferred_magnitude is not None
        and one.preferred_magnitude.magnitude_type == MAGNITUDE_TYPE
    ]
    if not sized:
        return []
    origin = event.preferred_origin
    across, _ = geodesic(
        origin.latitude, origin.longitude,
        [one.preferred_origin.latitude for one in sized],
        [one.preferred_origin.longitude for one in sized],
    )  # fmt: skip
    found = []
    for one, away_km in zip(sized, across.tolist(), strict=True):
        deeper = _finite(one.preferred_origin.depth_km) - _finite(origin.depth_km)
        apart_km = math.hypot(away_km, deeper)
        if apart_km <= _NEAR_KM and one.preferred_magnitude is not None:
            found.append(_Neighbour(one, apart_km, one.preferred_magnitude.value))
    found.sort(key=lambda near: (near.away_km, near.event.event_id))
    return found[:_MOST_NEIGHBOURS]


def _finite(depth_km: float) -> float:
    return depth_km if math.isfinite(depth_km) else 0.0
