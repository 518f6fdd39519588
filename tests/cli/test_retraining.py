"""From what an analyst does on the page to a challenger, by the commands that users type."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from geomon.api.app import create_app
from geomon.cli import app
from geomon.config import Config, load_config
from geomon.errors import DataError, StoreError
from geomon.events import Event, Phase, Pick
from geomon.ids import StreamId
from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker, save_picker
from geomon.picking.prepare import STEP_NS
from geomon.services.champion import pickers_of
from geomon.services.ingest import ingest
from geomon.services.workspace import workspace
from geomon.times import TimeSpan, format_ns, from_ns, to_ns
from geomon.training.dataset import WINDOW_NS
from geomon.training.fit import TrainingRecipe, draft_card
from geomon.training.seisbench import read_examples
from tests.api.conftest import serving
from tests.networks import simulated_file
from tests.reviews import find_all, scenario_of

# An hour to train, one to stop by, and one for the exam: their hashes say which is which.
TRAIN = TimeSpan.parse("2024-05-01T01:00", "2024-05-01T01:12")
VALIDATION = TimeSpan.parse("2024-05-01T05:00", "2024-05-01T05:08")
SPAN = ("--start", "2024-05-01", "--end", "2024-05-02")


def save_tiny(folder: Path, seed: int) -> Path:
    """Write a picker with random weights."""
    load_keras().utils.set_random_seed(seed)
    save_picker(Picker(unet(root=2, name="tiny"), draft_card(TrainingRecipe(name="tiny"))), folder)
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A network whose events were found and are not reviewed yet; its caches are its own."""
    folder = tmp_path_factory.mktemp("network")
    save_tiny(folder / "tiny", 3)
    path = simulated_file(
        folder,
        source={"kind": "simulated", "seed": 1, "n_stations": 4},
        network={"name": "Three", "select": ["XX.GM01", "XX.GMALP", "XX.GM03"]},
        association={"min_stations": 3},
        picker={"name": "./tiny"},
    )
    config = load_config(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for span in (TRAIN, VALIDATION):
            ingest(config, span)
            find_all(config, span)
        yield path


def geomon(network: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["model", *words, "--config", str(network)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refused(network: Path, *words: str) -> str:
    """Run a command that cannot be done; return what it says."""
    done = CliRunner().invoke(app, ["model", *words, "--config", str(network)])
    assert isinstance(done.exception, DataError | StoreError), done.output
    return str(done.exception)


@dataclass(frozen=True, slots=True)
class Said:
    """What the analyst said of onsets, by what is to become of them."""

    manual: list[Pick]
    reviewed: list[Pick]
    rejected: list[Pick]
    gone: list[Pick]


type Onset = tuple[StreamId, Phase, int]
"""Where, which phase, and when in milliseconds."""


def onset_of(pick: Pick) -> Onset:
    return pick.seed_id.stream_id, pick.phase, round(to_ns(pick.time) / 1e6)


def as_json(pick: Pick) -> dict[str, Any]:
    return {"channel": str(pick.seed_id), "phase": pick.phase, "time": pick.time.isoformat()}


def missed(config: Config, event: Event) -> Pick | None:
    """Return a true onset that the event lacks."""
    scenario = scenario_of(config)
    [true] = [
        one for one in scenario.events(TRAIN) if from_ns(one.time_ns) == event.preferred_origin.time
    ]
    present = {(pick.seed_id.station_id, pick.phase) for pick in event.picks}
    for stream in workspace(config).archive.streams():
        arrival = scenario.arrivals(true)[stream.station_id]
        onsets: dict[Phase, int] = {"P": arrival.p_ns, "S": arrival.s_ns}
        for phase, time_ns in onsets.items():
            if (stream.station_id, phase) not in present:
                return replace(
                    event.picks[0], time=from_ns(time_ns // 1000 * 1000), phase=phase,
                    seed_id=stream.seed_id("Z"),
                )  # fmt: skip
    return None


def review_on_the_page(config: Config) -> Said:
    """Do all that an analyst can do, over HTTP."""
    catalog = workspace(config).catalog
    # Windows reach 35 s around an event: not into the hour before.
    events = list(catalog.events(TRAIN.start + timedelta(seconds=50), TRAIN.end))
    solved = next(event for event in events if missed(config, event))
    confirmed, false, looked_at, *_ = [event for event in events if event != solved]
    (early, deleted, *kept), added = solved.picks, missed(config, solved)
    assert added is not None
    moved = replace(early, time=early.time + timedelta(seconds=0.4))
    wrong, right = looked_at.picks[:2]
    with (
        serving(create_app(config)) as address,
        httpx.Client(base_url=address, timeout=120, headers={"Origin": address}) as client,
    ):

        def post(path: str, **content: Any) -> None:
            signed = {**content, "actor": "ada", "reason": "looked"}
            answer = client.post(f"/api/review/{path}", json=signed)
            assert answer.status_code == 200, answer.text

        post(
            f"events/{solved.event_id}/solution", revision=solved.revision,
            picks=[as_json(one) for one in (moved, added, *kept)],
        )  # fmt: skip
        post(f"events/{confirmed.event_id}/judgement", state="confirmed")
        post(f"events/{false.event_id}/judgement", state="rejected")
        post("verdicts", **as_json(wrong), picker=wrong.picker, verdict="wrong")
        post("verdicts", **as_json(right), picker=right.picker, verdict="correct")
    return Said(
        manual=[moved, added],
        reviewed=[*kept, *confirmed.picks, right],
        rejected=[deleted, *false.picks, wrong],
        gone=[early],
    )


def learned_elsewhere(seisbench: Path, base: Path) -> int:
    """Train on a SeisBench data set; return how many windows the picker says it learned from."""
    words = ["model", "train", str(base.parent / "elsewhere"), "--seisbench", str(seisbench)]
    done = CliRunner().invoke(app, [*words, "--base", str(base), "--steps", "2", "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    [learned] = json.loads(done.stdout)["training"]["data"]
    return int(learned["amount"].split()[0])


def test_what_an_analyst_says_on_the_page_is_what_a_challenger_learns(
    network: Path, tmp_path: Path
) -> None:
    config = load_config(network)
    said = review_on_the_page(config)
    made = json.loads(geomon(network, "dataset", *SPAN, "--output", str(tmp_path), "--json"))
    for line in (
        f"{len(said.manual)} manual labels", f"{len(said.reviewed)} reviewed labels",
        f"{len(said.rejected)} rejected labels",
    ):  # fmt: skip
        assert line in made["counts"]
    examples = read_examples(Path(made["folder"]))
    held: dict[Onset, tuple[str, float]] = {}
    for one in examples:
        weight = one.recording().weight
        assert weight is not None
        for mark in one.marks:
            time_ms = round((one.start_ns + mark.index * STEP_NS) / 1e6)
            onset = one.stream_id, mark.phase, time_ms
            held[onset] = mark.kind, float(weight[round(mark.index)])
    assert {held[onset_of(pick)] for pick in said.manual} == {("manual", 1.0)}
    assert {held[onset_of(pick)] for pick in said.reviewed} == {("reviewed", 1.0)}
    assert {held[onset_of(pick)][0] for pick in said.rejected} == {"rejected"}
    assert held[onset_of(said.rejected[-1])] == ("rejected", 2.0)
    assert not any(onset_of(pick) in held for pick in said.gone)
    assert {path.name for path in tmp_path.iterdir()} == {"metadata.csv", "waveforms.hdf5"}
    assert learned_elsewhere(tmp_path, network.parent / "tiny") == len(
        [one for one in examples if one.part == "train"]
    )

    quick = ("--epochs", "1", "--steps", "2", "--synthetic", "10")
    told = geomon(network, "retrain", *SPAN, *quick, "--actor", "ada")
    assert f"  {len(said.rejected)} rejected labels" in told
    assert "untested: not tested: the exam holds 0 events" in told
    champion, challenger = pickers_of(config).listed()
    windows = json.loads(challenger.manifest)["windows"]
    assert sum(one["labels"] for one in windows) == sum(len(one.marks) for one in examples)
    report = json.loads(geomon(network, "retrain", *SPAN, *quick, "--json"))
    assert (report["verdict"], report["challenger"]) == ("untested", challenger.card.label)
    listed = geomon(network, "list")
    assert f"{champion.card.label:<22} champion" in listed
    assert f"{challenger.card.label:<22} challenger: not decided yet" in listed


def test_the_exam_is_drawn_listed_and_marked(network: Path) -> None:
    rows = json.loads(geomon(network, "windows", *SPAN, "--share", "0.2", "--json"))
    assert rows
    assert not any(row["is_reviewed"] for row in rows)
    first = rows[0]["stream"], rows[0]["start"]
    assert "noted" in geomon(network, "reviewed", *first, "--actor", "ada")
    assert "known already" in geomon(network, "reviewed", *first, "--actor", "bob")
    listed = geomon(network, "windows", *SPAN, "--share", "0.2").splitlines()
    assert [line.endswith("reviewed") for line in listed].count(True) == 1
    train_ns = -(-TRAIN.start_ns // WINDOW_NS) * WINDOW_NS
    for stream, start, words in (
        ("XX.NONE..HH", rows[0]["start"], "XX.NONE..HH: nothing of it is archived"),
        (first[0], "2024-05-01T00:00:01", "no window of the exam; `geomon model windows`"),
        (first[0], format_ns(train_ns), "no window of the exam"),
        (first[0], "yesterday", "'yesterday' is not a time"),
    ):
        assert words in refused(network, "reviewed", stream, start, "--actor", "ada")


def test_people_may_promote_and_take_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_tiny(tmp_path / "tiny", 3)
    path = simulated_file(tmp_path, picker={"name": "./tiny"})
    assert geomon(path, "decisions") == ""
    because = ("--actor", "ada", "--reason", "tried it")
    assert "no other picker was champion" in refused(path, "rollback", *because)
    assert "no such picker in the registry" in refused(path, "promote", "tiny@00000000", *because)
    sha = pickers_of(load_config(path)).add(save_tiny(tmp_path / "other", 4))
    told = geomon(path, "promote", sha[:12], *because)
    assert f"tiny@{sha[:8]} is the champion" in told
    assert "set it to champion to use the new one" in told
    assert "is the champion already" in refused(path, "promote", sha[:12], *because)
    back = json.loads(geomon(path, "rollback", *because, "--json"))
    assert back["champion"].startswith("tiny@")
    assert "set it to champion" in back["offer"]
    rows = json.loads(geomon(path, "decisions", "--json"))
    assert [row["outcome"] for row in rows] == ["installed", "promoted", "rolled back"]
    assert {row["reason"] for row in rows[1:]} == {"tried it"}
    lines = geomon(path, "decisions", "--tables").splitlines()
    assert f"{sha[:8]} promoted by ada: tried it" in lines[1]


def test_nothing_to_learn_from_is_one_clear_line(tmp_path: Path) -> None:
    path = simulated_file(tmp_path)
    for command in ("dataset", "retrain"):
        said = refused(path, command, *SPAN)
        assert "no labelled windows; review some events first" in said
        assert "must be later than" in refused(path, command, *SPAN[:3], "2024-04-30")
    assert "nowhere: no such folder" in refused(path, "retrain", *SPAN, "--benchmark", "nowhere")
    assert geomon(path, "windows", *SPAN) == ""
