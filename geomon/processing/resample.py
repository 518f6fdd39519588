"""Resampling onto an absolute sample grid, without moving onsets.

A grid of rate `r` has its sample ``k`` at ``k / r`` seconds after 1970-01-01 UTC. Because the grid
is absolute, an output sample depends only on the input samples around it, never on where a
request begins.
"""

from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

ZERO_CROSSINGS = 7  # half-length of the kernel, in samples of the slower of the two grids
_ROLL_OFF = 0.72  # -6 dB point over the slower grid's Nyquist frequency
_KAISER_BETA = 7.0


def exact_rate(sampling_rate_hz: float) -> Fraction:
    """Return a sampling rate as the simple fraction it stands for, for example 200/3 Hz."""
    return Fraction(sampling_rate_hz).limit_denominator(10_000)


def _kernel(distance: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Weights of input samples at `distance` samples, for a low-pass widened by `scale`."""
    x = distance / scale
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1 - (x / ZERO_CROSSINGS) ** 2)))
    weights = np.sinc(_ROLL_OFF * x) * np.where(np.abs(x) < ZERO_CROSSINGS, window, 0.0)
    return np.asarray(weights, dtype=np.float64)


def resample(
    samples: NDArray[np.float64],
    *,
    first_in: int,
    rate_in: Fraction,
    first_out: int,
    rate_out: Fraction,
    n_out: int,
) -> NDArray[np.float64]:
    """Resample between two absolute grids with a zero-phase windowed-sinc low-pass.

    The low-pass rolls off early and gently (Kaiser window, -6 dB at 0.72 of the lower Nyquist
    frequency), so that it hardly rings before an onset. Beyond its ends the input is continued
    with its first and last value.

    Parameters
    ----------
    samples : array of float64, shape (n_in, ...)
        Input, time first; its row 0 is sample `first_in` of the grid of `rate_in`.
    first_in, first_out : int
        Grid index of the first input and output sample.
    rate_in, rate_out : Fraction
        Sampling rates, Hz.
    n_out : int
        Output samples wanted.

    Returns
    -------
    array of float64, shape (n_out, ...)

    Notes
    -----
    Sums run tap by tap in a fixed order, so equal input gives equal bits whatever surrounds it.
    """
    ratio = rate_in / rate_out
    scale = max(1.0, float(ratio))
    half = ceil(ZERO_CROSSINGS * scale)
    phases = ratio.denominator
    n_phases = min(phases, n_out)
    # Grid indices reach 1.8e11 at 100 Hz: Python integers keep the products exact.
    whole0, rest0 = divmod(first_out * ratio.numerator, phases)
    steps = rest0 + np.arange(n_out, dtype=np.int64) * ratio.numerator
    index = steps // phases + (whole0 - first_in)
    fractions = (steps[:n_phases] % phases) / phases
    taps = np.arange(-half + 1, half + 1)
    weights = _kernel(taps[None, :] - fractions[:, None], scale)
    weights /= weights.sum(axis=1, keepdims=True)
    repeated = np.arange(n_out) % n_phases
    shape = (n_out,) + (1,) * (samples.ndim - 1)
    out = np.zeros((n_out, *samples.shape[1:]))
    last = samples.shape[0] - 1
    for tap in range(taps.size):
        rows = np.clip(index + taps[tap], 0, last)
        out += weights[repeated, tap].reshape(shape) * samples[rows]
    return out
