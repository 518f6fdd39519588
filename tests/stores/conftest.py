"""Fixtures of the stores."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert, text

from geomon.stores import schema
from geomon.stores.catalog import Catalog
from geomon.stores.database import Run, Write
from tests.stores import postgres


@pytest.fixture(scope="session")
def catalog_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Catalog]]:
    """Make empty catalogues on SQLite."""
    folder: Path = tmp_path_factory.mktemp("catalogs")
    opened: list[Catalog] = []

    def make() -> Catalog:
        opened.append(Catalog.open(f"sqlite:///{folder}/{uuid4().hex}.sqlite"))
        return opened[-1]

    yield make
    for catalog in opened:
        catalog.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of an empty database of a real PostgreSQL server."""
    pytest.importorskip("psycopg", reason="needs the extra geomon[postgres]")
    programs = postgres.find_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's programs, for example Debian's package postgresql")
    with postgres.server(programs) as url:
        yield url


@pytest.fixture(scope="session")
def open_postgres_catalog(postgres_url: str) -> Iterator[Catalog]:
    """Return the one catalogue on PostgreSQL."""
    opened = Catalog.open(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def postgres_catalog(open_postgres_catalog: Catalog) -> Catalog:
    """Return the catalogue on PostgreSQL, emptied."""

    def empty(write: Write) -> None:
        names = ", ".join(schema.metadata.tables)
        write.connection.execute(text(f"TRUNCATE {names} CASCADE"))
        write.connection.execute(insert(schema.clock).values(id=1, last_ns=0))

    open_postgres_catalog.database.write(Run.begin("test"), empty)
    return open_postgres_catalog


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest) -> Catalog:
    """Return an empty catalogue, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        make: Callable[[], Catalog] = request.getfixturevalue("catalog_factory")
        return make()
    found: Catalog = request.getfixturevalue("postgres_catalog")
    return found


@pytest.fixture(scope="session")
def one_catalog(catalog_factory: Callable[[], Catalog]) -> Catalog:
    """Return a catalogue that several tests share under keys of their own."""
    return catalog_factory()
