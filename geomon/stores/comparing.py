"""What changed between two answers of the catalogue, event by event."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from geomon.stores.summary import EVENT_COLUMNS, EventSummary

_HISTORY = ("revision", "updated")
"""Columns that differ whenever anything does, and say nothing about the earthquake."""


@dataclass(frozen=True, slots=True)
class EventDifference:
    """How one event differs: `columns` names what changed; a side where it is absent is None."""

    event_id: str
    kind: Literal["added", "removed", "changed"]
    before: EventSummary | None
    after: EventSummary | None
    columns: tuple[str, ...] = ()


def differences(
    before: Iterable[EventSummary], after: Iterable[EventSummary]
) -> list[EventDifference]:
    """Compare two lists of events by id, in order of origin time; equal events are left out.

    A revision whose summary is the same (only its arrivals differ) counts as changed, with no
    column named.
    """
    old = {summary.event_id: summary for summary in before}
    new = {summary.event_id: summary for summary in after}
    found = []
    for event_id in old.keys() | new.keys():
        one, two = old.get(event_id), new.get(event_id)
        if one is None:
            found.append(EventDifference(event_id, "added", None, two))
        elif two is None:
            found.append(EventDifference(event_id, "removed", one, None))
        elif one != two:
            columns = tuple(
                name
                for name in EVENT_COLUMNS
                if name not in _HISTORY and getattr(one, name) != getattr(two, name)
            )
            found.append(EventDifference(event_id, "changed", one, two, columns))
    return sorted(found, key=_time_and_id)


def _time_and_id(difference: EventDifference) -> tuple[str, str]:
    shown = difference.after or difference.before
    return ("" if shown is None else shown.time.isoformat(), difference.event_id)
