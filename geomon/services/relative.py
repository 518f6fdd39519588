"""Size the events of the catalogue that no sensor with a response saw, by their neighbours."""

from dataclasses import dataclass

from geomon.config import Config
from geomon.events import Event, Magnitude
from geomon.locating.relative import needs_relative, relative_magnitude, sized
from geomon.services.workspace import workspace
from geomon.stores.tidying import Tidying
from geomon.times import TimeSpan


@dataclass(frozen=True, slots=True)
class RelativeReport:
    """Ids of the events sized, and why others could not be."""

    sized: tuple[str, ...]
    refused: tuple[str, ...]


def size_by_neighbours(config: Config, span: TimeSpan, *, dry_run: bool = False) -> RelativeReport:
    """Give events without a local or moment magnitude one relative to their neighbours'.

    Only automatic events are sized; a duration magnitude stays as another one. It is called
    ``MLrel`` wherever it is shown. A second run changes nothing. The magnitude stays when the event
    is located again, until a sensor with a response gives one or this is run anew.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Origin times, of neighbours too.
    dry_run : bool
        Only tell.
    """
    catalog = workspace(config).catalog
    events = list(catalog.events(span.start_ns, span.end_ns))
    wanted: list[tuple[Event, str]] = []
    refused = []
    for event in events:
        if event.review_state != "automatic" or not needs_relative(event):
            continue
        found = relative_magnitude(event, events, config.magnitude)
        if not isinstance(found, Magnitude):
            refused.append(f"{event.event_id}: {found.reason}")
            continue
        if event.preferred_magnitude != found:
            wanted.append((sized(event, found), "sized by its neighbours"))
    ids = tuple(event.event_id for event, _ in wanted)
    if wanted and not dry_run:
        ids = Tidying(catalog.database).restate(wanted, catalog.begin_run("relative"))
    return RelativeReport(tuple(sorted(ids)), tuple(refused))
