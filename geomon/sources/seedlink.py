"""SeedLink servers as a source: what is new as it comes, and spans of time while they hold them.

Protocol versions 3 and 4 (see `geomon.sources.seedlink_session`). `SeedLinkSource.collect` brings
everything since the last packet archived; `SeedLinkSource.fetch` asks the server's buffer for a
span, so that holes can be asked for like those of any other source.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from geomon.config import Network
from geomon.config import SeedLinkSource as Settings
from geomon.errors import ConfigError, SourceUnavailable
from geomon.ids import SeedId
from geomon.sources.base import Batch, Fetched, Outcome, chosen, holes, worst
from geomon.sources.miniseed import Decoded
from geomon.sources.seedlink_collect import Collection
from geomon.sources.seedlink_packets import (
    asked_of,
    decode_packets,
    seed_id_of,
    sensors_by_station,
    sha256_of,
    start_of,
)
from geomon.sources.seedlink_session import FromTime, Packet, Session, SessionFailed, Wanted
from geomon.sources.seedlink_state import StateFile
from geomon.sources.stationfile import StationFile, read_station_file
from geomon.stations import Stations
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Asked, Provenance

logger = logging.getLogger(__name__)

_REFRESH_S = 300.0  # between two questions for the channels a server has
_FRESH_S = 300.0  # for so long, what was just collected is all there is
_MARGIN_NS = 2 * NS_PER_S


@dataclass(slots=True)
class _Answer:
    """What has come together for one span."""

    payloads: list[bytes] = field(default_factory=list)
    n_bytes: int = 0
    problems: dict[str, None] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


class SeedLinkSource:
    """A `StreamingSource` over SeedLink servers.

    Parameters
    ----------
    settings : config.SeedLinkSource
        Servers, limits, and the file that remembers what was collected.
    network : config.Network
        Which stations and channels; its station file is needed.

    Raises
    ------
    ConfigError
        If there is no station file.
    StationMetadataError
        If the station file cannot be read.
    """

    def __init__(self, settings: Settings, network: Network) -> None:
        if network.stations is None:
            msg = (
                "network.stations is missing: SeedLink servers do not say where stations are; "
                "name a StationXML or CSV file"
            )
            raise ConfigError(msg)
        self.settings = settings
        self.network = network
        self._station_file: StationFile = read_station_file(network.stations)
        self._found: frozenset[SeedId] = frozenset()
        self._ask_channels_at = 0.0
        self._collected_ns: dict[SeedId, int] = {}
        self._collected_at = float("-inf")
        self._connections = threading.BoundedSemaphore(settings.max_connections)
        self._asking_channels = threading.Lock()

    def stations(self, span: TimeSpan) -> Stations:
        """Return the stations of the network's file; channels it does not name, the servers tell.

        Raises
        ------
        SourceUnavailable
            If channels have to be asked for, and no server tells.
        """
        del span  # the file knows all epochs
        problems: list[str] = []
        with self._asking_channels:
            if self._station_file.sites and time.monotonic() >= self._ask_channels_at:
                problems = self._ask_channels()
        stations = self._station_file.with_channels(self._found)
        told = Stations(stations.channels, (*stations.problems, *problems), stations.credits)
        return chosen(told, self.network)

    def _ask_channels(self) -> list[str]:
        problems = []
        answered = False
        for server in self.settings.servers:
            deadline = time.monotonic() + self.settings.deadline_s
            try:
                with self._connections, Session(server, self.settings, deadline) as session:
                    self._found |= session.channels()
                    answered = True
            except SessionFailed as failure:
                problems.append(f"looking for channels: {failure}")
        if not answered and not self._found:
            raise SourceUnavailable("; ".join(problems))
        self._ask_channels_at = time.monotonic() + _REFRESH_S
        return problems

    def collect(self, seed_ids: Sequence[SeedId]) -> Iterator[Batch]:
        """Yield all the servers hold since what was committed last; see `StreamingSource`.

        A station never collected before is asked for `reach_s` back. One process at a time
        collects into a state file.
        """
        collection = Collection(self.settings, seed_ids, StateFile(self.settings.state))
        yield from collection.batches()
        if collection.is_complete:
            self._collected_ns = dict.fromkeys(seed_ids, 0) | collection.progress.received_ns
            self._collected_at = time.monotonic()

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Fetch some channels in one span from the servers' buffers; see `WaveformSource.fetch`.

        What is newer than all that was collected a moment ago is not asked for. A server that
        does not extract spans of time has no data, and says so in `Fetched.problems`.
        """
        wanted = sorted(set(seed_ids))
        answer = _Answer()
        servers: list[str] = []
        decoded = decode_packets((), wanted, span)
        if not self._was_just_collected(wanted, span):
            for server in self.settings.servers:
                missing = _missing(decoded, wanted, span)
                if not missing:
                    break
                servers.append(server)
                decoded = self._ask_persistently(server, missing, wanted, span, answer)
        outcome = worst(answer.outcomes, "nodata")
        if outcome in ("data", "nodata"):
            outcome = "data" if decoded.segments else "nodata"
        if decoded.is_damaged or (outcome == "network" and decoded.segments):
            outcome = "truncated"
        if decoded.segments and not _missing(decoded, wanted, span):
            outcome = "data"
        return Fetched(
            outcome=outcome,
            segments=decoded.segments,
            provenance=Provenance(
                " ".join(f"seedlink:{server}" for server in servers) or "seedlink",
                _request(wanted, span),
                sha256_of(answer.payloads),
            ),
            n_bytes=answer.n_bytes,
            problems=(*answer.problems, *decoded.problems),
            missing=holes(decoded.segments, wanted, span),
            unchecked=decoded.unchecked,
            asked=tuple(answer.asked),
            timing_quality=decoded.timing_quality,
        )

    def _was_just_collected(self, wanted: Sequence[SeedId], span: TimeSpan) -> bool:
        if time.monotonic() - self._collected_at >= _FRESH_S:
            return False
        ends_ns = [self._collected_ns.get(seed_id, 0) for seed_id in wanted]
        return 0 < min(ends_ns, default=0) <= span.start_ns + _MARGIN_NS

    def _ask_persistently(
        self,
        server: str,
        missing: list[SeedId],
        wanted: Sequence[SeedId],
        span: TimeSpan,
        answer: _Answer,
    ) -> Decoded:
        """Ask one server until it has sent all, or it is no use to ask on."""
        deadline = time.monotonic() + self.settings.deadline_s
        decoded = decode_packets(answer.payloads, wanted, span)
        outcome: Outcome = "nodata"
        for attempt in range(self.settings.max_attempts):
            if attempt:
                left_s = max(0.0, deadline - time.monotonic())
                time.sleep(min(self.settings.retry_wait_s * attempt, left_s))
            begun_ns, n_before = time.time_ns(), len(answer.payloads)
            try:
                with self._connections, Session(server, self.settings, deadline) as session:
                    outcome = self._ask(session, missing, span, answer, deadline)
            except SessionFailed as failure:
                outcome = failure.outcome
                answer.problems[str(failure)] = None
            received = answer.payloads[n_before:]
            answer.asked.append(
                asked_of(server, _request(missing, span), begun_ns, outcome, received)
            )
            decoded = decode_packets(answer.payloads, wanted, span)
            missing = _missing(decoded, wanted, span)
            is_over = time.monotonic() >= deadline
            if outcome not in ("network", "truncated") or not missing or is_over:
                break
        answer.outcomes.append(outcome)
        return decoded

    def _ask(
        self,
        session: Session,
        missing: Sequence[SeedId],
        span: TimeSpan,
        answer: _Answer,
        deadline: float,
    ) -> Outcome:
        """Ask for a span over one connection; return how that ended."""
        allowed = frozenset(missing)
        start = FromTime(span.start_ns, span.end_ns)
        requests = [Wanted(s, codes, start) for s, codes in sensors_by_station(missing).items()]
        refused = session.request(requests)
        answer.problems |= {
            f"{station_id}: {why}": None for station_id, (_, why) in refused.items()
        }
        if len(refused) == len(requests):
            outcomes = {outcome for outcome, _ in refused.values()}
            return "nodata" if "rejected" in outcomes else outcomes.pop()
        pending = set(missing)
        last_useful = time.monotonic()
        wait_s = self.settings.read_timeout_s if session.tells_end else self.settings.quiet_s
        while time.monotonic() < deadline:
            packet = session.receive(wait_s)
            if not isinstance(packet, Packet):
                if packet == "quiet" and session.tells_end:
                    answer.problems[f"{session.server}: silent for {wait_s:g} s"] = None
                    return "network"
                return "data"
            seed_id = seed_id_of(packet)
            if seed_id is not None and seed_id not in allowed:
                continue
            if start_of(packet) < span.end_ns + _MARGIN_NS:
                answer.payloads.append(packet.payload)
                answer.n_bytes += len(packet.payload)
                last_useful = time.monotonic()
            elif seed_id is not None:
                pending.discard(seed_id)
            if answer.n_bytes > self.settings.max_answer_mb * 1e6:
                largest = f"{self.settings.max_answer_mb:g} MB"
                answer.problems[f"{session.server}: more than {largest}; cut there"] = None
                return "too_large"
            # In real time there is always more, but nothing more of this span.
            is_past = not session.tells_end and time.monotonic() - last_useful > wait_s
            if not pending or is_past:
                return "data"
        answer.problems[f"{session.server}: not done in {self.settings.deadline_s:g} s"] = None
        return "network"


def _missing(decoded: Decoded, wanted: Sequence[SeedId], span: TimeSpan) -> list[SeedId]:
    """Return the channels with a hole in `span`."""
    return sorted({hole.seed_id for hole in holes(decoded.segments, wanted, span)})


def _request(seed_ids: Sequence[SeedId], span: TimeSpan) -> str:
    return f"span {','.join(map(str, seed_ids))} {span}"
