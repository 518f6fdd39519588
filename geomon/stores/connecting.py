"""What a new connection is told, of SQLite and of PostgreSQL."""

import math
import sqlite3
import time
from typing import Any

BUSY_TIMEOUT_S = 30
"""How long one who writes to a SQLite file waits for another to end."""


def on_sqlite_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - DBAPI object
    """Let a new connection wait for locks, survive power cuts, and calculate."""
    connection.isolation_level = None  # `Database` begins transactions, of two kinds
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    _use_wal(connection)
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -65536",
    ):
        connection.execute(f"PRAGMA {pragma}")
    try:
        connection.execute("SELECT sin(0.0), cos(0.0)")
    except sqlite3.OperationalError:  # built without mathematics
        for function in (math.sin, math.cos):
            connection.create_function(function.__name__, 1, function, deterministic=True)


def on_server_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - DBAPI object
    """Tell PostgreSQL that rows are found as fast by their keys as by reading whole tables.

    It supposes a rotating disk unless told otherwise, and reads a table of some hundred thousand
    events to find a thousand.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET random_page_cost = 1.1")
    connection.commit()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; here SQLite waits for nobody, whatever its busy_timeout.

    Raises
    ------
    sqlite3.OperationalError
        If the file cannot be switched, or others hold it for too long.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
