"""How many tasks may fetch from one data centre at once, over all workers.

A slot is held for a task, not a request: single requests are paced within the process. It is a
lease: the slot of a worker that died comes back after a minute.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from urllib.parse import urlsplit

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from geomon.config import Config, FdsnSource, OpenDataSource, SeedLinkSource

_AT_ONCE = 2
"""Tasks, each with as many connections as the config allows; an operator may change it."""
_LEASE_S = 60.0


def limit_names(config: Config) -> list[str]:
    """Return the limits of a network's data centres; none for what is on this machine."""
    match config.source:
        case FdsnSource(urls=urls):
            hosts = [urlsplit(url).netloc or url for url in urls]
        case SeedLinkSource(servers=servers):
            hosts = [str(server) for server in servers]
        case OpenDataSource(centre=centre):
            hosts = [str(centre)]
        case _:
            hosts = []
    return sorted({f"fetch {host.lower()}".replace("/", " ") for host in hosts})


def make_limits(client: SyncPrefectClient, config: Config) -> list[str]:
    """Make the limits that are missing; return a line for each. Existing ones stay as they are."""
    made = []
    for name in limit_names(config):
        limit = GlobalConcurrencyLimitCreate(name=name, limit=_AT_ONCE)
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # somebody else was quicker
                client.create_global_concurrency_limit(limit)
                made.append(f"limit {name}: {_AT_ONCE} tasks at once")
    return made


@contextmanager
def fetching(config: Config) -> Iterator[None]:
    """Wait for a slot at every data centre of a network, and hold it."""
    if not limit_names(config):
        yield
        return
    _make_once(config)
    with concurrency(limit_names(config), strict=True, lease_duration=_LEASE_S):
        yield


@lru_cache(maxsize=8)
def _make_once(config: Config) -> None:
    """Make what the bootstrap makes, where a flow runs without one."""
    with get_client(sync_client=True) as client:
        make_limits(client, config)
