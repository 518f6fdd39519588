"""Which archived channels a request names, and who may have them."""

from collections.abc import Iterator, Sequence

from geomon.api.access import Access
from geomon.api.fdsn import RequestProblem
from geomon.api.selection import Selection
from geomon.config import FdsnSource
from geomon.ids import SeedId, StreamId
from geomon.services.workspace import Workspace
from geomon.times import TimeSpan, day_span, merged


class Holdings:
    """What the archive holds at the moment of one request.

    Parameters
    ----------
    space : Workspace
        The network.
    access : Access
        Who may read what is restricted.
    """

    def __init__(self, space: Workspace, access: Access) -> None:
        self.space = space
        self._access = access
        channels = space.public_stations().channels
        self._restricted = {channel.seed_id for channel in channels if channel.restricted}
        self._known = {channel.seed_id for channel in channels}
        source = space.config.source
        self._is_open = not isinstance(source, FdsnSource) or source.auth == "none"

    def is_restricted(self, seed_id: SeedId) -> bool:
        """Tell whether a channel's waveforms are not for everyone.

        A channel that no metadata describe is, if it came from a data centre that was shown
        credentials.
        """
        return seed_id in self._restricted or not (self._is_open or seed_id in self._known)

    def may_read(self, user: str | None, seed_id: SeedId) -> bool:
        """Tell whether a user, or anyone, may read a channel's waveforms."""
        return not self.is_restricted(seed_id) or self._access.may_read(user, seed_id)

    def streams(
        self, selections: Sequence[Selection]
    ) -> Iterator[tuple[StreamId, dict[TimeSpan, list[Selection]]]]:
        """Yield the archived sensors that may be named, with the selections for each span."""
        archive = self.space.archive
        for stream in archive.streams():
            named = [s for s in selections if s.may_name(stream.seed_id("Z"))]
            days = archive.days(stream) if named else []
            if not days:
                continue
            held = TimeSpan(day_span(days[0]).start_ns, day_span(days[-1]).end_ns)
            asked: dict[TimeSpan, list[Selection]] = {}
            for selection in named:
                span = held.intersection(selection.span)
                if not span.is_empty:
                    asked.setdefault(span, []).append(selection)
            yield stream, asked

    def readable(
        self, selections: Sequence[Selection], user: str | None
    ) -> dict[SeedId, list[TimeSpan]]:
        """Return the channels selected that a user may read, in order, each with its spans.

        Raises
        ------
        RequestProblem
            With status 403 if there are some, and the user may read none.
        """
        found: dict[SeedId, list[TimeSpan]] = {}
        is_refused = False
        for stream, asked in self.streams(selections):
            for span, of_span in asked.items():
                for seed_id in self.space.archive.coverage(stream, span):
                    if not any(selection.names(seed_id) for selection in of_span):
                        continue
                    if self.may_read(user, seed_id):
                        found.setdefault(seed_id, []).append(span)
                    else:
                        is_refused = True
        if is_refused and not found:
            raise RequestProblem(403, "the channels asked for are restricted")
        return {seed_id: merged(found[seed_id]) for seed_id in sorted(found)}
