"""SQL, paths and addresses in query parameters are values like any other."""

from urllib.parse import quote, urlencode

import httpx
import pytest

from geomon.api import fdsn_availability, fdsn_dataselect, fdsn_event, fdsn_station
from geomon.services.workspace import Workspace
from tests.api.network import SPAN
from tests.stores.events import dump

SERVICES = tuple(
    module.SERVICE for module in (fdsn_event, fdsn_station, fdsn_dataselect, fdsn_availability)
)
PARAMETERS = sorted((s.path, parameter.name) for s in SERVICES for parameter in s.parameters)
SQL = ("' OR '1'='1", "'; DROP TABLE event; --", "x' UNION SELECT name FROM run --", "\\'\x00%_")
PAGES = (
    "/api/events", "/api/status", "/api/coverage", "/api/stations", "/api/timeline",
    "/api/waveforms",
)  # fmt: skip


@pytest.mark.fault(47)
@pytest.mark.parametrize("value", SQL)
def test_sql_is_never_run(client: httpx.Client, space: Workspace, value: str) -> None:
    before = dump(space.catalog)
    n_events = len(client.get("/fdsnws/event/1/query?format=text").text.splitlines())
    for path, name in PARAMETERS:
        answer = client.get(f"{path}/query?{urlencode({'format': 'text', name: value})}")
        if name == "format":
            assert answer.status_code == 400
        assert answer.status_code in {200, 204, 400, 404}, (path, name)
        if "event" in path and answer.status_code == 200:
            assert len(answer.text.splitlines()) <= n_events
    for page in PAGES:
        for name in ("start", "bbox", "min_magnitude", "station", "as_of"):
            answer = client.get(f"{page}?{urlencode({name: value})}")
            assert answer.status_code < 500, (page, name)
    assert client.get(f"/api/events/{quote(value)}").status_code < 500
    assert dump(space.catalog) == before


@pytest.mark.fault(46, 51)
@pytest.mark.parametrize("value", ["../../../etc/passwd", "http://10.0.0.1/x"])
def test_paths_and_addresses_lead_nowhere(client: httpx.Client, value: str) -> None:
    span = {"starttime": SPAN.start.isoformat()[:19], "endtime": SPAN.end.isoformat()[:19]}
    for path, name in PARAMETERS:
        if name in {"starttime", "endtime", "start", "end"}:
            continue
        answer = client.get(f"{path}/query?{urlencode({**span, name: value})}")
        assert answer.status_code in {204, 400, 404}, (path, name)
        assert "root:" not in answer.text
    assert client.get("/fdsnws/event/1/query", params={"url": value}).status_code == 400
