"""FDSN web services: waveforms from dataselect, metadata from station.

Asked by POST, a centre after the other; what arrives sound is kept, what arrives damaged is asked
for again, and what no centre has is listed as missing.
"""

import hashlib
import logging
import time
from collections.abc import Sequence

from geomon.config import FdsnSource as Settings
from geomon.config import Network
from geomon.errors import ConfigError, SourceUnavailable
from geomon.ids import SeedId, StationId
from geomon.sources.answers import Answer
from geomon.sources.base import Fetched, chosen
from geomon.sources.credentials import logins
from geomon.sources.datacentre import DataCentre, base_urls
from geomon.sources.dataselect import (
    Gathering,
    looks_like_miniseed,
    persistently,
    time_text,
)
from geomon.sources.miniseed import decode
from geomon.sources.stationfile import StationFile, read_station_file
from geomon.sources.stationservice import StationService
from geomon.stations import Station, Stations
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Gap, Provenance

logger = logging.getLogger(__name__)

_PROBE_S = 60.0


class FdsnSource:
    """A `WaveformSource` over FDSN web services.

    Parameters
    ----------
    settings : config.FdsnSource
        Data centres and limits.
    network : config.Network
        Which stations and channels, and the file that describes them, if any.

    Raises
    ------
    ConfigError
        If a URL is not usable, a secret is not set, or nothing says which stations to ask for.
    StationMetadataError
        If the network's station file cannot be read.
    """

    def __init__(self, settings: Settings, network: Network) -> None:
        if network.stations is None and not network.select and network.region is None:
            msg = (
                "network: give select, region or stations; without one of them all stations of "
                "the world would be asked for"
            )
            raise ConfigError(msg)
        self.settings = settings
        self.network = network
        urls = base_urls(settings.urls)
        self.centres = [
            DataCentre(url, settings, login)
            for url, login in zip(urls, logins(settings.auth, urls), strict=True)
        ]
        self._service = StationService(self.centres, settings, network)
        self._file: StationFile | None = None
        self._found_channels: dict[StationId, tuple[SeedId, ...]] = {}
        if network.stations is not None:
            self._file = read_station_file(network.stations)

    def close(self) -> None:
        """Close all connections."""
        for centre in self.centres:
            centre.close()

    def stations(self, span: TimeSpan) -> Stations:
        """Return the network's stations.

        From the network's station file if there is one; channels that a CSV file does not name
        are looked up by asking dataselect for a minute of `span`. Otherwise from the station
        service with all epochs and responses, asked again after six hours; a data centre that
        does not answer then is represented by what it said last.

        Raises
        ------
        SourceUnavailable
            If no data centre answers and nothing is cached.
        RequestRejected
            If the data centres refuse the request.
        """
        if self._file is not None:
            return self._with_discovered_channels(self._file, span)
        return self._service.stations()

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Fetch some channels in one span; see `WaveformSource.fetch`.

        Each data centre is asked, in order, for what the ones before did not have.
        """
        wanted = [Gap(seed_id, span) for seed_id in sorted(set(seed_ids))]
        gathering = Gathering(wanted, self.settings)
        asked_hosts = []
        for centre in self.centres:
            if not gathering.missing():
                break
            asked_hosts.append(centre.host)
            gathering.ask(centre)
        decoded = gathering.decoded()
        segments = sorted(
            (segment for part in decoded for segment in part.segments),
            key=lambda s: (s.seed_id, s.start_ns, -s.samples.size),
        )
        digest = hashlib.sha256()
        for body in gathering.bodies:
            digest.update(body)
        names = ",".join(str(gap.seed_id) for gap in wanted)
        if gathering.problems:
            logger.info("%s %s: %s", names, span, "; ".join(gathering.problems))
        return Fetched(
            outcome=gathering.outcome(has_samples=bool(segments)),
            segments=tuple(segments),
            provenance=Provenance(
                source=" ".join(f"fdsn:{host}" for host in gathering.hosts or asked_hosts),
                request=f"dataselect {names} {span}",
                sha256=digest.hexdigest(),
            ),
            n_bytes=gathering.n_bytes,
            problems=tuple(gathering.problems),
            missing=tuple(gathering.missing()),
            unchecked=tuple(sorted({s for part in decoded for s in part.unchecked})),
            timing_quality={k: v for part in decoded for k, v in part.timing_quality.items()},
            asked=tuple(gathering.asked),
        )

    def _with_discovered_channels(self, file: StationFile, span: TimeSpan) -> Stations:
        # A table may not say which channels its stations have; dataselect is asked for a minute
        # of any, at the start and at the end of `span`.
        unknown = [
            site
            for site in file.sites
            if site.station_id not in self._found_channels
            and (not self.network.select or site.station_id.matches(self.network.select))
        ]
        failures = self._probe(unknown, span) if unknown else []
        if failures and not self._found_channels:
            raise SourceUnavailable("; ".join(failures))
        found = [seed_id for channels in self._found_channels.values() for seed_id in channels]
        stations = file.with_channels(found)
        told = Stations(stations.channels, (*stations.problems, *failures), stations.credits)
        return chosen(told, self.network)

    def _probe(self, sites: Sequence[Station], span: TimeSpan) -> list[str]:
        """Find the channels of sites; return why a centre could not be asked, one line each."""
        width_ns = round(_PROBE_S * NS_PER_S)
        first = span.intersection(TimeSpan(span.start_ns, span.start_ns + width_ns))
        last = span.intersection(TimeSpan(span.end_ns - width_ns, span.end_ns))
        failures: dict[str, None] = {}
        for centre in self.centres:
            for window in dict.fromkeys((first, last)):
                left = [site for site in sites if site.station_id not in self._found_channels]
                if not left or window.is_empty:
                    continue
                if centre.rules.forbids(window, time.time_ns()):
                    failures[
                        f"looking for channels: {centre.host} forbids asking for data of the "
                        "last hour; name the channels in the station file"
                    ] = None
                    continue
                lines = "".join(
                    f"{site.station_id.network} {site.station_id.station} * {code}? "
                    f"{time_text(window.start_ns)} {time_text(window.end_ns)}\n"
                    for site in left
                    for code in self.network.channels
                )
                answer = self._persistently(centre, lines)
                if answer.outcome not in ("data", "nodata"):
                    failures[f"looking for channels: {answer.detail}"] = None
                seen = {segment.seed_id for segment in decode(answer.body, span=window).segments}
                for site in left:
                    channels = tuple(sorted(s for s in seen if s.station_id == site.station_id))
                    if channels:
                        self._found_channels[site.station_id] = channels
        return list(failures)

    def _persistently(self, centre: DataCentre, lines: str) -> Answer:
        path = f"/fdsnws/dataselect/1/{centre.login.method}"
        return persistently(
            centre,
            self.settings.max_attempts,
            lambda: centre.post(path, lines, looks_like_miniseed),
        )
