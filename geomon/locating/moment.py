"""Moment magnitude from the displacement spectra of S waves.

Brune's (1970, https://doi.org/10.1029/JB075i026p04997) omega-square model with attenuation,
Ω(f) = Ω0 exp(-π f t*) / (1 + (f / fc)²), is fitted where the spectrum stands out of the noise; Ω0
gives the seismic moment, M0 = 4 π d β³ R Ω0 / (2 · 0.63) (density, S speed and distance; free
surface, and the mean radiation of S: Boore and Boatwright 1984, Bull. Seismol. Soc. Am. 74,
1615-1621), and Mw = 2/3 (log10 M0 - 9.1) with M0 in N m (IASPEI 2013). Corner and attenuation trade
off; both are integrated over, each more likely where it usually is, so that the uncertainty tells.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.events import Magnitude, StationMagnitude
from geomon.ids import SeedId
from geomon.locating.magnitude import NoMagnitude
from geomon.processing.response import DERIVATIVES, counts_per_unit
from geomon.stations import Response
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

type Floats = NDArray[np.float64]

MOMENT_TYPE = "Mw"
_DENSITY_KG_M3 = 2700.0
_FREE_SURFACE = 2.0
_RADIATION = 0.63
_LEAD_S = 0.3  # of the window before S
_SHORTEST_S, _LONGEST_S = 3.0, 20.0
_MIN_SNR = 3.0  # of amplitudes, at a frequency that is used
_MIN_OCTAVES = 1.6  # with less bandwidth level and corner cannot be told apart
_HIGHEST = 0.8  # share of the Nyquist frequency
_PER_OCTAVE = 8
_CORNERS_HZ = np.geomspace(0.1, 100.0, 61)
_QUALITY, _QUALITY_SPREAD = 150.0, 0.7  # of S: usual value, and its spread as a logarithm
_KAPPA_S = 0.02
_T_STARS = np.geomspace(0.3, 3.0, 9)  # of the expected t*
_STRESS_DROP_PA, _STRESS_SPREAD = 10**6.5, 1.6  # usual value, and its spread as a logarithm
_STATION_SCATTER = 0.15  # of Mw, from radiation and site: what a fit does not know
_LEAST_MISFIT = 0.15  # of the logarithm of a smoothed amplitude


@dataclass(frozen=True, slots=True)
class SourceSpectrum:
    """What one station's spectrum says.

    Attributes
    ----------
    seed_id : SeedId
        First of the horizontals used.
    moment_nm : float
        Seismic moment, N m.
    corner_hz : float
        Corner frequency of S.
    magnitude : float
        Moment magnitude.
    uncertainty : float
        One standard deviation of `magnitude`.
    distance_km : float
        Hypocentral distance.
    """

    seed_id: SeedId
    moment_nm: float
    corner_hz: float
    magnitude: float
    uncertainty: float
    distance_km: float


def moment_magnitude_of(moment_nm: float) -> float:
    """Return Mw of a seismic moment (N m).

    Examples
    --------
    >>> round(moment_magnitude_of(1.26e15), 2)
    4.0
    """
    return 2 / 3 * (math.log10(moment_nm) - 9.1)


def spectrum_spans(p_time_ns: int, s_time_ns: int) -> tuple[TimeSpan, TimeSpan]:
    """Return the windows of S and of as much noise before P.

    S lasts from just before its arrival as long as it is behind P, 3 to 20 s: most of its energy,
    also of what was scattered on the way.
    """
    length_s = min(max((s_time_ns - p_time_ns) / NS_PER_S, _SHORTEST_S), _LONGEST_S) + _LEAD_S
    length_ns = round(length_s * NS_PER_S)
    start_ns = s_time_ns - round(_LEAD_S * NS_PER_S)
    before_ns = p_time_ns - NS_PER_S // 2
    return TimeSpan(start_ns, start_ns + length_ns), TimeSpan(before_ns - length_ns, before_ns)


def source_spectrum(
    horizontals: Sequence[tuple[Segment, Response]],
    *,
    p_time_ns: int,
    s_time_ns: int,
    distance_km: float,
    vs_km_s: float,
) -> SourceSpectrum | NoMagnitude:
    """Fit the S spectrum of one station.

    Parameters
    ----------
    horizontals : sequence of (Segment, Response)
        Both horizontals of one sensor; each record covers both `spectrum_spans`.
    p_time_ns, s_time_ns : int
        Arrivals at the station, picked or predicted.
    distance_km : float
        Hypocentral distance.
    vs_km_s : float
        S speed at the source.

    Returns
    -------
    SourceSpectrum or NoMagnitude
        The latter where too little of the spectrum stands out of the noise.
    """
    seed_id = horizontals[0][0].seed_id
    if len(horizontals) < 2:
        return NoMagnitude(seed_id, "one horizontal is not enough for a source spectrum")
    signal_span, noise_span = spectrum_spans(p_time_ns, s_time_ns)
    rate = min(segment.sampling_rate_hz for segment, _ in horizontals)
    frequency = _smooth_frequencies(1 / signal_span.duration_s, _HIGHEST * rate / 2)
    signal, noise = np.zeros((2, frequency.size))
    for segment, response in horizontals:
        for span, power in ((signal_span, signal), (noise_span, noise)):
            cut = segment.clipped(span)
            if cut is None or cut.samples.size < 0.99 * span.duration_s * cut.sampling_rate_hz:
                return NoMagnitude(seed_id, f"no gapless record of {span}")
            power += _displacement_power(cut, response, frequency)
    used = _usable(np.sqrt(signal), np.sqrt(noise))
    if frequency[used].size < 2 or frequency[used][-1] < 2**_MIN_OCTAVES * frequency[used][0]:
        return NoMagnitude(seed_id, "too little of its spectrum stands out of the noise")
    amplitude = np.sqrt(np.maximum(signal - noise, 0.1 * signal))
    return _fitted(seed_id, frequency[used], amplitude[used], distance_km, vs_km_s)


def _smooth_frequencies(lowest_hz: float, highest_hz: float) -> Floats:
    count = max(round(_PER_OCTAVE * math.log2(highest_hz / lowest_hz)), 2)
    return np.geomspace(lowest_hz, highest_hz, count)


def _displacement_power(segment: Segment, response: Response, at_hz: Floats) -> Floats:
    """Return the squared amplitude spectrum of ground displacement (m s)², smoothed."""
    counts = np.asarray(segment.samples, np.float64)
    n, rate = counts.size, segment.sampling_rate_hz
    time = np.linspace(-1, 1, n)
    counts = counts - counts.mean() - time * (counts @ time) / (time @ time)
    edge = max(round(0.05 * n), 1)
    ramp = np.sin(0.5 * np.pi * (np.arange(edge) + 0.5) / edge) ** 2
    counts[:edge] *= ramp
    counts[-edge:] *= ramp[::-1]
    size = 1 << (2 * n - 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / rate)[1:]
    gain = counts_per_unit(response, frequency)
    gain = gain * (2j * np.pi * frequency) ** DERIVATIVES[response.input_unit]
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.abs(np.fft.rfft(counts, size)[1:] / rate / gain) ** 2
    # Means over a sixth of an octave either way, at least over the nearest frequency.
    total = np.concatenate([[0.0], np.cumsum(np.where(np.isfinite(power), power, 0.0))])
    low = np.searchsorted(frequency, at_hz * 2 ** (-1 / 6))
    high = np.maximum(np.searchsorted(frequency, at_hz * 2 ** (1 / 6)), low + 1)
    low, high = np.minimum(low, frequency.size - 1), np.minimum(high, frequency.size)
    return np.asarray((total[high] - total[low]) / (high - low))


def _usable(signal: Floats, noise: Floats) -> slice:
    """Return the longest stretch of frequencies whose signal stands out of the noise."""
    good = np.concatenate([[False], signal > _MIN_SNR * noise, [False]])
    edges = np.flatnonzero(good[1:] != good[:-1])
    stretches = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    first, last = max(stretches, key=lambda one: one[1] - one[0], default=(0, 0))
    return slice(first, last)


def _fitted(
    seed_id: SeedId, frequency: Floats, amplitude: Floats, distance_km: float, vs_km_s: float
) -> SourceSpectrum:
    """Return the mean over all corners and t*, each as likely as it fits and as is usual."""
    distance_m, vs = 1000 * distance_km, 1000 * vs_km_s
    expected_s = distance_m / vs / _QUALITY + _KAPPA_S
    t_star = expected_s * _T_STARS[:, None, None]
    corner = _CORNERS_HZ[:, None]
    shape = -np.log1p((frequency / corner) ** 2) - np.pi * t_star * frequency
    level = (np.log(amplitude) - shape).mean(axis=-1)
    misfit = ((np.log(amplitude) - shape - level[..., None]) ** 2).mean(axis=-1)
    moment = 4 * np.pi * _DENSITY_KG_M3 * vs**3 * distance_m / (_FREE_SURFACE * _RADIATION)
    log_moment = level + math.log(moment)
    # Smoothing leaves about one independent value in four.
    independent = max(frequency.size / 4, 1.0)
    scatter = max(float(misfit.min()), _LEAST_MISFIT**2)
    usual_corner = 0.49 * vs * np.cbrt(_STRESS_DROP_PA / np.exp(log_moment))
    log_weight = -0.5 * independent * misfit / scatter
    log_weight -= 0.5 * (np.log(_T_STARS) / _QUALITY_SPREAD)[:, None] ** 2
    log_weight -= 0.5 * (3 * np.log(_CORNERS_HZ / usual_corner) / _STRESS_SPREAD) ** 2
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = float((weight * log_moment).sum())
    variance = float((weight * (log_moment - mean) ** 2).sum()) + scatter / independent
    return SourceSpectrum(
        seed_id=seed_id,
        moment_nm=math.exp(mean),
        corner_hz=math.exp(float((weight * np.log(_CORNERS_HZ)).sum())),
        magnitude=moment_magnitude_of(math.exp(mean)),
        uncertainty=math.hypot(2 / 3 * math.sqrt(variance) / math.log(10), _STATION_SCATTER),
        distance_km=distance_km,
    )


def network_moment_magnitude(spectra: Sequence[SourceSpectrum]) -> Magnitude | None:
    """Combine stations into a moment magnitude: their median; None without any.

    The uncertainty is 1.2533 times the larger of the stations' own and their scatter, over √n.
    Station magnitudes carry no amplitude (NaN): they are no Wood-Anderson readings.
    """
    if not spectra:
        return None
    ordered = sorted(spectra, key=lambda one: one.seed_id)
    values = np.array([one.magnitude for one in ordered])
    value = float(np.median(values))
    own = float(np.median([one.uncertainty for one in ordered]))
    spread = 1.4826 * float(np.median(np.abs(values - value))) if values.size >= 3 else 0.0
    return Magnitude(
        value=value,
        magnitude_type=MOMENT_TYPE,
        uncertainty=1.2533 * max(own, spread) / math.sqrt(values.size),
        n_stations=len({one.seed_id.station_id for one in ordered}),
        station_magnitudes=tuple(
            StationMagnitude(one.seed_id, MOMENT_TYPE, one.magnitude, math.nan, one.distance_km)
            for one in ordered
        ),
    )
