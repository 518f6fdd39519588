"""The same work on this machine's threads and on a Dask cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

from geomon.config import Config, load_config
from geomon.errors import ClusterUnavailable
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.services.fanout import fan_out
from geomon.services.ingest import ingest
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment
from tests.stores.contents import contents

ROOT = Path(__file__).parents[2]
DAY = parse_time("2024-05-02")
SPAN = TimeSpan(DAY, DAY + 2 * NS_PER_DAY)
STATIONS = ("PB01", "PB02", "PB03")


@pytest.fixture(scope="module")
def cluster() -> LocalCluster:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as started:
        yield started


def network(folder: Path, name: str, scheduler: str = "") -> Config:
    path = folder / f"{name}.yaml"
    compute = f"compute: {{dask_scheduler: '{scheduler}'}}\n" if scheduler else ""
    path.write_text(
        f"network: {{name: {name}, stations: stations.csv}}\n"
        f"source: {{kind: files, paths: [recordings]}}\n"
        f"archive: {{url: {name}}}\ncatalog: {{url: 'sqlite:///{name}.sqlite'}}\n{compute}"
    )
    return load_config(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    (tmp_path / "recordings").mkdir()
    rows = ["network,station,latitude,longitude,elevation_m"]
    for number, station in enumerate(STATIONS):
        rows.append(f"CX,{station},{-21 - 0.1 * number},-69.5,900")
        for day in range(2):
            start = DAY + day * NS_PER_DAY + 3600 * NS_PER_S
            segments = [
                Segment(
                    SeedId("CX", station, "", f"BH{letter}"),
                    start,
                    20.0,
                    np.cumsum(rng.normal(0, 9, 20_000)).astype(np.int32),
                )
                for letter in "ZNE"
            ]
            (tmp_path / "recordings" / f"{station}{day}").write_bytes(encode(segments))
    (tmp_path / "stations.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_a_cluster_archives_what_threads_do(folder: Path, cluster: LocalCluster) -> None:
    here, there = network(folder, "here"), network(folder, "there", cluster.scheduler_address)
    heard: list[tuple[str, int, int]] = []
    reports = [
        ingest(here, SPAN),
        ingest(there, SPAN, progress=lambda *told: heard.append(told)),
    ]
    assert [report.n_new_samples for report in reports] == [360_000, 360_000]
    assert [report.n_failed for report in reports] == [0, 0]
    assert contents(workspace(here).archive) == contents(workspace(there).archive)
    assert ("fetch", 6, 6) in heard
    again = ingest(there, SPAN)
    assert (again.n_new_samples, again.n_requests) == (0, 0)


def _doubled(_: Config, key: int) -> int:
    return 2 * key


def test_results_come_in_the_order_of_the_keys(folder: Path, cluster: LocalCluster) -> None:
    config = network(folder, "order", cluster.scheduler_address)
    found = fan_out(_doubled, config, list(range(50)), stage="count", progress=lambda *_: None)
    assert found == [2 * key for key in range(50)]


def test_a_cluster_is_found_by_the_file_its_scheduler_wrote(
    folder: Path, cluster: LocalCluster
) -> None:
    config = network(folder, "file", "dask.json")
    with pytest.raises(ClusterUnavailable, match=r"dask\.json"):
        fan_out(_doubled, config, [1], stage="count", progress=lambda *_: None)
    (folder / "dask.json").write_text(json.dumps({"address": cluster.scheduler_address}))
    assert fan_out(_doubled, config, [4], stage="count", progress=lambda *_: None) == [8]


def test_a_cluster_that_cannot_do_the_work_is_an_error_that_says_so(
    folder: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = network(folder, "gpu", cluster.scheduler_address)
    with pytest.raises(ClusterUnavailable, match=r"none of the 2 workers .* --resources GPU=1"):
        fan_out(_doubled, config, [1], stage="count", progress=lambda *_: None, resource="GPU")
    monkeypatch.setattr("geomon.services.fanout._CONNECT_S", "0.5s")
    nowhere = network(folder, "nowhere", "tcp://127.0.0.1:9")
    with pytest.raises(ClusterUnavailable, match="does not answer"):
        fan_out(_doubled, nowhere, [1], stage="count", progress=lambda *_: None)


def test_a_slurm_job_brings_workers_with_a_gpu(folder: Path, cluster: LocalCluster) -> None:
    srun = folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text('#!/bin/sh\nexec "$@"\n')
    srun.chmod(0o755)
    places = (srun.parent, Path(sys.executable).parent, os.environ["PATH"])
    env = os.environ | {"PATH": os.pathsep.join(map(str, places))}
    config = network(folder, "slurm", "dask.json")
    command = (
        ROOT / "deployments/slurm/workers.sbatch",
        folder / "dask.json",
        "--resources",
        "GPU=1",
    )
    (folder / "dask.json").write_text(json.dumps({"address": cluster.scheduler_address}))
    with (
        Client(cluster, set_as_default=False) as client,
        subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as job,
    ):
        client.wait_for_workers(3, timeout=120)
        found = fan_out(
            _doubled, config, [4], stage="pick", progress=lambda *_: None, resource="GPU"
        )
        job.terminate()
    assert found == [8]
