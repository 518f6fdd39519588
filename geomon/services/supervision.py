"""Keep servers running: start them again when they end, and with them those that need them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geomon.errors import GeomonError
from geomon.services import processes
from geomon.services.processes import Child

_MOST_RESTARTS = 5
_WITHIN_S = 600.0
"""More restarts in this time are no accident."""


@dataclass(frozen=True, eq=False)
class Part:
    """A server to keep running.

    Attributes
    ----------
    name : str
        Name of its log.
    command : sequence of str
        What starts it.
    env : mapping of str to str
        Its whole environment.
    logs : Path
        Folder of its log.
    health : str
        URL that answers 200 once it is ready; none is waited for when empty.
    needs : str
        The part it must be started again with: a Prefect worker whose server was away for a while
        works on, but no longer hears of cancelled runs.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    logs: Path
    health: str = ""
    needs: str = ""


class Parts:
    """Some running parts, in the order they were started.

    Parameters
    ----------
    stop : threading.Event
        Set when everything is to end.
    tell : callable
        Told, line by line, what is started again and why.
    """

    def __init__(self, stop: threading.Event, tell: Callable[[str], None]) -> None:
        self._stop = stop
        self._tell = tell
        self._running: dict[Part, Child] = {}
        self._restarts: deque[float] = deque(maxlen=_MOST_RESTARTS)

    def start(self, *parts: Part) -> None:
        """Start parts side by side and wait until all are ready; nothing once all is to end.

        Raises
        ------
        GeomonError
            If one ends or does not get ready.
        """
        if self._stop.is_set():
            return
        for part in parts:
            self._running[part] = processes.start(
                part.name, part.command, env=part.env, folder=part.logs
            )
        for part in parts:
            if part.health:
                processes.wait_until_healthy(self._running[part], part.health, stop=self._stop)

    def watch(self) -> None:
        """Start again whatever ends, until everything is to end.

        Raises
        ------
        GeomonError
            If parts end again and again; it names the last one, with the end of its log.
        """
        while not self._stop.wait(0.5):
            for part, child in list(self._running.items()):
                if self._running.get(part) is child and child.process.poll() is not None:
                    self._start_again(part, child)

    def end(self) -> None:
        """End all parts, the youngest first."""
        processes.end(list(self._running.values()))

    def _start_again(self, part: Part, child: Child) -> None:
        words = f"{part.name} ended with status {child.process.returncode}: {child.last_words()}"
        now = time.monotonic()
        if len(self._restarts) == _MOST_RESTARTS and now - self._restarts[0] < _WITHIN_S:
            raise GeomonError(words)
        self._restarts.append(now)
        self._tell(f"{words}; started again")
        dependents = [other for other in self._running if other.needs == part.name]
        processes.end([self._running[other] for other in dependents])
        for one in (part, *dependents):
            self.start(one)
