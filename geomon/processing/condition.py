"""Mending raw samples before they meet a filter: gaps, flat lines, spikes."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SPIKE_FACTOR = 8.0
_SPIKE_REACH = 8  # samples on each side a spike is compared with


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return start and end (exclusive) of every run of True in a vector, shape (n_runs, 2).

    Examples
    --------
    >>> runs(np.array([False, True, True, False, True])).tolist()
    [[1, 3], [4, 5]]
    """
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    starts = [0] if mask[:1].any() else []
    ends = [mask.size] if mask[-1:].any() else []
    return np.concatenate((starts, edges, ends)).astype(np.int64).reshape(-1, 2)


def flat_lines(
    samples: NDArray[np.float64], valid: NDArray[np.bool_], min_samples: int
) -> NDArray[np.bool_]:
    """Mark samples in stretches of at least `min_samples` equal valid values: a dead channel."""
    flat = np.zeros(samples.shape[0], dtype=np.bool_)
    _mark_flat_lines(np.ascontiguousarray(samples), valid, min_samples, flat)
    return flat


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mark_flat_lines(
    samples: NDArray[np.float64],
    valid: NDArray[np.bool_],
    min_samples: int,
    flat: NDArray[np.bool_],
) -> None:
    n = samples.shape[0]
    begin = 0
    for i in range(1, n + 1):
        if i < n and samples[i] == samples[i - 1] and valid[i] and valid[i - 1]:
            continue
        if i - begin >= max(min_samples, 2):
            flat[begin:i] = True
        begin = i


def without_spikes(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace isolated single-sample spikes by the mean of their neighbours.

    A spike stands out of its neighbours more than 8 times as far as any of the 7 samples on
    either side, and the neighbours show its mirror image. An onset never passes: what follows it
    is as rough as itself. The first and last 9 samples are left alone.
    """
    if samples.size < 2 * _SPIKE_REACH + 3:
        return samples
    spikes = _spikes(np.ascontiguousarray(samples))
    if spikes.size == 0:
        return samples
    mended = samples.copy()
    mended[spikes] = 0.5 * (samples[spikes - 1] + samples[spikes + 1])
    return mended


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rough(samples: NDArray[np.float64], i: int) -> Any:  # noqa: ANN401 - float64
    """How far a sample stands out of its neighbours."""
    return samples[i] - 0.5 * (samples[i - 1] + samples[i + 1])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _spikes(samples: NDArray[np.float64]) -> NDArray[np.int64]:
    reach = _SPIKE_REACH + 1
    found = []
    before, here, after = 0.0, _rough(samples, reach - 1), _rough(samples, reach)
    for i in range(reach, samples.shape[0] - reach):
        before, here, after = here, after, _rough(samples, i + 1)
        limit = 0.25 * abs(here)
        if not (abs(before + 0.5 * here) < limit and abs(after + 0.5 * here) < limit):
            continue
        tallest = 0.0
        for lag in range(2, reach):
            tallest = max(tallest, abs(_rough(samples, i - lag)), abs(_rough(samples, i + lag)))
        if abs(here) > _SPIKE_FACTOR * tallest:
            found.append(i)
    return np.array(found, dtype=np.int64)


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
    # The bilinear transform of each pair of the prototype's poles, the frequency pre-warped
    # (Oppenheim and Schafer, Discrete-Time Signal Processing). SciPy's design gives the same, but
    # takes a second of every process to import.
    warped = np.tan(np.pi * corner_hz / sampling_rate_hz)
    gain, middle = (1.0, -1.0) if kind == "highpass" else (warped, 1.0)
    sections = []
    if order % 2:
        scale = 1 / (warped + 1)
        sections.append([gain * scale, middle * gain * scale, 0, 1, (warped - 1) * scale, 0])
    for k in range(order // 2):
        damping = 2 * np.sin(np.pi * (2 * k + 1) / (2 * order)) * warped
        scale = 1 / (warped**2 + damping + 1)
        top = gain**2 * scale
        sections.append([
            top, 2 * middle * top, top,
            1, 2 * (warped**2 - 1) * scale, (warped**2 - damping + 1) * scale,
        ])  # fmt: skip
    level = 1.0
    state = []
    for b0, b1, b2, _, a1, a2 in sections:
        out = level * (b0 + b1 + b2) / (1 + a1 + a2)
        last = b2 * level - a2 * out
        state.append([b1 * level - a1 * out + last, last])
        level = out
    return np.array(sections, dtype=np.float64), np.array(state, dtype=np.float64)


def _filtered(
    samples: NDArray[np.float64], sections: NDArray[np.float64], state: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Filter along axis 0, from the steady state for the first sample."""
    out = np.array(samples, dtype=np.float64, order="C")
    if out.size:
        _run_sections(out.reshape(out.shape[0], -1), sections, state)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run_sections(
    samples: NDArray[np.float64], sections: NDArray[np.float64], state: NDArray[np.float64]
) -> None:
    """Filter in place, section by section, in transposed direct form II."""
    n, channels = samples.shape
    first = samples[0].copy()
    one, two = np.empty(channels), np.empty(channels)
    for k in range(sections.shape[0]):
        b0, b1, b2 = sections[k, 0], sections[k, 1], sections[k, 2]
        a1, a2 = sections[k, 4], sections[k, 5]
        for c in range(channels):
            one[c], two[c] = state[k, 0] * first[c], state[k, 1] * first[c]
        for t in range(n):
            for c in range(channels):
                x = samples[t, c]
                y = b0 * x + one[c]
                one[c] = b1 * x - a1 * y + two[c]
                two[c] = b2 * x - a2 * y
                samples[t, c] = y


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
