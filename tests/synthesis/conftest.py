"""The simulated network of the demo."""

import pytest

from geomon.config import find_config, load_config
from geomon.synthesis.network import Scenario


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    config = load_config(find_config("demo"))
    return Scenario.of(config.source, config.velocity.model())
