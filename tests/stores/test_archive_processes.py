"""Killed writers and writers side by side: the archive is always whole."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from geomon.stores.archive import Archive
from tests.stores.contents import digest
from tests.stores.killing import kill_writers, piece, request


@pytest.mark.fault(39)
def test_a_killed_writer_leaves_the_old_or_the_new_object(tmp_path: Path) -> None:
    survival = kill_writers(tmp_path / "archive", 8, random.Random(5))
    assert (survival.n_lost, survival.n_mixed, survival.n_damaged) == (0, 0, 0)
    assert survival.n_pieces >= 8
    assert not (tmp_path / "archive" / ".writing").exists()


@pytest.mark.fault(40)
def test_two_processes_on_one_station_day_lose_nothing(tmp_path: Path) -> None:
    """Both write all of the same pieces, one forwards, one backwards."""
    script = (
        "import sys; from pathlib import Path; from geomon.stores.archive import Archive; "
        "from tests.stores.killing import piece, request; "
        "archive = Archive.open(Path(sys.argv[1])); "
        "[archive.write(piece(n), request(n)) for n in range(20)[:: int(sys.argv[2])]]"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "both"), step])
        for step in ("1", "-1")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    alone = Archive.open(tmp_path / "alone")
    for number in range(20):
        alone.write(piece(number), request(number))
    assert digest(Archive.open(tmp_path / "both")) == digest(alone)
