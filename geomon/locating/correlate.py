"""How much later one waveform is than another like it, to a fraction of a sample.

Earthquakes close to each other leave records that look alike at a station, and the lag at which
two of them match best is a far better difference of arrival times than two picks are (Schaff and
Waldhauser 2005, https://doi.org/10.1785/0120040168).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

type Floats = NDArray[np.float64]

_FINER = 4  # lags between two samples, before a parabola through the best three
_CHUNK = 512  # pairs correlated at once
_LEAST_SIGMA_SAMPLES = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Lags:
    """What pairs of windows say.

    Attributes
    ----------
    lag_s : array, shape (n_pairs,)
        How much later within its window the first is than the second.
    coefficient : array, shape (n_pairs,)
        Correlation there, at most 1.
    sigma_s : array, shape (n_pairs,)
        Standard deviation of the lag, by how noisy and how narrow in frequency the windows are.
    """

    lag_s: Floats
    coefficient: Floats
    sigma_s: Floats


def correlate(
    windows: Floats, pairs: NDArray[np.int64], sampling_rate_hz: float, max_lag_s: float
) -> Lags:
    """Correlate pairs of windows of one station, component and length.

    Parameters
    ----------
    windows : array, shape (n_windows, n_samples)
        Filtered samples around each onset; their ends are tapered here.
    pairs : array of int, shape (n_pairs, 2)
        Which to compare.
    sampling_rate_hz : float
        Samples a second.
    max_lag_s : float
        Largest lag looked for.

    Returns
    -------
    Lags
        The standard deviation follows the Cramér-Rao bound of a delay between two noisy copies
        (Carter 1987, https://doi.org/10.1109/PROC.1987.13723), no less than a tenth of a sample.

    Examples
    --------
    >>> t = np.arange(200) / 100
    >>> pulse = [np.exp(-(((t - at) / 0.05) ** 2)) for at in (1.0, 1.0123)]
    >>> found = correlate(np.array(pulse), np.array([[1, 0]]), 100.0, 0.2)
    >>> round(float(found.lag_s[0]), 4)
    0.0123
    """
    n = windows.shape[1]
    edge = max(n // 10, 1)
    taper = np.ones(n)
    taper[:edge] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    taper[-edge:] = taper[:edge][::-1]
    tapered = (windows - windows.mean(axis=1, keepdims=True)) * taper
    energy = (tapered**2).sum(axis=1)
    tapered = tapered / np.sqrt(np.where(energy > 0, energy, np.inf))[:, None]
    size = fft.next_fast_len(2 * n, real=True)
    spectra = fft.rfft(tapered, size, axis=1)
    omega = 2 * np.pi * fft.rfftfreq(size, 1 / sampling_rate_hz)
    power = np.abs(spectra) ** 2
    mean_square = (power * omega**2).sum(axis=1) / np.maximum(power.sum(axis=1), 1e-30)
    reach = int(np.ceil(max_lag_s * sampling_rate_hz)) * _FINER
    lags, coefficients = np.empty(len(pairs)), np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK):
        one, two = pairs[start : start + _CHUNK].T
        product = spectra[one] * spectra[two].conj()
        curve = _FINER * fft.irfft(product, _FINER * size, axis=1)
        # Lags from -reach to reach, and one more on each side for the parabola.
        near = np.concatenate([curve[:, -(reach + 1) :], curve[:, : reach + 2]], axis=1)
        best = np.argmax(near[:, 1:-1], axis=1) + 1
        row = np.arange(len(best))
        before, peak, after = near[row, best - 1], near[row, best], near[row, best + 1]
        bend = before - 2 * peak + after
        shift = np.where(bend < 0, (before - after) / np.where(bend < 0, 2 * bend, 1.0), 0.0)
        shift = np.clip(shift, -1, 1)
        lags[start : start + _CHUNK] = (best - 1 - reach + shift) / (_FINER * sampling_rate_hz)
        coefficients[start : start + _CHUNK] = peak - (before - after) * shift / 4
    c = np.clip(coefficients, 1e-3, 0.9999)
    square = np.minimum(mean_square[pairs[:, 0]], mean_square[pairs[:, 1]])
    # As many independent samples as half periods of the mean frequency.
    independent = np.maximum(n / sampling_rate_hz * np.sqrt(square) / np.pi, 1.0)
    sigma = np.sqrt((1 - c**2) / c**2 / (np.maximum(square, 1e-12) * independent))
    least = _LEAST_SIGMA_SAMPLES / sampling_rate_hz
    return Lags(lags, np.minimum(coefficients, 1.0), np.maximum(sigma, least))
