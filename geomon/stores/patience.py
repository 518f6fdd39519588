"""How long the database may work on one question: the limit of whoever asks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

_LONGEST_S: ContextVar[float | None] = ContextVar("longest_s", default=None)
_CHECK_EVERY = 20_000  # instructions of SQLite's machine, about a millisecond


@contextmanager
def reads_within(seconds: float) -> Iterator[None]:
    """Let reads of the database inside the block, in threads started from it too, end in time."""
    before = _LONGEST_S.set(seconds)
    try:
        yield
    finally:
        _LONGEST_S.reset(before)


@contextmanager
def watched(connection: Connection) -> Iterator[None]:
    """Stop what a connection does once its time is over."""
    longest_s = _LONGEST_S.get()
    if longest_s is None:
        yield
        return
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(1000 * longest_s)}")
        yield
        return
    plain: Any = connection.connection.driver_connection
    deadline = time.monotonic() + longest_s
    plain.set_progress_handler(lambda: time.monotonic() > deadline, _CHECK_EVERY)
    try:
        yield
    finally:
        plain.set_progress_handler(None, 0)


def was_stopped(error: DBAPIError) -> bool:
    """Tell whether a statement failed because its time was over."""
    return str(error.orig) == "interrupted" or getattr(error.orig, "sqlstate", None) == "57014"
