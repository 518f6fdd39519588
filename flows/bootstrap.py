"""Bring a Prefect server to what geomon needs; running it again changes nothing.

Work pools and queues, limits by data centre, deployments of every flow for one network,
automations, and the first schedules. What an operator changed since stays: a paused schedule stays
paused, an added one stays.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.automations import make_automations
from flows.limits import make_limits
from geomon.config import Config, find_config, load_config
from geomon.errors import ConfigError, GeomonError
from geomon.services import processes

_POOLS = {
    "cpu-pool": "Picks, locates and fetches on processors.",
    "gpu-pool": "For workers with a GPU, one each.",
}
_QUEUES = {"monitor": 1, "backfill": 10}
"""Queues of the CPU pool; the smaller priority is served first."""


def bootstrap(config_path: Path, name: str | None = None) -> list[str]:
    """Make pools, queues and deployments, seed schedules; return a line for all that was made.

    Parameters
    ----------
    config_path : Path
        The network.
    name : str, optional
        Name of its deployments, as in ``monitor/NAME``; by default the config file's.

    Raises
    ------
    ConfigError
        If the config or the deployment files cannot be used.
    GeomonError
        If Prefect refuses a deployment.
    """
    config = load_config(config_path)
    name = name or config_path.stem
    with get_client(sync_client=True) as client:
        made = [*_make_pools(client), *_make_queues(client), *make_limits(client, config)]
        _deploy(config_path, name)
        made += make_automations(client, config, name)
        return [*made, *_seed_schedules(client, config, name)]


def _make_pools(client: SyncPrefectClient) -> list[str]:
    made = []
    for pool, description in _POOLS.items():
        try:
            client.read_work_pool(pool)
        except ObjectNotFound:
            client.create_work_pool(
                WorkPoolCreate(
                    name=pool,
                    type="process",
                    description=description,
                    base_job_template=ProcessWorker.get_default_base_job_template(),
                )
            )
            made.append(f"work pool {pool}")
    return made


def _make_queues(client: SyncPrefectClient) -> list[str]:
    made = []
    for queue, priority in _QUEUES.items():
        try:
            client.read_work_queue_by_name(queue, work_pool_name="cpu-pool")
        except ObjectNotFound:
            client.create_work_queue(queue, priority=priority, work_pool_name="cpu-pool")
            made.append(f"work queue cpu-pool/{queue}")
    return made


def _deploy(config_path: Path, name: str) -> None:
    """Register every flow of ``deployments/prefect.yaml``, as an operator would by hand.

    Raises
    ------
    GeomonError
        If Prefect refuses; its last words are in the message.
    """
    flows = Path(__file__).parent.parent
    declared = processes.deployments_folder() / "prefect.yaml"
    command = (*processes.PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", declared)
    env = {
        **os.environ,
        "GEOMON_CONFIG_FILE": str(config_path.absolute()),
        "GEOMON_DEPLOYMENT": name,
        "GEOMON_FLOWS": str(flows),
    }
    done = subprocess.run(
        command, cwd=flows, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        words = " | ".join((done.stdout + done.stderr).splitlines()[-8:])
        msg = f"{declared}: not deployed: {words}"
        raise GeomonError(msg)


def _seed_schedules(client: SyncPrefectClient, config: Config, name: str) -> list[str]:
    """Give a deployment its first schedule, unless it has one, paused or not, already.

    Raises
    ------
    ConfigError
        If ``deployments/schedules.yaml`` says neither how often nor when.
    """
    path = processes.deployments_folder() / "schedules.yaml"
    made = []
    for flow, seed in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        deployment = client.read_deployment_by_name(f"{flow}/{name}")
        if client.read_deployment_schedules(deployment.id):
            continue
        values = {key: text.format_map(dict(config)) for key, text in seed.items()}
        match values:
            case {"every_s": seconds}:
                schedule: SCHEDULE_TYPES = IntervalSchedule(
                    interval=timedelta(seconds=float(seconds)), timezone="UTC"
                )
            case {"at": clock}:
                hour, minute = clock.split(":")
                schedule = CronSchedule(cron=f"{int(minute)} {int(hour)} * * *", timezone="UTC")
            case _:
                msg = f"{path}: {flow} needs every_s or at"
                raise ConfigError(msg)
        client.create_deployment_schedules(deployment.id, [(schedule, True)])
        made.append(f"schedule of {flow}/{name}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bootstrap from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.bootstrap",
        description="Bring the configured Prefect server to what geomon needs.",
    )
    parser.add_argument("--config", required=True, help="config file, or name of a shipped one")
    parser.add_argument("--name", help="name of the deployments; the config file's by default")
    options = parser.parse_args(arguments)
    try:
        for line in bootstrap(find_config(options.config), options.name):
            sys.stdout.write(f"made {line}\n")
    except GeomonError as error:
        sys.stderr.write(f"geomon: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
