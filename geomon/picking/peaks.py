"""From probability curves to peaks, by a rule that looks half a second either way."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

REACH = 50  # samples on each side that a peak must top: 0.5 s at 100 Hz


@dataclass(frozen=True, slots=True)
class Peak:
    """One peak of a probability curve.

    Attributes
    ----------
    index : int
        Sample of the maximum.
    shift : float, in [-0.5, 0.5]
        Where the parabola through the maximum and its neighbours peaks, samples from `index`.
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
    before, top, after = (float(value) for value in window[REACH - 1 : REACH + 2])
    curvature = before - 2 * top + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    half = 0.5 * top
    left, right = REACH, REACH
    while left > 0 and window[left] > half:
        left -= 1
    while right < 2 * REACH and window[right] > half:
        right += 1

    def crossing(low: int, high: int) -> float:
        """Position between a sample below and one above half height."""
        span = float(window[high]) - float(window[low])
        part = (half - float(window[low])) / span if span > 0 else 0.0
        return low + (high - low) * min(max(part, 0.0), 1.0)

    width = crossing(right, right - 1) - crossing(left, left + 1)
    return Peak(index, min(max(shift, -0.5), 0.5), top, width)
