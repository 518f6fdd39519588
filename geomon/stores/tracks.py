"""A station-day's object as tracks of samples, and tracks of samples as an object.

What is written depends only on the tracks: those of the same samples end in the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.stores.codec import compress_all
from geomon.stores.dayrecord import DayRecord, Extra, GridRun, Label, Origins
from geomon.stores.layout import Series, row_of, row_priority
from geomon.stores.shard import ChunkKey, DayObject, encode_shard
from geomon.stores.timelines import Clock, Part, Run, Track, by_label, joined
from geomon.times import day_span


@dataclass(frozen=True, slots=True, eq=False)
class _GridSource:
    """Samples of a run that lies in the archived array."""

    stored: DayObject
    run: GridRun

    @property
    def is_new(self) -> bool:
        return False

    def samples(self, first: int, last: int) -> NDArray[Any]:
        return self.stored.read_run(self.run, first, last)


@dataclass(slots=True, eq=False)
class _ExtraSource:
    """Samples archived beside the array."""

    stored: DayObject
    extra: Extra
    _whole: NDArray[Any] | None = None

    @property
    def is_new(self) -> bool:
        return False

    def samples(self, first: int, last: int) -> NDArray[Any]:
        if self._whole is None:
            self._whole = self.stored.read_extra(self.extra)
        return self._whole[first:last]


def load_tracks(
    stored: DayObject, clock: Clock, origins: Origins, ranks: Sequence[int]
) -> dict[str, Track]:
    """Return what is archived, by component; its samples are not yet read.

    Parameters
    ----------
    stored : DayObject
        The object; must stay open while its samples are read.
    clock : Clock
        Of the object's sampling rate.
    origins : Origins
        Who brought its samples.
    ranks : sequence of int
        The label that runs get for each of the labels in `origins`.

    Raises
    ------
    CorruptObject
        If its records contradict each other.
    """
    tracks: dict[str, Track] = {}
    for run in stored.record.runs:
        track = tracks.setdefault(run.component, Track([], []))
        track.visible.append(Run.of(run.start_ns, _GridSource(stored, run), run.n_samples, 0))
    for extra in stored.record.extras:
        track = tracks.setdefault(extra.component, Track([], []))
        found = Run.of(extra.start_ns, _ExtraSource(stored, extra), extra.n_samples, 0)
        (track.visible if extra.is_visible else track.hidden).append(found)
    for component, track in tracks.items():
        visible = joined(clock, track.visible)
        if visible is None:
            raise stored.damaged(f"day record: samples of {component} overlap")
        hidden = _rejoined(track.hidden, clock)
        for runs, lengths in ((visible, origins.visible), (hidden, origins.hidden)):
            try:
                _relabel(runs, [(size, ranks[at]) for size, at in lengths.get(component, [])])
            except ValueError as error:
                raise stored.damaged(f"origins: {error}") from error
        hidden = [part for run in hidden for part in by_label(clock, run)]
        tracks[component] = Track(visible, hidden)
    return tracks


def _relabel(runs: Iterable[Run], lengths: Iterable[tuple[int, int]]) -> None:
    """Cut the parts of runs so that each has the label its samples were stored with.

    Raises
    ------
    ValueError
        If there are more labels than samples, or fewer.
    """
    rest = list(reversed(list(lengths)))
    for run in runs:
        parts: list[Part] = []
        for part in run.parts:
            first = 0
            while first < part.size:
                if not rest:
                    msg = "fewer labels than samples"
                    raise ValueError(msg)
                size, label = rest.pop()
                last = min(part.size, first + size)
                if size > last - first:
                    rest.append((size - last + first, label))
                parts.append(Part(part.source, part.first + first, last - first, label))
                first = last
        run.parts = parts
    if rest:
        msg = "more labels than samples"
        raise ValueError(msg)


def run_lengths(runs: Iterable[Run]) -> list[tuple[int, int]]:
    """Return the labels of all samples of some runs as run lengths."""
    lengths: list[tuple[int, int]] = []
    for run in runs:
        for part in run.parts:
            if lengths and lengths[-1][1] == part.label:
                lengths[-1] = (lengths[-1][0] + part.size, part.label)
            else:
                lengths.append((part.size, part.label))
    return lengths


def _rejoined(runs: Sequence[Run], clock: Clock) -> list[Run]:
    """Put the pieces of long hidden runs, which are stored one behind the other, together."""
    whole: list[Run] = []
    for run in runs:
        if whole and clock.index_on_line(whole[-1].start_ns, run.start_ns) == whole[-1].size:
            whole[-1].parts += run.parts
            whole[-1].size += run.size
        else:
            whole.append(run)
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A run of samples in the array: its row and position there."""

    record: GridRun
    parts: list[Part]


@dataclass(frozen=True, slots=True, eq=False)
class _Aside:
    """A run of samples beside the array."""

    component: str
    start_ns: int
    samples: NDArray[Any]
    is_visible: bool


def encode_tracks(
    stored: DayObject | None,
    series: Series,
    day: date,
    tracks: Mapping[str, Track],
    labels: Sequence[Label],
) -> list[bytes]:
    """Return the parts of the object that holds tracks of one day.

    Parameters
    ----------
    stored : DayObject, optional
        The present object, from which what does not change is taken over as it is stored.
    series, day
        Whose samples they are.
    tracks : mapping of str to Track
        All samples, by component.
    labels : sequence of Label
        What the labels of the runs' parts mean, by their number.

    Raises
    ------
    CorruptObject
        If the present object is damaged where it has to be read.
    """
    clock = Clock(series.sampling_rate_hz)
    placed: list[_Placed] = []
    aside: list[_Aside] = []
    taken: set[int] = set()
    for component in sorted(tracks, key=row_priority):
        track = tracks[component]
        if track.visible and row_of(component) not in taken:
            taken.add(row_of(component))
            _place(clock, series, day, component, track.visible, placed, aside)
        else:
            _put_aside(clock, series, component, track.visible, True, aside)
        _put_aside(clock, series, component, track.hidden, False, aside)
    placed.sort(key=lambda run: run.record)
    aside.sort(key=lambda run: (run.component, not run.is_visible))  # stable: keeps run order
    extras = compress_all([run.samples for run in aside])

    def layout(offsets: Sequence[int]) -> bytes:
        found = tuple(
            Extra(run.component, run.start_ns, run.samples.size, run.is_visible, offset, len(data))
            for run, offset, data in zip(aside, offsets, extras, strict=True)
        )
        runs = tuple(run.record for run in placed)
        return DayRecord(series, day, runs, found).to_bytes()

    chunks = _chunks(stored, series, placed)
    return encode_shard(series, chunks, extras, layout, _origins(tracks, labels).to_bytes())


def _origins(tracks: Mapping[str, Track], labels: Sequence[Label]) -> Origins:
    """Return the labels in use and who has them."""
    visible = {c: run_lengths(track.visible) for c, track in tracks.items() if track.visible}
    hidden = {c: run_lengths(track.hidden) for c, track in tracks.items() if track.hidden}
    used = sorted({at for d in (visible, hidden) for rows in d.values() for _, at in rows})
    place = {at: new for new, at in enumerate(used)}

    def placed(lengths: dict[str, list[tuple[int, int]]]) -> dict[str, list[tuple[int, int]]]:
        return {c: [(size, place[at]) for size, at in rows] for c, rows in lengths.items()}

    return Origins(tuple(labels[at] for at in used), placed(visible), placed(hidden))


def _place(
    clock: Clock,
    series: Series,
    day: date,
    component: str,
    runs: Iterable[Run],
    placed: list[_Placed],
    aside: list[_Aside],
) -> None:
    """Lay runs into an array row, each at its nearest free position; what is too much goes aside.

    Runs of different phase may need one position more than the day has.
    """
    day_start = day_span(day).start_ns
    free = 0
    for run in runs:
        nearest = clock.index_of(day_start, run.start_ns)
        position = max(free, min(nearest, series.day_samples - run.size))
        fits = min(run.size, series.day_samples - position)
        if fits > 0:
            record = GridRun(component, run.start_ns, fits, position)
            placed.append(_Placed(record, run.cut(0, fits)))
            free = position + fits
        if fits < run.size:
            first = max(fits, 0)
            rest = Run(
                run.start_ns + clock.after(first), run.size - first, run.cut(first, run.size)
            )
            _put_aside(clock, series, component, [rest], True, aside)


def _put_aside(
    clock: Clock,
    series: Series,
    component: str,
    runs: Iterable[Run],
    is_visible: bool,
    aside: list[_Aside],
) -> None:
    """Keep runs beside the array, in pieces short enough for short reads."""
    size = series.chunk_samples
    for run in runs:
        for first in range(0, run.size, size):
            samples = run.samples(first, min(first + size, run.size))
            aside.append(_Aside(component, run.start_ns + clock.after(first), samples, is_visible))


def _chunks(
    stored: DayObject | None, series: Series, placed: Sequence[_Placed]
) -> dict[ChunkKey, bytes]:
    """Compress the inner chunks that change, and take over the others as they are stored."""
    size = series.chunk_samples
    pieces: dict[ChunkKey, list[tuple[int, Part]]] = {}
    unmoved: dict[ChunkKey, int] = {}
    for run in placed:
        row, position = row_of(run.record.component), run.record.position
        for part in run.parts:
            source = part.source
            stays = (
                isinstance(source, _GridSource)
                and source.run.position + part.first == position
                and row_of(source.run.component) == row
            )
            first = 0
            while first < part.size:
                chunk = (position + first) // size
                last = min(part.size, (chunk + 1) * size - position)
                key = (row, chunk)
                there = position + first - chunk * size
                pieces.setdefault(key, []).append((there, part.cut(first, last)))
                if stays:
                    unmoved[key] = unmoved.get(key, 0) + last - first
                first = last
            position += part.size
    old = {} if stored is None else _occupied(stored)
    kept: list[ChunkKey] = []
    changed: list[ChunkKey] = []
    for key, parts in pieces.items():
        n_samples = sum(part.size for _, part in parts)
        is_same = unmoved.get(key, 0) == n_samples == old.get(key, 0)
        (kept if is_same else changed).append(key)
    chunks = {} if stored is None else stored.chunks(kept)
    filled = [(key, _filled(series, pieces[key])) for key in changed]
    filled = [(key, samples) for key, samples in filled if not _is_fill(series, samples)]
    compressed = compress_all([samples for _, samples in filled])
    chunks.update(zip((key for key, _ in filled), compressed, strict=True))
    return chunks


def _occupied(stored: DayObject) -> dict[ChunkKey, int]:
    """Return how many samples each stored inner chunk holds."""
    size = stored.series.chunk_samples
    counts: dict[ChunkKey, int] = {}
    for run in stored.record.runs:
        row, end = row_of(run.component), run.position + run.n_samples
        for chunk in range(run.position // size, -(-end // size)):
            inside = min(end, (chunk + 1) * size) - max(run.position, chunk * size)
            counts[row, chunk] = counts.get((row, chunk), 0) + inside
    return counts


def _filled(series: Series, pieces: Sequence[tuple[int, Part]]) -> NDArray[Any]:
    size = series.chunk_samples
    if len(pieces) == 1 and pieces[0][1].size == size:
        part = pieces[0][1]
        return part.source.samples(part.first, part.first + size)
    samples = np.full(size, series.fill, series.dtype)
    for position, part in pieces:
        values = part.source.samples(part.first, part.first + part.size)
        samples[position : position + part.size] = values
    return samples


def _is_fill(series: Series, samples: NDArray[Any]) -> bool:
    fill = np.array(series.fill, series.dtype)
    return (
        samples[0].tobytes() == fill.tobytes()
        and samples.tobytes() == fill.tobytes() * samples.size
    )
