"""How much association and location depend on each of their settings: one changed at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geomon.config import Association
from geomon.events import Origin, Pick
from geomon.locating.associate import thresholds
from geomon.locating.network import Network
from geomon.locating.solve import Solver
from geomon.locating.travel_times import TravelTimes
from geomon.times import TimeSpan, to_ns

_SHARE = 0.5  # of an event's picks that another must have to be the same
_LESS, _MORE = 0.7, 1.4  # of settings that are a length of some kind


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one choice of settings makes of the picks of a span.

    Attributes
    ----------
    name, value : str
        Which setting was changed, and to what; both empty for the settings as they are.
    n_events, n_picks : int
        Events found, and picks they use.
    median_rms_s : float
        Of the events' residuals; NaN without events.
    n_same, n_new, n_lost : int
        Events that share half of their picks with one found as things are; those that do not; and
        those found as things are that this choice does not find.
    """

    name: str
    value: str
    n_events: int
    n_picks: int
    median_rms_s: float
    n_same: int
    n_new: int
    n_lost: int


def variations(
    network: Network,
    travel_times: TravelTimes,
    settings: Association,
    picks: Sequence[Pick],
    duration_s: float,
) -> Iterator[tuple[str, str, Association]]:
    """Yield every documented setting a step down and up: name, value, settings with it.

    Those that follow from the network are changed from what they follow as.
    """
    derived = thresholds(network, travel_times, settings, picks, duration_s)
    counts = {
        "min_stations": (settings.min_stations, 1, 3),
        "min_picks": (derived.n_picks, max(round(0.2 * derived.n_picks), 1), 4),
        "min_p_picks": (settings.min_p_picks, 1, 0),
        "min_s_picks": (settings.min_s_picks, 1, 0),
    }
    for name, (value, step, least) in counts.items():
        for changed in (value - step, value + step):
            if changed >= least:
                yield name, str(changed), settings.model_copy(update={name: changed})
    lengths = {
        "tolerance_s": derived.tolerance_s,
        "max_distance_km": settings.max_distance_km or network.reach_km,
        "tile_s": settings.tile_s,
    }
    for name, length in lengths.items():
        for factor in (_LESS, _MORE):
            new = round(length * factor) if name == "tile_s" else round(length * factor, 2)
            yield name, f"{new:g}", settings.model_copy(update={name: new})


def solve_span(solver: Solver, picks: Sequence[Pick], span: TimeSpan) -> list[Origin]:
    """Return the events with origins in the tiles of a span, in order of time."""
    tiles = solver.grid.tiles(span)
    if not tiles:
        return []
    around = [solver.grid.neighbours(tiles[0])[0], *tiles, solver.grid.neighbours(tiles[-1])[1]]
    raw = [solver.solve_tile(picks, tile) for tile in around]
    return [
        origin
        for before, this, after in zip(raw, raw[1:], raw[2:], strict=False)
        for origin in solver.settle(before, this, after, picks).origins
        if span.contains(to_ns(origin.time))
    ]


def outcome(name: str, value: str, found: Sequence[Origin], usual: Sequence[Origin]) -> Outcome:
    """Count what was found, and compare it with what is found as things are."""
    sets = [_picks(origin) for origin in found]
    known = [_picks(origin) for origin in usual]
    n_same = sum(any(_is_same(one, other) for other in known) for one in sets)
    n_kept = sum(any(_is_same(one, other) for other in sets) for one in known)
    rms = [origin.rms_s for origin in found]
    return Outcome(
        name, value, len(found), sum(map(len, sets)),
        float(np.median(rms)) if rms else float("nan"),
        n_same, len(found) - n_same, len(usual) - n_kept,
    )  # fmt: skip


def _picks(origin: Origin) -> frozenset[str]:
    return frozenset(arrival.pick.pick_id for arrival in origin.arrivals)


def _is_same(one: frozenset[str], two: frozenset[str]) -> bool:
    return len(one & two) >= _SHARE * max(len(one), len(two))
