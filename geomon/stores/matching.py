"""Decide which event of a new solution is which event already known.

Two solutions are the same earthquake when at least half of the picks of the smaller one are shared
(same sensor and phase, at most 0.3 s apart), or when their origin times differ by less than 3 s
and their epicentres by less than three times their combined uncertainty.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from geomon.ids import StreamId
from geomon.sphere import great_circle_km

SHARED_PICK_NS = 300_000_000
SHARED_FRACTION = 0.5
CLOSE_TIME_NS = 3_000_000_000
CLOSE_SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class Solution:
    """What matching needs of an event.

    Attributes
    ----------
    key : str
        Orders solutions that are otherwise equal, so that the result does not depend on input
        order.
    time_ns, latitude, longitude : int, float, float
        Origin.
    sigma_km : float
        Semi-major axis of the epicentre ellipse; NaN when unknown.
    picks : tuple of (StreamId, str, int)
        Sensor, phase and time of every pick.
    rank : int
        Known events only: smaller ranks are preferred.
    allows : {"picks", "both"}
        Known events only: whether closeness in time and place is enough.
    """

    key: str
    time_ns: int
    latitude: float
    longitude: float
    sigma_km: float
    picks: tuple[tuple[StreamId, str, int], ...]
    rank: int = 0
    allows: Literal["picks", "both"] = "both"


def match(new: Sequence[Solution], known: Sequence[Solution]) -> dict[int, int]:
    """Pair new solutions with known events one to one, the best evidence first.

    Returns
    -------
    dict of int to int
        Index into `new` to index into `known`, for every pair found.
    """
    by_picks = _share_picks(new, known)
    by_place = _are_close(new, known)
    candidates = [
        ((known[k].rank, 0, -shared, abs(new[n].time_ns - known[k].time_ns)), n, k)
        for n, k, shared in by_picks
    ]
    candidates += [
        ((known[k].rank, 1, abs(new[n].time_ns - known[k].time_ns), 0), n, k) for n, k in by_place
    ]
    candidates.sort(key=lambda entry: (entry[0], new[entry[1]].key, known[entry[2]].key))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, n, k in candidates:
        if n not in pairs and k not in taken:
            pairs[n] = k
            taken.add(k)
    return pairs


def sharing(new: Solution, known: Sequence[Solution]) -> list[int]:
    """Return which known events share at least half of their picks with a new solution."""
    return [k for _, k, _ in _share_picks([new], known)]


def is_mostly_of(new: Solution, known: Sequence[Solution]) -> bool:
    """Tell whether at least half of the picks of a new solution belong to one known event."""
    return any(
        shared >= SHARED_FRACTION * len(new.picks) for _, _, shared in _share_picks([new], known)
    )


def _share_picks(
    new: Sequence[Solution], known: Sequence[Solution]
) -> Iterator[tuple[int, int, int]]:
    """Yield (new, known, number of shared picks) of every pair that shares enough."""
    times: dict[tuple[StreamId, str], list[tuple[int, int]]] = {}
    for k, solution in enumerate(known):
        for stream_id, phase, time_ns in solution.picks:
            times.setdefault((stream_id, phase), []).append((time_ns, k))
    for entries in times.values():
        entries.sort()
    for n, solution in enumerate(new):
        shared: Counter[int] = Counter()
        for stream_id, phase, time_ns in solution.picks:
            entries = times.get((stream_id, phase), [])
            index = bisect_left(entries, (time_ns - SHARED_PICK_NS, -1))
            near = set()
            while index < len(entries) and entries[index][0] <= time_ns + SHARED_PICK_NS:
                near.add(entries[index][1])
                index += 1
            shared.update(near)
        for k, count in sorted(shared.items()):
            if count >= SHARED_FRACTION * min(len(solution.picks), len(known[k].picks)):
                yield n, k, count


def _are_close(new: Sequence[Solution], known: Sequence[Solution]) -> Iterator[tuple[int, int]]:
    """Yield (new, known) of every pair close in time and place."""
    order = sorted((s.time_ns, k) for k, s in enumerate(known) if s.allows == "both")
    for n, solution in enumerate(new):
        index = bisect_left(order, (solution.time_ns - CLOSE_TIME_NS + 1, -1))
        while index < len(order) and order[index][0] < solution.time_ns + CLOSE_TIME_NS:
            k = order[index][1]
            allowed_km = CLOSE_SIGMAS * math.hypot(solution.sigma_km, known[k].sigma_km)
            if _apart_km(solution, known[k]) < allowed_km:  # false when a sigma is unknown
                yield n, k
            index += 1


def _apart_km(one: Solution, two: Solution) -> float:
    return great_circle_km(one.latitude, one.longitude, two.latitude, two.longitude)
