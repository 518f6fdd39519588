"""What every source of waveforms promises, whatever lies behind it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from geomon.config import Network
from geomon.ids import SeedId
from geomon.stations import Stations
from geomon.times import NS_PER_S, TimeSpan, merged, subtracted
from geomon.waveforms import Asked, Gap, Provenance, Segment

type Outcome = Literal[
    "data",
    "nodata",
    "throttled",
    "too_large",
    "auth",
    "network",
    "truncated",
    "not_data",
    "rejected",
]
"""How a request ended.

``data``: all the source has was received whole. ``nodata``: the source says it has nothing (yet).
``throttled``: asked to come later. ``too_large``: refused even in its smallest piece. ``auth``: not
allowed. ``network``: no proper answer (refused, timeout, 5xx). ``truncated``: parts arrived
damaged or cut, and asking again did not mend all. ``not_data``: the answer is no miniSEED.
``rejected``: the request itself is refused.
"""

_WORST_FIRST: tuple[Outcome, ...] = (
    "auth", "rejected", "too_large", "throttled", "network", "not_data", "truncated", "data",
    "nodata",
)  # fmt: skip

RETRYABLE: frozenset[Outcome] = frozenset(
    {"nodata", "throttled", "network", "truncated", "not_data"}
)
"""Outcomes after which the same request may bring more at a later time."""


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """What one bounded request brought.

    Attributes
    ----------
    outcome : Outcome
        How the request ended. Segments may be present with any outcome: what arrived sound is
        kept even when the rest failed.
    segments : tuple of Segment
        Sound samples inside the span asked for, in (channel, time) order. Segments of one channel
        overlap only where the source sent different samples for the same time.
    provenance : Provenance
        Source, request, and SHA-256 of the bytes received.
    n_bytes : int
        Bytes received.
    problems : tuple of str
        One line for each thing that went wrong or was left out.
    missing : tuple of Gap
        The spans of every channel asked for that hold no sample.
    unchecked : tuple of SeedId
        Channels with records that carry no checksum: a flipped bit there goes unseen.
    asked : tuple of Asked
        Every request made, in order; none for sources that make none.
    timing_quality : mapping of SeedId to float
        What the records say of their clock, percent; channels that say nothing are absent.
    """

    outcome: Outcome
    segments: tuple[Segment, ...]
    provenance: Provenance
    n_bytes: int = 0
    problems: tuple[str, ...] = ()
    missing: tuple[Gap, ...] = ()
    unchecked: tuple[SeedId, ...] = ()
    asked: tuple[Asked, ...] = ()
    timing_quality: Mapping[SeedId, float] = field(default_factory=dict)

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may bring more later."""
        return self.outcome in RETRYABLE


@runtime_checkable
class WaveformSource(Protocol):
    """Somewhere waveforms and station metadata come from."""

    def stations(self, span: TimeSpan) -> Stations:
        """Return the network's stations with their epochs in `span`.

        Raises
        ------
        SourceError
            If the metadata cannot be had; `retryable` says whether later may be better.
        StationMetadataError
            If they were had and cannot be used at all.
        """
        ...

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Fetch some channels in one span, as one bounded request.

        A source that fails is an outcome, never an exception.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some of what a streaming source sends, and the means to tell it that this is safe.

    Attributes
    ----------
    fetched : Fetched
        Samples received; none in a last batch that only tells how it all ended.
    commit : callable
        To be called when the samples are durable: they are not sent again then. Whatever was not
        committed is sent again, however the process ended.
    """

    fetched: Fetched
    commit: Callable[[], None]


@runtime_checkable
class StreamingSource(WaveformSource, Protocol):
    """A waveform source that sends what is new, whatever its time."""

    def collect(self, seed_ids: Sequence[SeedId]) -> Iterator[Batch]:
        """Yield all that was recorded since what was committed last, until there is no more.

        A batch not committed before the next is asked for ends the iteration. A source that fails
        is an outcome, never an exception.
        """
        ...


def worst(outcomes: Iterable[Outcome], default: Outcome) -> Outcome:
    """Return the outcome a person should hear of first; `default` when there is none."""
    return min(outcomes, key=_WORST_FIRST.index, default=default)


def chosen(stations: Stations, network: Network) -> Stations:
    """Return only the stations and band codes a network's configuration selects.

    A pattern of ``network.select`` that names no station with such channels is a problem.
    """
    selected = stations.selected(network.select)
    channels = tuple(c for c in selected.channels if c.seed_id.channel[:2] in network.channels)
    station_ids = {channel.seed_id.station_id for channel in channels}
    unknown = [
        f"{pattern}: no station with channels {', '.join(network.channels)} in the metadata"
        for pattern in network.select
        if not any(station_id.matches((pattern,)) for station_id in station_ids)
    ]
    return Stations(channels, (*selected.problems, *unknown), selected.credits)


class Recorded(Protocol):
    """Something that says where samples of one channel are."""

    @property
    def seed_id(self) -> SeedId:
        """Channel."""
        ...

    @property
    def span(self) -> TimeSpan:
        """From the first sample to one sample after the last."""
        ...

    @property
    def sampling_rate_hz(self) -> float:
        """Samples per second."""
        ...


def holes(
    segments: Iterable[Recorded], seed_ids: Iterable[SeedId], span: TimeSpan
) -> tuple[Gap, ...]:
    """Return the spans of each channel in which a sample is missing.

    A span edge that falls between two samples is no hole, and neither is a step of the time line
    by less than half a sample.
    """
    of_channel: dict[SeedId, list[Recorded]] = {seed_id: [] for seed_id in seed_ids}
    for segment in segments:
        if segment.seed_id in of_channel:
            of_channel[segment.seed_id].append(segment)
    found: list[Gap] = []
    for seed_id, present in sorted(of_channel.items()):
        period_ns = max((NS_PER_S / s.sampling_rate_hz for s in present), default=0.0)
        for hole in subtracted(span, merged(segment.span for segment in present)):
            # Before the first sample a whole period must be free for one to be missing; after the
            # last sample the next one is due at once, give or take the resolution of its time.
            if hole.start_ns == span.start_ns:
                shortest_ns = 0.999 * period_ns
            elif hole.end_ns == span.end_ns:
                shortest_ns = 0.1 * period_ns
            else:
                shortest_ns = 0.5 * period_ns
            if hole.end_ns - hole.start_ns >= shortest_ns:
                found.append(Gap(seed_id, hole))
    return tuple(found)
