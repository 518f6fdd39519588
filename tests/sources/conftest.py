"""A small network of recordings, and a real server of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from geomon.config import FdsnSource, Network
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment
from tests.servers import dataselect_server

START_NS = parse_time("2024-02-03T05:00:00")
SPAN = TimeSpan(START_NS, START_NS + 600 * NS_PER_S)
PB01 = tuple(SeedId.parse(f"CX.PB01..HH{c}") for c in "ENZ")
PB02 = SeedId.parse("CX.PB02.00.BHZ")
CHANNELS = (*PB01, PB02)


def recording(seed_id: SeedId, *, n_samples: int = 60_000, rate_hz: float = 100.0) -> Segment:
    """Counts that look like ground noise, the same for the same channel."""
    rng = np.random.default_rng(list(str(seed_id).encode()))
    samples = np.cumsum(rng.normal(0, 300, n_samples)).astype(np.int32)
    return Segment(seed_id, START_NS, rate_hz, samples)


RECORDINGS = {s: recording(s) for s in PB01} | {
    PB02: recording(PB02, n_samples=24_000, rate_hz=40.0)
}


@pytest.fixture(scope="session")
def recordings_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for seed_id, segment in RECORDINGS.items():
        content = encode([segment], format_version=2, record_length=512)
        (folder / f"{seed_id}.mseed").write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def dataselect(recordings_folder) -> Iterator[str]:
    with dataselect_server(recordings_folder) as url:
        yield url


STATIONS_CSV = """network,station,latitude,longitude,elevation
CX,PB01,-21.04,-69.49,900
CX,PB02,-21.32,-69.90,1015
"""


@pytest.fixture
def network(tmp_path) -> Network:
    path = tmp_path / "stations.csv"
    path.write_text(STATIONS_CSV)
    return Network(name="test", stations=path)


def quick(*urls: str, **changes: object) -> FdsnSource:
    """Settings with limits small enough for a test."""
    limits = {
        "connect_timeout_s": 2.0, "read_timeout_s": 1.0, "deadline_s": 6.0, "max_attempts": 4,
        "retry_wait_s": 0.01, "requests_per_s": 100.0, "pause_s": 0.2, "max_answer_mb": 4.0,
        "min_bytes_per_s": 5000.0, "contact": "ops@example.org",
    }  # fmt: skip
    return FdsnSource(urls=urls, **(limits | changes))
