"""Opening, migrating and sharing the catalogue's database."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from geomon.errors import ConfigError, StoreConflict, StoreError
from geomon.stores import connecting, database, schema
from geomon.stores.catalog import Catalog
from geomon.times import to_ns
from tests.stores.events import HOUR, STREAMS, at, dump, make_event, many_events, said


def test_the_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite").close()
    engine = create_engine(f"sqlite:///{tmp_path}/catalog.sqlite")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == database.HEAD
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD]


def test_opening_again_changes_no_byte_and_needs_no_alembic(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "catalog.sqlite"
    catalog = Catalog.open(f"sqlite:///{path}")
    catalog.replace_events(HOUR, many_events(3), catalog.begin_run("locate"))
    catalog.close()
    before = path.read_bytes()
    code = (
        "import sys; from geomon.stores.catalog import Catalog;"
        f"c = Catalog.open('sqlite:///{path}'); print(len(c.events())); c.close();"
        "print('alembic' in sys.modules, 'obspy' in sys.modules, 'pandas' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert answer.split() == ["3", "False", "False", "False"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "error", "problem"),
    [
        ("nonsense", ConfigError, "catalog.url = 'nonsense' is not a database URL"),
        ("mysql://host/db", ConfigError, "'mysql' is not supported"),
        ("sqlite://", ConfigError, "names no file"),
        ("sqlite:////proc/none/catalog.sqlite", StoreError, "cannot create the catalogue's folder"),
    ],
)
def test_impossible_urls_say_so_in_one_line(url: str, error: type, problem: str) -> None:
    with pytest.raises(error, match=problem) as raised:
        Catalog.open(url)
    assert "\n" not in str(raised.value)


def test_a_database_nobody_answers_for(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/nothing") as raised:
        Catalog.open("postgresql://user:secret@127.0.0.1:1/nothing")
    assert "secret" not in str(raised.value)


def test_files_that_are_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("this is not a database, whatever its name says\n" * 99)
    with pytest.raises(StoreError, match=r"text.sqlite: file is not a database"):
        Catalog.open(f"sqlite:///{tmp_path}/text.sqlite")
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(StoreError, match=r"other.sqlite: holds other tables \(recipes, …\)"):
        Catalog.open(f"sqlite:///{tmp_path}/other.sqlite")


def test_a_newer_catalogue_is_refused(tmp_path: Path) -> None:
    Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite").close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="written by a newer geomon"):
        Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite")


@pytest.mark.fault(42)
def test_a_lock_that_stays_is_a_conflict(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(connecting, "BUSY_TIMEOUT_S", 0.01)
    catalog = Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite")
    other = sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreConflict, match="database is locked") as raised:
        catalog.replace_events(HOUR, [make_event()], catalog.begin_run("locate"))
    assert raised.value.retryable
    assert len(catalog.events()) == 0
    other.execute("ROLLBACK")
    other.close()
    catalog.replace_events(HOUR, [make_event()], catalog.begin_run("locate"))
    catalog.close()


def _write_everything(url: str, order: int) -> None:
    """Put the same hour into a catalogue, in one of two orders."""
    catalog = Catalog.open(url)
    events = many_events(12)
    run = catalog.begin_run("locate")
    for stream_id in STREAMS[::order]:
        picks = [p for e in events for p in e.picks if p.seed_id.stream_id == stream_id]
        catalog.replace_picks(stream_id, HOUR, picks, run)
    for tile in list(HOUR.steps(600 * 10**9))[::order]:
        inside = [e for e in events if tile.contains(to_ns(e.preferred_origin.time))]
        catalog.replace_events(tile, inside, run)
        catalog.ledger.record("locate", "network", tile, state="done", run=run)
    catalog.close()


@pytest.mark.fault(43, slow=True)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_write_the_same_and_nothing_is_doubled(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/catalog.sqlite"
    if kind == "postgresql":
        request.getfixturevalue("postgres_catalog")
        url = request.getfixturevalue("postgres_url")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_everything, args=(url, order)) for order in (1, -1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    catalog = Catalog.open(url)
    assert said(catalog.events()) == said(many_events(12))
    rows = dump(catalog)
    assert len(rows["event"]) == len(rows["event_revision"]) == len(rows["origin"]) == 12
    assert len(rows["pick"]) == 12 * 12
    assert len(rows["stream"]) == 12
    assert catalog.ledger.spans("locate", "network", HOUR) == [HOUR]
    catalog.close()


_ENDLESS_WRITER = """
import sys
from geomon.stores.catalog import Catalog
from tests.stores.events import HOUR, many_events
catalog = Catalog.open(sys.argv[1])
print("ready", flush=True)
for seed in range(10**6):
    catalog.replace_events(HOUR, many_events(6, seed=seed), catalog.begin_run("locate"))
    if seed == 3:
        print("written", flush=True)
"""


@pytest.mark.fault(39)
def test_a_writer_killed_at_any_moment_leaves_a_consistent_catalogue(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalog.sqlite"
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS_WRITER, url],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert writer.stdout is not None
        while writer.stdout.readline().strip() != "written":
            assert writer.poll() is None
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        catalog = Catalog.open(url)
        assert len(catalog.events()) == 6
        assert {len(event.picks) for event in catalog.events()} == {12}
        rows = dump(catalog)
        current = [row for row in rows["event_revision"] if row[4] is None]
        assert len(current) == len(rows["event"])
        catalog.close()


_FORK = """
import os, sys
from geomon.stores.catalog import Catalog
from tests.stores.events import HOUR, make_event, many_events
catalog = Catalog.open(sys.argv[1])
catalog.replace_events(HOUR, [make_event()], catalog.begin_run("locate"))
child = os.fork()
if not child:
    catalog.replace_events(HOUR, many_events(3), catalog.begin_run("locate"))
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(len(catalog.events()))
"""


def test_a_forked_process_opens_its_own_connections(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _FORK, f"sqlite:///{tmp_path}/catalog.sqlite"],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert answer.stdout.strip() == "3"


def test_postgresql_gets_the_same_tables(open_postgres_catalog: Catalog) -> None:
    with open_postgres_catalog.database.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []


@pytest.mark.fault(60)
def test_a_clock_that_jumps_back_does_not_disorder_history(catalog: Catalog, monkeypatch) -> None:
    [event_id] = catalog.replace_events(HOUR, [make_event()], catalog.begin_run("a")).created
    first = catalog.event(event_id).valid_from
    monkeypatch.setattr(database.time, "time_ns", lambda: 0)
    catalog.replace_events(HOUR, [make_event(100.2)], catalog.begin_run("b"))
    second = catalog.event(event_id)
    assert second.valid_from > first
    assert catalog.event(event_id, as_of=first).preferred_origin.time == at(100)
    assert catalog.event(event_id, as_of=second.valid_from).preferred_origin.time == at(100.2)


def test_many_connections_to_a_new_file_at_once(tmp_path):
    for attempt in range(5):
        url = f"sqlite:///{tmp_path}/{attempt}.sqlite"
        start = threading.Barrier(6)

        def opened(url=url, start=start):
            start.wait(60)
            catalog = Catalog.open(url)
            try:
                return len(catalog.events())
            finally:
                catalog.close()

        with ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(opened) for _ in range(6)]
            assert [future.result(60) for future in futures] == [0] * 6
