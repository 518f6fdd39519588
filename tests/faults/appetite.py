"""A process that fetches from one address, and tells how much its memory grew meanwhile."""

import sys
import tempfile
import threading
import time
from pathlib import Path

from geomon.services.ingest import ingest
from tests.faults.networks import configured
from tests.sources.conftest import SPAN


def _anonymous_bytes() -> int:
    """Memory of this process that no file on disk stands for."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


def main(honest: str, spoiled: str, n_answers: int) -> None:
    """Fetch from the honest address first, so that everything is loaded, then from the other."""
    limits = {"max_answer_mb": 128.0, "max_attempts": 1, "deadline_s": 60.0, "read_timeout_s": 30.0}
    with tempfile.TemporaryDirectory() as folder:
        ingest(configured(Path(folder, "honest"), honest), SPAN)
        before = peak = _anonymous_bytes()
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.is_set():
                peak = max(peak, _anonymous_bytes())
                time.sleep(0.005)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(n_answers):
            config = configured(Path(folder, str(number)), spoiled, **limits)
            ingest(config, SPAN, stations=("CX.PB02",))
        done.set()
        watcher.join()
        print(peak - before)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
