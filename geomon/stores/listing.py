"""What is in an archive: series, days, objects, found by their names."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from geomon.ids import StreamId
from geomon.stores.layout import Series, day_number, day_of, is_day_name, year_day
from geomon.stores.objects import ObjectStore
from geomon.stores.shard import DayObject
from geomon.stores.timelines import Clock
from geomon.times import NS_PER_DAY, TimeSpan

ROUNDING_NS = 2
"""How far before midnight a sample of a rounded time line may belong after it."""

FEW_DAYS = 8
"""Up to here objects are tried by name instead of listed."""


@contextmanager
def opened(store: ObjectStore, series: Series, day: date) -> Iterator[DayObject | None]:
    """Open a station-day's object; None when there is none.

    Raises
    ------
    CorruptObject
        If its index or record are damaged.
    """
    stored = store.open(series.day_key(day))
    if stored is None:
        yield None
        return
    with stored:
        yield DayObject(stored, series, day)


def series_folders(store: ObjectStore) -> Iterator[str]:
    """Yield the folders at the place of series, whatever their names."""
    for network in store.names():
        for station in store.names(network):
            for name in store.names(f"{network}/{station}"):
                if name != "zarr.json":
                    yield f"{network}/{station}/{name}"


def all_series(store: ObjectStore) -> list[Series]:
    """Return all series, sorted."""
    parsed = (Series.parse(*key.split("/")) for key in series_folders(store))
    return sorted(series for series in parsed if series is not None)


def series_of(store: ObjectStore, stream_id: StreamId) -> list[Series]:
    """Return the series of one sensor: its sampling rates and sample types."""
    place = (stream_id.network, stream_id.station)
    parsed = (Series.parse(*place, name) for name in store.names("/".join(place)))
    return sorted(s for s in parsed if s is not None and s.stream_id == stream_id)


def years_of(store: ObjectStore, series: Series) -> list[int]:
    """Return the years a series has an array for."""
    names = store.names(series.folder)
    return [int(name) for name in names if name.isdecimal() and len(name) == 4 and int(name)]


def days_of(store: ObjectStore, series: Series) -> list[date]:
    """Return the days a series has an object for."""
    days: list[date] = []
    for year in years_of(store, series):
        names = store.names(series.days_prefix(year))
        days += [year_day(year, int(name)) for name in names if is_day_name(year, name)]
    return sorted(days)


def day_numbers(series: Series, span: TimeSpan) -> range:
    """Return the days, counted from 1970, that may hold samples in a span."""
    if span.is_empty:
        return range(0)
    slack = 0 if Clock(series.sampling_rate_hz).is_whole else ROUNDING_NS
    return range((span.start_ns - slack) // NS_PER_DAY, (span.end_ns - 1 + slack) // NS_PER_DAY + 1)


def days_in(
    store: ObjectStore, series: Series, span: TimeSpan, *, is_listed: bool = False
) -> list[date]:
    """Return the days that may hold samples in a span; only those with an object when listed."""
    numbers = day_numbers(series, span)
    if len(numbers) <= FEW_DAYS and not is_listed:
        return [day_of(number * NS_PER_DAY) for number in numbers]
    return [day for day in days_of(store, series) if day_number(day) in numbers]
