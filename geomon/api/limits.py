"""How often an address may ask."""

import threading
import time


class Rate:
    """A bucket of permits for each address: full at first, refilled evenly.

    Parameters
    ----------
    per_minute : int
        Permits in a full bucket, and refilled in a minute.
    """

    _MOST_KEPT = 10_000

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, float]] = {}

    def wait_s(self, address: str) -> float:
        """Take a permit and return 0, or return after how many seconds there will be one."""
        now, per_s = time.monotonic(), self._per_minute / 60
        with self._lock:
            permits, then = self._held.pop(address, (float(self._per_minute), now))
            permits = min(float(self._per_minute), permits + (now - then) * per_s)
            is_given = permits >= 1
            self._held[address] = (permits - is_given, now)
            while len(self._held) > self._MOST_KEPT:  # whoever asked longest ago
                self._held.pop(next(iter(self._held)))
        return 0.0 if is_given else (1 - permits) / per_s
