"""How far a flow is: a bar in the Prefect page, and JSON lines for whoever started it."""

import json
import sys
import threading
import time
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

_EVERY_S = 2.0
"""A bar is redrawn no more often: each time is a request to the server."""

_lines = threading.Event()


def write_lines() -> None:
    """From now on also write each step to stdout as ``{"stage": …, "done": …, "total": …}``."""
    _lines.set()


class FlowProgress:
    """Tells how many units of a stage are done, unless it is silent; one bar a stage."""

    def __init__(self, *, is_silent: bool = False) -> None:
        self._is_silent = is_silent
        self._bars: dict[str, UUID] = {}
        self._drawn_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tell that `done` of `total` units of a stage are done."""
        if self._is_silent:
            return
        with self._lock:
            if _lines.is_set():
                line = json.dumps({"stage": stage, "done": done, "total": total})
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
            self._draw(stage, 100.0 * done / total if total else 100.0)

    def _draw(self, stage: str, percent: float) -> None:
        if stage not in self._bars:
            bar = create_progress_artifact(percent, key=f"progress-{stage}", description=stage)
            self._bars[stage] = bar if isinstance(bar, UUID) else UUID(str(bar))
        elif percent < 100.0 and time.monotonic() < self._drawn_at[stage] + _EVERY_S:
            return
        else:
            update_progress_artifact(self._bars[stage], percent)
        self._drawn_at[stage] = time.monotonic()
