"""Fixtures of the stores."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert, text

from geomon.stores import schema
from geomon.stores.archive import Archive
from geomon.stores.catalog import Catalog
from geomon.stores.database import Run, Write
from tests.servers import s3_server
from tests.stores import postgres


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of a real S3 server with the bucket ``waves``."""
    with s3_server("waves") as url:
        yield url


@pytest.fixture
def bucket_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty prefix of a bucket, reached by settings in the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    return f"s3://waves/{uuid4().hex}"


@pytest.fixture(params=["folder", "bucket"])
def new_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Archive]:
    """Make empty archives, in a folder and in a bucket."""
    base = tmp_path if request.param == "folder" else request.getfixturevalue("bucket_url")
    return lambda: Archive.open(f"{base}/{uuid4().hex}")


@pytest.fixture
def archive(new_archive: Callable[[], Archive]) -> Archive:
    """Return an empty archive, in a folder and in a bucket."""
    return new_archive()


@pytest.fixture
def local_archive(tmp_path: Path) -> Archive:
    """Return an empty archive in a folder."""
    return Archive.open(tmp_path / "archive")


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
    with postgres.server(programs) as server:
        yield server.url


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
