"""What of a station-day the archive lacks, and which of it is worth asking for now."""

import time
from collections.abc import Iterator, Mapping, Sequence

from geomon.ids import SeedId
from geomon.services.workspace import Workspace
from geomon.times import NS_PER_S, TimeSpan, merged, subtracted
from geomon.waveforms import Segment, span_of

_LIVE_NS = 7200 * NS_PER_S
_SLOWEST_HZ = 20.0
_MOST = 0.5
"""Channels that lack this share of a span are asked for together."""
_MAX_HOLES = 24
"""More holes than this in a station-day are asked for as one span: cheaper for everyone."""


class Holes:
    """The holes of some channels of one station in a span.

    Parameters
    ----------
    space : Workspace
        The network's stores.
    span : TimeSpan
        Where to look.
    seed_ids : sequence of SeedId
        Channels of interest.
    """

    def __init__(self, space: Workspace, span: TimeSpan, seed_ids: Sequence[SeedId]) -> None:
        self._space = space
        self._span = span
        self._seed_ids = tuple(seed_ids)

    def to_ask(self) -> list[tuple[TimeSpan, tuple[SeedId, ...]]]:
        """Return what to ask for, and of which channels: holes never asked for, due again, or live.

        Data come late, so a hole that reaches to the end of a recent span is asked for every
        time; others follow the schedule of `geomon.stores.gaps`. Channels that lack nearly the
        same are asked for together; a dead one does not make the others be asked for again.
        """
        wanted: dict[SeedId, list[TimeSpan]] = {}
        for seed_id, holes in self._of(self._span).items():
            live = [hole for hole in holes if _is_live(hole, self._span)]
            settled = [hole for hole in holes if hole not in live]
            wanted[seed_id] = merged(
                [*live, *self._space.catalog.gaps.to_ask(str(seed_id), settled)]
            )
        return list(_grouped(wanted))

    def note(self, asked: TimeSpan, seed_ids: Sequence[SeedId]) -> None:
        """Remember what an answer for some channels lacked, and forget gaps that it filled."""
        gaps = self._space.catalog.gaps
        noted: dict[str, list[TimeSpan]] = {}
        for seed_id, holes in self._of(asked).items():
            if seed_id not in seed_ids:
                continue
            # The live end is that of the span looked at, not of a part of it asked for.
            left = [hole for hole in holes if not _is_live(hole, self._span)]
            if left or gaps.known(str(seed_id), asked):
                noted[str(seed_id)] = left
        # At once: were only some noted, the next question would be another one.
        gaps.note_all(noted, asked)

    def lacks(self, span: TimeSpan, seed_ids: Sequence[SeedId]) -> bool:
        """Tell whether the archive lacks anything of some channels in a span."""
        return any(holes for seed_id, holes in self._of(span).items() if seed_id in seed_ids)

    def lacked(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return what the archive lacks of some segments, to half a sample.

        Requests reach a little beyond holes. Were what they bring twice kept twice, the archive
        would name other requests after work that was interrupted than after work that was not.
        """
        span = span_of(segments)
        if span is None:
            return []
        held = {
            seed_id: parts
            for stream in {segment.seed_id.stream_id for segment in segments}
            for seed_id, parts in self._space.archive.coverage(stream, span).items()
        }
        found = []
        for segment in segments:
            half_s = 0.5 / segment.sampling_rate_hz
            for hole in subtracted(segment.span, held.get(segment.seed_id, [])):
                part = segment.clipped(hole.padded(half_s))
                if part is not None:
                    found.append(part)
        return found

    def _of(self, span: TimeSpan) -> dict[SeedId, list[TimeSpan]]:
        """Return what the archive lacks of each channel; the span may begin between samples."""
        streams = {seed_id.stream_id for seed_id in self._seed_ids}
        held = {
            seed_id: parts
            for stream in streams
            for seed_id, parts in self._space.archive.coverage(stream, span).items()
        }
        found = {}
        for seed_id in self._seed_ids:
            channel = self._space.stations().channel(seed_id, span.start_ns)
            rate = channel.sampling_rate_hz if channel and channel.sampling_rate_hz else _SLOWEST_HZ
            holes = subtracted(span, held.get(seed_id, []))
            found[seed_id] = [hole for hole in holes if hole.duration_s > 2 / rate]
        return found


def _grouped(
    wanted: Mapping[SeedId, Sequence[TimeSpan]],
) -> Iterator[tuple[TimeSpan, tuple[SeedId, ...]]]:
    """Yield spans with the channels that lack most of each."""
    parts = merged(span for spans in wanted.values() for span in spans)
    if len(parts) > _MAX_HOLES:
        parts = [TimeSpan(parts[0].start_ns, parts[-1].end_ns)]
    alone: dict[SeedId, list[TimeSpan]] = {}
    for part in parts:
        lacking = {
            seed_id: [span for span in spans if span.overlaps(part)]
            for seed_id, spans in wanted.items()
        }
        lacking = {seed_id: spans for seed_id, spans in lacking.items() if spans}
        together = tuple(
            seed_id
            for seed_id, spans in lacking.items()
            if sum(span.duration_s for span in spans) >= _MOST * part.duration_s
        )
        if not together:  # each lacks another part: one request for all is the simplest
            together = tuple(lacking)
        yield part, together
        for seed_id in lacking.keys() - set(together):
            alone.setdefault(seed_id, []).extend(lacking[seed_id])
    if alone:
        yield from _grouped(dict(sorted(alone.items())))


def _is_live(hole: TimeSpan, span: TimeSpan) -> bool:
    return hole.end_ns == span.end_ns and time.time_ns() - hole.end_ns < _LIVE_NS
