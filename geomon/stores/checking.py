"""Finding what is wrong in an archive, and a way on: setting damaged objects aside.

Every object says what it is: a station-day's object its series and day, under checksums; the
metadata of groups and arrays follow from their names. So any other content is found, and so is
content that was right in another place.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256

from geomon.errors import StoreError, StoreUnavailable
from geomon.ids import StreamId
from geomon.stores.layout import FORMAT, Series, group_metadata, is_day_name, year_day
from geomon.stores.listing import all_series, days_of, opened, years_of
from geomon.stores.objects import ObjectStore, read_steadily
from geomon.stores.reading import covered
from geomon.times import TimeSpan, day_span, merged

ROOT_METADATA = group_metadata({"geomon_archive": FORMAT})

_METADATA = "zarr.json"
_ASIDE = ".damaged"
_ARRAY_DEPTH = 4  # NET/STA/LOC.BI@RATE/YEAR
_STRANGER = "not part of the archive"

type Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is in all."""


def unheard(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something wrong in the archive: which object, and what."""

    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """An object moved out of the way.

    Attributes
    ----------
    key, kept_as : str
        Its name, and the hidden name it has now.
    stream_id : StreamId, optional
        The sensor whose samples are missing now; None when the object held none.
    spans : tuple of TimeSpan
        Where they are missing, of any component: the whole day when its record cannot be read.
    """

    key: str
    kept_as: str
    stream_id: StreamId | None
    spans: tuple[TimeSpan, ...]


def findings(
    store: ObjectStore, stream_ids: Collection[StreamId] | None, progress: Progress
) -> Iterator[Finding]:
    """Yield what is wrong; with all sensors wanted, also what does not belong there.

    Parameters
    ----------
    store : ObjectStore
        Where the archive is.
    stream_ids : collection of StreamId, optional
        Sensors to look at.
    progress : callable
        Told how many series of how many have been read.

    Raises
    ------
    StoreUnavailable
        If the store does not answer.
    """
    known = all_series(store)
    if stream_ids is None:
        yield from _wrong_groups(store, known)
    wanted = [s for s in known if stream_ids is None or s.stream_id in stream_ids]
    for done, series in enumerate(wanted):
        progress(done, len(wanted))
        yield from _wrong_metadata(store, series)
        yield from _damaged_days(store, series)
    progress(len(wanted), len(wanted))


def set_aside(store: ObjectStore, key: str) -> SetAside | None:
    """Move an object to a hidden name, so that what it held can be fetched again.

    Nothing is deleted, and nothing is judged: the caller says that the object is damaged.

    Parameters
    ----------
    store : ObjectStore
        Where the archive is.
    key : str
        Name of the object, as `Finding.key` has it.

    Returns
    -------
    SetAside or None
        None when there is no object of that name.

    Raises
    ------
    StoreError
        If the name is hidden or leads out of the archive, or the object cannot be moved.
    """
    if any(not part or part.startswith(".") for part in key.split("/")):
        msg = f"{key!r}: not the name of an object in the archive"
        raise StoreError(msg)
    content = store.read(key)
    if content is None:
        return None
    stream_id, spans = _lost(store, key)
    kept_as = _hidden(key, sha256(content).hexdigest()[:12])
    if not store.move(key, kept_as):
        return None
    return SetAside(key, kept_as, stream_id, spans)


def _hidden(key: str, mark: str) -> str:
    """Name an object set aside: within its array's folder, where Zarr does not look around."""
    parts = key.split("/")
    home = parts[:_ARRAY_DEPTH] if len(parts) > _ARRAY_DEPTH else []
    return "/".join([*home, _ASIDE, *parts[len(home) :]]) + f".{mark}"


def _lost(store: ObjectStore, key: str) -> tuple[StreamId | None, tuple[TimeSpan, ...]]:
    """Return what is missing without an object: what its record says it covers, or its day."""
    parts = key.split("/")
    series = Series.parse(*parts[:3]) if len(parts) == 7 else None
    if series is None or parts[4:6] != ["c", "0"] or not parts[3].isdecimal():
        return None, ()
    year = int(parts[3])
    if not is_day_name(year, parts[6]):
        return None, ()
    day = year_day(year, int(parts[6]))
    try:
        with opened(store, series, day) as stored:
            found = {} if stored is None else covered(stored.record, day_span(day).padded(1))
    except StoreError:
        return series.stream_id, (day_span(day),)
    return series.stream_id, tuple(
        merged(TimeSpan(*interval) for intervals in found.values() for interval in intervals)
    )


def _wrong_groups(store: ObjectStore, known: Collection[Series]) -> Iterator[Finding]:
    """Yield what is wrong above the series: the groups' metadata, and strangers among them."""
    yield from _wrong(store, _METADATA, ROOT_METADATA, is_needed=bool(store.names()))
    filled = [series.folder for series in known if years_of(store, series)]
    documents = {entry.name for entry in store.listing("")}
    series_names = {series.folder.rpartition("/")[2] for series in known}
    for network in store.names():
        if network in documents:
            continue
        yield from _wrong_group(store, network, filled)
        files = {entry.name for entry in store.listing(network)}
        yield from _strangers(store, network, set(store.names(network)) - files | {_METADATA})
        for station in store.names(network):
            if station not in files:
                yield from _wrong_group(store, f"{network}/{station}", filled)
                yield from _strangers(store, f"{network}/{station}", {_METADATA, *series_names})


def _wrong_group(store: ObjectStore, prefix: str, filled: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with a group's metadata; an empty one may be without for a moment."""
    is_needed = any(name.startswith(f"{prefix}/") for name in filled)
    yield from _wrong(store, f"{prefix}/{_METADATA}", group_metadata({}), is_needed)


def _wrong_metadata(store: ObjectStore, series: Series) -> Iterator[Finding]:
    years = years_of(store, series)
    yield from _wrong_group(store, series.folder, [f"{series.folder}/" for _ in years])
    yield from _strangers(store, series.folder, {_METADATA, *map("{:04d}".format, years)})
    for year in years:
        array = series.array_key(year)
        names = store.names(array)
        metadata = series.array_metadata(year)
        yield from _wrong(store, f"{array}/{_METADATA}", metadata, "c" in names)
        yield from _strangers(store, array, {_METADATA, "c"})
        yield from _strangers(store, f"{array}/c", {"0"})
        prefix = series.days_prefix(year)
        for name in store.names(prefix):
            if not is_day_name(year, name):
                yield Finding(f"{prefix}/{name}", _STRANGER)


def _wrong(
    store: ObjectStore, key: str, expected: bytes, is_needed: bool = True
) -> Iterator[Finding]:
    """Yield what is wrong with an object whose content is known."""
    found = store.read(key)
    if found is None and is_needed:
        yield Finding(key, "missing")
    elif found not in (None, expected):
        yield Finding(key, "damaged: not the metadata of this place")


def _strangers(store: ObjectStore, prefix: str, expected: Collection[str]) -> Iterator[Finding]:
    for name in store.names(prefix):
        if name not in expected:
            yield Finding(f"{prefix}/{name}" if prefix else name, _STRANGER)


def _damaged_days(store: ObjectStore, series: Series) -> Iterator[Finding]:
    for day in days_of(store, series):

        def check() -> None:
            with opened(store, series, day) as stored:  # noqa: B023 - called before the next day
                if stored is not None:
                    stored.check()

        try:
            read_steadily(check)
        except StoreUnavailable:
            raise
        except StoreError as error:
            yield Finding(series.day_key(day), str(error))
