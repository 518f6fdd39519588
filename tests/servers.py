"""Real servers on loopback for tests and benchmarks."""

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

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
    """Serve empty S3 buckets from this process's memory; yield the endpoint's URL.

    Any credentials do. Writes are taken one at a time, as S3 itself decides conditional puts.
    """
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    application = DomainDispatcherApplication(create_backend_app)
    one_writer = threading.Lock()

    def in_turn(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return application(environ, start_response)
        with one_writer:
            return application(environ, start_response)

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    server = make_server("127.0.0.1", 0, in_turn, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        with httpx.Client(trust_env=False, timeout=30) as client:
            client.post(f"{url}/moto-api/reset")
            for bucket in buckets:
                client.put(f"{url}/{bucket}").raise_for_status()
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
