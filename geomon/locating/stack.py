"""Candidates for events where picks, traced back to their origins, pile up.

For every node of a grid over the region, each pick says when an event there would have been. A real
event makes many of these origin times agree at one node; chance seldom does. Counts over all
stations find events that are seen far and wide, counts over the nearest stations small ones. The
idea is as old as automatic bulletins (Ringdal and Kværna 1989, Bull. Seismol. Soc. Am. 79,
1927-1940); one pass costs no more than picks times nodes, however dense events are, so strong ones
can be taken out before anything that searches more thoroughly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geomon.events import Phase, Pick
from geomon.locating.network import Network
from geomon.locating.travel_times import TravelTimes
from geomon.times import NS_PER_S, TimeSpan, to_ns

type Floats = NDArray[np.float64]

_SPACINGS = 5.0  # nodes between neighbouring stations
_MOST_NODES_A_SIDE = 32
_N_DEPTHS = 6
_NEAREST = 8  # stations that see a small event
_SPEED = {"P": 6.0, "S": 3.5}  # km/s: how time tells places apart, roughly
_READING_S = 0.25  # how far a pick may be off besides
_PHASES: tuple[Phase, Phase] = ("P", "S")
_BLANKED = np.int16(-10_000)


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Places where events are tried, with times to all stations; made once for a network.

    Attributes
    ----------
    places_km : array, shape (n_nodes, 3)
        East, north, depth.
    times_s : array of float32, shape (2, n_stations, n_nodes)
        P and S times; a pick is piled up from one row.
    is_near : array of bool, shape (n_stations, n_nodes)
        The nearest stations of each node.
    half_km : float
        Half the horizontal distance of nodes.
    """

    places_km: Floats
    times_s: NDArray[np.float32]
    is_near: NDArray[np.bool_]
    half_km: float

    @property
    def tolerance_s(self) -> Floats:
        """How far off P and S of an event between nodes may be."""
        return np.array([_READING_S + self.half_km / _SPEED[phase] for phase in _PHASES])

    @property
    def window_s(self) -> float:
        """Within which time picks of one phase, P or S on average, pile up together."""
        return float(2 * self.tolerance_s.mean() + self.tolerance_s[0])

    @classmethod
    def of(
        cls, network: Network, travel_times: TravelTimes, max_distance_km: float | None = None
    ) -> "Nodes":
        """Lay out nodes over the network's region; stations farther than the limit are not used."""
        box = network.box
        widths = [high - low for low, high in (box.x_km, box.y_km)]
        step = max(network.spacing_km / _SPACINGS, max(widths) / _MOST_NODES_A_SIDE)
        axes = []
        for low, high in (box.x_km, box.y_km):
            n = max(int(np.ceil((high - low) / step)), 2)
            axes.append(low + (high - low) * (np.arange(n) + 0.5) / n)
        low, high = box.depth_km
        axes.append(low + (high - low) * ((np.arange(_N_DEPTHS) + 0.5) / _N_DEPTHS) ** 1.3)
        places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        apart = np.hypot(places[:, :1] - network.x_km, places[:, 1:2] - network.y_km)
        times = np.stack(
            [
                travel_times.times(phase, apart, places[:, 2:3], network.elevation_m)
                for phase in _PHASES
            ],
            axis=1,
        )
        if max_distance_km is not None:
            times = np.where(apart[:, None] <= max_distance_km, times, np.nan)
        rank = np.argsort(np.argsort(apart, axis=1, kind="stable"), axis=1, kind="stable")
        rows = np.ascontiguousarray(times.transpose(1, 2, 0), dtype=np.float32)
        return cls(places, rows, np.ascontiguousarray((rank < _NEAREST).T), step / 2)


class Stack:
    """The picks of one tile, piled up.

    Parameters
    ----------
    nodes : Nodes
        Where events are tried.
    network : Network
        The stations, in the order of the nodes' times.
    picks : iterable of Pick
        Picks of known stations.
    span : TimeSpan
        Where origins are looked for.
    """

    def __init__(
        self, nodes: Nodes, network: Network, picks: Iterable[Pick], span: TimeSpan
    ) -> None:
        self._nodes = nodes
        self._picks = sorted(picks)
        self._place = {pick: k for k, pick in enumerate(self._picks)}
        self._time = np.array(
            [
                (to_ns(pick.time) - span.start_ns) / NS_PER_S - network.delay_of(pick)
                for pick in self._picks
            ]
        )
        self._station = np.array(
            [network.index[pick.seed_id.station_id] for pick in self._picks], dtype=np.int64
        )
        self._phase = np.array([int(pick.phase == "S") for pick in self._picks], dtype=np.int64)
        self._tolerance = nodes.tolerance_s
        self._bin_s = float(self._tolerance[0])
        n_bins = int(span.duration_s / self._bin_s) + 1
        _, n_stations, n_nodes = nodes.times_s.shape
        self._counts = np.zeros((2, n_bins, n_nodes), dtype=np.int16)
        self._value = np.zeros(n_bins)
        self._where = np.zeros(n_bins, dtype=np.int64)
        rate = len(self._picks) / max(span.duration_s, 60.0) / (2 * n_stations)
        expected = [2 * n * rate * nodes.window_s for n in (n_stations, min(_NEAREST, n_stations))]
        count = np.arange(4 * n_stations + 1, dtype=np.float64)
        self._scores = np.stack([_surprise(count, max(mu, 0.05)) for mu in expected])
        self._is_in = np.ones(len(self._picks), dtype=np.bool_)
        self._add(np.arange(len(self._picks)), 1)

    def best(self) -> tuple[float, tuple[int, int]]:
        """Return the highest score and its cell: how unlikely the pile is, and where."""
        if not self._value.size:
            return 0.0, (0, 0)
        k = int(np.argmax(self._value))
        return float(self._value[k]), (k, int(self._where[k]))

    def members(self, cell: tuple[int, int]) -> tuple[Sequence[Pick], Floats]:
        """Return the picks of a cell, one a station and phase, and the cell's place (km)."""
        bin_, node = cell
        origin = self._time - self._nodes.times_s[self._phase, self._station, node]
        off = np.abs(origin - (bin_ + 0.5) * self._bin_s)
        inside = np.flatnonzero(
            self._is_in & (off <= self._tolerance[self._phase] + self._bin_s / 2)
        )
        chosen: dict[tuple[int, int], int] = {}
        for k in inside[np.argsort(off[inside], kind="stable")].tolist():
            chosen.setdefault((int(self._station[k]), int(self._phase[k])), k)
        return [self._picks[k] for k in sorted(chosen.values())], self._nodes.places_km[node]

    def remove(self, picks: Iterable[Pick]) -> None:
        """Take picks away."""
        chosen = np.array([self._place[pick] for pick in picks], dtype=np.int64)
        self._is_in[chosen] = False
        self._add(chosen, -1)

    def blank(self, cell: tuple[int, int]) -> None:
        """Do not come back to a cell, nor to its surroundings."""
        bin_, node = cell
        east, north = self._nodes.places_km.T[:2]
        reach = 4.1 * self._nodes.half_km
        around = np.flatnonzero(
            (np.abs(east - east[node]) <= reach) & (np.abs(north - north[node]) <= reach)
        )
        bins = np.arange(max(bin_ - 1, 0), min(bin_ + 2, len(self._value)))
        self._counts[:, bins[:, None], around] = _BLANKED
        self._refresh(int(bins[0]), int(bins[-1]) + 1)

    def _add(self, chosen: NDArray[np.int64], sign: int) -> None:
        if not chosen.size:
            return
        first, last = _pile(
            self._counts, self._nodes.times_s, self._nodes.is_near, self._time[chosen],
            self._station[chosen], self._phase[chosen], self._tolerance, self._bin_s, sign,
        )  # fmt: skip
        self._refresh(max(first, 0), min(last + 1, len(self._value)))

    def _refresh(self, first: int, last: int) -> None:
        _peaks(self._counts, self._scores, first, last, self._value, self._where)


def _surprise(count: Floats, expected: float) -> Floats:
    """Return how unlikely counts above the expected one are (log likelihood ratio of Poisson)."""
    more = np.maximum(count, expected)
    return np.asarray(more * np.log(more / expected) - (more - expected))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pile(
    counts: NDArray[np.int16],
    times_s: NDArray[np.float32],
    is_near: NDArray[np.bool_],
    time: Floats,
    station: NDArray[np.int64],
    phase: NDArray[np.int64],
    tolerance: Floats,
    bin_s: float,
    sign: int,
) -> tuple[int, int]:
    n_bins, n_nodes = counts.shape[1], counts.shape[2]
    first, last = n_bins, -1
    for k in range(time.size):
        reach = tolerance[phase[k]]
        times, nearby = times_s[phase[k], station[k]], is_near[station[k]]
        for node in range(n_nodes):
            travelled = times[node]
            if np.isnan(travelled):
                continue
            low = max(int(np.floor((time[k] - travelled - reach) / bin_s + 0.5)), 0)
            high = min(int(np.floor((time[k] - travelled + reach) / bin_s + 0.5)), n_bins)
            for b in range(low, high):
                counts[0, b, node] += sign
                if nearby[node]:
                    counts[1, b, node] += sign
            if low < high:
                first, last = min(first, low), max(last, high - 1)
    return first, last


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _peaks(
    counts: NDArray[np.int16],
    scores: Floats,
    first: int,
    last: int,
    value: Floats,
    where: NDArray[np.int64],
) -> None:
    top = scores.shape[1] - 1
    for b in range(first, last):
        best, at = -1.0, 0
        for node in range(counts.shape[2]):
            far, near = counts[0, b, node], counts[1, b, node]
            if far <= 0:
                continue
            score = max(scores[0, min(far, top)], scores[1, min(max(near, 0), top)])
            if score > best:
                best, at = score, node
        value[b], where[b] = best, at
