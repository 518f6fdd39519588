"""The dataselect service: the archive's samples, exactly the ones asked for."""

import httpx
import numpy as np
import pytest

from geomon.api import fdsn_dataselect
from geomon.ids import SeedId
from geomon.services.workspace import Workspace
from geomon.sources.miniseed import decode
from geomon.times import TimeSpan
from geomon.waveforms import Segment
from tests.api.network import SPAN, fill, make_config

QUERY = "/fdsnws/dataselect/1/query"
MINUTE = TimeSpan.parse("2024-03-05T06:02:00.003", "2024-03-05T06:03:00.007")


def segments_of(answer: httpx.Response) -> tuple[Segment, ...]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.fdsn.mseed"
    return decode(answer.content, allowed=None, span=None).segments


def held(space: Workspace, seed_id: SeedId, span: TimeSpan) -> tuple[Segment, ...]:
    return space.archive.read(seed_id, span.start_ns, span.end_ns + 1).segments


def times(span: TimeSpan) -> str:
    start, end = str(span).split("/")
    return f"starttime={start}&endtime={end}"


@pytest.mark.parametrize("version", ["miniseed", "miniseed3"])
def test_samples_are_exact_and_trimmed(client, space, version):
    query = f"{QUERY}?{times(MINUTE)}&sta=GM01&format={version}"
    got = segments_of(client.get(query))
    for seed_id in sorted({segment.seed_id for segment in got}):
        expected = held(space, seed_id, MINUTE)
        mine = [segment for segment in got if segment.seed_id == seed_id]
        assert [s.start_ns // 1000 for s in mine] == [s.start_ns // 1000 for s in expected]
        for one, other in zip(mine, expected, strict=True):
            np.testing.assert_array_equal(one.samples, other.samples)


def test_a_sample_at_the_end_is_included(client):
    second = "starttime=2024-03-05T06:02:00&endtime=2024-03-05T06:02:01"
    [segment] = segments_of(client.get(f"{QUERY}?{second}&sta=GM01&cha=HHZ"))
    assert segment.samples.size == 101


def test_post_and_get_say_the_same(client):
    start, end = str(MINUTE).split("/")
    body = f"quality=B\nminimumlength=0.0\nXX GM01 * HHZ {start} {end}\n"
    posted = client.post(QUERY, content=body)
    got = client.get(f"{QUERY}?{times(MINUTE)}&net=XX&sta=GM01&cha=HHZ")
    assert segments_of(posted)
    assert posted.content == got.content


def test_stretches_can_be_chosen_by_length(client, space):
    whole = f"{QUERY}?{times(SPAN)}"
    lengths = {}
    for segment in segments_of(client.get(whole)):
        lengths.setdefault(segment.seed_id, []).append(segment.span.duration_s)
    assert any(len(parts) > 1 for parts in lengths.values()), "the network has gaps"
    longest = segments_of(client.get(f"{whole}&longestonly=true"))
    assert len({segment.seed_id for segment in longest}) == len(lengths)
    shortest_s = max(max(parts) for parts in lengths.values()) - 1
    for segment in segments_of(client.get(f"{whole}&minimumlength={shortest_s}")):
        assert segment.span.duration_s >= shortest_s
    assert client.get(f"{whole}&minimumlength=1e6").status_code == 204


def test_no_data(client):
    assert client.get(f"{QUERY}?start=2020-01-01&end=2020-01-02").status_code == 204
    assert client.get(f"{QUERY}?{times(SPAN)}&sta=NONE&nodata=404").status_code == 404


@pytest.mark.fault(52)
def test_too_much_is_a_413(client, monkeypatch):
    monkeypatch.setattr(fdsn_dataselect, "MAX_CHANNEL_DAYS", 3)
    assert client.get(f"{QUERY}?{times(SPAN)}").status_code == 413
    assert client.get(f"{QUERY}?{times(SPAN)}&sta=GM01").status_code == 200


def test_restricted_channels_are_not_served(tmp_path, serve):
    config = make_config(
        tmp_path,
        source={"kind": "simulated", "seed": 3, "n_stations": 4, "events_per_hour": 30},
    )
    space = fill(config, restricted=("XX.GM01",))
    client = serve(config)
    ids = {s.seed_id.station for s in segments_of(client.get(f"{QUERY}?{times(MINUTE)}"))}
    assert ids
    assert "GM01" not in ids
    assert client.get(f"{QUERY}?{times(MINUTE)}&sta=GM01").status_code == 403
    [event, *_] = space.catalog.events()
    section = client.get(f"/api/waveforms?event_id={event.event_id}").json()
    assert section["traces"]
    assert all(trace["station"] != "GM01" for trace in section["traces"])
    start, end = str(MINUTE).split("/")
    one = client.get(f"/api/waveforms?channel=XX.GM01.00.HHZ&start={start}&end={end}").json()
    assert one["traces"][0]["pieces"] == []
    text = client.get("/fdsnws/station/1/query?format=text&includerestricted=false").text
    assert "GM01" not in text
