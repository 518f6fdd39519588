"""Ground noise coloured like Peterson's (1993) low and high noise models.

`noise_psd` interpolates between the two models in decibels; `draw_noise` makes independent
three-component windows for training; `ContinuousNoise` makes an endless recording of which any
window always holds the same samples, however it is cut.

Reference: Peterson, J. (1993), Observations and modeling of seismic background noise, U.S.
Geological Survey Open-File Report 93-322, https://doi.org/10.3133/ofr93322, tables 3 and 4.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from geomon.errors import WaveformError
from geomon.stations import Response
from geomon.synthesis.instruments import counts_per_velocity
from geomon.times import NS_PER_DAY, NS_PER_S

type Floats = NDArray[np.float64]

# Period (s) from which a line holds, and its A and B: level = A + B log10(period), in decibels
# relative to 1 (m/s^2)^2/Hz.
_LOW = np.array([
    (0.10, -162.36, 5.64), (0.17, -166.7, 0.0), (0.40, -170.0, -8.3), (0.80, -166.4, 28.9),
    (1.24, -168.6, 52.48), (2.40, -159.98, 29.81), (4.30, -141.1, 0.0), (5.00, -71.36, -99.77),
    (6.00, -97.26, -66.49), (10.0, -132.18, -31.57), (12.0, -205.27, 36.16),
    (15.6, -37.65, -104.33), (21.9, -114.37, -47.1), (31.6, -160.58, -16.28),
    (45.0, -187.5, 0.0), (70.0, -216.47, 15.7), (101.0, -185.0, 0.0), (154.0, -168.34, -7.61),
    (328.0, -217.43, 11.9), (600.0, -258.28, 26.6), (10000.0, -346.88, 48.75),
])  # fmt: skip
_HIGH = np.array([
    (0.10, -108.73, -17.23), (0.22, -150.34, -80.5), (0.32, -122.31, -23.87),
    (0.80, -116.85, 32.51), (3.80, -108.48, 18.08), (4.60, -74.66, -32.95),
    (6.30, 0.66, -127.18), (7.90, -93.37, -22.42), (15.4, 73.54, -162.98),
    (20.0, -151.52, 10.01), (354.8, -206.66, 31.63),
])  # fmt: skip
_SHORTEST_S, _LONGEST_S = 0.1, 100_000.0
_CULTURAL_HZ = (1.0, 30.0)
_MICROSEISM_HZ = 0.2
_BLOCK_S = 300  # hop of the continuous noise; divides a day


def noise_model_db(frequency_hz: ArrayLike, level: ArrayLike) -> Floats:
    """Return a noise level between the low (0) and the high (1) noise model.

    Below 0.1 s period, where the models end, their last value holds.

    Parameters
    ----------
    frequency_hz : array-like
        Frequencies, > 0; broadcast against `level`.
    level : array-like
        0 for the low, 1 for the high model; values beyond extrapolate.

    Returns
    -------
    array of float64
        Acceleration power spectral density in dB relative to 1 (m/s^2)^2/Hz.
    """
    period = np.clip(1 / np.asarray(frequency_hz, np.float64), _SHORTEST_S, _LONGEST_S)
    low, high = _line(_LOW, period), _line(_HIGH, period)
    return np.asarray(low + np.asarray(level) * (high - low))


def _line(table: Floats, period_s: Floats) -> Floats:
    row = table[np.maximum(np.searchsorted(table[:, 0], period_s, side="right") - 1, 0)]
    return np.asarray(row[..., 1] + row[..., 2] * np.log10(period_s))


def noise_psd(
    frequency_hz: ArrayLike,
    level: ArrayLike,
    *,
    cultural_db: ArrayLike = 0.0,
    microseism_db: ArrayLike = 0.0,
) -> Floats:
    """Return the power spectral density of ground velocity noise.

    Parameters
    ----------
    frequency_hz : array-like
        Frequencies, >= 0; the density is 0 at 0 Hz.
    level : array-like
        Between the low (0) and the high (1) noise model.
    cultural_db, microseism_db : array-like
        What traffic and machines add from 1 to 30 Hz, and the sea around 0.2 Hz.

    Returns
    -------
    array of float64
        (m/s)^2/Hz, one-sided; the broadcast shape of the arguments.
    """
    frequency = np.asarray(frequency_hz, np.float64)
    positive = np.maximum(frequency, 1 / _LONGEST_S)
    octaves = np.log2(positive)
    low, high = np.log2(_CULTURAL_HZ)
    cultural = 0.25 * (1 + np.tanh(2 * (octaves - low))) * (1 - np.tanh(2 * (octaves - high)))
    sea = np.exp(-((octaves - np.log2(_MICROSEISM_HZ)) ** 2))
    decibels = noise_model_db(positive, level) + cultural_db * cultural + microseism_db * sea
    velocity = 10 ** (decibels / 10) / (2 * np.pi * positive) ** 2
    return np.asarray(np.where(frequency > 0, velocity, 0.0))


def draw_noise(
    rng: np.random.Generator,
    *,
    level: ArrayLike,
    n_samples: int,
    sampling_rate_hz: float,
) -> NDArray[np.float32]:
    """Draw independent three-component noise windows of varied colour.

    Each window gets its own cultural and microseism level, up to three spectral bumps such as
    machines and resonances make, and horizontals up to 6 dB above the vertical.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    level : array-like, shape (n,)
        Between the low (0) and the high (1) noise model, one a window.
    n_samples : int
        Length of each window.
    sampling_rate_hz : float
        Samples per second.

    Returns
    -------
    array of float32, shape (n, 3, n_samples)
        Ground velocity in m/s; components up, north, east.

    Raises
    ------
    WaveformError
        If the length or the rate is not positive.
    """
    if n_samples < 1 or not sampling_rate_hz > 0:
        msg = f"noise of {n_samples} samples at {sampling_rate_hz} Hz cannot be made"
        raise WaveformError(msg)
    levels = np.atleast_1d(np.asarray(level, np.float64))
    size = levels.size
    n_fft = int(fft.next_fast_len(n_samples, real=True))
    frequency = np.fft.rfftfreq(n_fft, 1 / sampling_rate_hz)
    psd = noise_psd(
        frequency, levels[:, None],
        cultural_db=rng.uniform(-6, 12, (size, 1)), microseism_db=rng.uniform(-5, 10, (size, 1)),
    )  # fmt: skip
    horizontal_db = rng.uniform(-1, 6, (size, 2, 1))
    gains_db = np.concatenate([np.zeros((size, 1, 1)), horizontal_db], axis=1)
    amplitude = np.sqrt(psd)[:, None, :] * 10 ** (gains_db / 20)
    octaves = np.log2(np.maximum(frequency, 1e-3))
    for _ in range(3):
        centre = rng.uniform(0, np.log2(0.5 * sampling_rate_hz), (size, 1, 1))
        width = np.exp(rng.uniform(np.log(0.02), np.log(0.5), (size, 1, 1)))
        height = rng.uniform(0, 4, (size, 3, 1)) * (rng.random((size, 1, 1)) < 0.3)
        amplitude = amplitude * (1 + height * np.exp(-(((octaves - centre) / width) ** 2)))
    return _gaussian(rng, amplitude, n_fft, sampling_rate_hz)[..., :n_samples]


def _gaussian(
    rng: np.random.Generator, amplitude: Floats, n_fft: int, rate: float
) -> NDArray[np.float32]:
    """Periodic Gaussian noise whose one-sided power spectral density is `amplitude` squared."""
    parts = rng.standard_normal((2, *amplitude.shape), dtype=np.float32)
    spectrum = (parts[0] + 1j * parts[1]) * (amplitude * np.sqrt(rate * n_fft) / 2).astype(
        np.float32
    )
    return np.asarray(fft.irfft(spectrum, n_fft, axis=-1), np.float32)


@dataclass(frozen=True, slots=True)
class ContinuousNoise:
    """Endless noise of one channel: a window is the same samples whatever is asked around it.

    Time is cut into blocks of five minutes since 1970. Each block has its own random numbers,
    made of seed, stream and block alone, and lasts two blocks under a sine window; where two
    overlap, their powers add up to one.

    Attributes
    ----------
    seed, stream : int
        The same pair gives the same noise; `stream` tells channels apart.
    sampling_rate_hz : float
        Samples per second; five minutes must hold a whole number of samples.
    level : float
        Between the low (0) and the high (1) noise model.
    response : Response or None
        Instrument whose counts are wanted; None for ground velocity in m/s.
    gain_db : float
        Added at all frequencies.
    day_night_db : float
        How much louder 1 to 30 Hz is at 13:00 local time than at 01:00.
    longitude_deg : float
        East of Greenwich: what local time is.

    Raises
    ------
    WaveformError
        If five minutes do not hold a whole number of samples.
    """

    seed: int
    stream: int
    sampling_rate_hz: float
    level: float
    response: Response | None = None
    gain_db: float = 0.0
    day_night_db: float = 0.0
    longitude_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (self.sampling_rate_hz * _BLOCK_S).is_integer():
            msg = f"{self.sampling_rate_hz} Hz: five minutes must hold a whole number of samples"
            raise WaveformError(msg)

    def samples(self, first: int, count: int) -> NDArray[np.float32]:
        """Return `count` samples from sample `first` since 1970.

        Parameters
        ----------
        first : int
            Index of the first sample: its time in seconds since 1970 times the sampling rate.
        count : int
            How many; 0 gives an empty array.

        Returns
        -------
        array of float32, shape (count,)
            Ground velocity in m/s, or counts where there is a response.
        """
        hop = round(self.sampling_rate_hz * _BLOCK_S)
        window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)).astype(np.float32)
        out = np.zeros(count, np.float32)
        for block in range(first // hop - 1, (first + count - 1) // hop + 1 if count else 0):
            start = block * hop - first
            low, high = max(start, 0), min(start + 2 * hop, count)
            if low < high:
                piece = slice(low - start, high - start)
                out[low:high] += window[piece] * _block(self, block)[piece]
        return out

    def rms(self, time_ns: int, low_hz: float, high_hz: float) -> float:
        """Return the expected root mean square in a band at a time, in the units of `samples`."""
        frequency = np.linspace(low_hz, high_hz, 512)
        mean = float(np.mean(self._amplitude(frequency, self.cultural_db(time_ns)) ** 2))
        return float(np.sqrt(mean * (high_hz - low_hz)))

    def cultural_db(self, time_ns: int) -> float:
        """Return what the time of day adds from 1 to 30 Hz, in dB, zero on average."""
        day = (time_ns % NS_PER_DAY) / NS_PER_DAY + self.longitude_deg / 360
        return 0.5 * self.day_night_db * float(np.cos(2 * np.pi * (day - 13 / 24)))

    def _amplitude(self, frequency: Floats, cultural_db: float) -> Floats:
        """Square root of the power spectral density, in the units of `samples`."""
        psd = noise_psd(frequency, self.level, cultural_db=cultural_db)
        amplitude = np.sqrt(psd) * 10 ** (self.gain_db / 20)
        if self.response is not None:
            amplitude *= np.abs(counts_per_velocity(self.response, frequency))
        return amplitude

    def _spectrum(self, block: int) -> Floats:
        """Return the spectral amplitude of a block, up to the digitiser's anti-alias filter."""
        rate = self.sampling_rate_hz
        frequency = np.fft.rfftfreq(2 * round(rate * _BLOCK_S), 1 / rate)
        above = np.clip((frequency / (0.5 * rate) - 0.8) / 0.2, 0, 1)
        cultural_db = self.cultural_db((block + 1) * _BLOCK_S * NS_PER_S)
        return np.asarray(
            self._amplitude(frequency, cultural_db) * 0.5 * (1 + np.cos(np.pi * above))
        )


@lru_cache(maxsize=256)
def _block(noise: ContinuousNoise, block: int) -> NDArray[np.float32]:
    """Return one block, twice the hop long; kept because neighbours and other windows use it."""
    rate = noise.sampling_rate_hz
    rng = np.random.default_rng((noise.seed, noise.stream, block))
    samples = _gaussian(rng, noise._spectrum(block), 2 * round(rate * _BLOCK_S), rate)
    samples.flags.writeable = False
    return samples
