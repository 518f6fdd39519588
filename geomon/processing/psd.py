"""Noise of a channel-day: power spectral densities of its hours, beside the global noise models.

The method is McNamara & Buland's (2004, Bulletin of the Seismological Society of America 94,
https://doi.org/10.1785/012003001), as ObsPy's ``PPSD`` has it: hours that overlap by half, each
the mean of short spectra (a quarter of an hour, cut to a power of two; straight line removed, 10 %
cosine taper at each end), the response divided out after averaging, decibels averaged over full
octaves in steps of an eighth of an octave. Two things differ, for speed and for records with gaps.
The short spectra overlap by half where ``PPSD`` takes three quarters, which with so flat a taper
tells hardly more, and neighbouring hours share them. An hour counts when at least half of its short
spectra are free of gaps, in place of filling gaps with zeros.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geomon.processing.quality import contiguous
from geomon.processing.response import DERIVATIVES, counts_per_unit
from geomon.stations import Response
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

PERCENTILES = (5, 50, 95)
HALF_HOUR_S = 1800

_MIN_FFT = 16
_TAPERED = 0.1  # of the samples, at each end
_STEPS_AN_OCTAVE = 8
_FLOOR = 1e-40  # counts²/Hz: the decibels of silence have to be some number
_DEAD_DB = 5.0
_DEAD_S = (4.0, 8.0)

# Peterson (1993), Observations and modeling of seismic background noise, USGS Open-File Report
# 93-322, table 3 (low) and 4 (high): from each period on (s), A + B log10(period) in dB relative
# to 1 (m/s²)²/Hz. The last period ends the model.
_LOW_MODEL = (
    (0.10, -162.36, 5.64), (0.17, -166.70, 0.00), (0.40, -170.00, -8.30), (0.80, -166.40, 28.90),
    (1.24, -168.60, 52.48), (2.40, -159.98, 29.81), (4.30, -141.10, 0.00), (5.00, -71.36, -99.77),
    (6.00, -97.26, -66.49), (10.0, -132.18, -31.57), (12.0, -205.27, 36.16),
    (15.6, -37.65, -104.33), (21.9, -114.37, -47.10), (31.6, -160.58, -16.28),
    (45.0, -187.50, 0.00), (70.0, -216.47, 15.70), (101.0, -185.00, 0.00), (154.0, -168.34, -7.61),
    (328.0, -217.43, 11.90), (600.0, -258.28, 26.60), (10_000.0, -346.88, 48.75),
)  # fmt: skip
_HIGH_MODEL = (
    (0.10, -108.73, -17.23), (0.22, -150.34, -80.50), (0.32, -122.31, -23.87),
    (0.80, -116.85, 32.51), (3.80, -108.48, 18.08), (4.60, -74.66, -32.95), (6.30, 0.66, -127.18),
    (7.90, -93.37, -22.42), (15.4, 73.54, -162.98), (20.0, -151.52, 10.01),
    (354.8, -206.66, 31.63),
)  # fmt: skip
_LAST_PERIOD_S = 100_000.0

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PsdSummary:
    """The spectra of a day, as percentiles over its hours.

    Attributes
    ----------
    unit : {"m/s**2", "counts"}
        Decibels are relative to 1 (m/s²)²/Hz, or without a usable response to 1 count²/Hz.
    n_windows : int
        Hours, overlapping by half, that went into it.
    periods_s : tuple of float
        Centres of the octaves, rising.
    low_db, median_db, high_db : tuple of float
        5th, 50th and 95th percentile at each period.
    above_low_db : float or None
        How far the median lies above the New Low Noise Model, median over periods; None without
        a response or a period of the model. Negative is impossible for a working sensor.
    above_high_db : float or None
        Most that the median lies above the New High Noise Model at any period.
    below_low_share, above_high_share : float or None
        Share of all values of all hours beneath the low or above the high model
        (MUSTANG's ``pct_below_nlnm`` and ``pct_above_nhnm``, in percent there).
    """

    unit: Literal["m/s**2", "counts"]
    n_windows: int
    periods_s: tuple[float, ...]
    low_db: tuple[float, ...]
    median_db: tuple[float, ...]
    high_db: tuple[float, ...]
    above_low_db: float | None = None
    above_high_db: float | None = None
    below_low_share: float | None = None
    above_high_share: float | None = None

    @property
    def is_dead(self) -> bool:
        """Whether the median lies 5 dB below the low model from 4 to 8 s; false without response.

        MUSTANG's ``dead_channel_gsn``.
        """
        if self.unit == "counts":
            return False
        periods = np.array(self.periods_s)
        band = (periods >= _DEAD_S[0]) & (periods <= _DEAD_S[1])
        if not band.any():
            return False
        under = low_noise_model(periods[band]) - np.array(self.median_db)[band]
        return float(np.mean(under)) > _DEAD_DB


def low_noise_model(periods_s: Floats) -> Floats:
    """Return Peterson's New Low Noise Model, dB relative to 1 (m/s²)²/Hz.

    Parameters
    ----------
    periods_s : array of float64, shape (n,)
        Periods, s.

    Returns
    -------
    array of float64, shape (n,)
        NaN outside 0.1 to 100,000 s.

    Examples
    --------
    >>> low_noise_model(np.array([1.0, 0.01])).tolist()
    [-166.4, nan]
    """
    return _model(_LOW_MODEL, periods_s)


def high_noise_model(periods_s: Floats) -> Floats:
    """Return Peterson's New High Noise Model; see `low_noise_model`."""
    return _model(_HIGH_MODEL, periods_s)


def _model(table: Sequence[tuple[float, float, float]], periods_s: Floats) -> Floats:
    starts, constants, slopes = np.array(table).T
    at = np.searchsorted(starts, periods_s, side="right") - 1
    level = constants[at] + slopes[at] * np.log10(periods_s)
    return np.where((at >= 0) & (periods_s <= _LAST_PERIOD_S), level, np.nan)


def psd_summary(
    segments: Sequence[Segment], day: TimeSpan, response: Response | None = None
) -> PsdSummary | None:
    """Summarise the noise of one channel's day.

    Parameters
    ----------
    segments : sequence of Segment
        Of one channel. Where sampling rates differ, the one of most samples is used.
    day : TimeSpan
        The day; its hours begin every half hour from its start.
    response : Response, optional
        Of the channel; without one, or with one that has no value somewhere, decibels are of
        counts and compared with no model.

    Returns
    -------
    PsdSummary or None
        None when no hour has enough samples.
    """
    chosen = _at_one_rate(segments)
    if not chosen:
        return None
    rate_hz = chosen[0].sampling_rate_hz
    plan = _plan(rate_hz)
    if plan is None:
        return None
    frequency = np.fft.rfftfreq(plan.n_fft, 1 / rate_hz)[1:]
    correction_db = np.zeros(frequency.size)
    unit: Literal["m/s**2", "counts"] = "counts"
    if response is not None:
        known_db = _correction_db(response, frequency)
        if np.isfinite(known_db).all():
            correction_db, unit = known_db, "m/s**2"
    periods, first, last = _octaves(frequency)
    rows = []
    for power in _hours(chosen, day, plan):
        decibels = 10 * np.log10(np.maximum(power[1:], _FLOOR)) + correction_db
        total = np.concatenate(([0.0], np.cumsum(decibels)))
        rows.append((total[last] - total[first]) / (last - first))
    if not rows:
        return None
    values = np.array(rows)
    low, median, high = np.percentile(values, PERCENTILES, axis=0)
    return PsdSummary(
        unit, len(rows), _rounded(periods, 6), _rounded(low, 2), _rounded(median, 2),
        _rounded(high, 2), *(_compared(periods, values, median) if unit == "m/s**2" else ()),
    )  # fmt: skip


def _rounded(values: Floats, digits: int) -> tuple[float, ...]:
    return tuple(np.round(values, digits).tolist())


def _compared(
    periods: Floats, values: Floats, median: Floats
) -> tuple[float, float, float, float] | tuple[()]:
    """Return how the day lies to the noise models, in the order of `PsdSummary`."""
    low, high = low_noise_model(periods), high_noise_model(periods)
    known = np.isfinite(low)
    if not known.any():
        return ()
    return (
        round(float(np.median((median - low)[known])), 2),
        round(float(np.max((median - high)[known])), 2),
        round(float(np.mean(values[:, known] < low[known])), 4),
        round(float(np.mean(values[:, known] > high[known])), 4),
    )


def _at_one_rate(segments: Sequence[Segment]) -> list[Segment]:
    sizes: dict[float, int] = {}
    for segment in segments:
        rate_hz = segment.sampling_rate_hz
        sizes[rate_hz] = sizes.get(rate_hz, 0) + segment.samples.size
    if not sizes:
        return []
    chosen = max(sizes, key=lambda rate_hz: (sizes[rate_hz], rate_hz))
    return contiguous([s for s in segments if s.sampling_rate_hz == chosen])


# ------------------------------------------------------------------------------------ spectra


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """How hours are cut into short spectra: samples each, and how many begin a half hour."""

    sampling_rate_hz: float
    n_fft: int
    n_steps: int
    taper: NDArray[np.float32]
    line: NDArray[np.float32]

    @property
    def n_early(self) -> int:
        """How many of those of a half hour end in it, too, and so belong to the hour before."""
        step_s = HALF_HOUR_S / self.n_steps
        return math.floor((HALF_HOUR_S - self.n_fft / self.sampling_rate_hz) / step_s) + 1

    @property
    def density(self) -> float:
        """Factor from squared Fourier amplitudes to one-sided power a hertz."""
        return 2 / (self.sampling_rate_hz * float((self.taper.astype(np.float64) ** 2).sum()))


@lru_cache(maxsize=8)
def _plan(sampling_rate_hz: float) -> _Plan | None:
    n_quarter = int(sampling_rate_hz * HALF_HOUR_S / 2)
    if n_quarter < _MIN_FFT:
        return None
    n_fft = 1 << (n_quarter.bit_length() - 1)
    n_steps = math.ceil(HALF_HOUR_S * sampling_rate_hz / (n_fft / 2))
    edge = int(_TAPERED * n_fft)
    taper = np.ones(n_fft)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    taper[:edge], taper[-edge:] = ramp, ramp[::-1]
    line = np.arange(n_fft) - (n_fft - 1) / 2
    line /= math.sqrt(float(line @ line))
    return _Plan(
        sampling_rate_hz, n_fft, n_steps, taper.astype(np.float32), line.astype(np.float32)
    )


def _hours(segments: Sequence[Segment], day: TimeSpan, plan: _Plan) -> Iterator[Floats]:
    """Yield the mean power of each hour with enough short spectra, counts²/Hz."""
    mean, scale = _level(segments)
    n_half_hours = math.ceil(day.duration_s / HALF_HOUR_S)
    n_enough = (plan.n_steps + plan.n_early) / 2
    starts = [segment.start_ns for segment in segments]
    before: Floats | None = None
    n_before = 0
    for half_hour in range(n_half_hours):
        late: list[NDArray[Any]] = []
        early: list[NDArray[Any]] = []
        for step in range(plan.n_steps):
            seconds = (half_hour + step / plan.n_steps) * HALF_HOUR_S
            piece = _piece(segments, starts, day.start_ns + round(seconds * NS_PER_S), plan)
            if piece is not None:
                (early if step < plan.n_early else late).append(piece)
        of_early, n_early = _power(early, mean, scale, plan)
        of_late, n_late = _power(late, mean, scale, plan)
        if before is not None and n_before + n_early >= n_enough:
            yield (before + of_early) * (scale**2 * plan.density / (n_before + n_early))
        before, n_before = of_early + of_late, n_early + n_late


def _level(segments: Sequence[Segment]) -> tuple[float, float]:
    """Return a typical value and size, taken out so that 32-bit floats lose nothing."""
    parts = [segment.samples[:: max(1, segment.samples.size >> 16)] for segment in segments]
    values = np.concatenate(parts).astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(np.median(values)), float(values.std())
    return mean, scale if 0 < scale < math.inf else 1.0


def _piece(
    segments: Sequence[Segment], starts: Sequence[int], time_ns: int, plan: _Plan
) -> NDArray[Any] | None:
    """Return the samples of one short spectrum; None when they are not all there."""
    at = bisect_right(starts, time_ns + round(0.5 * NS_PER_S / plan.sampling_rate_hz)) - 1
    if at < 0:
        return None
    segment = segments[at]
    first = max(0, round((time_ns - segment.start_ns) * plan.sampling_rate_hz / NS_PER_S))
    if first + plan.n_fft > segment.samples.size:
        return None
    return segment.samples[first : first + plan.n_fft]


def _power(
    pieces: Sequence[NDArray[Any]], mean: float, scale: float, plan: _Plan
) -> tuple[Floats, int]:
    """Return the sum of the squared Fourier amplitudes of pieces, and of how many."""
    from scipy.fft import rfft

    block = np.empty((len(pieces), plan.n_fft), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for row, piece in zip(block, pieces, strict=True):
            np.subtract(piece, mean, out=row, casting="unsafe")
        block *= np.float32(1 / scale)
        block -= block.mean(axis=1, keepdims=True)
        block -= (block @ plan.line)[:, None] * plan.line
        block *= plan.taper
        amplitudes = rfft(block, axis=1, overwrite_x=True)
        squares = amplitudes.view(np.float32)
        squares *= squares
    sound = np.isfinite(squares[:, 0])  # one value that is no number makes all amplitudes so
    total = squares[sound].sum(axis=0, dtype=np.float64)
    total[-2:] /= 2  # the Nyquist frequency has no negative twin
    return total[0::2] + total[1::2], int(sound.sum())


# ---------------------------------------------------------------------------------- frequencies


def _correction_db(response: Response, frequency_hz: Floats) -> Floats:
    """Return what to add to decibels of counts for those of ground acceleration."""
    counts = np.abs(counts_per_unit(response, frequency_hz))
    omega = 2 * np.pi * frequency_hz
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        counts /= omega ** (2 - DERIVATIVES[response.input_unit])
        return np.asarray(-20 * np.log10(counts))


def _octaves(frequency_hz: Floats) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return centre periods of octaves, and which frequencies [first, last) each one takes in."""
    shortest, longest = 1 / frequency_hz[-1], 1 / frequency_hz[0]
    n_octaves = math.log2(longest / shortest)
    periods = shortest * 2 ** (
        np.arange(math.ceil(n_octaves * _STEPS_AN_OCTAVE - 1e-9) + 1) / _STEPS_AN_OCTAVE
    )
    edge = math.sqrt(2) * (1 + 1e-12)
    first = np.searchsorted(frequency_hz, 1 / (periods * edge), side="left")
    last = np.searchsorted(frequency_hz, edge / periods, side="right")
    has_any = last > first
    return periods[has_any], first[has_any], last[has_any]
