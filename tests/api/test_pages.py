"""The JSON the page reads."""

from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest

from geomon.api.envelopes import envelopes, peak, rounded
from geomon.api.watch import StationSpans, share, timeline
from geomon.ids import SeedId, StationId
from geomon.stores.summary import EVENT_COLUMNS
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment
from tests.api.network import SPAN, WATCHED, make_config

TIMES = {"start": str(SPAN).split("/")[0], "end": str(SPAN).split("/")[1]}


def span(start: float, end: float) -> TimeSpan:
    return TimeSpan(round(start * NS_PER_S), round(end * NS_PER_S))


def test_status_names_the_newest_data(client, space):
    status = client.get("/api/status").json()
    assert status["name"] == "Test swarm"
    assert status["n_events"] == len(space.catalog.events())
    assert abs(parse_time(status["first_data"]) - SPAN.start_ns) < NS_PER_S
    assert abs(parse_time(status["last_data"]) - SPAN.end_ns) < NS_PER_S
    assert status["catalog_version"] == space.catalog.version()


def test_events_are_geojson_with_the_columns_of_every_table(client, space):
    answer = client.get("/api/events", params=TIMES)
    assert answer.headers["content-type"] == "application/geo+json"
    features = answer.json()["features"]
    assert [f["id"] for f in features] == list(space.catalog.events(order_by="-time").event_ids)
    columns = {*features[0]["properties"], "longitude", "latitude"}
    assert columns == set(EVENT_COLUMNS)
    pages = [
        client.get("/api/events", params={"limit": 4, "offset": offset}).json()["features"]
        for offset in range(0, len(features) + 4, 4)
    ]
    assert [f["id"] for page in pages for f in page] == [f["id"] for f in features]


def test_events_can_be_asked_by_box_and_magnitude(client, space):
    [event, *_] = space.catalog.events(order_by="-magnitude")
    origin = event.preferred_origin
    x, y = origin.longitude, origin.latitude
    box = f"{x - 0.01},{y - 0.01},{x + 0.01},{y + 0.01}"
    found = client.get(
        "/api/events", params={"bbox": box, "min_magnitude": event.preferred_magnitude.value - 0.01}
    ).json()["features"]
    assert event.event_id in [f["id"] for f in found]
    assert client.get("/api/events?bbox=1,2,3").status_code == 400
    assert client.get("/api/events?bbox=1,2,3,x").status_code == 400
    assert client.get("/api/events?start=never").status_code == 400
    refused = client.get("/api/events?limit=20001")
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("limit: ")


def test_an_event_comes_with_arrivals_and_history(client, space):
    [event, *_] = space.catalog.events(order_by="-magnitude")
    detail = client.get(f"/api/events/{event.event_id}").json()
    assert detail["id"] == event.event_id
    assert detail["properties"]["magnitude"] == event.preferred_magnitude.value
    distances = [arrival["distance_km"] for arrival in detail["arrivals"]]
    assert distances == sorted(distances)
    assert len(distances) == len(event.arrivals)
    assert len(detail["station_magnitudes"]) == event.preferred_magnitude.n_stations
    assert [revision["revision"] for revision in detail["revisions"]] == [1]
    missing = client.get("/api/events/nothing")
    assert missing.status_code == 404
    assert "nothing" in missing.json()["detail"]


def test_coverage_tells_no_events_from_no_data(client):
    watched = client.get("/api/coverage", params=TIMES).json()
    assert watched["watched"] == pytest.approx(WATCHED.duration_s / SPAN.duration_s, abs=0.05)
    assert watched["archived"] > 0.95
    assert {step["located"] for step in watched["timeline"]} >= {0, watched["n_stations"]}
    ends = [(step["start"], step["end"]) for step in watched["timeline"]]
    assert all(end == start for (_, end), (start, _) in pairwise(ends))
    nothing = client.get("/api/coverage?start=2020-01-01&end=2020-01-02").json()
    assert (nothing["watched"], nothing["archived"]) == (0, 0)
    assert client.get("/api/coverage?start=1900-01-01&end=2020-01-02").status_code == 400
    assert client.get("/api/coverage?start=2020-01-02&end=2020-01-01").status_code == 400
    far = client.get("/api/coverage?start=9999-01-01&end=9999-01-02").json()
    assert (far["watched"], far["archived"]) == (0, 0)


def test_stations_have_positions_and_health(client, space):
    features = client.get("/api/stations", params=TIMES).json()["features"]
    known = space.stations().at(SPAN.start_ns)
    assert {f["id"] for f in features} == {str(station_id) for station_id in known}
    for feature in features:
        place = known[StationId.parse(feature["id"])]
        assert feature["geometry"]["coordinates"] == [place.longitude, place.latitude]
        assert feature["properties"]["health"] in {"good", "partial"}
        assert abs(parse_time(feature["properties"]["last_data"]) - SPAN.end_ns) < 60 * NS_PER_S
    silent = client.get("/api/stations?start=2020-01-01&end=2020-01-02").json()["features"]
    assert {f["properties"]["health"] for f in silent} == {"silent"}


def test_a_record_section_lists_stations_by_distance(client, space):
    [event, *_] = space.catalog.events(order_by="-magnitude")
    section = client.get("/api/waveforms", params={"event_id": event.event_id, "bins": 300}).json()
    assert section["component"] == "Z"
    assert section["components"][:1] == ["Z"]
    distances = [trace["distance_km"] for trace in section["traces"]]
    assert distances == sorted(distances)
    assert {pick["phase"] for trace in section["traces"] for pick in trace["picks"]} == {"P", "S"}
    for trace in section["traces"]:
        assert trace["channel"].endswith("Z")
        for piece in trace["pieces"]:
            assert len(piece["minimum"]) == len(piece["maximum"]) <= 301
            assert max(map(abs, piece["minimum"] + piece["maximum"])) <= trace["peak"] * 1.001
    horizontal = client.get(
        "/api/waveforms", params={"event_id": event.event_id, "component": "N"}
    ).json()
    assert {trace["channel"][-1] for trace in horizontal["traces"]} & {"N", "1"}
    assert client.get("/api/waveforms?event_id=nothing").status_code == 404


def test_one_channel_in_a_span(client, space):
    query = "channel=XX.GM01.00.HHZ&start=2024-03-05T06:01:00&end=2024-03-05T06:02:00"
    answer = client.get(f"/api/waveforms?{query}&bins=6000&highpass_hz=0").json()
    [trace] = answer["traces"]
    [piece] = trace["pieces"]
    held = space.archive.read("XX.GM01.00.HHZ", "2024-03-05T06:01:00", "2024-03-05T06:02:00")
    got = np.array(piece["maximum"])
    assert got == pytest.approx(
        held.segments[0].samples + (got - held.segments[0].samples).mean(), abs=1
    )
    assert client.get("/api/waveforms?channel=XX.GM01.00.HHZ").status_code == 400
    assert client.get(f"/api/waveforms?{query.replace('XX.GM01.00.HHZ', 'a/b')}").status_code == 400
    tiny = client.get(f"/api/waveforms?{query}&highpass_hz=1e-265")
    assert tiny.status_code == 200
    long = "channel=XX.GM01.00.HHZ&start=2024-03-05&end=2024-03-09"
    assert client.get(f"/api/waveforms?{long}").status_code == 400


def test_an_empty_network_answers_everything(tmp_path, serve):
    client = serve(make_config(tmp_path))
    status = client.get("/api/status").json()
    assert (status["n_events"], status["last_data"], status["last_event"]) == (0, None, None)
    assert client.get("/api/events").json()["features"] == []
    assert client.get("/api/stations").json()["features"] == []
    coverage = client.get("/api/coverage?start=2024-01-01&end=2024-01-02").json()
    assert (coverage["n_stations"], coverage["watched"]) == (0, 0)
    assert client.get("/fdsnws/event/1/query").status_code == 204
    assert client.get("/fdsnws/dataselect/1/query").status_code == 204


def test_stations_are_shown_without_a_picker(space, serve, tmp_path):
    picker = space.config.picker.model_copy(update={"name": str(tmp_path / "no-picker")})
    client = serve(space.config.model_copy(update={"picker": picker}))
    features = client.get("/api/stations", params=TIMES).json()["features"]
    assert {f["properties"]["health"] for f in features} == {"good", "partial"}
    coverage = client.get("/api/coverage", params=TIMES).json()
    assert coverage["archived"] > 0.95
    assert coverage["watched"] == 0


def test_openapi_describes_every_route(client):
    document = client.get("/api/openapi.json").json()
    assert {"/api/events", "/api/coverage", "/fdsnws/event/1/query"} <= document["paths"].keys()
    named = {p["name"] for p in document["paths"]["/fdsnws/event/1/query"]["get"]["parameters"]}
    assert "updatedafter" in named


def test_a_timeline_counts_stations():
    stations = {
        StationId("AA", "ONE"): StationSpans([span(0, 50)], [], [span(0, 30)]),
        StationId("AA", "TWO"): StationSpans([span(20.2, 100)], [], []),
    }
    steps = timeline(stations, span(0, 100))
    assert [(s.span.end_ns // NS_PER_S, s.n_archived, s.n_located) for s in steps] == [
        (20, 1, 1), (30, 2, 1), (50, 2, 0), (100, 1, 0),
    ]  # fmt: skip
    assert timeline({}, span(0, 10)) != []
    assert timeline(stations, span(5, 5)) == []


def test_shares_stay_between_none_and_all():
    assert share([span(0, 50), span(60, 70)], span(0, 100)) == pytest.approx(0.6)
    assert share([span(-5, 500)], span(0, 100)) == 1
    assert share([], span(3, 3)) == 0


def test_an_envelope_keeps_every_extreme_and_draws_no_gap():
    rng = np.random.default_rng(1)
    seed_id = SeedId.parse("AA.ONE..HHZ")
    samples = rng.integers(-1000, 1000, 4000).astype(np.int32)
    segments = [
        Segment(seed_id, 0, 100.0, samples[:1500]),
        Segment(seed_id, 20 * NS_PER_S, 100.0, samples[2000:]),
    ]
    found = list(envelopes(segments, span(0, 40), 100))
    assert [e.start_ns for e in found] == [0, 20 * NS_PER_S]
    for envelope, segment in zip(found, segments, strict=True):
        centred = segment.samples - segment.samples.mean()
        assert envelope.maximum.max() == pytest.approx(centred.max())
        assert envelope.minimum.min() == pytest.approx(centred.min())
        assert envelope.step_s * envelope.maximum.size >= segment.span.duration_s
        assert np.all(envelope.minimum <= envelope.maximum)
    largest = peak(found)
    assert rounded(found[0].maximum, largest) == pytest.approx(
        list(found[0].maximum), rel=1e-3, abs=0.1
    )
    assert rounded(np.zeros(3), 0.0) == [0, 0, 0]
    assert peak([]) == 0


def test_times_are_utc(client):
    status = client.get("/api/status").json()
    assert datetime.fromisoformat(status["last_event"]).utcoffset().total_seconds() == 0
