"""Mending raw samples before they meet a filter: gaps, flat lines, spikes."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi

_SPIKE_FACTOR = 8.0
_SPIKE_REACH = 8  # samples on each side a spike is compared with


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return start and end (exclusive) of every run of True in a vector, shape (n_runs, 2).

    Examples
    --------
    >>> runs(np.array([False, True, True, False, True])).tolist()
    [[1, 3], [4, 5]]
    """
    steps = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    return np.stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)], axis=1)


def flat_lines(
    samples: NDArray[np.float64], valid: NDArray[np.bool_], min_samples: int
) -> NDArray[np.bool_]:
    """Mark samples in stretches of at least `min_samples` equal valid values: a dead channel."""
    same = np.zeros(samples.shape[0], dtype=np.bool_)
    same[1:] = (samples[1:] == samples[:-1]) & valid[1:] & valid[:-1]
    flat = np.zeros_like(same)
    stretches = runs(same)
    for start, end in stretches[np.diff(stretches, axis=1)[:, 0] + 1 >= min_samples]:
        flat[start - 1 : end] = True
    return flat


def without_spikes(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace isolated single-sample spikes by the mean of their neighbours.

    A spike stands out of its neighbours more than 8 times as far as any of the 7 samples on
    either side, and the neighbours show its mirror image. An onset never passes: what follows it
    is as rough as itself. The first and last 9 samples are left alone.
    """
    reach = _SPIKE_REACH + 1
    if samples.size < 2 * reach + 1:
        return samples
    rough = np.zeros_like(samples)
    rough[1:-1] = samples[1:-1] - 0.5 * (samples[:-2] + samples[2:])
    size = np.abs(rough)
    middle, limit = 0.5 * rough[reach:-reach], 0.25 * size[reach:-reach]
    tall = np.abs(rough[reach - 1 : -reach - 1] + middle) < limit
    tall &= np.abs(rough[reach + 1 : 1 - reach] + middle) < limit
    candidates = np.flatnonzero(tall) + reach
    if candidates.size == 0:
        return samples
    lags = np.concatenate((np.arange(-_SPIKE_REACH, -1), np.arange(2, _SPIKE_REACH + 1)))
    around = size[candidates[:, None] + lags].max(axis=1)
    spikes = candidates[size[candidates] > _SPIKE_FACTOR * around]
    if spikes.size == 0:
        return samples
    mended = samples.copy()
    mended[spikes] = 0.5 * (samples[spikes - 1] + samples[spikes + 1])
    return mended


def filled(
    samples: NDArray[np.float64], valid: NDArray[np.bool_], bridge_samples: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fill gaps so that filters see no jump; count gaps up to `bridge_samples` long as valid.

    Inner gaps become straight lines, outer ones repeat the nearest sample; without any valid
    sample the result is zero.

    Returns
    -------
    samples : array of float64, shape (n,)
    valid : array of bool, shape (n,)
    """
    if valid.all():
        return samples, valid
    known = np.flatnonzero(valid)
    if known.size == 0:
        return np.zeros_like(samples), valid
    mended = samples.copy()
    missing = np.flatnonzero(~valid)
    mended[missing] = np.interp(missing, known, samples[known])
    bridged = valid.copy()
    for start, end in runs(~valid):
        if end - start <= bridge_samples and start > 0 and end < valid.size:
            bridged[start:end] = True
    return mended, bridged


@lru_cache(maxsize=16)
def _design(
    kind: Literal["highpass", "lowpass"], corner_hz: float, sampling_rate_hz: float, order: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Second-order sections, and their state in rest for a constant of 1."""
    sections = butter(order, corner_hz, kind, fs=sampling_rate_hz, output="sos")
    return sections, sosfilt_zi(sections)


def _filtered(
    samples: NDArray[np.float64], sections: NDArray[np.float64], state: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Filter along axis 0, from the steady state for the first sample."""
    start = state.reshape(state.shape + (1,) * (samples.ndim - 1)) * samples[:1]
    out, _ = sosfilt(sections, samples, axis=0, zi=start)
    return np.asarray(out, dtype=np.float64)


def highpass(
    samples: NDArray[np.float64], corner_hz: float, sampling_rate_hz: float, order: int = 2
) -> NDArray[np.float64]:
    """Apply a causal Butterworth high-pass along axis 0.

    Causal, so that nothing appears before an onset. The filter starts in its steady state for
    the first sample: a constant stays zero from the start.
    """
    return _filtered(samples, *_design("highpass", corner_hz, sampling_rate_hz, order))


def lowpass(
    samples: NDArray[np.float64], corner_hz: float, sampling_rate_hz: float, order: int = 2
) -> NDArray[np.float64]:
    """Apply a causal Butterworth low-pass along axis 0; a constant passes from the start."""
    return _filtered(samples, *_design("lowpass", corner_hz, sampling_rate_hz, order))
