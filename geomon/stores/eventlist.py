"""Answers of the catalogue: events and picks as sequences that also make tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from types import MappingProxyType
from typing import TYPE_CHECKING, overload

from geomon.events import Event, Pick
from geomon.stores.quakeml import to_obspy
from geomon.stores.summary import EVENT_COLUMNS, Contribution, EventSummary

if TYPE_CHECKING:
    from obspy.core.event import Catalog as ObspyCatalog
    from pandas import DataFrame

_CHUNK = 500
"""Whole events held in memory at a time while iterating."""


PICK_COLUMNS = (
    "network", "station", "location", "channel", "phase", "time", "probability", "uncertainty_s",
    "snr", "amplitude", "polarity", "polarity_probability", "picker", "event_id",
)  # fmt: skip


class EventList(Sequence[Event]):
    """Events of one query, in its order.

    Summaries are held; whole events, with arrivals and station magnitudes, are read when asked
    for, so that iterating over a large answer needs little memory. The events are those of the
    moment of the query, whatever is written since.

    Parameters
    ----------
    summaries : sequence of EventSummary
        One a event.
    keys : sequence of int
        What `load` knows each event by.
    load : callable
        Reads whole events by their keys.
    agency : str
        Agency id for QuakeML.
    contributions : mapping of str to Contribution
        Where events come from, by their ids; those of `agency` are left out.
    """

    def __init__(
        self,
        summaries: Sequence[EventSummary],
        keys: Sequence[int],
        load: Callable[[Sequence[int]], list[Event]],
        agency: str = "geomon",
        contributions: Mapping[str, Contribution] = MappingProxyType({}),
    ) -> None:
        self.summaries = tuple(summaries)
        self.agency = agency
        self.contributions = contributions
        self._keys = tuple(keys)
        self._load = load

    def __len__(self) -> int:
        return len(self.summaries)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> "EventList": ...
    def __getitem__(self, index: int | slice) -> "Event | EventList":
        if isinstance(index, slice):
            return EventList(
                self.summaries[index], self._keys[index], self._load, self.agency,
                self.contributions,
            )  # fmt: skip
        return self._load([self._keys[index]])[0]

    def __iter__(self) -> Iterator[Event]:
        for keys in batched(self._keys, _CHUNK):
            yield from self._load(keys)

    def __repr__(self) -> str:
        return f"EventList({len(self)} events)"

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The events' ids, in order."""
        return tuple(summary.event_id for summary in self.summaries)

    def to_pandas(self) -> "DataFrame":
        """Return one row an event, columns as in `EventSummary`; times are UTC, unknown is NaN."""
        import pandas as pd

        frame = pd.DataFrame(list(self.summaries), columns=list(EVENT_COLUMNS))
        for name in ("time", "updated"):
            frame[name] = pd.to_datetime(frame[name], utc=True)
        return frame

    def to_obspy(self) -> "ObspyCatalog":
        """Return an ObsPy catalogue that holds all geomon knows of the events."""
        return to_obspy(self, agency=self.agency, contributions=self.contributions)


class PickList(list[Pick]):
    """Picks of one query, in (time, stream, phase) order.

    Parameters
    ----------
    picks : iterable of Pick
        The picks.
    events : callable
        Returns, for each pick, the id of the event that uses it, or an empty text.
    """

    def __init__(self, picks: Iterable[Pick], events: Callable[[], list[str]]) -> None:
        super().__init__(picks)
        self._events = events

    def event_ids(self) -> list[str]:
        """Return, for each pick, the id of the event that uses it now, or an empty text."""
        return self._events()

    def rows(self) -> list[tuple[object, ...]]:
        """Return one tuple a pick, in the order of `PICK_COLUMNS`."""
        return [
            (
                pick.seed_id.network,
                pick.seed_id.station,
                pick.seed_id.location,
                pick.seed_id.channel,
                pick.phase,
                pick.time,
                pick.probability,
                pick.uncertainty_s,
                pick.snr,
                pick.amplitude,
                pick.polarity,
                pick.polarity_probability,
                pick.picker,
                event_id,
            )
            for pick, event_id in zip(self, self.event_ids(), strict=True)
        ]

    def to_pandas(self) -> "DataFrame":
        """Return one row a pick, columns as `PICK_COLUMNS`; times are UTC."""
        import pandas as pd

        frame = pd.DataFrame(self.rows(), columns=list(PICK_COLUMNS))
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        return frame
