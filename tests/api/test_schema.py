"""The OpenAPI document, and what the server does with anything that follows or breaks it."""

import re
from contextlib import suppress

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable

from tests.stores.events import dump

LEAKS = re.compile(r"Traceback|File \"/|sqlalchemy|sqlite3|psycopg|/site-packages/|\.py\b", re.I)
EXAMPLES = 3
"""Requests an operation; `python -m schemathesis` makes as many as one likes."""


@pytest.fixture(scope="module")
def operations(server):
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
    schema = schemathesis.openapi.from_url(f"{server}/api/openapi.json")
    return schemathesis, [result.ok() for result in schema.get_all_operations()]


def test_every_route_is_described(client):
    document = client.get("/api/openapi.json").json()
    assert {"/fdsnws/event/1/query", "/fdsnws/availability/1/extentauth", "/api/events"} <= set(
        document["paths"]
    )
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.fault(47)
@pytest.mark.filterwarnings("ignore")
def test_no_request_breaks_the_server(operations, server, space):
    """With valid and broken requests: no server error, no word about the inside, no change."""
    schemathesis, listed = operations
    before = dump(space.catalog)
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    with httpx.Client(base_url=server, timeout=30) as client:

        def ask(case) -> None:
            response = send(client, case)
            assert response.status_code < 500, (
                f"{case.method} {response.url}: {response.text[:300]}"
            )
            if "json" in response.headers.get("content-type", "") or response.status_code >= 400:
                assert not LEAKS.search(response.text), f"{response.url}: {response.text[:300]}"

        for operation in listed:
            if operation.path == "/api/events/stream":
                continue  # it never ends
            for mode in modes:
                run = given(case=operation.as_strategy(generation_mode=mode))(ask)
                run = settings(
                    max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )(run)  # fmt: skip
                with suppress(Unsatisfiable):  # nothing to break without parameters
                    seed(20240305)(run)()
    assert dump(space.catalog) == before


def send(client: httpx.Client, case) -> httpx.Response:
    """Send a request that schemathesis made up; what cannot be written at all is left out."""
    request = case.as_transport_kwargs(base_url=str(client.base_url))
    return client.request(
        request["method"], request["url"], params=request.get("params"),
        headers={k: str(v) for k, v in (request.get("headers") or {}).items()},
        content=request.get("data"), json=request.get("json"),
    )  # fmt: skip
