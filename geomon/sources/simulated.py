"""A simulated network as a source: no server, no files, the same code behind it as ever."""

import hashlib
import time
from collections.abc import Callable, Sequence

from geomon.config import Network
from geomon.config import SimulatedSource as Settings
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources.base import Fetched, chosen, holes
from geomon.sources.miniseed import decode
from geomon.stations import Stations
from geomon.synthesis.network import Scenario
from geomon.times import TimeSpan
from geomon.velocity import LayeredModel
from geomon.waveforms import Provenance


class SimulatedSource:
    """A `WaveformSource` over a `Scenario`: records go through miniSEED as from a data centre.

    Parameters
    ----------
    settings : config.SimulatedSource
        Seed, number of stations, rate of earthquakes.
    model : LayeredModel
        What waves travel through.
    network : config.Network, optional
        Which stations and channels; all by default.
    clock : callable
        Returns the time now, nanoseconds since 1970: nothing later has been recorded yet, and
        late packets may not have arrived.
    """

    def __init__(
        self,
        settings: Settings,
        model: LayeredModel,
        network: Network | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.scenario = Scenario.of(settings, model)
        self.network = network
        self._clock = clock

    def stations(self, span: TimeSpan) -> Stations:
        """Return the network's stations; their epochs have no end."""
        del span
        stations = self.scenario.stations
        return stations if self.network is None else chosen(stations, self.network)

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Make some channels' records of one span; see `WaveformSource.fetch`.

        Channels the network does not have are missing, like data that have not arrived yet.
        """
        wanted = sorted(set(seed_ids))
        known = set(self.scenario.stations.seed_ids())
        now_ns = self._clock()
        made = [
            segment
            for seed_id in wanted
            if seed_id in known
            for segment in self.scenario.segments(seed_id, span, now_ns=now_ns)
        ]
        body = encode(made)
        decoded = decode(body, allowed=frozenset(wanted), span=span)
        names = ",".join(str(seed_id) for seed_id in wanted)
        return Fetched(
            outcome="data" if decoded.segments else "nodata",
            segments=decoded.segments,
            provenance=Provenance(
                source=f"simulated:seed={self.scenario.seed}",
                request=f"{names} {span}",
                sha256=hashlib.sha256(body).hexdigest(),
            ),
            n_bytes=len(body),
            problems=decoded.problems,
            missing=holes(decoded.segments, wanted, span),
        )
