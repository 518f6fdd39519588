"""Writing to an archive: segments sorted into station-days, each merged and replaced as a whole."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from geomon.errors import CorruptObject, WaveformError
from geomon.ids import StreamId
from geomon.stores.layout import SAMPLE_TYPES, Series, day_of, group_metadata
from geomon.stores.listing import ROUNDING_NS
from geomon.stores.objects import ObjectStore, StoredObject
from geomon.stores.shard import DayObject
from geomon.stores.stationday import DayChange, merge_day
from geomon.stores.timelines import Clock
from geomon.times import NS_PER_DAY, TimeSpan, merged
from geomon.waveforms import Provenance, Segment

logger = logging.getLogger(__name__)


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


def write_segments(
    store: ObjectStore,
    segments: Iterable[Segment],
    provenance: Provenance,
    *,
    prepare: Callable[[], None],
) -> tuple[WriteReport, ...]:
    """Add samples to an archive; see `Archive.write`.

    `prepare` is called once all segments are known to be allowed, before anything is written.

    Raises
    ------
    WaveformError
        If a segment has another sample type or an impossible rate; then nothing is written.
    CorruptObject
        If objects to be merged with are damaged; all other days are written.
    """
    days: dict[tuple[Series, date], list[Segment]] = {}
    for segment in segments:
        series = _series_of(segment)
        for day, part in _split_at_midnight(segment, Clock(series.sampling_rate_hz)):
            days.setdefault((series, day), []).append(part)
    prepare()
    reports: list[WriteReport] = []
    damaged: list[CorruptObject] = []
    for (series, day), parts in sorted(days.items(), key=lambda item: item[0]):
        try:
            reports.append(_write_day(store, series, day, parts, provenance))
        except CorruptObject as error:
            damaged.append(error)
    if damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        raise CorruptObject(f"{damaged[0]}{more}") from damaged[0]
    return tuple(reports)


def _write_day(
    store: ObjectStore,
    series: Series,
    day: date,
    segments: Sequence[Segment],
    provenance: Provenance,
) -> WriteReport:
    _describe(store, series, day.year)
    tries: list[DayChange] = []

    def change(stored: StoredObject | None) -> list[bytes] | None:
        present = None if stored is None else DayObject(stored, series, day)
        tries.append(merge_day(present, series, day, segments, provenance))
        return tries[-1].parts

    store.update(series.day_key(day), change)
    last = tries[-1]
    logger.info(
        "archived %s %s rate=%g new=%d overflow=%d",
        series.stream_id, day, series.sampling_rate_hz, last.n_new_samples, last.n_overflow,
    )  # fmt: skip
    return WriteReport(
        series.stream_id,
        series.sampling_rate_hz,
        day,
        last.n_new_samples,
        last.n_overflow,
        # A try that seemed to fail may have been the one that changed the object.
        tuple(merged(span for attempt in tries for span in attempt.changed)),
    )


def _describe(store: ObjectStore, series: Series, year: int) -> None:
    """Write the metadata that Zarr libraries open the year's array by."""
    names = series.folder.split("/")
    for depth in range(1, len(names) + 1):
        store.put_if_absent("/".join([*names[:depth], "zarr.json"]), group_metadata({}))
    store.put_if_absent(f"{series.array_key(year)}/zarr.json", series.array_metadata(year))


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
