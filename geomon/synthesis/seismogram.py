"""Three-component ground velocity of local and regional earthquakes, many at a time.

A seismogram is built as nature builds it: source pulse, path, scattering, site.

* *Source*: Brune's (1970, 1971) omega-square pulse; its corner frequency follows from moment and
  stress drop, P corners are 1.5 times S corners (Madariaga, 1976). Large sources break one piece
  after another: their pulse is a sum of smaller ones that begins weakly (Frankel, 1995).
* *Size*: far-field amplitude with radiation, geometrical spreading 1/R and a free surface of 2
  (Boore, 2003, eqs. 1-8); the moment follows from local magnitude (`seismic_moment`).
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

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from geomon.errors import WaveformError
from geomon.events import Phase

ONSET_FRACTION = 0.03
VP_M_S = 6000.0
VS_M_S = 3464.0
DENSITY_KG_M3 = 2700.0
_FREE_SURFACE = 2.0
_CODA_CORNER_HZ = 12.0
_SITE_DAMPING = 0.12
_ANTI_ALIAS = 0.36
_PAD_S = 6.0  # room for the tail of the longest pulse before it wraps around, delays apart

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SourceAndPath:
    """What shapes each of n seismograms; every field is an array of shape (n,).

    Attributes
    ----------
    magnitude : local magnitude (ML of Hutton and Boore, 1987, at 2080 Wood-Anderson gain).
    hypocentral_distance_km : length of the path.
    p_time_s, s_time_s : arrival times after sample 0; may lie outside the record.
    azimuth_deg : direction the waves travel in at the station, clockwise from north.
    incidence_deg : angle of the P ray from the vertical at the station.
    stress_drop_pa : Brune stress drop.
    q0, q_exponent : S-wave quality factor q0 * f ** q_exponent; the P wave's is 1.5 times it.
    kappa_s : near-surface attenuation of S; the P wave's is 0.6 times it.
    polarity : +1 where the first motion is up, -1 where it is down.
    radiation_p, radiation_s : radiation pattern in [0, 1].
    s_polarization_deg : direction of the S pulse from SV (0) to SH (90).
    scatter_p, scatter_s : energy of the early scattered wavetrain over that of the direct pulse.
    rise_p_s, rise_s_s : rise time of that wavetrain.
    fast_p_s, fast_s_s : time in which its amplitude falls by e.
    coda_p, coda_s : amplitude of the late coda over that of the early wavetrain, at the onset.
    slow_p_s, slow_s_s : time in which the late coda falls by e.
    site_frequency_hz, site_gain : resonance of the top layer; gain 0 for none.
    sp_lead_s, sp_amplitude : lead before S of an S-to-P conversion seen on the vertical, and its
        amplitude over that of horizontal S; 0 for none.
    multiple_delay_s, multiple_amplitude : delay after P of a later P phase, and its amplitude
        over that of P; 0 for none.
    head_delay_s, head_amplitude : where the first P is a weak head wave, delay of the strong one
        after it and amplitude of the weak one over the strong one; 0 delay for none.
    rupture_s : time over which the source breaks; 0 for one pulse.
    subevents_a_s : how many pieces break in each second of it.
    """

    magnitude: Floats
    hypocentral_distance_km: Floats
    p_time_s: Floats
    s_time_s: Floats
    azimuth_deg: Floats
    incidence_deg: Floats
    stress_drop_pa: Floats
    q0: Floats
    q_exponent: Floats
    kappa_s: Floats
    polarity: Floats
    radiation_p: Floats
    radiation_s: Floats
    s_polarization_deg: Floats
    scatter_p: Floats
    scatter_s: Floats
    rise_p_s: Floats
    rise_s_s: Floats
    fast_p_s: Floats
    fast_s_s: Floats
    coda_p: Floats
    coda_s: Floats
    slow_p_s: Floats
    slow_s_s: Floats
    site_frequency_hz: Floats
    site_gain: Floats
    sp_lead_s: Floats
    sp_amplitude: Floats
    multiple_delay_s: Floats
    multiple_amplitude: Floats
    head_delay_s: Floats
    head_amplitude: Floats
    rupture_s: Floats
    subevents_a_s: Floats

    def __post_init__(self) -> None:
        shape = np.shape(self.magnitude)
        for item in fields(self):
            if np.shape(getattr(self, item.name)) != shape or len(shape) != 1:
                msg = f"{item.name}: shape {np.shape(getattr(self, item.name))}, needs {shape}"
                raise WaveformError(msg)

    def __len__(self) -> int:
        return int(self.magnitude.size)

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        *,
        magnitude: ArrayLike,
        hypocentral_distance_km: ArrayLike,
        p_time_s: ArrayLike,
        s_time_s: ArrayLike,
        azimuth_deg: ArrayLike | None = None,
        incidence_deg: ArrayLike | None = None,
        **given: ArrayLike,
    ) -> Self:
        """Draw what is not given from the ranges seen at local and regional distances.

        Parameters
        ----------
        rng : Generator
            Source of randomness.
        magnitude, hypocentral_distance_km, p_time_s, s_time_s : array-like, shape (n,)
            As the attributes.
        azimuth_deg, incidence_deg : array-like, shape (n,), optional
            Drawn when absent: any azimuth, incidence steeper the softer the top layers are.
        **given : array-like
            Any other attribute to fix, a number or shape (n,).

        Returns
        -------
        SourceAndPath
            n paths.
        """
        size = np.broadcast(magnitude, hypocentral_distance_km, p_time_s, s_time_s).size
        fixed = {
            "magnitude": magnitude, "hypocentral_distance_km": hypocentral_distance_km,
            "p_time_s": p_time_s, "s_time_s": s_time_s, **given,
        }  # fmt: skip
        if azimuth_deg is not None:
            fixed["azimuth_deg"] = azimuth_deg
        if incidence_deg is not None:
            fixed["incidence_deg"] = incidence_deg
        lead = np.broadcast_to(np.asarray(s_time_s) - np.asarray(p_time_s), size).astype(float)
        drawn = _typical(rng, size, lead)
        values = {
            item.name: np.broadcast_to(
                np.asarray(fixed.get(item.name, drawn.get(item.name)), np.float64), size
            ).copy()
            for item in fields(cls)
        }
        return cls(**values)


def _typical(rng: np.random.Generator, size: int, lead_s: Floats) -> dict[str, Floats]:
    """Draw path properties; `lead_s` is S minus P, which scales how long wavetrains last."""

    def uniform(low: float, high: float) -> Floats:
        return rng.uniform(low, high, size)

    def log_uniform(low: float, high: float) -> Floats:
        return np.exp(uniform(np.log(low), np.log(high)))

    def often(share: float) -> NDArray[np.bool_]:
        return rng.random(size) < share

    near = np.minimum(lead_s, 5.0)
    return {
        "azimuth_deg": uniform(0, 360),
        "incidence_deg": uniform(4, 55),
        "stress_drop_pa": 10 ** np.clip(rng.normal(6.5, 0.4, size), 5.3, 7.7),
        "q0": log_uniform(60, 400),
        "q_exponent": uniform(0.3, 0.8),
        "kappa_s": uniform(0.004, 0.05),
        "polarity": np.where(often(0.5), 1.0, -1.0),
        "radiation_p": np.sqrt(uniform(0.02, 0.55)),
        "radiation_s": np.sqrt(uniform(0.1, 0.7)),
        "s_polarization_deg": uniform(0, 360),
        "scatter_p": log_uniform(3, 90),
        "scatter_s": log_uniform(2, 40),
        "rise_p_s": np.where(often(0.65), uniform(0.02, 0.15), uniform(0.1, 0.6)),
        "rise_s_s": np.where(often(0.7), uniform(0.02, 0.15), uniform(0.12, 0.5)),
        "fast_p_s": 0.15 + uniform(0.15, 0.8) * near,
        "fast_s_s": 0.2 + uniform(0.1, 0.4) * near,
        "coda_p": log_uniform(0.15, 0.8),
        "coda_s": log_uniform(0.1, 0.45),
        "slow_p_s": 0.5 + uniform(0.8, 2.5) * lead_s,
        "slow_s_s": 1.5 + uniform(0.7, 2.8) * lead_s,
        "site_frequency_hz": log_uniform(0.8, 18),
        "site_gain": uniform(0.3, 5.0) * often(0.7),
        "sp_lead_s": np.minimum(log_uniform(0.15, 1.5), 0.4 * lead_s),
        "sp_amplitude": uniform(0.1, 0.5) * often(0.35),
        "multiple_delay_s": uniform(0.08, 0.7) * lead_s,
        "multiple_amplitude": uniform(0.1, 0.7) * often(0.35),
        "head_delay_s": uniform(0.4, 3.0) * (often(0.25) & (lead_s > 6)),
        "head_amplitude": uniform(0.1, 0.5),
        "rupture_s": np.zeros(size),
        "subevents_a_s": np.full(size, 30.0),
    }


def rupture_duration_s(magnitude: ArrayLike) -> Floats:
    """Return how long a source takes to break, 10^(0.5 M - 2.4) s: 4 s at M 6, 13 s at M 7.

    The durations that Courboulex et al. (2016, https://doi.org/10.1785/0120160058) found follow
    the cube root of the moment, with a scatter of a factor two either way.
    """
    return np.asarray(10 ** (0.5 * np.asarray(magnitude, np.float64) - 2.4))


def seismic_moment(magnitude: ArrayLike) -> Floats:
    """Return the seismic moment (N m) of an earthquake of a local magnitude.

    log10 moment = 10.26 + 0.96 ML + 0.045 ML^2 (the square only above 0), fitted so that the
    Wood-Anderson amplitudes of these seismograms give ML back at 8 to 60 km. It stays within 0.2
    magnitude units of what Goertz-Allmann et al. (2011, https://doi.org/10.1785/0120100291) found
    in Switzerland. Moment grows more slowly than 10^1.5 ML at small magnitudes because
    attenuation hides their corners (Deichmann, 2017, https://doi.org/10.1785/0120160322).

    Parameters
    ----------
    magnitude : array-like
        Local magnitude.

    Returns
    -------
    array of float64
        Moment in N m, same shape.
    """
    ml = np.asarray(magnitude, np.float64)
    return np.asarray(10 ** (10.26 + 0.96 * ml + 0.045 * np.maximum(ml, 0) ** 2))


def corner_frequency_hz(moment_nm: ArrayLike, stress_drop_pa: ArrayLike) -> Floats:
    """Return Brune's S corner frequency, 0.49 beta (stress drop / moment)^(1/3), all in SI."""
    ratio = np.asarray(stress_drop_pa, np.float64) / np.asarray(moment_nm, np.float64)
    return np.asarray(0.49 * VS_M_S * np.cbrt(ratio))


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
