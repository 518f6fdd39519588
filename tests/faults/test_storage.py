"""Disks that are full or gone read-only, and databases that are full, locked or away."""

import errno
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from geomon.config import Config
from geomon.errors import StoreError
from geomon.services.ingest import ingest
from geomon.services.workspace import workspace
from geomon.stores import database
from geomon.stores.archive import Archive
from tests.faults.networks import (
    Configured,
    assert_everything_archived,
    assert_nothing_invented,
    restarted,
)
from tests.sources.conftest import SPAN
from tests.stores import postgres


class Disk:
    """A file system of its own in memory, whose size and mode can be changed."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.place], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small file system; only the superuser can."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a file system: {mounted.stderr.strip()}")
    yield Disk(place)
    subprocess.run(["umount", "-l", place], check=True)


def moved(config: Config, archive: Path | None = None, catalog: str | None = None) -> Config:
    """Return a config whose archive or catalogue is elsewhere."""
    changes: dict[str, object] = {}
    if archive is not None:
        changes["archive"] = config.archive.model_copy(update={"url": str(archive)})
    if catalog is not None:
        changes["catalog"] = config.catalog.model_copy(update={"url": catalog})
    return config.model_copy(update=changes)


@pytest.mark.fault(38)
@pytest.mark.parametrize(
    ("before", "reason", "after"),
    [
        ("size=200k", os.strerror(errno.ENOSPC), "size=64m"),
        ("size=64m,nr_inodes=22", os.strerror(errno.ENOSPC), "nr_inodes=1000"),
    ],
    ids=["full", "no inodes"],
)
def test_a_full_disk_keeps_what_it_has_and_takes_the_rest_later(
    dataselect: str, configured: Configured, disk: Disk, before: str, reason: str, after: str
) -> None:
    disk.remount(before)
    config = moved(configured(dataselect), disk.place / "archive")
    report = ingest(config, SPAN)
    assert report.n_failed > 0
    assert any(reason in line for line in report.problems)
    n_archived = assert_nothing_invented(config)
    disk.remount(after)
    report = ingest(restarted(config), SPAN)
    assert (report.n_failed, report.n_new_samples) == (0, 204_000 - n_archived)
    assert_everything_archived(config)
    restarted(config)


@pytest.mark.fault(38)
def test_a_disk_gone_read_only_is_told_and_made_up_for_later(
    dataselect: str, configured: Configured, disk: Disk
) -> None:
    """What Linux does with a file system after an I/O error."""
    disk.remount("size=64m")
    config = moved(configured(dataselect), disk.place / "archive")
    assert ingest(config, SPAN, stations=("CX.PB02",)).n_failed == 0
    disk.remount("ro")
    with pytest.raises(StoreError, match="Read-only file system"):
        ingest(config, SPAN, stations=("CX.PB01",))
    assert assert_nothing_invented(config) == 24_000
    disk.remount("rw")
    assert ingest(restarted(config), SPAN).n_failed == 0
    assert_everything_archived(config)
    restarted(config)


@pytest.mark.fault(42)
def test_a_database_that_is_full_costs_no_sample(
    dataselect: str, configured: Configured, disk: Disk
) -> None:
    catalog = disk.place / "catalog.sqlite"
    disk.remount("size=8m")
    config = moved(configured(dataselect), catalog=f"sqlite:///{catalog}")
    workspace(config).catalog.events()
    filler = disk.place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    report = ingest(config, SPAN)
    assert report.n_failed > 0
    assert any("full" in line for line in report.problems)
    assert_nothing_invented(config)
    filler.unlink()
    assert ingest(restarted(config), SPAN).n_failed == 0
    assert_everything_archived(config)
    restarted(config)
    with closing(sqlite3.connect(catalog)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.fault(42)
def test_a_database_locked_by_another_program_is_waited_for(
    dataselect: str, configured: Configured
) -> None:
    config = configured(dataselect)
    path = config.catalog.url.removeprefix("sqlite:///")
    workspace(config).catalog.events()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(1.0, lambda: other.execute("ROLLBACK"))
    release.start()
    assert ingest(config, SPAN).n_failed == 0
    release.join()
    other.close()
    assert_everything_archived(config)


@pytest.mark.fault(42)
def test_a_database_that_goes_and_comes_back_doubles_and_loses_nothing(
    dataselect: str, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped with connections open, away for a while, then there again; then away for long."""
    pytest.importorskip("psycopg", reason="needs the extra geomon[postgres]")
    programs = postgres.find_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's programs, for example Debian's package postgresql")
    with postgres.server(programs) as server:
        config = moved(configured(dataselect), catalog=server.url)
        assert ingest(config, SPAN, stations=("CX.PB02",)).n_failed == 0
        server.stop()
        back = threading.Timer(1.0, server.start)
        back.start()
        report = ingest(config, SPAN, stations=("CX.PB01",))
        back.join()
        assert report.n_failed == 0
        assert_everything_archived(config)
        server.stop()
        monkeypatch.setattr(database, "_LONGEST_WAIT_S", 0.05)
        later = SPAN.padded(30)
        with pytest.raises(StoreError, match="Connection refused"):
            ingest(config, later)
        server.start()
        assert ingest(config, later).n_failed == 0
        assert_everything_archived(config)
        entries = workspace(config).coverage.entries("archive")
        assert len({(entry.key, entry.span) for entry in entries}) == len(entries)
        restarted(config)


@pytest.mark.fault(41)
def test_an_object_cut_short_is_noticed_set_aside_and_fetched_again(
    dataselect: str, configured: Configured
) -> None:
    config = configured(dataselect)
    ingest(config, SPAN)
    archive = Archive.open(config.archive.url)
    [path, *_] = sorted(Path(config.archive.url).rglob("c/0/*"))
    path.write_bytes(path.read_bytes()[:-100])
    [finding] = archive.verify()
    assert ingest(restarted(config), SPAN.padded(30)).n_failed == 1
    archive.set_aside(finding.key)
    restarted(config)
    ingest(config, SPAN)
    assert_everything_archived(config)
