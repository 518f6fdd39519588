"""Labelled windows out of a network's own records: who said what, and what may be learned from it.

Time is cut in blocks of an hour, and the hash of a block says what its windows are for: training,
choosing when to stop, or testing. The hash of a station says whether its test hours are the
benchmark's, and its others nobody's. So no event, no hour and no benchmark station is ever on two
sides, and no later run moves a window from one side to the other.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geomon.events import Phase
from geomon.ids import StationId, StreamId
from geomon.picking.prepare import PIECE, STEP_NS
from geomon.times import NS_PER_S, TimeSpan
from geomon.training.windows import Recording

type Part = Literal["train", "validation", "test", "benchmark"]
type LabelKind = Literal["manual", "reviewed", "automatic", "rejected", "doubtful"]
"""``manual``: an analyst's time; ``reviewed``: a pick of an event that an analyst confirmed;
``automatic``: a located pick that nobody looked at; ``rejected``: an analyst says there is nothing;
``doubtful``: nobody knows."""

BLOCK_NS = 3600 * NS_PER_S
WINDOW_NS = PIECE * STEP_NS
"""Windows that are reviewed whole are the picker's pieces of the absolute grid."""

BY_PEOPLE: frozenset[LabelKind] = frozenset({"manual", "reviewed", "rejected"})
WEIGHTS: Mapping[LabelKind, float] = {
    "manual": 1.0, "reviewed": 1.0, "automatic": 0.4, "rejected": 2.0, "doubtful": 0.0,
}  # fmt: skip
"""How much the samples around a label count in the loss."""

_TRAIN, _VALIDATION = 0.65, 0.75  # of the hash's range, cumulated; the rest is for testing
_BENCHMARK_SHARE = 1 / 6  # of the stations
_PAD_NS = 35 * NS_PER_S  # of a window, before its first and after its last label
_APART_NS = 60 * NS_PER_S  # labels of no event this far apart are windows of their own
_LONGEST_NS = 240 * NS_PER_S  # labels of one event on one stream that are farther apart are wrong
_SAME_NS = 2 * NS_PER_S  # a manual pick this near replaces an automatic one of its phase
_REACH = {"rejected": 100, "doubtful": 60}  # samples around a label that its weight covers
_ONSET_REACH = 50


@dataclass(frozen=True, slots=True)
class Label:
    """What is said about one onset.

    Attributes
    ----------
    stream_id, time_ns, phase
        Where and when.
    kind : LabelKind
        Who says so.
    event_id : str
        Event it belongs to; empty for none.
    residual_s : float
        Of the event's location, observed minus predicted; NaN without.
    actor, reason : str
        Which analyst, and why; empty for automatic ones.
    """

    stream_id: StreamId
    time_ns: int
    phase: Phase
    kind: LabelKind
    event_id: str = ""
    residual_s: float = float("nan")
    actor: str = ""
    reason: str = ""

    @property
    def is_onset(self) -> bool:
        """Whether there is an onset, as far as is known."""
        return self.kind in ("manual", "reviewed", "automatic")

    @property
    def is_open(self) -> bool:
        """Whether a person looked and could not tell: neither an onset nor none."""
        return self.kind == "doubtful" and bool(self.actor)


@dataclass(frozen=True, slots=True)
class Mark:
    """A label within a window: `index` in samples of the 100 Hz grid from its start."""

    index: float
    phase: Phase
    kind: LabelKind


@dataclass(frozen=True, slots=True)
class Planned:
    """A window to be cut out of the archive."""

    stream_id: StreamId
    span: TimeSpan
    part: Part
    event_id: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled window.

    Attributes
    ----------
    name : str
        Stream and start.
    stream_id, start_ns
        Where and when.
    part : Part
        What it may be used for.
    event_id : str
        The event it was cut for; empty for none.
    samples : array of float32, shape (n, 3)
        Counts in Z, N, E order on the 100 Hz grid.
    valid : array of bool, shape (n, 3)
        Where there are data.
    marks : tuple of Mark
        Its labels.
    """

    name: str
    stream_id: StreamId
    start_ns: int
    part: Part
    event_id: str
    samples: NDArray[np.float32]
    valid: NDArray[np.bool_]
    marks: tuple[Mark, ...]

    @property
    def sha256(self) -> str:
        """Hash of samples and labels."""
        digest = hashlib.sha256(self.samples.tobytes())
        digest.update(np.packbits(self.valid).tobytes())
        digest.update(repr(sorted((m.index, m.phase, m.kind) for m in self.marks)).encode())
        return digest.hexdigest()

    def recording(self) -> Recording:
        """Return what the sampler draws from: onsets, and how much each sample counts."""
        onsets = [mark for mark in self.marks if mark.kind in ("manual", "reviewed", "automatic")]
        weight = np.ones(self.samples.shape[0], dtype=np.float32)
        # Who knows best comes last.
        for kind in ("doubtful", "automatic", "rejected", "reviewed", "manual"):
            for mark in (mark for mark in self.marks if mark.kind == kind):
                reach, at = _REACH.get(kind, _ONSET_REACH), round(mark.index)
                weight[max(at - reach, 0) : max(at + reach, 0)] = WEIGHTS[kind]
        return Recording(
            self.samples,
            self.valid,
            np.array([mark.index for mark in onsets], dtype=np.float64),
            np.array([0 if mark.phase == "P" else 1 for mark in onsets], dtype=np.int64),
            np.ones(len(onsets)),
            labelled=True,
            weight=weight,
        )


@dataclass(slots=True)
class Tally:
    """How many windows and labels each step let through, and why others were dropped."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Return one line a count, for a person."""
        return [
            *(f"{count} {what}" for what, count in sorted(self.kept.items())),
            *(f"{count} dropped: {why}" for why, count in sorted(self.dropped.items())),
        ]


def _share(text: str) -> float:
    """Hash a text to [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def is_benchmark_station(station_id: StationId) -> bool:
    """Say whether a station is kept out of training for good: one in six, by its name's hash."""
    return _share(f"station {station_id}") < _BENCHMARK_SHARE


def part_of_time(time_ns: int) -> Part:
    """Say what an hour's windows are for, by its hash.

    Examples
    --------
    >>> part_of_time(0) == part_of_time(3599 * 10**9)
    True
    """
    return _part(_share(f"hour {time_ns // BLOCK_NS}"))


def part_of_name(name: str) -> Part:
    """Say what the windows of an event of another data set are for, by its name's hash."""
    return _part(_share(f"event {name}"))


def _part(share: float) -> Part:
    if share < _TRAIN:
        return "train"
    return "validation" if share < _VALIDATION else "test"


def part_of(station_id: StationId, span: TimeSpan) -> Part | None:
    """Say what a window is for; None where nothing may use it.

    That is where it lies in hours of different use, or at a benchmark station in hours that
    others learn from.
    """
    parts = {part_of_time(time_ns) for time_ns in (span.start_ns, span.end_ns - 1)}
    part = parts.pop() if len(parts) == 1 else None
    if is_benchmark_station(station_id):
        return "benchmark" if part == "test" else None
    return part


def drawn_windows(
    streams: Iterable[StreamId], span: TimeSpan, share: float
) -> list[tuple[StreamId, TimeSpan]]:
    """Draw windows to be reviewed whole, whatever anyone saw in them: the gate's exam.

    They lie in test hours; which ones are drawn follows from hashes, so that asking again for a
    longer span draws the same and some more.

    Parameters
    ----------
    streams : iterable of StreamId
        To draw from.
    span : TimeSpan
        To draw in.
    share : float
        Of the windows of test hours that are drawn, in [0, 1].

    Returns
    -------
    list of (StreamId, TimeSpan)
        Whole pieces of the picker's grid, in the order they should be reviewed.
    """
    first, last = -(-span.start_ns // WINDOW_NS), span.end_ns // WINDOW_NS
    found = []
    for stream in streams:
        for piece in range(first, last):
            window = TimeSpan(piece * WINDOW_NS, (piece + 1) * WINDOW_NS)
            luck = _share(f"exam {stream} {piece}")
            if luck < share and part_of(stream.station_id, window) == "test":
                found.append((luck, stream, window))
    return [(stream, window) for _, stream, window in sorted(found)]


def settled(labels: Iterable[Label], tally: Tally) -> list[Label]:
    """Return one label an onset: an analyst's word replaces what was there before.

    An automatic, reviewed or doubtful label within 2 s of a manual one of its stream and phase
    was moved by the analyst; any label at the time of a rejected one was deleted.
    """
    by_key: dict[tuple[StreamId, Phase], list[Label]] = {}
    for label in set(labels):
        by_key.setdefault((label.stream_id, label.phase), []).append(label)
    kept: list[Label] = []
    for some in by_key.values():
        manual = np.array(sorted(one.time_ns for one in some if one.kind == "manual"))
        gone = {one.time_ns for one in some if one.kind == "rejected"}
        for one in some:
            if one.kind == "manual":
                kept.append(one)
            elif manual.size and np.abs(manual - one.time_ns).min() <= _SAME_NS:
                tally.dropped["labels an analyst moved"] += 1
            elif one.kind != "rejected" and one.time_ns in gone:
                tally.dropped["labels an analyst rejected"] += 1
            else:
                kept.append(one)
    return sorted(kept, key=lambda one: (one.stream_id, one.time_ns, one.phase, one.kind))


def plan(labels: Sequence[Label], tally: Tally) -> list[Planned]:
    """Plan a window around the labels of each event on each stream.

    Every other label within a window is in it too, so that no onset is taught as noise because it
    belongs to another event.

    Parameters
    ----------
    labels : sequence of Label
        As from `settled`.
    tally : Tally
        Is told what was dropped.
    """
    planned: list[Planned] = []
    starts: dict[str, int] = {}
    for label in labels:
        if label.event_id:
            starts[label.event_id] = min(starts.get(label.event_id, label.time_ns), label.time_ns)
    for stream, of_stream in labels_by_stream(labels).items():
        times = np.array([label.time_ns for label in of_stream])
        for event_id, first_ns, last_ns in _clusters(of_stream):
            span = TimeSpan(first_ns - _PAD_NS, last_ns + _PAD_NS).aligned(STEP_NS)
            if last_ns - first_ns > _LONGEST_NS:
                tally.dropped["windows: labels of one event too far apart"] += 1
                continue
            low, high = np.searchsorted(times, (span.start_ns, span.end_ns))
            inside = tuple(of_stream[low:high])
            # Earthquakes reach some stations an hour earlier than others, as hours go.
            began = min(starts.get(label.event_id, label.time_ns) for label in inside)
            part = part_of(stream.station_id, TimeSpan(min(began, span.start_ns), span.end_ns))
            if part is None:
                where = "at the edge of training and test"
                if is_benchmark_station(stream.station_id):
                    where = "benchmark stations outside test hours"
                tally.dropped[f"windows: {where}"] += 1
                continue
            tally.kept[f"windows for {part}"] += 1
            planned.append(Planned(stream, span, part, event_id, inside))
    return planned


def labels_by_stream(labels: Iterable[Label]) -> dict[StreamId, list[Label]]:
    """Return the labels of each stream in time order."""
    streams: dict[StreamId, list[Label]] = {}
    for label in sorted(labels, key=lambda one: (one.stream_id, one.time_ns)):
        streams.setdefault(label.stream_id, []).append(label)
    return streams


def _clusters(labels: Sequence[Label]) -> list[tuple[str, int, int]]:
    """Return event, first and last time of what belongs together on one stream."""
    by_event: dict[str, list[int]] = {}
    for label in labels:
        if label.event_id and label.kind != "doubtful":
            by_event.setdefault(label.event_id, []).append(label.time_ns)
    clusters = [(event, min(times), max(times)) for event, times in by_event.items()]
    loose = [one.time_ns for one in labels if not one.event_id and one.kind != "doubtful"]
    if loose:
        starts = [loose[0], *(b for a, b in pairwise(loose) if b - a > _APART_NS)]
        ends = [*(a for a, b in pairwise(loose) if b - a > _APART_NS), loose[-1]]
        clusters += [("", start, end) for start, end in zip(starts, ends, strict=True)]
    return sorted(clusters, key=lambda cluster: cluster[1:])


def cut(
    planned: Iterable[Planned],
    read: Callable[[StreamId, TimeSpan], tuple[NDArray[np.float32], NDArray[np.bool_]] | None],
    tally: Tally,
) -> list[Example]:
    """Cut planned windows out of the archive.

    Parameters
    ----------
    planned : iterable of Planned
        The windows.
    read : callable
        Returns samples and validity, (n, 3), of a stream's span on the 100 Hz grid; None where
        nothing is archived.
    tally : Tally
        Is told what was dropped.
    """
    examples = []
    for window in planned:
        record = read(window.stream_id, window.span)
        if record is None or not record[1].any():
            tally.dropped["windows: no data"] += 1
            continue
        samples, valid = record
        marks = []
        for label in window.labels:
            index = (label.time_ns - window.span.start_ns) / STEP_NS
            if label.is_onset and not valid[int(index)].any():
                tally.dropped["labels in a gap"] += 1
            else:
                marks.append(Mark(index, label.phase, label.kind))
        if not any(mark.kind != "doubtful" for mark in marks):
            tally.dropped["windows: every label in a gap"] += 1
            continue
        tally.kept["labels"] += len(marks)
        examples.append(
            Example(
                f"{window.stream_id} {window.span.start_ns}",
                window.stream_id,
                window.span.start_ns,
                window.part,
                window.event_id,
                samples,
                valid,
                tuple(marks),
            )
        )
    return examples


def newest(planned: Sequence[Planned], most: int, tally: Tally) -> list[Planned]:
    """Return at most so many windows: those with an analyst's word first, then the latest."""

    def rank(window: Planned) -> tuple[bool, int]:
        return any(label.kind in BY_PEOPLE for label in window.labels), window.span.start_ns

    ranked = sorted(planned, key=rank, reverse=True)
    if len(ranked) > most:
        tally.dropped["windows: older than those used"] += len(ranked) - most
    return sorted(ranked[:most], key=lambda window: (window.stream_id, window.span.start_ns))


def manifest_hash(examples: Iterable[Example]) -> str:
    """Return one hash over all windows and what they are for."""
    digest = hashlib.sha256()
    for line in sorted(f"{one.part} {one.name} {one.sha256}" for one in examples):
        digest.update(line.encode())
    return digest.hexdigest()
