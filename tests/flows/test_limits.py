"""Slots at data centres: as many as the operator allows, and back when their holder dies."""

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

from flows.limits import fetching, limit_names, make_limits
from geomon.config import Config, FdsnSource, OpenDataSource, SeedLinkSource

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_every_data_centre_has_a_limit_and_files_have_none(config: Config) -> None:
    def names(source: object) -> list[str]:
        return limit_names(config.model_copy(update={"source": source}))

    centres = FdsnSource(urls=("GFZ", "https://example.org:8080/fdsnws"))
    assert names(centres) == ["fetch example.org:8080", "fetch gfz"]
    assert names(OpenDataSource(centre="SCEDC")) == ["fetch scedc"]
    assert names(SeedLinkSource(servers=("geofon.gfz.de:18000",))) == ["fetch geofon.gfz.de:18000"]


@pytest.mark.fault(44)
def test_a_slot_is_a_lease_and_an_operators_limit_stays(config: Config) -> None:
    [name] = limit_names(config)
    with get_client(sync_client=True) as client:
        make_limits(client, config)
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=1))
        assert make_limits(client, config) == []
        with fetching(config):
            held = client.read_global_concurrency_limit_by_name(name)
            assert (held.limit, held.active_slots) == (1, 1)
        assert client.read_global_concurrency_limit_by_name(name).active_slots == 0
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=2))
