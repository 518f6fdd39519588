"""What an archive holds, and when: from day records and the index, without reading samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from geomon.ids import StreamId
from geomon.stores.index import summaries
from geomon.stores.layout import SampleType, Series, day_of
from geomon.stores.listing import FEW_DAYS, all_series, day_numbers, opened
from geomon.stores.objects import ObjectStore, read_steadily
from geomon.stores.reading import Interval, closed, covered
from geomon.times import NS_PER_DAY, TimeSpan


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What the archive holds of one sensor at one sampling rate and sample type.

    `n_samples` counts what a read returns, `n_overflow` what is kept beside it because other
    samples were recorded for the same time.
    """

    stream_id: StreamId
    sampling_rate_hz: float
    sample_type: SampleType
    components: tuple[str, ...]
    first_day: date
    last_day: date
    n_days: int
    n_samples: int
    n_overflow: int
    n_bytes: int


def describe(store: ObjectStore) -> Iterator[SeriesInfo]:
    """Yield what is held of each series.

    Raises
    ------
    CorruptObject
        If a day record is damaged.
    """
    for series in all_series(store):
        days = list(summaries(store, series))
        if days:
            yield SeriesInfo(
                stream_id=series.stream_id,
                sampling_rate_hz=series.sampling_rate_hz,
                sample_type=series.sample_type,
                components=tuple(sorted({letter for day in days for letter in day.intervals})),
                first_day=days[0].day,
                last_day=days[-1].day,
                n_days=len(days),
                n_samples=sum(day.n_samples for day in days),
                n_overflow=sum(day.n_overflow for day in days),
                n_bytes=sum(day.n_bytes for day in days),
            )


def coverage(store: ObjectStore, series: Series, span: TimeSpan) -> dict[str, list[TimeSpan]]:
    """Return, by component letter, the parts of a span with samples of one series.

    Samples less than one and a half intervals apart count as unbroken.

    Raises
    ------
    CorruptObject
        If a day record is damaged.
    """
    numbers = day_numbers(series, span)
    if len(numbers) <= FEW_DAYS:
        days = [_of_day(store, series, day_of(n * NS_PER_DAY), span) for n in numbers]
    else:
        days = [
            day.intervals
            if _is_within(day.intervals, span)
            else _of_day(store, series, day.day, span)
            for day in summaries(store, series, numbers)
        ]
    parts: dict[str, list[Interval]] = {}
    for intervals in days:
        for component, found in intervals.items():
            parts.setdefault(component, []).extend(found)
    return {
        component: [TimeSpan(*interval) for interval in closed(found, series)]
        for component, found in parts.items()
    }


def _is_within(intervals: Mapping[str, list[Interval]], span: TimeSpan) -> bool:
    return all(
        span.start_ns <= found[0][0] and found[-1][1] <= span.end_ns for found in intervals.values()
    )


def _of_day(
    store: ObjectStore, series: Series, day: date, span: TimeSpan
) -> dict[str, list[Interval]]:
    def read() -> dict[str, list[Interval]]:
        with opened(store, series, day) as stored:
            return {} if stored is None else covered(stored.record, span)

    return read_steadily(read)
