"""What an analyst does over HTTP: propose, save, judge, merge, split, and take back."""

import getpass
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from geomon.api.app import create_app
from geomon.cli import app
from geomon.errors import DataError
from geomon.services.workspace import Workspace
from tests.api.conftest import serving
from tests.api.network import fill, make_config

ANNA = {"actor": "anna", "reason": "checked"}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return fill(make_config(tmp_path_factory.mktemp("reviewed")))


@pytest.fixture(scope="module")
def client(space: Workspace) -> Iterator[httpx.Client]:
    with (
        serving(create_app(space.config)) as address,
        httpx.Client(base_url=address, timeout=120, headers={"Origin": address}) as client,
    ):
        yield client


def event_ids(client: httpx.Client) -> list[str]:
    answer = client.get("/api/events", params={"order_by": "time"}).json()
    return [feature["id"] for feature in answer["features"]]


def picks_of(client: httpx.Client, event_id: str) -> list[dict[str, object]]:
    arrivals = client.get(f"/api/events/{event_id}").json()["arrivals"]
    return [
        {
            "channel": f"{a['network']}.{a['station']}.{a['location']}.{a['channel']}",
            "phase": a["phase"],
            "time": a["time"],
        }
        for a in arrivals
    ]


def post(client: httpx.Client, path: str, **asked: object) -> dict[str, object]:
    answer = client.post(f"/api/review/{path}", json=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_solution_is_proposed_then_saved_then_undone(client: httpx.Client):
    event_id = event_ids(client)[0]
    before = client.get(f"/api/events/{event_id}").json()
    picks = picks_of(client, event_id)
    moved, *others = picks
    time = str(moved["time"]).replace("Z", "+00:00")
    moved = {**moved, "time": time[:-7] + "1" + time[-6:]}
    proposal = post(client, "solve", event_id=event_id, picks=[moved, *others[:-1]])
    assert proposal["before"]["revision"] == 1
    after = proposal["after"]
    assert len(after["arrivals"]) == len(picks) - 1
    assert [a["evaluation_mode"] for a in after["arrivals"]].count("manual") == 1
    assert client.get(f"/api/events/{event_id}").json() == before
    saved = post(
        client, f"events/{event_id}/solution", revision=1, picks=[moved, *others[:-1]],
        depth_km=5.0, **ANNA,
    )  # fmt: skip
    assert saved["properties"]["depth_km"] == 5.0
    assert saved["properties"]["review_state"] == "reviewed"
    assert "depth fixed" in saved["properties"]["method"]
    refused = client.post(
        f"/api/review/events/{event_id}/solution", json={"revision": 1, "picks": picks, **ANNA}
    )
    assert refused.status_code == 409
    assert "revision 2" in refused.json()["detail"]
    assert post(client, f"events/{event_id}/undo", **ANNA) == [event_id]
    again = client.get(f"/api/events/{event_id}").json()
    assert again["arrivals"] == before["arrivals"]
    restored = post(client, f"events/{event_id}/restore", revision=3, to=2, **ANNA)
    assert restored["properties"]["depth_km"] == 5.0
    history = client.get(f"/api/review/events/{event_id}/history").json()
    assert [row["reason"] for row in history] == ["checked", "checked", "checked", "found"]
    assert {row["actor"] for row in history[:3]} == {"anna"}


def test_too_few_picks_give_a_reason(client: httpx.Client):
    event_id = event_ids(client)[1]
    proposal = post(client, "solve", event_id=event_id, picks=picks_of(client, event_id)[:2])
    assert proposal["after"] is None
    assert "needs 4 at 3 stations" in proposal["reason"]
    refused = client.post(
        f"/api/review/events/{event_id}/solution",
        json={"revision": 1, "picks": picks_of(client, event_id)[:2], **ANNA},
    )
    assert refused.status_code == 400
    assert "cannot be located" in refused.json()["detail"]


def test_events_are_judged_typed_and_commented(client: httpx.Client):
    event_id = event_ids(client)[1]
    path = f"events/{event_id}"
    assert post(client, f"{path}/judgement", state="confirmed", **ANNA)["properties"][
        "review_state"] == "confirmed"  # fmt: skip
    typed = post(client, f"{path}/judgement", event_type="quarry blast", **ANNA)["properties"]
    assert (typed["event_type"], typed["review_state"]) == ("quarry blast", "confirmed")
    post(client, f"{path}/comment", actor="anna", reason="at noon, as every day")
    n_before = len(event_ids(client))
    post(client, f"{path}/judgement", state="rejected", **ANNA)
    assert len(event_ids(client)) == n_before - 1
    post(client, f"{path}/undo", actor="anna")
    assert len(event_ids(client)) == n_before
    for wrong in ({"state": "splendid"}, {"event_type": "earthquak"}, {"stat": "confirmed"}):
        answer = client.post(f"/api/review/{path}/judgement", json={**wrong, **ANNA})
        assert answer.status_code in {400, 422}
    history = client.get(f"/api/review/{path}/history").json()
    assert {row["actor"] for row in history} == {"anna", ""}
    post(client, f"{path}/comment", reason="nobody logs in here")
    history = client.get(f"/api/review/{path}/history").json()
    assert history[0]["actor"] == getpass.getuser()
    unknown = client.post("/api/review/events/none/judgement", json={"state": "confirmed", **ANNA})
    assert unknown.status_code == 404


def test_events_are_split_merged_and_made(client: httpx.Client):
    event_id = event_ids(client)[2]
    n_before = len(event_ids(client))
    picks = picks_of(client, event_id)
    stations = sorted({str(pick["channel"]).split(".")[1] for pick in picks})
    leaving = [p for p in picks if str(p["channel"]).split(".")[1] in stations[:4]]
    stays, leaves = post(client, f"events/{event_id}/split", revision=1, picks=leaving, **ANNA)
    assert len(leaves["arrivals"]) == len(leaving)
    assert len(stays["arrivals"]) == len(picks) - len(leaving)
    assert len(event_ids(client)) == n_before + 1
    merged = post(
        client, f"events/{event_id}/merge", revision=2,
        others=[{"event_id": leaves["id"], "revision": 1}], **ANNA,
    )  # fmt: skip
    assert len(merged["arrivals"]) == len(picks)
    assert client.get(f"/api/events/{leaves['id']}").json()["id"] == event_id
    shifted = [
        {**pick, "time": str(pick["time"]).replace("T06:", "T07:"), "uncertainty_s": 0.03}
        for pick in picks
    ]
    made = post(client, "events", picks=shifted, **ANNA)
    assert made["properties"]["time"].startswith("2024-03-05T07:")
    assert {a["picker"] for a in made["arrivals"]} == {"anna"}
    assert post(client, f"events/{made['id']}/undo", **ANNA) == [made["id"]]
    assert client.get(f"/api/events/{made['id']}").status_code == 404
    actions = client.get("/api/review/actions").json()
    assert actions[0]["event_ids"] == [made["id"]]
    assert actions[0]["is_latest"]
    assert not actions[1]["is_latest"]


def test_predicted_times_and_free_picks_stand_beside_the_records(client: httpx.Client):
    event_id = event_ids(client)[0]
    predicted = client.get(f"/api/review/events/{event_id}/predicted").json()
    assert len(predicted) == 16
    start, end = "2024-03-05T06:00:00", "2024-03-05T06:03:00"
    records = client.get("/api/waveforms", params={"start": start, "end": end}).json()
    assert len(records["traces"]) == 8
    picks = [pick for trace in records["traces"] for pick in trace["picks"]]
    assert any(pick["event_id"] for pick in picks)
    assert all(pick["channel"] for pick in picks)
    too_long = client.get("/api/waveforms", params={"start": start, "end": "2024-03-05T09:00:00"})
    assert too_long.status_code == 400


def test_no_other_site_writes_through_a_browser(client: httpx.Client):
    path = f"/api/review/events/{event_ids(client)[0]}/judgement"
    asked = {"state": "rejected", **ANNA}
    foreign = client.post(path, json=asked, headers={"Origin": "https://example.org"})
    assert foreign.status_code == 403
    rebound = client.post(path, json=asked, headers={"Host": "example.org"})
    assert rebound.status_code == 403
    assert "quarry blast" in client.get("/api/review/event_types").json()


def test_the_queue_offers_what_is_least_sure(client: httpx.Client):
    span = {"start": "2024-03-05T06:00:00", "end": "2024-03-05T06:12:00"}
    queue = client.get("/api/review/queue", params={**span, "limit": 5}).json()
    assert queue["thresholds"] == {"P": 0.5, "S": 0.5}
    assert all(event["review_state"] == "automatic" for event in queue["events"])
    first = queue["picks"][0]
    asked = {key: first[key] for key in ("channel", "phase", "time", "picker")}
    answer = client.post("/api/review/verdicts", json={**asked, "verdict": "wrong", **ANNA}).json()
    assert (answer["verdict"], answer["actor"]) == ("wrong", "anna")
    again = client.get("/api/review/queue", params={**span, "limit": 5}).json()
    assert first not in again["picks"]
    assert client.get("/api/review/verdicts", params=span).json() == [answer]
    unknown = {**asked, "time": "2024-03-05T06:00:00.000001Z", "verdict": "wrong"}
    assert client.post("/api/review/verdicts", json={**unknown, **ANNA}).status_code == 404


def test_a_window_is_reviewed_whole(client: httpx.Client):
    span = {"start": "2024-03-05T05:50:00", "end": "2024-03-05T06:20:00", "purpose": "exam"}
    held = client.get("/api/review/windows", params=span).json()
    assert held["n_reviewed"] == 0
    first = held["windows"][0]
    limits = {"start": first["start"], "end": first["end"]}
    records = client.get("/api/waveforms", params={"channel": f"{first['stream']}Z", **limits})
    picks = [p for trace in records.json()["traces"] for p in trace["picks"]]
    assert len(picks) == first["n_picks"] > 2
    onsets = [{key: one[key] for key in ("channel", "phase", "time")} for one in picks[1:]]
    asked = {"stream": first["stream"], "start": first["start"], "onsets": onsets}
    said = post(client, "windows", **asked, **ANNA)
    assert said == {"n_onsets": len(picks) - 1, "n_wrong": 1, "is_new": True}
    verdicts = client.get("/api/review/verdicts", params=limits).json()
    of_stream = [one["verdict"] for one in verdicts if one["channel"].startswith(first["stream"])]
    assert of_stream == ["wrong"] + ["correct"] * len(onsets)
    assert client.get("/api/review/windows", params=span).json()["n_reviewed"] == 1
    elsewhere = {**asked, "start": "2024-03-05T06:00:00Z"}
    assert client.post("/api/review/windows", json={**elsewhere, **ANNA}).status_code == 400


def test_the_command_does_the_same(space: Workspace, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(space.config.model_dump(mode="json", exclude_unset=True)))
    event_id = space.catalog.events().event_ids[5]

    def command(*options: str, event: str = event_id) -> str:
        signed = ["--actor", "anna", "--config", str(config)]
        with pytest.raises(SystemExit) as ended:
            app(["catalog", "review", event, *options, *signed])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "confirmed, earthquake, revision 2" in command("--state", "confirmed")
    assert "4.00 km" in command("--depth", "4", "--reason", "as the others")
    n_picks = len(space.catalog.event(event_id).picks)
    first = space.catalog.event(event_id).picks[0]
    told = json.loads(command("--drop", f"{first.seed_id.station_id}.{first.phase}", "--json"))
    assert (told["revision"], told["actor"], told["reason"]) == (4, "anna", "relocated")
    assert len(space.catalog.event(event_id).picks) == n_picks - 1
    assert "as before" in command("--undo")
    assert len(space.catalog.event(event_id).picks) == n_picks
    later = f"{first.time + timedelta(seconds=0.04):%Y-%m-%dT%H:%M:%S.%f}"
    command("--pick", f"{first.seed_id}.{first.phase}={later},0.02,negative")
    [manual] = [p for p in space.catalog.event(event_id).picks if p.evaluation_mode == "manual"]
    assert (manual.time, manual.uncertainty_s, manual.polarity, manual.picker) == (
        first.time + timedelta(seconds=0.04), 0.02, "negative", "anna",
    )  # fmt: skip
    _split_and_create(space, tmp_path, command, event_id)
    for wrong in (["--pick", "GM.X=now"], ["--drop", "GM.NONE.P"], ["--split", "GM.NONE.P"]):
        with pytest.raises(DataError, match=wrong[0]):
            app(["catalog", "review", event_id, *wrong, "--actor", "anna", "--config", str(config)],
                standalone_mode=False)  # fmt: skip
    with pytest.raises(DataError, match="a new event is made of"):
        app(
            ["catalog", "review", "new", "--undo", "--actor", "anna", "--config", str(config)],
            standalone_mode=False,
        )
    with pytest.raises(DataError, match="one thing at a time"):
        app(
            ["catalog", "review", event_id, "--actor", "anna", "--config", str(config)],
            standalone_mode=False,
        )


def _split_and_create(
    space: Workspace, folder: Path, command: Callable[..., str], event_id: str
) -> None:
    """Split an event and undo it; add one that was missed, from a file of picks."""
    held = space.catalog.event(event_id)
    stations = sorted({pick.seed_id.station_id for pick in held.picks})[:4]
    leaving = [p for p in held.picks if p.seed_id.station_id in stations]
    names = ",".join(f"{p.seed_id.station_id}.{p.phase}" for p in leaving)
    told = json.loads(command("--split", names, "--reason", "two of them", "--json"))
    assert [one["event_id"] == event_id for one in told] == [True, False]
    assert {(one["actor"], one["reason"]) for one in told} == {("anna", "two of them")}
    counts = [len(space.catalog.event(one["event_id"]).picks) for one in told]
    assert counts == [len(held.picks) - len(leaving), len(leaving)]
    assert command("--undo").count("as before") == 2

    file = folder / "picks.csv"
    rows = ["network,station,location,channel,phase,time"] + [
        f"{p.seed_id.network},{p.seed_id.station},{p.seed_id.location},{p.seed_id.channel},"
        f"{p.phase},{p.time + timedelta(days=3):%Y-%m-%dT%H:%M:%S.%f}Z"
        for p in leaving
    ]
    file.write_text("\n".join(rows))
    options = ("--picks", str(file), "--type", "explosion", "--depth", "2", "--reason", "heard")
    made = json.loads(command(*options, "--json", event="new"))
    assert (made["event_type"], made["actor"], made["reason"]) == ("explosion", "anna", "heard")
    found = space.catalog.event(made["event_id"])
    assert (len(found.picks), found.preferred_origin.depth_km) == (len(leaving), 2.0)
    assert abs(found.preferred_origin.time - held.preferred_origin.time - timedelta(days=3)) < (
        timedelta(seconds=2)
    )
