"""Earthquakes that never were, as real sensors would have recorded them.

Added to recorded noise they tell what a network detects. Nothing here is ever archived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from geomon.stations import Channel
from geomon.synthesis.instruments import counts_per_velocity
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import SourceAndPath
from geomon.times import NS_PER_S
from geomon.waveforms import Segment

_LEAD_S = 5.0
_AZIMUTHS = {"N": 0.0, "1": 0.0, "E": 90.0, "2": 90.0}  # where the metadata do not tell


@dataclass(frozen=True, slots=True)
class Arriving:
    """An earthquake as one station meets it.

    Attributes
    ----------
    magnitude : float
        Local magnitude.
    stress_drop_pa : float
        Of the source; the same for all stations.
    hypocentral_distance_km, azimuth_deg : float
        Length of the path, and the direction waves travel in at the station.
    p_ns, s_ns : int
        Arrival times, nanoseconds since 1970.
    """

    magnitude: float
    stress_drop_pa: float
    hypocentral_distance_km: float
    azimuth_deg: float
    p_ns: int
    s_ns: int


def injected(
    rng: np.random.Generator,
    segments: Sequence[Segment],
    channels: Sequence[Channel],
    arriving: Sequence[Arriving],
) -> list[Segment]:
    """Add earthquakes to the records of one sensor.

    Parameters
    ----------
    rng : Generator
        Draws what is not known of path and scattering.
    segments : sequence of Segment
        Records of any of the sensor's channels; they are not changed.
    channels : sequence of Channel
        Metadata of these channels; one without a response is left as it was recorded.
    arriving : sequence of Arriving
        The earthquakes.

    Returns
    -------
    list of Segment
        Of the same samples as those given; whole counts where those were whole.
    """
    by_id = {channel.seed_id: channel for channel in channels if channel.response is not None}
    sums = {id(segment): segment.samples.astype(np.float64) for segment in segments}
    rates = sorted({segment.sampling_rate_hz for segment in segments})
    for one in arriving:
        for rate in rates:
            ground = _ground(rng, one, rate)
            start_ns = one.p_ns - round(_LEAD_S * NS_PER_S)
            for segment in segments:
                channel = by_id.get(segment.seed_id)
                if channel is None or segment.sampling_rate_hz != rate:
                    continue
                first = round((start_ns - segment.start_ns) * rate / NS_PER_S)
                low, high = max(first, 0), min(first + ground.shape[1], segment.samples.size)
                if low < high:
                    counts = _counts(ground, channel, rate)
                    sums[id(segment)][low:high] += counts[low - first : high - first]
    return [
        Segment(
            segment.seed_id, segment.start_ns, segment.sampling_rate_hz,
            _as_recorded(sums[id(segment)], segment.samples.dtype),
        )
        for segment in segments
    ]  # fmt: skip


def _ground(rng: np.random.Generator, one: Arriving, rate: float) -> NDArray[np.float64]:
    """Return ground velocity (m/s) up, north and east, from some seconds before P."""
    s_after_p_s = (one.s_ns - one.p_ns) / NS_PER_S
    n_samples = round((_LEAD_S + s_after_p_s + 20 + 14 * max(one.magnitude, 0)) * rate)
    paths = SourceAndPath.draw(
        rng, magnitude=[one.magnitude], hypocentral_distance_km=[one.hypocentral_distance_km],
        p_time_s=[_LEAD_S], s_time_s=[_LEAD_S + s_after_p_s], azimuth_deg=[one.azimuth_deg],
        stress_drop_pa=one.stress_drop_pa,
    )  # fmt: skip
    ground = np.asarray(
        seismograms(rng, paths, n_samples=n_samples, sampling_rate_hz=rate)[0], np.float64
    )
    fade = np.minimum(1, (n_samples - np.arange(n_samples)) / (0.3 * n_samples))
    return np.asarray(ground * np.sin(0.5 * np.pi * fade) ** 2)


def _counts(ground: NDArray[np.float64], channel: Channel, rate: float) -> NDArray[np.float64]:
    """Return what a channel makes of ground velocity."""
    up, north, east = ground
    letter = channel.seed_id.component
    if letter == "Z":
        along = up
    else:
        azimuth = channel.azimuth_deg
        angle = np.radians(_AZIMUTHS.get(letter, 0.0) if azimuth is None else azimuth)
        along = np.cos(angle) * north + np.sin(angle) * east
    n_fft = int(fft.next_fast_len(along.size + round(10 * rate), real=True))
    if channel.response is None:
        return np.zeros(along.size)
    gain = counts_per_velocity(channel.response, np.fft.rfftfreq(n_fft, 1 / rate))
    return np.asarray(fft.irfft(fft.rfft(along, n_fft) * gain, n_fft)[: along.size])


def _as_recorded(samples: NDArray[np.float64], kind: np.dtype[Any]) -> NDArray[Any]:
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        samples = np.rint(np.clip(samples, limits.min + 1, limits.max))
    return samples.astype(kind)
