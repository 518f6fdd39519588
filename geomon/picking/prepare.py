"""From recorded segments to the network's input, one piece of the absolute grid at a time.

Time is cut into pieces of `PIECE` samples of the absolute 100 Hz grid (sample ``k`` at ``k/100``
seconds after 1970). What a piece's picks depend on is exactly the samples inside its *context*,
`CONTEXT` samples wider on both sides, and they are cut out before anything is computed. So the
result for a piece cannot depend on how much was read around it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.picking.card import PickerCard
from geomon.picking.normalise import centred, normalise
from geomon.processing.condition import (
    filled,
    flat_lines,
    highpass,
    lowpass,
    runs,
    without_spikes,
)
from geomon.processing.resample import exact_rate, resample
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

GRID = Fraction(100)  # Hz
STEP_NS = NS_PER_S // 100
PIECE = 2**16
HALO = 2048  # model input on each side of a piece: the network's reach and `MARGIN`
MARGIN = 128  # curve on each side of a piece that its peaks are compared with
CONTEXT = 6144  # samples read on each side of a piece: halo, two normalisation nodes, filters

_FLAT_S = 2.0  # equal samples for this long are a dead channel
_BRIDGE_S = 0.1  # gaps up to this long are filled with a straight line
_OFFSET_QUANTUM_NS = 100_000
# Components that can stand in each slot, best first; "3" is vertical where no "Z" is.
_SLOTS = {"Z": "Z3", "N": "N1R", "E": "E2T"}


@dataclass(frozen=True, slots=True)
class Gridded:
    """One channel on the 100 Hz grid.

    Attributes
    ----------
    seed_id : SeedId
        The channel.
    samples : array of float64, shape (n,)
        Mended and resampled counts.
    valid : array of bool, shape (n,)
        False in gaps and on dead stretches.
    offsets : tuple of (int, int)
        From which grid sample on (within the array) the data's own time line is how many
        nanoseconds later than the grid.
    """

    seed_id: SeedId
    samples: NDArray[np.float64]
    valid: NDArray[np.bool_]
    offsets: tuple[tuple[int, int], ...]

    def offset_ns(self, index: int) -> int:
        """Return how much later than the grid the data's own sample `index` is."""
        offset = 0
        for start, value in self.offsets:
            if start <= index:
                offset = value
        return offset


@dataclass(frozen=True, slots=True)
class Prepared:
    """A context ready for the network; arrays run over the context, n = PIECE + 2 CONTEXT.

    Attributes
    ----------
    normalised : array of float32, shape (n, 3)
        In the card's component order.
    filtered : array of float64, shape (n, 3)
        Counts after the picker's filter, in the same order.
    valid : array of bool, shape (n, 3)
        Where each component has data.
    blind : array of bool, shape (n,)
        Where no pick may be.
    channels : tuple of Gridded or None, length 3
        The channel in each slot.
    """

    normalised: NDArray[np.float32]
    filtered: NDArray[np.float64]
    valid: NDArray[np.bool_]
    blind: NDArray[np.bool_]
    channels: tuple[Gridded | None, ...]


def piece_span(piece: int) -> TimeSpan:
    """Return the time span of a piece of the absolute grid."""
    return TimeSpan(piece * PIECE * STEP_NS, (piece + 1) * PIECE * STEP_NS)


def slots(seed_ids: Sequence[SeedId], components: str) -> tuple[SeedId | None, ...]:
    """Say which channel stands in each of the model's input components.

    Z is vertical (3 where no Z exists); N, 1 or R and E, 2 or T are the two horizontals.

    Examples
    --------
    >>> ids = [SeedId.parse(f"XX.STA..HH{c}") for c in "12Z"]
    >>> [str(seed_id)[-3:] for seed_id in slots(ids, "ENZ")]
    ['HH2', 'HH1', 'HHZ']
    """
    by_letter = {seed_id.component: seed_id for seed_id in sorted(seed_ids, reverse=True)}
    return tuple(
        next((by_letter[letter] for letter in _SLOTS[slot] if letter in by_letter), None)
        for slot in components
    )


def _placed(start_ns: int, rate: Fraction) -> tuple[int, int]:
    """Return the nearest grid index of a time, and how much later the time is, in ns.

    Ties go where no instrument's clock is: 0.57 samples, not the common half sample, so that
    components started half a sample off the grid stay together.
    """
    ticks, per_sample = start_ns * rate.numerator, rate.denominator * NS_PER_S
    index = (100 * ticks + 43 * per_sample) // (100 * per_sample)
    offset_ns = Fraction(ticks - index * per_sample, rate.numerator)
    return index, round(offset_ns / _OFFSET_QUANTUM_NS) * _OFFSET_QUANTUM_NS


def _on_own_grid(
    segments: Sequence[Segment], rate: Fraction, first: int, n: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[tuple[int, int]]]:
    """Lay segments of one rate onto that rate's absolute grid; the first comer keeps a place."""
    samples = np.zeros(n)
    valid = np.zeros(n, dtype=np.bool_)
    offsets = []
    for segment in segments:
        start, _ = _placed(segment.start_ns, rate)
        skip = max(first - start, 0)
        take = min(segment.samples.size, first + n - start) - skip
        if take <= 0:
            continue
        # The time of the first sample used, so that a drifting rate does not add up.
        start, offset_ns = _placed(segment.time_ns(skip), rate)
        begin = max(start - first, 0)
        values = segment.samples[skip : skip + min(take, n - begin)].astype(np.float64)
        place = slice(begin, begin + values.size)
        is_sound = np.isfinite(values)
        if is_sound.all() and not valid[place].any():
            samples[place], valid[place] = values, True
        else:
            new = is_sound & ~valid[place]
            samples[place][new] = values[new]
            valid[place] |= new
        offsets.append((begin, offset_ns))
    return samples, valid, sorted(offsets)


def gridded(segments: Sequence[Segment], first: int, n: int) -> Gridded | None:
    """Bring one channel's segments onto the 100 Hz grid: mend, despike, resample.

    Parameters
    ----------
    segments : sequence of Segment
        Of one channel, in time order; rates may differ.
    first, n : int
        Grid index of the first sample, and number of samples.

    Returns
    -------
    Gridded or None
        None when no sample falls into the window.
    """
    whole: Gridded | None = None
    for rate in sorted({exact_rate(segment.sampling_rate_hz) for segment in segments}):
        same = [s for s in segments if exact_rate(s.sampling_rate_hz) == rate]
        ratio = rate / GRID
        begin, end = ceil(first * ratio), ceil((first + n) * ratio)
        samples, valid, offsets = _on_own_grid(same, rate, begin, end - begin)
        valid &= ~flat_lines(samples, valid, max(round(_FLAT_S * float(rate)), 10))
        if not valid.any():
            continue
        samples, valid = filled(samples, valid, round(_BRIDGE_S * float(rate)))
        samples = without_spikes(samples)
        if rate != GRID:
            offsets = [(round(start / ratio), offset_ns) for start, offset_ns in offsets]
            samples = resample(
                samples, first_in=begin, rate_in=rate, first_out=first, rate_out=GRID, n_out=n
            )
            position = np.arange(n) * float(ratio)
            low = np.clip(np.floor(position).astype(np.int64), 0, valid.size - 1)
            valid = valid[low] & valid[np.minimum(low + 1, valid.size - 1)]
        new = Gridded(same[0].seed_id, samples, valid, tuple(offsets))
        whole = new if whole is None else _joined(whole, new)
    return whole


def _joined(one: Gridded, two: Gridded) -> Gridded:
    """Fill one channel's holes with what it recorded at another rate."""
    samples, valid = filled(np.where(one.valid, one.samples, two.samples), one.valid | two.valid, 0)
    return Gridded(one.seed_id, samples, valid, tuple(sorted(one.offsets + two.offsets)))


def blinded(valid: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Mark samples without any component, and those within `reach` of a beginning or end of data.

    Parameters
    ----------
    valid : array of bool, shape (n, components)
        Where each component has data.
    reach : int
        Samples.
    """
    columns = np.ascontiguousarray(valid.T)
    blind = ~columns.any(axis=0)
    for column in columns:
        for edge in runs(column).ravel():
            if 0 < edge < valid.shape[0]:
                blind[max(edge - reach, 0) : edge + reach] = True
    return blind


def prepare(
    card: PickerCard, channels: Mapping[SeedId, Sequence[Segment]], piece: int
) -> Prepared | None:
    """Cut, mend, resample and normalise the context of one piece.

    Parameters
    ----------
    card : PickerCard
        Says component order, filter and normalisation.
    channels : mapping of SeedId to segments
        The sensor's segments by channel, each in time order.
    piece : int
        Number of the piece on the absolute grid.

    Returns
    -------
    Prepared or None
        None when there are no data in the context.
    """
    first, n = piece * PIECE - CONTEXT, PIECE + 2 * CONTEXT
    columns = []
    for seed_id in slots(list(channels), card.components):
        column = None if seed_id is None else gridded(channels[seed_id], first, n)
        columns.append(column)
    samples = np.zeros((n, 3))
    valid = np.zeros((n, 3), dtype=np.bool_)
    for number, column in enumerate(columns):
        if column is not None:
            samples[:, number] = column.samples
            valid[:, number] = column.valid
    if not valid.any():
        return None
    scaled, filtered = conditioned(card, samples, valid, first)
    blind = blinded(valid, round(card.blind_s * float(GRID)))
    return Prepared(scaled, filtered, valid, blind, tuple(columns))


def conditioned(
    card: PickerCard, samples: NDArray[np.float64], valid: NDArray[np.bool_], first: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Filter and normalise filled samples as the card says; training goes through here too.

    Parameters
    ----------
    card : PickerCard
        Says filter and normalisation.
    samples, valid : arrays, shape (n, channels)
        Samples at 100 Hz with gaps filled, and where they are real.
    first : int
        Absolute grid index of the first sample.

    Returns
    -------
    normalised : array of float32, shape (n, channels)
    filtered : array of float64, shape (n, channels)
        Samples after the card's filter.
    """
    rule = card.normalisation
    filtered = samples
    if rule.highpass_hz is not None:
        filtered = highpass(samples, rule.highpass_hz, float(GRID), rule.highpass_order)
    if rule.lowpass_hz is not None:
        filtered = lowpass(filtered, rule.lowpass_hz, float(GRID), rule.highpass_order)
    if rule.window_s is None:
        return centred(filtered, valid), filtered
    hop = round(rule.window_s * float(GRID) / 2)
    scaled = normalise(filtered, valid, first=first, hop=hop)
    if rule.compression is not None:
        scaled *= np.float32(rule.compression)
        np.arcsinh(scaled, out=scaled)
    return scaled, filtered
