"""What the source was asked for and did not have: not yet, or not at all."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from geomon.config import Config
from geomon.ids import SeedId, StreamId
from geomon.services.workspace import workspace
from geomon.stores.gaps import GapState
from geomon.times import TimeSpan, format_ns, from_ns, subtracted


@dataclass(frozen=True, slots=True)
class Missing:
    """A hole of one channel, what is known of it, and when the source is asked again.

    `state` is ``pending`` while data may be late, ``unconfirmed`` when the source said once that
    it has none, ``confirmed`` when it said so again later; then `next_ns` is None.
    """

    channel: str
    span: TimeSpan
    state: GapState
    n_asked: int
    next_ns: int | None

    @property
    def stream_id(self) -> StreamId:
        """The sensor."""
        code = self.channel.rpartition(".")[2]
        if len(code) == 2:  # a hole of all components
            return StreamId.parse(self.channel)
        return SeedId.parse(self.channel).stream_id

    def within(self, span: TimeSpan) -> "Missing":
        """Return the part of it in a span."""
        return replace(self, span=self.span.intersection(span))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "channel": self.channel,
            "start": format_ns(self.span.start_ns),
            "end": format_ns(self.span.end_ns),
            "state": self.state,
            "n_asked": self.n_asked,
            "next": None if self.next_ns is None else format_ns(self.next_ns),
        }


def missing(config: Config, span: TimeSpan, *, stations: tuple[str, ...] = ()) -> list[Missing]:
    """Return the holes that the source was asked for, in (channel, time) order.

    What has come some other way since is left out.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Time of interest; holes are cut to it.
    stations : tuple of str
        ``NET.STA`` patterns; all stations when empty.
    """
    space = workspace(config)
    by_stream: dict[StreamId, list[Missing]] = defaultdict(list)
    for gap in space.catalog.gaps.in_span(span):
        hole = Missing(gap.key, gap.span.intersection(span), gap.state, gap.n_asked, gap.next_ns)
        if not stations or hole.stream_id.station_id.matches(stations):
            by_stream[hole.stream_id].append(hole)
    found = []
    for stream_id, holes in by_stream.items():
        held = {str(key): spans for key, spans in space.archive.coverage(stream_id, span).items()}
        for hole in holes:
            for rest in subtracted(hole.span, held.get(hole.channel, ())):
                found.append(replace(hole, span=rest))
    return sorted(found, key=lambda hole: (hole.channel, hole.span))


def missing_summary(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    at_most: int = 20,
    now_ns: int | None = None,
) -> list[str]:
    """Return a line for each hole, in (channel, time) order; components that share it, together.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Time of interest.
    stations : tuple of str
        ``NET.STA`` patterns; all stations when empty.
    at_most : int
        How many holes to name, the longest of them; a last line counts the others.
    now_ns : int, optional
        The time; now.
    """
    instant = time.time_ns() if now_ns is None else now_ns
    alike: dict[tuple[str, TimeSpan, GapState, int, int | None], str] = {}
    for hole in missing(config, span, stations=stations):
        stream = str(hole.stream_id)
        what = (stream, hole.span, hole.state, hole.n_asked, hole.next_ns)
        alike[what] = alike.get(what, "") + hole.channel[len(stream) :]
    longest = sorted(alike, key=lambda what: (-what[1].duration_s, what[:2]))[:at_most]
    lines = []
    for what in sorted(longest, key=lambda what: what[:2]):
        stream, where, state, n_asked, next_ns = what
        components = alike[what]
        channel = stream + (f"[{components}]" if len(components) > 1 else components)
        times = "once" if n_asked == 1 else f"{n_asked} times"
        if state == "confirmed":
            said = f"confirmed: the source has none, asked {times}"
        else:
            said = f"missing, asked {times}, {_next(next_ns, instant)}"
        lines.append(f"{channel} {_when(where)} {said}")
    return [*lines, *_others(list(alike), longest)]


def _others(
    every: Sequence[tuple[str, TimeSpan, GapState, int, int | None]],
    named: Sequence[tuple[str, TimeSpan, GapState, int, int | None]],
) -> list[str]:
    n_others = len(every) - len(named)
    if not n_others:
        return []
    rest_s = sum(what[1].duration_s for what in every) - sum(what[1].duration_s for what in named)
    return [f"… and {n_others} shorter holes, {rest_s:.1f} s in all"]


def _next(next_ns: int | None, now_ns: int) -> str:
    if next_ns is None or next_ns <= now_ns:
        return "due to be asked again now"
    return f"next at {from_ns(next_ns):%Y-%m-%d %H:%M:%S}"


def _when(span: TimeSpan) -> str:
    start, end = span.start, span.end
    until = f"{end:%H:%M:%S}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{start:%Y-%m-%d %H:%M:%S}–{until}"
