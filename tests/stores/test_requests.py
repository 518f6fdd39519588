"""The log of requests."""

from dataclasses import replace

from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Asked
from tests.stores.events import dump

NOW = parse_time("2024-03-05T12:00:00.123456789")
ONE = Asked(
    "https://service.iris.edu/fdsnws/dataselect/1/query",
    "CX PB01 -- HHZ 2024-03-05T11:00:00 2024-03-05T12:00:00",
    NOW, 0.25, "data", 51_200, "ab" * 32,
)  # fmt: skip
ALL = TimeSpan(NOW - 3600 * NS_PER_S, NOW + 3600 * NS_PER_S)


def test_requests_are_logged_once(catalog):
    later = replace(ONE, asked_ns=NOW + 1, outcome="nodata", n_bytes=0, sha256="")
    assert catalog.requests.note([ONE, later, ONE]) == 2
    before = dump(catalog)
    assert catalog.requests.note([later, ONE]) == 0
    assert catalog.requests.note([]) == 0
    assert dump(catalog) == before
    assert catalog.requests.between(ALL) == [later, ONE]
    assert catalog.requests.between(ALL, outcome="data") == [ONE]
    assert catalog.requests.between(ALL, limit=1) == [later]
    assert catalog.requests.between(TimeSpan(NOW + 1, NOW + 1)) == []


def test_old_requests_can_be_forgotten(catalog):
    catalog.requests.note([replace(ONE, asked_ns=NOW + k) for k in range(10)])
    assert catalog.requests.forget(NOW + 7) == 7
    assert len(catalog.requests.between(ALL)) == 3
    before = dump(catalog)
    assert catalog.requests.forget(NOW) == 0
    assert dump(catalog) == before
    assert catalog.requests.note([ONE]) == 1
