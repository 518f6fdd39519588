"""A Prefect server for these tests, and a simulated network behind a loopback data centre."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from geomon.config import Config, SimulatedSource, find_config, load_config
from geomon.sources.simulated_server import serving
from geomon.synthesis.network import Scenario

# Before Prefect is imported: nothing is read from, or left in, the home folder.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="geomon-prefect-")
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)
os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"
os.environ.pop("PREFECT_API_URL", None)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server with an empty database, for flows called in this process."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def data_centre() -> Iterator[str]:
    """A small simulated network, served as a data centre would."""
    model = load_config(find_config("demo")).velocity.model()
    scenario = Scenario.of(SimulatedSource(seed=3, n_stations=6), model)
    with serving(scenario) as url:
        yield url


def write_config(folder: Path, url: str, **sections: object) -> Path:
    """Put the config of the simulated network, with empty stores, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load(find_config("demo").read_text(encoding="utf-8")) | {
        "source": {"kind": "fdsn", "urls": [url], "max_attempts": 1},
        "archive": {"url": "archive"},
        "catalog": {"url": "sqlite:///catalog.sqlite"},
        **sections,
    }
    path = folder / "network.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def config_path(tmp_path: Path, data_centre: str) -> Path:
    return write_config(tmp_path, data_centre)


@pytest.fixture
def config(config_path: Path) -> Config:
    return load_config(config_path)
