"""How the network is doing: newest data, coverage of a span, health of each station."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from geomon.errors import PickerMismatch, StationMetadataError
from geomon.ids import StationId, StreamId
from geomon.services.coverage import StreamSpans, archived_spans, stream_spans
from geomon.services.workspace import Workspace
from geomon.stations import Stations
from geomon.times import NS_PER_S, TimeSpan, day_span, merged

logger = logging.getLogger(__name__)

_KEPT_S = 5.0
_KEPT_ITEMS = 32


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of time during which the same numbers of stations were covered."""

    span: TimeSpan
    n_archived: int
    n_located: int


@dataclass(frozen=True, slots=True)
class StationSpans:
    """What of one station, on any of its sensors, is archived, picked and located."""

    archived: list[TimeSpan]
    picked: list[TimeSpan]
    located: list[TimeSpan]


class Watch:
    """Reads archive and ledger; answers are kept for some seconds, since pages ask in bursts."""

    def __init__(self, space: Workspace) -> None:
        self.space = space
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def stations(self) -> Stations:
        """Return the stations; none when nothing was ever ingested."""
        return self.space.public_stations()

    def data_span(self) -> TimeSpan | None:
        """Return the span from the first archived sample to the newest; None without any."""
        newest = self.newest()
        if not newest:
            return None
        end_ns = max(newest.values())
        return TimeSpan(min(self._cached("first", self._first_ns), end_ns), end_ns)

    def newest(self) -> dict[StationId, int]:
        """Return the end of the newest sample of every station that has any."""
        return self._cached("newest", self._newest)

    def streams(self, span: TimeSpan) -> list[StreamSpans]:
        """Return how far each stream went through the stages; nothing without metadata.

        Where the configured picker cannot be read nothing counts as picked: what is archived is
        shown all the same.
        """

        def read() -> list[StreamSpans]:
            config = self.space.config
            try:
                return stream_spans(config, span)
            except StationMetadataError:
                return []
            except PickerMismatch as error:
                logger.warning("coverage: %s", error)
                streams = self.space.archive.streams()
                return [StreamSpans(s, archived_spans(config, s, span), [], []) for s in streams]

        return self._cached(span, read)

    def by_station(self, span: TimeSpan) -> dict[StationId, StationSpans]:
        """Return how far each station went through the stages."""
        of_station: dict[StationId, list[StreamSpans]] = {
            station_id: [] for station_id in self.stations().station_ids()
        }
        for held in self.streams(span):
            of_station.setdefault(held.stream.station_id, []).append(held)
        return {
            station_id: StationSpans(
                merged(part for held in streams for part in held.archived),
                merged(part for held in streams for part in held.picked),
                merged(part for held in streams for part in held.located),
            )
            for station_id, streams in sorted(of_station.items())
        }

    def watched(self, span: TimeSpan) -> float:
        """Return the share of a span that was searched for events on enough stations."""
        needed = self.space.config.association.min_stations
        steps = timeline(self.by_station(span), span)
        return share([step.span for step in steps if step.n_located >= needed], span)

    def _newest(self) -> dict[StationId, int]:
        ends: dict[StationId, int] = {}
        for stream in self.space.archive.streams():
            end_ns = self._end_of(stream)
            if end_ns is not None:
                ends[stream.station_id] = max(end_ns, ends.get(stream.station_id, end_ns))
        return ends

    def _end_of(self, stream: StreamId) -> int | None:
        days = self.space.archive.days(stream)
        if not days:
            return None
        held = self.space.archive.coverage(stream, day_span(days[-1]))
        return max((span.end_ns for spans in held.values() for span in spans), default=None)

    def _first_ns(self) -> int:
        archive = self.space.archive
        first_days = {
            stream: days[0] for stream in archive.streams() if (days := archive.days(stream))
        }
        day = min(first_days.values())
        starts = [
            span.start_ns
            for stream, first in first_days.items()
            if first == day
            for spans in archive.coverage(stream, day_span(day)).values()
            for span in spans
        ]
        return min(starts, default=day_span(day).start_ns)

    def _cached[T](self, key: Hashable, read: Callable[[], T]) -> T:
        with self._lock:
            found = self._kept.get(key)
            if found is not None and found[0] > time.monotonic():
                value: T = found[1]
                return value
        value = read()
        with self._lock:
            while len(self._kept) >= _KEPT_ITEMS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = (time.monotonic() + _KEPT_S, value)
        return value


def timeline(stations: dict[StationId, StationSpans], span: TimeSpan) -> list[Step]:
    """Count covered stations through a span: adjoining steps with changing counts.

    Edges are rounded to the second: each station has a time line of its own, and how they differ
    by fractions of a sample is no news.
    """
    changes: dict[int, list[int]] = {span.start_ns: [0, 0], span.end_ns: [0, 0]}
    for held in stations.values():
        for which, spans in enumerate((held.archived, held.located)):
            for part in spans:
                clipped = part.intersection(span)
                if not clipped.is_empty:
                    changes.setdefault(_rounded(clipped.start_ns, span), [0, 0])[which] += 1
                    changes.setdefault(_rounded(clipped.end_ns, span), [0, 0])[which] -= 1
    steps: list[Step] = []
    counts = [0, 0]
    times = sorted(changes)
    for start_ns, end_ns in pairwise(times):
        counts = [count + change for count, change in zip(counts, changes[start_ns], strict=True)]
        if steps and [steps[-1].n_archived, steps[-1].n_located] == counts:
            steps[-1] = Step(TimeSpan(steps[-1].span.start_ns, end_ns), *counts)
        else:
            steps.append(Step(TimeSpan(start_ns, end_ns), *counts))
    return steps


def _rounded(time_ns: int, within: TimeSpan) -> int:
    """Return the nearest whole second, or the edge of a span that is as near."""
    for edge_ns in (within.start_ns, within.end_ns):
        if abs(time_ns - edge_ns) <= NS_PER_S // 2:
            return edge_ns
    return (time_ns + NS_PER_S // 2) // NS_PER_S * NS_PER_S


def share(spans: list[TimeSpan], of: TimeSpan) -> float:
    """Return the share, from 0 to 1, of a span that disjoint spans cover."""
    if of.is_empty:
        return 0.0
    return min(1.0, sum(part.intersection(of).duration_s for part in spans) / of.duration_s)
