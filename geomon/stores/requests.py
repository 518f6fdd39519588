"""The log of every question put to a source: what, when, how long, and what came of it.

The archive's own record says which answer brought which samples, without times, so that equal
answers give equal bytes. The times are here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select

from geomon.stores.database import Database, Run, Write
from geomon.stores.schema import request as table
from geomon.times import TimeSpan


@dataclass(frozen=True, slots=True)
class Request:
    """One question and its outcome.

    Attributes
    ----------
    url : str
        Where it was put, without credentials.
    request : str
        What was asked, as it was sent.
    asked_ns : int
        When, nanoseconds since 1970 UTC.
    took_s : float
        Until all of the answer was there, or it failed.
    outcome : str
        How it ended, in the words of the sources.
    n_bytes : int
        Bytes received.
    sha256 : str
        Of the bytes received, hexadecimal; empty when there were none.
    """

    url: str
    request: str
    asked_ns: int
    took_s: float
    outcome: str
    n_bytes: int
    sha256: str


class Requests:
    """The requests of one catalogue's network."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, requests: Iterable[Request], *, run: Run | None = None) -> int:
        """Log requests, in one transaction; those logged already are not logged again.

        Parameters
        ----------
        requests : iterable of Request
            What was asked.
        run : Run, optional
            Who asked; a run of its own when not given.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """
        asked = list(dict.fromkeys(requests))
        if not asked:
            return 0

        def work(write: Write) -> int:
            first_ns, last_ns = min(r.asked_ns for r in asked), max(r.asked_ns for r in asked)
            held = write.connection.execute(
                select(table.c.url, table.c.request, table.c.asked_ns).where(
                    table.c.asked_ns >= first_ns, table.c.asked_ns <= last_ns
                )
            )
            known = {row._tuple() for row in held}
            new = [r for r in asked if (r.url, r.request, r.asked_ns) not in known]
            if new:
                run_key = write.run_key()
                ids = write.new_ids(table, len(new))
                rows = [
                    {
                        "id": key,
                        "url": one.url,
                        "request": one.request,
                        "asked_ns": one.asked_ns,
                        "took_s": one.took_s,
                        "outcome": one.outcome,
                        "n_bytes": one.n_bytes,
                        "sha256": one.sha256,
                        "run": run_key,
                    }
                    for key, one in zip(ids, new, strict=True)
                ]
                write.insert(table, rows)
            return len(new)

        return self._database.write(run or Run.begin("ingest"), work)

    def between(
        self, span: TimeSpan, *, outcome: str | None = None, limit: int = 1000
    ) -> list[Request]:
        """Return the requests made in a span, newest first, at most `limit` of them."""
        query = select(table).where(
            table.c.asked_ns >= span.start_ns, table.c.asked_ns < span.end_ns
        )
        if outcome is not None:
            query = query.where(table.c.outcome == outcome)
        query = query.order_by(table.c.asked_ns.desc(), table.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [
                Request(
                    row.url, row.request, row.asked_ns, row.took_s, row.outcome, row.n_bytes,
                    row.sha256,
                )
                for row in connection.execute(query)
            ]  # fmt: skip

    def forget(self, before_ns: int, *, run: Run | None = None) -> int:
        """Remove the requests made before an instant; return how many.

        A network in near-real time asks a hundred thousand times a day: keep what is looked at.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        """

        def work(write: Write) -> int:
            is_old = table.c.asked_ns < before_ns
            if write.connection.scalar(select(table.c.id).where(is_old).limit(1)) is None:
                return 0
            write.stamp_ns()
            return write.connection.execute(delete(table).where(is_old)).rowcount

        return self._database.write(run or Run.begin("ingest"), work)
