"""Group picks into events: PyOcto finds them, with settings that follow from the network.

PyOcto (Münchmeyer 2024, https://doi.org/10.26443/seismica.v3i1.1130) splits space and time until
a cell explains enough picks. It gets our own travel times by station elevation and one thread, and
picks in one canonical order: the same picks always give the same groups.
"""

import logging
import struct
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from geomon.config import Association
from geomon.events import Phase, Pick
from geomon.ids import StationId
from geomon.locating.network import Network
from geomon.locating.travel_times import TravelTimes
from geomon.times import NS_PER_S, TimeSpan, from_ns, to_ns

logger = logging.getLogger(__name__)

_FALSE_PER_HOUR = 0.01  # groups that chance may bring
_SAME_ONSET_S = 0.5  # picks of two sensors at one station closer than this are one onset


@dataclass(frozen=True, slots=True)
class PickGroup:
    """Picks believed to come from one source, with the associator's idea of where and when.

    `picks` are sorted and hold at most one P and one S a station; `evidence` is what speaks against
    chance (see `verify`), and `probability` that it is real (see `reality`), once that was asked.
    """

    time: datetime
    latitude: float
    longitude: float
    depth_km: float
    picks: tuple[Pick, ...]
    evidence: float = 0.0
    probability: float = 0.0

    @property
    def time_ns(self) -> int:
        """Origin time in nanoseconds since 1970."""
        return to_ns(self.time)

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sort key: better supported first, then earlier, then by smallest pick id."""
        return (-len(self.picks), self.time_ns, min(pick.pick_id for pick in self.picks))


@dataclass(frozen=True, slots=True)
class Associated:
    """Groups found, and why there are no more.

    Attributes
    ----------
    groups : tuple of PickGroup
        In order of origin time.
    unused : tuple of Pick
        Picks in no group, sorted.
    reason : str
        Why nothing was found, or what limits the result; empty when all is well.
    """

    groups: tuple[PickGroup, ...]
    unused: tuple[Pick, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What PyOcto is told; see `thresholds`.

    Attributes
    ----------
    n_picks, n_p_picks, n_s_picks, n_both : int
        Fewest picks, P picks, S picks, and stations with both, of a group.
    tolerance_s : float
        Largest residual of a pick.
    node_km, location_node_km : float
        Cell sizes at which a candidate is tried, and to which it is located.
    cutoff_km : float
        Stations farther from a cell are not used to find candidates.
    """

    n_picks: int
    n_p_picks: int
    n_s_picks: int
    n_both: int
    tolerance_s: float
    node_km: float
    location_node_km: float
    cutoff_km: float


def thresholds(
    network: Network,
    travel_times: TravelTimes,
    settings: Association,
    picks: Sequence[Pick],
    duration_s: float,
) -> Thresholds:
    """Derive PyOcto's settings from the network's geometry and the rate of picks.

    A group needs so many picks that chance brings as many together, anywhere in the region, no
    more than once in a hundred hours: the picks a cell gathers by chance are
    binomial, with the rate that each station and phase shows now, and there are as many chances
    as cells in space and time. Explicit settings win.
    """
    spacing = network.spacing_km
    cutoff = settings.max_distance_km or _cutoff(network)
    middle = float(np.mean(network.box.depth_km))
    s_time = float(
        travel_times.times("S", cutoff / 2, middle, float(np.median(network.elevation_m)))
    )
    tolerance = settings.tolerance_s or float(np.clip(0.25 + 0.03 * s_time, 0.3, 2.0))
    node = float(np.clip(spacing / 4, 1.0, 15.0))
    near = _within(network, cutoff)
    rate = len(picks) / max(duration_s, 1.0) / (2 * len(network.stations))
    chance = 1 - float(np.exp(-2 * tolerance * rate))
    (west, east), (south, north), (top, bottom) = (
        network.box.x_km, network.box.y_km, network.box.depth_km,
    )  # fmt: skip
    cells = (east - west) * (north - south) * (bottom - top) / node**3
    trials = max(cells, 1.0) * 3600 / (2 * tolerance)
    # Chance groups seldom have P and S in the shares asked for: worth two picks.
    wanted = int(binom.isf(min(_FALSE_PER_HOUR / trials, 0.5), 2 * near, chance)) + 1 - 2
    least = max(settings.min_p_picks + settings.min_s_picks, settings.min_stations + 1, 6)
    most = max(least, round(1.2 * near))
    n_picks = settings.min_picks or int(np.clip(wanted, least, most))
    n_p, n_s = settings.min_p_picks, settings.min_s_picks
    return Thresholds(
        n_picks=max(n_picks, n_p + n_s),
        n_p_picks=n_p,
        n_s_picks=n_s,
        n_both=min(n_p, n_s, 2),
        tolerance_s=tolerance,
        node_km=node,
        location_node_km=max(node / 6, 0.2),
        cutoff_km=cutoff,
    )


def _cutoff(network: Network) -> float:
    """Return how far the nearest eight stations of a typical event in the region are.

    Candidates are found with few, near stations; farther ones are gathered afterwards. Much
    larger distances cost more time than they find.
    """
    distance = _lattice_distances(network)
    wanted = min(8, distance.shape[1]) - 1
    return float(np.median(np.sort(distance, axis=1)[:, wanted])) + 1.0


def _within(network: Network, cutoff_km: float) -> int:
    """Return how many stations a typical event in the region has within a distance."""
    counts = (_lattice_distances(network) <= cutoff_km).sum(axis=1)
    return max(int(np.median(counts)), min(4, len(network.stations)))


def _lattice_distances(network: Network) -> NDArray[np.float64]:
    (west, east), (south, north) = network.box.x_km, network.box.y_km
    share = (np.arange(9) + 0.5) / 9
    x, y = np.meshgrid(west + share * (east - west), south + share * (north - south))
    return np.hypot(x.ravel()[:, None] - network.x_km, y.ravel()[:, None] - network.y_km)


class Associator:
    """PyOcto set up for one network and model; its travel-time tables are made once."""

    def __init__(self, network: Network, travel_times: TravelTimes, settings: Association) -> None:
        self.network = network
        self.travel_times = travel_times
        self.settings = settings
        self._models: dict[tuple[float, float], Any] = {}

    def associate(self, picks: Iterable[Pick], span: TimeSpan) -> Associated:
        """Group the picks of a span.

        Parameters
        ----------
        picks : iterable of Pick
            In any order; those of unknown stations or outside `span` are left unused.
        span : TimeSpan
            Where the picks come from: it sets their rate and the zero of PyOcto's clock.

        Returns
        -------
        Associated
            An empty answer says why.
        """
        given = sorted(set(picks))
        usable = _one_per_onset(
            pick
            for pick in given
            if pick.seed_id.station_id in self.network.index and span.contains(to_ns(pick.time))
        )
        limits = thresholds(self.network, self.travel_times, self.settings, usable, span.duration_s)
        if reason := _hopeless(usable, limits, self.settings.min_stations):
            return Associated((), tuple(given), reason)
        groups = self._found(usable, span, limits)
        taken = {pick for group in groups for pick in group.picks}
        reason = ""
        if not groups:
            n_stations = len({pick.seed_id.station_id for pick in usable})
            reason = (
                f"{len(usable)} picks at {n_stations} stations: no {limits.n_picks} of them fit "
                f"one source within {limits.tolerance_s:.2f} s"
            )
        return Associated(groups, tuple(p for p in given if p not in taken), reason)

    def _found(
        self, picks: list[Pick], span: TimeSpan, limits: Thresholds
    ) -> tuple[PickGroup, ...]:
        import pandas as pd
        import pyocto

        network = self.network
        box = network.box
        associator = pyocto.OctoAssociator(
            xlim=box.x_km,
            ylim=box.y_km,
            zlim=box.depth_km,
            velocity_model=_Prepared(self._model(limits)),
            time_before=network.max_travel_time_s(self.travel_times) + limits.tolerance_s,
            time_slicing=span.duration_s + 1.0,  # one slice: no seams inside a tile
            min_node_size=limits.node_km,
            min_node_size_location=limits.location_node_km,
            pick_match_tolerance=limits.tolerance_s,
            min_interevent_time=0.0,  # two events may start together far apart
            max_pick_overlap=0,
            n_picks=limits.n_picks,
            n_p_picks=limits.n_p_picks,
            n_s_picks=limits.n_s_picks,
            n_p_and_s_picks=limits.n_both,
            n_threads=1,
        )
        frame = pd.DataFrame(
            {
                "station": [str(pick.seed_id.station_id) for pick in picks],
                "phase": [pick.phase for pick in picks],
                "time": [
                    (to_ns(pick.time) - span.start_ns) / NS_PER_S - network.delay_of(pick)
                    for pick in picks
                ],
            }
        )
        stations = pd.DataFrame(
            {
                "id": [str(station.station_id) for station in network.stations],
                "x": network.x_km,
                "y": network.y_km,
                "z": -network.elevation_m / 1000,
            }
        )
        events, assignments = associator.associate(frame, stations)
        if len(events) == 0:
            return ()
        latitude, longitude = network.frame.to_degrees(events["x"], events["y"])
        members: dict[int, list[Pick]] = {}
        for event, pick in zip(assignments["event_idx"], assignments["pick_idx"], strict=True):
            members.setdefault(int(event), []).append(picks[int(pick)])
        groups = [
            PickGroup(
                time=from_ns(span.start_ns + round(float(row.time) * NS_PER_S)),
                latitude=float(latitude[k]),
                longitude=float(longitude[k]),
                depth_km=float(row.z),
                picks=tuple(sorted(members[int(row.idx)])),
            )
            for k, row in enumerate(events.itertuples())
            if int(row.idx) in members
        ]
        kept = [g for g in groups if meets_minimum(g.picks, self.settings)]
        return tuple(sorted(kept, key=lambda group: (group.time_ns, group.rank)))

    def _model(self, limits: Thresholds) -> Any:  # noqa: ANN401 - PyOcto's compiled type
        key = (limits.tolerance_s, limits.cutoff_km)
        if key not in self._models:
            self._models[key] = _backend_model(self.network, self.travel_times, *key)
        return self._models[key]


class _Prepared:
    """A velocity model that PyOcto asks for again and again, made once."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        self._made = model

    def to_cpp(self, stations: object) -> Any:  # noqa: ANN401, ARG002 - PyOcto's signature
        return self._made


def _backend_model(
    network: Network, travel_times: TravelTimes, tolerance_s: float, cutoff_km: float
) -> Any:  # noqa: ANN401
    """Write our tables in PyOcto's form, have it read them, and throw the files away.

    Each station's file is nx, nz (int32), spacing (float64), then P and S times as float64
    (nx, nz); its rows start `n_padding` cells above the station.
    """
    from pyocto import _core

    box = network.box
    step = float(np.clip(network.reach_km / 400, 0.1, 1.0))
    top = min(box.depth_km[0], -float(network.elevation_m.max()) / 1000)
    nx = int(np.ceil(network.reach_km / step)) + 2
    x = np.arange(nx) * step
    with tempfile.TemporaryDirectory(prefix="geomon-pyocto-") as name:
        folder = Path(name)
        depths = -network.elevation_m / 1000
        n_padding = int(np.ceil((float(depths.max()) - top) / step)) + 1
        (folder / "n_padding").write_bytes(struct.pack("i", n_padding))
        for n, station in enumerate(network.stations):
            below = int(np.ceil((box.depth_km[1] - depths[n]) / step)) + 2
            z = depths[n] + (np.arange(n_padding + below) - n_padding) * step
            z = np.clip(z, box.depth_km[0], box.depth_km[1])
            content = struct.pack("iid", nx, z.size, step)
            for phase in _PHASES:
                times = travel_times.times(
                    phase, x[:, None], z[None, :], float(network.elevation_m[n])
                )
                content += np.nan_to_num(times, nan=1e6).astype("<f8").tobytes()
            (folder / f"{station.station_id}.pyocto").write_bytes(content)
        model = _core.StationSpecificVelocityModel1D(str(folder))
        model.set_tolerance(tolerance_s)
        model.set_association_cutoff_distance(cutoff_km)
        for n, station in enumerate(network.stations):
            place = (float(network.x_km[n]), float(network.y_km[n]), float(depths[n]))
            model.add_station(_core.Station(str(station.station_id), *place, 0.0, 0.0))
    return model


_PHASES: tuple[Phase, Phase] = ("P", "S")
P_ALONE = 10  # P picks that make an event without S


def meets_minimum(picks: Sequence[Pick], settings: Association) -> bool:
    """Tell whether picks are enough for an event, by the settings' counts.

    P at `P_ALONE` stations need no S: clipped records of large earthquakes show none.
    """
    phases = Counter(pick.phase for pick in picks)
    stations = {pick.seed_id.station_id for pick in picks}
    return (
        len(stations) >= settings.min_stations
        and phases["P"] >= settings.min_p_picks
        and (phases["S"] >= settings.min_s_picks or phases["P"] >= P_ALONE)
        and len(picks) >= (settings.min_picks or 0)
    )


def _one_per_onset(picks: Iterable[Pick]) -> list[Pick]:
    """Keep one of the picks that several sensors of a station made of the same onset.

    The likelier one stays; on equality the earlier, then the smaller id.
    """
    kept: list[Pick] = []
    last: dict[tuple[StationId, Phase], int] = {}
    for pick in picks:
        key = (pick.seed_id.station_id, pick.phase)
        place = last.get(key)
        if place is not None and kept[place].seed_id.stream_id != pick.seed_id.stream_id:
            apart = (pick.time - kept[place].time).total_seconds()
            if apart < _SAME_ONSET_S:
                if pick.probability > kept[place].probability:
                    kept[place] = pick
                continue
        last[key] = len(kept)
        kept.append(pick)
    return sorted(kept)


def _hopeless(picks: Sequence[Pick], limits: Thresholds, min_stations: int) -> str:
    """Say why no group can be found at all; empty when one could."""
    stations = {pick.seed_id.station_id for pick in picks}
    phases = Counter(pick.phase for pick in picks)
    if not picks:
        return "no picks of known stations"
    if len(stations) < min_stations:
        return f"{len(picks)} picks at {len(stations)} stations; needs {min_stations} stations"
    if len(picks) < limits.n_picks:
        return f"{len(picks)} picks; needs {limits.n_picks}"
    leasts: tuple[tuple[Phase, int], ...] = (("P", limits.n_p_picks), ("S", limits.n_s_picks))
    for phase, least in leasts:
        if phases[phase] < least:
            return f"{phases[phase]} {phase} picks of {len(picks)}; needs {least}"
    return ""
