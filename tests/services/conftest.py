"""A processed stretch of the simulated network, shared by tests that only read it."""

import pytest

from geomon.config import Config
from geomon.services.run import RunReports, run
from geomon.times import TimeSpan
from tests.networks import simulated

SPAN = TimeSpan.parse("2024-05-02T00:00", "2024-05-02T00:06")


@pytest.fixture(scope="session")
def processed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, RunReports]:
    """Six minutes, fetched, picked and located."""
    config = simulated(tmp_path_factory.mktemp("network"))
    return config, run(config, SPAN)
