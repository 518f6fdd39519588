"""Folders of miniSEED files as a source: found by content, indexed by reading headers once."""

import hashlib
import logging
from collections.abc import Sequence

from geomon.config import FilesSource as Settings
from geomon.config import Network
from geomon.errors import ConfigError
from geomon.ids import SeedId
from geomon.sources.base import Fetched, Outcome, chosen, holes
from geomon.sources.fileindex import FileIndex
from geomon.sources.miniseed import decode
from geomon.sources.stationfile import StationFile, read_station_file
from geomon.stations import Stations
from geomon.times import TimeSpan
from geomon.waveforms import Provenance

logger = logging.getLogger(__name__)


class FilesSource:
    """A `WaveformSource` over files and folders of miniSEED 2 and 3.

    File names do not matter. Files may grow and appear while the source is in use; damaged ones
    are read around the damage and named in `Fetched.problems`.

    Parameters
    ----------
    settings : config.FilesSource
        Where to look.
    network : config.Network
        Which stations and channels; its station file is needed.

    Raises
    ------
    ConfigError
        If a path does not exist, or there is no station file.
    StationMetadataError
        If the station file cannot be read.
    """

    def __init__(self, settings: Settings, network: Network) -> None:
        if network.stations is None:
            msg = (
                "network.stations is missing: miniSEED files do not say where stations are; "
                "name a StationXML or CSV file"
            )
            raise ConfigError(msg)
        for path in settings.paths:
            if not path.exists():
                msg = f"source.paths: {path} does not exist"
                raise ConfigError(msg)
        self.settings = settings
        self.network = network
        self._station_file: StationFile = read_station_file(network.stations)
        self._index = FileIndex(settings.paths)

    def stations(self, span: TimeSpan) -> Stations:
        """Return the stations of the network's file, with the channels found in the recordings."""
        del span  # the file knows all epochs
        return chosen(self._station_file.with_channels(self.spans()), self.network)

    def spans(self) -> dict[SeedId, TimeSpan]:
        """Return the first and last time of each channel found."""
        self._index.refresh()
        return self._index.spans()

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Read some channels in one span; see `WaveformSource.fetch`.

        Damage in a file is a problem and a hole, not a failure: reading again mends nothing.
        """
        wanted = sorted(set(seed_ids))
        self._index.refresh()
        blocks = self._index.blocks(wanted, span)
        digest = hashlib.sha256()
        buffers: list[bytes] = []
        problems = self._index.problems(block.path for block in blocks)
        outcome: Outcome = "data"
        for block in blocks:
            try:
                with block.path.open("rb") as file:
                    file.seek(block.offset)
                    content = file.read(block.length)
            except OSError as error:
                problems.append(f"{block.path}: cannot be read: {error.strerror}")
                outcome = "network"
                continue
            digest.update(content)
            buffers.append(content)
        decoded = decode(*buffers, allowed=frozenset(wanted), span=span)
        names = ", ".join(dict.fromkeys(block.path.name for block in blocks))
        problems += [f"{line} (in {names[:300]})" for line in decoded.problems]
        if not decoded.segments and outcome == "data":
            outcome = "nodata"
        asked = ",".join(str(seed_id) for seed_id in wanted)
        return Fetched(
            outcome=outcome,
            segments=decoded.segments,
            provenance=Provenance("files", f"{asked} {span}", digest.hexdigest()),
            n_bytes=sum(len(content) for content in buffers),
            problems=tuple(problems),
            missing=holes(decoded.segments, wanted, span),
            unchecked=decoded.unchecked,
            timing_quality=decoded.timing_quality,
        )
