"""A writer process that is killed, and what its archive must look like afterwards."""

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geomon.stores.archive import Archive
from geomon.waveforms import Provenance, Segment
from tests.stores.archives import HH, SPAN, counts, segment

PIECE = 3000  # samples, 30 s
N_PIECES = 2800


def piece(number: int) -> list[Segment]:
    """Return one write's samples: the same half minute of two components."""
    return [
        segment(number * 30, counts(PIECE, 2 * number + k), component=component)
        for k, component in enumerate("ZN")
    ]


def request(number: int) -> Provenance:
    """Name the request of one write."""
    return Provenance("files", f"{number:05d}", "0" * 64)


def write_on(url: str, first: int) -> None:
    """Write pieces from `first` on, telling the number of each that is committed."""
    archive = Archive.open(url)
    for number in range(first, N_PIECES):
        archive.write(piece(number), request(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Survival:
    """What kills did to an archive."""

    n_kills: int
    n_lost: int
    n_mixed: int
    n_damaged: int
    n_pieces: int


def kill_writers(root: Path | str, n_kills: int, rng: random.Random) -> Survival:
    """Start a writer, kill it at a random moment, look at the archive; `n_kills` times."""
    n_lost = n_mixed = n_damaged = held = 0
    for _ in range(n_kills):
        command = [sys.executable, "-m", "tests.stores.killing", str(root), str(held)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": ""}
        ) as writer:
            lines = [writer.stdout.readline() for _ in range(rng.randint(1, 3))]
            try:
                writer.wait(timeout=rng.uniform(0, 0.05))
            except subprocess.TimeoutExpired:
                writer.kill()
            lines += writer.stdout.readlines()
        told = max((int(line) for line in lines if line.endswith("\n")), default=held - 1)
        archive = Archive.open(root)
        n_damaged += bool(archive.verify())
        found = archive.read_stream(HH, SPAN)
        sizes = {s.seed_id.component: s.samples.size for s in found.segments}
        now = sizes.get("Z", 0) // PIECE
        n_lost += now < told + 1
        expected = [np.concatenate(c) for c in zip(*_samples(now), strict=True)]
        is_whole = sizes == {"Z": now * PIECE, "N": now * PIECE} and all(
            np.array_equal(found.of(HH.seed_id(c))[0].samples, samples)
            for c, samples in zip("ZN", expected, strict=True)
        )
        requests = archive.requests(HH, archive.days(HH)[0])
        n_mixed += not is_whole or requests != tuple(map(request, range(now)))
        held = now
    return Survival(n_kills, n_lost, n_mixed, n_damaged, held)


def _samples(n: int) -> list[tuple[np.ndarray, ...]]:
    return [tuple(s.samples for s in piece(number)) for number in range(n)]


if __name__ == "__main__":
    write_on(sys.argv[1], int(sys.argv[2]))
