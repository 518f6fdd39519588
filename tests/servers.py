"""Real servers on loopback for tests and benchmarks."""

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_BIN = Path(sys.executable).parent
_INI = """
[index_db]
path = {database}
table = tsindex
summary_table = tsindex_summary
[server]
interface = 127.0.0.1
port = {port}
request_limit = {request_limit}
maxsectiondays = 10
[logging]
path = {log}
level = WARNING
"""


@contextmanager
def dataselect_server(folder: Path, *, request_limit: int = 0) -> Iterator[str]:
    """Serve the miniSEED files below `folder` by FDSN dataselect; yield the base URL.

    EarthScope's portable-fdsnws-dataselect in a process of its own, over an index made by
    mseedindex. `request_limit` is its largest answer in bytes (413 above it), 0 for any.
    """
    files = sorted(str(p) for p in folder.rglob("*") if p.is_file())
    with tempfile.TemporaryDirectory() as work:
        database, ini = Path(work, "index.sqlite"), Path(work, "server.ini")
        subprocess.run(
            [_BIN / "mseedindex", "-snd", "-sqlite", database, *files],
            check=True,
            capture_output=True,
        )
        _mend_index(database)
        for attempt in range(5):
            port = free_port()
            settings = {"database": database, "port": port, "log": Path(work, "log")}
            ini.write_text(_INI.format(**settings, request_limit=request_limit))
            if attempt == 0:
                _server(ini, "--init").communicate(timeout=60)
            server = _server(ini)
            if server.stdout.readline().startswith("Started"):
                break
            server.communicate(timeout=60)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.communicate(timeout=60)


def _mend_index(database: Path) -> None:
    """Write byte offsets where mseedindex writes a flag that server 2.0.1 takes for an offset."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE tsindex SET timeindex = "
            "replace(timeindex, 'latest=>1', 'latest=>' || (byteoffset + bytes))"
        )


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server(ini: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "portable_fdsnws_dataselect.server", *options, str(ini)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    )


@contextmanager
def s3_server(*buckets: str) -> Iterator[str]:
    """Serve empty S3 buckets from a process's memory; yield the endpoint's URL.

    Any credentials do. Writes are taken one at a time, as S3 itself decides conditional puts.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.s3server", *buckets],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = server.stdout.readline().strip() if server.stdout else ""
        if not url:
            raise RuntimeError("the S3 server did not start; its error is printed above")
        yield url
    finally:
        server.terminate()
        server.communicate(timeout=60)
