"""Servers started as child processes: with what settings, when they are ready, how they end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from geomon.config import Config
from geomon.errors import ConfigError, GeomonError

_CHECKOUT = Path(__file__).parent.parent.parent / "deployments"
_PACKAGED = Path(__file__).parent.parent / "deployments"

PREFECT = (sys.executable, "-m", "prefect")
"""How Prefect's command line is called: by module, as no environment need be activated."""


@dataclass(frozen=True)
class Child:
    """A running server, the leader of a process group of its own."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def last_words(self, n_lines: int = 8) -> str:
        """Return the end of what the process wrote."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-n_lines:] if line.strip())


def deployments_folder() -> Path:
    """Return the folder of deployment files: the checkout's, or the installed one.

    Raises
    ------
    ConfigError
        If geomon was installed without it.
    """
    for folder in (_CHECKOUT, _PACKAGED):
        if (folder / "prefect.env").is_file():
            return folder
    msg = f"{_PACKAGED}: prefect.env is missing; install geomon again"
    raise ConfigError(msg)


def prefect_settings() -> dict[str, str]:
    """Return the settings of ``deployments/prefect.env``, by name."""
    text = (deployments_folder() / "prefect.env").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def prefect_home(config: Config, config_path: Path) -> Path:
    """Return where a network's Prefect keeps its database: beside the network's other data."""
    archive = config.archive.url
    folder = config_path.parent if "://" in archive else Path(archive).parent
    return (folder / "prefect").absolute()


def prefect_environment(home: Path, port: int) -> dict[str, str]:
    """Return the environment of everything that talks to the Prefect server on a port.

    What the operator has set already wins, but for the server's address.
    """
    defaults = {"PREFECT_HOME": str(home), **prefect_settings()}
    address = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    return {**defaults, **os.environ, **address}


def prefect_server_command(port: int) -> tuple[str, ...]:
    """Return the command of a Prefect server that listens on this machine only."""
    return (*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port))


def gpus() -> list[str]:
    """Return the numbers of the NVIDIA GPUs that may be used, as CUDA_VISIBLE_DEVICES has them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name and name != "-1"]
    return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def start(name: str, command: Sequence[str], *, env: Mapping[str, str], folder: Path) -> Child:
    """Start a server whose output goes to ``folder/name.log``.

    It leads a process group of its own, so that Ctrl-C in the terminal reaches only us and the
    servers are stopped in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=dict(env), start_new_session=True,
        )  # fmt: skip
    return Child(name, process, log)


def wait_until_healthy(
    child: Child, url: str, *, stop: threading.Event | None = None, timeout_s: float = 300.0
) -> None:
    """Wait until a URL of a server answers 200, or `stop` is set.

    Raises
    ------
    GeomonError
        If the server ends or stays silent; the end of its log is in the message.
    """
    stop = stop or threading.Event()
    deadline = time.monotonic() + timeout_s
    while not stop.is_set():
        if child.process.poll() is not None:
            msg = f"{child.name} ended with status {child.process.returncode}: {child.last_words()}"
            raise GeomonError(msg)
        try:
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            msg = (
                f"{child.name} did not answer {url} within {timeout_s:.0f} s: {child.last_words()}"
            )
            raise GeomonError(msg)
        stop.wait(0.1)


def end(children: Sequence[Child], *, timeout_s: float = 15.0) -> None:
    """Stop servers, the youngest first, each with what it started; kill what does not listen."""
    for child in reversed(children):
        _signal(child, signal.SIGTERM)
        try:
            child.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _signal(child, signal.SIGKILL)
            child.process.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process.poll() is not None:
        return
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        return
