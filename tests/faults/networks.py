"""A network to fetch, the way a user does, and whether its archive says the truth afterwards."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from geomon.config import Config
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.services.workspace import workspace
from geomon.stores.archive import Archive
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests.sources.conftest import RECORDINGS, SPAN, quick

type Configured = Callable[..., Config]
"""The fixture that calls `configured` in a folder of its own and cleans up behind it."""

STATIONS = """network,station,latitude,longitude,elevation,location,channel
CX,PB01,-21.04,-69.49,900,,HHE HHN HHZ
CX,PB02,-21.32,-69.90,1015,00,BHZ
"""


def write_recordings(folder: Path, segments: Iterable[Segment]) -> Path:
    """Write each segment into a file of its own, as Steim 2 in records of 512 bytes."""
    for number, segment in enumerate(segments):
        content = encode([segment], format_version=2, record_length=512)
        (folder / f"{segment.seed_id}.{number}.mseed").write_bytes(content)
    return folder


def configured(
    folder: Path, *urls: str, stations: str | bytes = STATIONS, **limits: object
) -> Config:
    """Return a config that fetches from data centres into empty stores in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "stations"
    table.write_bytes(stations if isinstance(stations, bytes) else stations.encode())
    return Config(
        network={"name": "faults", "stations": table},
        source=quick(*urls, **({"max_connections": 1} | limits)),
        archive={"url": str(folder / "archive")},
        catalog={"url": f"sqlite:///{folder}/catalog.sqlite"},
    )


def archived(config: Config, span: TimeSpan = SPAN) -> list[Segment]:
    """Read everything archived around a span, as a program started later would."""
    archive = Archive.open(config.archive.url, create=False)
    wide = TimeSpan(span.start_ns - 2 * NS_PER_DAY, span.end_ns + 2 * NS_PER_DAY)
    return [
        segment
        for stream in archive.streams()
        for segment in archive.read_stream(stream, wide).segments
    ]


def assert_nothing_invented(config: Config, truth: dict[SeedId, Segment] = RECORDINGS) -> int:
    """Compare every archived sample and its time with what was recorded; return how many."""
    n_samples = 0
    for segment in archived(config):
        true = truth[segment.seed_id]
        index = round((segment.start_ns - true.start_ns) * true.sampling_rate_hz / NS_PER_S)
        assert true.time_ns(index) == segment.start_ns
        np.testing.assert_array_equal(
            segment.samples, true.samples[index : index + segment.samples.size]
        )
        n_samples += segment.samples.size
    assert Archive.open(config.archive.url).verify() == ()
    return n_samples


def assert_everything_archived(
    config: Config, truth: dict[SeedId, Segment] = RECORDINGS, seed_ids: Iterable[SeedId] = ()
) -> None:
    """Demand every recorded sample once, nothing else, each at its time."""
    wanted = list(seed_ids) or list(truth)
    assert assert_nothing_invented(config, truth) == sum(truth[s].samples.size for s in wanted)


def restarted(config: Config) -> Config:
    """Close everything this process holds open, as if it ended and another one began."""
    space = workspace(config)
    if "source" in vars(space):
        space.source.close()
    if "catalog" in vars(space):
        space.catalog.close()
    workspace.cache_clear()
    return config
