"""Two events that are one earthquake, and one event that is two.

Association may give one earthquake two origins, each from some of its stations, or one origin to
the picks of two earthquakes. Both show only once events are located: here they are told from
origins alone, and put right by solving the picks anew.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from geomon.config import Association
from geomon.events import Origin, Phase, Pick
from geomon.ids import StationId
from geomon.locating.associate import meets_minimum
from geomon.locating.locate import Locator
from geomon.locating.network import geodesic
from geomon.times import NS_PER_S, to_ns

type _Slot = tuple[StationId, Phase]

CLOSE_S = 3.0
CLOSE_SIGMAS = 3.0
SHARED_SHARE = 0.5  # of the smaller event's picks
_SHARED = "picks shared"
_SAME_PICK_NS = 300_000_000
_FITTING_WEIGHT = 0.1  # an arrival that counts less does not fit
_JOINT_SHARE = 0.85  # of the picks of two fit one origin if they are one earthquake
_LEAST_SPREAD_S = 0.3  # smaller residuals are never those of two earthquakes
_SHARPER = 0.5  # two origins leave residuals half as large, or less, of those of one
_FAR = 5.0  # standard deviations: a pick that far off both belongs to neither
_LEAST_PICKS, _LEAST_PART = 6, 0.25  # of an earthquake beside another: fewer fit by chance
_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Joined:
    """Origins found to be one earthquake.

    Attributes
    ----------
    origin : Origin
        From the picks of all of them.
    members : tuple of int
        Places of the origins in the sequence given, the best supported first.
    reason : str
        Why they are one.
    """

    origin: Origin
    members: tuple[int, ...]
    reason: str


def why_same(one: Origin, two: Origin) -> str:
    """Say why two origins are one earthquake; empty when they are two.

    They are one when at least half of the smaller one's picks are shared, or when their times
    differ by less than 3 s, their epicentres by less than three times their uncertainties
    together, and no station claims a phase of each: who saw both tells them apart.
    """
    here, there = _slots(one), _slots(two)
    both = here.keys() & there.keys()
    n_shared = sum(abs(here[slot] - there[slot]) <= _SAME_PICK_NS for slot in both)
    smaller = min(len(here), len(there))
    if smaller and n_shared >= SHARED_SHARE * smaller:
        return f"{n_shared} of {smaller} {_SHARED}"
    apart_s = abs(to_ns(one.time) - to_ns(two.time)) / NS_PER_S
    if apart_s >= CLOSE_S or len(both) > n_shared:
        return ""
    distance, _ = geodesic(one.latitude, one.longitude, [two.latitude], [two.longitude])
    apart_km = float(distance[0])
    # False when an uncertainty is not known.
    if apart_km < CLOSE_SIGMAS * math.hypot(one.ellipse_km[0], two.ellipse_km[0]):
        return f"{apart_s:.1f} s and {apart_km:.1f} km apart, no station saw both"
    return ""


def joined(origins: Sequence[Origin], locator: Locator) -> list[Joined]:
    """Find origins that are one earthquake, and solve it from the picks of all.

    Origins that are only close count if one solution explains the picks of both. The same origins
    give the same answer in any order.

    Parameters
    ----------
    origins : sequence of Origin
        With their arrivals.
    locator : Locator
        Solves origins.

    Returns
    -------
    list of Joined
        One for every earthquake that has several origins, in order of their times.
    """
    found: list[Joined] = []
    near: dict[int, list[int]] = {}  # places in `found`, by minute
    for k in sorted(range(len(origins)), key=lambda k: _rank(origins[k])):
        minute = to_ns(origins[k].time) // (60 * NS_PER_S)
        around = [place for m in (-1, 0, 1) for place in near.get(minute + m, ())]
        for place in sorted(around):
            one = _as_one(found[place], origins[k], k, locator)
            if one is not None:
                found[place] = one
                break
        else:
            near.setdefault(minute, []).append(len(found))
            found.append(Joined(origins[k], (k,), ""))
    return sorted(
        (one for one in found if len(one.members) > 1), key=lambda one: to_ns(one.origin.time)
    )


def _as_one(held: Joined, origin: Origin, place: int, locator: Locator) -> Joined | None:
    """Return both as one, if they are."""
    reason = why_same(held.origin, origin)
    if not reason:
        return None
    union = joint_picks([held.origin, origin])
    solved = locator.locate(union)
    if not isinstance(solved, Origin) or not _explains(solved, union):
        if not reason.endswith(_SHARED):
            return None
        solved = held.origin  # the same picks, and the better of two ideas about them
    reasons = "; ".join(filter(None, (held.reason, reason)))
    return Joined(solved, (*held.members, place), reasons)


def joint_picks(origins: Sequence[Origin]) -> list[Pick]:
    """Return the picks of several origins, one a station and phase: that which fits best."""
    best: dict[_Slot, tuple[float, Pick]] = {}
    for origin in origins:
        for arrival in origin.arrivals:
            entry = (abs(arrival.residual_s), arrival.pick)
            slot = _slot(arrival.pick)
            if slot not in best or entry < best[slot]:
                best[slot] = entry
    return sorted(pick for _, pick in best.values())


def parted(origin: Origin, locator: Locator, settings: Association) -> tuple[Origin, Origin] | None:
    """Solve an origin that holds two earthquakes as two.

    Where a station has a phase twice, or residuals are large, the picks are divided between two
    origins, each pick going where it fits better, until nothing changes.

    Parameters
    ----------
    origin : Origin
        With all its arrivals, those that hardly count too.
    locator : Locator
        Solves origins.
    settings : Association
        How many picks make an event.

    Returns
    -------
    (Origin, Origin) or None
        The better supported first; None for one earthquake.
    """
    if not (_is_doubled(origin) or _spread_s(origin) > _LEAST_SPREAD_S):
        return None
    picks = sorted(arrival.pick for arrival in origin.arrivals)
    for first in _halves(origin):
        solved = _divided(picks, first, locator, settings)
        if solved is not None and _are_two(origin, *solved):
            return solved
    return None


def _divided(
    picks: Sequence[Pick], first: frozenset[Pick], locator: Locator, settings: Association
) -> tuple[Origin, Origin] | None:
    """Divide picks between two origins, beginning with some of them; None if that fails."""
    parts = [_one_each(sorted(first)), _one_each([pick for pick in picks if pick not in first])]
    least = max(_LEAST_PICKS, math.ceil(_LEAST_PART * len(picks)))
    for _ in range(_ROUNDS):
        if not all(len(part) >= least and meets_minimum(part, settings) for part in parts):
            return None
        solved = [answer for part in parts if isinstance(answer := locator.locate(part), Origin)]
        if len(solved) < 2:
            return None
        again = _assigned(picks, solved, locator)
        if again == parts:
            break
        parts = again
    one, two = sorted(solved, key=_rank)
    return one, two


def _assigned(
    picks: Sequence[Pick], solved: Sequence[Origin], locator: Locator
) -> list[list[Pick]]:
    """Give every pick to the origin it fits better, one a station and phase to each."""
    misfits = [dict(locator.misfits(origin, picks, math.inf)) for origin in solved]
    best: list[dict[_Slot, tuple[float, Pick]]] = [{}, {}]
    for pick in picks:
        off = [misfit.get(pick, math.inf) for misfit in misfits]
        which = int(off[1] < off[0])
        entry, slot = (off[which], pick), _slot(pick)
        if off[which] <= _FAR and (slot not in best[which] or entry < best[which][slot]):
            best[which][slot] = entry
    return [sorted(pick for _, pick in part.values()) for part in best]


def _are_two(origin: Origin, one: Origin, two: Origin) -> bool:
    """Tell whether two origins explain what one does, and clearly better."""
    n_used = len(one.arrivals) + len(two.arrivals)
    if n_used < _JOINT_SHARE * len(origin.arrivals) or why_same(one, two):
        return False
    return max(_spread_s(one), _spread_s(two)) <= _SHARPER * _spread_s(origin)


def _halves(origin: Origin) -> Iterator[frozenset[Pick]]:
    """Yield first ideas of which picks belong to one of two earthquakes."""
    if _is_doubled(origin):
        earliest: dict[_Slot, Pick] = {}
        for pick in sorted(arrival.pick for arrival in origin.arrivals):
            earliest.setdefault(_slot(pick), pick)
        yield frozenset(earliest.values())
    # Whole stations: a station's P and S are usually of the same earthquake.
    off: dict[StationId, list[float]] = {}
    for arrival in origin.arrivals:
        off.setdefault(arrival.pick.seed_id.station_id, []).append(arrival.residual_s)
    mean = {station: float(np.mean(residuals)) for station, residuals in off.items()}
    for share in (0.5, 0.35, 0.65):
        limit = float(np.quantile(list(mean.values()), share))
        yield frozenset(a.pick for a in origin.arrivals if mean[a.pick.seed_id.station_id] <= limit)
    ordered = sorted(origin.arrivals, key=lambda a: (a.residual_s, a.pick))
    middle = ordered[len(ordered) // 4 : -(len(ordered) // 4)]
    gaps = [b.residual_s - a.residual_s for a, b in pairwise(middle)]
    if gaps:
        cut = len(ordered) // 4 + gaps.index(max(gaps)) + 1
        yield frozenset(a.pick for a in ordered[:cut])
    yield frozenset(a.pick for a in origin.arrivals if a.weight >= _FITTING_WEIGHT)


def _one_each(picks: Sequence[Pick]) -> list[Pick]:
    """Return one pick a station and phase, the likeliest."""
    best: dict[_Slot, Pick] = {}
    for pick in sorted(picks, key=lambda p: (-p.probability, p)):
        best.setdefault(_slot(pick), pick)
    return sorted(best.values())


def _is_doubled(origin: Origin) -> bool:
    """Tell whether any station has a phase twice."""
    return len({_slot(arrival.pick) for arrival in origin.arrivals}) < len(origin.arrivals)


def _spread_s(origin: Origin) -> float:
    """Return the root mean square of all residuals, whatever they count."""
    return math.sqrt(float(np.mean([arrival.residual_s**2 for arrival in origin.arrivals])))


def _explains(origin: Origin, picks: Sequence[Pick]) -> bool:
    n_fitting = sum(arrival.weight >= _FITTING_WEIGHT for arrival in origin.arrivals)
    return n_fitting >= _JOINT_SHARE * len(picks)


def _slots(origin: Origin) -> dict[_Slot, int]:
    """Return when an origin's arrivals came, by station and phase."""
    return {_slot(arrival.pick): to_ns(arrival.pick.time) for arrival in origin.arrivals}


def _slot(pick: Pick) -> _Slot:
    return pick.seed_id.station_id, pick.phase


def _rank(origin: Origin) -> tuple[int, int, float, float]:
    """Sort key: better supported first, then earlier, then by place."""
    return (-len(origin.arrivals), to_ns(origin.time), origin.latitude, origin.longitude)
