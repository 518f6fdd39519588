"""Work that is killed at random moments, again and again, and what its stores must look like.

Every process is a real one, forked from a server that has imported everything, and ended by
SIGKILL. What was told as done before must be there afterwards, whole; work done in the end must
leave what undisturbed work leaves, byte for byte.
"""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from geomon.config import Config
from geomon.services.backfill import plan
from geomon.services.backfill_run import run
from geomon.services.ingest import ingest
from geomon.services.locate import locate
from geomon.services.monitor import cycle
from geomon.services.pick import pick
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan

_CYCLE_NS = 30 * NS_PER_S
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.warm"])

type Work = Callable[[Config, TimeSpan], object]
type Make = Callable[[Path], Config]
type Look = Callable[[Config], list[str]]
type Contents = tuple[dict[str, bytes], str]


def fetch(config: Config, span: TimeSpan) -> None:
    """Ingest, and fail loudly."""
    report = ingest(config, span)
    assert not report.n_failed, report


def find_picks(config: Config, span: TimeSpan) -> None:
    """Pick, and fail loudly."""
    report = pick(config, span)
    assert not report.n_failed, report


def find_events(config: Config, span: TimeSpan) -> None:
    """Locate, and fail loudly."""
    report = locate(config, span)
    assert not report.n_failed, report


def fill_back(config: Config, span: TimeSpan) -> None:
    """Plan and run a backfill, and fail loudly."""
    report = run(config, plan(config, span))
    assert not report.n_failed, report


def watch_live(config: Config, span: TimeSpan) -> None:
    """Run the monitor's cycles as if a span were passing now, and fail loudly."""
    for part in span.steps(_CYCLE_NS):
        report = cycle(config, now=part.end)
        assert not report.n_failed, report


@dataclass(slots=True)
class Survival:
    """What kills did: how many, what was wrong after each, and how often work reached its end."""

    n_kills: int = 0
    n_completed: int = 0
    slowest_resume_s: float = 0.0
    problems: list[str] = field(default_factory=list)


def start(work: Work, config: Config, span: TimeSpan) -> "Worker":
    """Begin work in a process of its own."""
    return Worker(work, config, span)


class Worker:
    """A process at work."""

    def __init__(self, work: Work, config: Config, span: TimeSpan) -> None:
        receiver, sender = _PROCESSES.Pipe(duplex=False)
        self._receiver = receiver
        self.process = _PROCESSES.Process(target=_run, args=(work, config, span, sender))
        self.process.start()
        sender.close()
        receiver.recv()

    def end(self) -> float:
        """Wait until all is done; return the seconds it took."""
        took_s: float = self._receiver.recv()
        self.process.join()
        self._receiver.close()
        assert self.process.exitcode == 0
        return took_s

    def kill(self, after_s: float) -> bool:
        """Kill it after a while; return whether it was still at work then."""
        self.process.join(after_s)
        if self.process.exitcode is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self._receiver.close()
        assert self.process.exitcode in (0, -signal.SIGKILL), self.process.exitcode
        return bool(self.process.exitcode)


def _run(work: Work, config: Config, span: TimeSpan, sender: Connection) -> None:
    sender.send("begun")
    begun = time.monotonic()
    work(config, span)
    sender.send(time.monotonic() - begun)


def kill_again_and_again(
    work: Work, span: TimeSpan, make: Make, look: Look, *, n_kills: int, folder: Path
) -> Survival:
    """Kill `work` `n_kills` times at random moments, on fresh stores whenever it reached its end.

    Parameters
    ----------
    work : callable
        What is killed.
    span : TimeSpan
        What it is to do.
    make : callable
        Makes a config with stores in a folder, as they are before the work.
    look : callable
        Says what is wrong with the stores after a kill, one line each.
    n_kills : int
        How often the work is killed.
    folder : Path
        Where the stores go.
    """
    survival = Survival()
    rng = random.Random(n_kills)
    undisturbed = make(folder / "undisturbed")
    whole_s = start(work, undisturbed, span).end()
    truth = contents(undisturbed, span)
    while survival.n_kills < n_kills:
        config = make(folder / str(survival.n_completed))
        # Later moments are reached only when no kill came before: so just a few on the same stores.
        for _ in range(min(rng.randint(1, 4), n_kills - survival.n_kills)):
            if not start(work, config, span).kill(rng.uniform(0, whole_s)):
                break
            survival.n_kills += 1
            survival.problems += look(config)
        resumed_s = start(work, config, span).end()
        survival.slowest_resume_s = max(survival.slowest_resume_s, resumed_s)
        survival.n_completed += 1
        found = contents(config, span)
        if found != truth:
            names = sorted(k for k in {*found[0], *truth[0]} if found[0].get(k) != truth[0].get(k))
            what = ", ".join(names) or "picks or events"
            survival.problems.append(f"run {survival.n_completed}: not as undisturbed: {what}")
    return survival


def contents(config: Config, span: TimeSpan) -> Contents:
    """Return every archived object, and the digest of picks and events."""
    root = Path(config.archive.url)
    objects = {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    return objects, workspace(config).catalog.digest(span.padded(900))
