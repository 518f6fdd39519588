"""Catalogues of older versions are brought up to date where they are."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, insert, inspect, select, text
from sqlalchemy.engine import make_url

from geomon.stores import database, schema
from geomon.stores.catalog import Catalog
from tests.stores.events import HOUR, dump, many_events, said, with_mechanism

NEW = {"quality", "request", "origin_magnitude", "focal_mechanism"}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/catalog.sqlite"
        return
    server = make_url(request.getfixturevalue("postgres_url"))
    server = server.set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"old_{uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string()
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def make_old(url, rows):
    """Make the tables of the first version and fill them."""
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        folder = Path(database.__file__).parent / "migrations"
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with engine.begin() as connection:
        assert not NEW & set(inspect(connection).get_table_names())
        connection.execute(schema.clock.delete())
        held = MetaData()
        held.reflect(connection)
        for table in schema.metadata.sorted_tables:
            if rows.get(table.name):
                then = held.tables[table.name]
                old = [
                    {column.name: row[column.name] for column in then.c} for row in rows[table.name]
                ]
                connection.execute(insert(then), old)
    engine.dispose()


def without_probabilities(event):
    origin = event.preferred_origin
    arrivals = tuple(
        replace(one, pick=replace(one.pick, polarity_probability=None)) for one in origin.arrivals
    )
    return replace(event, preferred_origin=replace(origin, arrivals=arrivals))


def chances(events):
    found = {}
    for event in events:
        for pick in event.picks:
            found.setdefault(pick.phase, set()).add(pick.polarity_probability)
    return found


def rows_of(catalog):
    with catalog.database.read() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in schema.metadata.sorted_tables
        }


def test_the_first_version_is_migrated_with_all_its_rows(url, catalog_factory):
    source = catalog_factory()
    old = [without_probabilities(event) for event in many_events(5)]
    source.replace_events(HOUR, old, source.begin_run("locate"))
    digest = source.digest(HOUR)
    source.gaps.note("CX.PB01..HHZ", HOUR, [HOUR])
    source.ledger.record("locate", "network", HOUR, state="done")
    make_old(url, rows_of(source))
    catalog = Catalog.open(url)
    try:
        assert said(catalog.events()) == said(old)
        assert catalog.digest(HOUR) == digest
        assert {name: sorted(map(repr, rows)) for name, rows in dump(catalog).items()} == {
            name: sorted(map(repr, rows)) for name, rows in dump(source).items()
        }
        with catalog.database.read() as connection:
            context = MigrationContext.configure(connection)
            assert context.get_current_revision() == database.HEAD
            assert set(inspect(connection).get_table_names()) >= NEW
        assert catalog.qualities.find(HOUR) == []
        assert catalog.requests.between(HOUR) == []
    finally:
        catalog.close()
    again = Catalog.open(url)
    assert len(again.events()) == 5
    assert again.replace_events(HOUR, old, again.begin_run("locate")).updated == ()
    richer = [with_mechanism(event) for event in many_events(5)]
    again.replace_events(HOUR, richer, again.begin_run("locate"))
    assert said(again.events()) == said(richer)
    assert chances(again.events()) == chances(richer) == {"P": {0.95}, "S": {None}}
    assert again.replace_events(HOUR, richer, again.begin_run("locate")).updated == ()
    again.close()
