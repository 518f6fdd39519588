"""One SeedLink connection's packets, and whether they go on where the last ones ended."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from geomon.config import SeedLinkSource as Settings
from geomon.ids import SeedId, StationId
from geomon.sources.seedlink_packets import (
    position_of,
    seed_id_of,
    start_of,
    station_of,
    steps_between,
)
from geomon.sources.seedlink_session import (
    End,
    FromPacket,
    FromTime,
    Packet,
    Session,
    SessionFailed,
)
from geomon.sources.seedlink_state import Position


@dataclass(slots=True)
class Group:
    """Stations asked for together, and the packets that must come first if nothing was lost.

    A server that numbers all stations together sends one such packet, `first`; others send one of
    each station, `expected`. There is none when stations are asked for by time.
    """

    starts: dict[StationId, FromPacket | FromTime]
    first: Position | None = None
    expected: dict[StationId, Position] = field(default_factory=dict)

    @property
    def is_by_time(self) -> bool:
        """Whether the stations are asked for by time."""
        return self.first is None and not self.expected


@dataclass(slots=True)
class Received:
    """Packets to be archived together, and the positions behind them.

    `doubtful` are stations whose packets do not go on where the last ones ended.
    """

    payloads: list[bytes] = field(default_factory=list)
    n_bytes: int = 0
    positions: dict[StationId, Position] = field(default_factory=dict)
    doubtful: frozenset[StationId] = frozenset()


class Transfer:
    """What comes over a connection after a request, until there is no more.

    Parameters
    ----------
    session : Session
        Where the request was made.
    group : Group
        What was asked for.
    stations : collection of StationId
        Those of the group that were not refused.
    allowed : collection of SeedId
        Channels to keep.

    Attributes
    ----------
    lost : set of StationId
        Stations that were not gone on with where they ended; known when `pieces` has ended.
    problems : list of str
        What went wrong or is missing, one line each.
    """

    def __init__(
        self,
        session: Session,
        group: Group,
        stations: Collection[StationId],
        allowed: Collection[SeedId],
    ) -> None:
        self.lost: set[StationId] = set()
        self.problems: list[str] = []
        self._session = session
        self._stations = frozenset(stations)
        self._allowed = allowed
        self._first = group.first
        self._expected = {s: p for s, p in group.expected.items() if s in self._stations}
        self._newest: Position | None = None

    def pieces(self, settings: Settings, deadline: float) -> Iterator[Received]:
        """Yield packets, `max_batch_mb` at a time, until all has come or time is up.

        Raises
        ------
        SessionFailed
            If the connection ends before that; all that came before was yielded.
        """
        received = Received()
        failure: SessionFailed | None = None
        wait_s = settings.read_timeout_s if self._session.tells_end else settings.quiet_s
        connected_ns = time.time_ns()
        last_old = time.monotonic()
        while time.monotonic() < deadline and not self.lost.issuperset(self._stations):
            try:
                packet = self._session.receive(wait_s)
            except SessionFailed as error:
                failure = error
                break
            if not isinstance(packet, Packet):
                failure = self._ending(packet, wait_s, deadline)
                break
            self._take(packet, received)
            if received.n_bytes >= settings.max_batch_mb * 1e6:
                yield self._closed(received)
                received = Received()
            if not self._session.tells_end:
                # Such a server goes on in real time: all older packets have come when, for a
                # while, only what was recorded after the request has.
                if start_of(packet) < connected_ns:
                    last_old = time.monotonic()
                elif time.monotonic() - last_old > settings.quiet_s:
                    self._end()
                    break
        if received.payloads or received.positions:
            yield self._closed(received)
        if self._session.n_junk_bytes:
            n_junk = self._session.n_junk_bytes
            self.problems.append(f"{self._session.server}: {n_junk} bytes belong to no packet")
        if failure is not None:
            raise failure

    def _ending(self, end: End, wait_s: float, deadline: float) -> SessionFailed | None:
        if time.monotonic() >= deadline:
            return None
        if end == "quiet" and self._session.tells_end:
            return SessionFailed("network", f"{self._session.server}: silent for {wait_s:g} s")
        self._end()
        return None

    def _end(self) -> None:
        """Note whose packets have not come although all have."""
        self.lost |= set(self._expected)
        if self._first is not None:
            self.lost |= self._stations

    def _closed(self, received: Received) -> Received:
        received.doubtful = frozenset(self.lost)
        if self._session.shares_sequence and self._newest is not None:
            received.positions = dict.fromkeys(sorted(self._stations), self._newest)
        return received

    def _take(self, packet: Packet, received: Received) -> None:
        """Add a packet to what was received."""
        seed_id = seed_id_of(packet)
        station_id = station_of(packet, seed_id)
        if station_id is None or station_id not in self._stations:
            return
        position = position_of(packet, self._session.version)
        if self._is_archived(station_id, position):
            return
        if station_id not in self.lost:
            self._advance(station_id, position, received)
        # What cannot be read is passed on, to be tried and reported with the rest.
        if seed_id is None or seed_id in self._allowed:
            received.payloads.append(packet.payload)
            received.n_bytes += len(packet.payload)

    def _is_archived(self, station_id: StationId, position: Position) -> bool:
        """Tell whether this is the packet archived last; note who is lost if it should be."""
        if self._first is not None:
            expected, self._first = self._first, None
            affected = set(self._stations)
        elif station_id in self._expected:
            expected = self._expected.pop(station_id)
            affected = {station_id}
        else:
            return False
        if expected != position:
            self.lost |= affected
        return expected == position

    def _advance(self, station_id: StationId, position: Position, received: Received) -> None:
        if self._session.shares_sequence:
            before = self._newest
        else:
            before = received.positions.get(station_id)
        if (
            before is None
            or steps_between(before.sequence, position.sequence, position.version) > 0
        ):
            self._newest = position
            received.positions[station_id] = position
