"""What orchestration costs: plans, grids, task runs, resuming, and how late live events are.

A real Prefect server on SQLite runs the backfill's flow over simulated work (each unit sleeps); a
real process is killed and resumed; a SeedLink server and a data centre replay a swarm as fast as
it happened.
"""

import os
import resource
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import yaml

from geomon.config import Config, find_config, load_config
from geomon.ids import SeedId
from geomon.services import backfill as service
from geomon.services import processes
from geomon.services.backfill import BackfillUnit, UnitReport, plan
from geomon.services.grid import Cell, drawn
from geomon.services.locate import locate_version
from geomon.services.pick import PIECE_NS, picker_version
from geomon.services.processes import free_port
from geomon.services.workspace import workspace
from geomon.stores.ledger import Entry
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Provenance, Segment
from tests.benchmarks.backfill_latency import latency
from tests.benchmarks.report import Figure, main, versions, within
from tests.faults import killing, swarm

N_STATIONS = 50
DAY = parse_time("2024-01-01")
WORK_S = 0.05
"""Simulated work of a unit."""
AT_ONCE = 4
CLEAN_EVERY_S = 10
STATION_DAY_S = 3.4
"""Processor seconds to pick a day of three components at 100 Hz, by tests.benchmarks.picking."""


def measure(quick: bool) -> Sequence[Figure]:
    """Plan, run, kill, draw and watch."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        return [
            _grid(),
            _plan(place / "plan", quick),
            *_simulated(place / "run", quick),
            _resumed(place / "resume"),
            *latency(place / "live", quick),
        ]


def _grid() -> Figure:
    first = date(2024, 1, 1)
    cells = [
        Cell(f"XX.S{station:03d}..HH", first + timedelta(days=day), stage, "done", 0.0)
        for station, day, stage in product(range(125), range(400), ("fetch", "pick"))
    ]
    begun = time.perf_counter()
    drawn(cells)
    took_s = time.perf_counter() - begun
    return within(f"grid of {len(cells):,} cells drawn", took_s, "s", 1.0, "terminal")


def _plan(folder: Path, quick: bool) -> Figure:
    """Plan 50 stations and 90 days of which half are done, as the ledger and the archive say."""
    config = _network(folder)
    span = TimeSpan(DAY, DAY + 90 * NS_PER_DAY)
    n_archived = 3 if quick else 45
    _pretend(config, n_archived)
    plan(config, span)  # metadata are read, tables opened
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        planned = plan(config, span)
        took.append(time.perf_counter() - begun)
    conditions = (
        f"{planned.n_units} units to do; {N_STATIONS * n_archived} station-days archived and "
        "picked, 45 days located; SQLite; best of 3"
    )
    return within(f"plan of {N_STATIONS} stations x 90 days", min(took), "s", 1.0, conditions)


def _network(folder: Path) -> Config:
    (folder / "waveforms").mkdir(parents=True)
    rows = ["network,station,latitude,longitude,elevation,location,channel"]
    rows += [
        f"XX,S{n:03d},{64 + n / 100},{-21 + n / 50},100,,HHE HHN HHZ" for n in range(N_STATIONS)
    ]
    (folder / "stations.csv").write_text("\n".join(rows) + "\n")
    content = yaml.safe_load(find_config("demo").read_text()) | {
        "network": {"name": "fifty", "stations": "stations.csv"},
        "source": {"kind": "files", "paths": ["waveforms"]},
        "archive": {"url": "archive"}, "catalog": {"url": "sqlite:///catalog.sqlite"},
        "picker": {"name": "default", "backend": "onnxruntime"},
    }  # fmt: skip
    path = folder / "network.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_config(path)


def _pretend(config: Config, n_days: int) -> None:
    """Archive a little of each station-day, and say that all of it was picked and located."""
    space = workspace(config)
    inventory = space.refreshed_stations(TimeSpan(DAY, DAY + NS_PER_DAY))
    samples = np.arange(60, dtype=np.int32)
    version, entries = picker_version(config), []
    for stream in inventory.preferred_streams(TimeSpan(DAY, DAY + 1), ("HH",)):
        seed_id = SeedId.parse(f"{stream}Z")
        starts = [DAY + day * NS_PER_DAY for day in range(n_days)]
        segments = [Segment(seed_id, start_ns, 1.0, samples) for start_ns in starts]
        space.archive.write(segments, Provenance("benchmark", "pretend", "0" * 64))
        for start_ns in starts:
            day = TimeSpan(start_ns, start_ns + NS_PER_DAY)
            first, end = -(-day.start_ns // PIECE_NS), -(-day.end_ns // PIECE_NS)
            text = ",".join(f"{piece}:0123456789" for piece in range(first, end))
            entries += [
                Entry("archive", str(stream), day, "done", seconds=0.3),
                Entry("pick", str(stream), day, "done", version, text, seconds=3.4),
            ]
    located = locate_version(config, inventory.version)
    tiles = TimeSpan(DAY, DAY + 45 * NS_PER_DAY).steps(600 * NS_PER_S)
    entries += [Entry("locate", "network", tile, "done", located, seconds=0.1) for tile in tiles]
    space.coverage.record_all(entries)


# ------------------------------------------------------------------------------- Prefect's cost


@dataclass(frozen=True)
class _Server:
    home: Path
    pid: int

    def memory_mb(self) -> float:
        """Return the most memory the server and its children ever held."""
        pids = [self.pid, *_descendants(self.pid)]
        lines = [
            line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().split("\n")
        ]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def database_kb(self) -> float:
        """Return the size of what the database holds, its log folded in."""
        return float(self._asked("PRAGMA page_count") * self._asked("PRAGMA page_size")) / 1024

    def wait_for_task_runs(self, number: int) -> None:
        """Wait until the recorder, which writes behind, has written so many ended task runs."""
        self._wait_until("SELECT count(*) FROM task_run WHERE end_time IS NOT NULL", number)

    def clean_up(self) -> tuple[int, float]:
        """Make all runs 31 days older; return their number, and the seconds until all are gone."""
        number = self._asked("SELECT count(*) FROM flow_run") + self._asked(
            "SELECT count(*) FROM task_run"
        )
        with closing(sqlite3.connect(self.home / "prefect.db", timeout=60)) as connection:
            old = datetime.now(UTC) - timedelta(days=31)
            connection.execute("UPDATE flow_run SET end_time = ?", [f"{old:%Y-%m-%d %H:%M:%S.%f}"])
            connection.commit()
        begun = time.perf_counter()
        for table in ("flow_run", "task_run", "artifact"):
            self._wait_until(f"SELECT count(*) = 0 FROM {table}", 1)
        return number, time.perf_counter() - begun

    def _asked(self, query: str) -> int:
        with closing(sqlite3.connect(self.home / "prefect.db", timeout=60)) as connection:
            [[value]] = connection.execute(query)
        return int(value)

    def _wait_until(self, query: str, value: int) -> None:
        deadline = time.monotonic() + 120
        while self._asked(query) < value:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{query}: not {value} after two minutes")
            time.sleep(0.2)


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


@contextmanager
def _prefect(home: Path) -> Iterator[_Server]:
    port = free_port()
    environment = processes.prefect_environment(home, port)
    environment["PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS"] = str(CLEAN_EVERY_S)
    quiet = {
        "PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }  # fmt: skip
    os.environ.update(environment | quiet)  # before Prefect is imported
    command = (*processes.prefect_server_command(port), "--no-ui")
    child = processes.start("server", command, env=environment, folder=home / "logs")
    try:
        processes.wait_until_healthy(child, f"{environment['PREFECT_API_URL']}/health")
        yield _Server(home, child.process.pid)
    finally:
        log = child.log.read_text()
        processes.end([child])
        if "database is locked" in log:
            raise RuntimeError("the Prefect server's database was locked")


def _simulated(folder: Path, quick: bool) -> list[Figure]:
    """Run the flow of a backfill whose units only sleep."""
    _network(folder)
    n_days = 14 if quick else 90
    begun_at = datetime.fromtimestamp(DAY / NS_PER_S, UTC)
    span = {"start": begun_at, "end": begun_at + timedelta(days=n_days)}
    with _prefect(folder / "prefect") as server, patch.object(service, "_worked", _sleeping):
        from flows.backfill import backfill
        from flows.requests import BackfillRequest

        request = BackfillRequest(
            config=str(folder / "network.yaml"), max_parallel=AT_ONCE, mode="missing", **span
        )
        backfill(request.model_copy(update={"dry_run": True}))
        before_kb, own_before = server.database_kb(), _own_mb()
        begun = time.perf_counter()
        report = backfill(request)["backfill"]
        took_s = time.perf_counter() - begun
        server.wait_for_task_runs(report["n_units"])
        grown_kb, memory_mb = server.database_kb() - before_kb, server.memory_mb()
        n_old, cleaned_s = server.clean_up()
    n_units = report["n_units"]
    n_network = n_units // (N_STATIONS + 1)
    work_s = WORK_S * ((n_units - n_network) / AT_ONCE + n_network)
    extra_s = took_s - work_s
    each = f"{n_units} units of 7 days, {AT_ONCE} at once, {WORK_S:g} s each; SQLite, never locked"
    tools = versions("prefect", "sqlalchemy")
    share = 100 * (extra_s / n_units / service.DAYS_PER_UNIT) / STATION_DAY_S
    conditions = f"{each}; {tools}"
    return [
        within(
            f"run of {N_STATIONS} stations x {n_days} days, above its work", extra_s, "s",
            30.0, conditions,
        ),
        Figure(figure="overhead a task", value=1000 * extra_s / n_units, unit="ms",
               conditions=conditions),
        within(
            "overhead a station-day, of its work", share, "%", 5.0,
            f"{each}; work of {STATION_DAY_S:g} s; {tools}",
        ),
        Figure(figure="task runs", value=n_units / took_s, unit="1/s", conditions=conditions),
        Figure(figure="Prefect server, most memory", value=memory_mb, unit="MB",
               conditions=conditions),
        Figure(figure="the flow's process grew by", value=_own_mb() - own_before, unit="MB",
               conditions=conditions),
        Figure(
            figure="Prefect's database, a day of cycles every 5 minutes",
            value=288 * grown_kb / n_units / 1024, unit="MB",
            conditions=f"{grown_kb / n_units:.1f} kB a task run; kept for 30 days; {tools}",
        ),
        Figure(
            figure="old run history cleaned up, with its artifacts, in", value=cleaned_s, unit="s",
            conditions=f"{n_old} flow and task runs, of 31 days ago; looked for every "
            f"{CLEAN_EVERY_S} s, an hour by default; {tools}",
        ),
    ]  # fmt: skip


def _own_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _sleeping(*_: object) -> UnitReport:
    time.sleep(WORK_S)
    return UnitReport()


# -------------------------------------------------------------------------------------- kill -9


def _resumed(folder: Path) -> Figure:
    """Kill a backfill at work; how long until another process has its unit again."""
    made = swarm.configured(swarm.record(folder / "recorded"), folder / "stores")
    config = made.model_copy(
        update={"picker": made.picker.model_copy(update={"backend": "onnxruntime"})}
    )
    ledger = workspace(config).coverage
    os.environ["GEOMON_TEST_QUICK"] = "1"  # the killed processes need no TensorFlow
    worker = killing.start(killing.fill_back, config, swarm.RECORDED)
    while not (held := ledger.at_work("backfill", swarm.RECORDED)):
        time.sleep(0.02)
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.join()
    [lost] = held
    worker = killing.start(killing.fill_back, config, swarm.RECORDED)
    begun = time.perf_counter()
    while True:
        [now] = ledger.entries("backfill", key=lost.key, span=lost.span)
        if now.attempts > lost.attempts or now.state == "done":
            break
        time.sleep(0.02)
    took_s = time.perf_counter() - begun
    worker.end()
    unit = BackfillUnit(lost.key, lost.span)
    return within(
        "resume after kill -9, until the lost unit is at work again", took_s, "s", 10.0,
        f"{unit} of {swarm.N_STATIONS} stations; others are done first",
    )  # fmt: skip


if __name__ == "__main__":
    main(measure)
