"""How good each channel's record of each day is, as it was measured last.

Rows are replaced, never kept as history: the record they speak of is in the archive, and can be
measured again. A row names what it was measured from by the fingerprint of its stream-day.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, select

from geomon.ids import SeedId, StreamId
from geomon.processing.psd import PsdSummary
from geomon.processing.quality import Quality
from geomon.stores.database import Database, Run, Write, stream_ids
from geomon.stores.schema import quality as table
from geomon.stores.schema import stream as stream_table
from geomon.times import TimeSpan, day_span, format_ns, from_ns

_FIELDS = tuple(field.name for field in fields(Quality))
_COLUMNS = tuple(name for name in _FIELDS if name in table.c)
_DETAILS = tuple(name for name in _FIELDS if name not in table.c)
_SPANS = ("longest_flat", "longest_odd")


@dataclass(frozen=True, slots=True)
class DayQuality:
    """What one channel's day is worth.

    Attributes
    ----------
    seed_id, day
        The channel and UTC day.
    quality : Quality
        What was measured of the samples.
    psd : PsdSummary or None
        Its noise; None when there is too little data, or when it was not read.
    timing_quality : float or None
        What the digitiser itself says of its clock, percent (blockette 1001 of miniSEED 2,
        ``FDSN.Time.Quality`` of miniSEED 3), mean of the records that came last; None when it says
        nothing. Without it, the clock steps of `quality` tell something of the clock.
    above_low_db, above_high_db : float or None
        See `PsdSummary`; known without reading the spectra.
    assessed_ns : int
        When it was measured.
    """

    seed_id: SeedId
    day: date
    quality: Quality
    psd: PsdSummary | None = None
    timing_quality: float | None = None
    above_low_db: float | None = None
    above_high_db: float | None = None
    assessed_ns: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the spectra."""
        measured = asdict(self.quality)
        for name in _SPANS:
            measured[name] = [
                {"start": format_ns(span.start_ns), "end": format_ns(span.end_ns)}
                for span in getattr(self.quality, name)
            ]
        return {
            "channel": str(self.seed_id),
            "day": self.day.isoformat(),
            **measured,
            "timing_quality": self.timing_quality,
            "above_low_db": self.above_low_db,
            "above_high_db": self.above_high_db,
            "assessed": format_ns(self.assessed_ns),
        }


class Qualities:
    """The measured days of one catalogue's network."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(
        self,
        stream_id: StreamId,
        day: date,
        rows: Sequence[DayQuality],
        *,
        fingerprint: str,
        run: Run | None = None,
    ) -> bool:
        """Make `rows` what is known of a stream's day.

        Parameters
        ----------
        stream_id, day
            The stream-day.
        rows : sequence of DayQuality
            One for each channel with samples.
        fingerprint : str
            Of all they were measured from. When the rows held name the same, nothing is written.
        run : Run, optional
            Who measured; a run of its own when not given.

        Returns
        -------
        bool
            Whether anything was written.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """
        day_ns = day_span(day).start_ns

        def work(write: Write) -> bool:
            stream = write.find_stream(stream_id)
            if stream is not None:
                is_day = (table.c.stream == stream) & (table.c.day_ns == day_ns)
                held = write.connection.scalars(select(table.c.fingerprint).where(is_day)).all()
                if set(held) == {fingerprint} or (not held and not rows):
                    return False
                write.connection.execute(delete(table).where(is_day))
            run_key = write.run_key()
            common = {
                "stream": write.stream(stream_id) if stream is None else stream,
                "day_ns": day_ns,
                "fingerprint": fingerprint,
                "run": run_key,
            }
            write.insert(table, [_values(row) | common for row in rows])
            return True

        return self._database.write(run or Run.begin("quality"), work)

    def held(self, stream_id: StreamId, day: date) -> tuple[str, int] | None:
        """Return the fingerprint a stream's day was measured from, and when; None if never."""
        query = _joined_on(stream_id, select(table.c.fingerprint, table.c.assessed_ns))
        with self._database.read() as connection:
            row = connection.execute(
                query.where(table.c.day_ns == day_span(day).start_ns).limit(1)
            ).first()
        return None if row is None else (row.fingerprint, row.assessed_ns)

    def find(
        self,
        span: TimeSpan,
        *,
        streams: Collection[StreamId] | None = None,
        component: str | None = None,
        with_psd: bool = False,
    ) -> list[DayQuality]:
        """Return the days that touch a span, in (channel, day) order.

        Parameters
        ----------
        span : TimeSpan
            Time of interest.
        streams : collection of StreamId, optional
            Only these; all by default.
        component : str, optional
            Only this one.
        with_psd : bool
            Whether to read the spectra, which are most of what is stored.
        """
        days = span.days()
        if not days:
            return []
        columns = [column for column in table.c if with_psd or column.name != "psd"]
        conditions: list[ColumnElement[bool]] = [
            table.c.day_ns >= day_span(days[0]).start_ns,
            table.c.day_ns < span.end_ns,
        ]
        if component is not None:
            conditions.append(table.c.component == component)
        with self._database.read() as connection:
            named = stream_ids(connection)
            if streams is not None:
                wanted = set(streams)
                keys = [key for key, stream_id in named.items() if stream_id in wanted]
                conditions.append(table.c.stream.in_(keys))
            rows = connection.execute(select(*columns).where(*conditions)).all()
        found = [_day_quality(row._mapping, named[row.stream]) for row in rows]
        return sorted(found, key=lambda row: (row.seed_id, row.day))


def _joined_on[Row: tuple[Any, ...]](stream_id: StreamId, query: Select[Row]) -> Select[Row]:
    return query.join(stream_table, stream_table.c.id == table.c.stream).where(
        stream_table.c.network == stream_id.network,
        stream_table.c.station == stream_id.station,
        stream_table.c.location == stream_id.location,
        stream_table.c.band_instrument == stream_id.band_instrument,
    )


def _values(row: DayQuality) -> dict[str, Any]:
    measured = asdict(row.quality)
    details = {name: measured[name] for name in _DETAILS}
    for name in _SPANS:
        details[name] = [[span.start_ns, span.end_ns] for span in getattr(row.quality, name)]
    return {
        **{name: measured[name] for name in _COLUMNS},
        "component": row.seed_id.component,
        "assessed_ns": row.assessed_ns,
        "timing_quality": row.timing_quality,
        "above_low_db": row.psd.above_low_db if row.psd else None,
        "above_high_db": row.psd.above_high_db if row.psd else None,
        "details": _as_json(details),
        "psd": None if row.psd is None else _as_json(asdict(row.psd)),
    }


def _day_quality(row: Any, stream_id: StreamId) -> DayQuality:  # noqa: ANN401 - a row by names
    details = json.loads(row["details"])
    # Rows of earlier versions lack what is measured since.
    known = {name: details[name] for name in _DETAILS if name in details}
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    spans = {name: tuple(TimeSpan(*span) for span in known.get(name, ())) for name in _SPANS}
    measured = {name: row[name] for name in _COLUMNS} | known | lists | spans
    spectra = row.get("psd")
    return DayQuality(
        seed_id=stream_id.seed_id(row["component"]),
        day=from_ns(row["day_ns"]).date(),
        quality=Quality(**measured),
        psd=None if spectra is None else _psd(json.loads(spectra)),
        timing_quality=row["timing_quality"],
        above_low_db=row["above_low_db"],
        above_high_db=row["above_high_db"],
        assessed_ns=row["assessed_ns"],
    )


def _psd(document: dict[str, Any]) -> PsdSummary:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    return PsdSummary(**values)


def _as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), sort_keys=True)
