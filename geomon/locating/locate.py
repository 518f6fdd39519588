"""Absolute location of one event from its picks, with the whole posterior.

Residuals follow a Student-t distribution, so that a wrong pick cannot drag the event. A grid over
the region and beyond finds the place, nested grids refine it, and importance sampling describes
how well it is known, also where the posterior is bent (events outside the network).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geomon.events import Origin, Pick
from geomon.locating.associate import PickGroup
from geomon.locating.fit import Fit, Observed, Rejected
from geomon.locating.misfit import COMMON_SHARE, DOF, profile, weights
from geomon.locating.network import Box, Network
from geomon.locating.origin import origin_of
from geomon.locating.posterior import Posterior, Residuals, sample
from geomon.locating.receivers import Receivers
from geomon.locating.station_times import StationReceivers, StationTimes
from geomon.locating.timing_errors import TimingErrors, reading_errors
from geomon.locating.travel_times import TravelTimes
from geomon.times import NS_PER_S, to_ns

type Floats = NDArray[np.float64]

MIN_PICKS = 4
_SCALE_SPREAD = 0.3  # of log(scale): how far the residuals may ask for other sigmas than assumed
_LEAST_WEIGHT = 0.003  # however wrong a pick is
_MAX_STEPS, _MOST_FAILURES = 12, 3  # of the descent
_STEP_KM, _STEP_SHARE = 0.1, 0.1  # of derivatives: so far, or a share of the stations' spacing
_SETTLED_STEPS = 0.1  # the descent ends with a move of so many such steps


@dataclass(frozen=True, eq=False)
class Locator:
    """Locates events of one network in one model; the coarse grid is worked out once.

    Attributes
    ----------
    network : Network
        Stations and area searched.
    travel_times : TravelTimes
        Tables reaching all of the network's search box.
    station_times : StationTimes, optional
        Tables in a three-dimensional model, to locate with instead.
    """

    network: Network
    travel_times: TravelTimes
    station_times: StationTimes | None = None

    def receivers(
        self, is_s: NDArray[np.bool_], station: NDArray[np.int64]
    ) -> Receivers | StationReceivers:
        """Prepare look-ups of times for n (phase, station) pairs."""
        if self.station_times is not None:
            return self.station_times.receivers(is_s, station)
        network = self.network
        return self.travel_times.receivers(
            is_s, network.elevation_m[station], network.x_km[station], network.y_km[station]
        )

    @cached_property
    def _coarse(self) -> tuple[Floats, Floats, NDArray[np.float32]]:
        """Nodes over the search box, half a cell, and times (nodes, phases, stations)."""
        box = self.network.search_box
        spacing = self.network.spacing_km
        axes, half = [], []
        for low, high in (box.x_km, box.y_km):
            cells = int(np.clip((high - low) / (spacing / 2), 12, 32))
            half.append((high - low) / cells / 2)
            axes.append(low + (high - low) * (np.arange(cells) + 0.5) / cells)
        low, high = box.depth_km
        depths = low + (high - low) * np.linspace(0.02, 0.98, 8) ** 1.5
        half.append(float(np.diff(depths).max()) / 2)
        nodes = np.stack(np.meshgrid(*axes, depths, indexing="ij"), axis=-1).reshape(-1, 3)
        network = self.network
        times = np.empty((len(nodes), 2, len(network.stations)), dtype=np.float32)
        everyone = np.arange(len(network.stations))
        for phase in (0, 1):
            is_s = np.full(everyone.size, phase == 1)
            times[:, phase] = self.receivers(is_s, everyone).times_from(nodes)
        return nodes, np.array(half), times

    def locate(self, picks: Sequence[Pick], start: Floats | None = None) -> Origin | Rejected:
        """Find where and when, how surely, and what each pick says about it.

        Parameters
        ----------
        picks : sequence of Pick
            One event's picks; their order does not matter.
        start : array, shape (3,), optional
            Where to look, km in the network's frame; everywhere by default.

        Returns
        -------
        Origin or Rejected
            With the reason when there are too few usable picks.
        """
        fit = self.fit(picks, start)
        if isinstance(fit, Rejected):
            return fit
        model = (self.station_times or self.travel_times).model
        return origin_of(self.network, model, fit, *self._sampled(fit))

    def fit(self, picks: Sequence[Pick], start: Floats | None = None) -> Fit | Rejected:
        """Find the best point only.

        Parameters
        ----------
        picks : sequence of Pick
            One event's picks; their order does not matter.
        start : array, shape (3,), optional
            Where to look, km in the network's frame; everywhere by default.
        """
        known = tuple(p for p in sorted(picks) if p.seed_id.station_id in self.network.index)
        stations = {pick.seed_id.station_id for pick in known}
        if len(known) < MIN_PICKS or len(stations) < 3:
            unknown = len(picks) - len(known)
            lost = f" ({unknown} of unknown stations)" if unknown else ""
            return Rejected(
                f"{len(known)} picks at {len(stations)} stations{lost}; "
                f"needs {MIN_PICKS} at 3 stations"
            )
        data = self._data(known)
        if start is None:
            point, half = self._searched(data)
        else:
            point, half = start, self._coarse[1] / 2
        point = self._refined(data, self._sigma(data, point), point, half)
        sigma = self._sigma(data, point)
        scale = self._scale(data, sigma, point)
        sigma = scale * sigma
        point = self._descended(data, sigma, point)
        travelled = data.travel_times(point[None])
        _, time = profile(data.time_s, travelled, sigma, data.is_s)
        residual = data.time_s - travelled[0] - time[0]
        covariance = self._linearised(data, sigma, point)
        return Fit(data, point, float(time[0]), residual, sigma, scale, covariance)

    def residuals(self, group: PickGroup, picks: Sequence[Pick]) -> list[tuple[Pick, float]]:
        """Return what picks lack (s) to a group's own origin, for those that could be its."""
        x, y = self.network.frame.to_km(group.latitude, group.longitude)
        point = np.array([float(x), float(y), group.depth_km])
        return [(pick, r) for pick, r, _, _ in self._compared(point, group.time_ns, picks)]

    def misfits(
        self, origin: Origin, picks: Sequence[Pick], max_distance_km: float
    ) -> list[tuple[Pick, float]]:
        """Return |residual| over its standard deviation for picks of stations near enough.

        The deviation holds the pick's, the model's and the origin time's uncertainty, scaled up
        where the origin's own residuals are larger than those.
        """
        x, y = self.network.frame.to_km(origin.latitude, origin.longitude)
        point = np.array([float(x), float(y), origin.depth_km])
        found = []
        compared = self._compared(point, to_ns(origin.time), picks)
        for pick, residual, sigma, distance in compared:
            if distance <= max_distance_km:
                deviation = math.hypot(max(sigma, origin.rms_s), origin.time_uncertainty_s)
                found.append((pick, abs(residual) / deviation))
        return found

    def _compared(
        self, point: Floats, origin_ns: int, picks: Sequence[Pick]
    ) -> list[tuple[Pick, float, float, float]]:
        """Return picks that an origin could have caused, with residual, sigma and distance."""
        longest = self.longest_s + 5
        near = tuple(
            pick
            for pick in picks
            if pick.seed_id.station_id in self.network.index
            and -5 < (to_ns(pick.time) - origin_ns) / NS_PER_S < longest
        )
        if not near:
            return []
        data = self._data(near)
        travelled = data.travel_times(point[None])[0]
        residual = data.time_s + (data.base_ns - origin_ns) / NS_PER_S - travelled
        sigma = np.hypot(data.sigma_s, self.errors.of_model(travelled))
        distance = np.hypot(data.x_km - point[0], data.y_km - point[1])
        return list(zip(near, residual.tolist(), sigma.tolist(), distance.tolist(), strict=True))

    def arrival_times(self, latitude: float, longitude: float, depth_km: float) -> Floats:
        """Return how long P and S take to every station, its station corrections included.

        Parameters
        ----------
        latitude, longitude, depth_km : float
            A source: degrees, kilometres below sea level.

        Returns
        -------
        array, shape (2, n_stations)
            Seconds; NaN where there is no such arrival.
        """
        n = len(self.network.stations)
        receivers = self.receivers(np.repeat([False, True], n), np.tile(np.arange(n), 2))
        x, y = self.network.frame.to_km(latitude, longitude)
        point = np.array([[float(x), float(y), depth_km]])
        return np.asarray(receivers.times_from(point).reshape(2, n) + self.network.delay_s)

    def rays(self, points_km: Floats, stations: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return azimuths and angles from straight down (degrees) at which P leaves sources.

        A ray points to where the travel time falls fastest: in a three-dimensional model not
        always towards the station.

        Parameters
        ----------
        points_km : array, shape (m, 3)
            Sources: east, north, down in the network's frame.
        stations : array of int, shape (n,)
            Positions of stations in the network.

        Returns
        -------
        azimuth_deg, takeoff_deg : array, shape (m, n)
            NaN where there is no travel time.
        """
        receivers = self.receivers(np.zeros(stations.size, dtype=np.bool_), stations)
        slowness = []
        for step in self._step_km * np.eye(3):
            low, high = (
                _inside(points_km + side * step, self.network.search_box) for side in (-1, 1)
            )
            width = (high - low).sum(axis=1, keepdims=True)
            slowness.append((receivers.times_from(low) - receivers.times_from(high)) / width)
        east, north, down = slowness
        azimuth = np.degrees(np.arctan2(east, north)) % 360
        return azimuth, np.degrees(np.arctan2(np.hypot(east, north), down))

    @cached_property
    def longest_s(self) -> float:
        """Longest S time from the region to a station."""
        return self.network.max_travel_time_s(self.travel_times)

    def _data(self, picks: tuple[Pick, ...]) -> Observed:
        network = self.network
        station = np.array([network.index[pick.seed_id.station_id] for pick in picks])
        is_s = np.array([pick.phase == "S" for pick in picks])
        base_ns = min(to_ns(pick.time) for pick in picks)
        return Observed(
            picks=picks,
            base_ns=base_ns,
            time_s=np.array([(to_ns(pick.time) - base_ns) / NS_PER_S for pick in picks])
            - network.delay_s[is_s.astype(int), station],
            x_km=network.x_km[station],
            y_km=network.y_km[station],
            sigma_s=reading_errors(picks),
            station=station,
            is_s=is_s,
            receivers=self.receivers(is_s, station),
        )

    @cached_property
    def errors(self) -> TimingErrors:
        """What predictions may be off by."""
        return TimingErrors.of(self.network)

    @property
    def _step_km(self) -> float:
        """How far apart travel times are compared: rays bend within a mine's network."""
        return min(_STEP_KM, _STEP_SHARE * self.network.spacing_km)

    def _sigma(self, data: Observed, point: Floats) -> Floats:
        """Return what each residual may be (s) for a source near `point`."""
        times = data.travel_times(point[None])[0]
        return np.hypot(data.sigma_s, self.errors.of_model(times))

    def _searched(self, data: Observed) -> tuple[Floats, Floats]:
        """Return the best of all coarse nodes after one look around the best few."""
        nodes, half, times = self._coarse
        early = np.argsort(data.time_s, kind="stable")[:24]
        travelled = times[:, data.is_s[early].astype(int), data.station[early]]
        cell_s = 0.5 * float(np.hypot(half[0], half[1])) / 5.0
        sigma = np.hypot(data.sigma_s[early], cell_s)
        likelihood, _ = profile(
            data.time_s[early], travelled.astype(np.float64), sigma, data.is_s[early]
        )
        best = nodes[np.argsort(-likelihood, kind="stable")[:6]]
        around = (best[:, None] + _lattice(half, 5)[None]).reshape(-1, 3)
        around = _inside(around, self.network.search_box)
        likelihood, _ = self._likelihood(data, np.hypot(data.sigma_s, cell_s / 2), around)
        return around[int(np.argmax(likelihood))], half / 2

    def _refined(self, data: Observed, sigma: Floats, point: Floats, half: Floats) -> Floats:
        """Return the best point near `point`: a few nested grids, then downhill to the bottom."""
        for _ in range(2):
            around = _inside(point + _lattice(half, 5), self.network.search_box)
            likelihood, _ = self._likelihood(data, sigma, around)
            point, half = around[int(np.argmax(likelihood))], half / 2
        return self._descended(data, sigma, point)

    def _descended(self, data: Observed, sigma: Floats, point: Floats) -> Floats:
        """Follow reweighted least squares (Levenberg-Marquardt) from `point` to the best one."""
        box = self.network.search_box
        likelihood, time = self._likelihood(data, sigma, point[None])
        best, damping, n_failed = float(likelihood[0]), 1e-3, 0
        design, travelled = self._design(data, point)
        for _ in range(_MAX_STEPS):
            off = data.time_s - travelled - time[0]
            weight = weights(off, sigma) / sigma**2
            normal = (design * weight[:, None]).T @ design
            normal[4, 4] += COMMON_SHARE**-2
            normal[5, 5] += COMMON_SHARE**-2
            diagonal = np.einsum("ii->i", normal)
            diagonal += damping * diagonal + 1e-9
            step = np.linalg.solve(normal, design.T @ (weight * off))
            tried = _inside(point + step[:3], box)
            moved = float(np.abs(tried - point).max())
            if moved < _SETTLED_STEPS * self._step_km:
                break
            likelihood, origin = self._likelihood(data, sigma, tried[None])
            if likelihood[0] < best:
                damping, n_failed = damping * 30, n_failed + 1
                if n_failed == _MOST_FAILURES:
                    break
                continue
            best, point, time, damping = float(likelihood[0]), tried, origin, damping / 5
            design, travelled = self._design(data, point)
        return point

    def _design(self, data: Observed, point: Floats) -> tuple[Floats, Floats]:
        """Return derivatives of arrival times by place, origin time and shares; travel times."""
        box = self.network.search_box
        step = self._step_km * np.eye(3)
        low, high = _inside(point - step, box), _inside(point + step, box)
        times = data.travel_times(np.concatenate([low, high, point[None]]))
        derivative = (times[3:6] - times[:3]).T / np.diagonal(high - low)
        common = times[6][:, None] * np.stack([~data.is_s, data.is_s], axis=1)
        return np.hstack([derivative, np.ones((len(data.picks), 1)), common]), times[6]

    def _likelihood(self, data: Observed, sigma: Floats, points: Floats) -> tuple[Floats, Floats]:
        """Return log likelihood and origin time of sources at points (m, 3)."""
        return profile(data.time_s, data.travel_times(points), sigma, data.is_s)

    def _scale(self, data: Observed, sigma: Floats, point: Floats) -> float:
        """Return the factor on all sigmas that the residuals ask for, held near 1 when few."""
        travelled = data.travel_times(point[None])
        _, time = profile(data.time_s, travelled, sigma, data.is_s)
        u = (data.time_s - travelled[0] - time[0]) / sigma
        log_scales = np.linspace(math.log(0.5), math.log(8), 57)
        free = max(len(u) - 4, 0.5)
        tails = np.log1p((u[None] / np.exp(log_scales)[:, None]) ** 2 / DOF).sum(axis=1)
        score = (
            -(DOF + 1) / 2 * tails * free / len(u)
            - free * log_scales
            - log_scales**2 / (2 * _SCALE_SPREAD**2)
        )
        return float(np.exp(log_scales[int(np.argmax(score))]))

    def _sampled(self, fit: Fit) -> tuple[Posterior, Residuals]:
        """Describe how well the hypocentre is known; the same picks give the same samples."""
        data = fit.data
        travelled = data.travel_times(fit.point[None])[0]
        weight = np.maximum(weights(fit.residual_s, fit.sigma_s), _LEAST_WEIGHT)
        own = np.diag(np.hypot(data.sigma_s, self.errors.of_path(travelled)) ** 2 / weight)
        shared = self.errors.shared(travelled, data.is_s, data.x_km, data.y_km)
        residuals = Residuals.of(own + shared, weight.sum())
        ids = "".join(pick.pick_id for pick in data.picks)
        seed = int.from_bytes(hashlib.sha256(ids.encode()).digest()[:8], "big")
        posterior = sample(
            lambda points: residuals.log_likelihood(data.time_s - data.travel_times(points)),
            fit.point, fit.covariance[:3, :3], self.network.search_box,
            np.random.default_rng(seed),
        )  # fmt: skip
        return posterior, residuals

    def _linearised(self, data: Observed, sigma: Floats, point: Floats) -> Floats:
        """Return the Gaussian covariance (km, s) at the best point, never wider than the box."""
        box = self.network.search_box
        design, _ = self._design(data, point)
        design = design / sigma[:, None]
        limits = [np.ptp(box.x_km) / 4, np.ptp(box.y_km) / 4, np.ptp(box.depth_km) / 4]
        prior = np.diag([*(1 / np.square(limits)), 0.0, *([COMMON_SHARE**-2] * 2)])
        covariance = np.linalg.inv(design.T @ design + prior)[:4, :4]
        return np.asarray((covariance + covariance.T) / 2)


def locate(picks: Sequence[Pick], network: Network, travel_times: TravelTimes) -> Origin | Rejected:
    """Locate one event; for many events keep a `Locator`."""
    return Locator(network, travel_times).locate(picks)


def _lattice(half: Floats, n: int) -> Floats:
    """Return n x n x n offsets spanning ± `half`, the centre among them."""
    axis = np.linspace(-1, 1, n)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(cube * half)


def _inside(points: Floats, box: Box) -> Floats:
    low = np.array([box.x_km[0], box.y_km[0], box.depth_km[0]])
    high = np.array([box.x_km[1], box.y_km[1], box.depth_km[1]])
    return np.clip(points, low, high)
