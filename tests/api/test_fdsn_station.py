"""The station service, asked as clients ask."""

import io

import obspy
import pytest

from geomon.ids import SeedId, StationId
from geomon.services.workspace import workspace
from geomon.sources.stationxml import read_stations, write_stationxml
from geomon.stations import FOREVER_NS, Channel, Credit, Stations
from geomon.times import TimeSpan, parse_time
from tests.api.network import fill, make_config

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
