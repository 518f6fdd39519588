"""Size the events of the catalogue that no sensor with a response saw, by their neighbours."""

from dataclasses import dataclass, replace

from geomon.config import Config
from geomon.events import Event, Magnitude
from geomon.locating.duration import DURATION_TYPE
from geomon.locating.relative import RELATIVE_TYPE, relative_magnitude
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
    ``MLrel`` wherever it is shown. A second run changes nothing.

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
        if event.review_state != "automatic" or not _needs_one(event):
            continue
        found = relative_magnitude(event, events, config.magnitude)
        if not isinstance(found, Magnitude):
            refused.append(f"{event.event_id}: {found.reason}")
            continue
        others = [event.preferred_magnitude, *event.other_magnitudes]
        kept = tuple(
            one for one in others if one is not None and one.magnitude_type != RELATIVE_TYPE
        )
        sized = replace(event, preferred_magnitude=found, other_magnitudes=kept)
        if event.preferred_magnitude != found:
            wanted.append((sized, "sized by its neighbours"))
    ids = tuple(event.event_id for event, _ in wanted)
    if wanted and not dry_run:
        ids = Tidying(catalog.database).restate(wanted, catalog.begin_run("relative"))
    return RelativeReport(tuple(sorted(ids)), tuple(refused))


def _needs_one(event: Event) -> bool:
    magnitude = event.preferred_magnitude
    return magnitude is None or magnitude.magnitude_type == DURATION_TYPE
