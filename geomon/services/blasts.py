"""Name the quarry blasts in the catalogue."""

from dataclasses import dataclass, replace

from geomon.config import Config
from geomon.events import Event
from geomon.locating.blasts import EVENT_TYPE, LEAST_PROBABILITY, suspects
from geomon.services.workspace import workspace
from geomon.stores.tidying import Tidying
from geomon.times import TimeSpan

_EARTHQUAKE = "earthquake"


@dataclass(frozen=True, slots=True)
class Blast:
    """An event that may be a blast, and what became of that.

    Attributes
    ----------
    event_id, time : str
        Which event.
    probability : float
        That it was a blast.
    event_type : str
        What the catalogue calls it now.
    reason : str
        What speaks for it.
    """

    event_id: str
    time: str
    probability: float
    event_type: str
    reason: str


@dataclass(frozen=True, slots=True)
class BlastReport:
    """What was found: suspects, the ids newly called blasts, and those called earthquakes again."""

    suspects: tuple[Blast, ...]
    named: tuple[str, ...]
    taken_back: tuple[str, ...]


def name_blasts(config: Config, span: TimeSpan, *, dry_run: bool = False) -> BlastReport:
    """Look for quarry blasts among the events of a span, and call them so.

    Only automatic events are renamed, the likelier ones; what this once called a blast and would
    no longer is an earthquake again. Each new revision says why. A second run changes nothing.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Origin times; months, to tell habits by.
    dry_run : bool
        Only tell.
    """
    catalog = workspace(config).catalog
    events = [
        event
        for event in catalog.events(span.start_ns, span.end_ns)
        if event.event_type in (_EARTHQUAKE, EVENT_TYPE)
    ]
    found = suspects(events)
    likely = {one.place: one for one in found if one.probability >= LEAST_PROBABILITY}
    wanted: list[tuple[Event, str]] = []
    for place, event in enumerate(events):
        if event.review_state != "automatic":
            continue
        if place in likely and event.event_type == _EARTHQUAKE:
            reason = likely[place].reason
            blast = replace(event, event_type=EVENT_TYPE, reasons=(*event.reasons, reason))
            wanted.append((blast, reason))
        elif place not in likely and event.event_type == EVENT_TYPE:
            kept = tuple(one for one in event.reasons if not one.startswith("suspected blast"))
            again = replace(event, event_type=_EARTHQUAKE, reasons=kept)
            wanted.append((again, "no longer suspected to be a blast"))
    done: set[str] = {event.event_id for event, _ in wanted}
    if wanted and not dry_run:
        store = Tidying(catalog.database)
        done = set(store.restate(wanted, catalog.begin_run("blasts")))
    kinds = {event.event_id: event.event_type for event, _ in wanted if event.event_id in done}
    return BlastReport(
        tuple(
            Blast(
                events[one.place].event_id,
                f"{events[one.place].preferred_origin.time:%Y-%m-%dT%H:%M:%SZ}",
                one.probability,
                kinds.get(events[one.place].event_id, events[one.place].event_type),
                one.reason,
            )
            for one in found
        ),
        tuple(sorted(key for key, kind in kinds.items() if kind == EVENT_TYPE)),
        tuple(sorted(key for key, kind in kinds.items() if kind == _EARTHQUAKE)),
    )
