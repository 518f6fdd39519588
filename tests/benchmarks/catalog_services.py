"""How fast the web services answer, asked over HTTP in a process of their own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import yaml

from geomon.ids import SeedId
from geomon.stores.archive import Archive
from geomon.times import format_ns, parse_time
from geomon.waveforms import Provenance, Segment
from tests.benchmarks.report import Figure, at_least, at_most, versions
from tests.servers import dataselect_server, free_port

DAY_NS = parse_time("2024-03-05")
CHANNELS = tuple(SeedId("XX", "AAA", "", f"HH{letter}") for letter in "ZNE")
RATE_HZ = 100.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Served:
    """A running server: its address and its process."""

    address: str
    pid: int

    def cpu_s(self) -> float:
        """Return the processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        """Return the memory in use."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def served(folder: Path, catalog: str) -> Iterator[Served]:
    """Serve the archive in a folder and a catalogue, as ``geomon serve`` does."""
    port, config = free_port(), folder / "served.yaml"
    content = {
        "network": {"name": "Benchmark"},
        "source": {"kind": "simulated"},
        "archive": {"url": str(folder / "archive")},
        "catalog": {"url": catalog},
    }
    config.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "geomon", "serve", "--config", str(config)]
    server = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{address}/fdsnws/event/1/version")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield Served(address, server.pid)
    finally:
        server.terminate()
        server.wait(60)


def events(folder: Path, catalog: str, n_events: int) -> Iterator[Figure]:
    """Measure the event service on a filled catalogue."""
    with served(folder, catalog) as server:
        query = f"{server.address}/fdsnws/event/1/query?limit=20000&format="
        seconds = min(_downloaded(f"{query}text")[1] for _ in range(3))
        goal, holds = at_most(seconds, 2.0)
        yield Figure(
            figure="FDSN text of 20,000 events", value=seconds, unit="s", goal=goal, holds=holds,
            conditions=f"{n_events} events in the catalogue; over HTTP on loopback; {_versions()}",
        )  # fmt: skip
        n_bytes, seconds, grown_mb = _downloaded(f"{query}xml", server)
        goal, holds = at_most(grown_mb, 100)
        yield Figure(
            figure="memory to stream QuakeML of 20,000 events", value=grown_mb, unit="MB",
            goal=goal, holds=holds,
            conditions=f"{n_bytes / 1e6:.0f} MB in {seconds:.1f} s, on top of the server's "
            f"memory before; {_versions()}",
        )  # fmt: skip


def dataselect(folder: Path) -> Iterator[Figure]:
    """Measure dataselect on one day of three channels, beside EarthScope's server on files."""
    archive = Archive.open(folder / "archive")
    archive.write(_day(), Provenance("benchmark", "", ""))
    path = (
        "fdsnws/dataselect/1/query?net=XX&sta=AAA&start="
        f"{format_ns(DAY_NS)[:19]}&end={format_ns(DAY_NS + 86_399 * 10**9)[:19]}"
    )
    with served(folder, f"sqlite:///{folder}/dataselect.sqlite") as server:
        _downloaded(f"{server.address}/{path}")
        before_s = server.cpu_s()
        answers = [_downloaded(f"{server.address}/{path}") for _ in range(4)]
        per_core = sum(n_bytes for n_bytes, *_ in answers) / 1e6 / (server.cpu_s() - before_s)
        rate = max(n_bytes / 1e6 / seconds for n_bytes, seconds, _ in answers)
        (folder / "day.mseed").write_bytes(httpx.get(f"{server.address}/{path}").content)
    files = folder / "files"
    files.mkdir()
    (folder / "day.mseed").rename(files / "day.mseed")
    with dataselect_server(files) as address:
        others = [_downloaded(f"{address}/{path}") for _ in range(4)]
    peer = max(n_bytes / 1e6 / seconds for n_bytes, seconds, _ in others)
    goal, holds = at_least(per_core, 100)
    yield Figure(
        figure="dataselect, one 3-C day at 100 Hz", value=per_core, unit="MB/s a core", goal=goal,
        holds=holds,
        peer="portable-fdsnws-dataselect on the same miniSEED as a file, by the clock",
        peer_value=peer, ratio=rate / peer,
        conditions=f"{answers[0][0] / 1e6:.0f} MB of miniSEED out of the archive; processor time "
        f"of the server; {rate:.0f} MB/s by the clock; {_versions()}",
    )  # fmt: skip


def _day() -> list[Segment]:
    """Return a day of noise that packs as recorded noise does, about 9 bits a sample."""
    rng = np.random.default_rng(0)
    n_samples = round(86_400 * RATE_HZ)
    found = []
    for seed_id in CHANNELS:
        walk = np.cumsum(rng.normal(0, 30, n_samples))
        walk -= np.convolve(walk, np.ones(500) / 500, "same")
        samples = (walk + rng.normal(0, 40, n_samples)).astype(np.int32)
        found.append(Segment(seed_id, DAY_NS, RATE_HZ, samples))
    return found


def _downloaded(url: str, server: Served | None = None) -> tuple[int, float, float]:
    """Return bytes, seconds, and how much the server's memory grew meanwhile, in MB."""
    started, n_bytes = time.perf_counter(), 0
    before_mb = most_mb = server.memory_mb() if server else 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal most_mb
        while server is not None and not done.wait(0.01):
            most_mb = max(most_mb, server.memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with httpx.stream("GET", url, timeout=120) as response:
            if response.status_code != 200:
                raise RuntimeError(f"{url}: {response.status_code}")
            for part in response.iter_raw(1 << 20):
                n_bytes += len(part)
    finally:
        done.set()
        watcher.join()
    return n_bytes, time.perf_counter() - started, most_mb - before_mb


def _versions() -> str:
    return versions("fastapi", "uvicorn")
