"""What was decided about events on the whole catalogue holds when a tile is solved again.

Two events that were joined would come apart again, and one that was parted would be one again,
because association sees a tile alone. So an event whose picks were grouped by such a decision keeps
them: it is solved from the picks it had, as they are now, and the solutions that association made
mostly of them give way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from geomon.events import Origin, Phase, Pick
from geomon.ids import StationId
from geomon.locating.associate import meets_minimum
from geomon.locating.solve import Solver
from geomon.times import TimeSpan, to_ns

_SAME_PICK_NS = 300_000_000
_MOSTLY = 0.5  # of a solution's picks: then it is the event that was decided on


@dataclass(frozen=True, slots=True)
class Standing:
    """An event whose picks were grouped by a decision.

    Attributes
    ----------
    event_id : str
        The event.
    owner_ns : int
        An instant of the tile it belongs to.
    picks : tuple of Pick
        Its picks.
    taken : tuple of Pick
        Those of the events it took over, which it may not use all.
    probability : float
        That it is real.
    is_judged : bool
        Whether a person judged it: then it stays as it is.
    decisions : tuple of str
        The runs that decided, oldest first.
    """

    event_id: str
    owner_ns: int
    picks: tuple[Pick, ...]
    taken: tuple[Pick, ...]
    probability: float
    is_judged: bool
    decisions: tuple[str, ...]


def keep_decisions(
    found: Sequence[tuple[Origin, float]],
    standing: Sequence[Standing],
    picks: Iterable[Pick],
    tile: TimeSpan,
    solver: Solver,
) -> list[tuple[Origin, float]]:
    """Put the events of decisions in the place of what association makes of their picks.

    Parameters
    ----------
    found : sequence of (Origin, float)
        The events of a tile, each with its probability.
    standing : sequence of Standing
        Events decided on, of this tile and its neighbours.
    picks : iterable of Pick
        All picks around the tile, as they are now.
    tile : TimeSpan
        The tile.
    solver : Solver
        Solves origins.

    Returns
    -------
    list of (Origin, float)
        In order of time; with nothing decided, `found` as it is.
    """
    if not standing:
        return list(found)
    decided = _Onsets(pick for one in standing for pick in (*one.picks, *one.taken))
    kept, spare = [], set[Pick]()
    for origin, likely in found:
        own = [arrival.pick for arrival in origin.arrivals]
        if sum(decided.same(pick) is not None for pick in own) >= _MOSTLY * len(own):
            spare |= set(own)
        else:
            kept.append((origin, likely))
    free = set(picks) - {arrival.pick for origin, _ in kept for arrival in origin.arrivals}
    theirs: dict[str, list[Pick]] = {}
    for one in sorted(standing, key=lambda one: (one.owner_ns, one.event_id)):
        onsets = _Onsets(free)
        mine = {pick for held in one.picks if (pick := onsets.same(held)) is not None}
        theirs[one.event_id] = sorted(mine)
        free -= mine
    for one in sorted(standing, key=lambda one: (one.owner_ns, one.event_id)):
        if one.is_judged or not tile.contains(one.owner_ns):
            continue
        solved = _solved(theirs[one.event_id], sorted(spare & free), solver)
        if solved is not None:
            free -= {arrival.pick for arrival in solved.arrivals}
            kept.append((solved, one.probability))
    return sorted(kept, key=lambda pair: (pair[0].time, pair[0].latitude))


def _solved(picks: Sequence[Pick], spare: Sequence[Pick], solver: Solver) -> Origin | None:
    """Locate an event, with what else of the solutions that gave way fits it."""
    if not meets_minimum(picks, solver.settings):
        return None
    origin = solver.locator.locate(picks)
    if not isinstance(origin, Origin):
        return None
    missed = solver.collect_missed(origin, spare)
    more = solver.locator.locate([*picks, *missed]) if missed else origin
    return more if isinstance(more, Origin) else origin


class _Onsets:
    """Picks by station and phase, to find the one of the same onset."""

    def __init__(self, picks: Iterable[Pick]) -> None:
        self._by_slot: dict[tuple[StationId, Phase], list[Pick]] = {}
        for pick in picks:
            self._by_slot.setdefault((pick.seed_id.station_id, pick.phase), []).append(pick)

    def same(self, pick: Pick) -> Pick | None:
        """Return the pick of the same onset: itself, or the nearest in time."""
        at_ns = to_ns(pick.time)
        near = (
            (abs(to_ns(other.time) - at_ns), other.seed_id != pick.seed_id, other)
            for other in self._by_slot.get((pick.seed_id.station_id, pick.phase), ())
        )
        best = min(near, default=None)
        return best[2] if best is not None and best[0] <= _SAME_PICK_NS else None
