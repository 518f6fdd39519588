"""A backfill over real servers, with workers killed, ends in the catalogue of the embedded run."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from distributed import Client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed

from geomon.config import Config, find_config, load_config
from geomon.services import processes
from geomon.services.backfill import plan
from geomon.services.backfill_run import run
from geomon.services.processes import Child, free_port
from geomon.services.workspace import workspace
from tests.faults import swarm
from tests.servers import s3_server
from tests.stores import postgres

ROOT = Path(__file__).parents[2]
SPAN = swarm.RECORDED
QUICK = {"name": "default", "backend": "onnxruntime"}


def write_config(recorded: Path, folder: Path, **sections: object) -> Path:
    """Write the config of a network over the recordings of a swarm."""
    folder.mkdir()
    demo = yaml.safe_load(find_config("demo").read_text())
    content = {
        "network": {"name": "swarm", "stations": str(recorded / "stations.xml")},
        "source": {"kind": "files", "paths": [str(recorded / "waveforms")]},
        "velocity": demo["velocity"], "picker": QUICK,
        "archive": {"url": "archive"}, "catalog": {"url": "sqlite:///catalog.sqlite"}, **sections,
    }  # fmt: skip
    path = folder / "network.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass
class Cluster:
    """Servers of two machines' worth, on loopback."""

    config: Config
    config_path: Path
    env: dict[str, str]
    logs: Path
    dask: str
    children: list[Child]

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.env["PREFECT_API_URL"])

    def start(self, name: str, *command: str) -> Child:
        child = processes.start(name, command, env=self.env, folder=self.logs)
        self.children.append(child)
        return child

    def worker(self, pool: str, name: str) -> Child:
        return self.start(
            name, *processes.PREFECT, "worker", "start", "--pool", pool, "--type", "process",
            "--name", name, "--install-policy", "never",
        )  # fmt: skip

    def told(self) -> str:
        return "\n".join(f"== {p.name}\n{p.read_text()[-3000:]}" for p in self.logs.glob("*.log"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return swarm.record(tmp_path_factory.mktemp("swarm") / "recorded")


@pytest.fixture
def cluster(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    programs = postgres.find_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's programs (Debian: apt-get install postgresql)")
    prefect_port, dask_port = free_port(), free_port()
    with ExitStack() as stack:
        database = stack.enter_context(postgres.server(programs))
        aws = {
            "AWS_ENDPOINT_URL": stack.enter_context(s3_server("geomon")), "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
        }  # fmt: skip
        for name, value in aws.items():
            monkeypatch.setenv(name, value)
        dask = f"tcp://127.0.0.1:{dask_port}"
        path = write_config(
            recorded, tmp_path / "distributed", archive={"url": "s3://geomon/archive"},
            catalog={"url": database.url}, compute={"dask_scheduler": dask},
        )  # fmt: skip
        env = processes.prefect_environment(tmp_path / "prefect", prefect_port)
        env |= {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
        env.pop("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", None)
        made = Cluster(load_config(path), path, env, tmp_path / "logs", dask, [])
        stack.callback(lambda: processes.end(made.children))
        server = made.start("prefect", *processes.prefect_server_command(prefect_port), "--no-ui")
        dask_command = (sys.executable, "-m", "distributed.cli.dask_scheduler")
        made.start("dask-scheduler", *dask_command, "--host", "127.0.0.1", "--port",
                   str(dask_port), "--no-dashboard")  # fmt: skip
        made.start("dask-worker", sys.executable, "-m", "distributed.cli.dask_worker", dask,
                   "--host", "127.0.0.1", "--nworkers", "2", "--nthreads", "1",
                   "--no-dashboard")  # fmt: skip
        processes.wait_until_healthy(server, f"{env['PREFECT_API_URL']}/health")
        yield made


def wait_for[Found](look: Callable[[], Found | None], cluster: Cluster, seconds: float) -> Found:
    deadline = time.monotonic() + seconds
    never = threading.Event()
    while time.monotonic() < deadline:
        if found := look():
            return found
        never.wait(0.3)
    pytest.fail(f"nothing after {seconds} s\n{cluster.told()}")


def backfill(cluster: Cluster, **request: object) -> UUID:
    """Have the deployment run, as the form of the Prefect page does."""
    asked = {
        "config": str(cluster.config_path), "start": SPAN.start.isoformat(),
        "end": SPAN.end.isoformat(), **request,
    }  # fmt: skip
    with cluster.client() as client:
        deployment = client.read_deployment_by_name("backfill/network")
        made = client.create_flow_run_from_deployment(deployment.id, parameters={"request": asked})
    return made.id


def ended(cluster: Cluster, run_id: UUID, seconds: float = 240) -> FlowRun:
    with cluster.client() as client:

        def look() -> FlowRun | None:
            found = client.read_flow_run(run_id)
            return found if found.state is not None and found.state.is_final() else None

        return wait_for(look, cluster, seconds)


def done_units(cluster: Cluster) -> int:
    return len(workspace(cluster.config).coverage.entries("backfill", states=("done",)))


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


@contextmanager
def embedded(recorded: Path, folder: Path) -> Iterator[Callable[[], str]]:
    """Do the same in this process, beside the servers' start."""
    config = load_config(write_config(recorded, folder))

    def work() -> str:
        assert run(config, plan(config, SPAN)).n_failed == 0
        return workspace(config).catalog.digest(SPAN.padded(900))

    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(work).result


@pytest.mark.skipif("CI" not in os.environ, reason="takes two minutes; set CI=1")
@pytest.mark.fault(44, slow=True)
def test_a_backfill_over_servers_survives_its_workers(
    cluster: Cluster, recorded: Path, tmp_path: Path
) -> None:
    with embedded(recorded, tmp_path / "embedded") as expected:
        made = subprocess.run(
            [sys.executable, "-m", "flows.bootstrap", "--config", str(cluster.config_path)],
            env=cluster.env, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        digest = expected()
    cpu = cluster.worker("cpu-pool", "cpu-1")
    cluster.worker("gpu-pool", "gpu-0")

    killed = backfill(cluster)
    wait_for(lambda: done_units(cluster) >= 2, cluster, 240)
    with Client(cluster.dask, set_as_default=False) as dask:
        pids = list(dask.run(os.getpid).values())
    for pid in [pids[0], *descendants(cpu.process.pid), cpu.process.pid]:
        os.kill(pid, signal.SIGKILL)
    cpu.process.wait()
    n_before = done_units(cluster)
    assert n_before < swarm.N_STATIONS + 1
    with cluster.client() as client:  # as the automation does some minutes later
        client.set_flow_run_state(killed, Crashed(message="no sign of life"))

    cluster.worker("cpu-pool", "cpu-2")
    assert ended(cluster, backfill(cluster)).state_name == "Completed", cluster.told()
    assert workspace(cluster.config).catalog.digest(SPAN.padded(900)) == digest
    assert plan(cluster.config, SPAN).n_units == 0

    again = ended(cluster, backfill(cluster, mode="all", stations=["XX.GM01"], pick_on="gpu-pool"))
    assert again.state_name == "Completed", cluster.told()
    with cluster.client() as client:
        names = {found.name: found for found in client.read_flow_runs()}
        [picked] = [found for name, found in names.items() if name.startswith("pick ")]
        assert picked.work_pool_name == "gpu-pool"
    assert workspace(cluster.config).catalog.digest(SPAN.padded(900)) == digest
