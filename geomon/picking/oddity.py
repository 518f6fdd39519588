"""Minutes of a record that are like nothing seismic: white, wandering, periodic or coarse.

Ground motion and its noise have a coloured spectrum with more than one slope, no lines that last,
and come with uneven strength. A minute is odd when its samples say otherwise:

* *coarse*: only two or three whole numbers occur: the digitiser's own noise;
* *white*: all octaves are equally strong, as of a loose input or numbers drawn at random;
* *wandering*: all octaves of its differences are: a random walk, as prices are;
* *periodic*: nearly all of it is in lines, as of a calibration signal, a test pattern, the mains
  or the seasons.

What slowly drifts, below eight swings in the minute, is not looked at, and a minute in which
something happens is never odd.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geomon.processing.quality import contiguous
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

OddKind = Literal["coarse", "white", "wandering", "periodic"]

WINDOW_S = 60
"""Windows begin at whole minutes."""

_SLOWEST = 8  # swings in the window up to which the spectrum counts as drift
_HIGHEST = 0.4  # of the sampling rate: above, digitisers filter
_N_BINS = 128  # of the spectrum at least: less tells nothing
_COARSE = 2  # counts from the smallest to the largest sample
_EVEN = 0.35  # burst up to which nothing happens
_BLOCKS = 40  # stretches whose energies tell a burst
_SIGMAS = 4.0  # deviations of an octave's level that are chance
_RIPPLE = 0.08  # relative deviation of an octave's level that a digitiser may make of white noise
_LINE = 100.0  # power over the typical one near it that makes a line
_NEAR = 16  # neighbouring bins the typical power is taken from
_IN_LINES = 0.9  # share of the power in lines
_AT_ONCE = 64  # windows looked at together

type _Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OddWindow:
    """A minute and what it is like."""

    span: TimeSpan
    kind: OddKind


def odd_windows(segments: Sequence[Segment]) -> list[OddWindow]:
    """Find the minutes of one channel's record that are like nothing seismic.

    Parameters
    ----------
    segments : sequence of Segment
        Of one channel, in any order. Minutes with a gap, and what is recorded with less than 6 Hz,
        are not judged; flat lines and what is not finite belong to `geomon.processing.quality`.

    Returns
    -------
    list of OddWindow
        In time order.

    Examples
    --------
    >>> from geomon.ids import SeedId
    >>> noise = np.random.default_rng(0).normal(0, 1000, 12_000).astype(np.int32)
    >>> record = Segment(SeedId.parse("XX.STA..HHZ"), 0, 100.0, noise)
    >>> [(one.kind, one.span.duration_s) for one in odd_windows([record])]
    [('white', 60.0), ('white', 60.0)]
    """
    found = []
    for segment in contiguous(list(segments)):
        for starts_ns, windows in _windows(segment):
            for start_ns, kind in zip(starts_ns, _kinds(windows), strict=True):
                if kind is not None:
                    span = TimeSpan(start_ns, start_ns + WINDOW_S * NS_PER_S)
                    found.append(OddWindow(span, kind))
    return sorted(found, key=lambda one: one.span)


def _windows(segment: Segment) -> Iterator[tuple[list[int], NDArray[np.generic]]]:
    """Yield starts and samples, (n, samples a window), of some whole minutes of a segment."""
    size = int(WINDOW_S * segment.sampling_rate_hz)
    length_ns = WINDOW_S * NS_PER_S
    minutes = range(-(-segment.start_ns // length_ns), segment.end_ns // length_ns)
    if int(_HIGHEST * size) < _SLOWEST + _N_BINS:
        return
    for first in range(minutes.start, minutes.stop, _AT_ONCE):
        starts = [k * length_ns for k in range(first, min(first + _AT_ONCE, minutes.stop))]
        at = [
            min(
                round((start - segment.start_ns) * segment.sampling_rate_hz / NS_PER_S),
                segment.samples.size - size,
            )
            for start in starts
        ]
        yield starts, np.stack([segment.samples[k : k + size] for k in at])


def _kinds(windows: NDArray[np.generic]) -> list[OddKind | None]:
    """Say what each window is like; None where it may be seismic."""
    samples = windows.astype(np.float64)
    finite = np.isfinite(samples).all(axis=1)
    samples[~finite] = 0
    reach = np.ptp(samples, axis=1)
    samples -= samples.mean(axis=1, keepdims=True)
    level = (samples / np.maximum(reach, 1e-30)[:, None]).astype(np.float32)
    coarse = (reach > 0) & (reach <= _COARSE) & (windows.dtype.kind in "iu")
    even = (reach > _COARSE * (windows.dtype.kind in "iu")) & (_burst(level) < _EVEN)
    found = np.full(len(level), None, dtype=object)
    found[coarse] = "coarse"
    (some,) = np.nonzero(even)
    if some.size:
        power, octaves = _power(level[some])
        swings = np.arange(_SLOWEST, _SLOWEST + power.shape[1]) / level.shape[1]
        differences = power * (2 * np.sin(np.pi * swings)) ** 2
        found[some[_in_lines(power)]] = "periodic"
        found[some[_is_level(differences, octaves)]] = "wandering"
        found[some[_is_level(power, octaves)]] = "white"
    return list(found)


def _burst(level: _Floats) -> NDArray[np.floating]:
    """Logarithm of the mean over the geometric mean of the differences' energy with time."""
    changes = np.diff(level, axis=1) ** 2
    size = changes.shape[1] // _BLOCKS
    energy = changes[:, : _BLOCKS * size].reshape(len(level), _BLOCKS, size).mean(axis=2)
    energy += 1e-9 * energy.max(axis=1, keepdims=True) + 1e-30
    return np.asarray(np.log(energy.mean(axis=1)) - np.log(energy).mean(axis=1))


@lru_cache(maxsize=8)
def _taper(size: int) -> _Floats:
    return np.hanning(size).astype(np.float32)


def _power(level: _Floats) -> tuple[_Floats, list[slice]]:
    """Return the power of faster swings, and the octaves in it."""
    from scipy.fft import rfft

    size = level.shape[1]
    stop = int(_HIGHEST * size)
    power = np.abs(rfft(level * _taper(size), axis=1)[:, _SLOWEST:stop]) ** 2
    edges = [_SLOWEST]
    while edges[-1] * 2 <= stop:
        edges.append(edges[-1] * 2)
    edges[-1] = stop  # the last octave takes what is left
    return power, [slice(a - _SLOWEST, b - _SLOWEST) for a, b in pairwise(edges)]


def _is_level(power: _Floats, octaves: Sequence[slice]) -> NDArray[np.bool_]:
    """Find spectra whose octaves are equally strong but for chance."""
    whole = power.mean(axis=1)
    level = np.ones(len(power), np.bool_)
    for octave in octaves:
        n = octave.stop - octave.start
        # A taper makes half of the bins follow their neighbours.
        chance = _RIPPLE + _SIGMAS * np.sqrt(2 / n)
        level &= np.abs(power[:, octave].mean(axis=1) / np.maximum(whole, 1e-30) - 1) < chance
    return level


def _in_lines(power: _Floats) -> NDArray[np.bool_]:
    """Find spectra that are nearly all in lines."""
    n = power.shape[1] // _NEAR * _NEAR
    blocks = power[:, :n].reshape(len(power), -1, _NEAR)
    lines = blocks > _LINE * np.median(blocks, axis=2, keepdims=True)
    return np.asarray(np.einsum("bkn,bkn->b", blocks, lines) > _IN_LINES * power.sum(axis=1))
