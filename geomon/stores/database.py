"""Connections, migrations and transactions under the catalogue and the ledger.

A change happens in one transaction that holds the only write lock (SQLite's own; on PostgreSQL the
row lock of `clock`), so that reading, deciding and writing are one step however many processes
write. A transaction that finds nothing to change writes nothing: no clock tick, no run.
"""

import logging
import os
import secrets
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
)

from geomon.errors import ConfigError, NotMade, StoreConflict, StoreError, StoreTimeout
from geomon.ids import StreamId
from geomon.stores import schema
from geomon.stores.connecting import on_server_connect, on_sqlite_connect
from geomon.stores.patience import was_stopped, watched
from geomon.times import to_ns

logger = logging.getLogger(__name__)

HEAD = "0007"
"""The newest migration; a database at this version is opened without looking further."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_NO_CATALOGUE = "no catalogue there yet"
_ATTEMPTS = 5
_LONGEST_WAIT_S = 60.0  # for a database server that is restarted
_MIGRATION_LOCK = 7_309_452_117  # any constant: PostgreSQL's name for "migrating a catalogue"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution that may change the catalogue; it is stored with its first change.

    Attributes
    ----------
    run_id : str
        Unique name.
    kind : str
        What ran: ``pick``, ``locate``, ``review``, ``import`` …
    started_at : datetime, UTC
        When it began.
    code_version, config_hash, picker, data_version : str
        What its results depend on; empty when it does not apply.
    """

    run_id: str
    kind: str
    started_at: datetime
    code_version: str
    config_hash: str = ""
    picker: str = ""
    data_version: str = ""

    @classmethod
    def begin(
        cls, kind: str, *, config_hash: str = "", picker: str = "", data_version: str = ""
    ) -> Self:
        """Name a run that starts now; nothing is written."""
        now = datetime.now(UTC)
        run_id = f"{kind}-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        return cls(run_id, kind, now, _code_version(), config_hash, picker, data_version)


@cache
def _code_version() -> str:
    try:
        return version("geomon")
    except PackageNotFoundError:
        return "unknown"


class Write:
    """One writing transaction: row ids, names, and the instant of its change."""

    def __init__(self, connection: Connection, run: Run) -> None:
        self.connection = connection
        self._run = run
        self._stamp_ns: int | None = None
        self._run_key = 0
        self._next: dict[str, int] = {}
        self._streams: dict[StreamId, int] | None = None
        self._pickers: dict[str, int] | None = None

    @property
    def has_changed(self) -> bool:
        """Whether anything asked for the instant of the change."""
        return self._stamp_ns is not None

    def stamp_ns(self) -> int:
        """Return the instant of this change: whole microseconds, after every earlier change."""
        if self._stamp_ns is None:
            clock = schema.clock
            last = self.connection.scalar(select(clock.c.last_ns)) or 0
            self._stamp_ns = max(time.time_ns() // 1000 * 1000, last + 1000)
            self.connection.execute(update(clock).values(last_ns=self._stamp_ns))
        return self._stamp_ns

    def run_key(self) -> int:
        """Return the row of this run, storing it if this is its first change."""
        if not self._run_key:
            self.stamp_ns()
            run = schema.run
            found = self.connection.scalar(select(run.c.id).where(run.c.run_id == self._run.run_id))
            if found is None:
                found = self.new_ids(run, 1)[0]
                row = {
                    "id": found,
                    "run_id": self._run.run_id,
                    "kind": self._run.kind,
                    "started_ns": to_ns(self._run.started_at),
                    "code_version": self._run.code_version,
                    "config_hash": self._run.config_hash,
                    "picker": self._run.picker,
                    "data_version": self._run.data_version,
                }
                self.connection.execute(insert(run).values(row))
            self._run_key = found
        return self._run_key

    def new_ids(self, table: Table, count: int) -> range:
        """Reserve `count` row ids; safe because there is one writer at a time."""
        first = self._next.get(table.name)
        if first is None:
            first = (self.connection.scalar(select(func.max(table.c.id))) or 0) + 1
        self._next[table.name] = first + count
        return range(first, first + count)

    def insert(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Add rows, if any."""
        if rows:
            self.connection.execute(insert(table), rows)

    def find_stream(self, stream_id: StreamId) -> int | None:
        """Return the row of a stream, None when it was never named."""
        if self._streams is None:
            self._streams = {v: k for k, v in stream_ids(self.connection).items()}
        return self._streams.get(stream_id)

    def stream(self, stream_id: StreamId) -> int:
        """Return the row of a stream, adding it if it is new."""
        found = self.find_stream(stream_id)
        if found is None:
            [found] = self.new_ids(schema.stream, 1)
            row = {
                "id": found,
                "network": stream_id.network,
                "station": stream_id.station,
                "location": stream_id.location,
                "band_instrument": stream_id.band_instrument,
            }
            self.insert(schema.stream, [row])
            if self._streams is not None:
                self._streams[stream_id] = found
        return found

    def picker(self, name: str) -> int:
        """Return the row of a picker's name, adding it if it is new."""
        if self._pickers is None:
            rows = self.connection.execute(select(schema.picker.c.name, schema.picker.c.id))
            self._pickers = dict(row._tuple() for row in rows)
        found = self._pickers.get(name)
        if found is None:
            [found] = self.new_ids(schema.picker, 1)
            self.insert(schema.picker, [{"id": found, "name": name}])
            self._pickers[name] = found
        return found


def stream_ids(connection: Connection) -> dict[int, StreamId]:
    """Return every stream ever named, by row."""
    table = schema.stream
    rows = connection.execute(
        select(
            table.c.id,
            table.c.network,
            table.c.station,
            table.c.location,
            table.c.band_instrument,
        )
    )
    return {row[0]: StreamId(*row[1:]) for row in rows}


class Database:
    """A catalogue's database, migrated and ready."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Connect, and bring the tables to this version of geomon.

        Parameters
        ----------
        url : str
            SQLAlchemy URL: ``sqlite:///file`` (folders are created) or ``postgresql+psycopg://…``.
        create : bool
            Whether to make the tables where there are none.

        Raises
        ------
        ConfigError
            If the URL cannot be read or names a database or driver that cannot be used.
        NotMade
            If there are no tables there and `create` is false.
        StoreError
            If the database cannot be reached or opened, or was written by a newer geomon.
        """
        parsed = _checked_url(url)
        if parsed.get_backend_name() == "sqlite":
            _check_file(Path(str(parsed.database)), create=create)
        name = parsed.render_as_string(hide_password=True)
        try:
            engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            msg = f"catalog.url = {name!r}: the database driver is not installed: {error}"
            raise ConfigError(msg) from error
        event.listen(engine, "begin", _begin)
        is_file = engine.dialect.name == "sqlite"
        event.listen(engine, "connect", on_sqlite_connect if is_file else on_server_connect)
        os.register_at_fork(after_in_child=partial(_forget_connections, weakref.ref(engine)))
        self = cls(engine, name)
        try:
            self._migrate(create=create)
        except NotMade:
            engine.dispose()
            raise
        except DBAPIError as error:
            engine.dispose()
            msg = f"{name}: {_first_line(error)}"
            raise StoreError(msg) from error
        return self

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the catalogue and changes nothing.

        Raises
        ------
        StoreTimeout
            If a statement takes longer than `patience.reads_within` allows.
        StoreError
            If the database fails.
        """
        try:
            with self._connected() as connection, connection.begin(), watched(connection):
                yield connection
        except DBAPIError as error:
            msg = f"{self.name}: {_first_line(error)}"
            kind = StoreTimeout if was_stopped(error) else StoreError
            raise kind(msg) from error

    def write[T](self, run: Run, work: Callable[[Write], T]) -> T:
        """Do `work` in one transaction as the only writer, again if another one was in the way.

        Raises
        ------
        StoreConflict
            If other writers stayed in the way.
        StoreError
            If the database fails.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._writing() as connection:
                    return work(Write(connection, run))
            except (OperationalError, IntegrityError) as error:
                if attempt == _ATTEMPTS:
                    kind = StoreConflict if _is_conflict(error) else StoreError
                    msg = f"{self.name}: {_first_line(error)}"
                    raise kind(msg) from error
                logger.warning("%s: trying again: %s", self.name, _first_line(error))
            except DBAPIError as error:
                msg = f"{self.name}: {_first_line(error)}"
                raise StoreError(msg) from error
        msg = f"{self.name}: gave up writing"
        raise StoreConflict(msg)

    def finish(self, run: Run) -> None:
        """Note when a run ended, if it changed anything."""

        def work(write: Write) -> None:
            table = schema.run
            write.connection.execute(
                update(table)
                .where(table.c.run_id == run.run_id, table.c.finished_ns.is_(None))
                .values(finished_ns=time.time_ns() // 1000 * 1000)
            )

        self.write(run, work)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Connect; a server that does not answer is waited for a while.

        Raises
        ------
        OperationalError
            If it stays away.
        """
        deadline = time.monotonic() + _LONGEST_WAIT_S
        wait_s = 0.1
        while True:
            try:
                connection = self._engine.connect()
            except OperationalError as error:
                is_file = self._engine.dialect.name == "sqlite"
                if is_file or time.monotonic() + wait_s > deadline:
                    raise
                logger.warning("%s: waiting for it: %s", self.name, _first_line(error))
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, 5.0)
            else:
                break
        with connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._connected() as plain:
            connection = plain.execution_options(geomon_write=True)
            with connection.begin():
                if connection.dialect.name != "sqlite":
                    connection.execute(select(schema.clock.c.id).with_for_update())
                yield connection

    def _migrate(self, *, create: bool) -> None:
        with self._engine.connect() as connection, connection.begin():
            found = _version(connection)
        if found == HEAD:
            return
        if found is None and not create:
            raise NotMade(f"{self.name}: {_NO_CATALOGUE}")
        with (
            self._engine.connect() as plain,
            plain.execution_options(geomon_write=True) as connection,
            connection.begin(),
        ):
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            found = _version(connection)
            if found != HEAD:
                self._upgrade(connection, found)

    def _upgrade(self, connection: Connection, found: str | None) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            msg = f"{self.name}: written by a newer geomon (tables {found}, this one knows {HEAD})"
            raise StoreError(msg)
        if found is None and (tables := inspect(connection).get_table_names()):
            msg = f"{self.name}: holds other tables ({tables[0]}, …) and no geomon catalogue"
            raise StoreError(msg)
        command.upgrade(config, "head")
        logger.info("%s: tables brought from %s to %s", self.name, found or "nothing", HEAD)


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        msg = (
            f"catalog.url = {url!r} is not a database URL; "
            "write sqlite:///path/catalog.sqlite or postgresql+psycopg://user@host/name"
        )
        raise ConfigError(msg) from error
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        msg = f"catalog.url: {backend!r} is not supported; use sqlite or postgresql"
        raise ConfigError(msg)
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.database in (None, "", ":memory:"):
        msg = f"catalog.url = {url!r} names no file; write sqlite:///path/catalog.sqlite"
        raise ConfigError(msg)
    return parsed


def _check_file(file: Path, *, create: bool) -> None:
    """Make the folder of a SQLite file, or only see that the file is there.

    Raises
    ------
    ConfigError
        If a folder is there.
    NotMade
        If nothing is there and `create` is false.
    StoreError
        If the folder cannot be made.
    """
    if file.is_dir():
        msg = f"catalog.url: {file} is a folder; name a file, such as {file / 'catalog.sqlite'}"
        raise ConfigError(msg)
    if not create:
        if not file.exists():
            raise NotMade(f"{file}: {_NO_CATALOGUE}")
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{file}: cannot create the catalogue's folder: {error.strerror}"
        raise StoreError(msg) from error


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _begin(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    is_write = connection.get_execution_options().get("geomon_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _forget_connections(engine: "weakref.ref[Engine]") -> None:
    """Drop, in a forked child, the connections that are still the parent's."""
    if (alive := engine()) is not None:
        alive.dispose(close=False)


def _is_conflict(error: DBAPIError) -> bool:
    return isinstance(error, IntegrityError) or "locked" in str(error.orig)


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).splitlines() or [type(error.orig).__name__])[0]
