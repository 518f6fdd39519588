"""One machine, one command: Prefect server, deployments, a worker and the web services."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from geomon.config import load_config
from geomon.errors import GeomonError
from geomon.services import processes
from geomon.services.supervision import Part, Parts

_PREFECT_PORT = 4200


def up(
    config_path: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    prefect_port: int = _PREFECT_PORT,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Run everything a network needs until Ctrl-C or SIGTERM, then stop it all.

    What ends by itself is started again, and with the Prefect server its workers.

    The Prefect server, its worker and their database in ``prefect/`` beside the archive serve
    this machine only; the web services listen on `host`.

    Parameters
    ----------
    config_path : Path
        The network.
    host, port : str, int
        Where the web page and the FDSN services listen.
    prefect_port : int
        Where the Prefect server and its page listen, on the loopback address.
    announce : callable
        Told, line by line, what is ready; stderr by default.

    Raises
    ------
    ConfigError
        If the config cannot be used.
    GeomonError
        If a port is taken, or one of the servers ends by itself again and again; the others are
        stopped then.
    """
    tell = announce or _to_stderr
    config = load_config(config_path)
    for address, number in ((host, port), ("127.0.0.1", prefect_port)):
        if not processes.is_free(address, number):
            msg = f"{address}:{number} is taken: is geomon running already? choose another port"
            raise GeomonError(msg)
    env = processes.prefect_environment(processes.prefect_home(config, config_path), prefect_port)
    logs = Path(env["PREFECT_HOME"]) / "logs"
    server = Part(
        "prefect-server", processes.prefect_server_command(prefect_port), env, logs,
        health=f"{env['PREFECT_API_URL']}/health",
    )  # fmt: skip
    web = Part(
        "web", _web_command(config_path, host, port), env, logs, health=f"http://{host}:{port}/"
    )
    with _until_signalled() as stop:
        parts = Parts(stop, tell)
        try:
            tell(f"starting (logs in {logs}) …")
            parts.start(server, web)
            if not stop.is_set():
                tell(f"Prefect        http://127.0.0.1:{prefect_port}/")
                tell(f"web and FDSN   http://{host}:{port}/")
                _bootstrap(config_path, env, logs, stop)
            parts.start(*_workers(env, logs))
            if not stop.is_set():
                tell("running; Ctrl-C stops everything")
            parts.watch()
        finally:
            parts.end()
            tell("stopped")


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, where signals can be listened to."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bootstrap(config_path: Path, env: dict[str, str], logs: Path, stop: threading.Event) -> None:
    """Make the pools, limits and deployments, and seed their schedules.

    Raises
    ------
    GeomonError
        If that fails; the end of its log is in the message.
    """
    command = (sys.executable, "-m", "flows.bootstrap", "--config", str(config_path))
    child = processes.start("bootstrap", command, env=env, folder=logs)
    try:
        while not stop.wait(0.2) and child.process.poll() is None:
            pass
        if child.process.poll() not in {0, None}:
            msg = f"the deployments could not be made: {child.last_words()}"
            raise GeomonError(msg)
    finally:
        processes.end([child])


def _workers(env: dict[str, str], logs: Path) -> list[Part]:
    """Return a worker of the CPU pool, and one of the GPU pool for each GPU."""
    # A worker that loses its server must not go on with a private one.
    own = {**env, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
    found = [_worker("worker", "cpu-pool", "cpu-1", 4, own, logs)]
    for number in processes.gpus():
        alone = {**own, "CUDA_VISIBLE_DEVICES": number}
        found.append(_worker(f"gpu-worker-{number}", "gpu-pool", f"gpu-{number}", 1, alone, logs))
    return found


def _worker(part: str, pool: str, name: str, limit: int, env: dict[str, str], logs: Path) -> Part:
    command = (
        *processes.PREFECT, "worker", "start", "--pool", pool, "--type", "process",
        "--name", name, "--limit", str(limit), "--install-policy", "never",
    )  # fmt: skip
    return Part(part, command, env, logs, needs="prefect-server")


def _web_command(config_path: Path, host: str, port: int) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "geomon", "serve", "--config", str(config_path),
        "--host", host, "--port", str(port),
    )  # fmt: skip
