"""A real PostgreSQL server for the tests, on loopback, in a folder of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_GUARD = 'read -r _; "$1/pg_ctl" -D "$2/data" -m immediate -w stop; rm -rf "$2"'


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where it is not installed."""
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),):
        if (folder / "initdb").is_file():
            return folder
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


@dataclass(frozen=True)
class Server:
    """A running server: the address of a database one can connect to, and how to interrupt it."""

    url: str
    start: Callable[[], None]
    stop: Callable[[], None]


@contextmanager
def server(programs: Path, *, shared_buffers: str = "32MB") -> Iterator[Server]:
    """Run a server with so much memory of its own.

    A shell waits beside it for this process to say that it is done, or to be killed: then nothing
    is left of the server.
    """
    folder = Path(tempfile.mkdtemp(prefix="geomon-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*arguments: str) -> None:
        subprocess.run(
            [programs / arguments[0], *arguments[1:]],
            check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    data = str(folder / "data")
    options = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        f" -c fsync=off -c shared_buffers={shared_buffers}"
    )

    def start() -> None:
        run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-w", "-o", options, "start")

    def stop() -> None:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")

    guard = subprocess.Popen(
        ["sh", "-c", _GUARD, "sh", programs, folder], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=folder.parent,
        start_new_session=True,
    )  # fmt: skip
    try:
        run("initdb", "-D", data, "-U", "geomon", "-A", "trust", "-E", "UTF8", "--no-sync")
        start()
        yield Server(f"postgresql://geomon@127.0.0.1:{port}/postgres", start, stop)
    finally:
        guard.communicate(b"done\n")
