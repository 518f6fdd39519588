"""Waveforms reduced to what a screen can show: smallest and largest sample of each step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from geomon.processing.condition import highpass
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

WARM_UP_S = 20.0
"""Data read ahead of a span so that the high-pass has settled when the span begins."""


MIN_CORNER_HZ = 0.01
"""Lower corners would need a longer warm-up, and in the end give no stable filter."""


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """Extremes of consecutive samples: `minimum` and `maximum`, shape (n_steps,), of one step."""

    start_ns: int
    step_s: float
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


def envelopes(
    segments: Iterable[Segment], span: TimeSpan, n_steps: int, *, highpass_hz: float = 0.0
) -> Iterator[Envelope]:
    """Reduce segments to the extremes of steps of equal length; nothing is drawn over a gap.

    Parameters
    ----------
    segments : iterable of Segment
        One channel, best from `WARM_UP_S` before the span on.
    span : TimeSpan
        What is shown.
    n_steps : int
        Most steps the whole span is divided into; a step is a whole number of samples.
    highpass_hz : float
        Corner of a causal high-pass applied first; below `MIN_CORNER_HZ`, or above a quarter of
        the sampling rate, only the mean is removed.
    """
    for segment in segments:
        samples = segment.samples.astype(np.float64)
        rate_hz = segment.sampling_rate_hz
        if MIN_CORNER_HZ <= highpass_hz < rate_hz / 4:
            samples = highpass(samples, highpass_hz, rate_hz)
        else:
            samples -= samples.mean()
        shown = Segment(segment.seed_id, segment.start_ns, rate_hz, samples).clipped(span)
        if shown is None:
            continue
        per_step = max(1, ceil(span.duration_s * rate_hz / n_steps))
        starts = np.arange(0, shown.samples.size, per_step)
        yield Envelope(
            shown.start_ns,
            per_step / rate_hz,
            np.minimum.reduceat(shown.samples, starts),
            np.maximum.reduceat(shown.samples, starts),
        )


def peak(found: Iterable[Envelope]) -> float:
    """Return the largest absolute value of envelopes; 0 for none."""
    extremes = [max(-e.minimum.min(), e.maximum.max()) for e in found]
    return float(max(extremes, default=0.0))


def rounded(values: NDArray[np.float64], largest: float) -> list[float]:
    """Round to a ten-thousandth of `largest`, which no screen can tell from the value."""
    if largest <= 0:
        return [0.0] * values.size
    decimals = 4 - int(np.ceil(np.log10(largest)))
    return [float(value) for value in np.round(values, decimals)]


def warmed(span: TimeSpan) -> TimeSpan:
    """Return the span with the warm-up ahead of it."""
    return TimeSpan(span.start_ns - round(WARM_UP_S * NS_PER_S), span.end_ns)
