"""A process that drains a stream into an archive, and tells every batch; made to be killed."""

import sys
from pathlib import Path

from geomon.config import load_config
from geomon.services.streaming import drain
from geomon.services.workspace import workspace
from geomon.times import TimeSpan


def tell(stage: str, done: int, total: int) -> None:
    sys.stdout.write(f"{stage} {done}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    config = load_config(Path(sys.argv[1]))
    span = TimeSpan.parse(sys.argv[2], sys.argv[3])
    workspace(config).refreshed_stations(span)
    tell("ready", 0, 0)
    drain(config, span, progress=tell)
