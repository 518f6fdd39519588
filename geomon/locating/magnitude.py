"""Local magnitude from Wood-Anderson amplitudes, from raw counts in one Fourier step.

The Wood-Anderson seismometer is the one of the IASPEI standard procedures (IASPEI 2013, Summary of
Magnitude Working Group recommendations: static magnification 2080, damping 0.7, free period
0.8 s; Uhrhammer & Collins 1990). The magnitude is log10 A + a log10(r / 100) + b (r - 100) + c
with A in millimetres of deflection and r the hypocentral distance in km (Hutton & Boore 1987).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geomon.config import MagnitudeSettings
from geomon.errors import WaveformError
from geomon.events import StationMagnitude
from geomon.ids import SeedId, StationId
from geomon.processing.response import DERIVATIVES, counts_per_unit
from geomon.stations import Response
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

type Floats = NDArray[np.float64]

MAGNITUDE_TYPE = "ML"
VERTICAL_TYPE = "MLv"  # from verticals only: comparable, not the same
NOISE_S = 10.0  # before the P arrival
_GUARD_S = 1.0  # between the noise window and the P arrival
_PERIOD_S = 0.8
_DAMPING = 0.7
_PAD_S = 20.0  # of zeros on each side, so that the ends of the record do not meet
_WATER_LEVEL = 1e-3  # of the response's peak: what lies below is not divided by
# The record is faded in between these frequencies, against drift divided by nothing; where that
# leaves noise in the way, between higher ones: small earthquakes move a Wood-Anderson seismograph
# at some hertz, microseisms at some tenths.
_LOW_HZ = ((0.05, 0.2), (0.4, 0.8), (0.8, 1.6))
_CLEAR = 5.0  # times the noise: no need to look at higher frequencies only
_MIN_RATE_HZ = 20.0  # slower channels miss the peak of a local earthquake


@dataclass(frozen=True, slots=True)
class NoMagnitude:
    """Why a channel gives no magnitude.

    `limit` is what it would have given for the weakest signal told from its noise: a larger event
    would have shown. None where it says nothing, as without a response.
    """

    seed_id: SeedId
    reason: str
    limit: float | None = None


def magnitude_span(p_time_ns: int, s_time_ns: int) -> TimeSpan:
    """Return the span of record a station magnitude needs: noise before P to the end of S.

    The end is where S has certainly peaked: after S as long as S is behind P, at least 5 s. More
    would more often catch the next event.
    """
    tail_ns = max(s_time_ns - p_time_ns, 5 * NS_PER_S)
    before = round((NOISE_S + _GUARD_S) * NS_PER_S)
    return TimeSpan(p_time_ns - before, s_time_ns + tail_ns)


def wood_anderson(
    counts: NDArray[np.generic],
    sampling_rate_hz: float,
    response: Response,
    gain: float,
    low_hz: tuple[float, float] = _LOW_HZ[0],
) -> Floats:
    """Return what a Wood-Anderson seismograph would have drawn, in millimetres.

    Parameters
    ----------
    counts : array of numbers, shape (n_samples,)
        Digitiser counts without gaps.
    sampling_rate_hz : float
        Samples per second.
    response : Response
        Of the channel that recorded them.
    gain : float
        Static magnification of the Wood-Anderson seismograph.
    low_hz : (float, float)
        Lower frequencies than the first are left out, those up to the second weakened.

    Returns
    -------
    array of float64, shape (n_samples,)
        Deflection, mm. The mean of the record counts as zero.

    Notes
    -----
    Counts are divided by the instrument's response and multiplied by the Wood-Anderson's in one
    product of spectra.
    """
    values = np.asarray(counts, dtype=np.float64)
    values = values - values.mean()
    pad = round(_PAD_S * sampling_rate_hz)
    edge = min(round(1.0 * sampling_rate_hz), values.size // 4)
    if edge:
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
        values[:edge] *= ramp
        values[-edge:] *= ramp[::-1]
    size = 1 << (values.size + 2 * pad - 1).bit_length()
    factor = _transfer(response, gain, sampling_rate_hz, size, low_hz)
    drawn = np.fft.irfft(np.fft.rfft(values, size) * factor, size)
    return np.asarray(drawn[: values.size])


@lru_cache(maxsize=256)
def _transfer(
    response: Response, gain: float, sampling_rate_hz: float, size: int, low_hz: tuple[float, float]
) -> NDArray[np.complex128]:
    """Return millimetres of deflection per count, at the frequencies of a real FFT."""
    frequency = np.fft.rfftfreq(size, 1 / sampling_rate_hz)
    s = 2j * np.pi * frequency

    instrument = counts_per_unit(response, frequency)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_metre = instrument * s ** DERIVATIVES[response.input_unit]
    natural = 2 * np.pi / _PERIOD_S
    deflection = 1000 * gain * s**2 / (s**2 + 2 * _DAMPING * natural * s + natural**2)
    usable = (frequency > low_hz[0]) & np.isfinite(per_metre)
    size_of = np.abs(np.where(usable, instrument, 0))
    floor = _WATER_LEVEL * size_of.max()
    usable &= size_of > floor
    fade = np.clip((frequency - low_hz[0]) / (low_hz[1] - low_hz[0]), 0, 1)
    factor = np.zeros(frequency.size, dtype=np.complex128)
    factor[usable] = deflection[usable] / per_metre[usable]
    factor *= 0.5 - 0.5 * np.cos(np.pi * fade)
    factor.flags.writeable = False
    return factor


def local_magnitude(
    segments: Sequence[Segment],
    response: Response | None,
    *,
    p_time_ns: int,
    s_time_ns: int,
    distance_km: float,
    settings: MagnitudeSettings,
    response_problem: str = "",
    end_ns: int | None = None,
) -> StationMagnitude | NoMagnitude:
    """Measure one channel.

    Parameters
    ----------
    segments : sequence of Segment
        The channel's record over `magnitude_span`; one segment must cover all of it.
    response : Response or None
        Of the channel then.
    p_time_ns, s_time_ns : int
        Arrivals at the station, picked or predicted.
    distance_km : float
        Hypocentral distance.
    settings : MagnitudeSettings
        Attenuation curve, gain, and limits.
    response_problem : str
        What the metadata say about a missing response.
    end_ns : int, optional
        Where the amplitude is looked for at the latest, as when another event begins there.

    Returns
    -------
    StationMagnitude or NoMagnitude
        Amplitude is the largest deflection from zero between P and the end of the span, less the
        largest before P in quadrature: noise adds to a weak signal.

    Raises
    ------
    WaveformError
        If there is no segment to name the channel by.
    """
    if not segments:
        msg = "local magnitude: no segment of the channel given"
        raise WaveformError(msg)
    seed_id = segments[0].seed_id
    span = magnitude_span(p_time_ns, s_time_ns)
    if response is None or response.sensitivity == 0:
        why = f": {response_problem}" if response_problem else ""
        return NoMagnitude(seed_id, f"no usable response{why}")
    if not 0 < distance_km <= settings.max_distance_km:
        return NoMagnitude(
            seed_id, f"{distance_km:.0f} km away; limit {settings.max_distance_km:g}"
        )
    cut = _covering(segments, span)
    if cut is None:
        return NoMagnitude(seed_id, f"no gapless record of {span}")
    if cut.sampling_rate_hz < _MIN_RATE_HZ:
        return NoMagnitude(seed_id, f"{cut.sampling_rate_hz:g} Hz is too slow; needs 20 Hz")
    counts = np.asarray(cut.samples, dtype=np.float64)
    if not np.isfinite(counts).all():
        return NoMagnitude(seed_id, "record holds values that are not numbers")
    if _is_clipped(counts):
        return NoMagnitude(seed_id, "record is flat or clipped")
    amplitude, noise = _peaks(cut, counts, response, p_time_ns, end_ns, settings)
    if amplitude <= 0 or not math.isfinite(amplitude):
        return NoMagnitude(seed_id, "no signal")
    if noise > 0 and amplitude < settings.min_snr * noise:
        least = noise * math.sqrt(max(settings.min_snr**2 - 1, 0.01))
        return NoMagnitude(
            seed_id,
            f"signal is {amplitude / noise:.1f} times the noise; needs {settings.min_snr:g}",
            magnitude_of(least, distance_km, seed_id.station_id, settings),
        )
    amplitude = math.sqrt(max(amplitude**2 - noise**2, 0.01 * amplitude**2))
    value = magnitude_of(amplitude, distance_km, seed_id.station_id, settings)
    kind = VERTICAL_TYPE if seed_id.component == "Z" else MAGNITUDE_TYPE
    return StationMagnitude(seed_id, kind, value, amplitude, distance_km)


def _peaks(
    cut: Segment,
    counts: Floats,
    response: Response,
    p_time_ns: int,
    end_ns: int | None,
    settings: MagnitudeSettings,
) -> tuple[float, float]:
    """Return the largest deflections (mm) after and before P, in the widest band that is clear.

    Where none is, in that where the signal stands out most.
    """
    rate = cut.sampling_rate_hz
    first = round((p_time_ns - cut.start_ns) * rate / NS_PER_S)
    guard = round(_GUARD_S * rate)
    last = counts.size
    if end_ns is not None:
        last = max(round((end_ns - cut.start_ns) * rate / NS_PER_S), first + 1)
    peaks = []
    for low_hz in _LOW_HZ:
        drawn = np.abs(wood_anderson(counts, rate, response, settings.wood_anderson_gain, low_hz))
        peaks.append((float(drawn[first:last].max()), float(drawn[guard : first - guard].max())))
        if peaks[-1][0] >= _CLEAR * peaks[-1][1]:
            break
    else:
        peaks.sort(key=lambda pair: -pair[0] / max(pair[1], 1e-30))
        return peaks[0]
    return peaks[-1]


def magnitude_of(
    amplitude_mm: float, distance_km: float, station: StationId, settings: MagnitudeSettings
) -> float:
    """Return the magnitude of a Wood-Anderson amplitude (mm) at a hypocentral distance (km)."""
    return (
        math.log10(amplitude_mm)
        + settings.a * math.log10(distance_km / 100)
        + settings.b * (distance_km - 100)
        + settings.c
        + settings.correction(station)
    )


def _covering(segments: Sequence[Segment], span: TimeSpan) -> Segment | None:
    """Return the part of one segment over the span; half a sample may lack at each end."""
    for segment in segments:
        half = round(0.5 * NS_PER_S / segment.sampling_rate_hz) + 1
        if segment.start_ns <= span.start_ns + half and segment.end_ns >= span.end_ns - half:
            return segment.clipped(span)
    return None


def _is_clipped(counts: Floats) -> bool:
    """Tell whether the extreme value is held for many samples: a flat line or a clipped peak."""
    extreme = np.abs(counts - np.median(counts)).max()
    if extreme == 0:
        return True
    held = np.abs(np.abs(counts - np.median(counts)) - extreme) < 1e-9 * extreme
    run = longest = 0
    for at_extreme in held.tolist():
        run = run + 1 if at_extreme else 0
        longest = max(longest, run)
    return longest >= 5
