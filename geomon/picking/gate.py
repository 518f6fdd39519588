"""What no earthquake does: picks on tones, pulses, steps and dead stretches are not believed.

Around each pick the samples are looked at in two views: the differences of neighbouring samples,
and what is left above 1.5 Hz, which is what most pickers see. A pick is gated for one of these
reasons:

* *flat*: hardly any sample after it differs from its neighbour;
* *step*: all that the differences show is one jump, or a few that follow each other at once;
* *tone*: nearly all that the differences show is one frequency, steady, growing or fading evenly;
* *pulse*: all that is new is one damped swing, as a sensor makes when it is calibrated or knocked,
  and the filter's own ringing; all components move in step;
* *clipped*: nearly all that is new is what the filter makes of corners, where the samples run into
  the digitiser's limit and leave it again.

What was there before the pick counts as noise and needs no explanation; a pick that does not
stand out clearly is never gated. Waves are not so simple: even the first second of an earthquake
is made of many frequencies, and its components do not move in step for long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geomon.picking.card import PickerCard
from geomon.picking.prepare import GRID, Prepared
from geomon.processing.condition import highpass

Reason = Literal["flat", "step", "tone", "pulse", "clipped"]

BEFORE, AFTER = 400, 200  # samples around a pick that are looked at

_RATE = float(GRID)
_CORNER_HZ, _ORDER = 1.5, 4  # of the filter of the second view
_STARTS = (4, 20, 36)  # samples from the pick to where what follows it begins
_NOISE_ENDS = (-20, -150)  # samples from the pick to where what was before it ends
_STANDS_OUT = 10.0  # energy of differences over the noise's from which on a pick can be judged
_SHOWS = 3.0  # the same above 1.5 Hz, where most of the noise is gone
_LEFT_OVER = 0.1  # share of the energy that may stay unexplained
_RISE = 1.5  # energy over the noise's that is nothing new
_IN_STEP = 0.985  # share of the energy along one line in the space of the components
_LEANS = 0.15  # energy over the noise's by which a second of noise may pull off that line
_PEAKED = 0.75  # share of the energy near one frequency that makes a fit worth while
_HIGH_HZ = 8.0  # from here on no volcano rings
_FLAT = 0.95  # share of samples equal to their neighbours
_JUMP_REACH = 36  # samples from the pick within which a jump lies
_JUMP_WIDTH = 3  # differences a jump is made of
_JUMP_STANDS_OUT = 30.0  # energy over the noise's from which on it is one
_CORNERS = slice(-50, 120)  # samples from the pick that corners must explain
_PLATEAU = 5  # equal samples, the largest or smallest for a second either way, that are a limit
_MOST_CORNERS = 10  # on one component: what is made of more is made of anything

type _Floats = NDArray[np.floating]
type _Bools = NDArray[np.bool_]


def gated(card: PickerCard, prepared: Prepared, indices: Sequence[int]) -> list[Reason | None]:
    """Say of each pick of a piece why it is not believed, or None.

    Parameters
    ----------
    card : PickerCard
        Of the picker: says how `prepared` was filtered.
    prepared : Prepared
        The piece's context.
    indices : sequence of int
        Samples of the context that the picks lie at.

    Returns
    -------
    list of {'flat', 'step', 'tone', 'pulse', 'clipped'} or None
    """
    shape = (len(indices), len(prepared.channels), BEFORE + 1 + AFTER)
    samples, seen = np.zeros(shape), np.zeros(shape)
    for slot, channel in enumerate(prepared.channels):
        if channel is None:
            continue
        for number, index in enumerate(indices):
            around = slice(index - BEFORE - 1, index + AFTER)
            if prepared.valid[around, slot].all():
                samples[number, slot] = channel.samples[around]
                seen[number, slot] = prepared.filtered[around, slot]
    rule = card.normalisation
    is_ours = (rule.highpass_hz, rule.highpass_order, rule.lowpass_hz) == (_CORNER_HZ, _ORDER, None)
    return reasons(samples, seen if is_ours else None)


def reasons(samples: _Floats, filtered: _Floats | None = None) -> list[Reason | None]:
    """Say of each pick why it is not believed, or None.

    Parameters
    ----------
    samples : array of float64, shape (n, components, BEFORE + 1 + AFTER)
        Counts at 100 Hz around each pick, which is at sample `BEFORE` + 1; constant on components
        without data.
    filtered : array of float64, same shape, optional
        The same above 1.5 Hz, after a causal Butterworth filter of order 4; made from `samples`
        when not given.

    Returns
    -------
    list of {'flat', 'step', 'tone', 'pulse', 'clipped'} or None
    """
    if filtered is None:
        filtered = _highpass(samples)
    found = np.full(len(samples), None, dtype=object)
    fast = np.diff(samples, axis=2).astype(np.float32)
    seen = filtered[:, :, 1:]
    found[_is_pulse(seen)] = "pulse"
    found[_is_tone(fast)] = "tone"
    found[_is_clipped(samples[:, :, 1:], seen)] = "clipped"
    found[_is_step(fast)] = "step"
    found[_is_flat(fast)] = "flat"
    return list(found)


def _highpass(samples: _Floats) -> _Floats:
    first = np.moveaxis(samples, 2, 0).astype(np.float64)
    return np.moveaxis(highpass(first, _CORNER_HZ, _RATE, _ORDER), 0, 2)


@dataclass(frozen=True, slots=True)
class _Shapes:
    """What a view may be made of: orthonormal columns.

    `still`, (length, s), is what does not count: a level, or a filter's ringing. `moving`, (length,
    k d), holds d columns for each of k movements, orthogonal to it.
    """

    still: _Floats
    moving: _Floats
    k: int


def _shapes(still: _Floats, moving: Sequence[_Floats]) -> _Shapes:
    size = still.shape[1]
    whole = [np.linalg.qr(np.column_stack([still, one]))[0] for one in moving]
    columns = np.hstack([one[:, size:] for one in whole])
    return _Shapes(whole[0][:, :size].astype(np.float32), columns.astype(np.float32), len(whole))


@cache
def _tones(lowest_hz: float, highest_hz: float) -> _Shapes:
    """Oscillations at 100 Hz whose amplitude changes linearly over 0.8 s."""
    t = np.arange(80) / _RATE
    ramp = (t / t[-1])[:, None]
    waves = [_wave(t, frequency, 0.0) for frequency in np.arange(lowest_hz, highest_hz, 0.25)]
    return _shapes(np.ones((t.size, 1)), [np.hstack([wave, ramp * wave]) for wave in waves])


@cache
def _swings() -> _Shapes:
    """Damped oscillations over 1 s, from undamped ones to ones that hardly swing back.

    From wherever one began, it stays one, and the filter's answer to its beginning is its ringing.
    """
    t = np.arange(100) / _RATE
    impulse = np.zeros(2 * (_ORDER + 1) + t.size)
    impulse[1] = 1.0
    answer = highpass(impulse, _CORNER_HZ, _RATE, _ORDER)
    # Once the impulse is out of a filter's memory it rings; as many moments later, in all its ways.
    moments = [_ORDER + 2 + k for k in range(_ORDER)]
    ringing = np.stack([answer[k : k + t.size] for k in moments], axis=1)
    ringing = np.linalg.qr(ringing)[0]
    frequencies = np.exp(np.arange(np.log(0.5), np.log(45.0), 0.07))
    damping = (0.0, 0.1, 0.2, 0.35, 0.6, 0.9)
    return _shapes(ringing, [_wave(t, f, d) for f in frequencies for d in damping])


def _wave(t: _Floats, frequency_hz: float, damping: float) -> _Floats:
    phase = 2 * np.pi * frequency_hz * t
    return np.stack([np.cos(phase), np.sin(phase)], axis=1) * np.exp(-damping * phase)[:, None]


def _is_tone(fast: _Floats) -> _Bools:
    """Find where one frequency is nearly all that is new, from some start on."""
    found = np.zeros(len(fast), dtype=np.bool_)
    kinds: tuple[tuple[_Shapes, Callable[[_Floats, _Floats], _Bools]], ...] = (
        (_tones(_HIGH_HZ, 46.0), _is_peaked),
        (_tones(0.5, _HIGH_HZ), _is_in_step),
    )
    still = kinds[0][0].still
    length = still.shape[0]

    def cut(begin: int) -> _Floats:
        part = fast[:, :, begin : begin + length]
        return part - (part @ still) @ still.T

    noise = np.min([_energy(cut(BEFORE + end - length)) for end in _NOISE_ENDS], axis=0)
    for start in _STARTS:
        after = cut(BEFORE + start)
        energy = _energy(after)
        (clear,) = np.nonzero(energy > _STANDS_OUT * noise)
        for shapes, is_candidate in kinds:
            some = clear[is_candidate(after[clear], energy[clear] - noise[clear])]
            left = energy[some] - _largest_part(after[some], shapes)
            found[some[left - noise[some] <= _LEFT_OVER * energy[some]]] = True
    return found


def _is_pulse(seen: _Floats) -> _Bools:
    """Find where one swing, in step, is all that is new, from every start on."""
    shapes = _swings()
    length = shapes.still.shape[0]
    noise = _noise(seen, length)
    parts = [seen[:, :, BEFORE + start : BEFORE + start + length] for start in _STARTS]
    energies = [_energy(part) for part in parts]
    (some,) = np.nonzero(np.max(energies, axis=0) > _SHOWS * noise)
    for part, energy in zip(parts, energies, strict=True):
        some = some[_is_in_step(part[some], energy[some] - noise[some])]
    found = np.zeros(len(seen), dtype=np.bool_)
    for part, energy in zip(parts, energies, strict=True):
        after = part[some] - (part[some] @ shapes.still) @ shapes.still.T
        left = _energy(after) - _largest_part(after, shapes)
        some = some[left <= np.maximum(_RISE * noise[some], _LEFT_OVER * energy[some])]
    found[some] = True
    return found


def _is_clipped(samples: _Floats, seen: _Floats) -> _Bools:
    """Find where corners at limits explain nearly all that is new."""
    found = np.zeros(len(samples), dtype=np.bool_)
    window = slice(BEFORE + _CORNERS.start, BEFORE + _CORNERS.stop)
    energy = _energy(seen[:, :, window])
    stands_out = energy > _SHOWS * _noise(seen, window.stop - window.start)
    for number in np.flatnonzero(stands_out & _rests(samples)):
        corners = [_corners(trace, window.start, window.stop) for trace in samples[number]]
        left = sum(map(_beside_corners, seen[number], corners, repeat(window)))
        found[number] = left <= _LEFT_OVER * energy[number]
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rests(samples: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find picks around which a component that moves rests for as long as a plateau."""
    found = np.zeros(samples.shape[0], np.bool_)
    for number in range(samples.shape[0]):
        for trace in samples[number]:
            same = 1e-9 * (trace.max() - trace.min())
            n = 1
            for k in range(1, trace.size):
                n = n + 1 if abs(trace[k] - trace[k - 1]) <= same else 1
                if n >= _PLATEAU and same > 0:
                    found[number] = True
                    break
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _corners(trace: NDArray[np.float64], start: int, stop: int) -> NDArray[np.int64]:
    """Return where a trace runs into its limits and leaves them, near a window."""
    second = int(_RATE)
    same = 1e-9 * (trace.max() - trace.min())
    corners = np.empty(trace.size, np.int64)
    n, begin = 0, 0
    for end in range(1, trace.size + 1):
        if end < trace.size and abs(trace[end] - trace[end - 1]) <= same:
            continue
        if end - begin >= _PLATEAU:
            near = trace[max(begin - second, 0) : end + second]
            lowest, highest = near.min(), near.max()
            if lowest < highest and (trace[begin] == lowest or trace[begin] == highest):
                for corner in (begin, end - 1):
                    if start - second < corner < stop:
                        corners[n] = corner
                        n += 1
        begin = end
    return corners[:n]


def _beside_corners(part: _Floats, corners: NDArray[np.int64], window: slice) -> float:
    """Return the energy of what the filter makes of anything but changes of slope at corners."""
    inside = part[window]
    energy = float(inside @ inside)
    if not 0 < corners.size <= _MOST_CORNERS:
        return energy
    later = np.maximum(np.arange(part.size)[:, None] - corners, 0) / _RATE
    bends = np.hstack([later, later**2, later**3])
    basis, _ = np.linalg.qr(highpass(bends, _CORNER_HZ, _RATE, _ORDER)[window])
    return energy - float(np.sum((inside @ basis) ** 2))


def _noise(seen: _Floats, length: int) -> _Floats:
    """Return the energy of what was there before the pick, in the quieter of two stretches."""
    ends = [BEFORE + end for end in _NOISE_ENDS]
    return np.asarray(np.min([_energy(seen[:, :, e - length : e]) for e in ends], axis=0))


def _energy(part: _Floats) -> _Floats:
    return np.asarray(np.einsum("ncs,ncs->n", part, part))


def _largest_part(after: _Floats, shapes: _Shapes) -> _Floats:
    """Return the energy of the one movement, the same on all components, that explains most."""
    largest = np.zeros(len(after), dtype=after.dtype)
    for number, one in enumerate(after):
        parts = ((one @ shapes.moving) ** 2).sum(axis=0)
        largest[number] = parts.reshape(shapes.k, -1).sum(axis=1).max()
    return largest


def _is_peaked(after: _Floats, new: _Floats) -> _Bools:
    """Find where most of the new energy is near one frequency: a tone may be."""
    power = (np.abs(np.fft.rfft(after, axis=2)) ** 2).sum(axis=1)
    running = np.cumsum(np.pad(power, ((0, 0), (3, 2))), axis=1)
    peak = (running[:, 5:] - running[:, :-5]).max(axis=1)
    return np.asarray(peak > _PEAKED * new * after.shape[2] / 2)


def _is_in_step(after: _Floats, new: _Floats) -> _Bools:
    """Find where two components or more have data and move along one line but for the noise."""
    moment = after @ np.swapaxes(after, 1, 2)
    energies = np.diagonal(moment, axis1=1, axis2=2)
    n_components = np.maximum((energies > 0).sum(axis=1), 1)
    whole = energies.sum(axis=1)
    own = (whole - new) / n_components
    # The sum of the squared eigenvalues, over their squared sum, is 1 on a line.
    squares = _energy(moment) - 2 * own * whole + n_components * own**2
    least = np.maximum(_IN_STEP * new - _LEANS * (whole - new), 0)
    return np.asarray((n_components > 1) & (squares > least**2))


def _is_step(fast: _Floats) -> _Bools:
    """Find where all that is new is one jump, far larger than any change of the noise."""
    length = 4 * _JUMP_REACH
    around = fast[:, :, BEFORE - length // 2 : BEFORE + length // 2]
    size = np.abs(around[:, :, _JUMP_REACH:-_JUMP_REACH]).max(axis=1)
    at = size.argmax(axis=1) + _JUMP_REACH
    is_jump = np.abs(np.arange(length) - at[:, None]) <= _JUMP_WIDTH // 2
    jump = _energy(around * is_jump[:, None])
    rest = _energy(around) - jump
    ends = [BEFORE - length // 2, BEFORE - length]
    noise = np.min([_energy(fast[:, :, end - length : end]) for end in ends], axis=0)
    is_large = jump > _JUMP_STANDS_OUT * noise * _JUMP_WIDTH / length
    return np.asarray(is_large & (rest <= _RISE * noise))


def _is_flat(fast: _Floats) -> _Bools:
    """Find where the components that moved before the pick hardly move after it."""
    moved = (fast[:, :, :BEFORE] != 0).mean(axis=2) > 1 - _FLAT
    still = (fast[:, :, BEFORE : BEFORE + 100] == 0).mean(axis=2) > _FLAT
    return np.asarray(moved.any(axis=1) & (still | ~moved).all(axis=1))
