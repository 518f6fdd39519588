"""What was asked for, picked and located, from what, and with what outcome.

The ledger is the truth about what is done; orchestration may be lost without losing science. A row
says of one product (``archive``, ``pick``, ``locate``; ``backfill`` for its units of work,
``alert`` for what was told), one key (a stream, or ``network``) and one span: the version of
everything the work depends on besides its input, a hash of the input, and the outcome. The newest
outcome of an instant is the only one: recording a span cuts older rows back to what it leaves of
them. Saying again what is known changes nothing.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from geomon.errors import DataError
from geomon.stores.database import Database, Run, Write
from geomon.stores.schema import ledger as table
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, merged, subtracted

type Product = Literal["archive", "pick", "locate", "backfill", "alert"]
type State = Literal["pending", "running", "done", "nodata", "failed"]

NETWORK = "network"
"""Key of products that belong to no single stream."""

_SETTLED = ("done", "nodata")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of one product, key and span.

    Attributes
    ----------
    product, key, span
        What it is about.
    state : {"pending", "running", "done", "nodata", "failed"}
        The outcome; ``nodata`` was done and found nothing to work on.
    version : str
        Hash of code, configuration and picker the work depends on.
    input_hash : str
        What the work was done from.
    attempts : int
        How often it was begun since it last succeeded.
    error : str
        Why it failed.
    n_items : int
        Picks, events or samples it gave.
    seconds : float or None
        How long it took.
    """

    product: str
    key: str
    span: TimeSpan
    state: State
    version: str = ""
    input_hash: str = ""
    attempts: int = 1
    error: str = ""
    n_items: int = 0
    seconds: float | None = None


class Ledger:
    """The ledger of one catalogue's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---------------------------------------------------------------------------------- writing

    def record(
        self,
        product: Product,
        key: str,
        span: TimeSpan,
        *,
        state: State,
        version: str = "",
        input_hash: str = "",
        error: str = "",
        n_items: int = 0,
        seconds: float | None = None,
        run: Run | None = None,
    ) -> None:
        """Say what came of one unit of work; nothing is written when that is known already.

        Parameters
        ----------
        product, key, span
            The unit.
        state, version, input_hash, error, n_items, seconds
            See `Entry`.
        run : Run, optional
            Who did it; a run of its own when not given.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """
        entry = Entry(
            product, key, span, state, version, input_hash,
            error=error, n_items=n_items, seconds=seconds,
        )  # fmt: skip
        self.record_all([entry], run=run)

    def record_all(self, entries: Sequence[Entry], *, run: Run | None = None) -> None:
        """Say what came of many units of work in one transaction; see `record`.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """
        if not entries:
            return
        doer = run or Run.begin(entries[0].product)

        def work(write: Write) -> None:
            for entry in entries:
                _record(write, entry)

        self._database.write(doer, work)

    def revising(
        self, product: Product, key: str, span: TimeSpan, change: Callable[[Entry | None], Entry]
    ) -> Callable[[Write], None]:
        """Return what says of a unit, within another change's transaction, what came of it.

        `change` is given what the ledger says of the unit at that moment, whoever said it.
        """

        def revise(write: Write) -> None:
            row = write.connection.execute(
                select(table).where(_is_unit(product, key, span))
            ).first()
            _record(write, change(None if row is None else _entry(row)))

        return revise

    def claim(
        self,
        product: Product,
        key: str,
        spans: Iterable[TimeSpan],
        *,
        version: str,
        lease_s: float,
        run: Run,
    ) -> list[TimeSpan]:
        """Take units of work so that nobody else does them, until the lease ends.

        Returns
        -------
        list of TimeSpan
            The units that are now `run`'s: those not held by somebody whose lease still runs.
            Recording an outcome ends the lease.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """

        def work(write: Write) -> list[TimeSpan]:
            taken = []
            for span in spans:
                held = _overlapping(write.connection, product, key, span)
                now = write.stamp_ns()
                if any(row.state == "running" and (row.lease_until_ns or 0) > now for row in held):
                    continue
                _cut(write, product, key, span, held)
                attempts = _attempts(held) + 1
                entry = Entry(product, key, span, "running", version, attempts=attempts)
                _insert(write, entry, now + round(lease_s * NS_PER_S))
                taken.append(span)
            return taken

        return self._database.write(run, work)

    def renew(self, product: Product, *, lease_s: float, run: Run) -> None:
        """Prolong the leases of all units that are still `run`'s.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """

        def work(write: Write) -> None:
            until = write.stamp_ns() + round(lease_s * NS_PER_S)
            write.connection.execute(
                update(table)
                .where(
                    table.c.product == product,
                    table.c.state == "running",
                    table.c.run == write.run_key(),
                )
                .values(lease_until_ns=until)
            )

        self._database.write(run, work)

    # ---------------------------------------------------------------------------------- reading

    def entries(
        self,
        product: Product | None = None,
        *,
        key: str | None = None,
        span: TimeSpan | None = None,
        states: Sequence[State] | None = None,
    ) -> list[Entry]:
        """Return what is known, in (product, key, time) order, of rows that touch `span`."""
        conditions: list[ColumnElement[bool]] = []
        if product is not None:
            conditions.append(table.c.product == product)
        if key is not None:
            conditions.append(table.c.key == key)
        if span is not None:
            conditions += [table.c.start_ns < span.end_ns, table.c.end_ns > span.start_ns]
        if states is not None:
            conditions.append(table.c.state.in_(states))
        query = select(table).where(*conditions)
        query = query.order_by(table.c.product, table.c.key, table.c.start_ns)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def is_current(
        self, product: Product, key: str, span: TimeSpan, *, version: str, input_hash: str = ""
    ) -> bool:
        """Tell whether a unit was done by this version from this input."""
        entry = self._at(product, key, span)
        return (
            entry is not None
            and entry.state in _SETTLED
            and (entry.version, entry.input_hash) == (version, input_hash)
        )

    def input_hash(self, product: Product, key: str, span: TimeSpan, version: str) -> str:
        """Return what a unit was last done from by this version; empty when it never was."""
        entry = self._at(product, key, span)
        if entry is None or entry.state not in _SETTLED or entry.version != version:
            return ""
        return entry.input_hash

    def spans(
        self,
        product: Product,
        key: str,
        span: TimeSpan,
        *,
        states: Sequence[State] = ("done",),
        version: str | None = None,
    ) -> list[TimeSpan]:
        """Return the parts of `span` in one of some states, of one version or any, merged."""
        return merged(
            entry.span.intersection(span)
            for entry in self.entries(product, key=key, span=span, states=states)
            if version is None or entry.version == version
        )

    def seconds_per_day(self, product: Product) -> float | None:
        """Return what a day of one key has taken here; None when none was measured.

        Whole days are asked first: work cut into minutes costs more, and says less of a backfill.
        """
        length_ns = table.c.end_ns - table.c.start_ns
        query = select(func.sum(table.c.seconds), func.sum(length_ns)).where(
            table.c.product == product, table.c.seconds.is_not(None), table.c.state == "done"
        )
        with self._database.read() as connection:
            for asked in (query.where(length_ns >= NS_PER_DAY), query):
                seconds, spanned_ns = connection.execute(asked).one()
                if spanned_ns:
                    return float(seconds) * NS_PER_DAY / float(spanned_ns)
        return None

    def at_work(self, product: Product, span: TimeSpan) -> list[Entry]:
        """Return the units that touch a span and that somebody holds now."""
        now = time.time_ns()
        query = select(table).where(
            table.c.product == product, table.c.state == "running", table.c.lease_until_ns > now,
            table.c.start_ns < span.end_ns, table.c.end_ns > span.start_ns,
        )  # fmt: skip
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query.order_by(table.c.key))]

    def _at(self, product: Product, key: str, span: TimeSpan) -> Entry | None:
        with self._database.read() as connection:
            row = connection.execute(select(table).where(_is_unit(product, key, span))).first()
        return None if row is None else _entry(row)


def _is_unit(product: str, key: str, span: TimeSpan) -> ColumnElement[bool]:
    return and_(
        table.c.product == product,
        table.c.key == key,
        table.c.start_ns == span.start_ns,
        table.c.end_ns == span.end_ns,
    )


def _entry(row: Any) -> Entry:  # noqa: ANN401 - a row of any query on the ledger
    return Entry(
        row.product, row.key, TimeSpan(row.start_ns, row.end_ns), row.state, row.version,
        row.input_hash, row.attempts, row.error, row.n_items, row.seconds,
    )  # fmt: skip


def _overlapping(connection: Connection, product: str, key: str, span: TimeSpan) -> Sequence[Any]:
    return connection.execute(
        select(table)
        .where(
            table.c.product == product,
            table.c.key == key,
            table.c.start_ns < span.end_ns,
            table.c.end_ns > span.start_ns,
        )
        .order_by(table.c.start_ns)
    ).all()


def _record(write: Write, entry: Entry) -> None:
    if entry.span.is_empty:
        msg = f"{entry.product} {entry.key}: an empty span cannot be recorded"
        raise DataError(msg)
    held = _overlapping(write.connection, entry.product, entry.key, entry.span)
    if entry.state != "failed" and _says_the_same(held, entry):
        return
    attempts = _attempts(held)
    if not any(row.state == "running" for row in held):
        attempts += 1
    _cut(write, entry.product, entry.key, entry.span, held)
    counted = Entry(
        entry.product, entry.key, entry.span, entry.state, entry.version, entry.input_hash,
        attempts, entry.error, entry.n_items, entry.seconds,
    )  # fmt: skip
    _insert(write, counted, None)


def _attempts(held: Sequence[Any]) -> int:
    """Return how often work on rows began that has not succeeded since."""
    return max((row.attempts for row in held if row.state not in _SETTLED), default=0)


def _says_the_same(held: Sequence[Any], entry: Entry) -> bool:
    """Tell whether a row of this very span, or rows that cover it, say what `entry` says."""
    outcome = (entry.state, entry.version, entry.input_hash, entry.error)
    if any((row.state, row.version, row.input_hash, row.error) != outcome for row in held):
        return False
    if len(held) == 1 and (held[0].start_ns, held[0].end_ns) == (
        entry.span.start_ns, entry.span.end_ns,
    ):  # fmt: skip
        return bool(held[0].n_items == entry.n_items)
    spans = [TimeSpan(row.start_ns, row.end_ns) for row in held]
    return not subtracted(entry.span, spans)


def _cut(write: Write, product: str, key: str, span: TimeSpan, held: Sequence[Any]) -> None:
    """Remove what rows say about `span`, keeping what they say of the time around it."""
    for row in held:
        old = TimeSpan(row.start_ns, row.end_ns)
        write.connection.execute(delete(table).where(_is_unit(product, key, old)))
        for rest in subtracted(old, [span]):
            values = row._asdict() | {"start_ns": rest.start_ns, "end_ns": rest.end_ns}
            write.connection.execute(insert(table).values(values))


def _insert(write: Write, entry: Entry, lease_until_ns: int | None) -> None:
    write.connection.execute(
        insert(table).values(
            product=entry.product,
            key=entry.key,
            start_ns=entry.span.start_ns,
            end_ns=entry.span.end_ns,
            version=entry.version,
            input_hash=entry.input_hash,
            state=entry.state,
            attempts=entry.attempts,
            error=entry.error,
            n_items=entry.n_items,
            seconds=entry.seconds,
            updated_ns=write.stamp_ns(),
            lease_until_ns=lease_until_ns,
            run=write.run_key(),
        )
    )
