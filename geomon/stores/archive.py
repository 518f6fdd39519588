"""The waveform archive: samples exactly as recorded, one Zarr v3 shard a station-day.

Layout and guarantees are described in `geomon.stores.layout` (names and shapes),
`geomon.stores.shard` (the bytes of an object) and `geomon.stores.timelines` (merging). The only
writer is `Archive.write`; any Zarr v3 library with pcodec may read.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np

from geomon.errors import StoreError, WaveformError
from geomon.ids import SeedId, StreamId
from geomon.stores.checking import Finding, SeriesInfo, describe, findings
from geomon.stores.layout import (
    FORMAT,
    SAMPLE_TYPES,
    Series,
    day_of,
    group_metadata,
)
from geomon.stores.lazy import LazyStream, lazy_stream
from geomon.stores.listing import (
    ROUNDING_NS,
    all_series,
    days_in,
    days_of,
    opened,
    records_in,
    series_of,
)
from geomon.stores.miniseed import records_of
from geomon.stores.objects import Folder
from geomon.stores.reading import covered, fingerprints, hidden_segments, read_segments, rejoined
from geomon.stores.stationday import merge_day
from geomon.stores.timelines import Clock
from geomon.times import NS_PER_DAY, TimeSpan, merged, parse_time, to_ns
from geomon.waveforms import Provenance, Segment, Waveforms

logger = logging.getLogger(__name__)

_OPEN_DAYS = 64  # objects open at once


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What one write changed about one day of one sensor at one sampling rate.

    Attributes
    ----------
    stream_id, sampling_rate_hz, day
        What was written to.
    n_new_samples : int
        Samples the archive did not hold.
    n_overflow : int
        Samples that went out of sight because others were recorded for the same time.
    changed : tuple of TimeSpan
        Where a read now answers differently, all components together.
    """

    stream_id: StreamId
    sampling_rate_hz: float
    day: date
    n_new_samples: int
    n_overflow: int
    changed: tuple[TimeSpan, ...]


class Archive:
    """Waveforms of a network in a folder.

    Parameters
    ----------
    folder : Folder
        Where the objects are. Use `Archive.open`.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True) -> "Archive":
        """Open an archive.

        Parameters
        ----------
        url : str or Path
            Path of a folder, also as ``file://`` URL.
        create : bool
            Whether to make an empty archive where there is none.

        Raises
        ------
        StoreError
            If there is no archive there and `create` is false, or it is of another format, or
            the kind of URL is not supported.
        """
        parts = urlsplit(str(url))
        if parts.scheme not in ("", "file"):
            msg = f"{url}: an archive is a local folder; {parts.scheme}:// is not supported"
            raise StoreError(msg)
        root = Path(parts.path if parts.scheme else url)
        folder = Folder(root)
        expected = group_metadata({"geomon_archive": FORMAT})
        found = folder.read("zarr.json")
        if found is None:
            if not create:
                msg = f"{url}: no archive there"
                raise StoreError(msg)
            try:
                root.mkdir(parents=True, exist_ok=True)
                folder.put_if_absent("zarr.json", expected)
            except OSError as error:
                msg = f"{url}: no archive can be made there: {error.strerror}"
                raise StoreError(msg) from error
        elif found != expected:
            msg = f"{url}: not an archive of format {FORMAT}"
            raise StoreError(msg)
        if create:
            folder.sweep()
        return cls(folder)

    @property
    def root(self) -> Path:
        """Folder of the archive."""
        return self._folder.root

    def write(self, segments: Iterable[Segment], provenance: Provenance) -> tuple[WriteReport, ...]:
        """Add samples; what is held already changes nothing.

        Each station-day is replaced atomically and durably, under a lock, so several processes
        may write. The result does not depend on the order of writes or on how samples are cut
        into segments.

        Parameters
        ----------
        segments : iterable of Segment
            Samples of any channels, days, rates; int32, float32 or float64.
        provenance : Provenance
            Request that brought them.

        Returns
        -------
        tuple of WriteReport
            One for each sensor, sampling rate and day touched.

        Raises
        ------
        WaveformError
            If a segment has another sample type or an impossible rate; then nothing is written.
        CorruptObject
            If an object to be merged with is damaged; days before it are written.
        """
        days: dict[tuple[Series, date], list[Segment]] = {}
        for segment in segments:
            series = _series_of(segment)
            for day, part in _split_at_midnight(segment, Clock(series.sampling_rate_hz)):
                days.setdefault((series, day), []).append(part)
        reports = []
        for (series, day), parts in sorted(days.items(), key=lambda item: item[0]):
            change = self._write_day(series, day, parts, provenance)
            reports.append(WriteReport(series.stream_id, series.sampling_rate_hz, day, *change))
        return tuple(reports)

    def _write_day(
        self, series: Series, day: date, segments: Sequence[Segment], provenance: Provenance
    ) -> tuple[int, int, tuple[TimeSpan, ...]]:
        self._describe(series, day.year)
        key = series.day_key(day)
        with ExitStack() as stack:
            slot = stack.enter_context(self._folder.exclusive(key))
            stored = stack.enter_context(opened(self._folder, series, day))
            change = merge_day(stored, series, day, segments, provenance)
            if change.parts is not None:
                slot.replace(change.parts)
        logger.info(
            "archived %s %s rate=%g new=%d overflow=%d",
            series.stream_id, day, series.sampling_rate_hz, change.n_new_samples,
            change.n_overflow,
        )  # fmt: skip
        return change.n_new_samples, change.n_overflow, change.changed

    def _describe(self, series: Series, year: int) -> None:
        """Write the metadata that Zarr libraries open the year's array by."""
        names = series.folder.split("/")
        for depth in range(1, len(names) + 1):
            key = "/".join([*names[:depth], "zarr.json"])
            self._folder.put_if_absent(key, group_metadata({}))
        self._folder.put_if_absent(
            f"{series.array_key(year)}/zarr.json", series.array_metadata(year)
        )

    def read(
        self, seed_id: SeedId | str, start: datetime | int | str, end: datetime | int | str
    ) -> Waveforms:
        """Read one channel.

        Parameters
        ----------
        seed_id : SeedId or str
            Channel, as text ``NET.STA.LOC.CHA``.
        start, end : datetime, int or str
            Span [start, end): UTC-aware, nanoseconds since 1970, or ISO 8601.

        Returns
        -------
        Waveforms
            Without segments when nothing is archived there.

        Raises
        ------
        CorruptObject
            If a stored object is damaged where it has to be read.
        DataError
            If an id or a time cannot be understood.
        """
        channel = SeedId.parse(seed_id) if isinstance(seed_id, str) else seed_id
        span = TimeSpan(_as_ns(start), _as_ns(end))
        segments = self._segments(channel.stream_id, span, frozenset(channel.component))
        return Waveforms(span, (channel,), tuple(segments))

    def read_stream(self, stream_id: StreamId, span: TimeSpan) -> Waveforms:
        """Read all components of a sensor.

        Samples at different sampling rates, or of different types, are separate segments, and may
        overlap in time where both were recorded.

        Raises
        ------
        CorruptObject
            If a stored object is damaged where it has to be read.
        """
        segments = self._segments(stream_id, span, None)
        seed_ids = tuple(sorted({segment.seed_id for segment in segments}))
        return Waveforms(span, seed_ids, tuple(segments))

    def overflow(self, stream_id: StreamId, span: TimeSpan) -> tuple[Segment, ...]:
        """Read the samples that a read does not return, because others are held for their time.

        Raises
        ------
        CorruptObject
            If a stored object is damaged where it has to be read.
        """
        found: list[Segment] = []
        for series in series_of(self._folder, stream_id):
            for day in days_in(self._folder, series, span):
                with opened(self._folder, series, day) as stored:
                    if stored is not None:
                        found += hidden_segments(stored, span)
        return tuple(sorted(found, key=lambda s: (s.seed_id, s.start_ns, s.samples.size)))

    def requests(self, stream_id: StreamId, day: date) -> tuple[Provenance, ...]:
        """Return the requests that brought the samples of a day, sorted.

        A sample that several requests brought counts for the first of them in that order.

        Raises
        ------
        CorruptObject
            If a stored object is damaged where it has to be read.
        """
        found: set[Provenance] = set()
        for series in series_of(self._folder, stream_id):
            with opened(self._folder, series, day) as stored:
                if stored is not None:
                    found.update(stored.origins().requests)
        return tuple(sorted(found))

    def _segments(
        self, stream_id: StreamId, span: TimeSpan, components: frozenset[str] | None
    ) -> list[Segment]:
        segments: list[Segment] = []
        for series in series_of(self._folder, stream_id):
            of_series: list[Segment] = []
            days = days_in(self._folder, series, span)
            for first in range(0, len(days), _OPEN_DAYS):
                with ExitStack() as stack:
                    objects = [
                        stack.enter_context(opened(self._folder, series, day))
                        for day in days[first : first + _OPEN_DAYS]
                    ]
                    found = read_segments([o for o in objects if o is not None], span, components)
                of_series = rejoined(of_series, found) if of_series else found
            segments += of_series
        return sorted(segments, key=lambda segment: (segment.seed_id, segment.start_ns))

    def open_stream(self, stream_id: StreamId, span: TimeSpan) -> tuple[LazyStream, ...]:
        """Open a sensor's days as Dask arrays, one for each sampling rate and sample type.

        Nothing is read before the arrays are computed; each block is one station-day.
        """
        return tuple(
            lazy_stream(self.root, series, days)
            for series in series_of(self._folder, stream_id)
            if (days := days_in(self._folder, series, span, is_listed=True))
        )

    def streams(self) -> list[StreamId]:
        """Return the sensors the archive holds anything of, sorted."""
        return sorted({series.stream_id for series in all_series(self._folder)})

    def days(self, stream_id: StreamId) -> list[date]:
        """Return the days on which the archive holds anything of a sensor, in order."""
        return sorted(
            {day for s in series_of(self._folder, stream_id) for day in days_of(self._folder, s)}
        )

    def coverage(self, stream_id: StreamId, span: TimeSpan) -> dict[SeedId, list[TimeSpan]]:
        """Return where each channel of a sensor has samples, from the day records alone.

        Samples less than one and a half intervals apart leave no hole. A channel without
        samples in the span is absent.

        Raises
        ------
        CorruptObject
            If a day record is damaged.
        """
        found: dict[SeedId, list[TimeSpan]] = {}
        for series in series_of(self._folder, stream_id):
            records = [record for record, _ in records_in(self._folder, series, span)]
            for component, spans in covered(records, span).items():
                found.setdefault(stream_id.seed_id(component), []).extend(spans)
        return {seed_id: merged(spans) for seed_id, spans in sorted(found.items())}

    def fingerprints(self, stream_id: StreamId, spans: Sequence[TimeSpan]) -> list[str]:
        """Return a short text for each span that changes when a read of it may answer differently.

        Empty where nothing is archived. Nothing is decompressed, so asking is quick; now and then
        a text changes though the samples of the span did not.

        Raises
        ------
        CorruptObject
            If a day record is damaged.
        """
        marks: list[list[bytes]] = [[] for _ in spans]
        if not spans:
            return []
        whole = TimeSpan(min(s.start_ns for s in spans), max(s.end_ns for s in spans))
        for series in series_of(self._folder, stream_id):
            for day in days_in(self._folder, series, whole):
                with opened(self._folder, series, day) as stored:
                    if stored is not None:
                        found = fingerprints(stored, spans)
                        marks = [[*one, *more] for one, more in zip(marks, found, strict=True)]
        return [
            sha256(b"|".join(sorted(of_span))).hexdigest()[:10] if of_span else ""
            for of_span in marks
        ]

    def document(self, name: str) -> bytes | None:
        """Return a small document kept beside the waveforms, such as station metadata."""
        return self._folder.read(name)

    def keep_document(self, name: str, content: bytes) -> bool:
        """Keep a small document beside the waveforms; return whether it was new."""
        with self._folder.exclusive(name) as slot:
            if self._folder.read(name) == content:
                return False
            slot.replace([content])
        return True

    def info(self) -> tuple[SeriesInfo, ...]:
        """Return what the archive holds, one entry for each sensor, sampling rate and type.

        Raises
        ------
        CorruptObject
            If a day record is damaged.
        """
        return tuple(describe(self._folder))

    def verify(self, stream_ids: Collection[StreamId] | None = None) -> tuple[Finding, ...]:
        """Read every byte and name each object that is not as it was written.

        Parameters
        ----------
        stream_ids : collection of StreamId, optional
            Sensors to look at; all, and the archive's own folders, by default.
        """
        return tuple(sorted(findings(self._folder, stream_ids)))

    def export(
        self,
        ids: Iterable[SeedId | StreamId],
        span: TimeSpan,
        file: Path,
        *,
        format_version: Literal[2, 3] = 3,
    ) -> int:
        """Write miniSEED that reads back sample for sample and nanosecond for nanosecond.

        Parameters
        ----------
        ids : iterable of SeedId or StreamId
            Channels, or sensors with all their components.
        span : TimeSpan
            Samples timed in [start, end) are written.
        file : Path
            File to write; replaced when it exists, and only when all is well.
        format_version : {2, 3}
            miniSEED version. Version 2 holds microseconds.

        Returns
        -------
        int
            Number of samples written.

        Raises
        ------
        CorruptObject
            If a stored object is damaged where it has to be read.
        WaveformError
            If the format cannot hold the samples or their times exactly.
        """
        n_samples = 0
        partial = file.with_name(f"{file.name}.partial")
        try:
            with partial.open("wb") as out:
                for wanted in sorted(set(ids), key=str):
                    stream_id = wanted.stream_id if isinstance(wanted, SeedId) else wanted
                    component = wanted.component if isinstance(wanted, SeedId) else None
                    only = None if component is None else frozenset(component)
                    for part in span.steps(NS_PER_DAY):
                        for segment in self._segments(stream_id, part, only):
                            for record in records_of(segment, format_version):
                                out.write(record)
                            n_samples += segment.samples.size
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
        return n_samples


def _series_of(segment: Segment) -> Series:
    for sample_type in SAMPLE_TYPES:
        if segment.samples.dtype.newbyteorder("=") == np.dtype(sample_type):
            rate = float(segment.sampling_rate_hz)
            return Series(segment.seed_id.stream_id, rate, sample_type)
    msg = f"{segment.seed_id}: {segment.samples.dtype} samples cannot be archived; use int32"
    raise WaveformError(msg)


def _split_at_midnight(segment: Segment, clock: Clock) -> Iterator[tuple[date, Segment]]:
    """Yield the part of a segment in each UTC day."""
    slack = 0 if clock.is_whole else ROUNDING_NS
    first, size = 0, segment.samples.size
    while first < size:
        number = (segment.time_ns(first) + slack) // NS_PER_DAY
        midnight = (number + 1) * NS_PER_DAY - slack
        last = max(first + 1, clock.first_at_or_after(segment.start_ns, size, midnight))
        part = Segment(
            segment.seed_id,
            segment.time_ns(first),
            segment.sampling_rate_hz,
            np.asarray(segment.samples[first:last], segment.samples.dtype.newbyteorder("=")),
        )
        yield day_of(number * NS_PER_DAY), part
        first = last


def _as_ns(time: datetime | int | str) -> int:
    if isinstance(time, str):
        return parse_time(time)
    return to_ns(time) if isinstance(time, datetime) else int(time)
