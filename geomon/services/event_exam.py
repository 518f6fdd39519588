"""Associate and locate a held-out stretch with the picks of several pickers, and count events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from geomon.config import Config
from geomon.events import Event, Pick
from geomon.locating.null import shifted_picks
from geomon.locating.solve import Solver
from geomon.services.workspace import workspace
from geomon.stores.labels import reviewed_events
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.training.dataset import BLOCK_NS, part_of_time

_SAME_S, _SAME_KM = 3.0, 30.0  # an event was found again


@dataclass(frozen=True, slots=True)
class Stretch:
    """A held-out hour with the events that people reviewed in it."""

    span: TimeSpan
    events: tuple[Event, ...]


def latest_stretch(config: Config, span: TimeSpan) -> Stretch | None:
    """Return the latest test hour of a span with reviewed events; None without any."""
    known = [
        one.event
        for one in reviewed_events(workspace(config).catalog.database, span)
        if one.event.review_state in ("reviewed", "confirmed")
        and part_of_time(_origin_ns(one.event)) == "test"
    ]
    if not known or not workspace(config).stations().at(span.end_ns - 1):
        return None
    start_ns = _origin_ns(known[-1]) // BLOCK_NS * BLOCK_NS
    hour = TimeSpan(start_ns, start_ns + BLOCK_NS)
    return Stretch(hour, tuple(event for event in known if hour.contains(_origin_ns(event))))


@dataclass(frozen=True, slots=True)
class Located:
    """What some picks of a stretch give.

    `n_found` of its events were found again; `n_by_chance` is how many events come of the same
    picks when each station's are shifted in time.
    """

    n_found: int
    n_by_chance: int


def located_again(
    config: Config, stretch: Stretch, picks: Sequence[Sequence[Pick]]
) -> list[Located]:
    """Associate and locate with each picker's picks of a stretch.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    solver = Solver.of(
        workspace(config).stations().at(stretch.span.end_ns - 1),
        config.velocity.model(),
        region=config.network.region,
        settings=config.association,
    )
    answers = []
    for some in picks:
        found = list(_located(solver, some, stretch.span))
        again = [any(_is_same(event, one, solver) for one in found) for event in stretch.events]
        chance = list(_located(solver, shifted_picks(some, 1), stretch.span))
        answers.append(Located(sum(again), len(chance)))
    return answers


def _located(solver: Solver, picks: Sequence[Pick], span: TimeSpan) -> Iterable[Event]:
    tiles = solver.grid.tiles(span)
    raw = {
        tile: solver.solve_tile(picks, tile)
        for middle in tiles
        for tile in (*solver.grid.neighbours(middle), middle)
    }
    for tile in tiles:
        before, after = solver.grid.neighbours(tile)
        solved = solver.settle(raw[before], raw[tile], raw[after], picks)
        yield from (Event(origin) for origin in solved.origins)


def _origin_ns(event: Event) -> int:
    return to_ns(event.preferred_origin.time)


def _is_same(one: Event, two: Event, solver: Solver) -> bool:
    frame = solver.network.frame
    origins = one.preferred_origin, two.preferred_origin
    (x1, y1), (x2, y2) = (frame.to_km(o.latitude, o.longitude) for o in origins)
    apart_km = float(np.hypot(x1 - x2, y1 - y2))
    return abs(_origin_ns(one) - _origin_ns(two)) <= _SAME_S * NS_PER_S and apart_km <= _SAME_KM
