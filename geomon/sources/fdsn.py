"""FDSN web services: waveforms from dataselect, metadata from station.

Asked by POST, a centre after the other; what arrives sound is kept, what arrives damaged is asked
for again, and what no centre has is listed as missing.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from geomon.config import FdsnSource as Settings
from geomon.config import Network
from geomon.errors import (
    ConfigError,
    RequestRejected,
    SourceUnavailable,
    StationMetadataError,
)
from geomon.ids import SeedId, StationId
from geomon.sources.base import Fetched, Outcome, chosen, holes
from geomon.sources.datacentre import Answer, DataCentre
from geomon.sources.miniseed import Decoded, decode
from geomon.sources.records import HEADER, Buffer
from geomon.sources.stationfile import StationFile, read_station_file
from geomon.sources.stationxml import read_stations
from geomon.stations import Channel, Station, Stations
from geomon.times import NS_PER_S, TimeSpan, from_ns
from geomon.waveforms import Gap, Provenance, Segment

logger = logging.getLogger(__name__)

_DATASELECT = "/fdsnws/dataselect/1/query"
_STATION = "/fdsnws/station/1/query"
_SHORTEST_S = 60.0  # a span this short is not halved when a centre finds the request too large
_FUTURE_NS = 5 * NS_PER_S
_STATIONS_REFRESH_S = 6 * 3600.0
_STATIONS_RETRY_S = 300.0
_PROBE_S = 60.0
_WORST_FIRST: tuple[Outcome, ...] = (
    "auth", "rejected", "too_large", "throttled", "network", "not_data", "truncated", "data",
    "nodata",
)  # fmt: skip


@dataclass(slots=True)
class _Gathered:
    """What has come together for one fetch."""

    bodies: list[Buffer] = field(default_factory=list)
    decoded: list[Decoded] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    masked: list[Gap] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def missing(self, wanted: Iterable[Gap]) -> list[Gap]:
        """Return the parts of `wanted` not received yet; masked samples count as received."""
        found: list[Gap] = []
        for gap in wanted:
            mine = [s for s in self.segments if s.seed_id == gap.seed_id]
            for hole in holes(mine, [gap.seed_id], gap.span):
                if not any(_covers(m, hole) for m in self.masked):
                    found.append(hole)
        return found

    def note(self, line: str) -> None:
        if line and line not in self.problems:
            self.problems.append(line)


def _covers(masked: Gap, hole: Gap) -> bool:
    return masked.seed_id == hole.seed_id and (
        masked.span.start_ns <= hole.span.start_ns and hole.span.end_ns <= masked.span.end_ns
    )


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
        If a URL is not usable, or nothing says which stations to ask for.
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
        self.centres = [DataCentre(url, settings) for url in settings.urls]
        self._lock = threading.Lock()
        self._stations: Stations | None = None
        self._stations_due = 0.0
        self._known: dict[str, Stations] = {}
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
        with self._lock:
            if self._stations is None or time.monotonic() >= self._stations_due:
                self._stations = self._ask_stations()
            return self._stations

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Fetch some channels in one span; see `WaveformSource.fetch`.

        Each data centre is asked, in order, for what the ones before did not have.
        """
        wanted = [Gap(seed_id, span) for seed_id in sorted(set(seed_ids))]
        gathered = _Gathered()
        centre_names = []
        for centre in self.centres:
            missing = gathered.missing(wanted)
            if not missing:
                break
            centre_names.append(centre.host)
            self._gather(centre, missing, gathered)
        return self._fetched(wanted, span, gathered, centre_names)

    def _fetched(
        self, wanted: list[Gap], span: TimeSpan, gathered: _Gathered, centres: list[str]
    ) -> Fetched:
        seed_ids = [gap.seed_id for gap in wanted]
        digest = hashlib.sha256()
        for body in gathered.bodies:
            digest.update(body)
        if len(gathered.decoded) == 1:
            [decoded] = gathered.decoded
        else:
            decoded = self._decode(gathered.bodies, seed_ids, span)
        outcome: Outcome = min(gathered.outcomes, key=_WORST_FIRST.index, default="nodata")
        missing = tuple(gathered.missing(wanted))
        if decoded.segments and outcome == "nodata":
            outcome = "data"
        if not missing and decoded.segments:
            outcome = "data"
        if outcome == "data" and not decoded.segments:
            outcome = "nodata"
        names = ",".join(str(seed_id) for seed_id in seed_ids)
        if gathered.problems:
            logger.info("%s %s: %s", names, span, "; ".join(gathered.problems))
        return Fetched(
            outcome=outcome,
            segments=decoded.segments,
            provenance=Provenance(
                source=" ".join(f"fdsn:{name}" for name in centres),
                request=f"dataselect {names} {span}",
                sha256=digest.hexdigest(),
            ),
            n_bytes=sum(len(body) for body in gathered.bodies),
            problems=tuple(gathered.problems),
            missing=missing,
            unchecked=decoded.unchecked,
        )

    def _decode(
        self, bodies: Sequence[Buffer], seed_ids: Sequence[SeedId], span: TimeSpan
    ) -> Decoded:
        """Decode; records from the future are refused unless it is our clock that is wrong."""
        allowed = frozenset(seed_ids)
        latest_ns = time.time_ns() + _FUTURE_NS
        decoded = decode(*bodies, allowed=allowed, span=span, latest_ns=latest_ns)
        if len({seed_id.station_id for seed_id in decoded.future}) > 1:
            logger.error(
                "%s: data of several stations lie in the future; check this machine's clock", span
            )
            decoded = decode(*bodies, allowed=allowed, span=span)
        return decoded

    def _gather(self, centre: DataCentre, wanted: list[Gap], gathered: _Gathered) -> None:
        """Ask one centre until everything it has is here or it is no use asking on."""
        pending = wanted
        seen_data = False
        last: Outcome = "nodata"
        for attempt in range(self.settings.max_attempts):
            if attempt:
                centre.wait(attempt)
            answer = centre.post(_DATASELECT, _selection(pending), _looks_like_miniseed)
            gathered.note(answer.detail)
            last = answer.outcome
            if answer.outcome == "too_large" and not len(answer.body):
                parts = _halves(pending)
                if parts is not None:
                    for part in parts:
                        self._gather(centre, part, gathered)
                    return
                break
            if answer.outcome == "nodata":
                # After a damaged answer this says that the holes left are real ones.
                last = "data" if seen_data else "nodata"
                break
            if len(answer.body):
                seen_data = True
                sound = self._keep(answer, pending, gathered)
                pending = gathered.missing(pending)
                if not pending or (sound and answer.is_whole):
                    last = "data"
                    break
                if answer.outcome == "data":
                    last = "truncated"
                    if sound and attempt:
                        # Unframed answers may end early; twice the same is believed.
                        last = "data"
                        break
                if answer.outcome == "too_large":
                    break
                continue
            if not answer.retry:
                break
        gathered.outcomes.append(last)

    def _keep(self, answer: Answer, pending: list[Gap], gathered: _Gathered) -> bool:
        """Keep what is sound in an answer; return whether all of it is."""
        span = TimeSpan(
            min(gap.span.start_ns for gap in pending), max(gap.span.end_ns for gap in pending)
        )
        decoded = self._decode([answer.body], [gap.seed_id for gap in pending], span)
        for line in decoded.problems:
            gathered.note(line)
        if decoded.segments or decoded.masked:
            gathered.bodies.append(answer.body)
            gathered.decoded.append(decoded)
            gathered.segments += decoded.segments
            gathered.masked += decoded.masked
        # Whole records around a hole, and nothing inside it, are a sound answer too.
        n_sound = decoded.n_records + decoded.rejected.get("window", 0)
        return n_sound > 0 and not decoded.is_damaged

    def _ask_stations(self) -> Stations:
        # Each centre may know some of the stations: their answers are joined. A centre that does
        # not answer is represented by what it said last, and asked again before long.
        problems: list[str] = []
        outcomes: set[Outcome] = set()
        for centre in self.centres:
            found, answer = self._ask_station_service(centre)
            if found is not None:
                self._known[centre.base_url] = found
            else:
                outcomes.add(answer.outcome)
                problems.append(f"station service: {answer.detail}")
        refresh_s = _STATIONS_RETRY_S if problems else _STATIONS_REFRESH_S
        self._stations_due = time.monotonic() + refresh_s
        if not self._known:
            if outcomes <= {"auth", "rejected", "too_large"}:
                raise RequestRejected("; ".join(problems))
            raise SourceUnavailable("; ".join(problems))
        channels = [c for known in self._known.values() for c in known.channels]
        notes = [line for known in self._known.values() for line in known.problems]
        if not channels:
            problems.append("station service: no station matches network.select and channels")
        return Stations.of(channels, [*notes, *problems])

    def _ask_station_service(self, centre: DataCentre) -> tuple[Stations | None, Answer]:
        """Ask one centre for all boxes; None, and the answer that says why, when one fails."""
        channels: list[Channel] = []
        problems: list[str] = []
        answer = Answer("nodata")
        for selection in self._station_selections():
            found, answer = self._ask_selection(centre, selection)
            if found is None:
                return None, answer
            channels += found.channels
            problems += found.problems
        return chosen(Stations.of(channels, problems), self.network), answer

    def _ask_selection(self, centre: DataCentre, selection: str) -> tuple[Stations | None, Answer]:
        answer = Answer("network")
        for attempt in range(self.settings.max_attempts):
            if attempt:
                centre.wait(attempt)
            answer = centre.post(
                _STATION, selection, _looks_like_xml, accept_encoding="gzip, identity"
            )
            if answer.outcome == "nodata":
                return Stations((), (answer.detail,) if answer.detail else ()), answer
            if answer.outcome == "data":
                try:
                    return read_stations(bytes(answer.body)), answer
                except StationMetadataError as error:
                    answer = Answer("not_data", detail=f"{centre.host}: {error}", retry=True)
            if not answer.retry:
                break
        return None, answer

    def _station_selections(self) -> list[str]:
        """Write the station queries: one, or two for a region across the dateline."""
        region = self.network.region
        boxes: list[list[str]] = [[]]
        if region is not None and not self.network.select:
            crosses = region.west > region.east
            sides = [(region.west, 180.0), (-180.0, region.east)]
            boxes = [
                [
                    f"minlatitude={region.south}",
                    f"maxlatitude={region.north}",
                    f"minlongitude={west}",
                    f"maxlongitude={east}",
                ]
                for west, east in (sides if crosses else [(region.west, region.east)])
            ]
        patterns = [pattern.split(".") for pattern in self.network.select or ("*.*",)]
        lines = [
            f"{network} {station} * {code}? 1950-01-01T00:00:00 2500-01-01T00:00:00"
            for network, station in patterns
            for code in self.network.channels
        ]
        return ["\n".join(["level=response", "format=xml", *box, *lines]) + "\n" for box in boxes]

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
        return chosen(Stations(stations.channels, (*stations.problems, *failures)), self.network)

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
                lines = [
                    f"{site.station_id.network} {site.station_id.station} * {code}? "
                    f"{_time(window.start_ns)} {_time(window.end_ns)}\n"
                    for site in left
                    for code in self.network.channels
                ]
                answer = self._persistently(centre, "".join(lines))
                if answer.outcome not in ("data", "nodata"):
                    failures[f"looking for channels: {answer.detail}"] = None
                seen = {segment.seed_id for segment in decode(answer.body, span=window).segments}
                for site in left:
                    channels = tuple(sorted(s for s in seen if s.station_id == site.station_id))
                    if channels:
                        self._found_channels[site.station_id] = channels
        return list(failures)

    def _persistently(self, centre: DataCentre, selection: str) -> Answer:
        answer = centre.post(_DATASELECT, selection, _looks_like_miniseed)
        for attempt in range(1, self.settings.max_attempts):
            if not answer.retry:
                break
            centre.wait(attempt)
            answer = centre.post(_DATASELECT, selection, _looks_like_miniseed)
        return answer


def _looks_like_miniseed(prefix: bytes) -> bool:
    return HEADER.search(prefix) is not None


def _looks_like_xml(prefix: bytes) -> bool:
    return b"FDSNStationXML" in prefix


def _time(time_ns: int) -> str:
    """Write a time as FDSN web services read it, to the microsecond."""
    return from_ns(time_ns).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _selection(wanted: Iterable[Gap]) -> str:
    """Write an FDSN selection list."""
    return "".join(
        f"{gap.seed_id.network} {gap.seed_id.station} {gap.seed_id.location or '--'} "
        f"{gap.seed_id.channel} {_time(gap.span.start_ns)} {_time(gap.span.end_ns)}\n"
        for gap in wanted
    )


def _halves(wanted: list[Gap]) -> tuple[list[Gap], list[Gap]] | None:
    """Halve a request: by lines, then by time; None when it is as small as it gets."""
    if len(wanted) > 1:
        middle = len(wanted) // 2
        return wanted[:middle], wanted[middle:]
    [gap] = wanted
    if gap.span.duration_s <= _SHORTEST_S:
        return None
    middle_ns = (gap.span.start_ns + gap.span.end_ns) // 2
    return (
        [Gap(gap.seed_id, TimeSpan(gap.span.start_ns, middle_ns))],
        [Gap(gap.seed_id, TimeSpan(middle_ns, gap.span.end_ns))],
    )
