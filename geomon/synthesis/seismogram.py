"""Three-component ground velocity of local and regional earthquakes, many at a time.

A seismogram is built as nature builds it: source pulse, path, scattering, site.

* *Source*: Brune's (1970, 1971) omega-square pulse, its moment and corner frequency those of
  `geomon.synthesis.source_and_path`; P corners are 1.5 times S corners (Madariaga, 1976). Large
  sources break one piece after another: their pulse is a sum of smaller ones that begins weakly
  (Frankel, 1995).
* *Size*: far-field amplitude with radiation, geometrical spreading 1/R and a free surface of 2
  (Boore, 2003, eqs. 1-8).
* *Path and site*: attenuation exp(-pi f t*) with Q = q0 f^q_exponent and kappa (Anderson and
  Hough, 1984), and a resonant top layer. Every filter is causal and of minimum phase, so that
  nothing arrives early: exp(-a f^n) has the phase -a f^n tan(n pi / 2) (Kjartansson, 1979) and
  constant Q the logarithmic one of Azimi et al. (Aki and Richards, 2002, eq. 5.75).
* *Scattering*: the direct pulse is followed by a random wavetrain whose envelope decays first
  fast, then slowly, the slow part poorer in high frequencies (Sato et al., 2012, ch. 2-3).
* *Polarisation*: P along the ray, S across it, both losing it as the coda builds up.

The arrival time of a phase is where its direct pulse first reaches `ONSET_FRACTION` of its peak,
about what a person picks.

References
----------
Brune (1970), https://doi.org/10.1029/JB075i026p04997, with its correction of 1971;
Boore (2003), https://doi.org/10.1007/PL00012553;
Frankel (1995), https://doi.org/10.1029/95JB00697 (a magnitude is a sum of many of a size below);
Madariaga (1976), https://doi.org/10.1785/BSSA0660030639;
Anderson and Hough (1984), https://doi.org/10.1785/BSSA0740051969;
Kjartansson (1979), https://doi.org/10.1029/JB084iB09p04737;
Sato, Fehler and Maeda (2012), https://doi.org/10.1007/978-3-642-23029-5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from geomon.errors import WaveformError
from geomon.events import Phase
from geomon.synthesis.source_and_path import (
    VS_M_S,
    Floats,
    SourceAndPath,
    corner_frequency_hz,
    seismic_moment,
)

ONSET_FRACTION = 0.03
VP_M_S = 6000.0
DENSITY_KG_M3 = 2700.0
_FREE_SURFACE = 2.0
_CODA_CORNER_HZ = 12.0
_SITE_DAMPING = 0.12
_ANTI_ALIAS = 0.36
_PAD_S = 6.0  # room for the tail of the longest pulse before it wraps around, delays apart


def seismograms(
    rng: np.random.Generator,
    paths: SourceAndPath,
    *,
    n_samples: int,
    sampling_rate_hz: float,
) -> NDArray[np.float32]:
    """Make one three-component seismogram a path.

    Parameters
    ----------
    rng : Generator
        Source of the scattered wavetrains; the same state gives the same seismograms.
    paths : SourceAndPath
        n sources and paths.
    n_samples : int
        Length of each record.
    sampling_rate_hz : float
        Samples per second; energy near half of it is removed, causally, as by a digitiser.

    Returns
    -------
    array of float32, shape (n, 3, n_samples)
        Ground velocity in m/s; components up, north, east. No noise, no instrument.

    Raises
    ------
    WaveformError
        If the length or the rate is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> paths = SourceAndPath.draw(
    ...     rng, magnitude=[2.0], hypocentral_distance_km=[20], p_time_s=[5], s_time_s=[7.5]
    ... )
    >>> seismograms(rng, paths, n_samples=3000, sampling_rate_hz=100).shape
    (1, 3, 3000)
    """
    if n_samples < 1 or not sampling_rate_hz > 0:
        msg = f"a record of {n_samples} samples at {sampling_rate_hz} Hz cannot be made"
        raise WaveformError(msg)
    later_s = paths.rupture_s + paths.multiple_delay_s * (paths.multiple_amplitude > 0)
    grid = _Grid(n_samples, sampling_rate_hz, _PAD_S + later_s.max(initial=0.0))
    rupture = _rupture(rng, paths, grid)
    spectrum = np.zeros((len(paths), 3, grid.frequency.size), np.complex64)
    _add_p(rng, paths, rupture, spectrum, grid)
    _add_s(rng, paths, rupture, spectrum, grid)
    spectrum[:, :1] *= _resonance(grid, 1.7 * paths.site_frequency_hz, 0.5 * paths.site_gain)
    spectrum[:, 1:] *= _resonance(grid, paths.site_frequency_hz, paths.site_gain)
    motion = fft.irfft(spectrum, grid.n_fft, axis=-1)[..., :n_samples]
    return np.ascontiguousarray(motion, dtype=np.float32)


class _Grid:
    """Samples of a record and the frequencies of its padded Fourier transform."""

    def __init__(self, n_samples: int, rate: float, pad_s: float) -> None:
        self.n_samples = n_samples
        self.rate = rate
        self.n_fft = int(fft.next_fast_len(n_samples + round(pad_s * rate), real=True))
        self.frequency = np.fft.rfftfreq(self.n_fft, 1 / rate)

    def delays(self, time_s: Floats, amplitude: Floats) -> NDArray[np.complex64]:
        """Spectra of unit impulses, shape (n, n_frequencies); none for times off the record."""
        inside = (time_s > -0.5 * _PAD_S) & (time_s < self.n_samples / self.rate)
        turn = np.exp(-2j * np.pi * self.frequency * np.where(inside, time_s, 0.0)[:, None])
        return np.asarray(turn * (amplitude * inside)[:, None], np.complex64)

    def anti_alias(self) -> NDArray[np.complex128]:
        """Return a causal Butterworth low-pass of order 8 at 0.36 times the sampling rate."""
        s = 1j * self.frequency / (_ANTI_ALIAS * self.rate)
        angles = np.pi * (2 * np.arange(8) + 9) / 16
        return np.asarray(1 / np.prod(s - np.exp(1j * angles)[:, None], axis=0))


@dataclass(frozen=True, slots=True)
class _Wave:
    """When a scattered wavetrain starts and how its envelope runs; arrays of shape (n,)."""

    time_s: Floats
    scatter: Floats
    rise_s: Floats
    fast_s: Floats
    coda: Floats
    slow_s: Floats


def _add_p(
    rng: np.random.Generator,
    paths: SourceAndPath,
    rupture: NDArray[np.complex64],
    spectrum: NDArray[np.complex64],
    grid: _Grid,
) -> None:
    """Add P, its scattered wavetrain and coda, a later P phase, and a weak first head wave."""
    strong_s = paths.p_time_s + paths.head_delay_s
    pulse = _pulse(paths, "P", grid) * rupture * paths.polarity.astype(np.float32)[:, None]
    head = paths.head_amplitude * (paths.head_delay_s > 0)
    echoes = 1 + grid.delays(paths.multiple_delay_s, paths.multiple_amplitude)
    echoes += grid.delays(-paths.head_delay_s, head)
    incidence, azimuth = np.radians(paths.incidence_deg), np.radians(paths.azimuth_deg)
    outward = np.sin(incidence)
    ray = np.stack(
        [np.cos(incidence), outward * np.cos(azimuth), outward * np.sin(azimuth)], axis=1
    )
    wave = _Wave(
        strong_s, paths.scatter_p, paths.rise_p_s, paths.fast_p_s, paths.coda_p, paths.slow_p_s
    )
    scattered = _scattered(rng, wave, ray, np.array([1.0, 0.85, 0.85]), grid)
    _add_wave(spectrum, pulse * echoes, wave, ray, scattered, grid)


def _add_s(
    rng: np.random.Generator,
    paths: SourceAndPath,
    rupture: NDArray[np.complex64],
    spectrum: NDArray[np.complex64],
    grid: _Grid,
) -> None:
    """Add S, its wavetrain and coda, and the S-to-P conversion ahead of it."""
    pulse = _pulse(paths, "S", grid) * rupture
    azimuth, turn = np.radians(paths.azimuth_deg), np.radians(paths.s_polarization_deg)
    sine = np.sin(np.radians(paths.incidence_deg)) * VS_M_S / VP_M_S
    cosine = np.sqrt(1 - sine**2)
    across = np.stack(
        [
            -np.cos(turn) * sine,
            np.cos(turn) * cosine * np.cos(azimuth) - np.sin(turn) * np.sin(azimuth),
            np.cos(turn) * cosine * np.sin(azimuth) + np.sin(turn) * np.cos(azimuth),
        ],
        axis=1,
    )
    wave = _Wave(
        paths.s_time_s, paths.scatter_s, paths.rise_s_s, paths.fast_s_s, paths.coda_s,
        paths.slow_s_s,
    )  # fmt: skip
    scattered = _scattered(rng, wave, across, np.array([0.85, 1.0, 1.0]), grid)
    _add_wave(spectrum, pulse, wave, across, scattered, grid)
    # Each part of the S train converts, so the conversion is a copy of it ahead of time.
    lead = paths.sp_lead_s
    ahead = grid.delays(-lead, paths.sp_amplitude * (lead > 0))[:, None, :]
    converted = ahead * scattered[:, 1:2]
    spectrum += converted * np.array([1.0, 0.3, 0.3], np.float32)[:, None]


def _add_wave(
    spectrum: NDArray[np.complex64],
    pulse: NDArray[np.complex64],
    wave: _Wave,
    direction: Floats,
    scattered: NDArray[np.complex64],
    grid: _Grid,
) -> None:
    """Let a pulse run along its direct and scattered paths and add the result to `spectrum`."""
    impulses = grid.delays(wave.time_s, np.ones(len(direction)))
    direct = direction / np.sqrt(1 + wave.scatter)[:, None]
    scattered += direct.astype(np.float32)[:, :, None] * impulses[:, None, :]
    scattered *= pulse[:, None, :]
    spectrum += scattered


def _scattered(
    rng: np.random.Generator, wave: _Wave, direction: Floats, weights: Floats, grid: _Grid
) -> NDArray[np.complex64]:
    """Spectra of the early wavetrain and the late coda for a unit pulse, shape (n, 3, n_f).

    White noise under an envelope has, on average, a flat power spectrum equal to the sum of the
    squared envelope, so that a wavetrain's energy can be set without measuring it.
    """
    time_s, scatter, rise_s, fast_s, coda, slow_s = (
        getattr(wave, name)[:, None] for name in _Wave.__slots__
    )
    after = np.arange(grid.n_samples) / grid.rate - time_s
    since = np.maximum(after, 0.0)
    fall, rise = 2 / fast_s, 1 / rise_s
    energy = (1 / fall - 2 / (fall + rise) + 1 / (fall + 2 * rise)) * grid.rate
    gain = np.sqrt(scatter / (1 + scatter) / np.maximum(energy, 1e-9))
    rising = gain * np.where(after >= 0, 1 - np.exp(-since * rise), 0.0)
    early = (rising * np.exp(-since / fast_s)).astype(np.float32)
    late = (rising * coda * np.exp(-since / slow_s)).astype(np.float32)
    polarized = (0.8 * np.exp(-2 * since / fast_s)).astype(np.float32)
    shape = (len(direction), 3, grid.n_samples)
    isotropic = (weights / np.sqrt(np.sum(weights**2))).astype(np.float32)[:, None]
    train = rng.standard_normal(shape, dtype=np.float32)
    train *= isotropic * np.sqrt(1 - polarized)[:, None, :]
    along = rng.standard_normal((shape[0], 1, shape[2]), dtype=np.float32)
    train += direction.astype(np.float32)[:, :, None] * (along * np.sqrt(polarized)[:, None, :])
    train *= early[:, None, :]
    tail = rng.standard_normal(shape, dtype=np.float32)
    tail *= isotropic * late[:, None, :]
    # The late coda has travelled farther and lost more of its high frequencies.
    loss = 1 / (1 + 1j * grid.frequency / _CODA_CORNER_HZ)
    spectrum = fft.rfft(tail, grid.n_fft, axis=-1)
    spectrum *= loss.astype(np.complex64)
    spectrum += fft.rfft(train, grid.n_fft, axis=-1)
    return np.asarray(spectrum, np.complex64)


def _pulse(paths: SourceAndPath, phase: Phase, grid: _Grid) -> NDArray[np.complex64]:
    """Spectra of the direct ground-velocity pulses, their onsets at time 0; shape (n, n_f)."""
    speed = VP_M_S if phase == "P" else VS_M_S
    moment = seismic_moment(paths.magnitude)
    corner = corner_frequency_hz(moment, paths.stress_drop_pa)
    corner *= np.cbrt(_n_subevents(paths))
    corner = np.minimum(corner * (1.5 if phase == "P" else 1.0), 200.0)
    radiation = paths.radiation_p if phase == "P" else paths.radiation_s
    distance_m = 1000 * np.maximum(paths.hypocentral_distance_km, 0.1)
    level = radiation * _FREE_SURFACE * moment / (4 * np.pi * DENSITY_KG_M3 * speed**3 * distance_m)
    frequency = grid.frequency[None, :]
    ratio = 1j * frequency / corner[:, None]
    spectrum = level[:, None] * 2j * np.pi * frequency / (1 + ratio) ** 2
    quality = paths.q0 * (1.5 if phase == "P" else 1.0)
    kappa = paths.kappa_s * (0.6 if phase == "P" else 1.0)
    spectrum *= _path_loss(frequency, distance_m / speed / quality, paths.q_exponent)
    spectrum *= _kappa_loss(frequency, kappa, grid.rate)
    spectrum *= grid.anti_alias() * grid.rate
    return _onset_at_zero(spectrum.astype(np.complex64), grid)


def _n_subevents(paths: SourceAndPath) -> NDArray[np.int64]:
    """Return the number of pieces that each source breaks in; 1 for one pulse."""
    count = np.round(paths.rupture_s * paths.subevents_a_s).astype(np.int64)
    return np.where(paths.rupture_s > 0, np.maximum(count, 3), 1)


def _rupture(rng: np.random.Generator, paths: SourceAndPath, grid: _Grid) -> NDArray[np.complex64]:
    """Spectra by which one pulse becomes the sum of a source's subevents; (n, n_f) or (n, 1).

    The first is at time 0 and mostly weak; the others' moments swell and fade over the rupture.
    """
    spectrum = np.ones((len(paths), 1), np.complex64)
    long = np.flatnonzero(paths.rupture_s > 0)
    if long.size == 0:
        return spectrum
    spectrum = np.repeat(spectrum, grid.frequency.size, axis=1)
    counts = _n_subevents(paths)
    for row in long:
        part = rng.random(counts[row])
        moment = rng.lognormal(0.0, 0.7, part.size)
        moment *= part ** rng.uniform(0.2, 1.5) * (1 - part) ** rng.uniform(0.3, 1.0)
        part[0], moment[0] = 0.0, moment.mean() * np.exp(rng.uniform(np.log(0.3), np.log(5)))
        at = np.round(part * paths.rupture_s[row] * grid.rate).astype(np.int64)
        train = np.bincount(at, moment / moment.sum(), minlength=grid.n_fft)
        spectrum[row] = fft.rfft(train)
    return spectrum


def _resonance(grid: _Grid, frequency_hz: Floats, gain: Floats) -> NDArray[np.complex64]:
    """Response of a damped layer that amplifies 1 + gain times at its frequency; (n, 1, n_f)."""
    ratio = grid.frequency / frequency_hz[:, None]
    swing = 2j * _SITE_DAMPING * ratio
    response = 1 + gain[:, None] * swing / (1 - ratio**2 + swing)
    return np.asarray(response, np.complex64)[:, None, :]


def _path_loss(frequency: Floats, t_star_s: Floats, q_exponent: Floats) -> NDArray[np.complex128]:
    """exp(-pi t* f^(1 - q_exponent)) with its minimum phase, for 0 < q_exponent < 1."""
    power = 1 - q_exponent[:, None]
    exponent = np.pi * t_star_s[:, None] * frequency**power
    return np.asarray(np.exp(-exponent * (1 + 1j * np.tan(0.5 * np.pi * power))))


def _kappa_loss(frequency: Floats, kappa_s: Floats, rate: float) -> NDArray[np.complex128]:
    """exp(-pi kappa f) with the phase of constant Q, quickest at the highest frequency."""
    dispersion = np.log(np.maximum(frequency, 1e-3) / rate)
    return np.asarray(np.exp(-np.pi * kappa_s[:, None] * frequency * (1 - 2j / np.pi * dispersion)))


def _onset_at_zero(spectrum: NDArray[np.complex64], grid: _Grid) -> NDArray[np.complex64]:
    """Shift each pulse so that it first reaches `ONSET_FRACTION` of its peak at time 0."""
    lead = round(0.5 * grid.rate)  # the anti-alias filter rings a little before time 0
    size = lead + round(0.5 * _PAD_S * grid.rate)
    pulse = np.abs(np.roll(fft.irfft(spectrum, grid.n_fft, axis=-1), lead, axis=-1)[:, :size])
    threshold = ONSET_FRACTION * pulse.max(axis=1, keepdims=True)
    first = np.maximum(np.argmax(pulse >= threshold, axis=1), 1)
    row = np.arange(len(pulse))
    before, at = pulse[row, first - 1], pulse[row, first]
    part = (threshold[:, 0] - before) / np.maximum(at - before, np.finfo(np.float32).tiny)
    onset_s = (first - 1 + np.clip(part, 0, 1) - lead) / grid.rate
    turn = np.exp(2j * np.pi * grid.frequency * onset_s[:, None])
    return np.asarray(spectrum * turn, np.complex64)
