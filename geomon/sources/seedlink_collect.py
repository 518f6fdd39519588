"""Everything SeedLink servers hold since the last packet that was archived, batch by batch.

A station is gone on with from the very packet archived last: when it comes again, the server
numbers as it did before and nothing in between can be lost. When another comes, or none, the
server has dropped it, or was restarted and counts anew; the station is then asked for by time,
from the end of what was received, and whatever is still missing is told as a problem.
"""

import logging
import random
import time
from collections.abc import Generator, Iterator, Sequence

from geomon.config import SeedLinkSource as Settings
from geomon.errors import DataError, SourceUnavailable
from geomon.ids import SeedId, StationId
from geomon.sources.base import Batch, Fetched, Outcome
from geomon.sources.seedlink_packets import (
    asked_of,
    decode_packets,
    sensors_by_station,
    sha256_of,
    steps_between,
)
from geomon.sources.seedlink_session import FromPacket, FromTime, Session, SessionFailed, Wanted
from geomon.sources.seedlink_state import Position, Progress, StateFile
from geomon.sources.seedlink_transfer import Group, Received, Transfer
from geomon.times import NS_PER_S, format_ns
from geomon.waveforms import Asked, Provenance, Segment

logger = logging.getLogger(__name__)

_FARTHEST_APART = 100_000  # packets; stations farther apart than that have connections of their own


class _Abandoned(Exception):
    """The last batch was not committed."""


class Collection:
    """One run through the servers, in order, until they have sent all they have.

    Parameters
    ----------
    settings : config.SeedLinkSource
        Servers and limits.
    seed_ids : sequence of SeedId
        Channels to collect; others are left out.
    state : StateFile
        What was archived before.

    Attributes
    ----------
    progress : Progress
        What is archived now.
    is_complete : bool
        Whether everything there was has come.
    """

    def __init__(self, settings: Settings, seed_ids: Sequence[SeedId], state: StateFile) -> None:
        self.progress = Progress()
        self.is_complete = False
        self._settings = settings
        self._allowed = frozenset(seed_ids)
        self._sensors = sensors_by_station(seed_ids)
        self._state = state
        self._unserved = set(self._sensors)
        self._lost: set[StationId] = set()
        self._asked_by_time: set[StationId] = set()
        self._problems: dict[str, None] = {}
        self._asked: list[Asked] = []
        self._begun_ns = time.time_ns()
        self._outcome: Outcome = "nodata"
        self._is_committed = True
        self._deadline = time.monotonic() + settings.deadline_s

    def batches(self) -> Iterator[Batch]:
        """Yield what comes; the last batch may hold no samples and only say how it ended."""
        try:
            with self._state.exclusive() as is_ours:
                if is_ours:
                    yield from self._from_servers()
                else:
                    self._note(f"{self._state.path}: another process is collecting")
        except _Abandoned:
            return
        except SourceUnavailable as error:
            self._note(str(error))
            self._outcome = "network"
        if self._problems:
            fetched = Fetched(
                self._outcome,
                (),
                Provenance("seedlink", "collect", sha256_of(())),
                problems=tuple(self._problems),
                asked=tuple(self._asked),
            )
            yield Batch(fetched, _nothing)

    def _note(self, line: str) -> None:
        if line not in self._problems:
            logger.info("%s", line)
            self._problems[line] = None

    # Servers

    def _from_servers(self) -> Iterator[Batch]:
        try:
            self.progress = self._state.read()
        except DataError as error:
            self._note(f"{error}; starting {self._settings.reach_s:g} s back")
        for server in self._settings.servers:
            if not self._unserved or self._is_late():
                break
            self._lost.clear()
            self._asked_by_time.clear()
            yield from self._persistently(server)

    def _persistently(self, server: str) -> Iterator[Batch]:
        for attempt in range(self._settings.max_attempts):
            if attempt:
                wait_s = random.uniform(0, 2**attempt * self._settings.retry_wait_s)
                time.sleep(max(0.0, min(wait_s, self._deadline - time.monotonic())))
            if self._is_late():
                return
            self._begun_ns = time.time_ns()
            try:
                refused = yield from self._from_server(server)
            except SessionFailed as failure:
                self._note(str(failure))
                self._outcome = failure.outcome
                self._asked.append(asked_of(server, "packets", self._begun_ns, failure.outcome, ()))
                if failure.outcome in ("auth", "rejected"):
                    return
            else:
                self._unserved = set(refused)
                self._outcome = "nodata"
                for station_id, why in refused.items():
                    self._note(f"{station_id}: {why}")
                self.is_complete = not self._is_late()
                return

    def _from_server(self, server: str) -> Generator[Batch, None, dict[StationId, str]]:
        """Ask for every station; return those the server refuses, with the reason."""
        refused: dict[StationId, str] = {}
        self._asked_by_time.clear()
        with Session(server, self._settings, self._deadline) as session:
            groups = self._by_position(session)
            if groups:
                yield from self._transfer(session, groups[0], refused)
            else:
                yield from self._transfer(session, self._by_time(server, session.version), refused)
            version = session.version
        for group in groups[1:]:
            with Session(server, self._settings, self._deadline) as session:
                yield from self._transfer(session, group, refused)
        rest = self._by_time(server, version)
        if rest.starts and not self._is_late():
            with Session(server, self._settings, self._deadline) as session:
                yield from self._transfer(session, rest, refused)
        return refused

    def _is_late(self) -> bool:
        if time.monotonic() < self._deadline:
            return False
        self._note(
            f"stopped after {self._settings.deadline_s:g} s; the next time goes on from here"
        )
        return True

    # Where to go on

    def _known(self, server: str, version: int) -> dict[StationId, Position]:
        """Return the positions that say where to go on."""
        positions = self.progress.positions.get(server, {})
        return {
            station_id: positions[station_id]
            for station_id in sorted(self._unserved - self._lost)
            if station_id in positions and positions[station_id].version == version
        }

    def _by_position(self, session: Session) -> list[Group]:
        known = self._known(session.server, session.version)
        if not known:
            return []
        if not session.shares_sequence:
            starts = {s: FromPacket(position.sequence) for s, position in known.items()}
            return [Group(dict(starts), expected=known)]
        # Such a server goes on from the newest number, so that all must ask with the oldest.
        anchor = next(iter(known.values())).sequence

        def steps(station_id: StationId) -> int:
            return steps_between(anchor, known[station_id].sequence, session.version)

        groups: list[Group] = []
        farthest = 0
        for station_id in sorted(known, key=steps):
            if not groups or steps(station_id) > farthest:
                groups.append(Group({}, first=known[station_id]))
                farthest = steps(station_id) + _FARTHEST_APART
            first = groups[-1].first
            if first is not None:
                groups[-1].starts[station_id] = FromPacket(first.sequence)
        return groups

    def _by_time(self, server: str, version: int) -> Group:
        """Return the stations without a position: lost ones, new ones."""
        now_ns = time.time_ns()
        reach_ns = round(self._settings.reach_s * NS_PER_S)
        known = self._known(server, version)
        starts: dict[StationId, FromPacket | FromTime] = {}
        for station_id in sorted(self._unserved - set(known) - self._asked_by_time):
            ends = [
                end_ns
                for seed_id, end_ns in self.progress.received_ns.items()
                if seed_id.station_id == station_id and seed_id in self._allowed
            ]
            # A channel that fell silent long ago must not hold the others back.
            alive = [end_ns for end_ns in ends if end_ns >= max(ends) - reach_ns]
            starts[station_id] = FromTime(min([*alive, now_ns]) if alive else now_ns - reach_ns)
        return Group(starts)

    # One connection

    def _transfer(
        self, session: Session, group: Group, refused: dict[StationId, str]
    ) -> Iterator[Batch]:
        wanted = [Wanted(s, self._sensors[s], start) for s, start in group.starts.items()]
        replies = session.request(wanted)
        if group.is_by_time:
            refused |= {station_id: why for station_id, (_, why) in replies.items()}
            self._asked_by_time |= set(replies)
        else:
            self._lost |= set(replies)
        if len(replies) == len(wanted):
            return
        transfer = Transfer(session, group, set(group.starts) - set(replies), self._allowed)
        before_ns = dict(self.progress.received_ns) if group.is_by_time else {}
        try:
            for received in transfer.pieces(self._settings, self._deadline):
                yield from self._hand_over(session.server, received, before_ns)
        finally:
            for line in transfer.problems:
                self._note(line)
            self._lost |= transfer.lost
        if group.is_by_time:
            self._asked_by_time |= set(group.starts)

    def _hand_over(
        self, server: str, received: Received, before_ns: dict[SeedId, int]
    ) -> Iterator[Batch]:
        decoded = decode_packets(received.payloads, self._allowed)
        ends_ns: dict[SeedId, int] = {}
        for segment in decoded.segments:
            if segment.seed_id.station_id not in received.doubtful:
                ends_ns[segment.seed_id] = max(segment.end_ns, ends_ns.get(segment.seed_id, 0))
            self._note_missing(server, segment, before_ns)
        outcome: Outcome = "data" if decoded.segments else "nodata"
        if decoded.is_damaged:
            outcome = "truncated"
        names = ", ".join(str(station_id) for station_id in sorted(received.positions)[:3])
        n_more = len(received.positions) - 3
        packets = f"packets of {names}" + (f" and {n_more} more stations" if n_more > 0 else "")
        fetched = Fetched(
            outcome=outcome,
            segments=decoded.segments,
            provenance=Provenance(f"seedlink:{server}", packets, sha256_of(received.payloads)),
            n_bytes=received.n_bytes,
            problems=decoded.problems,
            unchecked=decoded.unchecked,
            asked=(asked_of(server, packets, self._begun_ns, outcome, received.payloads),),
            timing_quality=decoded.timing_quality,
        )
        self._begun_ns = time.time_ns()

        def change(progress: Progress) -> None:
            progress.positions.setdefault(server, {}).update(received.positions)
            for seed_id, end_ns in ends_ns.items():
                progress.received_ns[seed_id] = max(end_ns, progress.received_ns.get(seed_id, 0))

        def commit() -> None:
            self._state.update(change)
            change(self.progress)
            self._is_committed = True

        self._is_committed = False
        yield Batch(fetched, commit)
        if not self._is_committed:
            raise _Abandoned

    def _note_missing(self, server: str, segment: Segment, before_ns: dict[SeedId, int]) -> None:
        """Tell what is missing before the first samples of a channel asked for by time."""
        end_ns = before_ns.pop(segment.seed_id, None)
        if end_ns is not None and (
            segment.start_ns - end_ns > 1.5 * NS_PER_S / segment.sampling_rate_hz
        ):
            self._note(
                f"{segment.seed_id}: {server} has nothing from {format_ns(end_ns)} to "
                f"{format_ns(segment.start_ns)}: no longer held, or never recorded"
            )


def _nothing() -> None:
    """Commit what needs no commit."""
