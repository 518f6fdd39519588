"""Which station-hours were archived, picked and located: what an empty answer is worth.

And of the hours without data, which may still come and which the source says it has not.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from statistics import fmean
from typing import Any

from geomon.config import Config
from geomon.ids import StationId, StreamId
from geomon.services.missing import Missing, missing
from geomon.services.pick import PIECE_NS, known_pieces, picker_version
from geomon.services.workspace import Workspace, workspace
from geomon.times import NS_PER_S, TimeSpan, day_span, merged

_HOUR_NS = 3600 * NS_PER_S
_MOST_HOURS = 5 * 24
_SIGNS = (("pending", "~"), ("unconfirmed", "?"), ("confirmed", "x"))


@dataclass(frozen=True, slots=True)
class StationHour:
    """Share, from 0 to 1, of one stream's hour that went through each stage.

    `missing` names what the source was asked for and did not have. An hour without data that is
    not there was not asked for yet, or the source gave no answer.
    """

    stream: str
    start: datetime
    archived: float
    picked: float
    located: float
    missing: tuple[Missing, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"missing": [hole.as_dict() for hole in self.missing]}


def coverage(
    config: Config, span: TimeSpan, *, stations: tuple[str, ...] = ()
) -> list[StationHour]:
    """Return one row a stream and hour, in (stream, time) order, also where nothing is held.

    A sample is archived when any component holds it, picked when the current picker has read
    it, and located when its tile was associated since.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    lacking: dict[tuple[StreamId, int], list[Missing]] = defaultdict(list)
    for hole in missing(config, span, stations=stations):
        for part in hole.span.steps(_HOUR_NS):
            lacking[hole.stream_id, part.start_ns // _HOUR_NS].append(hole.within(part))
    rows = []
    for held in stream_spans(config, span, stations=stations):
        for hour in span.steps(_HOUR_NS):
            rows.append(
                StationHour(
                    str(held.stream),
                    hour.start,
                    archived=_share(hour, held.archived),
                    picked=_share(hour, held.picked),
                    located=_share(hour, held.located),
                    missing=tuple(lacking.get((held.stream, hour.start_ns // _HOUR_NS), ())),
                )
            )
    return rows


@dataclass(frozen=True, slots=True)
class StreamSpans:
    """What of one stream is archived, picked, and picked and located: disjoint spans in order."""

    stream: StreamId
    archived: list[TimeSpan]
    picked: list[TimeSpan]
    located: list[TimeSpan]


def stream_spans(
    config: Config, span: TimeSpan, *, stations: tuple[str, ...] = ()
) -> list[StreamSpans]:
    """Return how far each stream went through the stages within `span`, in stream order.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    space = workspace(config)
    inventory = space.stations().selected(stations)
    wanted = set(inventory.preferred_streams(span, config.network.channels))
    wanted |= {s for s in space.archive.streams() if s.station_id in inventory.station_ids()}
    located = space.coverage.spans("locate", "network", span, states=("done",))
    found = []
    for stream in sorted(wanted):
        archived = archived_spans(config, stream, span)
        picked = common(archived, picked_spans(config, stream, span))
        found.append(StreamSpans(stream, archived, picked, common(picked, located)))
    return found


def newest_samples(space: Workspace) -> dict[StationId, int]:
    """Return the end of the newest archived sample of every station that has any."""
    ends: dict[StationId, int] = {}
    for stream in space.archive.streams():
        if not (days := space.archive.days(stream)):
            continue
        held = space.archive.coverage(stream, day_span(days[-1]))
        for span in (span for spans in held.values() for span in spans):
            ends[stream.station_id] = max(span.end_ns, ends.get(stream.station_id, 0))
    return dict(sorted(ends.items()))


def archived_spans(config: Config, stream: StreamId, span: TimeSpan) -> list[TimeSpan]:
    """Return the parts of a span for which any component of a stream is archived."""
    held = workspace(config).archive.coverage(stream, span)
    return merged(part for parts in held.values() for part in parts)


def picked_spans(config: Config, stream: StreamId, span: TimeSpan) -> list[TimeSpan]:
    """Return the pieces of a span that the current picker has read."""
    space = workspace(config)
    step = PIECE_NS
    version = picker_version(config)
    pieces = [
        TimeSpan(piece * step, (piece + 1) * step)
        for day in span.aligned(step).days()
        for piece in known_pieces(
            space.coverage.input_hash("pick", str(stream), day_span(day), version)
        )
    ]
    return merged(pieces)


def common(ones: Iterable[TimeSpan], others: Iterable[TimeSpan]) -> list[TimeSpan]:
    """Return what two sets of spans share, merged."""
    kept = list(others)
    return merged(one.intersection(other) for one in ones for other in kept if one.overlaps(other))


def _share(hour: TimeSpan, parts: Iterable[TimeSpan]) -> float:
    held = sum(part.intersection(hour).duration_s for part in parts if part.overlaps(hour))
    return round(held / hour.duration_s, 4)


def table(rows: list[StationHour], span: TimeSpan) -> str:
    """Draw one line a stream: a sign an hour, or a day of spans too long for that.

    ``#`` everything located, ``+`` picked, ``.`` archived, ``-`` partly archived. Without data:
    ``~`` they may still come, ``?`` the source has none so far, ``x`` it said so again later, blank
    no answer yet.
    """
    if not rows:
        return "no station of the network is meant; `geomon archive info` lists what is archived"
    lines = []
    width = max(len(row.stream) for row in rows)
    by_stream: dict[str, list[StationHour]] = defaultdict(list)
    for row in rows:
        by_stream[row.stream].append(row)
    is_long = any(len(hours) > _MOST_HOURS for hours in by_stream.values())
    for stream, hours in by_stream.items():
        signs = "".join(_sign(row) for row in (_days(hours) if is_long else hours))
        share = sum(row.archived for row in hours) / len(hours)
        lines.append(f"{stream:<{width}} |{signs}| {share:6.1%} archived")
    head = f"{span.start:%Y-%m-%dT%H:%M} to {span.end:%Y-%m-%dT%H:%M}"
    head = f"{head}, a sign {'a day' if is_long else 'an hour'}: "
    legend = "# located, + picked, . archived, - in part"
    absent = "no data: ~ may still come, ? none so far, x there are none, blank no answer yet"
    return "\n".join([f"{head}{legend}; {absent}", *lines])


def _days(hours: list[StationHour]) -> list[StationHour]:
    """Return the means of each day's hours, all that is missing with them."""
    by_day: dict[date, list[StationHour]] = defaultdict(list)
    for row in hours:
        by_day[row.start.date()].append(row)
    return [
        StationHour(
            of_day[0].stream,
            of_day[0].start,
            archived=fmean(row.archived for row in of_day),
            picked=fmean(row.picked for row in of_day),
            located=fmean(row.located for row in of_day),
            missing=tuple(hole for row in of_day for hole in row.missing),
        )
        for of_day in by_day.values()
    ]


def _sign(row: StationHour) -> str:
    if row.archived == 0:
        states = {hole.state for hole in row.missing}
        return next((sign for state, sign in _SIGNS if state in states), " ")
    if row.archived < 0.5:
        return "-"
    if row.located >= 0.99 * row.archived:
        return "#"
    return "+" if row.picked >= 0.99 * row.archived else "."
