"""How late live events are: a swarm replayed as fast as it happened, by SeedLink and by FDSN."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from geomon.config import Config, SimulatedSource, find_config, load_config
from geomon.services.monitor import cycle
from geomon.services.pick import load
from geomon.services.workspace import workspace
from geomon.sources.simulated_server import serving
from geomon.synthesis.network import Scenario
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, to_ns
from geomon.waveforms import Segment
from tests.benchmarks.report import Figure, within
from tests.faults import swarm
from tests.seedlinkserver import SeedLinkServer

CADENCE_S = 30
REPLAY = TimeSpan.parse("2024-05-01T23:58:00", "2024-05-02T00:04:00")
GOALS_S = {"SeedLink": (60.0, 120.0), "FDSN": (CADENCE_S + 60.0, CADENCE_S + 60.0)}
"""The median and the 95th percentile: last sample there to event in the catalogue."""


type Feed = Callable[[Path, Clock], AbstractContextManager[Config]]


class Clock:
    """The time of the replay: stands still until it begins."""

    def __init__(self) -> None:
        self.begun = math.inf

    def begin(self, after_s: float) -> None:
        """Let time pass, `after_s` seconds from now on."""
        self.begun = time.monotonic() + after_s

    def now_ns(self) -> int:
        """Return the replayed instant, nanoseconds since 1970."""
        return REPLAY.start_ns + round(max(0.0, time.monotonic() - self.begun) * NS_PER_S)


def latency(folder: Path, quick: bool) -> list[Figure]:
    """Watch the swarm by both kinds of source at once; takes as long as it did."""
    late = {} if quick else _watched_at_once(folder, {"SeedLink": _by_seedlink, "FDSN": _by_fdsn})
    return [
        _figure(f"{name}: last sample there to event in the catalogue, p{share}", late.get(name),
                share, goal, quick)
        for name, goals in GOALS_S.items()
        for share, goal in zip((50, 95), goals, strict=True)
    ]  # fmt: skip


def _figure(title: str, late: list[float] | None, share: int, goal: float, quick: bool) -> Figure:
    if not late:
        why = "minutes of real time: left out of --quick" if quick else "no event found"
        return Figure(figure=title, value=None, unit="s", goal=f"<= {goal:g}", conditions=why)
    conditions = (
        f"{len(late)} events of {swarm.N_STATIONS} stations in {REPLAY.duration_s / 60:.0f} "
        f"minutes, cycles every {CADENCE_S} s; both sources at once"
    )
    return within(title, float(np.percentile(late, share)), "s", goal, conditions)


def _watched_at_once(folder: Path, feeds: Mapping[str, Feed]) -> dict[str, list[float]]:
    """Watch each feed from a thread; their cycles come in turn, so that none waits for another."""
    with ExitStack() as stack, ThreadPoolExecutor(len(feeds)) as threads:
        clocks = {name: Clock() for name in feeds}
        networks = {
            name: stack.enter_context(feed(folder / name, clocks[name]))
            for name, feed in feeds.items()
        }
        for number, clock in enumerate(clocks.values()):
            clock.begin(number * CADENCE_S / len(feeds))
        watching = {
            name: threads.submit(watched, live, clocks[name]) for name, live in networks.items()
        }
        return {name: future.result() for name, future in watching.items()}


def watched(live: Config, clock: Clock) -> list[float]:
    """Return how many seconds after its last pick each event was there."""
    seen: dict[str, float] = {}
    due = clock.begun
    while clock.now_ns() < REPLAY.end_ns + 2 * CADENCE_S * NS_PER_S:
        due += CADENCE_S
        time.sleep(max(0.0, due - time.monotonic()))
        cycle(live, now=datetime.fromtimestamp(clock.now_ns() / NS_PER_S, UTC))
        there_ns = clock.now_ns()
        for event in workspace(live).catalog.events():
            last_ns = max(to_ns(pick.time) for pick in event.picks)
            seen.setdefault(event.event_id, (there_ns - last_ns) / NS_PER_S)
    return list(seen.values())


@contextmanager
def _by_fdsn(folder: Path, clock: Clock) -> Iterator[Config]:
    """Have a data centre that holds whatever happened up to now."""
    demo = load_config(find_config("demo"))
    simulated = SimulatedSource(n_stations=swarm.N_STATIONS)
    scenario = Scenario.of(simulated, demo.velocity.model())
    with serving(scenario, clock=clock.now_ns) as url:
        live = _live(folder, {"kind": "fdsn", "urls": [url]}, select=["XX.*"])
        _warm(live)
        yield live


@contextmanager
def _by_seedlink(folder: Path, clock: Clock) -> Iterator[Config]:
    """Have a server that is fed packets as they end."""
    from geomon.sources.simulated import SimulatedSource as Simulated
    from geomon.sources.stationxml import write_stationxml

    demo = load_config(find_config("demo"))
    source = Simulated(
        SimulatedSource(n_stations=swarm.N_STATIONS), demo.velocity.model(),
        clock=lambda: REPLAY.end_ns + NS_PER_DAY,
    )  # fmt: skip
    stations = source.stations(REPLAY)
    packets = sorted(
        (
            segment.clipped(part)
            for segment in source.fetch(stations.seed_ids(), REPLAY).segments
            for part in REPLAY.steps(4 * NS_PER_S)
            if part.overlaps(TimeSpan(segment.start_ns, segment.end_ns))
        ),
        key=lambda packet: packet.end_ns,
    )
    with SeedLinkServer() as server:
        seedlink = {
            "kind": "seedlink", "servers": [server.address], "reach_s": 1e9, "quiet_s": 1.0,
        }  # fmt: skip
        folder.mkdir(parents=True)
        (folder / "stations.xml").write_bytes(write_stationxml(stations))
        live = _live(folder, seedlink, stations="stations.xml")
        _warm(live)
        threading.Thread(target=_feed, args=(server, packets, clock), daemon=True).start()
        yield live


def _live(folder: Path, source: dict[str, object], **network: object) -> Config:
    content = yaml.safe_load(find_config("demo").read_text()) | {
        "network": {"name": "live", **network}, "source": source,
        "archive": {"url": "archive"}, "catalog": {"url": "sqlite:///catalog.sqlite"},
        "picker": {"name": "default", "backend": "onnxruntime"},
        "schedule": {"lookback_s": 60, "monitor_every_s": CADENCE_S},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "network.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_config(path)


def _warm(live: Config) -> None:
    """Do what a process that has watched for a while has behind it."""
    load(live)
    workspace(live).refreshed_stations(REPLAY)


def _feed(server: SeedLinkServer, packets: Sequence[Segment], clock: Clock) -> None:
    """Give a server its packets when they end."""
    for packet in packets:
        while clock.now_ns() < packet.end_ns:
            time.sleep(0.05)
        server.feed([packet])
