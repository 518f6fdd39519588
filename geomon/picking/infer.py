"""Whole-record picking: the same picks however the data are cut, ordered or batched.

One function of the data for live, scheduled and backfill work. Probabilities are computed for
fixed pieces of the absolute 100 Hz grid (`geomon.picking.prepare`), each in one tensor of one
shape, so that even the rounding of the arithmetic is the same every time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

import numpy as np
from numpy.typing import NDArray

from geomon.errors import WaveformError
from geomon.events import Phase, Pick
from geomon.ids import SeedId
from geomon.picking.card import Picker
from geomon.picking.gate import Reason
from geomon.picking.onsets import piece_picks
from geomon.picking.prepare import (
    CONTEXT,
    HALO,
    MARGIN,
    PIECE,
    STEP_NS,
    Prepared,
    piece_span,
    prepare,
)
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.waveforms import Segment


def piece_ns(picker: Picker) -> int:  # noqa: ARG001 - all pickers share one grid today
    """Return the length of a piece of the absolute grid, in nanoseconds."""
    return PIECE * STEP_NS


def context_s(picker: Picker) -> float:  # noqa: ARG001 - all pickers share one grid today
    """Return how far beyond a piece data can change its picks, in seconds."""
    return CONTEXT * STEP_NS / NS_PER_S


def span_to_read(picker: Picker, span: TimeSpan) -> TimeSpan:
    """Return the span of data that decides the picks in `span`: whole pieces with context."""
    return span.aligned(piece_ns(picker)).padded(context_s(picker))


@dataclass(frozen=True, slots=True)
class Curves:
    """Probability curves on the 100 Hz grid.

    Attributes
    ----------
    start_ns : int
        Time of sample 0.
    phases : tuple of phase
        Meaning of the columns.
    probabilities : array of float32, shape (n, n_phases)
        Zero where `valid` is False.
    valid : array of bool, shape (n,)
        Where there are data, away from their beginnings and ends.
    """

    start_ns: int
    phases: tuple[Phase, ...]
    probabilities: NDArray[np.float32]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Channels:
    """One sensor's segments by channel, in time order, quick to cut."""

    segments: dict[SeedId, list[Segment]]
    starts: dict[SeedId, NDArray[np.int64]]
    latest_ends: dict[SeedId, NDArray[np.int64]]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> "_Channels":
        streams = {segment.seed_id.stream_id for segment in segments}
        if len(streams) > 1:
            names = ", ".join(str(stream) for stream in sorted(streams))
            msg = f"{names}: a picker reads the components of one sensor at a time"
            raise WaveformError(msg)
        by_channel: dict[SeedId, list[Segment]] = {}
        for segment in sorted(segments, key=lambda s: (s.seed_id, s.start_ns, s.end_ns)):
            by_channel.setdefault(segment.seed_id, []).append(segment)
        starts, ends = {}, {}
        for seed_id, channel in by_channel.items():
            starts[seed_id] = np.array([s.start_ns for s in channel], dtype=np.int64)
            last = np.array([s.end_ns for s in channel], dtype=np.int64)
            ends[seed_id] = np.maximum.accumulate(last)
        return cls(by_channel, starts, ends)

    def near(self, span: TimeSpan) -> dict[SeedId, list[Segment]]:
        """Return each channel's segments that reach into `span`; channels without are left out."""
        found = {}
        for seed_id, channel in self.segments.items():
            low = int(np.searchsorted(self.latest_ends[seed_id], span.start_ns, "right"))
            high = int(np.searchsorted(self.starts[seed_id], span.end_ns, "left"))
            if low < high:
                found[seed_id] = channel[low:high]
        return found


def _pieces(span: TimeSpan) -> range:
    length = PIECE * STEP_NS
    return range(span.start_ns // length, -(-span.end_ns // length))


def _prepared(picker: Picker, channels: _Channels, piece: int) -> Prepared | None:
    """Return a piece's context; None when nothing in the network's reach has data."""
    context = piece_span(piece).padded((CONTEXT + 1) * STEP_NS / NS_PER_S)
    prepared = prepare(picker.card, channels.near(context), piece)
    skip = CONTEXT - HALO
    if prepared is None or not prepared.valid[skip:-skip].any():
        return None
    return prepared


def _curves(
    picker: Picker, work: Iterable[tuple[_Channels, int]]
) -> Iterator[tuple[_Channels, int, Prepared, NDArray[np.float32]]]:
    """Yield pieces that have data, with context and phase curves with `MARGIN` on both sides."""
    columns = [picker.card.classes.index(phase) for phase in picker.card.phases]
    for some in batched(work, picker.batch):
        filled = [
            (channels, piece, prepared)
            for channels, piece in some
            if (prepared := _prepared(picker, channels, piece)) is not None
        ]
        outs = _run(picker, [(piece, prepared) for _, piece, prepared in filled])
        for (channels, piece, prepared), (out, begin) in zip(filled, outs, strict=True):
            curves = out[begin : begin + PIECE + 2 * MARGIN, columns]
            curves[prepared.blind[CONTEXT - MARGIN : MARGIN - CONTEXT]] = 0.0
            yield channels, piece, prepared, curves


def _run(
    picker: Picker, filled: Sequence[tuple[int, Prepared]]
) -> list[tuple[NDArray[np.float32], int]]:
    """Run the network on some pieces; return its output and where in it the margin begins."""
    spans = []
    for piece, prepared in filled:
        rule, n, skip = picker.card.windows, prepared.normalised.shape[0], CONTEXT - HALO
        whole = slice(skip, n - skip)
        spans.append(whole if rule is None else rule.aligned(piece * PIECE - CONTEXT, n))
    parts = [one.normalised[used] for (_, one), used in zip(filled, spans, strict=True)]
    if picker.card.windows is not None:  # windows of two pieces need not be as many
        outs = [picker.predict(part[None])[0] for part in parts]
    elif parts:
        # Always as many: how a batch is computed, to the last bit, depends on its size.
        together = np.zeros((picker.batch, *parts[0].shape), np.float32)
        for row, part in zip(together, parts, strict=False):
            row[:] = part
        outs = list(picker.predict(together)[: len(parts)])
    else:
        outs = []
    begins = [CONTEXT - MARGIN - used.start for used in spans]
    return list(zip(outs, begins, strict=True))


def probabilities(picker: Picker, segments: Sequence[Segment], span: TimeSpan) -> Curves:
    """Return the probability curves of one sensor.

    Parameters
    ----------
    picker : Picker
        Model and card.
    segments : sequence of Segment
        Of one sensor: any components, rates and gaps.
    span : TimeSpan
        Span wanted; it is widened to whole grid samples.

    Returns
    -------
    Curves
        From the first grid sample at or after the start, to the last one before the end.

    Raises
    ------
    WaveformError
        If the segments belong to more than one sensor.
    """
    channels = _Channels.of(segments)
    first, last = -(-span.start_ns // STEP_NS), -(-span.end_ns // STEP_NS)
    out = np.zeros((last - first, len(picker.card.phases)), dtype=np.float32)
    valid = np.zeros(last - first, dtype=np.bool_)
    work = ((channels, piece) for piece in _pieces(span))
    for _, piece, prepared, curves in _curves(picker, work):
        low = max(piece * PIECE, first)
        high = min((piece + 1) * PIECE, last)
        inside = slice(low - piece * PIECE, high - piece * PIECE)
        out[low - first : high - first] = curves[MARGIN:-MARGIN][inside]
        valid[low - first : high - first] = ~prepared.blind[CONTEXT:-CONTEXT][inside]
    return Curves(first * STEP_NS, picker.card.phases, out, valid)


def pick(
    picker: Picker,
    segments: Sequence[Segment],
    span: TimeSpan,
    *,
    thresholds: Mapping[Phase, float] | None = None,
) -> list[Pick]:
    """Pick P and S on one sensor; picks on what is no earthquake are left out.

    Parameters
    ----------
    picker : Picker
        Model and card.
    segments : sequence of Segment
        Of one sensor: any components, rates and gaps. They should cover `span_to_read`, where
        data exist.
    span : TimeSpan
        Span the picks lie in. Any splitting of a span gives, put together, the same picks;
        splitting at multiples of `piece_ns` computes nothing twice.
    thresholds : mapping of phase to float, optional
        Probability a pick must exceed; the card's where absent.

    Returns
    -------
    list of Pick
        In time order; empty when there is nothing to pick.

    Raises
    ------
    WaveformError
        If the segments belong to more than one sensor.
    """
    judged = pick_and_judge(picker, segments, span, thresholds=thresholds)
    return [one for one, reason in judged if reason is None]


def pick_and_judge(
    picker: Picker,
    segments: Sequence[Segment],
    span: TimeSpan,
    *,
    thresholds: Mapping[Phase, float] | None = None,
) -> list[tuple[Pick, Reason | None]]:
    """Pick as `pick` does, and keep the picks that are not believed, with the reason.

    Returns
    -------
    list of (Pick, reason or None)
        In time order; `geomon.picking.gate` says what the reasons mean.

    Raises
    ------
    WaveformError
        If the segments belong to more than one sensor.
    """
    [judged] = pick_sensors(picker, [segments], span, thresholds=thresholds)
    return judged


def pick_sensors(
    picker: Picker,
    sensors: Sequence[Sequence[Segment]],
    span: TimeSpan,
    *,
    thresholds: Mapping[Phase, float] | None = None,
) -> list[list[tuple[Pick, Reason | None]]]:
    """Pick several sensors as `pick_and_judge` does each, with pieces of several in a batch.

    Parameters
    ----------
    picker : Picker
        Model and card; its `batch` says how many pieces are computed at once.
    sensors : sequence of sequences of Segment
        Each of one sensor, as for `pick`.
    span, thresholds
        As for `pick`.

    Returns
    -------
    list of lists of (Pick, reason or None)
        One for each sensor, in order: the same picks in any company.

    Raises
    ------
    WaveformError
        If some segments belong together and are of more than one sensor.
    """
    limits = {**picker.card.thresholds, **(thresholds or {})}
    every = [_Channels.of(segments) for segments in sensors]
    judged: dict[int, list[tuple[Pick, Reason | None]]] = {id(one): [] for one in every}
    work = ((channels, piece) for piece in _pieces(span) for channels in every)
    for channels, piece, prepared, curves in _curves(picker, work):
        for one, reason in piece_picks(picker.card, piece, prepared, curves, limits):
            if span.contains(to_ns(one.time)):
                judged[id(channels)].append((one, reason))
    return list(judged.values())
