"""The waveform archive: samples exactly as recorded, one Zarr v3 shard a station-day.

Layout and guarantees are described in `geomon.stores.layout` (names and shapes),
`geomon.stores.shard` (the bytes of an object) and `geomon.stores.timelines` (merging). The only
writer is `Archive.write`; any Zarr v3 library with pcodec may read.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from geomon.errors import NotMade, StoreError
from geomon.ids import SeedId, StreamId
from geomon.miniseed import exact_records
from geomon.stores.availability import SeriesInfo, coverage, describe
from geomon.stores.bucket import Bucket
from geomon.stores.checking import (
    ROOT_METADATA,
    Finding,
    Progress,
    SetAside,
    findings,
    set_aside,
    unheard,
)
from geomon.stores.folder import Folder
from geomon.stores.layout import FORMAT, Series
from geomon.stores.lazy import LazyStream, lazy_stream
from geomon.stores.listing import all_series, days_in, days_of, opened, series_of
from geomon.stores.objects import ObjectStore, StoredObject, read_steadily
from geomon.stores.reading import fingerprints, hidden_segments, read_segments, rejoined
from geomon.stores.shard import DayObject
from geomon.stores.writing import WriteReport, write_segments
from geomon.times import NS_PER_DAY, TimeSpan, day_span, merged, parse_time, to_ns
from geomon.waveforms import Provenance, Segment, Waveforms

_OPEN_DAYS = 64  # objects open at once
_EXPORT_SAMPLES = 8_000_000  # read at once by an export
_MARGIN_S = 1e-6  # a day's object may hold samples a rounding before its midnight


class Archive:
    """Waveforms of a network in a local folder or an S3 bucket; may be pickled.

    Parameters
    ----------
    store : ObjectStore
        Where the objects are. Use `Archive.open`.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True) -> "Archive":
        """Open an archive; one that is not there yet is made by the first write.

        Parameters
        ----------
        url : str or Path
            Path of a folder, also as ``file://`` URL, or ``s3://bucket/prefix``; see
            `geomon.stores.bucket` for where endpoint and credentials come from.
        create : bool
            Whether there may be none yet.

        Raises
        ------
        NotMade
            If there is no archive there and `create` is false.
        StoreError
            If it is of another format, or the kind of URL is not supported, or the place cannot
            be used.
        """
        store = store_at(url)
        found = store.read("zarr.json")
        if found is None:
            if not create:
                msg = f"{url}: no archive there yet"
                raise NotMade(msg)
        elif found != ROOT_METADATA:
            msg = (
                f"{url}: not an archive of format {FORMAT}; choose another archive.url, or the "
                "version of geomon that made it"
            )
            raise StoreError(msg)
        if create:
            store.sweep()
        return cls(store)

    @property
    def url(self) -> str:
        """Path of the archive's folder, or ``s3://bucket/prefix``."""
        return self._store.url

    def _make(self) -> None:
        """Say that this is an archive, before anything is written to it.

        Raises
        ------
        StoreError
            If nothing can be written there.
        """
        try:
            self._store.put_if_absent("zarr.json", ROOT_METADATA)
        except StoreError as error:
            msg = f"{self.url}: no archive can be made there: {error}"
            raise type(error)(msg) from error

    def write(self, segments: Iterable[Segment], provenance: Provenance) -> tuple[WriteReport, ...]:
        """Add samples; what is held already changes nothing.

        Each station-day is replaced atomically and durably, so several processes may write. The
        result does not depend on the order of writes or on how samples are cut into segments.

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
            If an object to be merged with is damaged; all other days are written. See
            `set_aside` for the way on.
        StoreError
            If the store fails, for example because the disk is full; days before are written.
        """
        return write_segments(self._store, segments, provenance, prepare=self._make)

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
        for series, day in self._days(stream_id, span):
            found += self._of_day(series, day, lambda stored: hidden_segments(stored, span)) or []
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
        for series in series_of(self._store, stream_id):
            found.update(self._of_day(series, day, lambda stored: stored.origins().requests) or ())
        return tuple(sorted(found))

    def _days(self, stream_id: StreamId, span: TimeSpan) -> Iterator[tuple[Series, date]]:
        """Yield the objects that may hold samples of a sensor in a span."""
        for series in series_of(self._store, stream_id):
            for day in days_in(self._store, series, span):
                yield series, day

    def _of_day[T](self, series: Series, day: date, read: Callable[[DayObject], T]) -> T | None:
        """Return what a function reads from a station-day's object; None when there is none."""

        def opened_and_read() -> T | None:
            with opened(self._store, series, day) as stored:
                return None if stored is None else read(stored)

        return read_steadily(opened_and_read)

    def _segments(
        self, stream_id: StreamId, span: TimeSpan, components: frozenset[str] | None
    ) -> list[Segment]:
        segments: list[Segment] = []
        for series in series_of(self._store, stream_id):
            of_series: list[Segment] = []
            days = days_in(self._store, series, span)
            for first in range(0, len(days), _OPEN_DAYS):
                batch = days[first : first + _OPEN_DAYS]

                def read() -> list[Segment]:
                    with ExitStack() as stack:
                        found = (
                            stack.enter_context(opened(self._store, series, day))  # noqa: B023
                            for day in batch  # noqa: B023 - called before the next batch
                        )
                        objects = [stored for stored in found if stored is not None]
                        return read_segments(objects, span, components)

                found = read_steadily(read)
                of_series = rejoined(of_series, found) if of_series else found
            segments += of_series
        return sorted(segments, key=lambda segment: (segment.seed_id, segment.start_ns))

    def open_stream(self, stream_id: StreamId, span: TimeSpan) -> tuple[LazyStream, ...]:
        """Open a sensor's days as Dask arrays, one for each sampling rate and sample type.

        Nothing is read before the arrays are computed; each block is one station-day.
        """
        return tuple(
            lazy_stream(self._store, series, days)
            for series in series_of(self._store, stream_id)
            if (days := days_in(self._store, series, span, is_listed=True))
        )

    def streams(self) -> list[StreamId]:
        """Return the sensors the archive holds anything of, sorted."""
        return sorted({series.stream_id for series in all_series(self._store)})

    def days(self, stream_id: StreamId) -> list[date]:
        """Return the days on which the archive holds anything of a sensor, in order."""
        return sorted(
            {day for s in series_of(self._store, stream_id) for day in days_of(self._store, s)}
        )

    def coverage(self, stream_id: StreamId, span: TimeSpan) -> dict[SeedId, list[TimeSpan]]:
        """Return where each channel of a sensor has samples, without reading samples.

        Samples less than one and a half intervals apart leave no hole. A channel without
        samples in the span is absent.

        Raises
        ------
        CorruptObject
            If a day record is damaged.
        """
        found: dict[SeedId, list[TimeSpan]] = {}
        for (seed_id, _), spans in self.coverage_by_rate(stream_id, span).items():
            found.setdefault(seed_id, []).extend(spans)
        return {seed_id: merged(spans) for seed_id, spans in sorted(found.items())}

    def coverage_by_rate(
        self, stream_id: StreamId, span: TimeSpan
    ) -> dict[tuple[SeedId, float], list[TimeSpan]]:
        """Return what `coverage` does, apart for each sampling rate in Hz.

        Raises
        ------
        CorruptObject
            If a day record is damaged.
        """
        found: dict[tuple[SeedId, float], list[TimeSpan]] = {}
        for series in series_of(self._store, stream_id):
            for component, spans in coverage(self._store, series, span).items():
                key = (stream_id.seed_id(component), series.sampling_rate_hz)
                found.setdefault(key, []).extend(spans)
        return {key: merged(spans) for key, spans in sorted(found.items())}

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
        for series, day in self._days(stream_id, whole):
            found = self._of_day(series, day, lambda stored: fingerprints(stored, spans))
            if found is not None:
                marks = [[*one, *more] for one, more in zip(marks, found, strict=True)]
        return [
            sha256(b"|".join(sorted(of_span))).hexdigest()[:10] if of_span else ""
            for of_span in marks
        ]

    def document(self, name: str) -> bytes | None:
        """Return a small document kept beside the waveforms, such as station metadata."""
        return self._store.read(name)

    def keep_document(self, name: str, content: bytes) -> bool:
        """Keep a small document beside the waveforms; return whether it was new.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        self._make()

        def change(stored: StoredObject | None) -> list[bytes] | None:
            is_same = stored is not None and stored.read(0, stored.size) == content
            return None if is_same else [content]

        return self._store.update(name, change)

    def info(self) -> tuple[SeriesInfo, ...]:
        """Return what the archive holds, one entry for each sensor, sampling rate and type.

        Raises
        ------
        CorruptObject
            If a day record is damaged.
        """
        return tuple(describe(self._store))

    def verify(
        self,
        stream_ids: Collection[StreamId] | None = None,
        *,
        progress: Progress = unheard,
    ) -> tuple[Finding, ...]:
        """Read every byte and name each object that is not as it was written.

        Parameters
        ----------
        stream_ids : collection of StreamId, optional
            Sensors to look at; all, and the archive's own folders, by default.
        progress : callable
            Told how many sensors and rates of how many have been read.
        """
        return tuple(sorted(findings(self._store, stream_ids, progress)))

    def set_aside(self, key: str) -> SetAside | None:
        """Move a damaged object out of the way, so that the next ingest fetches its day again.

        The object is kept under a hidden name. On S3 no writer should be at the same object.

        Parameters
        ----------
        key : str
            Name of the object, as `Finding.key` has it.

        Returns
        -------
        SetAside or None
            What is missing now; None when there is no object of that name.

        Raises
        ------
        StoreError
            If the name is hidden or leads out of the archive, or the object cannot be moved.
        """
        return set_aside(self._store, key)

    def export(
        self,
        ids: Iterable[SeedId | StreamId],
        span: TimeSpan,
        file: Path,
        *,
        format_version: Literal[2, 3] = 3,
        progress: Progress = unheard,
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
        progress : callable
            Told how many of the ids have been written.

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
                wanted = sorted(set(ids), key=str)
                for done, one in enumerate(wanted):
                    progress(done, len(wanted))
                    for segment in self._in_pieces(one, span):
                        for record in exact_records(segment, format_version):
                            out.write(record)
                        n_samples += segment.samples.size
                progress(len(wanted), len(wanted))
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
        return n_samples

    def _in_pieces(self, wanted: SeedId | StreamId, span: TimeSpan) -> Iterator[Segment]:
        """Yield the segments of a channel or sensor, never many samples at a time."""
        stream_id = wanted.stream_id if isinstance(wanted, SeedId) else wanted
        only = frozenset(wanted.component) if isinstance(wanted, SeedId) else None
        found = series_of(self._store, stream_id)
        n_samples = sum(3 * 86_400 * series.sampling_rate_hz for series in found)
        step_ns = NS_PER_DAY // max(1, math.ceil(n_samples / _EXPORT_SAMPLES))
        days = {day for s in found for day in days_in(self._store, s, span, is_listed=True)}
        for whole in merged(day_span(day).padded(_MARGIN_S) for day in days):
            for part in whole.intersection(span).steps(step_ns):
                yield from self._segments(stream_id, part, only)


def store_at(url: str | Path) -> ObjectStore:
    """Return the store of objects at a place, of whatever it holds.

    Raises
    ------
    StoreError
        If the kind of URL is not supported, or the place cannot be used.
    """
    parts = urlsplit(str(url))
    if parts.scheme == "s3":
        return Bucket(str(url))
    if parts.scheme not in ("", "file"):
        msg = f"{url}: an archive is a folder or s3://bucket/prefix, not {parts.scheme}://"
        raise StoreError(msg)
    return Folder(Path(unquote(parts.path) if parts.scheme else url))


def _as_ns(time: datetime | int | str) -> int:
    if isinstance(time, str):
        return parse_time(time)
    return to_ns(time) if isinstance(time, datetime) else int(time)
