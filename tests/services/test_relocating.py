"""Looking back at a catalogue: double differences, station corrections, sensitivity."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from geomon.cli import app
from geomon.config import Config
from geomon.errors import ConfigError, DataError
from geomon.events import Origin, Pick
from geomon.ids import StreamId
from geomon.services.relocate import METHOD, Linking, relocate_events
from geomon.services.tune import tune
from geomon.services.workspace import workspace
from geomon.stores.relocating import origins_of
from geomon.synthesis.swarm import TrueEvent
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.velocity.corrections import read_corrections
from tests.services.simulated_catalog import FRAME, SPAN, places, repeating_swarms

type Made = tuple[Config, list[TrueEvent]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two swarms, archived and located."""
    return repeating_swarms(tmp_path_factory.mktemp("swarm"))


def relative_miss(origins: list[Origin], truth: list[TrueEvent]) -> float:
    """Return the median miss of events, when each swarm is laid on its true centre."""
    x, y = FRAME.to_km([o.latitude for o in origins], [o.longitude for o in origins])
    off = np.stack([x, y, [o.depth_km for o in origins]], axis=1) - places(truth)
    swarm = places(truth)[:, 0] > 0
    for one in (swarm, ~swarm):
        off[one] -= np.median(off[one], axis=0)
    return float(np.median(np.linalg.norm(off, axis=1)))


def current(config: Config, truth: list[TrueEvent], method: str = "") -> list[Origin]:
    """Return the origin of each earthquake: the preferred one, or the last by a method."""
    catalog = workspace(config).catalog
    events = list(catalog.events(SPAN.start_ns, SPAN.end_ns))
    found = []
    for one in truth:
        event = min(events, key=lambda e: abs(to_ns(e.preferred_origin.time) - one.time_ns))
        held = origins_of(catalog.database, event.event_id)
        assert sum(origin.is_preferred for origin in held) == 1
        by = [origin.origin for origin in held if origin.origin.method == method]
        found.append(by[-1] if by else event.preferred_origin)
    return found


def test_swarms_are_relocated_beside_what_is_preferred_and_once(made: Made) -> None:
    config, truth = made
    before = current(config, truth)
    report = relocate_events(config, SPAN, linking=Linking(max_km=6.0))
    assert report.problems == ()
    assert report.n_relocated == report.n_added >= 0.7 * len(truth)
    assert report.n_correlated > 100
    assert report.rms_after_s < 0.6 * report.rms_before_s
    assert current(config, truth) == before
    after = current(config, truth, METHOD)
    assert relative_miss(after, truth) < 0.6 * relative_miss(before, truth)
    again = relocate_events(config, SPAN, linking=Linking(max_km=6.0))
    assert (again.n_added, again.n_preferred, again.n_unchanged) == (0, 0, report.n_added)
    runs = workspace(config).catalog.runs()
    assert sum(run.kind == "relocate" for run in runs) == 1


def test_automatic_events_prefer_it_on_request_and_judged_ones_never(made: Made) -> None:
    config, truth = made
    catalog = workspace(config).catalog
    first = catalog.events(SPAN.start_ns, SPAN.end_ns)[0]
    judged = catalog.review(first.event_id, "confirmed", actor="ana")
    report = relocate_events(config, SPAN, linking=Linking(max_km=6.0), preferred=True)
    assert report.n_preferred == len(truth) - 1
    held = {event.event_id: event for event in catalog.events(SPAN.start_ns, SPAN.end_ns)}
    assert held[judged.event_id].preferred_origin == judged.preferred_origin
    others = [event for event in held.values() if event.event_id != judged.event_id]
    assert {event.preferred_origin.method for event in others} == {METHOD}
    assert {len(event.arrivals) for event in others} <= set(range(10, 25))
    again = relocate_events(config, SPAN, linking=Linking(max_km=6.0), preferred=True)
    assert (again.n_added, again.n_preferred, again.n_unchanged) == (0, 0, len(truth))
    one = others[0]
    methods = [event.preferred_origin.method for event in catalog.revisions(one.event_id)]
    assert [method == METHOD for method in methods] == [False, True]


def test_commands_look_back_at_the_catalogue(made: Made, tmp_path: Path) -> None:
    config, truth = made
    file = Path(config.archive.url).parent / "config.yaml"
    span = ["--start", SPAN.start.isoformat(), "--end", SPAN.end.isoformat()]
    run = CliRunner()
    found = run.invoke(app, ["relocate", *span, "--config", str(file), "--json", "--no-waveforms"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["n_correlated"] == 0

    kept = tmp_path / "corrections.csv"
    asked = ["corrections", "estimate", *span, "--config", str(file), "--output", str(kept)]
    found = run.invoke(app, [*asked, "--json"])
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["n_events"] == len(truth)
    assert said["rms_after_s"] < said["rms_before_s"]
    history = read_corrections(kept)
    assert run.invoke(app, asked).exit_code == 0
    assert read_corrections(kept) == history
    shown = run.invoke(app, ["corrections", "show", str(kept), "--json"])
    assert json.loads(shown.stdout)[0]["version"] == history.sets[0].version
    nothing = run.invoke(app, ["corrections", "show", "--config", str(file)])
    assert isinstance(nothing.exception, ConfigError)


def test_events_hardly_depend_on_one_setting(made: Made) -> None:
    config, truth = made
    space = workspace(config)
    by_stream: dict[StreamId, list[Pick]] = {}
    for event in space.catalog.events(SPAN.start_ns, SPAN.end_ns):
        for pick in event.picks:
            by_stream.setdefault(pick.seed_id.stream_id, []).append(pick)
    picked = space.catalog.begin_run("pick")
    for stream, picks in by_stream.items():
        space.catalog.replace_picks(stream, SPAN, picks, picked)
    span = TimeSpan(SPAN.start_ns, SPAN.start_ns + 300 * NS_PER_S)
    told: list[int] = []
    report = tune(
        config, span, only=("tolerance_s", "stations"),
        progress=lambda stage, done, total: told.append(done),
    )  # fmt: skip
    n_true = sum(span.contains(event.time_ns) for event in truth)
    assert report.usual.n_events == report.usual.n_same == n_true
    assert [one.name for one in report.others] == (["tolerance_s"] * 2 + ["stations"] * 3)
    assert told == list(range(1, len(report.others) + 1))
    assert all(one.n_same + one.n_lost >= n_true for one in report.others)
    assert max(one.n_lost for one in report.others if one.name == "tolerance_s") == 0
    with pytest.raises(DataError, match="tolerance_s"):
        tune(config, span, only=("tolerance",))
