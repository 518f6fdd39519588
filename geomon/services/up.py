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
from geomon.services.processes import Child

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
        If a port is taken, or one of the servers ends by itself; the others are stopped then.
    """
    tell = announce or _to_stderr
    config = load_config(config_path)
    for address, number in ((host, port), ("127.0.0.1", prefect_port)):
        if not processes.is_free(address, number):
            msg = f"{address}:{number} is taken: is geomon running already? choose another port"
            raise GeomonError(msg)
    env = processes.prefect_environment(processes.prefect_home(config, config_path), prefect_port)
    logs = Path(env["PREFECT_HOME"]) / "logs"
    children: list[Child] = []
    with _until_signalled() as stop:
        try:
            tell(f"starting (logs in {logs}) …")
            command = processes.prefect_server_command(prefect_port)
            children.append(processes.start("prefect-server", command, env=env, folder=logs))
            api = env["PREFECT_API_URL"]
            processes.wait_until_healthy(children[-1], f"{api}/health", stop=stop)
            tell(f"Prefect        http://127.0.0.1:{prefect_port}/")
            if not stop.is_set():
                _bootstrap(config_path, env, logs, stop)
            if not stop.is_set():
                children.append(_start_worker(env, logs))
                children.append(_start_web(config_path, host, port, env, logs))
                web = f"http://{host}:{port}"
                processes.wait_until_healthy(children[-1], f"{web}/", stop=stop)
                tell(f"web and FDSN   {web}/")
                tell("running; Ctrl-C stops everything")
            _watch(children, stop)
        finally:
            processes.end(children)
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


def _start_worker(env: dict[str, str], logs: Path) -> Child:
    command = (
        *processes.PREFECT, "worker", "start", "--pool", "cpu-pool", "--type", "process",
        "--name", "cpu-1", "--limit", "4", "--install-policy", "never",
    )  # fmt: skip
    # A worker that loses its server must not go on with a private one.
    own = {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
    return processes.start("worker", command, env={**env, **own}, folder=logs)


def _start_web(config_path: Path, host: str, port: int, env: dict[str, str], logs: Path) -> Child:
    command = (
        sys.executable, "-m", "geomon", "serve", "--config", str(config_path),
        "--host", host, "--port", str(port),
    )  # fmt: skip
    return processes.start("web", command, env=env, folder=logs)


def _watch(children: list[Child], stop: threading.Event) -> None:
    """Wait for the stop signal; a server that ends before it is an error.

    Raises
    ------
    GeomonError
        Naming the server that ended, with the end of its log.
    """
    while not stop.wait(0.5):
        for child in children:
            if child.process.poll() is not None:
                status = child.process.returncode
                msg = f"{child.name} ended with status {status}: {child.last_words()}"
                raise GeomonError(msg)
