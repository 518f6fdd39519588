"""What happens to recordings in the field, done to training windows on purpose.

Everything here that is no earthquake is a hard negative: the window keeps the labels of its
earthquakes and gets none for the disturbance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from geomon.picking.prepare import GRID

_RATE = float(GRID)
# Tones and pulses of the sensor itself look most like onsets: they come more often.
_KINDS = (0.08, 0.08, 0.08, 0.14, 0.3, 0.08, 0.08, 0.08, 0.08)
_BLIND = round(2 * _RATE)  # inference makes no picks this close to a beginning or end of data


@dataclass(slots=True)
class Window:
    """A training window at 100 Hz before filter and normalisation; changed in place.

    Attributes
    ----------
    samples : array of float64, shape (n, 3)
        Vertical and two horizontals.
    valid : array of bool, shape (n, 3)
        Where there are data.
    target : array of float32, shape (n, 2)
        P and S labels in [0, 1].
    weight : array of float32, shape (n,)
        How much each sample counts in the loss.
    """

    samples: NDArray[np.float64]
    valid: NDArray[np.bool_]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, samples: NDArray[np.float64]) -> "Window":
        """Wrap samples without any label."""
        n = samples.shape[0]
        return cls(
            samples,
            np.ones(samples.shape, dtype=np.bool_),
            np.zeros((n, 2), dtype=np.float32),
            np.ones(n, dtype=np.float32),
        )

    def label(self, index: float, column: int, height: float, sigma: float) -> None:
        """Raise the label of phase `column` to a Gaussian of `height` around `index`."""
        low = max(int(index - 4 * sigma), 0)
        high = min(int(index + 4 * sigma) + 1, self.target.shape[0])
        if low < high:
            bell = height * np.exp(-0.5 * ((np.arange(low, high) - index) / sigma) ** 2)
            part = self.target[low:high, column]
            np.maximum(part, bell.astype(np.float32), out=part)

    def labels(self) -> list[int]:
        """Return the samples of its labels' peaks, faint ones left out."""
        top = self.target.max(axis=1)
        peaks = (top[1:-1] > 0.1) & (top[1:-1] >= top[:-2]) & (top[1:-1] > top[2:])
        return [int(index) + 1 for index in np.flatnonzero(peaks)]

    def ignore(self, start: int, end: int) -> None:
        """Leave samples out of the loss."""
        self.weight[max(start, 0) : max(end, 0)] = 0


def flip_and_turn(window: Window, rng: np.random.Generator) -> None:
    """Reverse polarities and turn the horizontals by any angle.

    Gains need no change: the network sees each channel scaled by its own deviation.
    """
    samples = window.samples
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        north, east = samples[:, 1].copy(), samples[:, 2].copy()
        samples[:, 1] = np.cos(angle) * north - np.sin(angle) * east
        samples[:, 2] = np.sin(angle) * north + np.cos(angle) * east
    samples *= rng.choice([-1.0, 1.0], 3)


def drop_channels(window: Window, rng: np.random.Generator) -> None:
    """Take away the horizontals, one of them, or the vertical."""
    kinds = ((1, 2), (1,), (2,), (0,))
    for channel in kinds[rng.choice(4, p=(0.6, 0.12, 0.13, 0.15))]:
        window.samples[:, channel] = 0
        window.valid[:, channel] = False


def _span(rng: np.random.Generator, n: int, shortest: float, longest: float) -> tuple[int, int]:
    length = round(np.exp(rng.uniform(np.log(shortest), np.log(longest))) * _RATE)
    start = int(rng.integers(0, n))
    return start, min(start + max(length, 1), n)


def _missing(window: Window, start: int, end: int, channels: slice) -> None:
    window.valid[start:end, channels] = False
    if not window.valid[start:end].any():
        window.target[start:end] = 0
    for edge in (start, end):
        if 0 < edge < window.valid.shape[0]:
            window.ignore(edge - _BLIND, edge + _BLIND)


def cut_gaps(window: Window, rng: np.random.Generator) -> None:
    """Cut one to four gaps into all channels or one; short ones may hold zeros instead."""
    n = window.samples.shape[0]
    for _ in range(int(rng.integers(1, 5))):
        channel = int(rng.integers(0, 3))
        channels = slice(None) if rng.random() < 0.7 else slice(channel, channel + 1)
        if rng.random() < 0.3:
            start, end = _span(rng, n, 0.1, 1.9)
            window.samples[start:end, channels] = 0
            if channels == slice(None):
                window.target[start:end] = 0
        else:
            start, end = _span(rng, n, 0.2, 25)
            _missing(window, start, end, channels)


def start_or_end(window: Window, rng: np.random.Generator) -> None:
    """Let the data begin late or end early."""
    n = window.samples.shape[0]
    edge = int(rng.integers(n // 4, 3 * n // 4))
    if rng.random() < 0.6:
        _missing(window, 0, edge, slice(None))
    else:
        _missing(window, edge, n, slice(None))


def gains(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a disturbance's share on each of three channels: on one alone, or all, either sign.

    Returns
    -------
    array of float64, shape (3,)
        In [-1, 1].
    """
    if rng.random() < 0.4:
        alone = np.zeros(3)
        alone[rng.integers(0, 3)] = 1.0
        return alone
    return rng.uniform(0.3, 1.0, 3) * rng.choice([-1.0, 1.0], 3)


def _tone(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a tone from 0 s on, perhaps with overtones, that comes and goes at once or softly."""
    turns = np.exp(rng.uniform(np.log(0.7), np.log(45))) * t
    tone = np.sin(2 * np.pi * turns)
    if rng.random() < 0.3:
        tone += rng.uniform(0.1, 1) * np.sin(2 * np.pi * rng.integers(2, 5) * turns)
    length = np.exp(rng.uniform(np.log(0.3), np.log(40)))
    ramp = length * rng.uniform(0.01, 0.5) if rng.random() < 0.5 else 1 / _RATE
    return np.asarray(tone * np.clip(np.minimum(t, length - t) / ramp, 0, 1))


def disturb(window: Window, rng: np.random.Generator) -> None:
    """Add one thing that is no earthquake, 3 to 1000 times as large as the noise."""
    n = window.samples.shape[0]
    start = int(rng.integers(200, n - 200))
    shape = np.zeros(n)
    t = np.arange(n - start) / _RATE
    kind = rng.choice(9, p=_KINDS)
    if kind == 0:  # telemetry: a spike of some samples
        shape[start : start + int(rng.integers(1, 7))] = rng.choice([-1.0, 1.0])
    elif kind == 1:  # offset, perhaps coming back
        shape[start : start + int(rng.integers(20, n))] = 1.0
    elif kind == 2:  # mass moved: a pulse that dies away
        shape[start:] = np.exp(-t / np.exp(rng.uniform(np.log(0.1), np.log(25))))
    elif kind == 3:  # calibration: the sensor's own swing
        period, damping = np.exp(rng.uniform(np.log(0.2), np.log(8))), rng.uniform(0.1, 0.9)
        swing = np.exp(-damping * 2 * np.pi * t / period)
        shape[start:] = swing * np.sin(2 * np.pi * t / period * np.sqrt(1 - damping**2))
    elif kind == 4:  # machine: a tone switched on and off
        shape[start:] = _tone(t, rng)
    elif kind == 5:  # footsteps: short bursts in step
        step, width = round(rng.uniform(0.3, 1.2) * _RATE), int(rng.integers(8, 30))
        burst = np.hanning(width) * rng.normal(size=width)
        for k in range(int(rng.integers(3, 25))):
            place = start + k * step + int(rng.integers(-4, 5))
            if place + width < n:
                shape[place : place + width] = burst * rng.uniform(0.5, 1)
    elif kind == 6:  # traffic: noise that swells and fades
        length = min(round(np.exp(rng.uniform(np.log(2), np.log(30))) * _RATE), n - start)
        colour = np.exp(-np.arange(int(rng.integers(1, 12))) / 2.0)
        noise = np.convolve(rng.normal(size=length), colour, "same")
        shape[start : start + length] = noise * np.hanning(length) ** rng.uniform(0.7, 3)
    elif kind == 7:  # tilt or temperature: a wandering baseline
        shape = np.cumsum(rng.normal(size=n))
        shape /= np.abs(shape).max()
    else:  # a sine of the electricity supply, or a long swell
        period = np.exp(rng.uniform(np.log(0.02), np.log(30)))
        shape = np.sin(2 * np.pi * np.arange(n) / _RATE / period + rng.uniform(0, 6))
    scale = np.median(np.abs(window.samples).max(axis=1)) or 1.0
    size = scale * np.exp(rng.uniform(np.log(3), np.log(1000 if kind < 5 else 60)))
    window.samples += size * shape[:, None] * gains(rng)


def clip(window: Window, rng: np.random.Generator) -> None:
    """Cut off what exceeds a part of the largest value, as a saturated digitiser does.

    An onset in a stretch that is cut off is left out of the loss: nobody could see it.
    """
    largest = np.abs(window.samples).max(axis=1)
    limit = largest.max() * np.exp(rng.uniform(np.log(0.01), np.log(0.6)))
    limit = max(limit, 3 * np.median(largest))
    is_cut = largest > limit
    np.clip(window.samples, -limit, limit, out=window.samples)
    for at in window.labels():
        if is_cut[max(at - 100, 0) : at].any():
            window.ignore(at - 60, at + 60)


def sample_slowly(window: Window, rng: np.random.Generator) -> None:
    """Record at 50, 40 or 20 samples a second and bring back to 100, as picking does."""
    up, down = ((1, 2), (2, 5), (1, 5))[rng.choice(3, p=(0.4, 0.4, 0.2))]
    fewer = resample_poly(window.samples, up, down, axis=0, padtype="line")
    again = resample_poly(fewer, down, up, axis=0, padtype="line")
    window.samples[:] = again[: window.samples.shape[0]]


def quantise(window: Window, rng: np.random.Generator) -> None:
    """Round to whole counts of a coarse digitiser."""
    spread = window.samples[: window.samples.shape[0] // 4].std(axis=0)
    moving = spread > 1e-9 * np.abs(window.samples).max()
    count = spread[moving] * rng.uniform(0.1, 2.0)
    window.samples[:, moving] = np.round(window.samples[:, moving] / count) * count
