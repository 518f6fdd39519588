"""From one piece's probability curves to picks: when, on which channel, how sure, how strong."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geomon.events import Phase, Pick, Polarity
from geomon.picking.card import PickerCard, Uncertainty
from geomon.picking.first_motion import AFTER, BEFORE, first_motion
from geomon.picking.gate import Reason, gated
from geomon.picking.peaks import REACH, Peak, find_peaks
from geomon.picking.prepare import (
    CONTEXT,
    GRID,
    MARGIN,
    PIECE,
    STEP_NS,
    Gridded,
    Prepared,
    piece_span,
)
from geomon.times import from_ns

_ROUND_NS = 1_000_000  # pick times are whole milliseconds
_SHARPEST_S = 0.24  # width of a sure peak
_VAGUEST_S = REACH / float(GRID)  # a peak is the highest within this
_SIGNAL = 200  # samples after a pick that amplitude and signal are taken from
_NOISE = 500  # samples before a pick that noise is taken from


@dataclass(frozen=True, slots=True)
class _Onset:
    """A peak whose time lies in the piece; `index` counts the context's samples."""

    time_ns: int
    phase: Phase
    index: int
    slot: int
    channel: Gridded
    peak: Peak


def piece_picks(
    card: PickerCard,
    piece: int,
    prepared: Prepared,
    curves: NDArray[np.float32],
    limits: Mapping[Phase, float],
) -> list[tuple[Pick, Reason | None]]:
    """Turn one piece's curves into picks, and say which are not believed.

    Parameters
    ----------
    card : PickerCard
        Of the picker that made the curves.
    piece : int
        Number of the piece on the absolute grid.
    prepared : Prepared
        The piece's context.
    curves : array of float32, shape (PIECE + 2 MARGIN, n_phases)
        Probability of each of the card's phases.
    limits : mapping of phase to float
        Probability a pick must exceed.

    Returns
    -------
    list of (Pick, reason or None)
        Those whose time lies in the piece, in (time, phase) order.
    """
    onsets = _onsets(card, piece, prepared, curves, limits)
    judged = gated(card, prepared, [onset.index for onset in onsets])
    return [
        (_pick(card, prepared, onset), reason) for onset, reason in zip(onsets, judged, strict=True)
    ]


def _onsets(
    card: PickerCard,
    piece: int,
    prepared: Prepared,
    curves: NDArray[np.float32],
    limits: Mapping[Phase, float],
) -> list[_Onset]:
    """Find the peaks whose time lies in the piece, in (time, phase) order."""
    inside = piece_span(piece)
    found = []
    for column, phase in enumerate(card.phases):
        for peak in find_peaks(np.ascontiguousarray(curves[:, column]), limits[phase]):
            # The curve starts MARGIN before the piece, the context CONTEXT before it.
            index = peak.index + CONTEXT - MARGIN
            slot = _slot(card, prepared, phase, index)
            channel = prepared.channels[slot]
            if channel is None:
                continue
            grid = piece * PIECE - CONTEXT + index
            exact_ns = grid * STEP_NS + round(peak.shift * STEP_NS) + channel.offset_ns(index)
            time_ns = (exact_ns + _ROUND_NS // 2) // _ROUND_NS * _ROUND_NS
            if inside.contains(time_ns):
                found.append(_Onset(time_ns, phase, index, slot, channel, peak))
    return sorted(found, key=lambda one: (one.time_ns, one.phase))


def _pick(card: PickerCard, prepared: Prepared, onset: _Onset) -> Pick:
    snr, amplitude = _strength(prepared, onset.channel, onset.slot, onset.index)
    uncertainty_s = _uncertainty(card, onset.phase, onset.peak)
    polarity, polarity_probability = _polarity(card, prepared, onset, uncertainty_s)
    return Pick(
        time=from_ns(onset.time_ns),
        seed_id=onset.channel.seed_id,
        phase=onset.phase,
        probability=round(onset.peak.probability, 4),
        uncertainty_s=uncertainty_s,
        snr=snr,
        amplitude=amplitude,
        polarity=polarity,
        polarity_probability=polarity_probability,
        picker=card.label,
    )


def _slot(card: PickerCard, prepared: Prepared, phase: Phase, index: int) -> int:
    """Return the column a phase is reported on: the first with data of those that show it best."""
    order = "ZNE" if phase == "P" else "NEZ"
    columns = [card.components.index(letter) for letter in order]
    with_data = [column for column in columns if prepared.valid[index, column]]
    return (with_data or columns)[0]


def _uncertainty(card: PickerCard, phase: Phase, peak: Peak) -> float:
    """One standard deviation: the broader and the lower a peak, the less sure its time.

    Residuals grow with the square of width over height: a peak twice as broad as the sharpest is
    often two that have merged.
    """
    rule = card.uncertainty.get(phase) or Uncertainty()
    breadth = peak.width / float(GRID) / peak.probability
    return round(min(max(rule.floor_s, rule.scale * breadth**2 / _SHARPEST_S), _VAGUEST_S), 3)


def _strength(
    prepared: Prepared, channel: Gridded, slot: int, index: int
) -> tuple[float | None, float | None]:
    """Signal-to-noise ratio in the picker's band, and largest deviation in counts after a pick."""
    snr, amplitude = _signal_and_noise(
        channel.samples, prepared.filtered[:, slot], prepared.valid[:, slot], index
    )
    return (
        None if np.isnan(snr) else float(f"{snr:.4g}"),
        None if np.isnan(amplitude) else float(f"{amplitude:.6g}"),
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _signal_and_noise(
    samples: NDArray[np.float64],
    filtered: NDArray[np.float64],
    valid: NDArray[np.bool_],
    index: int,
) -> tuple[float, float]:
    """Return the ratio of the filtered samples' root mean squares, and the largest deviation.

    Around the means before the pick, or after it where there are no samples before; NaN where
    something cannot be told.
    """
    n_noise, n_signal = 0, 0
    level, seen_level, after_level = 0.0, 0.0, 0.0
    for t in range(index - _NOISE, index):
        if valid[t]:
            n_noise += 1
            level += samples[t]
            seen_level += filtered[t]
    for t in range(index, index + _SIGNAL):
        if valid[t]:
            n_signal += 1
            after_level += samples[t]
    if n_signal == 0:
        return np.nan, np.nan
    if n_noise > 0:
        level, seen_level = level / n_noise, seen_level / n_noise
    else:
        level = after_level / n_signal
    amplitude, signal, noise = 0.0, 0.0, 0.0
    for t in range(index, index + _SIGNAL):
        if valid[t]:
            amplitude = max(amplitude, abs(samples[t] - level))
            signal += (filtered[t] - seen_level) ** 2
    for t in range(index - _NOISE, index):
        if valid[t]:
            noise += (filtered[t] - seen_level) ** 2
    if noise == 0:
        return np.nan, amplitude
    return np.sqrt(signal / n_signal) / np.sqrt(noise / n_noise), amplitude


def _polarity(
    card: PickerCard, prepared: Prepared, onset: _Onset, uncertainty_s: float
) -> tuple[Polarity, float | None]:
    """First motion of P on the vertical component, and how likely it is right."""
    vertical = card.components.index("Z")
    around = slice(onset.index - BEFORE, onset.index + AFTER)
    if onset.phase != "P" or onset.slot != vertical or not prepared.valid[around, vertical].all():
        return "undecidable", None
    return first_motion(
        prepared.filtered[around, vertical], onset.channel.samples[around], uncertainty_s
    )
