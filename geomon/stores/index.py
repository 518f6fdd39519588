"""What each day of an array covers, kept beside it so that asking opens one object, not hundreds.

The index is a copy of what the day records say, and only that: each entry names the version of
the object it was read from, and counts only while the object's listing says the same. Objects that
are newer, or an index that is damaged, lost or of another array, cost time and change no answer.
Writers of waveforms leave it alone; who finds much of it out of date renews it.

The content is the CRC-32C and the zlib-compressed JSON of::

    {"format": 1, "array": "NET/STA/LOC.BI@RATE/YEAR",
     "days": {"DAY": [version, n_bytes, n_samples, n_overflow, {component: [start, end, …]}]}}

with starts and ends in nanoseconds of the day.
"""

import json
import logging
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import google_crc32c

from geomon.errors import StoreError
from geomon.stores.layout import Series, day_number, is_day_name, year_day
from geomon.stores.listing import opened, years_of
from geomon.stores.objects import ObjectStore, StoredObject, read_steadily
from geomon.stores.reading import Interval, covered
from geomon.times import TimeSpan, day_span

logger = logging.getLogger(__name__)

_FORMAT = 1
_CRC = struct.Struct("<I")
_FEW = 4  # days out of date that are as well read each time as written to the index
_ALWAYS = TimeSpan(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class DaySummary:
    """What one day's object holds.

    Attributes
    ----------
    day : date
        The day.
    version : str
        Version of the object.
    n_bytes, n_samples, n_overflow : int
        Size of the object, samples a read returns, samples kept out of sight.
    intervals : dict of str to list of (int, int)
        Where each component has samples: starts and ends in ns.
    """

    day: date
    version: str
    n_bytes: int
    n_samples: int
    n_overflow: int
    intervals: dict[str, list[Interval]]


def summaries(
    store: ObjectStore, series: Series, numbers: Collection[int] | None = None
) -> Iterator[DaySummary]:
    """Yield what the days of a series hold, in order.

    Parameters
    ----------
    store : ObjectStore
        Where the archive is.
    series : Series
        Sensor, rate and sample type.
    numbers : collection of int, optional
        Days wanted, counted from 1970; all by default.

    Raises
    ------
    CorruptObject
        If a day record that has to be read is damaged.
    """
    for year in years_of(store, series):
        first, last = (day_number(date(year, *day)) for day in ((1, 1), (12, 31)))
        if numbers is None or any(number in numbers for number in range(first, last + 1)):
            found = _of_year(store, series, year)
            wanted = [day for day in found if numbers is None or first + day in numbers]
            yield from _read(store, series, year, found, wanted)


def index_key(series: Series, year: int) -> str:
    """Name of the index of a year's array."""
    return f"{series.array_key(year)}/.index"


def _of_year(store: ObjectStore, series: Series, year: int) -> dict[int, str]:
    """Return the version of each day's object, by the number of the day in its year."""
    return {
        int(entry.name): entry.version
        for entry in sorted(store.listing(series.days_prefix(year)), key=lambda e: len(e.name))
        if is_day_name(year, entry.name)
    }


def _read(
    store: ObjectStore, series: Series, year: int, versions: Mapping[int, str], days: Sequence[int]
) -> Iterator[DaySummary]:
    """Yield days from the index, or from their objects where it does not know them."""
    key = index_key(series, year)
    known = _decoded(series, year, store.read(key))
    stale = [day for day in days if day not in known or known[day].version != versions[day]]
    read = _from_objects(store, series, [year_day(year, day) for day in stale])
    fresh = {day: found for day, found in zip(stale, read, strict=True) if found is not None}
    if len(fresh) > _FEW:
        _renew(store, series, year, versions, fresh)
    for day in days:
        found = fresh.get(day) if day in stale else known[day]
        if found is not None:
            yield found


def _from_objects(
    store: ObjectStore, series: Series, days: Sequence[date]
) -> list[DaySummary | None]:
    def read(day: date) -> DaySummary | None:
        return read_steadily(lambda: _from_object(store, series, day))

    if store.n_readers == 1 or len(days) < 2:
        return [read(day) for day in days]
    with ThreadPoolExecutor(min(store.n_readers, len(days))) as pool:
        return list(pool.map(read, days))


def _from_object(store: ObjectStore, series: Series, day: date) -> DaySummary | None:
    with opened(store, series, day) as stored:
        if stored is None:
            return None
        record = stored.record
        return DaySummary(
            day,
            stored.version,
            stored.n_bytes,
            record.n_samples,
            record.n_overflow,
            covered(record, _ALWAYS),
        )


def _renew(
    store: ObjectStore,
    series: Series,
    year: int,
    versions: Mapping[int, str],
    fresh: Mapping[int, DaySummary],
) -> None:
    """Add days to the index, and forget those whose objects are others now, or gone."""

    def change(stored: StoredObject | None) -> list[bytes] | None:
        before = None if stored is None else stored.read(0, stored.size)
        known = _decoded(series, year, before)
        kept = {day: entry for day, entry in known.items() if versions.get(day) == entry.version}
        after = _encoded(series, year, {**kept, **fresh})
        return None if after == before else [after]

    try:
        store.update(index_key(series, year), change)
    except StoreError as error:  # an archive may be open to readers only
        logger.debug("%s %s: index not renewed: %s", series.folder, year, error)


def _encoded(series: Series, year: int, days: Mapping[int, DaySummary]) -> bytes:
    entries = {}
    for number, day in sorted(days.items()):
        start_ns = day_span(day.day).start_ns
        spans = {
            component: [edge - start_ns for interval in found for edge in interval]
            for component, found in sorted(day.intervals.items())
        }
        entries[str(number)] = [day.version, day.n_bytes, day.n_samples, day.n_overflow, spans]
    document = {"format": _FORMAT, "array": series.array_key(year), "days": entries}
    content = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 6)
    return _CRC.pack(google_crc32c.value(content)) + content


def _decoded(series: Series, year: int, content: bytes | None) -> dict[int, DaySummary]:
    """Read an index; empty when there is none, or it is damaged or of another array."""
    if content is None or len(content) < _CRC.size:
        return {}
    if google_crc32c.value(content[_CRC.size :]) != _CRC.unpack_from(content)[0]:
        return {}
    document = json.loads(zlib.decompress(content[_CRC.size :]))
    if (document["format"], document["array"]) != (_FORMAT, series.array_key(year)):
        return {}
    found = {}
    for name, (version, n_bytes, n_samples, n_overflow, edges) in document["days"].items():
        day = year_day(year, int(name))
        start_ns = day_span(day).start_ns
        intervals = {
            component: [
                (start_ns + first, start_ns + last)
                for first, last in zip(ends[::2], ends[1::2], strict=True)
            ]
            for component, ends in edges.items()
        }
        found[int(name)] = DaySummary(day, version, n_bytes, n_samples, n_overflow, intervals)
    return found
