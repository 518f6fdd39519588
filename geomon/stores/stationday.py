"""Merging new samples into a station-day's object.

What is written depends only on what is held: the same samples, however cut and in whatever order
they came, end in the same bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from geomon.stores.conflicts import resolved
from geomon.stores.dayrecord import Label, Origins
from geomon.stores.layout import Series
from geomon.stores.shard import DayObject
from geomon.stores.timelines import (
    ArraySource,
    Clock,
    Run,
    Track,
    differing,
    joined,
    same_bits,
)
from geomon.stores.tracks import encode_tracks, load_tracks, run_lengths
from geomon.times import TimeSpan, merged
from geomon.waveforms import Provenance, Segment

_NO_ORIGINS = Origins((), {}, {})


@dataclass(frozen=True, slots=True, eq=False)
class DayChange:
    """What new samples change about a station-day; `parts` is None when that is nothing."""

    n_new_samples: int
    n_overflow: int
    changed: tuple[TimeSpan, ...]
    parts: list[bytes] | None


def merge_day(
    stored: DayObject | None,
    series: Series,
    day: date,
    segments: Iterable[Segment],
    provenance: Provenance,
) -> DayChange:
    """Merge samples of one day into what is archived.

    Parameters
    ----------
    stored : DayObject, optional
        The present object; must stay open until the parts are written.
    series, day
        Where the samples belong.
    segments : iterable of Segment
        Samples of that series and day.
    provenance : Provenance
        Request that brought them.

    Raises
    ------
    CorruptObject
        If the present object is damaged where it has to be read.
    """
    clock = Clock(series.sampling_rate_hz)
    arrived: dict[str, list[Segment]] = {}
    for segment in segments:
        arrived.setdefault(segment.seed_id.component, []).append(segment)
    versions = {component: _versions(clock, found) for component, found in arrived.items()}
    origins = _NO_ORIGINS if stored is None else stored.origins()
    arrived_labels = {Label(provenance, v) for found in versions.values() for v in found}
    labels = sorted(arrived_labels.union(origins.labels))
    rank = {label: at for at, label in enumerate(labels)}
    ranks = [rank[label] for label in origins.labels]
    tracks = {} if stored is None else load_tracks(stored, clock, origins, ranks)
    n_new = n_overflow = 0
    changed: list[TimeSpan] = []
    is_changed = False
    for component, found in arrived.items():
        runs = [
            Run.of(
                segment.start_ns,
                ArraySource(segment.samples, is_new=True),
                segment.samples.size,
                rank[Label(provenance, version)],
            )
            for segment, version in zip(found, versions[component], strict=True)
        ]
        before = tracks.get(component, Track([], []))
        after, spans = _merge_track(clock, before, runs)
        n_new += after.n_visible + after.n_hidden - before.n_visible - before.n_hidden
        n_overflow += max(0, after.n_hidden - before.n_hidden)
        changed += spans
        is_changed |= after is not before
        tracks[component] = after
    if not is_changed or (n_new == 0 and _is_repeat(origins, provenance)):
        return DayChange(0, 0, (), None)
    parts = encode_tracks(stored, series, day, tracks, labels)
    return DayChange(n_new, n_overflow, tuple(merged(changed)), parts)


def _is_repeat(origins: Origins, provenance: Provenance) -> bool:
    """Tell whether a request was answered before, with other bytes."""
    return provenance not in origins.requests and any(
        (known.source, known.request) == (provenance.source, provenance.request)
        for known in origins.requests
    )


def _versions(clock: Clock, segments: Sequence[Segment]) -> list[int]:
    """Give numbers to recordings of one channel in one answer that contradict each other.

    The longest is 0, so that it wins as a whole; without contradictions all are 0.
    """
    runs = [
        Run.of(s.start_ns, ArraySource(s.samples, is_new=True), s.samples.size, 0) for s in segments
    ]
    versions = [0] * len(runs)
    if joined(clock, runs) is not None:
        return versions
    by_time = sorted(range(len(runs)), key=lambda at: runs[at].start_ns)
    rivals: dict[int, set[int]] = {}
    active: list[int] = []
    for at in by_time:
        start_ns = runs[at].start_ns
        active = [a for a in active if clock.span(runs[a].start_ns, runs[a].size).end_ns > start_ns]
        for other in active:
            if _contradict(clock, runs[other], runs[at]):
                rivals.setdefault(at, set()).add(other)
                rivals.setdefault(other, set()).add(at)
        active.append(at)
    done: set[int] = set()
    for at in sorted(
        rivals, key=lambda at: (-runs[at].size, runs[at].start_ns, segments[at].samples.tobytes())
    ):
        taken = {versions[other] for other in rivals[at] & done}
        versions[at] = next(v for v in range(len(runs)) if v not in taken)
        done.add(at)
    return versions


def _contradict(clock: Clock, one: Run, two: Run) -> bool:
    """Tell whether two runs of one time line differ where both have samples."""
    index = clock.index_on_line(one.start_ns, two.start_ns)
    if index is None or not 0 <= index < one.size:
        return False
    shared = min(one.size - index, two.size)
    return not same_bits(one.samples(index, index + shared), two.samples(0, shared)).all()


def _merge_track(
    clock: Clock, before: Track, arrived: Sequence[Run]
) -> tuple[Track, list[TimeSpan]]:
    """Return the union of archived and arrived samples, and the spans a read now sees changed.

    Returns `before` itself when nothing is new.
    """
    together = [*before.visible, *arrived]
    if not before.hidden:
        visible = joined(clock, together)
        if visible is not None:
            after = Track(visible, [])
            if not _is_other(after, before):
                return before, []
            return after, _new_spans(clock, visible)
    after = resolved(clock, [*together, *before.hidden])
    if not _is_other(after, before):
        return before, []
    return after, differing(clock, before.visible, after.visible)


def _is_other(after: Track, before: Track) -> bool:
    """Tell whether a union of samples differs from one of the sets it was made of."""
    return (
        after.n_visible + after.n_hidden != before.n_visible + before.n_hidden
        or [run.start_ns for run in after.visible] != [run.start_ns for run in before.visible]
        or run_lengths(after.visible) != run_lengths(before.visible)
        or run_lengths(after.hidden) != run_lengths(before.hidden)
    )


def _new_spans(clock: Clock, runs: Iterable[Run]) -> list[TimeSpan]:
    spans = []
    for run in runs:
        position = 0
        for part in run.parts:
            if part.source.is_new:
                start_ns = run.start_ns + clock.after(position)
                spans.append(TimeSpan(start_ns, run.start_ns + clock.after(position + part.size)))
            position += part.size
    return spans
