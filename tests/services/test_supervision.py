"""Servers that end are started again, and with them those that need them."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from geomon.errors import GeomonError
from geomon.services.processes import free_port
from geomon.services.supervision import Part, Parts

SERVE = (sys.executable, "-c", "import http.server, sys; "
         "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), "
         "bind='127.0.0.1')")  # fmt: skip
SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


def pids(parts: Parts) -> dict[str, int]:
    return {part.name: child.process.pid for part, child in parts._running.items()}


@pytest.mark.fault(44)
def test_a_server_that_dies_is_started_again_with_its_workers(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    stop, told = threading.Event(), []
    parts = Parts(stop, told.append)
    server = Part("server", (*SERVE, str(port)), os.environ, tmp_path, health=url)
    parts.start(server)
    parts.start(Part("worker", SLEEP, os.environ, tmp_path, needs="server"))
    parts.start(Part("other", SLEEP, os.environ, tmp_path))
    before = pids(parts)
    watcher = threading.Thread(target=parts.watch)
    watcher.start()
    os.kill(before["server"], signal.SIGKILL)
    while pids(parts)["worker"] == before["worker"]:
        time.sleep(0.05)
    stop.set()
    watcher.join()
    after = pids(parts)
    assert httpx.get(url).status_code == 200
    assert [after[name] == before[name] for name in ("server", "worker", "other")] == [
        False, False, True,
    ]  # fmt: skip
    assert "server ended with status -9" in told[0]
    parts.end()
    assert not any(Path(f"/proc/{pid}").exists() for pid in after.values())


def test_what_ends_again_and_again_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    parts = Parts(threading.Event(), lambda _: None)
    broken = (sys.executable, "-S", "-c", "raise SystemExit('no such network')")
    parts.start(Part("broken", broken, os.environ, tmp_path))
    with pytest.raises(GeomonError, match="broken ended with status 1: no such network"):
        parts.watch()
    parts.end()
