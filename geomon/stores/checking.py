"""Taking stock of an archive, and finding what is wrong in it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

from geomon.errors import CorruptObject
from geomon.ids import StreamId
from geomon.stores.layout import SampleType, Series, is_day_name
from geomon.stores.listing import (
    all_series,
    days_of,
    opened,
    records_in,
    series_folders,
    years_of,
)
from geomon.stores.objects import Folder


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something wrong in the archive: which object, and what."""

    key: str
    problem: str


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


def describe(folder: Folder) -> Iterator[SeriesInfo]:
    """Yield what is held of each series, from the day records.

    Raises
    ------
    CorruptObject
        If a day record is damaged.
    """
    for series in all_series(folder):
        days = list(records_in(folder, series, None))
        if days:
            yield SeriesInfo(
                stream_id=series.stream_id,
                sampling_rate_hz=series.sampling_rate_hz,
                sample_type=series.sample_type,
                components=tuple(sorted({c for record, _ in days for c in record.components})),
                first_day=days[0][0].day,
                last_day=days[-1][0].day,
                n_days=len(days),
                n_samples=sum(record.n_samples for record, _ in days),
                n_overflow=sum(record.n_overflow for record, _ in days),
                n_bytes=sum(n_bytes for _, n_bytes in days),
            )


def findings(folder: Folder, stream_ids: Collection[StreamId] | None) -> Iterator[Finding]:
    """Yield what is wrong; with all sensors wanted, also what does not belong there."""
    known = all_series(folder)
    for series in known:
        if stream_ids is None or series.stream_id in stream_ids:
            yield from _wrong_metadata(folder, series)
            yield from _damaged_days(folder, series)
    if stream_ids is None:
        names = {series.folder for series in known}
        for key in series_folders(folder):
            if key not in names:
                yield Finding(key, "not part of the archive")


def _wrong_metadata(folder: Folder, series: Series) -> Iterator[Finding]:
    years = years_of(folder, series)
    expected = {"zarr.json", *map(str, years)}
    for name in folder.names(series.folder):
        if name not in expected:
            yield Finding(f"{series.folder}/{name}", "not part of the archive")
    for year in years:
        key = f"{series.array_key(year)}/zarr.json"
        found = folder.read(key)
        if found is None:
            yield Finding(key, "missing")
        elif found != series.array_metadata(year):
            yield Finding(key, "damaged: not the metadata of this array")
        for name in folder.names(f"{series.array_key(year)}/c/0"):
            if not is_day_name(year, name):
                yield Finding(f"{series.array_key(year)}/c/0/{name}", "not part of the archive")


def _damaged_days(folder: Folder, series: Series) -> Iterator[Finding]:
    for day in days_of(folder, series):
        try:
            with opened(folder, series, day) as stored:
                if stored is not None:
                    stored.check()
        except CorruptObject as error:
            yield Finding(series.day_key(day), str(error))
