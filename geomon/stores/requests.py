"""The log of every question put to a source: what, when, how long, and what came of it.

The archive's own record says which answer brought which samples, without times, so that equal
answers give equal bytes. The times are here.
"""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import delete, select

from geomon.stores.database import Database, Run, Write
from geomon.stores.schema import request as table
from geomon.times import TimeSpan
from geomon.waveforms import Asked


class Requests:
    """The requests of one catalogue's network."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, requests: Iterable[Asked], *, run: Run | None = None) -> int:
        """Log requests, in one transaction; those logged already are not logged again.

        Parameters
        ----------
        requests : iterable of Asked
            What was asked, and what came of it.
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
                    asdict(one) | {"id": key, "run": run_key}
                    for key, one in zip(ids, new, strict=True)
                ]
                write.insert(table, rows)
            return len(new)

        return self._database.write(run or Run.begin("ingest"), work)

    def between(
        self, span: TimeSpan, *, outcome: str | None = None, limit: int = 1000
    ) -> list[Asked]:
        """Return the requests made in a span, newest first, at most `limit` of them."""
        query = select(table).where(
            table.c.asked_ns >= span.start_ns, table.c.asked_ns < span.end_ns
        )
        if outcome is not None:
            query = query.where(table.c.outcome == outcome)
        query = query.order_by(table.c.asked_ns.desc(), table.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [
                Asked(
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
