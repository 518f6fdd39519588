"""Duration magnitude: how long an event shakes a station, where nothing better can be had.

Lee, Bennett and Meagher (1972, U.S. Geological Survey open-file report): Md = -0.87 + 2.00 log10 t
+ 0.0035 D, with t the seconds from P until the coda sinks into the noise and D the epicentral
distance in km. It needs no instrument response. The coefficients are those of central California:
elsewhere Md may be half a unit off, and differ from station to station.
"""

import math
from collections.abc import Sequence

import numpy as np

from geomon.events import Magnitude, StationMagnitude
from geomon.locating.magnitude import NOISE_S, NoMagnitude
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

DURATION_TYPE = "Md"
_LONGEST_S = 120.0  # a magnitude of 3.3; longer codas run into other events
_WINDOW_S = 2.0
_END = 2.0  # times the noise before P: there the coda ends
_UNCERTAINTY = 0.5  # of coefficients made for another region


def duration_span(p_time_ns: int) -> TimeSpan:
    """Return the span of record a duration needs."""
    return TimeSpan(p_time_ns - round(NOISE_S * NS_PER_S), p_time_ns + round(_LONGEST_S * NS_PER_S))


def duration_magnitude(
    segment: Segment, *, p_time_ns: int, distance_km: float
) -> StationMagnitude | NoMagnitude:
    """Measure one vertical.

    Parameters
    ----------
    segment : Segment
        Record from 10 s before P to where the coda has ended, counts.
    p_time_ns : int
        Arrival of P.
    distance_km : float
        Epicentral distance.
    """
    rate = segment.sampling_rate_hz
    first = round((p_time_ns - segment.start_ns) * rate / NS_PER_S)
    size = round(_WINDOW_S * rate)
    counts = np.asarray(segment.samples, np.float64)
    if first < 2 * size or counts.size < first + 2 * size:
        return NoMagnitude(segment.seed_id, f"no gapless record of {duration_span(p_time_ns)}")
    before = counts[: first - size // 4]
    middle = float(before.mean())
    noise = float(before.std())
    after = counts[first : first + (counts.size - first) // size * size].reshape(-1, size)
    level = np.sqrt(((after - middle) ** 2).mean(axis=1))
    above = level > _END * max(noise, 1e-12)
    if not above.any():
        return NoMagnitude(segment.seed_id, "shakes no more than before")
    ended = np.flatnonzero(~above[int(np.argmax(above)) :])
    if ended.size == 0:
        return NoMagnitude(segment.seed_id, "the coda does not end in the record")
    seconds = float(ended[0] + int(np.argmax(above))) * _WINDOW_S
    value = -0.87 + 2.0 * math.log10(seconds) + 0.0035 * distance_km
    return StationMagnitude(segment.seed_id, DURATION_TYPE, value, math.nan, distance_km)


def network_duration_magnitude(stations: Sequence[StationMagnitude]) -> Magnitude | None:
    """Combine stations into a duration magnitude, their median; None with fewer than three."""
    ordered = sorted(stations, key=lambda one: one.seed_id)
    if len({one.seed_id.station_id for one in ordered}) < 3:
        return None
    values = np.array([one.value for one in ordered])
    value = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - value)))
    error = 1.2533 * spread / math.sqrt(values.size)
    return Magnitude(
        value, DURATION_TYPE, math.hypot(error, _UNCERTAINTY), len(ordered), tuple(ordered)
    )
