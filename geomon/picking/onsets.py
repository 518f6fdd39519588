"""From one piece's probability curves to picks: when, on which channel, how sure, how strong."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
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
    return Pick(
        time=from_ns(onset.time_ns),
        seed_id=onset.channel.seed_id,
        phase=onset.phase,
        probability=round(onset.peak.probability, 4),
        uncertainty_s=_uncertainty(card, onset.phase, onset.peak),
        snr=snr,
        amplitude=amplitude,
        polarity=_polarity(card, prepared, onset),
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
    rule = card.uncertainty.get(phase, Uncertainty())
    breadth = peak.width / float(GRID) / peak.probability
    return round(min(max(rule.floor_s, rule.scale * breadth**2 / _SHARPEST_S), _VAGUEST_S), 3)


def _strength(
    prepared: Prepared, channel: Gridded, slot: int, index: int
) -> tuple[float | None, float | None]:
    """Signal-to-noise ratio in the picker's band, and largest deviation in counts after a pick."""
    after, before = slice(index, index + _SIGNAL), slice(index - _NOISE, index)
    is_signal, is_noise = prepared.valid[after, slot], prepared.valid[before, slot]
    if not is_signal.any():
        return None, None
    counts = channel.samples[after][is_signal]
    level = channel.samples[before][is_noise].mean() if is_noise.any() else counts.mean()
    amplitude = float(f"{np.abs(counts - level).max():.6g}")
    if not is_noise.any():
        return None, amplitude
    noise = prepared.filtered[before, slot][is_noise]
    signal = prepared.filtered[after, slot][is_signal] - noise.mean()
    floor = float(noise.std())
    if floor == 0:
        return None, amplitude
    return float(f"{np.sqrt(np.mean(signal**2)) / floor:.4g}"), amplitude


def _polarity(card: PickerCard, prepared: Prepared, onset: _Onset) -> Polarity:
    """Direction of the first motion of P on the vertical component, where it can be told."""
    vertical = card.components.index("Z")
    around = slice(onset.index - BEFORE, onset.index + AFTER)
    if onset.phase != "P" or onset.slot != vertical or not prepared.valid[around, vertical].all():
        return "undecidable"
    return first_motion(prepared.filtered[around, vertical], onset.channel.samples[around])
