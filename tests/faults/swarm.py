"""A few minutes of a simulated swarm as files, to be fetched, picked and located at will."""

from functools import cache
from pathlib import Path

from geomon.config import Config, FilesSource, find_config, load_config
from geomon.sources.simulated import SimulatedSource
from geomon.sources.stationxml import write_stationxml
from geomon.stations import Stations
from geomon.times import NS_PER_DAY, TimeSpan
from tests.faults.networks import write_recordings

RECORDED = TimeSpan.parse("2024-05-02T00:00:30", "2024-05-02T00:03:30")
DAY = TimeSpan.parse("2024-05-02", "2024-05-03")
TWO_DAYS = TimeSpan.parse("2024-05-01", "2024-05-03")
N_STATIONS = 6


@cache
def _demo() -> Config:
    return load_config(find_config("demo"))


def record(folder: Path) -> Path:
    """Write recordings and metadata of the swarm's stations into a folder."""
    demo = _demo()
    source = SimulatedSource(
        demo.source.model_copy(update={"n_stations": N_STATIONS}),
        demo.velocity.model(),
        clock=lambda: RECORDED.end_ns + NS_PER_DAY,
    )
    stations: Stations = source.stations(RECORDED)
    fetched = source.fetch(stations.seed_ids(), RECORDED)
    (folder / "waveforms").mkdir(parents=True)
    write_recordings(folder / "waveforms", fetched.segments)
    (folder / "stations.xml").write_bytes(write_stationxml(stations))
    return folder


def configured(recorded: Path, folder: Path) -> Config:
    """Return a config over the recordings whose stores lie in `folder`."""
    demo = _demo()
    folder.mkdir(parents=True, exist_ok=True)
    return demo.model_copy(
        update={
            "network": demo.network.model_copy(update={"stations": recorded / "stations.xml"}),
            "source": FilesSource(paths=(recorded / "waveforms",)),
            "archive": demo.archive.model_copy(update={"url": str(folder / "archive")}),
            "catalog": demo.catalog.model_copy(
                update={"url": f"sqlite:///{folder}/catalog.sqlite"}
            ),
        }
    )
