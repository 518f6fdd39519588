"""The Hengill recordings as a data centre would serve them, and what is known about them."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from geomon.config import Config, FdsnSource, find_config, load_config
from geomon.events import Event
from geomon.services.score import KnownEvent, compare
from geomon.times import TimeSpan
from tests.servers import dataselect_server

SPAN = TimeSpan.parse("2018-12-30T03:00", "2018-12-30T03:05")
WITHIN_S = 1.0
WITHIN_KM = 3.0
# The two clusters of the swarm (latitude, longitude), and how near is near enough, km.
CLUSTERS = ((64.035, -21.39), (63.965, -21.33))
CLUSTER_KM = 5.0

_WAVEFORMS = "malmi_hengill/tests/inputs/seismic_data/seismic_raw_20181230"
_STATIONS = "malmi_hengill/tests/inputs/station_inventory/stations.csv"
_REFERENCE = "malmi_hengill/derived/phasenet_pseudo_events.csv"


@contextmanager
def served(shared_data: Path, folder: Path, picker: str = "default") -> Iterator[Config]:
    """Serve the recordings on loopback; yield configs/hengill.yaml with its stores in `folder`."""
    config = load_config(find_config("hengill"))
    with dataselect_server(shared_data / _WAVEFORMS) as url:
        yield config.model_copy(
            update={
                "network": config.network.model_copy(update={"stations": shared_data / _STATIONS}),
                "source": FdsnSource(urls=(url,), requests_per_s=100),
                "archive": config.archive.model_copy(update={"url": str(folder / "archive")}),
                "catalog": config.catalog.model_copy(
                    update={"url": f"sqlite:///{folder}/catalog.sqlite"}
                ),
                "picker": config.picker.model_copy(update={"name": picker}),
            }
        )


def reference(shared_data: Path) -> list[KnownEvent]:
    """Return the twelve reference events: a guide made with PhaseNet and a grid search."""
    with (shared_data / _REFERENCE).open() as file:
        return [
            KnownEvent(
                datetime.fromisoformat(row["time"]).astimezone(UTC),
                float(row["latitude"]),
                float(row["longitude"]),
                float(row["depth_km"]),
            )
            for row in csv.DictReader(file)
        ]


def clusters_seen(events: Sequence[Event]) -> int:
    """Count the clusters that any event lies in."""
    return sum(
        any(
            compare(
                [KnownEvent(event.preferred_origin.time, *cluster, 4.0)],
                [event],
                within_km=CLUSTER_KM,
            ).pairs
            for event in events
        )
        for cluster in CLUSTERS
    )
