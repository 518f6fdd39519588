"""The catalogue: picks and events, versioned, with every change attributed to a run."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from sqlalchemy import Connection, func, select

from geomon.errors import DataError, NotHeld
from geomon.events import EvaluationMode, Event, Phase, Pick, ReviewState
from geomon.ids import StreamId
from geomon.stores import (
    importing,
    pick_queries,
    pick_rows,
    queries,
    replacing,
    reviewing,
    schema,
)
from geomon.stores.changes import EventChange, changes
from geomon.stores.comparing import EventDifference, differences
from geomon.stores.database import Database, Run, Write
from geomon.stores.event_rows import load_events
from geomon.stores.eventlist import EventList, PickList
from geomon.stores.gaps import Gaps
from geomon.stores.importing import ImportReport
from geomon.stores.ledger import Ledger
from geomon.stores.pick_queries import PickQuery
from geomon.stores.pick_rows import PicksChange
from geomon.stores.quakeml_reading import read_quakeml
from geomon.stores.quality import Qualities
from geomon.stores.queries import OWN, Circle, EventQuery, Order, Time
from geomon.stores.replacing import EventsChange
from geomon.stores.requests import Requests
from geomon.times import TimeSpan, from_ns

_NAME = re.compile(r"[\w.-]{1,64}")


def _nothing(write: Write) -> None:
    """Write nothing more."""


class Catalog:
    """Events and picks of one network, with their history.

    Several processes may read and write at once; readers never wait for writers.
    """

    def __init__(self, database: Database, agency: str = "geomon") -> None:
        self.database = database
        self.agency = agency

    @classmethod
    def open(cls, url: str, *, agency: str = "geomon", create: bool = True) -> Self:
        """Open a catalogue, making it or bringing its tables up to date where needed.

        Parameters
        ----------
        url : str
            SQLAlchemy URL: ``sqlite:///file`` (folders are created) or ``postgresql://…``.
        agency : str
            Agency id written into QuakeML.
        create : bool
            Whether to make an empty catalogue where there is none.

        Raises
        ------
        ConfigError
            If the URL cannot be read or names a database that cannot be used.
        NotMade
            If there is no catalogue there and `create` is false.
        StoreError
            If the database cannot be opened, or was written by a newer geomon.
        """
        return cls(Database.open(url, create=create), agency)

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    @property
    def ledger(self) -> Ledger:
        """What was asked for, picked and located, kept in the same database."""
        return Ledger(self.database)

    @property
    def gaps(self) -> Gaps:
        """What sources did not have when asked, kept in the same database."""
        return Gaps(self.database)

    @property
    def qualities(self) -> Qualities:
        """How good each channel's record of each day is, kept in the same database."""
        return Qualities(self.database)

    @property
    def requests(self) -> Requests:
        """Every question put to a source, kept in the same database."""
        return Requests(self.database)

    def begin_run(
        self, kind: str, *, config_hash: str = "", picker: str = "", data_version: str = ""
    ) -> Run:
        """Name a run; it is stored with its first change, so one that changes nothing is not.

        Parameters
        ----------
        kind : str
            What runs: ``pick``, ``locate``, ``review`` …
        config_hash, picker, data_version : str
            What its results depend on.
        """
        return Run.begin(kind, config_hash=config_hash, picker=picker, data_version=data_version)

    def finish_run(self, run: Run) -> None:
        """Note when a run ended; nothing happens if it changed nothing."""
        self.database.finish(run)

    # ---------------------------------------------------------------------------------- writing

    def replace_picks(
        self,
        stream_id: StreamId,
        span: TimeSpan,
        picks: Sequence[Pick],
        run: Run,
        *,
        also: Callable[[Write], None] = _nothing,
    ) -> PicksChange:
        """Make `picks` the automatic picks of a stream in a span.

        Picks held already stay untouched, others are superseded or added; manual picks are never
        touched. Doing it twice changes nothing. What `also` writes, such as what the ledger says
        of them, is there if and only if the picks are.

        Raises
        ------
        DataError
            If a pick is not automatic, not of the stream or not in the span, or is given twice.
        StoreConflict
            If other writers stayed in the way.
        """

        def work(write: Write) -> PicksChange:
            change = pick_rows.replace_picks(write, stream_id, span, picks)
            also(write)
            return change

        return self.database.write(run, work)

    def replace_events(
        self,
        span: TimeSpan,
        events: Sequence[Event],
        run: Run,
        *,
        also: Callable[[Write], None] = _nothing,
    ) -> EventsChange:
        """Make `events` the automatic events of a tile.

        A solution that matches an event already held (see `geomon.stores.matching`) becomes its
        next revision if it says something new, and otherwise changes nothing; one that matches
        none becomes a new event; events of the tile that were not found again are withdrawn. An
        event a person reviewed keeps its preferred origin, and one that was rejected does not
        come back. Whatever is replaced stays readable with `as_of`.

        An event belongs to the tile that made it, also when its origin lies just outside; an
        event that moved over the edge of its tile keeps its id. What `also` writes is there if and
        only if the events are.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """

        def work(write: Write) -> EventsChange:
            change = replacing.replace_events(write, span, events)
            also(write)
            return change

        return self.database.write(run, work)

    def review(self, event_id: str, state: ReviewState, *, actor: str, reason: str = "") -> Event:
        """Judge an event: confirm, reject, or hand it back to automatic processing.

        Parameters
        ----------
        event_id : str
            The event.
        state : {"automatic", "reviewed", "confirmed", "rejected"}
            The judgement; anything but ``automatic`` keeps later runs from changing the event.
        actor, reason : str
            Who says so, and why.

        Returns
        -------
        Event
            The new revision, or the current one if it was judged so already.

        Raises
        ------
        NotHeld
            If there is no such event.
        """
        run = self.begin_run("review")
        self.database.write(
            run, lambda write: reviewing.review(write, event_id, state, actor, reason)
        )
        found = self.event(event_id)
        if found is None:
            msg = f"{event_id}: withdrawn while it was reviewed"
            raise NotHeld(msg)
        return found

    def import_quakeml(
        self,
        content: bytes,
        *,
        name: str = "QuakeML",
        catalog: str = "imported",
        contributor: str = "",
    ) -> ImportReport:
        """Take in the events of a QuakeML document, by the public ids they have there.

        They keep apart from the events geomon finds: in a catalogue of their own, never replaced
        by a run, their picks never used to locate others. Importing again changes only what the
        document says differently.

        Parameters
        ----------
        content : bytes
            The document.
        name : str
            What to call it in messages and in the events' history.
        catalog : str
            Name of the catalogue the events belong to; not the own one.
        contributor : str
            Agency they come from; by default the one each event names, or else the catalogue's
            name.

        Raises
        ------
        DataError
            If the document is not QuakeML, or the catalogue is the own one or no name.
        StoreConflict
            If other writers stayed in the way.
        """
        if catalog == OWN:
            msg = f"{name}: catalogue {OWN!r} holds what geomon finds itself; name another one"
            raise DataError(msg)
        if not _NAME.fullmatch(catalog) or catalog == "all":
            msg = f"{catalog!r} is no name of a catalogue: up to 64 letters, digits, _, . and -"
            raise DataError(msg)
        events, problems = read_quakeml(content, name=name)
        report = self.database.write(
            self.begin_run("import"),
            lambda write: importing.import_events(write, events, catalog, contributor, name),
        )
        return replace(report, problems=tuple(problems))

    # ---------------------------------------------------------------------------------- reading

    def events(
        self,
        start: Time | None = None,
        end: Time | None = None,
        bbox: tuple[float, float, float, float] | None = None,
        *,
        circle: Circle | None = None,
        min_magnitude: float | None = None,
        max_magnitude: float | None = None,
        magnitude_type: str | None = None,
        min_depth_km: float | None = None,
        max_depth_km: float | None = None,
        event_type: str | Sequence[str] | None = None,
        event_ids: Sequence[str] | None = None,
        updated_after: Time | None = None,
        as_of: Time | None = None,
        catalog: str | None = OWN,
        contributors: Sequence[str] | None = None,
        include_rejected: bool = False,
        order_by: Order = "time",
        limit: int | None = None,
        offset: int = 0,
    ) -> EventList:
        """Return the events that meet every condition given.

        Parameters
        ----------
        start, end : datetime, str or int, optional
            Origin time in [start, end): UTC-aware, ISO 8601, or nanoseconds since 1970.
        bbox : (west, south, east, north), optional
            Degrees; west may be larger than east, across the dateline.
        circle : Circle, optional
            Distance from a point.
        min_magnitude, max_magnitude, magnitude_type : optional
            Of the preferred magnitude, or of any one of the type where a type is given; events
            without one never match.
        min_depth_km, max_depth_km : float, optional
            Kilometres below sea level.
        event_type : str or sequence of str, optional
            QuakeML event type, or several of which any will do.
        event_ids : sequence of str, optional
            Only these.
        updated_after : time, optional
            Only events whose revision is newer.
        as_of : time, optional
            The catalogue as it was at this instant.
        catalog : str or None
            Name of the catalogue, None for all; imported events live in others than the own.
        contributors : sequence of str, optional
            Agencies any of which contributed the event, in any case of letters.
        include_rejected : bool
            Also events a person rejected.
        order_by : {"time", "-time", "magnitude", "-magnitude"}
            Ascending, or descending with a minus; events without magnitude come last.
        limit, offset : int
            How many events, after leaving out how many.

        Raises
        ------
        DataError
            If a time cannot be read or the box is impossible.
        """
        query = EventQuery(
            start=start, end=end, bbox=bbox, circle=circle, min_magnitude=min_magnitude,
            max_magnitude=max_magnitude, magnitude_type=magnitude_type,
            min_depth_km=min_depth_km, max_depth_km=max_depth_km, event_type=event_type,
            event_ids=event_ids, updated_after=updated_after, as_of=as_of, catalog=catalog,
            contributors=contributors, include_rejected=include_rejected, order_by=order_by,
            limit=limit, offset=offset,
        )  # fmt: skip
        return self.find(query)

    def find(self, query: EventQuery) -> EventList:
        """Return the events that meet a query."""

        def read(connection: Connection) -> EventList:
            found = queries.find(connection, self._asked(query))
            foreign = [one.event_id for _, one in found if one.catalog != OWN]
            return EventList(
                [summary for _, summary in found], [key for key, _ in found], self._load,
                self.agency, queries.contributions(connection, foreign),
            )  # fmt: skip

        return self._read(read)

    def count(self, query: EventQuery) -> int:
        """Return how many events meet a query, whatever its limit and offset."""
        return self._read(lambda connection: queries.count(connection, self._asked(query)))

    def event(self, event_id: str, as_of: Time | None = None) -> Event | None:
        """Return one event, also a rejected one; None when unknown or withdrawn.

        The id of an event that was merged into another, and ids other agencies use, lead to the
        event they mean.
        """

        def read(connection: Connection) -> Event | None:
            key = reviewing.find_event(connection, event_id)
            revision = schema.event_revision
            found = connection.scalar(
                select(revision.c.id).where(
                    revision.c.event == key,
                    revision.c.is_withdrawn.is_(False),
                    queries.current_or_as_of(as_of),
                )
            )
            return None if found is None else load_events(connection, [found])[0]

        return self._read(read)

    def revisions(self, event_id: str) -> list[Event]:
        """Return everything ever held about an event, oldest first; empty when unknown.

        A revision that withdrew the event is not among them.
        """

        def read(connection: Connection) -> list[Event]:
            revision, event = schema.event_revision, schema.event
            keys = connection.scalars(
                select(revision.c.id)
                .join(event, event.c.id == revision.c.event)
                .where(event.c.event_id == event_id, revision.c.is_withdrawn.is_(False))
                .order_by(revision.c.revision)
            ).all()
            return load_events(connection, keys)

        return self._read(read)

    def diff(
        self, one: Time, two: Time | None = None, *, query: EventQuery | None = None
    ) -> list[EventDifference]:
        """Return how the catalogue changed from one instant to another, or to now.

        Parameters
        ----------
        one, two : time
            The instants; now for `two` when not given.
        query : EventQuery, optional
            Only events that meet it; its own `as_of` does not count.

        Raises
        ------
        DataError
            If a time cannot be read.
        """
        asked = query or EventQuery()
        sides = [self.find(replace(asked, as_of=instant)).summaries for instant in (one, two)]
        return differences(*sides)

    def picks(
        self,
        span: TimeSpan,
        *,
        stations: tuple[str, ...] = (),
        stream_id: StreamId | None = None,
        phase: Phase | None = None,
        mode: EvaluationMode | None = None,
        min_probability: float | None = None,
        as_of: Time | None = None,
    ) -> PickList:
        """Return picks of a span, in (time, stream, phase) order.

        Parameters
        ----------
        span : TimeSpan
            Pick times.
        stations : tuple of str
            ``NET.STA`` patterns; all stations when empty.
        stream_id, phase, mode, min_probability : optional
            Only picks of this stream, phase, evaluation mode, or at least this probability.
        as_of : time, optional
            As they were at this instant.
        """
        query = PickQuery(
            span=span, stations=stations, stream_id=stream_id, phase=phase, mode=mode,
            min_probability=min_probability, as_of=as_of,
        )  # fmt: skip
        found = self._read(lambda connection: pick_queries.find(connection, query))
        keys = [key for key, _ in found]
        return PickList(
            (pick for _, pick in found),
            lambda: self._read(lambda connection: pick_rows.users(connection, keys)),
        )

    def picks_digest(self, span: TimeSpan, *, stations: tuple[str, ...] = ()) -> str:
        """Hash the current picks of a span: it changes when any of them does."""
        query = PickQuery(span=span, stations=stations)
        return self._read(lambda connection: pick_queries.picks_digest(connection, query))

    def digest(self, span: TimeSpan) -> str:
        """Hash what the catalogue says of a span: events, magnitudes, arrivals and picks.

        Ids, runs, revisions and the time of writing do not enter, so two catalogues that say the
        same have the same digest.
        """
        return self._read(lambda connection: pick_queries.digest(connection, span))

    def span(self) -> TimeSpan | None:
        """Return the smallest span that holds every current event; None when there is none."""
        revision = schema.event_revision
        first, last = self._read(
            lambda connection: (
                connection.execute(
                    select(func.min(revision.c.time_ns), func.max(revision.c.time_ns)).where(
                        revision.c.valid_to.is_(None), revision.c.is_withdrawn.is_(False)
                    )
                )
                .one()
                ._tuple()
            )
        )
        return None if first is None else TimeSpan(first, last + 1)

    def names(self) -> list[str]:
        """Return the names of all catalogues held, the own one first."""
        column = schema.event.c.catalog
        held = self._read(lambda connection: connection.scalars(select(column).distinct()).all())
        return [OWN, *sorted(set(held) - {OWN})]

    def contributors(self) -> list[str]:
        """Return the agencies that events come from, the own one first."""
        column = schema.contributor.c.agency
        held = self._read(lambda connection: connection.scalars(select(column).distinct()).all())
        return [self.agency, *sorted(set(held) - {self.agency})]

    def clock_ns(self) -> int:
        """Return the instant of the last change of anything: it never goes back."""
        return self._read(lambda connection: connection.scalar(select(schema.clock.c.last_ns))) or 0

    def version(self) -> str:
        """Return a text that changes with every change of the catalogue, and with nothing else."""
        return f"{self.clock_ns():x}"

    def changes(
        self, since_ns: int, *, catalog: str | None = OWN, limit: int = 1000
    ) -> list[EventChange] | None:
        """Return the events changed after an instant of `clock_ns`, oldest change first.

        An event that changed more than once is told once, as it is now; None when more than
        `limit` events changed. Whoever asks again with the last instant told misses nothing.
        """
        return self._read(lambda c: changes(c, since_ns, catalog=catalog, limit=limit))

    def runs(self) -> list[Run]:
        """Return every run that changed something, oldest first."""
        table = schema.run
        rows = self._read(
            lambda connection: connection.execute(select(table).order_by(table.c.id)).all()
        )
        return [
            Run(
                row.run_id, row.kind, from_ns(row.started_ns), row.code_version, row.config_hash,
                row.picker, row.data_version,
            )
            for row in rows
        ]  # fmt: skip

    def _read[T](self, work: Callable[[Connection], T]) -> T:
        with self.database.read() as connection:
            return work(connection)

    def _asked(self, query: EventQuery) -> EventQuery:
        """Return a query in which the own agency, where it is named, stands for own events."""
        names = query.contributors or ()
        if self.agency.lower() in (name.lower() for name in names):
            return replace(query, contributors=(*names, queries.ITSELF))
        return query

    def _load(self, keys: Sequence[int]) -> list[Event]:
        return self._read(lambda connection: load_events(connection, keys))
