"""What every FDSN service does with parameters and errors."""

import math
import xml.etree.ElementTree as ET
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomon.api import fdsn, fdsn_availability, fdsn_dataselect, fdsn_event, fdsn_station
from geomon.api.fdsn import RequestProblem, read_parameters
from geomon.times import parse_time

EVENT = fdsn_event.SERVICE
SERVICES = (EVENT, fdsn_station.SERVICE, fdsn_dataselect.SERVICE, fdsn_availability.SERVICE)
WADL = "{http://wadl.dev.java.net/2009/02}"


def refused(*pairs: tuple[str, str]) -> str:
    with pytest.raises(RequestProblem) as caught:
        read_parameters(pairs, EVENT.parameters)
    assert caught.value.status == 400
    return caught.value.detail


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_alias_means_its_parameter(service):
    samples = {"time": "2024-01-02", "float": "1.5", "int": "3", "bool": "TRUE", "text": "x"}
    for parameter in service.parameters:
        text = parameter.choices[0] if parameter.choices else samples[parameter.kind]
        full = read_parameters([(parameter.name, text)], service.parameters)
        for alias in (*parameter.aliases, parameter.name.upper()):
            assert read_parameters([(alias, text)], service.parameters) == full


def test_values_have_their_types():
    values = read_parameters(
        [
            ("start", "2024-01-02T03:04:05.123456"),
            ("minmag", "-1.5e0"),
            ("limit", "7"),
            ("includearrivals", "True"),
            ("orderby", "MAGNITUDE-ASC"),
        ],
        EVENT.parameters,
    )
    assert values == {
        "starttime": parse_time("2024-01-02T03:04:05.123456Z"),
        "minmagnitude": -1.5,
        "limit": 7,
        "includearrivals": True,
        "orderby": "magnitude-asc",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("minlatitude", "nan"), ("minlatitude", "inf"), ("minlatitude", "91"),
        ("minlatitude", "1_0"), ("minlatitude", "0x10"), ("minlatitude", "1,5"),
        ("maxradius", "181"), ("maxradius", "-1"), ("limit", "0"), ("limit", "1.5"),
        ("limit", "-3"), ("limit", "9" * 40), ("offset", "0"),
        ("starttime", "yesterday"), ("starttime", "2024-13-01"),
        ("starttime", "2024-01-01T25:00:00"),
        ("includearrivals", "yes"), ("orderby", "depth"), ("format", "kml"), ("nodata", "200"),
        ("minmagnitude", "1e999"),
    ],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(name, text):
    assert name in refused((name, text))


def test_unknown_repeated_and_empty_parameters_are_refused():
    assert "'foo'" in refused(("foo", "1"))
    assert "more than once" in refused(("minmag", "1"), ("minmagnitude", "1"))
    assert "more than once" in refused(("limit", "1"), ("LIMIT", "1"))
    assert "has no value" in refused(("eventid", " "))


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_value_or_a_400(name, text):
    try:
        values = read_parameters([(name, text)], EVENT.parameters)
    except RequestProblem as problem:
        status = problem.status
    else:
        [value] = values.values()
        status = 200 if not isinstance(value, float) or math.isfinite(value) else 500
    assert status in {200, 400}


@pytest.mark.fault(47)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    service=st.sampled_from(SERVICES),
    pairs=st.lists(
        st.tuples(
            st.sampled_from(sorted({p.name for s in SERVICES for p in s.parameters})),
            st.one_of(
                st.sampled_from(["0", "1", "-90", "180", "2024-03-05", "true", "*", "text", "xml"]),
                st.text(max_size=8),
            ),
        ),
        max_size=4,
    ),
)
def test_no_query_makes_a_server_error(client, service, pairs):
    answer = client.get(f"{service.path}/query?{urlencode(pairs)}")
    assert answer.status_code in {200, 204, 400, 404, 413}


def test_an_error_is_laid_out_as_the_specification_says(client, server):
    answer = client.get("/fdsnws/event/1/query?foo=1")
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert lines[0] == "Error 400: Bad request"
    assert "'foo'" in lines[2]
    assert lines[4] == f"Usage details are available from {server}/fdsnws/event/1/"
    assert lines[6:8] == ["Request:", f"{server}/fdsnws/event/1/query?foo=1"]
    assert lines[9] == "Request Submitted:"
    parse_time(lines[10])
    assert lines[12:] == ["Service version:", "1.2.0"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_describes_itself(client, service):
    version = client.get(f"{service.path}/version")
    assert version.text == service.version
    assert version.headers["content-type"].startswith("text/plain")
    answer = client.get(f"{service.path}/application.wadl")
    assert answer.headers["content-type"] == "application/xml"
    root = ET.fromstring(answer.text)
    named = {param.get("name") for param in root.iter(f"{WADL}param")}
    assert named == {parameter.name for parameter in service.parameters}
    page = client.get(f"{service.path}/")
    assert page.status_code == 200
    assert all(parameter.name in page.text for parameter in service.parameters)


@pytest.mark.fault(52)
def test_an_overlong_address_is_a_414(client):
    answer = client.get(f"/fdsnws/event/1/query?eventid={quote('a' * 17_000)}")
    assert answer.status_code == 414
    assert answer.text.startswith("Error 414: Request URI too long")
    assert len(answer.content) < 3000


def test_what_is_not_there_answers_in_the_words_of_its_service(client):
    missing = client.get("/fdsnws/event/1/nothing")
    assert (missing.status_code, missing.text[:10]) == (404, "Error 404:")
    assert client.get("/fdsnws/plotting/1/query").status_code == 404
    methods = {
        "event/1/query": "HEAD, GET", "station/1/query": "HEAD, GET, POST",
        "dataselect/1/queryauth": "HEAD, GET, POST", "availability/1/version": "HEAD, GET",
    }  # fmt: skip
    for resource, allowed in methods.items():
        answer = client.put(f"/fdsnws/{resource}")
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.text.startswith("Error 405: Method not allowed")


def test_ranges_must_not_be_upside_down():
    with pytest.raises(RequestProblem, match="mindepth is larger than maxdepth"):
        fdsn.check_order({"mindepth": 2.0, "maxdepth": 1.0}, ("mindepth", "maxdepth"))
