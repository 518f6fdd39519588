"""The availability service: what the archive holds, to the sample."""

import httpx
import numpy as np
import pytest

from geomon.api import fdsn_availability
from geomon.ids import SeedId
from geomon.times import TimeSpan, format_ns, parse_time
from geomon.waveforms import Provenance, Segment
from tests.api.network import OUTAGE, SPAN, fill, make_config

BASE = "/fdsnws/availability/1"
ID = SeedId("XX", "TWO", "", "HHZ")


@pytest.fixture(scope="module")
def network(tmp_path_factory, serve):
    """A served network with a station that has gaps, two rates, and a restricted one."""
    config = make_config(
        tmp_path_factory.mktemp("availability"),
        source={"kind": "simulated", "seed": 3, "n_stations": 4, "events_per_hour": 30},
        server={"restricted": ("XX.GM01",)},
    )
    space = fill(config)
    at = parse_time("2024-03-05T08:00:00")
    spans = ((0, 10, 100.0), (15, 10, 100.0), (300, 60, 100.0), (305, 10, 20.0))
    parts = [
        Segment(ID, at + start * 10**9, rate, np.arange(int(length * rate), dtype=np.int32))
        for start, length, rate in spans
    ]
    space.archive.write(parts, Provenance("test", "", ""))
    run = space.catalog.begin_run("ingest")
    day = TimeSpan.parse("2024-03-05", "2024-03-06")
    space.coverage.record("archive", str(ID.stream_id), day, version="", state="done", run=run)
    return space, serve(config)


def rows(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return [line.split() for line in answer.text.splitlines()[1:]]


def test_every_unbroken_span_is_told(network):
    space, client = network
    answer = client.get(f"{BASE}/query?sta=GM*&cha=HHZ,EHZ")
    assert answer.text.splitlines()[0].split() == [
        "#Network", "Station", "Location", "Channel", "Quality", "SampleRate", "Earliest", "Latest",
    ]  # fmt: skip
    told = rows(answer)
    for seed_id in {SeedId(*row[:2], row[2].replace("--", ""), row[3]) for row in told}:
        expected = [
            (segment.start_ns, segment.time_ns(segment.samples.size - 1))
            for segment in space.archive.read(seed_id, SPAN.start_ns, SPAN.end_ns).segments
        ]
        mine = [
            (parse_time(row[6]), parse_time(row[7]))
            for row in told
            if row[:4]
            == [seed_id.network, seed_id.station, seed_id.location or "--", seed_id.channel]
        ]
        np.testing.assert_allclose(mine, expected, atol=1000, rtol=0)
    [before, after] = [row for row in told if row[1] == "GM03"]
    assert parse_time(before[7]) < OUTAGE.start_ns <= parse_time(after[6])


def test_answers_are_trimmed_to_the_times_asked_for(network):
    _, client = network
    times = "start=2024-03-05T08:00:02.5&end=2024-03-05T08:00:18"
    told = rows(client.get(f"{BASE}/query?sta=TWO&{times}"))
    assert [row[6:] for row in told] == [
        ["2024-03-05T08:00:02.500000Z", "2024-03-05T08:00:09.990000Z"],
        ["2024-03-05T08:00:15.000000Z", "2024-03-05T08:00:18.000000Z"],
    ]


@pytest.mark.parametrize(
    ("options", "spans"),
    [
        ("", [(0, 9.99), (15, 24.99), (300, 359.99), (305, 314.95)]),
        ("&mergegaps=5.1", [(0, 24.99), (300, 359.99), (305, 314.95)]),
        ("&mergegaps=5", [(0, 9.99), (15, 24.99), (300, 359.99), (305, 314.95)]),
        ("&merge=samplerate", [(0, 9.99), (15, 24.99), (300, 359.99), (305, 314.95)]),
        ("&merge=samplerate,overlap", [(0, 9.99), (15, 24.99), (300, 359.99)]),
        ("&merge=overlap,samplerate&mergegaps=300", [(0, 359.99)]),
        ("&limit=1", [(0, 9.99)]),
    ],
)
def test_spans_are_merged_as_asked(network, options, spans):
    _, client = network
    at = parse_time("2024-03-05T08:00:00")
    told = rows(client.get(f"{BASE}/query?sta=TWO{options}"))
    got = [tuple((parse_time(cell) - at) / 1e9 for cell in row[-2:]) for row in told]
    np.testing.assert_allclose(got, spans, atol=1e-5)
    assert len(told[0]) == (7 if "samplerate" in options else 8)


def test_an_extent_is_one_row_a_channel_and_rate(network):
    _, client = network
    first, second = rows(client.get(f"{BASE}/extent?sta=TWO&orderby=timespancount_desc"))
    assert first[:6] == ["XX", "TWO", "--", "HHZ", "D", "100"]
    assert first[6:8] == ["2024-03-05T08:00:00.000000Z", "2024-03-05T08:05:59.990000Z"]
    assert first[9:] == ["3", "OPEN"]
    assert parse_time(first[8]) > parse_time("2024-03-05")
    assert (second[5], second[9]) == ("20", "1")
    [one] = rows(client.get(f"{BASE}/extent?sta=TWO&merge=samplerate,quality"))
    assert (len(one), one[-2]) == (9, "4")


def test_every_format_says_the_same(network):
    _, client = network
    ask = f"{BASE}/query?sta=TWO&show=latestupdate"
    text = rows(client.get(ask))
    geocsv = client.get(f"{ask}&format=geocsv")
    assert geocsv.headers["content-type"].startswith("text/csv")
    lines = geocsv.text.splitlines()
    assert lines[0] == "#dataset: GeoCSV 2.0"
    assert lines[3].split(": ")[1].split("|")[5:] == ["float", "datetime", "datetime", "datetime"]
    assert [line.split("|")[4:] for line in lines[5:]] == [row[4:] for row in text]
    document = client.get(f"{ask}&format=json").json()
    assert document["version"] == 1.0
    slow, fast = sorted(document["datasources"], key=lambda source: source["samplerate"])
    assert (slow["samplerate"], fast["location"]) == (20.0, "")
    assert [span for source in (fast, slow) for span in source["timespans"]] == [
        row[6:] for row in text
    ]
    extent = client.get(f"{BASE}/extent?sta=TWO&format=json").json()["datasources"]
    assert {source["timespanCount"] for source in extent} == {1, 3}
    assert {source["restriction"] for source in extent} == {"OPEN"}


def test_dataselect_takes_the_request_format(network):
    _, client = network
    request = client.get(f"{BASE}/query?sta=TWO&format=request").text
    assert request.splitlines()[0] == (
        "XX TWO -- HHZ 2024-03-05T08:00:00.000000Z 2024-03-05T08:00:09.990000Z"
    )
    assert client.post("/fdsnws/dataselect/1/query", content=request).status_code == 200


def test_post_and_get_say_the_same(network):
    _, client = network
    start, end = (format_ns(t) for t in (SPAN.start_ns, SPAN.end_ns))
    for resource in ("query", "extent"):
        posted = client.post(
            f"{BASE}/{resource}",
            content=f"format=json\nmerge=quality\nXX GM04 * BHZ {start} {end}\n",
        ).json()
        got = client.get(
            f"{BASE}/{resource}?sta=GM04&cha=BHZ&start={start}&end={end}&format=json&merge=quality"
        ).json()
        assert posted["datasources"] == got["datasources"] != []


def test_restricted_channels_are_told_only_when_asked_for(network):
    _, client = network
    assert client.get(f"{BASE}/extent?sta=GM01").status_code == 204
    told = rows(client.get(f"{BASE}/extent?sta=GM01&includerestricted=true"))
    assert {row[-1] for row in told} == {"RESTRICTED"}
    assert client.get(f"{BASE}/queryauth").status_code == 401


def test_order_by_when_it_was_archived(network):
    _, client = network
    ask = f"{BASE}/extent?orderby=latestupdate"
    first = rows(client.get(f"{ask}_desc"))[0]
    assert first[1] == "TWO"
    assert rows(client.get(ask))[0][1] == "TWO"  # of the others it is not known


def test_no_data_and_impossible_requests(network, monkeypatch):
    _, client = network
    assert client.get(f"{BASE}/query?sta=NONE").status_code == 204
    assert client.get(f"{BASE}/extent?sta=NONE&nodata=404").status_code == 404
    for wrong in ("merge=time", "orderby=timespancount", "show=all", "mergegaps=-1", "limit=0"):
        answer = client.get(f"{BASE}/query?{wrong}")
        assert answer.status_code == 400
        assert answer.text.startswith("Error 400: Bad request")
    assert client.get(f"{BASE}/extent?mergegaps=1").status_code == 400
    monkeypatch.setattr(fdsn_availability, "MAX_ROWS", 3)
    assert client.get(f"{BASE}/query").status_code == 413
