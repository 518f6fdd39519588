"""The station service, asked as clients ask."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import obspy
import pytest
from obspy.io.stationxml.core import validate_stationxml

from geomon.ids import SeedId, StationId
from geomon.services.workspace import workspace
from geomon.sources.stationxml import read_stations, write_stationxml
from geomon.stations import FOREVER_NS, Channel, Credit, Stations
from geomon.times import TimeSpan, parse_time
from tests.api.network import SPAN, fill, make_config

QUERY = "/fdsnws/station/1/query"


def make_channel(
    name: str, start: str, end: str | None, latitude: float, longitude: float
) -> Channel:
    end_ns = FOREVER_NS if end is None else parse_time(end)
    return Channel(
        SeedId.parse(name), TimeSpan(parse_time(start), end_ns), latitude, longitude, 100.0,
        sampling_rate_hz=100.0, azimuth_deg=0.0, dip_deg=-90.0, restricted=".CLSD." in name,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ask(tmp_path_factory, serve):
    config = make_config(tmp_path_factory.mktemp("stations"))
    channels = [
        make_channel("AA.OLD..HHZ", "2000-01-01", "2010-01-01", 10.0, 179.0),
        make_channel("AA.OLD..HHZ", "2010-01-01", None, 10.0, 179.0),
        make_channel("AA.NEW.00.BHZ", "2020-01-01", None, 11.0, -179.0),
        make_channel("BB.CLSD..HHZ", "2015-01-01", None, -45.0, 20.0),
    ]
    workspace(config).archive.keep_document("stations.xml", write_stationxml(Stations.of(channels)))
    client = serve(config)

    def ask(query: str, status: int = 200) -> list[list[str]]:
        answer = client.get(f"{QUERY}?format=text&{query}")
        assert answer.status_code == status, answer.text
        return [line.split("|") for line in answer.text.splitlines()[1:]]

    return ask


def stations(rows: list[list[str]]) -> list[str]:
    return [row[1] for row in rows]


def test_levels_of_the_text_format(ask):
    assert ask("level=network") == [
        ["AA", "", "2000-01-01T00:00:00", "", "2"],
        ["BB", "", "2015-01-01T00:00:00", "", "1"],
    ]
    assert stations(ask("")) == ["NEW", "OLD", "CLSD"]
    rows = ask("level=channel&sta=OLD")
    assert [row[-2:] for row in rows] == [
        ["2000-01-01T00:00:00", "2010-01-01T00:00:00"],
        ["2010-01-01T00:00:00", ""],
    ]
    assert all(len(row) == 17 for row in rows)
    ask("level=response", 400)


def test_codes_lists_wildcards_and_the_empty_location(ask):
    assert stations(ask("sta=O?D,CL*")) == ["OLD", "CLSD"]
    assert stations(ask("loc=--")) == ["OLD", "CLSD"]
    assert stations(ask("loc=00")) == ["NEW"]
    assert stations(ask("net=bb")) == ["CLSD"]
    ask("sta=../etc", 400)


def test_epochs(ask):
    assert stations(ask("endtime=2012-01-01")) == ["OLD"]
    assert stations(ask("startafter=2014-01-01")) == ["NEW", "CLSD"]
    assert stations(ask("endbefore=2011-01-01&level=channel")) == ["OLD"]
    ask("start=2012-01-01&end=2011-01-01", 400)


def test_places(ask):
    assert stations(ask("minlon=178&maxlon=-178")) == ["NEW", "OLD"]
    assert stations(ask("lat=10&lon=180&maxradius=1.1")) == ["OLD"]
    assert stations(ask("maxlat=0")) == ["CLSD"]


def test_restricted_metadata_can_be_left_out(ask):
    assert stations(ask("includerestricted=false")) == ["NEW", "OLD"]


def test_stationxml_of_every_level_can_be_read(client, space):
    for level, children in (("network", 0), ("station", 0), ("channel", 1), ("response", 1)):
        answer = client.get(f"{QUERY}?level={level}")
        assert answer.headers["content-type"] == "application/xml"
        inventory = obspy.read_inventory(io.BytesIO(answer.content), "STATIONXML")
        assert bool(inventory[0].stations) == (level != "network")
        if inventory[0].stations:
            assert bool(inventory[0][0].channels) == bool(children)
    whole = client.get(f"{QUERY}?level=response").content
    assert read_stations(whole).channels == space.stations().channels


def test_post_selects_line_by_line(client):
    body = "level=channel\nformat=text\nXX GM01 * HH? * *\nXX GM03 * HHZ 2020-01-01 2021-01-01\n"
    rows = [row.split("|") for row in client.post(QUERY, content=body).text.splitlines()[1:]]
    assert {(row[1], row[3]) for row in rows} == {
        ("GM01", "HHE"), ("GM01", "HHN"), ("GM01", "HHZ"), ("GM03", "HHZ"),
    }  # fmt: skip
    assert client.post(QUERY, content="level=channel\n").status_code == 400
    assert client.post(QUERY, content="XX GM01 * HHZ\n").status_code == 400
    assert client.post(QUERY, content=b"\xff\xfe").status_code == 400
    assert client.post(QUERY, content=b"x" * 2_000_001).status_code == 413


def test_without_metadata_nothing_matches(tmp_path, serve):
    client = serve(make_config(tmp_path))
    assert client.get(QUERY).status_code == 204
    assert client.get(f"{QUERY}?nodata=404").status_code == 404


def test_station_ids_are_what_the_page_uses(client, space):
    features = client.get("/api/stations").json()["features"]
    assert [StationId.parse(f["id"]) for f in features] == space.stations().station_ids()


def test_whose_data_they_are_travels_with_every_answer(tmp_path, serve):
    credit = {
        "network": "XX", "name": "Test | Net", "doi": "10.7914/SN/XX", "licence": "CC-BY-4.0",
        "citation": "Test (2020): Test Net",
    }  # fmt: skip
    config = make_config(tmp_path, network={"name": "T", "agency": "TST", "credits": (credit,)})
    fill(config)
    client = serve(config)
    links = [
        '<https://doi.org/10.7914/SN/XX>; rel="cite-as"',
        '<https://spdx.org/licenses/CC-BY-4.0.html>; rel="license"',
    ]
    span = "start=2024-03-05T06:02:00&end=2024-03-05T06:02:10"
    for path in (
        "station/1/query?format=text", f"dataselect/1/query?{span}", "availability/1/extent",
        "event/1/query?format=text&limit=1",
    ):  # fmt: skip
        assert client.get(f"/fdsnws/{path}").headers.get_list("link") == links, path
    assert "link" not in client.get("/fdsnws/event/1/query?minmag=9").headers
    answer = client.get("/fdsnws/station/1/query?level=network")
    inventory = obspy.read_inventory(io.BytesIO(answer.content))
    assert inventory[0].identifiers[0] == "DOI:10.7914/SN/XX"
    assert inventory[0].description == "Test | Net"
    assert "|Test   Net|" in client.get("/fdsnws/station/1/query?level=network&format=text").text
    stations = read_stations(client.get("/fdsnws/station/1/query?level=channel").content)
    assert stations.credits == (Credit(**credit),)
    told = client.get("/api/events?limit=1").json()["credits"]
    assert told == client.get("/fdsnws/event/1/query?format=geojson").json()["credits"]
    assert told[0].startswith("XX: Test (2020): Test Net; https://doi.org/")
    quakeml = client.get("/fdsnws/event/1/query?limit=1").text
    assert "<comment><text>XX: Test (2020)" in quakeml


def test_epochs_can_be_matched_with_what_is_archived(client, space):
    def named(query: str, status: int = 200) -> set[str]:
        answer = client.get(f"{QUERY}?format=text&matchtimeseries=true&{query}")
        assert answer.status_code == status, answer.text
        return {row.split("|")[1] for row in answer.text.splitlines()[1:]}

    everyone = {str(stream.station) for stream in space.archive.streams()}
    assert named("") == everyone
    minute = "start=2024-03-05T06:04:10&end=2024-03-05T06:04:50"
    assert named(minute) == everyone - {"GM03"}
    named("endtime=2024-03-05T05:00:00", 204)
    named("sta=GM03&" + minute, 204)
    body = (
        "matchtimeseries=true\nformat=text\nXX GM03 * * 2024-03-05T06:04:10 2024-03-05T06:05:10\n"
    )
    assert client.post(QUERY, content=body).text.splitlines()[1].startswith("XX|GM03|")


def test_extents_of_the_archive_come_when_asked_for(client):
    def asked(query: str) -> obspy.Inventory:
        content = client.get(f"{QUERY}?{query}").content
        assert validate_stationxml(io.BytesIO(content))[0]
        return obspy.read_inventory(io.BytesIO(content), "STATIONXML")

    first, last = "2024-03-05T06:00:00", "2024-03-05T06:11:59.99"
    for level in ("response", "channel", "station"):
        [station] = asked(f"sta=GM03&cha=HH?&level={level}&includeavailability=true")[0]
        for one in (station, *station.channels):
            assert (one.data_availability.start, one.data_availability.end) == (first, last)
    assert asked("sta=GM03&cha=HH?&level=channel")[0][0][0].data_availability is None
    assert asked("includeavailability=true&level=network")[0].stations == []


class Told:
    """A source that tells what it is made to."""

    def __init__(self, *channels: Channel) -> None:
        self.channels = channels

    def stations(self, _span: TimeSpan) -> Stations:
        return Stations.of(self.channels)


def test_only_what_changed_after_a_time(tmp_path, serve):
    space = workspace(make_config(tmp_path))
    one = make_channel("AA.ONE..HHZ", "2000-01-01", None, 1.0, 2.0)
    two = make_channel("AA.TWO..HHZ", "2000-01-01", None, 3.0, 4.0)
    space.archive.keep_document("stations.xml", write_stationxml(Stations.of([one, two])))
    client = serve(space.config)

    def changed(after: str) -> list[str]:
        answer = client.get(f"{QUERY}?format=text&updatedafter={after}")
        return stations([line.split("|") for line in answer.text.splitlines()[1:]])

    assert changed("2100-01-01") == ["ONE", "TWO"]  # nobody knows when
    for told in ([one, two], [replace(one, latitude=1.5), two]):
        before = datetime.now(UTC)
        space.__dict__["source"] = Told(*told)
        space.refreshed_stations(SPAN)
    assert changed("2020-01-01") == ["ONE", "TWO"]
    assert changed(f"{before:%Y-%m-%dT%H:%M:%S.%f}") == ["ONE"]
    assert changed("2100-01-01") == []
