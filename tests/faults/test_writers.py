"""Work killed at any moment, and the same work done twice at once."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomon.config import Config
from geomon.ids import SeedId
from geomon.services.workspace import workspace
from geomon.stores.archive import Archive
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests.counts import KILLS
from tests.equivalence.stores import archived_samples
from tests.faults import killing, swarm
from tests.faults.networks import configured, write_recordings
from tests.servers import dataselect_server
from tests.sources.conftest import PB01, PB02, SPAN, recording

many_kills = pytest.mark.skipif(KILLS < 50, reason="takes minutes; set GEOMON_TEST_KILLS=50")

N_DAYS = 4
FIRST_NS = SPAN.start_ns // NS_PER_DAY * NS_PER_DAY
DAYS = TimeSpan(FIRST_NS, FIRST_NS + N_DAYS * NS_PER_DAY)


def minute(seed_id: SeedId, day: int) -> Segment:
    """Return a minute of a channel, at the same time of each day."""
    whole = recording(seed_id, n_samples=6_000 + 100 * day)
    return replace(whole, start_ns=SPAN.start_ns + day * NS_PER_DAY)


TRUTH = {(s, day): minute(s, day) for s in (*PB01, PB02) for day in range(N_DAYS)}


@pytest.fixture(scope="module")
def minutes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a minute of four channels on each of four days."""
    folder = write_recordings(tmp_path_factory.mktemp("minutes"), TRUTH.values())
    with dataselect_server(folder) as url:
        yield url


def archived_channel_days(config: Config) -> tuple[set[tuple[SeedId, int]], list[str]]:
    """Return what channel-days are archived whole, and what is wrong with the others."""
    archive = Archive.open(config.archive.url)
    problems = [f"{f.key}: {f.problem}" for f in archive.verify()]
    found = set()
    for stream in archive.streams():
        for segment in archive.read_stream(stream, DAYS).segments:
            day = (segment.start_ns - FIRST_NS) // NS_PER_DAY
            true = TRUTH[segment.seed_id, day]
            if true.start_ns == segment.start_ns and np.array_equal(true.samples, segment.samples):
                found.add((segment.seed_id, day))
            else:
                problems.append(f"{segment.seed_id} day {day}: not what was recorded")
    for seed_id, day in found:
        if seed_id.station == "PB01" and not found.issuperset((s, day) for s in PB01):
            problems.append(f"{seed_id} day {day}: alone of its station")
    return found, problems


def look_at_fetched(config: Config, before: set[tuple[SeedId, int]]) -> list[str]:
    """Say what is torn, mixed, or lost after it was there or was told as done."""
    found, problems = archived_channel_days(config)
    told = {
        (seed_id, (entry.span.start_ns - FIRST_NS) // NS_PER_DAY)
        for entry in workspace(config).coverage.entries("archive", states=("done",))
        for seed_id, _ in TRUTH
        if str(seed_id.stream_id) == entry.key
    }
    problems += [f"{seed_id} day {day}: lost" for seed_id, day in (before | told) - found]
    before |= found
    return problems


@pytest.mark.fault(39, figure=True)
def test_a_fetch_killed_at_any_moment_tears_and_loses_nothing(
    minutes: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    before: dict[str, set[tuple[SeedId, int]]] = {}
    survival = killing.kill_again_and_again(
        killing.fetch,
        DAYS,
        lambda folder: configured(folder, minutes),
        lambda config: look_at_fetched(config, before.setdefault(config.archive.url, set())),
        n_kills=KILLS,
        folder=tmp_path,
    )
    record_property("kills while fetching", survival.n_kills)
    record_property("problems after kills while fetching", len(survival.problems))
    record_property("slowest resume, fetching", survival.slowest_resume_s)
    assert survival.problems == []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record the swarm."""
    return swarm.record(tmp_path_factory.mktemp("swarm") / "recorded")


def look_at_archive(config: Config) -> list[str]:
    """Say what in the archive is torn."""
    return [f"{f.key}: {f.problem}" for f in Archive.open(config.archive.url).verify()]


def prepared_by(*stages: killing.Work, recorded: Path, folder: Path) -> killing.Make:
    """Return how to make stores in which some stages are done, by copying them."""
    first = swarm.configured(recorded, folder / "prepared")
    for stage in stages:
        killing.start(stage, first, swarm.RECORDED).end()

    def make(place: Path) -> Config:
        if stages:
            shutil.copytree(folder / "prepared", place)
        return swarm.configured(recorded, place)

    return make


@pytest.mark.fault(39, slow=True)
@pytest.mark.parametrize(
    ("name", "work", "stages"),
    [
        ("backfilling", killing.fill_back, ()),
        pytest.param("picking", killing.find_picks, (killing.fetch,), marks=many_kills),
        pytest.param(
            "locating", killing.find_events, (killing.fetch, killing.find_picks), marks=many_kills
        ),
    ],
)
def test_work_killed_at_any_moment_ends_like_undisturbed_work(
    recorded: Path,
    tmp_path: Path,
    name: str,
    work: killing.Work,
    stages: tuple[killing.Work, ...],
    record_property: Callable[[str, object], None],
) -> None:
    survival = killing.kill_again_and_again(
        work,
        swarm.RECORDED,
        prepared_by(*stages, recorded=recorded, folder=tmp_path),
        look_at_archive,
        n_kills=max(KILLS // 10, 2),
        folder=tmp_path,
    )
    record_property(f"kills while {name}", survival.n_kills)
    record_property(f"problems after kills while {name}", len(survival.problems))
    record_property(f"slowest resume, {name}", survival.slowest_resume_s)
    assert survival.problems == []


@pytest.mark.fault(43, slow=True)
@pytest.mark.parametrize(
    "spans",
    [
        (swarm.RECORDED, swarm.RECORDED),
        pytest.param((swarm.DAY, swarm.TWO_DAYS), marks=many_kills),
    ],
    ids=["same", "overlapping"],
)
def test_backfills_at_once_end_like_one(
    recorded: Path, tmp_path: Path, spans: tuple[TimeSpan, TimeSpan]
) -> None:
    alone = swarm.configured(recorded, tmp_path / "alone")
    killing.start(killing.fill_back, alone, spans[1]).end()
    both = swarm.configured(recorded, tmp_path / "both")
    workers = [killing.start(killing.fill_back, both, span) for span in spans]
    for worker in workers:
        worker.end()
    assert killing.contents(both, spans[1]) == killing.contents(alone, spans[1])
    events = workspace(both).catalog.events()
    assert len(events) == len(workspace(alone).catalog.events()) > 0
    picks = workspace(both).catalog.picks(swarm.DAY)
    assert len({(p.seed_id, p.phase, p.time) for p in picks}) == len(picks) > 0


@pytest.mark.fault(43, slow=True)
def test_overlapping_backfills_and_a_live_monitor_at_once_end_like_undisturbed_work(
    recorded: Path, tmp_path: Path
) -> None:
    whole, minute_ns = swarm.RECORDED, 60 * NS_PER_S
    alone, shared = (quick(swarm.configured(recorded, tmp_path / name)) for name in ("one", "all"))
    killing.start(killing.fill_back, alone, whole).end()
    works = (
        (killing.fill_back, TimeSpan(whole.start_ns, whole.end_ns - minute_ns)),
        (killing.watch_live, whole),
        (killing.fill_back, TimeSpan(whole.start_ns + minute_ns, whole.end_ns)),
    )
    for worker in [killing.start(work, shared, span) for work, span in works]:
        worker.end()
    assert look_at_archive(shared) == []
    assert archived_samples(shared, whole) == archived_samples(alone, whole)
    assert killing.contents(shared, whole)[1] == killing.contents(alone, whole)[1]
    events = workspace(shared).catalog.events()
    assert len(events) == len(workspace(alone).catalog.events()) > 0


def quick(config: Config) -> Config:
    """Return a config whose picker starts at once."""
    picker = config.picker.model_copy(update={"backend": "onnxruntime"})
    return config.model_copy(update={"picker": picker})
