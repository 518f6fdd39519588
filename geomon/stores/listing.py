"""What is in an archive's folder: series, days, objects, found by their names."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from geomon.ids import StreamId
from geomon.stores.dayrecord import DayRecord
from geomon.stores.layout import Series, day_of, is_day_name, year_day
from geomon.stores.objects import Folder
from geomon.stores.shard import DayObject
from geomon.stores.timelines import Clock
from geomon.times import NS_PER_DAY, TimeSpan

ROUNDING_NS = 2
"""How far before midnight a sample of a rounded time line may belong after it."""

_FEW_DAYS = 8  # up to here objects are tried by name instead of listed


@contextmanager
def opened(folder: Folder, series: Series, day: date) -> Iterator[DayObject | None]:
    """Open a station-day's object; None when there is none.

    Raises
    ------
    CorruptObject
        If its index or record are damaged.
    """
    stored = folder.open(series.day_key(day))
    if stored is None:
        yield None
        return
    with stored:
        yield DayObject(stored, series, day)


def series_folders(folder: Folder) -> Iterator[str]:
    """Yield the folders at the place of series, whatever their names."""
    for network in folder.names():
        for station in folder.names(network):
            for name in folder.names(f"{network}/{station}"):
                if name != "zarr.json":
                    yield f"{network}/{station}/{name}"


def all_series(folder: Folder) -> list[Series]:
    """Return all series, sorted."""
    parsed = (Series.parse(*key.split("/")) for key in series_folders(folder))
    return sorted(series for series in parsed if series is not None)


def series_of(folder: Folder, stream_id: StreamId) -> list[Series]:
    """Return the series of one sensor: its sampling rates and sample types."""
    place = (stream_id.network, stream_id.station)
    parsed = (Series.parse(*place, name) for name in folder.names("/".join(place)))
    return sorted(s for s in parsed if s is not None and s.stream_id == stream_id)


def years_of(folder: Folder, series: Series) -> list[int]:
    """Return the years a series has an array for."""
    names = folder.names(series.folder)
    return [int(name) for name in names if name.isdecimal() and len(name) == 4]


def days_of(folder: Folder, series: Series) -> list[date]:
    """Return the days a series has an object for."""
    days: list[date] = []
    for year in years_of(folder, series):
        names = folder.names(f"{series.array_key(year)}/c/0")
        days += [year_day(year, int(name)) for name in names if is_day_name(year, name)]
    return sorted(days)


def days_in(
    folder: Folder, series: Series, span: TimeSpan, *, is_listed: bool = False
) -> list[date]:
    """Return the days that may hold samples in a span; only those with an object when listed."""
    if span.is_empty:
        return []
    slack = 0 if Clock(series.sampling_rate_hz).is_whole else ROUNDING_NS
    first = (span.start_ns - slack) // NS_PER_DAY
    last = (span.end_ns - 1 + slack) // NS_PER_DAY
    if last - first < _FEW_DAYS and not is_listed:
        return [day_of(number * NS_PER_DAY) for number in range(first, last + 1)]
    low, high = day_of(first * NS_PER_DAY), day_of(last * NS_PER_DAY)
    return [day for day in days_of(folder, series) if low <= day <= high]


def records_in(
    folder: Folder, series: Series, span: TimeSpan | None
) -> Iterator[tuple[DayRecord, int]]:
    """Yield the day records of a series with the size of their objects, in order.

    Raises
    ------
    CorruptObject
        If one is damaged.
    """
    days = days_of(folder, series) if span is None else days_in(folder, series, span)
    for day in days:
        with opened(folder, series, day) as stored:
            if stored is not None:
                yield stored.record, stored.n_bytes
