"""Station metadata from FDSN station services on loopback."""

import gzip
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from werkzeug import Request, Response

from geomon.config import Network, Region
from geomon.errors import RequestRejected, SourceUnavailable
from geomon.sources import stationservice
from geomon.sources.fdsn import FdsnSource
from geomon.sources.stationxml import write_stationxml
from geomon.stations import Stations
from tests.servers import free_port
from tests.sources.conftest import SPAN, quick
from tests.sources.test_stationxml import CHANNELS, STS2, channel

PATH = "/fdsnws/station/1/query"
NETWORK = Network(name="test", select=("CX.*", "IU.ANMO"))
STATIONS = Stations.of(CHANNELS)


def source_of(*urls: str, network: Network = NETWORK, **limits: object) -> FdsnSource:
    return FdsnSource(quick(*urls, **limits), network)


@pytest.fixture
def url(httpserver) -> str:
    return httpserver.url_for("").rstrip("/")


def test_metadata_are_asked_once_and_kept(httpserver, url):
    httpserver.expect_oneshot_request(PATH, method="POST").respond_with_data(
        write_stationxml(STATIONS)
    )
    source = source_of(url)
    assert source.stations(SPAN) == STATIONS
    assert source.stations(SPAN) == STATIONS
    [(request, _)] = httpserver.log
    asked = request.get_data(as_text=True).splitlines()
    assert asked[:3] == ["level=response", "format=xml", asked[2]]
    assert "CX * * HH? 1950-01-01T00:00:00 2500-01-01T00:00:00" in asked
    assert "IU ANMO * BH? 1950-01-01T00:00:00 2500-01-01T00:00:00" in asked
    source.close()


def test_only_what_the_configuration_selects_is_kept(httpserver, url):
    others = (*CHANNELS, channel("CX.PB01..LHZ"), channel("XX.OTHER..HHZ"))
    httpserver.expect_request(PATH).respond_with_data(write_stationxml(Stations.of(others)))
    assert source_of(url).stations(SPAN) == STATIONS


def test_packed_answers_are_read(httpserver, url):
    packed = gzip.compress(write_stationxml(STATIONS))
    httpserver.expect_request(PATH).respond_with_data(packed, headers={"Content-Encoding": "gzip"})
    assert source_of(url).stations(SPAN) == STATIONS


def test_a_service_that_stumbles_is_asked_again(httpserver, url):
    for answer in (Response(status=503), Response("<html/>"), Response(status=500)):
        httpserver.expect_ordered_request(PATH).respond_with_response(answer)
    httpserver.expect_ordered_request(PATH).respond_with_data(write_stationxml(STATIONS))
    assert source_of(url).stations(SPAN) == STATIONS
    assert len(httpserver.log) == 4


def test_what_several_centres_know_is_joined_and_the_silent_one_named(httpserver, url):
    httpserver.expect_request(PATH).respond_with_data(write_stationxml(STATIONS))
    stations = source_of(f"http://127.0.0.1:{free_port()}", url).stations(SPAN)
    assert stations.channels == STATIONS.channels
    assert any("refused" in line for line in stations.problems)


def test_no_answer_is_one_clear_error():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(SourceUnavailable, match=f"station service: {address}"):
        source_of(f"http://{address}").stations(SPAN)


def test_a_refusal_is_not_repeated(httpserver, url):
    httpserver.expect_request(PATH).respond_with_data("no", status=403)
    with pytest.raises(RequestRejected, match="HTTP 403"):
        source_of(url).stations(SPAN)
    assert len(httpserver.log) == 1


def test_no_station_is_an_empty_answer_that_says_so(httpserver, url):
    httpserver.expect_request(PATH).respond_with_data("", status=204)
    stations = source_of(url).stations(SPAN)
    assert stations.channels == ()
    assert [line.partition(":")[0] for line in stations.problems] == ["CX.*", "IU.ANMO"]


def test_xml_that_is_cut_is_asked_for_again(httpserver, url):
    whole = write_stationxml(STATIONS)
    httpserver.expect_ordered_request(PATH).respond_with_data(whole[: len(whole) // 2])
    httpserver.expect_ordered_request(PATH).respond_with_data(whole)
    assert source_of(url).stations(SPAN) == STATIONS


def test_xml_that_stays_unusable_is_one_clear_error(httpserver, url):
    poisoned = write_stationxml(STATIONS).replace(b"?>", b'?><!DOCTYPE x [<!ENTITY e "x">]>', 1)
    httpserver.expect_request(PATH).respond_with_data(poisoned)
    with pytest.raises(SourceUnavailable, match="document type declaration"):
        source_of(url).stations(SPAN)


def test_a_centre_that_falls_silent_keeps_its_stations(httpserver, url, monkeypatch):
    monkeypatch.setattr(stationservice, "_REFRESH_S", 0.0)
    httpserver.expect_oneshot_request(PATH).respond_with_data(write_stationxml(STATIONS))
    source = source_of(url, max_attempts=1)
    assert source.stations(SPAN) == STATIONS
    httpserver.expect_request(PATH).respond_with_data("", status=500)
    again = source.stations(SPAN)
    assert again.channels == STATIONS.channels
    assert again.problems == (f"station service: {source.centres[0].host}: HTTP 500",)


@pytest.mark.fault(12)
def test_an_endless_document_stops_at_the_limit(httpserver, url):
    packed = gzip.compress(write_stationxml(STATIONS) + b" " * 8_000_000)
    httpserver.expect_request(PATH).respond_with_data(packed, headers={"Content-Encoding": "gzip"})
    with pytest.raises(RequestRejected, match="more than 4 MB"):
        source_of(url).stations(SPAN)


def test_a_region_across_the_dateline_is_asked_in_two_boxes(httpserver, url):
    boxes: list[set[str]] = []

    def answer(request: Request) -> Response:
        boxes.append(set(request.get_data(as_text=True).splitlines()))
        return Response(write_stationxml(STATIONS))

    httpserver.expect_request(PATH).respond_with_handler(answer)
    region = Region(west=170, south=-50, east=-170, north=-30)
    source_of(url, network=Network(name="test", region=region)).stations(SPAN)
    assert {"minlongitude=170.0", "maxlongitude=180.0", "minlatitude=-50.0"} <= boxes[0]
    assert {"minlongitude=-180.0", "maxlongitude=-170.0", "maxlatitude=-30.0"} <= boxes[1]
    assert any(line.startswith("* * * HH?") for line in boxes[0])


@pytest.mark.fault(15)
def test_a_request_too_large_is_asked_in_parts(httpserver, url):
    """The service takes three lines at a time."""

    def answer(request: Request) -> Response:
        lines = request.get_data(as_text=True).splitlines()[2:]
        if len(lines) > 3:
            return Response(status=413)
        known = [
            channel
            for channel in CHANNELS
            for line in lines
            if fnmatchcase(
                f"{channel.seed_id.station_id} {channel.seed_id.channel}",
                "{}.{} {}".format(*line.split()[:2], line.split()[3]),
            )
        ]
        return Response(write_stationxml(Stations.of(known))) if known else Response(status=204)

    httpserver.expect_request(PATH).respond_with_handler(answer)
    assert source_of(url).stations(SPAN) == STATIONS
    statuses = [response.status_code for _, response in httpserver.log]
    assert 413 in statuses
    assert len(statuses) < 20


@pytest.mark.fault(15)
def test_an_area_too_large_is_halved(httpserver, url):
    def answer(request: Request) -> Response:
        text = request.get_data(as_text=True)
        lines = [line for line in text.splitlines() if line.endswith("2500-01-01T00:00:00")]
        box = {k: float(v) for k, v in (x.split("=") for x in text.splitlines() if "tude=" in x)}
        if len(lines) > 1 or box["maxlongitude"] - box["minlongitude"] > 20:
            return Response(status=413)
        inside = [
            c
            for c in CHANNELS
            if box["minlongitude"] <= c.longitude <= box["maxlongitude"]
            and box["minlatitude"] <= c.latitude <= box["maxlatitude"]
            and lines[0].split()[3][:2] == c.seed_id.channel[:2]
        ]
        return Response(write_stationxml(Stations.of(inside)))

    httpserver.expect_request(PATH).respond_with_handler(answer)
    region = Region(west=-110, south=-40, east=-60, north=40)
    assert source_of(url, network=Network(name="test", region=region)).stations(SPAN) == STATIONS


@pytest.mark.fault(15)
def test_what_is_too_large_in_its_smallest_part_is_one_clear_error(httpserver, url):
    httpserver.expect_request(PATH).respond_with_data("", status=413)
    with pytest.raises(RequestRejected, match="HTTP 413, request too large"):
        source_of(url).stations(SPAN)
    assert len(httpserver.log) < 8


@pytest.mark.fault(58)
def test_a_station_the_metadata_lack_is_named_and_the_others_go_on(httpserver, url):
    httpserver.expect_request(PATH).respond_with_data(write_stationxml(STATIONS))
    network = Network(name="test", select=("CX.PB0?", "CX.PB99"))
    stations = source_of(url, network=network).stations(SPAN)
    assert {str(s) for s in stations.station_ids()} == {"CX.PB01", "CX.PB02"}
    assert [line.partition(":")[0] for line in stations.problems] == ["CX.PB99"]


@pytest.mark.fault(37)
def test_metadata_that_changed_have_another_version(httpserver, url, monkeypatch):
    monkeypatch.setattr(stationservice, "_REFRESH_S", 0.0)
    httpserver.expect_ordered_request(PATH).respond_with_data(write_stationxml(STATIONS))
    again = write_stationxml(STATIONS)
    changed = again.replace(b"629000000.0", b"629000001.0")
    assert changed != again
    for content in (again, changed):
        httpserver.expect_ordered_request(PATH).respond_with_data(content)
    source = source_of(url)
    first, second, third = (source.stations(SPAN).version for _ in range(3))
    assert first == second != third


@pytest.mark.fault(35)
def test_two_centres_that_contradict_each_other_are_named(httpserver, url):
    """Overlapping epochs with different gains: the channel is unusable, the others go on."""
    other = [channel(response=replace(STS2, sensitivity=1.0))]
    httpserver.expect_ordered_request(PATH).respond_with_data(write_stationxml(STATIONS))
    httpserver.expect_ordered_request(PATH).respond_with_data(write_stationxml(Stations.of(other)))
    twin = url.replace("localhost", "127.0.0.1")
    stations = source_of(url, twin).stations(SPAN)
    assert other[0].seed_id not in stations.seed_ids()
    assert len(stations.seed_ids()) == len(STATIONS.seed_ids()) - 1
    assert stations.problems[0].startswith(f"{other[0].seed_id}: epochs")
