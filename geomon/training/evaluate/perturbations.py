"""Labelled windows changed in ways that should change no pick, or as few as possible."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from geomon.processing.resample import exact_rate
from geomon.times import NS_PER_S
from geomon.training.recordings import LabelledWindow
from geomon.waveforms import Segment

type Perturbation = Callable[[LabelledWindow], LabelledWindow]
type _Floats = NDArray[np.float64]


def _changed(
    window: LabelledWindow, change: Callable[[_Floats, Segment], _Floats]
) -> LabelledWindow:
    """Change the samples of each channel, which are handed over as a copy."""
    segments = tuple(
        replace(s, samples=np.asarray(change(s.samples.astype(np.float64), s)))
        for s in window.segments
    )
    return replace(window, segments=segments)


def _sample(segment: Segment, index: float) -> int:
    """Return the sample of a segment at a label's index, which counts at 100 Hz."""
    return min(max(round(index * segment.sampling_rate_hz / 100), 0), segment.samples.size - 1)


def gain(factor: float) -> Perturbation:
    """Multiply all components by a factor."""
    return lambda window: _changed(window, lambda x, _: x * factor)


def rotated(angle_deg: float) -> Perturbation:
    """Turn the two horizontals by an angle; windows without both stay as they are."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))

    def turn(window: LabelledWindow) -> LabelledWindow:
        by_letter = {s.seed_id.component: s.samples.astype(np.float64) for s in window.segments}
        if not {"N", "E"} <= by_letter.keys():
            return window
        north, east = by_letter["N"], by_letter["E"]
        turned = {"N": cos * north - sin * east, "E": sin * north + cos * east}
        return _changed(window, lambda x, s: turned.get(s.seed_id.component, x))

    return turn


def reversed_polarity(window: LabelledWindow) -> LabelledWindow:
    """Change the sign of every component."""
    return _changed(window, lambda x, _: -x)


def vertical_only(window: LabelledWindow) -> LabelledWindow:
    """Leave out the horizontals; windows without a vertical stay as they are."""
    kept = tuple(s for s in window.segments if s.seed_id.component in "Z3")
    return replace(window, segments=kept or window.segments)


def spike_before_p(factor: float = 100.0, lead_s: float = 3.0) -> Perturbation:
    """Put one sample, `factor` times the largest value, before P on every component."""

    def change(window: LabelledWindow) -> LabelledWindow:
        def add(x: _Floats, s: Segment) -> _Floats:
            x[_sample(s, window.p_index - 100 * lead_s)] += factor * np.abs(x).max()
            return x

        return _changed(window, add)

    return _where_p(change)


def noisier(factor: float, seed: int = 0) -> Perturbation:
    """Add white noise, `factor` times as strong as what was recorded before P."""

    def change(window: LabelledWindow) -> LabelledWindow:
        rng = np.random.default_rng(seed)

        def add(x: _Floats, s: Segment) -> _Floats:
            before = x[: max(_sample(s, window.p_index - 100), 200)]
            # Of the differences, so that a slow swell does not count.
            spread = float(np.diff(before).std()) / np.sqrt(2)
            return np.asarray(x + factor * spread * rng.normal(size=x.size))

        return _changed(window, add)

    return _where_p(change)


def resampled(rate_hz: int) -> Perturbation:
    """Record at another rate, with a zero-phase filter against aliases."""

    def change(window: LabelledWindow) -> LabelledWindow:
        segments = []
        for s in window.segments:
            ratio = exact_rate(rate_hz) / exact_rate(s.sampling_rate_hz)
            x = s.samples.astype(np.float64)
            level = x.mean()
            y = resample_poly(x - level, ratio.numerator, ratio.denominator) + level
            segments.append(Segment(s.seed_id, s.start_ns, float(rate_hz), y))
        return replace(window, segments=tuple(segments))

    return change


def half_sample_later(window: LabelledWindow) -> LabelledWindow:
    """Sample the same ground half a sample later: times move, picks should not."""
    segments = []
    for s in window.segments:
        x = s.samples.astype(np.float64)
        level = x.mean()
        between = resample_poly(x - level, 2, 1)[1::2] + level
        start = s.start_ns + round(NS_PER_S / s.sampling_rate_hz / 2)
        segments.append(Segment(s.seed_id, start, s.sampling_rate_hz, between))
    # Labels count from the window's start.
    earlier = 50 / window.segments[0].sampling_rate_hz
    return replace(
        window,
        segments=tuple(segments),
        p_index=window.p_index - earlier,
        s_index=window.s_index - earlier,
    )


def gap_after_p(begin_s: float = 2.5, length_s: float = 2.0) -> Perturbation:
    """Lose some seconds of every component after P."""

    def change(window: LabelledWindow) -> LabelledWindow:
        segments = []
        for s in window.segments:
            low = _sample(s, window.p_index + 100 * begin_s)
            high = _sample(s, window.p_index + 100 * (begin_s + length_s))
            for first, last in ((0, low), (high, s.samples.size)):
                if first < last:
                    part = s.samples[first:last]
                    segments.append(replace(s, start_ns=s.time_ns(first), samples=part))
        return replace(window, segments=tuple(segments))

    return _where_p(change)


def clipped(share: float) -> Perturbation:
    """Cut off what exceeds a share of each component's largest value."""

    def cut(x: _Floats, _: Segment) -> _Floats:
        limit = share * float(np.abs(x).max())
        return np.asarray(np.clip(x, -limit, limit))

    return lambda window: _changed(window, cut)


def shifted(n_samples: int) -> Perturbation:
    """Let everything happen some samples of 100 Hz later."""

    def change(window: LabelledWindow) -> LabelledWindow:
        by_ns = n_samples * NS_PER_S // 100
        segments = tuple(replace(s, start_ns=s.start_ns + by_ns) for s in window.segments)
        return replace(window, segments=segments)

    return change


def _where_p(change: Perturbation) -> Perturbation:
    """Leave windows without a labelled P as they are."""
    return lambda window: window if np.isnan(window.p_index) else change(window)


PERTURBATIONS: Mapping[str, Perturbation] = {
    "gain x 1000": gain(1000.0),
    "horizontals turned 37 degrees": rotated(37.0),
    "polarity reversed": reversed_polarity,
    "vertical only": vertical_only,
    "100 x spike 3 s before P": spike_before_p(),
    "white noise as strong as the noise": noisier(1.0),
    "white noise 4 x as strong": noisier(4.0),
    "recorded at 20 Hz": resampled(20),
    "recorded at 40 Hz": resampled(40),
    "recorded at 50 Hz": resampled(50),
    "recorded at 200 Hz": resampled(200),
    "half a sample later": half_sample_later,
    "gap 2.5 to 4.5 s after P": gap_after_p(),
    "clipped at a third": clipped(1 / 3),
}
