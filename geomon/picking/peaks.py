"""From probability curves to peaks, by a rule that looks half a second either way."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

REACH = 50  # samples on each side that a peak must top: 0.5 s at 100 Hz
_TOP = 0.7  # share of its height above which a peak's centre is taken


@dataclass(frozen=True, slots=True)
class Peak:
    """One peak of a probability curve.

    Attributes
    ----------
    index : int
        Sample of the maximum.
    shift : float
        Where the centre of the peak's top is, samples from `index`: the centroid of what lies
        above 0.7 of its height. It follows a waveform that moves by part of a sample better than
        the ragged maximum does, and is nearer to analysts' picks.
    probability : float
        Value at `index`.
    width : float
        Full width at half height, samples, within `REACH` either side.
    """

    index: int
    shift: float
    probability: float
    width: float


def find_peaks(curve: NDArray[np.float32], threshold: float) -> list[Peak]:
    """Find samples above `threshold` that top every sample within 0.5 s; the first of equals.

    Parameters
    ----------
    curve : array of float32, shape (n_samples,)
        Probability at 100 Hz. The first and last 50 samples are only looked at, never returned.
    threshold : float
        Probability a peak must exceed.

    Returns
    -------
    list of Peak
        In time order.

    Examples
    --------
    >>> curve = np.zeros(200, dtype=np.float32)
    >>> curve[99:102] = 0.5, 0.9, 0.5
    >>> [(peak.index, round(peak.probability, 2)) for peak in find_peaks(curve, 0.3)]
    [(100, 0.9)]
    """
    if curve.size < 2 * REACH + 1:
        return []
    centre = curve[REACH:-REACH]
    candidates = np.flatnonzero(centre > threshold)
    if candidates.size == 0:
        return []
    windows = sliding_window_view(curve, 2 * REACH + 1)[candidates]
    best = np.argmax(windows, axis=1) == REACH
    return [
        _measured(window, int(index) + REACH)
        for window, index in zip(windows[best], candidates[best], strict=True)
    ]


def _measured(window: NDArray[np.float32], index: int) -> Peak:
    shift, width = _centre_and_width(window)
    return Peak(index, shift, float(window[REACH]), width)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _centre_and_width(window: NDArray[np.float32]) -> tuple[float, float]:
    """Return where the centre of a peak's top is, from its maximum, and its full width."""
    top = float(window[REACH])
    low, high = _around(window, _TOP * top)
    moment, weight = 0.0, 0.0
    for k in range(low + 1, high):
        above = float(window[k]) - _TOP * top
        moment += above * (k - REACH)
        weight += above
    left, right = _around(window, 0.5 * top)
    width = _crossing(window, right, right - 1) - _crossing(window, left, left + 1)
    return moment / weight, width


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _crossing(window: NDArray[np.float32], low: int, high: int) -> float:
    """Return the position between a sample below and one above half height."""
    below = float(window[low])
    span = float(window[high]) - below
    part = (0.5 * float(window[REACH]) - below) / span if span > 0 else 0.0
    return low + (high - low) * min(max(part, 0.0), 1.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _around(window: NDArray[np.float32], level: float) -> tuple[int, int]:
    """Return the nearest samples on both sides of the middle that are not above a level."""
    left, right = REACH, REACH
    while left > 0 and window[left] > level:
        left -= 1
    while right < 2 * REACH and window[right] > level:
        right += 1
    return left, right
