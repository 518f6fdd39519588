"""Waveforms from dataselect services: asked in bounded parts until all they have is here.

What arrives sound is kept, what arrives damaged is asked for again, and where records carry no
checksum they must arrive twice the same.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from geomon.config import FdsnSource as Settings
from geomon.ids import SeedId
from geomon.sources.answers import Answer
from geomon.sources.base import Outcome, holes, worst
from geomon.sources.datacentre import DataCentre
from geomon.sources.miniseed import Decoded, decode
from geomon.sources.records import HEADER, Buffer
from geomon.sources.twice import agreed, has_doubtful
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, from_ns
from geomon.waveforms import Asked, Gap

logger = logging.getLogger(__name__)

_SHORTEST_S = 60.0  # a span this short is not halved when a centre finds the request too large
_FUTURE_NS = 5 * NS_PER_S


@dataclass(slots=True, eq=False)
class _Part:
    """One answer kept; `decoded` is None when it has to be read together with others."""

    host: str
    body: Buffer
    seed_ids: frozenset[SeedId]
    decoded: Decoded | None


@dataclass(frozen=True, slots=True)
class _Held:
    """Where samples of one channel are, without the samples."""

    seed_id: SeedId
    span: TimeSpan
    sampling_rate_hz: float


class Gathering:
    """What comes together for one fetch, from one data centre after the other.

    Parameters
    ----------
    wanted : list of Gap
        What to ask for, by channel.
    settings : config.FdsnSource
        Limits.
    """

    def __init__(self, wanted: list[Gap], settings: Settings) -> None:
        self.wanted = wanted
        self.problems: list[str] = []
        self.asked: list[Asked] = []
        self._settings = settings
        self._parts: list[_Part] = []
        self._held: list[_Held] = []
        self._masked: list[Gap] = []
        self._outcomes: list[Outcome] = []
        self._is_refused = False

    def ask(self, centre: DataCentre) -> None:
        """Ask a centre for all that is missing, in requests of bounded size."""
        for request in bounded(self.missing(), self._settings.max_channel_days):
            now_ns = time.time_ns()
            if any(centre.rules.forbids(gap.span, now_ns) for gap in request):
                self._is_refused = True
                self._note(
                    f"{centre.host} forbids asking for data of the last hour: "
                    "use kind: seedlink, or another data centre"
                )
                continue
            if self.n_bytes >= self._settings.max_answer_mb * 1e6:
                self._note(f"{centre.host}: too much for one fetch; ask for less at a time")
                self._outcomes.append("too_large")
                break
            self._gather(centre, request)

    @property
    def n_bytes(self) -> int:
        """Bytes kept."""
        return sum(len(part.body) for part in self._parts)

    @property
    def hosts(self) -> list[str]:
        """Hosts whose answers were kept, in the order they were asked."""
        return list(dict.fromkeys(part.host for part in self._parts))

    @property
    def bodies(self) -> list[Buffer]:
        """Answers kept, in the order they came."""
        return [part.body for part in self._parts]

    def missing(self, wanted: Iterable[Gap] | None = None) -> list[Gap]:
        """Return the parts of `wanted` (all by default) not received; masked ones are received."""
        found: list[Gap] = []
        for gap in self.wanted if wanted is None else wanted:
            mine = [held for held in self._held if held.seed_id == gap.seed_id]
            for hole in holes(mine, [gap.seed_id], gap.span):
                if not any(_covers(m, hole) for m in self._masked):
                    found.append(hole)
        return found

    def decoded(self) -> list[Decoded]:
        """Return what was received, answers about the same channels read as one."""
        found: list[Decoded] = []
        for parts in _groups(self._parts):
            [first, *others] = parts
            if first.decoded is not None and not others:
                found.append(first.decoded)
            else:
                seed_ids = frozenset().union(*(part.seed_ids for part in parts))
                bodies = [part.body for part in parts]
                found.append(_decode(bodies, seed_ids, _around(self.wanted)))
        return found

    def outcome(self, *, has_samples: bool) -> Outcome:
        """Return how the fetch ended: the worst that happened, unless everything came."""
        default: Outcome = "rejected" if self._is_refused else "nodata"
        outcome = worst(self._outcomes, default)
        if has_samples and (outcome == "nodata" or not self.missing()):
            return "data"
        return "nodata" if outcome == "data" and not has_samples else outcome

    def _note(self, line: str) -> None:
        if line and line not in self.problems:
            self.problems.append(line)

    def _post(self, centre: DataCentre, wanted: list[Gap]) -> Answer:
        path = f"/fdsnws/dataselect/1/{centre.login.method}"
        answer = centre.post(path, selection(wanted), looks_like_miniseed)
        if answer.asked is not None:
            self.asked.append(answer.asked)
        self._note(answer.detail)
        return answer

    def _gather(self, centre: DataCentre, wanted: list[Gap]) -> None:
        """Ask one centre until everything it has is here or it is no use asking on."""
        pending = wanted
        seen_data = False
        last: Outcome = "nodata"
        for attempt in range(self._settings.max_attempts):
            if attempt:
                centre.wait(attempt)
            answer = self._post(centre, pending)
            last = answer.outcome
            if answer.outcome == "too_large" and not len(answer.body):
                parts = _halves(pending)
                if parts is not None:
                    for part in parts:
                        self._gather(centre, part)
                    return
                break
            if answer.outcome == "nodata":
                # After a damaged answer this says that the holes left are real ones.
                last = "data" if seen_data else "nodata"
                break
            if len(answer.body):
                seen_data = True
                sound = self._keep(centre, answer, pending)
                pending = self.missing(pending)
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
        self._outcomes.append(last)

    def _keep(self, centre: DataCentre, answer: Answer, pending: list[Gap]) -> bool:
        """Keep what is sound in an answer; return whether all of it is."""
        span = _around(pending)
        seed_ids = frozenset(gap.seed_id for gap in pending)
        body = answer.body
        decoded = _decode([body], seed_ids, span)
        for line in decoded.problems:
            self._note(line)
        is_sound = not decoded.is_damaged
        if decoded.unchecked and has_doubtful(body, decoded.unchecked):
            body, is_agreed = self._compared(centre, body, decoded.unchecked, pending)
            is_sound &= is_agreed
            if body is not answer.body:
                decoded = _decode([body], seed_ids, span)
        if decoded.segments or decoded.masked:
            self._add(_Part(centre.host, body, seed_ids, decoded))
        # Whole records around a hole, and nothing inside it, are a sound answer too.
        n_sound = decoded.n_records + decoded.rejected.get("window", 0)
        return n_sound > 0 and is_sound

    def _add(self, part: _Part) -> None:
        if part.decoded is not None:
            self._held += [
                _Held(s.seed_id, s.span, s.sampling_rate_hz) for s in part.decoded.segments
            ]
            self._masked += part.decoded.masked
        for other in self._parts:
            if other.seed_ids & part.seed_ids:
                other.decoded = part.decoded = None
        self._parts.append(part)

    def _compared(
        self, centre: DataCentre, body: Buffer, channels: Sequence[SeedId], pending: list[Gap]
    ) -> tuple[Buffer, bool]:
        """Fetch channels without checksums again, and once more if they then differ.

        Return the bytes to believe, and whether nothing is left in doubt.
        """
        again = [gap for gap in pending if gap.seed_id in channels]
        names = ", ".join(str(channel) for channel in channels)
        copies = [body]
        believed = agreed(copies, channels)
        differing: set[SeedId] = set()
        for _ in range(2):
            answer = self._persistently(centre, again)
            if not len(answer.body):
                break
            copies.append(answer.body)
            believed = agreed(copies, channels)
            if not believed.in_doubt:
                break
            differing |= set(believed.in_doubt)
        if len(copies) == 1:
            self._note(f"{names}: no checksum, and not to be had again to compare")
            return body, True
        if not differing:
            logger.debug("%s: no checksum, fetched twice, identical", names)
        for channel in sorted(differing):
            n_lost = believed.in_doubt.get(channel, 0)
            decided = f"{n_lost} records left out" if n_lost else "two of three are believed"
            self._note(f"{channel}: no checksum, and fetches differ: {decided}")
        return believed.body, not believed.in_doubt

    def _persistently(self, centre: DataCentre, wanted: list[Gap]) -> Answer:
        return persistently(centre, self._settings.max_attempts, lambda: self._post(centre, wanted))


def persistently(centre: DataCentre, max_attempts: int, post: Callable[[], Answer]) -> Answer:
    """Post until there is an answer, or no use in asking again."""
    answer = post()
    for attempt in range(1, max_attempts):
        if not answer.retry:
            break
        centre.wait(attempt)
        answer = post()
    return answer


def bounded(wanted: Iterable[Gap], max_channel_days: float) -> Iterator[list[Gap]]:
    """Split what is wanted into requests for so many channels times days at most."""
    most_ns = round(max_channel_days * NS_PER_DAY)
    request: list[Gap] = []
    free_ns = most_ns
    for gap in wanted:
        start_ns = gap.span.start_ns
        while start_ns < gap.span.end_ns:
            # Whole gaps stay together where they can.
            left_ns = gap.span.end_ns - start_ns
            if request and min(left_ns, most_ns) > free_ns:
                yield request
                request, free_ns = [], most_ns
            end_ns = start_ns + min(left_ns, most_ns)
            request.append(Gap(gap.seed_id, TimeSpan(start_ns, end_ns)))
            free_ns -= end_ns - start_ns
            start_ns = end_ns
    if request:
        yield request


def selection(wanted: Iterable[Gap]) -> str:
    """Write an FDSN selection list."""
    return "".join(
        f"{gap.seed_id.network} {gap.seed_id.station} {gap.seed_id.location or '--'} "
        f"{gap.seed_id.channel} {time_text(gap.span.start_ns)} {time_text(gap.span.end_ns)}\n"
        for gap in wanted
    )


def time_text(time_ns: int) -> str:
    """Write a time as FDSN web services read it, to the microsecond."""
    return from_ns(time_ns).strftime("%Y-%m-%dT%H:%M:%S.%f")


def looks_like_miniseed(prefix: bytes) -> bool:
    """Tell whether the first bytes of an answer hold a record header."""
    return HEADER.search(prefix) is not None


def _decode(bodies: Sequence[Buffer], seed_ids: frozenset[SeedId], span: TimeSpan) -> Decoded:
    """Decode; records from the future are refused unless it is our clock that is wrong."""
    latest_ns = time.time_ns() + _FUTURE_NS
    decoded = decode(*bodies, allowed=seed_ids, span=span, latest_ns=latest_ns)
    if len({seed_id.station_id for seed_id in decoded.future}) > 1:
        logger.error(
            "%s: data of several stations lie in the future; check this machine's clock", span
        )
        decoded = decode(*bodies, allowed=seed_ids, span=span)
    return decoded


def _around(gaps: Sequence[Gap]) -> TimeSpan:
    return TimeSpan(min(gap.span.start_ns for gap in gaps), max(gap.span.end_ns for gap in gaps))


def _covers(masked: Gap, hole: Gap) -> bool:
    return masked.seed_id == hole.seed_id and (
        masked.span.start_ns <= hole.span.start_ns and hole.span.end_ns <= masked.span.end_ns
    )


def _groups(parts: Iterable[_Part]) -> list[list[_Part]]:
    """Put together the parts that share a channel, in their order."""
    groups: list[list[_Part]] = []
    for part in parts:
        shared = [
            group for group in groups if any(other.seed_ids & part.seed_ids for other in group)
        ]
        groups = [group for group in groups if group not in shared]
        groups.append([*(other for group in shared for other in group), part])
    return groups


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
