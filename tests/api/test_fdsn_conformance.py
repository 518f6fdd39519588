"""The four FDSN services held against their specifications, parameter by parameter.

The tables are those of FDSN Web Service Specifications 1.2 (dataselect 1.1, station 1.1, event
1.2) and fdsnws-availability 1.0, written down here once more and not taken from the services: full
name, alias, a value that is allowed, and one that is not (empty where any text is).
"""

import gzip
import re

import httpx
import pytest

from tests.api.network import SPAN

_TIMES = (
    ("starttime", "start", "2024-03-05T06:00:00", "noon"),
    ("endtime", "end", "2024-03-05T06:00:30", "2024-02-30"),
)
_CODES = (
    ("network", "net", "XX", "X&Y"), ("station", "sta", "GM01,GM0?", "GM01,,GM02"),
    ("location", "loc", "--", "0/0"), ("channel", "cha", "HH?,BH*", "H Z"),
)  # fmt: skip
_PLACE = (
    ("minlatitude", "minlat", "-90", "-90.1"), ("maxlatitude", "maxlat", "89.5", "north"),
    ("minlongitude", "minlon", "-180.0", "-181"), ("maxlongitude", "maxlon", "1.8e2", "181"),
    ("latitude", "lat", "+35", "95"), ("longitude", "lon", "-120", "1e3"),
    ("minradius", "", "0", "-1"), ("maxradius", "", "180", "180.5"),
)  # fmt: skip
_NODATA = (("nodata", "", "404", "500"),)
_AVAILABLE = (
    *_TIMES, *_CODES, ("quality", "", "D,M", "X"), ("merge", "", "samplerate,quality,overlap", "a"),
    ("limit", "", "3", "0"), ("includerestricted", "", "true", "perhaps"), *_NODATA,
)  # fmt: skip
SPECIFIED = {
    "dataselect/1/query": (
        *_TIMES, *_CODES, ("quality", "", "B", "Z"), ("minimumlength", "", "0.5", "-1"),
        ("longestonly", "", "TRUE", "1"), ("format", "", "miniseed", "sac"), *_NODATA,
    ),
    "station/1/query": (
        *_TIMES, ("startbefore", "", "2030-01-01", "x"), ("startafter", "", "1990-01-01", "x"),
        ("endbefore", "", "3000-01-01", "x"), ("endafter", "", "1990-01-01", "x"), *_CODES, *_PLACE,
        ("level", "", "channel", "stage"), ("includerestricted", "", "FALSE", "no"),
        ("includeavailability", "", "true", "no"), ("updatedafter", "", "2020-01-01", "x"),
        ("matchtimeseries", "", "true", "no"), ("format", "", "text", "json"), *_NODATA,
    ),
    "event/1/query": (
        *_TIMES, *_PLACE, ("mindepth", "", "-1.5", "deep"), ("maxdepth", "", "700", "nan"),
        ("minmagnitude", "minmag", "-1", "big"), ("maxmagnitude", "maxmag", "9.9", "inf"),
        ("magnitudetype", "magtype", "ML", ""), ("eventtype", "", "earthquake,explosion", "a,,b"),
        ("includeallorigins", "", "true", "2"), ("includeallmagnitudes", "", "true", "2"),
        ("includearrivals", "", "false", "2"), ("eventid", "", "gm2024a,gm2024b", ","),
        ("limit", "", "2", "1.5"), ("offset", "", "2", "0"), ("orderby", "", "time-asc", "depth"),
        ("catalog", "", "geomon", ""), ("contributor", "", "TST", ""),
        ("updatedafter", "", "2020-01-01", "x"), ("format", "", "xml", "kml"), *_NODATA,
    ),
    "availability/1/query": (
        *_AVAILABLE, ("orderby", "", "latestupdate_desc", "timespancount"),
        ("mergegaps", "", "1.5", "-1"), ("show", "", "latestupdate", "all"),
        ("format", "", "geocsv", "xml"),
    ),
    "availability/1/extent": (
        *_AVAILABLE, ("orderby", "", "timespancount_desc", "size"),
        ("format", "", "request", "xml"),
    ),
}  # fmt: skip
CHOICES = {
    "station/1/query": {"level": ("network", "station", "channel", "response"),
                        "format": ("xml", "text")},
    "event/1/query": {"orderby": ("time", "time-asc", "magnitude", "magnitude-asc"),
                      "format": ("xml", "text")},
    "availability/1/query": {"format": ("text", "geocsv", "json", "request"),
                             "orderby": ("nslc_time_quality_samplerate", "latestupdate",
                                         "latestupdate_desc")},
    "availability/1/extent": {"orderby": ("nslc_time_quality_samplerate", "timespancount",
                                          "timespancount_desc", "latestupdate",
                                          "latestupdate_desc")},
}  # fmt: skip
MEDIA = {
    "dataselect/1/query": "application/vnd.fdsn.mseed",
    "station/1/query": "application/xml",
    "station/1/query?format=text": "text/plain",
    "event/1/query": "application/xml",
    "event/1/query?format=text": "text/plain",
    "availability/1/query": "text/plain",
    "availability/1/query?format=geocsv": "text/csv",
    "availability/1/extent?format=json": "application/json",
}
NARROW = {"starttime": "2024-03-05T06:00:00", "endtime": "2024-03-05T06:00:10"}
POSTED = ("dataselect/1/query", "station/1/query", "availability/1/query", "availability/1/extent")


def ask(client: httpx.Client, resource: str, **query: str) -> httpx.Response:
    limits = NARROW if resource.startswith("dataselect") else {}
    named = {"start": "starttime", "end": "endtime"}
    given = {named.get(name, name) for name in query}
    kept = {name: value for name, value in limits.items() if name not in given}
    return client.get(f"/fdsnws/{resource}", params={**kept, **query})


def stable(answer: httpx.Response) -> bytes:
    """Return an answer without the moment it was made."""
    return re.sub(rb'(?<=<Created>)[^<]+|(?<="created": ")[^"]+', b"", answer.content)


@pytest.mark.parametrize("resource", SPECIFIED)
def test_every_parameter_is_known_by_every_name_and_checked(client, resource):
    for name, alias, right, wrong in SPECIFIED[resource]:
        answer = ask(client, resource, **{name: right})
        assert answer.status_code in {200, 204, 404}, (name, answer.text)
        if alias:
            other = ask(client, resource, **{alias: right})
            assert stable(other) == stable(answer), name
        if wrong:
            refused = ask(client, resource, **{name: wrong})
            assert refused.status_code == 400, (name, wrong)
            assert refused.headers["content-type"].startswith("text/plain")
        twice = client.get(f"/fdsnws/{resource}?{name}={right}&{alias or name}={right}")
        assert twice.status_code == 400, name
    assert ask(client, resource, colour="red").status_code == 400


@pytest.mark.parametrize("resource", CHOICES)
def test_every_choice_is_there(client, resource):
    for name, choices in CHOICES[resource].items():
        for choice in choices:
            assert ask(client, resource, **{name: choice}).status_code == 200, (name, choice)


@pytest.mark.parametrize("resource", MEDIA)
def test_answers_say_what_they_are(client, resource):
    path, _, query = resource.partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&") if pair)
    answer = ask(client, path, **pairs)
    assert answer.headers["content-type"].partition(";")[0] == MEDIA[resource]
    head = client.head(answer.request.url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == answer.headers["content-type"]


@pytest.mark.parametrize("resource", SPECIFIED)
def test_nothing_is_a_204_or_on_request_a_404(client, resource):
    never = {"starttime": "1950-01-01T00:00:00", "endtime": "1950-01-02T00:00:00"}
    empty = ask(client, resource, **never)
    assert (empty.status_code, empty.content) == (204, b"")
    missing = ask(client, resource, **never, nodata="404")
    assert missing.status_code == 404
    parts = ("Error 404: ", "Usage details are available from ", "Request:", "Request Submitted:",
             "Service version:")  # fmt: skip
    places = [missing.text.index(part) for part in parts]
    assert places == sorted(places)


def test_times_may_be_written_in_every_way_that_is_specified(client):
    forms = ("2024-03-05T06:00:00", "2024-03-05T06:00:00Z", "2024-03-05T06:00:00.000",
             "2024-03-05T06:00:00.000000Z")  # fmt: skip
    answers = {ask(client, "event/1/query", format="text", starttime=form).text for form in forms}
    assert len(answers) == 1
    whole = ask(client, "event/1/query", format="text", start="2024-03-05", end="2024-03-06")
    assert whole.text == answers.pop()


@pytest.mark.parametrize("resource", SPECIFIED)
def test_times_may_lie_as_far_as_they_can_be_written(client, resource):
    later = 200 if "station" in resource else 204  # epochs without end
    limits = {
        "start=0001-01-01&end=9999-12-31T23:59:59.999999": 200,
        "end=9999-12-31&station=GM01": 200 if "event" not in resource else 400,
        "end=0001-01-01": 204,
        "start=1000-01-01&end=1000-01-02": 204,
        "start=9999-12-31T23:00:00&end=9999-12-31T23:59:60": later,
        "start=2999-01-01": later,
    }
    for query, status in limits.items():
        assert client.get(f"/fdsnws/{resource}?{query}").status_code == status, query


def test_the_empty_location_is_two_dashes(client):
    def rows(location: str) -> list[list[str]]:
        answer = ask(client, "availability/1/extent", location=location)
        return [line.split() for line in answer.text.splitlines()[1:]]

    empty = [row for row in rows("*") if row[2] == "--"]
    assert empty
    assert rows("--") == rows("--,99") == empty
    assert rows("99") == []


@pytest.mark.parametrize("resource", POSTED)
def test_parameters_stand_before_the_lines_of_a_post(client, resource):
    lines = ("XX GM01 -- HHZ 2024-03-05T06:00:00 2024-03-05T06:00:10",
             "XX GM03,GM04 * HH? 2024-03-05T06:00:00.5 2024-03-05T06:00:10Z")  # fmt: skip
    for end in ("\n", "\r\n"):
        body = end.join(("nodata=404", *lines, ""))
        answer = client.post(f"/fdsnws/{resource}", content=body)
        assert answer.status_code == 200, answer.text
    wrong = (("nodata=7", *lines), ("colour=red", *lines), ("XX GM01 -- HHZ",), ("nodata=404",),
             (*lines, "nodata=404"))  # fmt: skip
    for body in wrong:
        answer = client.post(f"/fdsnws/{resource}", content="\n".join(body))
        assert answer.status_code == 400, body


def test_answers_are_compressed_when_that_is_wished(server):
    url = f"{server}/fdsnws/event/1/query?includearrivals=true"
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        content = gzip.decompress(b"".join(answer.iter_raw()))
    assert content.startswith(b"<?xml")
    plain = httpx.get(url, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == content


def test_samples_at_both_ends_are_part_of_an_answer(client):
    start, end = SPAN.start, SPAN.start.replace(second=1)
    limits = {"starttime": f"{start:%Y-%m-%dT%H:%M:%S}", "endtime": f"{end:%Y-%m-%dT%H:%M:%S}"}
    rows = ask(client, "availability/1/query", **limits, station="GM01", channel="HHZ").text
    [row] = rows.splitlines()[1:]
    assert row.split()[-2:] == ["2024-03-05T06:00:00.000000Z", "2024-03-05T06:00:01.000000Z"]
