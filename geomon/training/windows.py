"""Labelled training windows: synthetic earthquakes on real and synthetic noise, and recordings.

A window is put together anew each time it is drawn: earthquakes from a pool of synthetic
seismograms, shifted, scaled and added up on noise; or a stretch of a real recording with its
picks. Then it goes through the same filter and normalisation as picking.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from geomon.picking.card import PickerCard
from geomon.picking.prepare import GRID, conditioned
from geomon.processing.condition import filled, highpass
from geomon.synthesis.noise import draw_noise
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import SourceAndPath, rupture_duration_s
from geomon.training.augment import (
    Window,
    clip,
    cut_gaps,
    disturb,
    drop_channels,
    flip_and_turn,
    quantise,
    sample_slowly,
    start_or_end,
)

RATE = float(GRID)
LENGTH = 6144  # samples a window is built from: normalisation needs more than the network sees
CROP = 3072  # samples the network sees
# Labels are Gaussians of 0.1 s; sharper ones (0.06 s) time no better.
_SIGMA = 10.0  # samples
_STRETCHES = ((1, 3), (1, 2), (2, 3), (4, 5), (5, 4), (3, 2), (2, 1))
_VISIBLE, _INVISIBLE = 1.5, 1.05  # growth of amplitude at an onset


@dataclass(frozen=True, slots=True)
class EventPool:
    """Synthetic seismograms without noise.

    `samples` is float16 (k, LENGTH, 3), each scaled to a largest value of 1; `onsets` (k, 2) are
    the P and S times in samples; `size` (k,) is the amplitude 1 s after P above 1 Hz.
    """

    samples: NDArray[np.float16]
    onsets: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    """A real recording on the 100 Hz grid, in Z, N, E order, with its picks.

    `samples` is float32 (n, 3), `valid` bool (n, 3); `index`, `column` (0 for P, 1 for S) and
    `height` (label in [0, 1]) describe the picks. `labelled` says whether analysts made them.
    `weight` (n,) is how much each sample counts in the loss; 1 everywhere without.
    """

    samples: NDArray[np.float32]
    valid: NDArray[np.bool_]
    index: NDArray[np.float64]
    column: NDArray[np.int64]
    height: NDArray[np.float64]
    labelled: bool
    weight: NDArray[np.float32] | None = None


def _amplitude(samples: NDArray[np.float64], start: int, end: int) -> float:
    """Largest channel root mean square between two samples; 0 without any."""
    part = samples[max(start, 0) : max(end, 0)]
    return float(np.sqrt((part**2).mean(axis=0)).max()) if part.size else 0.0


def _instrument(samples: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """See the ground through another sensor: short-period, low-pass, accelerometer."""
    if rng.random() < 0.4:
        corner = np.exp(rng.uniform(np.log(0.5), np.log(4.5)))
        samples = sosfilt(butter(2, corner, "high", fs=RATE, output="sos"), samples, axis=0)
    if rng.random() < 0.3:
        corner = rng.uniform(10, 40)
        order = int(rng.integers(2, 5))
        samples = sosfilt(butter(order, corner, "low", fs=RATE, output="sos"), samples, axis=0)
    if rng.random() < 0.2:
        samples = np.diff(samples, axis=0, prepend=samples[:1])
    return samples


def draw_events(rng: np.random.Generator, count: int) -> EventPool:
    """Make a pool of synthetic seismograms, from micro-earthquakes nearby to large regional ones.

    S follows P by 0.3 to 35 s. Magnitudes are what is recorded at such distances, one in seven
    is a large earthquake; near sources in hard rock keep frequencies others lose.
    """
    samples = np.empty((count, LENGTH, 3), dtype=np.float16)
    onsets, size = np.empty((count, 2)), np.empty(count)
    for begin in range(0, count, 64):
        rows = slice(begin, min(begin + 64, count))
        n = rows.stop - rows.start
        is_large = rng.random(n) < 0.15
        shortest = np.where(is_large, 1.0, 0.3)
        lead = shortest * (35 / shortest) ** rng.random(n)
        distance = lead * rng.uniform(7.0, 9.0, n)
        usual = rng.uniform(-0.5, 4.5, n) + np.clip(np.log10(distance / 30), -1.3, 1)
        magnitude = np.where(is_large, rng.uniform(4.5, 7.5, n), usual)
        rupture = rupture_duration_s(magnitude) * rng.lognormal(0, 0.4, n)
        is_hard = (lead < 2) & (rng.random(n) < 0.5)
        kappa = np.where(is_hard, 10 ** rng.uniform(-3.3, -2, n), rng.uniform(0.004, 0.05, n))
        p_time = rng.uniform(8, 25, n)
        paths = SourceAndPath.draw(
            rng,
            magnitude=magnitude,
            hypocentral_distance_km=distance,
            p_time_s=p_time,
            s_time_s=p_time + lead,
            kappa_s=kappa,
            rupture_s=np.where(is_large, np.minimum(rupture, 30), 0),
            subevents_a_s=10 ** rng.uniform(0.8, 1.8, n),
        )
        motion = seismograms(rng, paths, n_samples=LENGTH, sampling_rate_hz=RATE)
        onsets[rows] = np.stack([p_time, p_time + lead], axis=1) * RATE
        for k, trace in enumerate(motion.transpose(0, 2, 1).astype(np.float64), begin):
            seen = _instrument(trace, rng)
            seen /= np.abs(seen).max()
            samples[k] = seen
            p = round(onsets[k, 0])
            size[k] = max(_amplitude(highpass(seen, 1.0, RATE), p, p + 100), 1e-4)
    return EventPool(samples, onsets, size)


def draw_noise_pool(rng: np.random.Generator, count: int) -> NDArray[np.float16]:
    """Make windows of synthetic noise, (count, LENGTH, 3), vertical deviation 1 above 1 Hz."""
    out = np.empty((count, LENGTH, 3), dtype=np.float16)
    for begin in range(0, count, 64):
        n = min(64, count - begin)
        level = rng.uniform(0, 1, n)
        noise = draw_noise(rng, level=level, n_samples=LENGTH, sampling_rate_hz=RATE)
        for k, trace in enumerate(noise.transpose(0, 2, 1).astype(np.float64), begin):
            out[k] = scaled_noise(_instrument(trace / trace.std(), rng))
    return out


def scaled_noise(samples: NDArray[np.float64]) -> NDArray[np.float16]:
    """Scale a noise window to a vertical deviation of 1 above 1 Hz."""
    spread = highpass(samples, 1.0, RATE)[200:].std(axis=0)
    unit = spread[0] if spread[0] > 0 else spread.max()
    scaled = (samples - samples.mean(axis=0)) / (unit or 1.0)
    return np.clip(scaled, -6e4, 6e4).astype(np.float16)


@dataclass(slots=True)
class Sampler:
    """Draws batches of training windows; the same numbers for the same seed and batch number.

    Attributes
    ----------
    card : PickerCard
        Component order, filter and normalisation of the picker to train.
    events : EventPool
        Synthetic earthquakes.
    noise : array of float16, shape (k, LENGTH, 3)
        Noise windows, synthetic and real.
    recordings : sequence of Recording
        Real recordings with picks; may be empty.
    real_share : float
        Share of windows that come from them.
    seed : int
        Of all randomness.
    """

    card: PickerCard
    events: EventPool
    noise: NDArray[np.float16]
    recordings: Sequence[Recording] = ()
    real_share: float = 0.3
    seed: int = 0
    _long: list[Recording] = field(init=False)
    _short: list[Recording] = field(init=False)
    _shares: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self._long = [r for r in self.recordings if not r.labelled]
        self._short = [r for r in self.recordings if r.labelled]
        # A recording is drawn the more often the more picks it has.
        counts = np.array([r.index.size + 1 for r in self._long], dtype=np.float64)
        self._shares = np.cumsum(counts[:-1]) / counts.sum()

    def batch(
        self, number: int, size: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return batch `number`: waveforms (b, CROP, 3), classes (b, CROP, 3), weights (b, CROP).

        Components and classes are in the card's order.
        """
        rng = np.random.default_rng((self.seed, number))
        x = np.empty((size, CROP, 3), dtype=np.float32)
        y = np.empty((size, CROP, len(self.card.classes)), dtype=np.float32)
        weight = np.empty((size, CROP), dtype=np.float32)
        for k in range(size):
            x[k], y[k], weight[k] = self._draw(rng)
        return x, y, weight

    def _draw(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        crop = int(rng.integers(1500, LENGTH - CROP - 500))
        if self.recordings and rng.random() < self.real_share:
            window = self._cut(rng, crop)
            if rng.random() < 0.2:
                window.samples = _instrument(window.samples, rng)
            if rng.random() < 0.3:
                self._add_noise(window, rng)
            if rng.random() < 0.3:
                self._superpose(window, self._cut(rng, crop), rng)
        else:
            window = self._synthetic(rng, crop)
        flip_and_turn(window, rng)
        spoil(window, rng)
        return finished(window, self.card, crop, int(rng.integers(0, 1500)))

    def _synthetic(self, rng: np.random.Generator, crop: int) -> Window:
        """Put none to four synthetic earthquakes on noise."""
        noise = self.noise[rng.integers(0, len(self.noise))].astype(np.float64)
        window = Window.of(noise)
        if rng.random() < 0.5:
            window.samples *= rng.uniform(0.5, 2.0, 3)
        count = int(rng.choice(5, p=(0.12, 0.5, 0.2, 0.1, 0.08)))
        placed = []
        loudest = 3.2 if rng.random() < 0.15 else 2.2
        for number in range(count):
            k = int(rng.integers(0, len(self.events.size)))
            snr = 10 ** rng.uniform(-0.1, loudest if number == 0 else 1.6)
            onset = crop + int(rng.integers(-800, CROP - 50))
            shift = onset - round(self.events.onsets[k, 0])
            low, high = max(shift, 0), min(LENGTH + shift, LENGTH)
            gain = snr / self.events.size[k]
            window.samples[low:high] += gain * self.events.samples[k, low - shift : high - shift]
            placed.append(self.events.onsets[k] + shift)
        if placed:
            self._label(window, placed)
        return window

    def _seen(self, window: Window) -> NDArray[np.float64]:
        """Return the samples as the picker's own filter lets them through."""
        rule = self.card.normalisation
        if rule.highpass_hz is None:
            return window.samples - window.samples.mean(axis=0)
        return highpass(window.samples, rule.highpass_hz, RATE, rule.highpass_order)

    def _label(self, window: Window, placed: list[NDArray[np.float64]]) -> None:
        """Label onsets that stand out; leave doubtful ones out of the loss."""
        seen = self._seen(window)
        for onsets in placed:
            for column, onset in enumerate(onsets):
                at = round(onset)
                if not 150 < at < LENGTH - 100:
                    continue
                channels = seen if column == 0 else seen[:, 1:]
                before = _amplitude(channels, at - 105, at - 5)
                growth = _amplitude(channels, at, at + 60) / max(before, 1e-12)
                if growth > _VISIBLE:
                    window.label(onset, column, 1.0, _SIGMA)
                elif growth > _INVISIBLE:
                    window.ignore(at - 40, at + 60)

    def _cut(self, rng: np.random.Generator, crop: int) -> Window:
        """Cut a window out of a recording, perhaps played faster or slower."""
        if self._short and (not self._long or rng.random() < 0.3):
            recording = self._short[rng.integers(0, len(self._short))]
        else:
            recording = self._long[int(np.searchsorted(self._shares, rng.random(), "right"))]
        up, down = (1, 1) if rng.random() < 0.5 else _STRETCHES[rng.integers(0, len(_STRETCHES))]
        need = LENGTH * down // up + 1
        n = recording.samples.shape[0]
        if rng.random() < 0.85 and recording.index.size:
            anchor = recording.index[rng.integers(0, recording.index.size)]
        else:
            anchor = float(rng.uniform(0, n))
        first = round(anchor) - (crop + int(rng.integers(100, CROP - 100))) * down // up
        rows = np.arange(first, first + need)
        inside = (rows >= 0) & (rows < n)
        source = np.clip(rows, 0, n - 1)
        # Short recordings are continued with their mirror image, which is not data.
        samples = recording.samples[source].astype(np.float64)
        valid = recording.valid[source] & inside[:, None]
        if (up, down) != (1, 1):
            samples = resample_poly(samples - samples[:1], up, down, axis=0)
            valid = valid[np.minimum(np.arange(samples.shape[0]) * down // up, need - 1)]
        window = Window.of(samples[:LENGTH].copy())
        window.valid[:] = valid[:LENGTH]
        if recording.weight is not None:
            played = np.minimum(np.arange(LENGTH) * down // up, need - 1)
            window.weight[:] = recording.weight[source][played]
        places = (recording.index - first) * up / down
        for k in np.flatnonzero((places > -50) & (places < LENGTH + 50)):
            window.label(places[k], int(recording.column[k]), float(recording.height[k]), _SIGMA)
        return window

    def _add_noise(self, window: Window, rng: np.random.Generator) -> None:
        """Raise the noise a little; labels that drown are left out of the loss."""
        quiet = np.median(np.abs(self._seen(window)), axis=0) * 1.5
        noise = self.noise[rng.integers(0, len(self.noise))].astype(np.float64)
        window.samples += noise * quiet.max() * rng.uniform(0.3, 3.0)
        self._ignore_drowned(window)

    def _superpose(self, window: Window, other: Window, rng: np.random.Generator) -> None:
        """Add another recording's window, as when two earthquakes come together."""
        sizes = [np.abs(self._seen(one)).max() for one in (window, other)]
        if min(sizes) == 0:
            return
        window.samples += other.samples * (sizes[0] / sizes[1] * 10 ** rng.uniform(-1.0, 1.0))
        window.valid &= other.valid
        np.maximum(window.target, other.target, out=window.target)
        window.target[~window.valid.any(axis=1)] = 0
        self._ignore_drowned(window)

    def _ignore_drowned(self, window: Window) -> None:
        """Leave labels out of the loss where nothing grows any more."""
        seen = self._seen(window)
        for at in window.labels():
            before = _amplitude(seen, at - 105, at - 5)
            if _amplitude(seen, at, at + 60) < _VISIBLE * before:
                window.ignore(at - 60, at + 60)


def spoil(window: Window, rng: np.random.Generator) -> None:
    """Do to a window what may happen to any recording, each with its own chance."""
    if rng.random() < 0.15:
        sample_slowly(window, rng)
    for share in (0.35, 0.1):
        if rng.random() < share:
            disturb(window, rng)
    if rng.random() < 0.08:
        clip(window, rng)
    if rng.random() < 0.08:
        quantise(window, rng)
    if rng.random() < 0.12:
        drop_channels(window, rng)
    if rng.random() < 0.06:
        cut_gaps(window, rng)
    if rng.random() < 0.05:
        start_or_end(window, rng)


def finished(
    window: Window, card: PickerCard, crop: int, first: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Filter, normalise and cut a window as picking does, and turn its labels into classes.

    Returns
    -------
    waveforms : array of float32, shape (CROP, 3)
    classes : array of float32, shape (CROP, n_classes)
    weights : array of float32, shape (CROP,)
    """
    samples, valid = window.samples, window.valid
    if not valid.all():
        parts = [filled(samples[:, c], valid[:, c], 10) for c in range(3)]
        samples = np.stack([part[0] for part in parts], axis=1)
        valid = np.stack([part[1] for part in parts], axis=1)
    order = ["ZNE".index(letter) for letter in card.components]
    scaled, _ = conditioned(card, samples[:, order], valid[:, order], first)
    inside = slice(crop, crop + CROP)
    target = window.target[inside]
    target /= np.maximum(target.sum(axis=1, keepdims=True), 1.0)
    noise = np.maximum(1 - target.sum(axis=1), 0)
    by_class = {"P": target[:, 0], "S": target[:, 1], "N": noise}
    classes = np.stack([by_class[name] for name in card.classes], axis=1)
    return scaled[inside], classes, window.weight[inside]
