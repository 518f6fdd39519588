"""How good one channel's record of a day is: what is there, and what is wrong with it.

Names and definitions follow EarthScope's MUSTANG metrics
(https://service.iris.edu/mustang; Casey et al. 2018, Seismological Research Letters 89,
https://doi.org/10.1785/0220170191) where it has them, named in double backquotes in `Quality`. All
samples are digitiser counts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.times import NS_PER_S, TimeSpan, merged, subtracted
from geomon.waveforms import Segment

FLAT_S = 2.0
"""Equal samples for this long, and at least `FLAT_SAMPLES` of them, are a flat line."""
FLAT_SAMPLES = 10
CLIPPED_SAMPLES = 3
"""Equal samples in a row at the day's largest or smallest value that may be a rail."""
DEAD_SHARE = 0.95
"""A channel is dead when this share of its samples lies in flat lines."""

_CLOCK_NS = 1000  # time lines that agree to a microsecond are one: times are rounded to 1 ns
_RAIL_JUMP = 3.0  # counts; a natural maximum is left by the smallest steps there are
_SPIKE_SIGMAS = 10.0  # MUSTANG's thresholdMin
_SIGMA_PER_MAD = 1.4826
_REACH = 20  # samples on each side that a spike is compared with: MUSTANG's window of 41
_BLOCK = 1 << 16  # samples looked at together, so that they stay in the processor's cache
_SAMPLED = 1 << 16  # differences that the typical one is taken from
_AT_ONCE = 1 << 13  # outlying differences looked at together
_LONGEST = 5

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """What one channel's record of a day, or of what there is of it so far, is worth.

    Attributes
    ----------
    sampling_rate_hz : float or None
        Rate of most samples; None without any.
    sampling_rates_hz : tuple of float
        All rates, rising.
    n_samples : int
        All samples, at all rates.
    availability : float
        Share, from 0 to 1, of the span outside gaps (``percent_availability``).
    n_gaps, max_gap_s : int, float
        Holes in which a sample is missing, and the longest of them; what is missing at the
        beginning and the end of the span counts (``num_gaps``, ``max_gap``).
    n_overlaps, max_overlap_s : int, float
        Times covered twice (``num_overlaps``, ``max_overlap``).
    n_conflicts : int
        Samples out of sight because others were recorded for the same time.
    n_clock_steps, max_clock_step_s : int, float
        Joints where no sample is missing or doubled, and yet the time line shifts by more than a
        microsecond: the clock was set. The largest shift.
    minimum, maximum, mean : float or None
        ``sample_min``, ``sample_max``, ``sample_mean``; None without a finite sample.
    rms : float or None
        Root mean square around the mean (``sample_rms``), which is the standard deviation.
    n_not_finite : int
        Samples that are no number; they enter none of the others.
    n_flat, flat_s, longest_flat : int, float, tuple of TimeSpan
        Flat lines: stretches of equal samples at least `FLAT_S` long; their number, total length,
        and the longest five in time order.
    n_clipped, clipped_s : int, float
        Stretches at the digitiser's rail and their total length: at least `CLIPPED_SAMPLES` equal
        samples at the day's largest or smallest value, entered and left by a jump, shorter than a
        flat line.
    n_spikes : int
        Samples that jump away and back by more than 10 standard deviations of the differences
        between the 20 samples on either side, estimated by their median absolute value; neighbours
        count once (``num_spikes``, which looks at the samples in place of their differences and so
        takes earthquakes for spikes more easily).
    n_steps : int
        Differences as large, after which the level stays.
    is_dead : bool
        Nothing but flat lines (`DEAD_SHARE` of the samples) or no finite sample at all.
    odd_s, odd_kinds, longest_odd : float, tuple of str, tuple of TimeSpan
        Minutes like nothing seismic, as `geomon.picking.oddity` finds them: their total length,
        what they are like, and the longest five stretches of them in time order.
    """

    sampling_rate_hz: float | None
    sampling_rates_hz: tuple[float, ...]
    n_samples: int
    availability: float
    n_gaps: int
    max_gap_s: float
    n_overlaps: int
    max_overlap_s: float
    n_conflicts: int
    n_clock_steps: int
    max_clock_step_s: float
    minimum: float | None
    maximum: float | None
    mean: float | None
    rms: float | None
    n_not_finite: int
    n_flat: int
    flat_s: float
    longest_flat: tuple[TimeSpan, ...]
    n_clipped: int
    clipped_s: float
    n_spikes: int
    n_steps: int
    is_dead: bool
    odd_s: float = 0.0
    odd_kinds: tuple[str, ...] = ()
    longest_odd: tuple[TimeSpan, ...] = ()


@np.errstate(over="ignore", invalid="ignore")  # samples may be anything
def measure(
    segments: Sequence[Segment], span: TimeSpan, *, hidden: Sequence[Segment] = ()
) -> Quality:
    """Measure one channel's record of a span, usually a day.

    Odd data (none, a single sample, several rates, overlaps, values that are no numbers) give odd
    measures, never an error.

    Parameters
    ----------
    segments : sequence of Segment
        Of one channel, at any sampling rates, in any order; what lies outside `span` is left out.
    span : TimeSpan
        What should be there.
    hidden : sequence of Segment
        Samples of the channel that lost to others recorded for the same time.
    """
    inside = [part for segment in segments if (part := segment.clipped(span)) is not None]
    joined = contiguous(inside)
    rates = sorted({segment.sampling_rate_hz for segment in inside})
    gaps = _gaps(joined, span)
    overlaps = _overlaps(joined)
    shifts = _clock_steps(inside)
    size = {
        rate: sum(s.samples.size for s in inside if s.sampling_rate_hz == rate) for rate in rates
    }
    n_samples = sum(size.values())
    values = _values([segment.samples for segment in joined])
    flat = [_flat_lines(segment) for segment in joined]
    n_flat_samples = sum(int((ends - starts).sum()) for starts, ends in flat)
    rails = [rail for rail in (values.minimum, values.maximum) if rail is not None]
    clipped = [_clipped_s(segment, rails) for segment in joined]
    outliers = [_outliers(segment.samples) for segment in joined]
    return Quality(
        sampling_rate_hz=max(rates, key=lambda rate: (size[rate], rate), default=None),
        sampling_rates_hz=tuple(rates),
        n_samples=n_samples,
        availability=_share(gaps, span),
        n_gaps=len(gaps),
        max_gap_s=max((gap.duration_s for gap in gaps), default=0.0),
        n_overlaps=len(overlaps),
        max_overlap_s=max((overlap.duration_s for overlap in overlaps), default=0.0),
        n_conflicts=sum(
            part.samples.size for one in hidden if (part := one.clipped(span)) is not None
        ),
        n_clock_steps=len(shifts),
        max_clock_step_s=max(shifts, default=0) / NS_PER_S,
        minimum=values.minimum,
        maximum=values.maximum,
        mean=values.mean,
        rms=values.rms,
        n_not_finite=values.n_not_finite,
        n_flat=sum(starts.size for starts, _ in flat),
        flat_s=sum(
            float((ends - starts).sum()) / segment.sampling_rate_hz
            for segment, (starts, ends) in zip(joined, flat, strict=True)
        ),
        longest_flat=_longest(joined, flat),
        n_clipped=sum(number for number, _ in clipped),
        clipped_s=sum(seconds for _, seconds in clipped),
        n_spikes=sum(spikes for spikes, _ in outliers),
        n_steps=sum(steps for _, steps in outliers),
        is_dead=n_samples > 0 and (values.mean is None or n_flat_samples >= DEAD_SHARE * n_samples),
    )


def contiguous(segments: Sequence[Segment]) -> list[Segment]:
    """Join segments that follow each other to within half a sample, in time order.

    A joined segment has the times of its first part: up to half a sample off behind each joint.
    """
    groups: list[list[Segment]] = []
    last: dict[tuple[float, str], list[Segment]] = {}
    for segment in sorted(segments, key=lambda s: (s.start_ns, s.samples.size)):
        key = (segment.sampling_rate_hz, segment.samples.dtype.str)
        group = last.get(key)
        half_ns = 0.5 * NS_PER_S / segment.sampling_rate_hz
        if group is not None and abs(segment.start_ns - group[-1].end_ns) < half_ns:
            group.append(segment)
        else:
            last[key] = [segment]
            groups.append(last[key])
    return [
        group[0]
        if len(group) == 1
        else Segment(
            group[0].seed_id,
            group[0].start_ns,
            group[0].sampling_rate_hz,
            np.concatenate([part.samples for part in group]),
        )
        for group in groups
    ]


# -------------------------------------------------------------------------------------- times


def _gaps(segments: Sequence[Segment], span: TimeSpan) -> list[TimeSpan]:
    """Return the holes that a sample at least is missing in, also at the ends of the span."""
    period_ns = max((NS_PER_S / s.sampling_rate_hz for s in segments), default=0.0)
    found = []
    for hole in subtracted(span, merged(segment.span for segment in segments)):
        # A grid need not begin at the span's start; after a last sample the next one is due.
        shortest_ns = (0.999 if hole.start_ns == span.start_ns else 0.5) * period_ns
        if hole.end_ns - hole.start_ns >= shortest_ns:
            found.append(hole)
    return found


def _share(gaps: Sequence[TimeSpan], span: TimeSpan) -> float:
    if span.is_empty:
        return 0.0
    return max(0.0, 1 - sum(gap.duration_s for gap in gaps) / span.duration_s)


def _overlaps(segments: Sequence[Segment]) -> list[TimeSpan]:
    """Return the spans that more than one segment covers by half a sample or more."""
    found = []
    end_ns = None
    for segment in sorted(segments, key=lambda s: s.start_ns):
        if end_ns is not None:
            half_ns = 0.5 * NS_PER_S / segment.sampling_rate_hz
            until_ns = min(end_ns, segment.end_ns)
            if until_ns - segment.start_ns >= half_ns:
                found.append(TimeSpan(segment.start_ns, until_ns))
        end_ns = segment.end_ns if end_ns is None else max(end_ns, segment.end_ns)
    return merged(found)


def _clock_steps(segments: Sequence[Segment]) -> list[int]:
    """Return by how many nanoseconds the time line shifts wherever it does within a sample."""
    shifts = []
    for one, two in pairwise(sorted(segments, key=lambda s: (s.sampling_rate_hz, s.start_ns))):
        shift_ns = abs(two.start_ns - one.end_ns)
        half_ns = 0.5 * NS_PER_S / two.sampling_rate_hz
        if one.sampling_rate_hz == two.sampling_rate_hz and _CLOCK_NS < shift_ns < half_ns:
            shifts.append(shift_ns)
    return shifts


# ------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class _Values:
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    rms: float | None = None
    n_not_finite: int = 0


def _blocks(samples: NDArray[Any], overlap: int = 0) -> Iterator[tuple[int, Floats]]:
    """Yield the place and the values of short stretches that share `overlap` samples."""
    for first in range(0, samples.size - overlap, _BLOCK):
        yield first, samples[first : first + _BLOCK + overlap].astype(np.float64)


def _finite(samples: NDArray[Any]) -> NDArray[Any]:
    if samples.dtype.kind != "f":
        return samples
    is_finite = np.isfinite(samples)
    return samples if is_finite.all() else samples[is_finite]


def _values(parts: Sequence[NDArray[Any]]) -> _Values:
    finite = [_finite(part) for part in parts]
    n_not_finite = sum(part.size for part in parts) - sum(part.size for part in finite)
    finite = [part for part in finite if part.size]
    n_samples = sum(part.size for part in finite)
    if not n_samples:
        return _Values(n_not_finite=n_not_finite)
    mean = sum(float(part.mean(dtype=np.float64)) * (part.size / n_samples) for part in finite)
    square = 0.0
    for part in finite:
        for _, block in _blocks(part):
            block -= mean
            square += float(block @ block)
    rms = math.sqrt(square / n_samples)
    return _Values(
        min(float(part.min()) for part in finite),
        max(float(part.max()) for part in finite),
        mean if math.isfinite(mean) else None,
        rms if math.isfinite(rms) else None,
        n_not_finite,
    )


def _stretches(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last (exclusive) of the runs of consecutive numbers in a rising vector."""
    if not places.size:
        return places, places
    breaks = np.flatnonzero(np.diff(places) > 1)
    starts = places[np.concatenate(([0], breaks + 1))]
    ends = places[np.concatenate((breaks, [places.size - 1]))] + 1
    return starts, ends


def _flat_samples(sampling_rate_hz: float) -> int:
    return max(round(FLAT_S * sampling_rate_hz), FLAT_SAMPLES)


def _flat_lines(segment: Segment) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last (exclusive) sample of every flat line."""
    samples, least = segment.samples, _flat_samples(segment.sampling_rate_hz)
    # Every line so long takes in two neighbours of a coarser grid: mostly there are none to find.
    step = least // 2
    coarse = samples[::step]
    maybe = np.flatnonzero(coarse[1:] == coarse[:-1]) * step
    between = maybe[:, None] + np.linspace(0, step, 8, dtype=np.int64)
    if not (samples[between] == samples[maybe][:, None]).all(axis=1).any():
        return maybe[:0], maybe[:0]
    starts, ends = _stretches(np.flatnonzero(samples[1:] == samples[:-1]))
    is_long = ends - starts + 1 >= least
    return starts[is_long], ends[is_long] + 1


def _longest(
    segments: Sequence[Segment],
    flat: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[TimeSpan, ...]:
    found = []
    for segment, (starts, ends) in zip(segments, flat, strict=True):
        for k in np.argsort(starts - ends, kind="stable")[:_LONGEST].tolist():
            found.append(TimeSpan(segment.time_ns(int(starts[k])), segment.time_ns(int(ends[k]))))
    found.sort(key=lambda line: (line.start_ns - line.end_ns, line.start_ns))
    return tuple(sorted(found[:_LONGEST]))


def _clipped_s(segment: Segment, rails: Sequence[float]) -> tuple[int, float]:
    """Count stretches at a rail, and their seconds."""
    samples = segment.samples
    jump = _RAIL_JUMP if samples.dtype.kind == "i" else 0.0
    most = _flat_samples(segment.sampling_rate_hz)
    number = total = 0
    for rail in set(rails):
        starts, ends = _stretches(np.flatnonzero(samples == rail))
        length = ends - starts
        before = np.abs(samples[np.maximum(starts - 1, 0)].astype(np.float64) - rail)
        after = np.abs(samples[np.minimum(ends, samples.size - 1)].astype(np.float64) - rail)
        before[starts == 0] = np.inf
        after[ends == samples.size] = np.inf
        is_clipped = (length >= CLIPPED_SAMPLES) & (length < most)
        is_clipped &= (before > jump) & (after > jump)
        number += int(is_clipped.sum())
        total += int(length[is_clipped].sum())
    return number, total / segment.sampling_rate_hz


def _outliers(samples: NDArray[Any]) -> tuple[int, int]:
    """Count spikes and steps.

    Both begin with a difference that stands out of those on both sides of it. On both sides: an
    onset is followed by differences as large as its own.
    """
    if samples.size < 2 * _REACH + 4:
        return 0, 0
    floor = _typical_difference(samples)
    candidates = np.concatenate(
        [
            np.flatnonzero(np.abs(np.diff(block)) > _SPIKE_SIGMAS * _SIGMA_PER_MAD * floor) + first
            for first, block in _blocks(samples, overlap=1)
        ]
    )
    inside = (candidates >= _REACH) & (candidates < samples.size - _REACH - 2)
    candidates = candidates[inside]
    spikes, steps = [], []
    for first in range(0, candidates.size, _AT_ONCE):
        some = candidates[first : first + _AT_ONCE]
        is_spike, is_step = _spikes_and_steps(samples, some, floor)
        spikes.append(some[is_spike])
        steps.append(some[is_step])
    return _count(spikes, 2), _count(steps, _REACH)


def _count(parts: Sequence[NDArray[np.int64]], reach: int) -> int:
    """Count places, those at most `reach` behind the one before with it."""
    places = np.concatenate([*parts, np.empty(0, np.int64)])
    return int((np.diff(places) > reach).sum()) + 1 if places.size else 0


def _typical_difference(samples: NDArray[Any]) -> float:
    """Return the median size of the difference of neighbours, at least a count for integers."""
    stride = max(1, (samples.size - 1) // _SAMPLED)
    ones, twos = samples[:-1:stride], samples[1::stride]
    sizes = np.abs(twos.astype(np.float64) - ones.astype(np.float64))
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return math.inf
    typical = float(np.median(sizes)) or float(sizes.mean())
    return max(typical, 1.0) if samples.dtype.kind == "i" else typical


def _spikes_and_steps(
    samples: NDArray[Any], at: NDArray[np.int64], floor: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which differences, those from sample `at` to the next, begin a spike or are a step."""
    around = samples[at[:, None] + np.arange(-_REACH, _REACH + 3)].astype(np.float64)
    differences = np.diff(around, axis=1)
    there, back = differences[:, _REACH], differences[:, _REACH + 1]
    is_spike = np.zeros(at.size, dtype=np.bool_)
    is_step = np.zeros(at.size, dtype=np.bool_)
    out = np.flatnonzero(_stands_out(differences, np.abs(there), floor))
    is_back = _stands_out(differences[out], np.abs(back[out]), floor)
    is_spike[out] = is_back & (there[out] * back[out] < 0)
    low = np.median(around[out, : _REACH + 1], axis=1)
    high = np.median(around[out, _REACH + 1 :], axis=1)
    is_step[out] = ((high - low) / there[out] > 0.5) & ~is_spike[out]
    return is_spike, is_step


def _stands_out(differences: Floats, size: Floats, floor: float) -> NDArray[np.bool_]:
    """Tell whether sizes are 10 standard deviations of the differences on each side.

    Whether a median lies under a limit is a matter of counting, which is quicker than finding it.
    """
    limit = size / (_SPIKE_SIGMAS * _SIGMA_PER_MAD)
    is_small = np.abs(differences) < limit[:, None]
    before = is_small[:, :_REACH].sum(axis=1)
    after = is_small[:, _REACH + 2 :].sum(axis=1)
    return (limit > floor) & (2 * before >= _REACH) & (2 * after >= _REACH)
