"""Picks of machines: the same onset at one station again and again, at equal intervals.

Pumps, trains of calibration pulses and telemetry repeat to a tenth of a second; no earthquakes do.
Their picks fit each other at any period, so that an associator takes them for events.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.events import Phase, Pick
from geomon.ids import StationId
from geomon.times import NS_PER_S, to_ns

type Floats = NDArray[np.float64]

_PERIODS_S = (2.0, 600.0)
_TOLERANCE_S = 0.15  # of one interval
_LEAST_REPEATS = 8  # in a row, two in between missed at most
_LAGS = 3  # other picks may come between two of a machine
_MOST_CHANCE = 0.2  # of a pick just there by chance: more and nothing can be told


@dataclass(frozen=True, slots=True)
class Machine:
    """Picks of one phase at one station that repeat.

    Attributes
    ----------
    station_id, phase : StationId, {"P", "S"}
        Where they were picked, and as what.
    period_s : float
        From one to the next.
    picks : tuple of Pick
        In order of time.
    """

    station_id: StationId
    phase: Phase
    period_s: float
    picks: tuple[Pick, ...]

    def __str__(self) -> str:
        return (
            f"{self.station_id}: {len(self.picks)} {self.phase} picks repeat every "
            f"{self.period_s:.1f} s: a machine, left out"
        )


def machines(picks: Iterable[Pick]) -> list[Machine]:
    """Find the picks that repeat at equal intervals, station by station.

    Parameters
    ----------
    picks : iterable of Pick
        Of a tile, or any span much longer than the periods looked for; their order does not
        matter.

    Returns
    -------
    list of Machine
        By station and phase; one for each, with its most frequent period.
    """
    slots: dict[tuple[StationId, Phase], list[Pick]] = {}
    for pick in sorted(picks):
        slots.setdefault((pick.seed_id.station_id, pick.phase), []).append(pick)
    found = []
    for (station_id, phase), members in sorted(slots.items()):
        machine = _repeating(members)
        if machine is not None:
            period_s, places = machine
            repeated = tuple(members[k] for k in places)
            found.append(Machine(station_id, phase, period_s, repeated))
    return found


def _repeating(picks: Sequence[Pick]) -> tuple[float, list[int]] | None:
    """Return period and places of the picks that repeat, if enough do."""
    if len(picks) < _LEAST_REPEATS:
        return None
    base_ns = to_ns(picks[0].time)
    times = np.array([(to_ns(pick.time) - base_ns) / NS_PER_S for pick in picks])
    length = max(float(times[-1]), 1.0)
    if times.size / length * 2 * _TOLERANCE_S > _MOST_CHANCE:
        return None
    period_s = _usual_interval(times)
    if period_s is None:
        return None
    chained = _chained(times, period_s)
    return None if len(chained) < _LEAST_REPEATS else (period_s, chained)


def _usual_interval(times: Floats) -> float | None:
    """Return the most frequent interval, if it is frequent at all."""
    apart = np.concatenate([times[lag:] - times[:-lag] for lag in range(1, _LAGS + 1)])
    apart = np.sort(apart[(apart >= _PERIODS_S[0]) & (apart <= _PERIODS_S[1])])
    if apart.size < _LEAST_REPEATS - 2:
        return None
    ahead = np.searchsorted(apart, apart + 2 * _TOLERANCE_S, side="right") - np.arange(apart.size)
    first = int(np.argmax(ahead))
    count = int(ahead[first])
    if count < _LEAST_REPEATS - 2:
        return None
    return float(np.median(apart[first : first + count]))


def _chained(times: Floats, period_s: float) -> list[int]:
    """Return the places of picks in unbroken enough chains of one period."""
    length = np.ones(times.size, dtype=np.int64)
    before = np.full(times.size, -1)
    for k in range(times.size):
        for n_periods in (1, 2, 3):  # two may be missed
            wanted = times[k] - n_periods * period_s
            low, high = np.searchsorted(
                times[:k], (wanted - n_periods * _TOLERANCE_S, wanted + n_periods * _TOLERANCE_S)
            )
            if low < high:
                best = int(low) + int(np.argmin(np.abs(times[low:high] - wanted)))
                if length[best] + 1 > length[k]:
                    length[k], before[k] = length[best] + 1, best
    kept: set[int] = set()
    for k in np.flatnonzero(length >= _LEAST_REPEATS).tolist():
        place = k
        while place >= 0 and place not in kept:
            kept.add(place)
            place = int(before[place])
    return sorted(kept)
