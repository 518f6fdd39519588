"""Picks without events, to measure how many events chance makes."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from geomon.events import Pick
from geomon.times import NS_PER_S, from_ns, to_ns


def shifted_picks(picks: Iterable[Pick], seed: int) -> list[Pick]:
    """Shift each station's picks by a random time of its own: real statistics, no real event.

    Events made from them are false; their number an hour is the false event rate. Times wrap
    around within the span of the picks, so that the rate stays what it is; P and S of a station
    stay together.

    Parameters
    ----------
    picks : iterable of Pick
        Picks of any stations, over much longer than a wave takes through the network.
    seed : int
        Chooses the shifts.
    """
    ordered = sorted(picks)
    if not ordered:
        return []
    rng = np.random.default_rng(seed)
    first = to_ns(ordered[0].time)
    length = to_ns(ordered[-1].time) - first + NS_PER_S
    stations = sorted({pick.seed_id.station_id for pick in ordered})
    shifts = dict(zip(stations, rng.integers(0, length, len(stations)).tolist(), strict=True))

    def shifted(pick: Pick) -> Pick:
        offset = to_ns(pick.time) - first + shifts[pick.seed_id.station_id]
        return replace(pick, time=from_ns(first + offset % length))

    return sorted(shifted(pick) for pick in ordered)
