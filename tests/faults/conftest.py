"""A real data centre on loopback, and a proxy before it that spoils answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geomon.config import Config
from tests.faultproxy import FaultProxy
from tests.faults import networks
from tests.servers import dataselect_server
from tests.sources.conftest import RECORDINGS


@pytest.fixture(scope="session")
def dataselect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the recordings."""
    with dataselect_server(
        networks.write_recordings(tmp_path_factory.mktemp("recordings"), RECORDINGS.values())
    ) as url:
        yield url


@pytest.fixture
def proxy(dataselect: str) -> Iterator[FaultProxy]:
    """Pass requests on to the recordings' server, badly when told so."""
    with FaultProxy(dataselect) as proxy:
        yield proxy


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Callable[..., Config]]:
    """Make configs as `networks.configured` does, and close what they opened."""
    made: list[Config] = []

    def make(*urls: str, **changes: object) -> Config:
        made.append(networks.configured(tmp_path / str(len(made)), *urls, **changes))
        return made[-1]

    yield make
    for config in made:
        networks.restarted(config)
