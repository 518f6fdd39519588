"""The dataselect service: the archive's samples, exactly the ones asked for."""

import httpx
import numpy as np
import pytest
from obspy import UTCDateTime
from obspy.clients.fdsn import Client

from geomon.api import fdsn_dataselect
from geomon.api.digest import challenge, digest_user, password_hash
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


def test_users_may_read_what_is_restricted(tmp_path, serve):
    users = tmp_path / "users"
    users.write_text("".join(f"{n}:FDSN:{password_hash(n, 'pass word')}\n" for n in ("ada", "bo")))
    config = make_config(
        tmp_path,
        source={"kind": "simulated", "seed": 3, "n_stations": 4, "events_per_hour": 30},
        server={"users": users, "readers": {"ada": ("XX.GM01",)}, "restricted": ("XX.GM*",)},
    )
    fill(config)
    client = serve(config)
    query = f"{times(MINUTE)}&sta=GM*&cha=HHZ&loc=*"
    assert client.get(f"{QUERY}?{query}").status_code == 403
    answer = client.get(f"{QUERY}auth?{query}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Digest realm="FDSN"')
    assert answer.text.startswith("Error 401: Unauthorized")
    ada, bo = (httpx.DigestAuth(name, "pass word") for name in ("ada", "bo"))
    segments = segments_of(client.get(f"{QUERY}auth?{query}", auth=ada))
    assert {segment.seed_id.station for segment in segments} == {"GM01"}
    assert client.get(f"{QUERY}auth?{query}", auth=bo).status_code == 403
    wrong = httpx.DigestAuth("ada", "guess")
    assert client.get(f"{QUERY}auth?{query}", auth=wrong).status_code == 401
    basic = httpx.BasicAuth("ada", "pass word")  # would send the password itself
    assert client.get(f"{QUERY}auth?{query}", auth=basic).status_code == 401
    start, end = str(MINUTE).split("/")
    body = f"XX GM01 * HHZ {start} {end}\n"
    assert segments_of(client.post(f"{QUERY}auth", content=body, auth=ada))
    assert client.post(f"{QUERY}auth", content=body).status_code == 401
    extent = client.get("/fdsnws/availability/1/extentauth?cha=HHZ", auth=ada)
    assert extent.text.count("RESTRICTED") == extent.text.count("GM01") == 1
    obspy_client = Client(str(client.base_url), user="ada", password="pass word")
    stream = obspy_client.get_waveforms(
        "XX", "GM0?", "*", "HHZ", UTCDateTime(ns=MINUTE.start_ns), UTCDateTime(ns=MINUTE.end_ns)
    )
    assert {trace.stats.station for trace in stream} == {"GM01"}


def test_a_proof_holds_for_one_request_and_some_minutes(monkeypatch):
    hashes = {"ada": password_hash("ada", "secret")}
    auth = httpx.DigestAuth("ada", "secret")
    request = httpx.Request("GET", "http://x/fdsnws/dataselect/1/queryauth?a=1")
    flow = auth.auth_flow(request)
    next(flow)
    flow.send(httpx.Response(401, headers={"WWW-Authenticate": challenge()}, request=request))
    header, target = request.headers["authorization"], "/fdsnws/dataselect/1/queryauth?a=1"
    assert digest_user(header, "GET", target, hashes) == ("ada", False)
    assert digest_user(header, "POST", target, hashes) == (None, False)
    assert digest_user(header, "GET", f"{target}0", hashes) == (None, False)
    assert digest_user(header.replace("ada", "bob"), "GET", target, hashes) == (None, False)
    for nonsense in ("", "Digest", "Digest =", 'Digest username="ada', "Basic YWRhOnNlY3JldA=="):
        assert digest_user(nonsense, "GET", target, hashes) == (None, False)
    monkeypatch.setattr("geomon.api.digest._NONCE_LIFE_S", -1)
    assert digest_user(header, "GET", target, hashes) == (None, True)
