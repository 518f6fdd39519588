"""What no earthquake does: picks on tones, pulses, steps and dead stretches are not believed.

Around each pick the samples are looked at in three views: the differences of neighbouring
samples, which show what is fast; those of means of four; and these means themselves, which show
what is slow. A pick is gated for one of these reasons:

* *flat*: hardly any sample after it differs from its neighbour;
* *step*: all that the fast view shows is one jump, or a few that follow each other at once;
* *tone*: nearly all that the fast view shows is one frequency, steady, growing or fading evenly;
* *pulse*: nearly all that a view shows is one damped swing, as a sensor makes when it is
  calibrated or knocked; all components move in step, and nothing else is new.

What was there before the pick counts as noise and needs no explanation; a pick that does not
stand out clearly is never gated. Waves are not so simple: even the first second of an earthquake
is made of many frequencies, and its components do not move in step for long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geomon.picking.prepare import GRID, Prepared

Reason = Literal["flat", "step", "tone", "pulse"]

BEFORE, AFTER = 300, 200  # samples around a pick that are looked at

_RATE = float(GRID)
_COARSE = 4  # samples whose mean is one sample of the slow views
_STARTS = (4, 20, 36)  # samples from the pick to where what follows it begins
_NOISE_ENDS = (-20, -150)  # samples from the pick to where what was before it ends
_STANDS_OUT = 10.0  # energy over the noise's from which on a pick can be judged
_LEFT_OVER = 0.1  # share of the energy that may stay unexplained
_RISE = 1.5  # energy over the noise's that is nothing new
_IN_STEP = 0.985  # share of the energy along one line in the space of the components
_PEAKED = 0.75  # share of the energy near one frequency that makes a fit worth while
_HIGH_HZ = 8.0  # from here on no volcano rings
_FLAT = 0.95  # share of samples equal to their neighbours
_JUMP_REACH = 36  # samples from the pick within which a jump lies
_JUMP_WIDTH = 3  # differences a jump is made of
_JUMP_STANDS_OUT = 30.0  # energy over the noise's from which on it is one

type _Floats = NDArray[np.floating]
type _Bools = NDArray[np.bool_]


def gated(prepared: Prepared, indices: Sequence[int]) -> list[Reason | None]:
    """Say of each pick of a piece why it is not believed, or None.

    Parameters
    ----------
    prepared : Prepared
        The piece's context.
    indices : sequence of int
        Samples of the context that the picks lie at.

    Returns
    -------
    list of {'flat', 'step', 'tone', 'pulse'} or None
    """
    rows = np.asarray(indices, dtype=np.int64)[:, None] + np.arange(-BEFORE - 1, AFTER)
    samples = np.zeros((len(indices), len(prepared.channels), rows.shape[1]))
    for slot, channel in enumerate(prepared.channels):
        if channel is not None:
            whole = prepared.valid[rows, slot].all(axis=1)
            samples[whole, slot] = channel.samples[rows[whole]]
    return reasons(samples)


def reasons(samples: _Floats) -> list[Reason | None]:
    """Say of each pick why it is not believed, or None.

    Parameters
    ----------
    samples : array of float64, shape (n, components, BEFORE + 1 + AFTER)
        Counts at 100 Hz around each pick, which is at sample `BEFORE` + 1; constant on components
        without data.

    Returns
    -------
    list of {'flat', 'step', 'tone', 'pulse'} or None
    """
    found = np.full(len(samples), None, dtype=object)
    fast = np.diff(samples, axis=2).astype(np.float32)
    kinds = (
        (_tones(_HIGH_HZ, 46.0), _is_peaked),
        (_tones(0.5, _HIGH_HZ), _is_in_step),
        (_pulses(80, _RATE, 0.5, 45.0), _is_in_step),
    )
    look = _look(fast, 1, kinds)
    # Most picks end here: what is new in them is neither one frequency nor in step.
    (some,) = np.nonzero(look.calm.any(axis=0))
    found[some[_is_pulse(samples[some], look, some)]] = "pulse"
    found[look.explained[:2].any(axis=(0, 1))] = "tone"
    found[_steps(fast)] = "step"
    found[_flat(fast)] = "flat"
    return list(found)


def _is_pulse(samples: _Floats, fast: "_Look", some: NDArray[np.intp]) -> _Bools:
    """Look for a pulse behind `some` of the picks in the slow views too."""
    parts = (samples[:, :, 1:] - samples[:, :, :1]).reshape(
        *samples.shape[:2], (BEFORE + AFTER) // _COARSE, _COARSE
    )
    means = parts.mean(axis=3).astype(np.float32)
    changes = np.diff(means, axis=2, prepend=means[:, :, :1])
    size = (36, _RATE / _COARSE, 0.1, 12.0)
    slow = _look(changes, _COARSE, ((_pulses(*size), _is_in_step),))
    slowest = _look(means, _COARSE, ((_pulses(*size, drift=True), _is_in_step),))
    explained = fast.explained[2][:, some] | slow.explained[0] | slowest.explained[0]
    return np.asarray((explained & fast.calm[:, some] & slow.calm).any(axis=0))


@dataclass(frozen=True, slots=True)
class _Shapes:
    """What a view may be made of: orthonormal columns.

    `still`, (length, s), is what does not count: a level, perhaps a drift. `moving`, (length,
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
def _pulses(
    length: int, rate_hz: float, lowest_hz: float, highest_hz: float, *, drift: bool = False
) -> _Shapes:
    """Damped oscillations, from undamped ones to ones that hardly swing back."""
    t = np.arange(length) / rate_hz
    still = np.stack([np.ones_like(t), t][: 1 + drift], axis=1)
    frequencies = np.exp(np.arange(np.log(lowest_hz), np.log(highest_hz), 0.05))
    damping = (0.0, 0.1, 0.2, 0.35, 0.6, 0.9)
    return _shapes(still, [_wave(t, f, d) for f in frequencies for d in damping])


def _wave(t: _Floats, frequency_hz: float, damping: float) -> _Floats:
    phase = 2 * np.pi * frequency_hz * t
    return np.stack([np.cos(phase), np.sin(phase)], axis=1) * np.exp(-damping * phase)[:, None]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a view shows after each pick, from each of `_STARTS` on.

    `explained`, (kinds of shapes, starts, n), is where it stands out and one shape is nearly all
    of it; `calm`, (starts, n), is where nothing is new but what is explained.
    """

    explained: _Bools
    calm: _Bools


def _look(
    view: _Floats, unit: int, kinds: Sequence[tuple[_Shapes, Callable[[_Floats, _Floats], _Bools]]]
) -> _Look:
    """Compare what comes after each pick with what was before it and with known shapes.

    One sample of the view stands for `unit` samples at 100 Hz. Each kind of shapes, of one length
    and with one level, comes with a quick test for where a fit is worth while.
    """
    still = kinds[0][0].still
    length, pick = still.shape[0], BEFORE // unit

    def cut(start: int) -> _Floats:
        part = view[:, :, start : start + length]
        return part - (part @ still) @ still.T

    noise = np.min([_energy(cut(pick + end // unit - length)) for end in _NOISE_ENDS], axis=0)
    shape = (len(_STARTS), len(view))
    explained = np.zeros((len(kinds), *shape), dtype=np.bool_)
    calm = np.zeros(shape, dtype=np.bool_)
    for row, start in enumerate(_STARTS):
        after = cut(pick + start // unit)
        energy = _energy(after)
        is_new = energy > _RISE * noise
        calm[row] = ~is_new
        for kind, (shapes, is_candidate) in enumerate(kinds):
            (some,) = np.nonzero(is_new & is_candidate(after, energy - noise))
            left = energy[some] - _largest_part(after[some], shapes)
            known = some[left - noise[some] <= _LEFT_OVER * energy[some]]
            calm[row, known] = True
            explained[kind, row, known] = energy[known] > _STANDS_OUT * noise[known]
            calm[row, some[left <= _RISE * noise[some]]] = True
    return _Look(explained, calm)


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
    return np.asarray((n_components > 1) & (squares > (_IN_STEP * new) ** 2))


def _steps(fast: _Floats) -> _Bools:
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


def _flat(fast: _Floats) -> _Bools:
    """Find where the components that moved before the pick hardly move after it."""
    moved = (fast[:, :, :BEFORE] != 0).mean(axis=2) > 1 - _FLAT
    still = (fast[:, :, BEFORE : BEFORE + 100] == 0).mean(axis=2) > _FLAT
    return np.asarray(moved.any(axis=1) & (still | ~moved).all(axis=1))
