"""The event service, asked as clients ask."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import obspy
import pytest
from obspy.io.quakeml.core import _validate

from geomon.api import fdsn_event
from geomon.events import Magnitude
from geomon.services.workspace import Workspace, workspace
from geomon.stores.quakeml import write_quakeml
from geomon.stores.relocating import add_origins
from geomon.times import TimeSpan
from tests.api.network import SPAN, WATCHED, bare_event, make_config

QUERY = "/fdsnws/event/1/query"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Hold six events around the globe, one minute apart."""
    space = workspace(make_config(tmp_path_factory.mktemp("world")))
    events = [
        bare_event(0, 10.0, 179.5, 5.0, 3.0),
        bare_event(60, 10.0, -179.5, 15.0, 2.0),
        bare_event(120, 0.0, 0.0, 0.5, None),
        bare_event(180, 64.0, -21.0, 7.0, 1.0),
        bare_event(240, -89.0, 100.0, 600.0, 5.5),
        bare_event(300, 64.5, -21.0, 7.5, 1.0),
    ]
    run = space.catalog.begin_run("locate")
    space.catalog.replace_events(SPAN, events, run)
    return space


@pytest.fixture(scope="module")
def globe(world: Workspace, serve) -> httpx.Client:
    return serve(world.config)


@pytest.fixture(scope="module")
def ask(globe: httpx.Client):
    def ask(query: str, status: int = 200) -> list[list[str]]:
        answer = globe.get(f"{QUERY}?format=text&{query}")
        assert answer.status_code == status, answer.text
        return [line.split("|") for line in answer.text.splitlines()[1:]]

    return ask


def minutes(rows: list[list[str]]) -> list[int]:
    return [int(row[1][14:16]) for row in rows]


def test_text_has_fourteen_columns_and_empty_unknowns(globe):
    answer = globe.get(f"{QUERY}?format=text&orderby=time-asc")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    header, *rows = answer.text.splitlines()
    assert header == (
        "#EventID|Time|Latitude|Longitude|Depth/km|Author|Catalog|Contributor|ContributorID|"
        "MagType|Magnitude|MagAuthor|EventLocationName|EventType"
    )
    assert all(row.count("|") == 13 for row in rows)
    first = rows[0].split("|")
    assert first[1] == "2024-03-05T06:00:00.000000"
    assert first[2:9] == ["10.00000", "179.50000", "5.000", "TST", "geomon", "TST", first[0]]
    assert first[9:] == ["ML", "3.00", "TST", "Test swarm", "earthquake"]
    assert rows[2].split("|")[9:12] == ["", "", ""]


def test_time_limits_are_both_included(ask):
    query = "starttime=2024-03-05T06:01:00&endtime=2024-03-05T06:03:00&orderby=time-asc"
    assert minutes(ask(query)) == [1, 2, 3]
    assert minutes(ask("start=2024-03-05T06:05:00Z")) == [5]


def test_boxes_may_cross_the_dateline(ask):
    assert minutes(ask("minlon=179&maxlon=-179&orderby=time-asc")) == [0, 1]
    assert minutes(ask("minlat=64&maxlat=64&minlon=-22&maxlon=-20")) == [3]
    assert len(ask("minlatitude=-90&maxlatitude=90&minlongitude=-180&maxlongitude=180")) == 6
    assert minutes(ask("maxlat=-80")) == [4]


def test_circles_know_the_poles_and_the_dateline(ask):
    assert minutes(ask("lat=10&lon=180&maxradius=1&orderby=time-asc")) == [0, 1]
    assert minutes(ask("lat=64&lon=-21&maxradius=1&minradius=0.2")) == [5]
    assert minutes(ask("lat=-90&lon=0&maxradius=2")) == [4]
    assert minutes(ask("maxradius=1")) == [2]  # the centre is 0, 0 by default


def test_depth_magnitude_and_types(ask):
    assert minutes(ask("mindepth=7&maxdepth=20&orderby=time-asc")) == [1, 3, 5]
    assert minutes(ask("minmag=2&maxmag=3&orderby=time-asc")) == [0, 1]
    assert len(ask("magtype=ml")) == 5
    ask("magnitudetype=Mw", 204)
    assert len(ask("eventtype=quarry%20blast,earthquake")) == 6
    ask("eventtype=explosion", 204)


def test_orders(ask):
    assert minutes(ask("orderby=time")) == [5, 4, 3, 2, 1, 0]
    assert minutes(ask("orderby=time-asc")) == [0, 1, 2, 3, 4, 5]
    assert minutes(ask("orderby=magnitude&limit=3")) == [4, 0, 1]
    assert minutes(ask("orderby=magnitude-asc&minmag=2")) == [1, 0, 4]


@pytest.mark.parametrize("order", ["time", "time-asc", "magnitude", "magnitude-asc"])
def test_paging_returns_every_event_once(ask, order):
    pages = [ask(f"orderby={order}&limit=2&offset={offset}") for offset in (1, 3, 5)]
    assert sorted(m for page in pages for m in minutes(page)) == [0, 1, 2, 3, 4, 5]
    ask(f"orderby={order}&limit=2&offset=7", 204)


def test_events_are_found_by_any_form_of_their_ids(ask):
    one, two, *_ = (row[0] for row in ask("orderby=time-asc"))
    assert [row[0] for row in ask(f"eventid={one}")] == [one]
    assert [row[0] for row in ask(f"eventid={two},{one}&orderby=time-asc")] == [one, two]
    public = f"smi:TST/event/{one}"
    for encoded in (public, quote(public, safe=""), quote(quote(public, safe=""), safe="")):
        assert [row[0] for row in ask(f"eventid={encoded}")] == [one]
    ask("eventid=gm2024nothing", 204)
    ask("eventid=a,,b", 400)


def test_updated_after(ask):
    now = datetime.now(UTC)
    ask(f"updatedafter={now.year + 1}-01-01", 204)
    assert len(ask("updatedafter=2024-01-01")) == 6


def test_catalogs_and_contributors(globe, ask):
    assert "<Catalog>geomon</Catalog>" in globe.get("/fdsnws/event/1/catalogs").text
    assert "<Contributor>TST</Contributor>" in globe.get("/fdsnws/event/1/contributors").text
    assert len(ask("catalog=geomon&contributor=TST")) == 6
    ask("catalog=other", 204)
    ask("contributor=other", 204)


def test_events_of_other_agencies_say_so(tmp_path, serve):
    space = workspace(make_config(tmp_path))
    hour = TimeSpan.parse("2024-03-05T06:00", "2024-03-05T07:00")
    own = bare_event(5, 1.0, 1.0, 5.0, 1.0)
    space.catalog.replace_events(hour, [own], space.catalog.begin_run("locate"))
    theirs = replace(bare_event(60, 2.0, 2.0, 5.0, 4.0), event_id="us7000")
    space.catalog.import_quakeml(write_quakeml([theirs], agency="usgs"), catalog="neic")
    client = serve(space.config)

    def rows(query: str) -> list[list[str]]:
        answer = client.get(f"{QUERY}?format=text&orderby=time-asc&{query}")
        return [line.split("|") for line in answer.text.splitlines()[1:]]

    told = client.get("/fdsnws/event/1/contributors").text
    assert "<Contributor>TST</Contributor><Contributor>usgs</Contributor>" in told
    both = rows("")
    assert [(row[5], row[6], row[7], row[11]) for row in both] == [
        ("TST", "geomon", "TST", "TST"), ("usgs", "neic", "usgs", "usgs"),
    ]  # fmt: skip
    assert [row[8] for row in both] == [both[0][0], "smi:usgs/event/us7000"]
    assert rows("contributor=USGS") == rows("catalog=neic") == both[1:]
    assert rows("contributor=TST") == rows("catalog=geomon") == both[:1]
    assert rows("contributor=TST&catalog=neic") == []
    for name in ("smi:usgs/event/us7000", both[1][0], f"smi:TST/event/{both[1][0]}"):
        content = client.get(QUERY, params={"eventid": name}).content
        [event] = obspy.read_events(io.BytesIO(content), "QUAKEML")
        assert event.resource_id.id == "smi:usgs/event/us7000"
        assert event.creation_info.agency_id == "usgs"


def test_no_data_is_204_or_404(globe):
    answer = globe.get(f"{QUERY}?minmag=9")
    assert (answer.status_code, answer.content) == (204, b"")
    answer = globe.get(f"{QUERY}?minmag=9&nodata=404")
    assert answer.status_code == 404
    assert answer.text.startswith("Error 404: Not found")


def test_an_empty_answer_says_how_much_was_watched(client):
    start, end = (f"{time:%Y-%m-%dT%H:%M:%S}" for time in (SPAN.start, SPAN.end))
    limits = {"starttime": start, "endtime": end}
    answer = client.get(QUERY, params={**limits, "minmagnitude": 9})
    assert (answer.status_code, answer.content) == (204, b"")
    watched = WATCHED.duration_s / SPAN.duration_s
    assert float(answer.headers[fdsn_event.WATCHED]) == pytest.approx(watched, abs=0.05)
    told = client.get(QUERY, params={**limits, "minmagnitude": 9, "nodata": 404})
    assert f"{watched:.0%} of the time asked for was searched" in told.text
    never = client.get(QUERY, params={"start": "1990-01-01", "end": "1990-01-02", "nodata": 404})
    assert "0% of the time asked for was searched" in never.text
    future = {"start": "2999-01-01", "nodata": 404}
    for query in (future, {"minmagnitude": 9, "nodata": 404}):
        assert "Nothing matches the request.\n" in client.get(QUERY, params=query).text


@pytest.mark.parametrize(
    "query", ["start=2024-01-02&end=2024-01-01", "minlat=5&maxlat=4", "minmag=5&maxmag=4"]
)
def test_contradictions_are_refused(globe, query):
    assert globe.get(f"{QUERY}?{query}").status_code == 400


@pytest.mark.fault(52)
def test_too_many_events_are_a_413_that_paging_avoids(globe, ask, monkeypatch):
    monkeypatch.setattr(fdsn_event, "MAX_EVENTS", 4)
    answer = globe.get(QUERY)
    assert answer.status_code == 413
    assert "page with limit" in answer.text
    assert len(ask("limit=4")) == 4
    ask("limit=1000", 413)
    assert len(ask("limit=1000&minmag=2")) == 3


def test_quakeml_holds_what_was_asked_for(client, space):
    plain = obspy.read_events(io.BytesIO(client.get(f"{QUERY}?limit=2").content), "QUAKEML")
    assert len(plain) == 2
    assert not plain[0].picks
    assert not plain[0].origins[0].arrivals
    whole = obspy.read_events(
        io.BytesIO(client.get(f"{QUERY}?limit=2&includearrivals=true").content), "QUAKEML"
    )
    [newest] = space.catalog.events(order_by="-time", limit=1)
    assert len(whole[0].picks) == len(newest.picks)
    assert len(whole[0].preferred_origin().arrivals) == len(newest.arrivals)
    assert whole[0].preferred_magnitude().mag == pytest.approx(newest.preferred_magnitude.value)


def test_all_origins_and_magnitudes_come_when_asked_for(tmp_path, serve):
    space = workspace(make_config(tmp_path))
    hour = TimeSpan.parse("2024-03-05T06:00", "2024-03-05T07:00")
    first = bare_event(5, 1.0, 1.0, 5.0, 1.0)
    moved = replace(first, preferred_origin=replace(first.preferred_origin, latitude=1.01))
    moment = Magnitude(1.4, "Mw", 0.2, 3)
    for event in (first, moved, replace(moved, other_magnitudes=(moment,))):
        space.catalog.replace_events(hour, [event], space.catalog.begin_run("locate"))
    [old, *_] = space.catalog.revisions(space.catalog.events()[0].event_id)
    client = serve(space.config)

    def asked(options: str) -> obspy.core.event.Event:
        content = client.get(f"{QUERY}?{options}").content
        assert _validate(io.BytesIO(content), verbose=True)
        [event] = obspy.read_events(io.BytesIO(content), "QUAKEML")
        assert event.preferred_magnitude().magnitude_type == "ML"
        return event

    plain = asked("limit=1")
    assert (len(plain.origins), len(plain.magnitudes)) == (1, 1)
    assert [one.magnitude_type for one in asked("includeallmagnitudes=true").magnitudes] == [
        "ML", "Mw",
    ]  # fmt: skip
    relative = [(old.event_id, replace(old.preferred_origin, latitude=1.02))]
    run = space.catalog.begin_run("relocate")
    add_origins(space.catalog.database, relative, run, preferred=False, why="relocated")
    sizes = {"minmag=1.3&magtype=mw": 200, "maxmag=1.2&magtype=mw": 204, "minmag=1.3": 204}
    for asked_for, status in sizes.items():
        assert client.get(f"{QUERY}?{asked_for}").status_code == status
    whole = asked("includeallorigins=true")
    assert sorted(origin.latitude for origin in whole.origins) == [1.0, 1.01, 1.02]
    assert whole.preferred_origin().latitude == 1.01
    then = asked(f"asofdate={old.valid_from:%Y-%m-%dT%H:%M:%S.%f}")
    assert then.preferred_origin().latitude == 1.0
    assert client.get(f"{QUERY}?asofdate=2020-01-01").status_code == 204


def test_extensions_say_the_same(client):
    text = client.get(f"{QUERY}?format=text").text.splitlines()[1:]
    csv = client.get(f"{QUERY}?format=csv")
    assert csv.headers["content-type"].startswith("text/csv")
    features = client.get(f"{QUERY}?format=geojson").json()["features"]
    ids = [line.split("|")[0] for line in text]
    assert [line.split(",")[0] for line in csv.text.splitlines()[1:]] == ids
    assert [feature["id"] for feature in features] == ids


def test_rejected_events_are_not_served(tmp_path, serve):
    space = workspace(make_config(tmp_path))
    run = space.catalog.begin_run("locate")
    hour = TimeSpan.parse("2024-03-05T06:00", "2024-03-05T07:00")
    space.catalog.replace_events(hour, [bare_event(5, 1.0, 1.0, 5.0, 1.0)], run)
    [event] = space.catalog.events()
    client = serve(space.config)
    assert client.get(QUERY).status_code == 200
    space.catalog.review(event.event_id, "rejected", actor="me")
    assert client.get(QUERY).status_code == 204
