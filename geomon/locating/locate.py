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

from geomon.events import Arrival, Origin, Pick
from geomon.locating.associate import PickGroup
from geomon.locating.network import Box, Network, geodesic
from geomon.locating.quality import azimuthal_gap, quality_class
from geomon.locating.station_times import StationReceivers, StationTimes
from geomon.locating.travel_times import Receivers, TravelTimes
from geomon.times import NS_PER_S, from_ns, to_ns

type Floats = NDArray[np.float64]

METHOD = "geomon Student-t 1"
MIN_PICKS = 4
_DOF = 4.0  # of the residuals' distribution: tails heavy enough for one pick in ten to be wrong
_MODEL_FLOOR_S = 0.05  # what a layered model and a station's site leave unexplained, any distance
_MODEL_SHARE = 0.015  # and what grows with the time travelled, different for every path
_COMMON_SHARE = 0.025  # what all P, or all S, of an event are late or early by, of their times
_SCALE_SPREAD = 0.3  # of log(scale): how far the residuals may ask for other sigmas than assumed
_USED_WEIGHT = 0.1  # picks below do not count as used


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why picks could not be located."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """The picks of one event as arrays, times relative to the first of them."""

    picks: tuple[Pick, ...]
    base_ns: int
    time_s: Floats
    x_km: Floats
    y_km: Floats
    sigma_s: Floats
    station: NDArray[np.int64]
    is_s: NDArray[np.bool_]
    receivers: Receivers | StationReceivers

    def travel_times(self, points: Floats) -> Floats:
        return self.receivers.times_from(points)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The best point for some picks, with a Gaussian idea of how well it is known.

    Attributes
    ----------
    data : _Data
        The picks.
    point : array, shape (3,)
        East, north, down in the network's frame, km.
    time_s : float
        Origin time after `data.base_ns`.
    residual_s, sigma_s : array, shape (n_picks,)
        Observed minus predicted, and the standard deviation each was given.
    scale : float
        Factor by which the residuals are larger than expected; part of `sigma_s`.
    covariance : array, shape (4, 4)
        Of east, north, down (km) and origin time (s).
    """

    data: _Data
    point: Floats
    time_s: float
    residual_s: Floats
    sigma_s: Floats
    scale: float
    covariance: Floats

    @property
    def time_ns(self) -> int:
        """Origin time in nanoseconds since 1970."""
        return self.data.base_ns + round(self.time_s * NS_PER_S)


@dataclass(frozen=True, slots=True, eq=False)
class _Posterior:
    """Weighted samples of the hypocentre (east, north, down) and the origin time."""

    points: Floats
    times_s: Floats
    weights: Floats


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

    def locate(self, picks: Sequence[Pick]) -> Origin | Rejected:
        """Find where and when, how surely, and what each pick says about it.

        Parameters
        ----------
        picks : sequence of Pick
            One event's picks; their order does not matter.

        Returns
        -------
        Origin or Rejected
            With the reason when there are too few usable picks.
        """
        fit = self.fit(picks)
        if isinstance(fit, Rejected):
            return fit
        posterior = self._sampled(fit)
        return self._origin(fit, posterior)

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
        point = self._refined(data, sigma, point, half / 16)
        residual = data.time_s - data.travel_times(point[None])
        _, time = _student(residual, sigma)
        covariance = self._linearised(data, sigma, point)
        return Fit(data, point, float(time[0]), residual[0] - time[0], sigma, scale, covariance)

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
        sigma = np.hypot(data.sigma_s, self.model_sigma(travelled))
        distance = np.hypot(data.x_km - point[0], data.y_km - point[1])
        return list(zip(near, residual.tolist(), sigma.tolist(), distance.tolist(), strict=True))

    @cached_property
    def longest_s(self) -> float:
        """Longest S time from the region to a station."""
        return self.network.max_travel_time_s(self.travel_times)

    def _data(self, picks: tuple[Pick, ...]) -> _Data:
        network = self.network
        station = np.array([network.index[pick.seed_id.station_id] for pick in picks])
        is_s = np.array([pick.phase == "S" for pick in picks])
        base_ns = min(to_ns(pick.time) for pick in picks)
        return _Data(
            picks=picks,
            base_ns=base_ns,
            time_s=np.array([(to_ns(pick.time) - base_ns) / NS_PER_S for pick in picks]),
            x_km=network.x_km[station],
            y_km=network.y_km[station],
            sigma_s=self.pick_sigma(picks),
            station=station,
            is_s=is_s,
            receivers=self.receivers(is_s, station),
        )

    @staticmethod
    def pick_sigma(picks: Sequence[Pick]) -> Floats:
        """Return how exact picks are (s): a doubtful pick is also a less exact one."""
        probability = np.array([pick.probability for pick in picks])
        uncertainty = np.array([pick.uncertainty_s for pick in picks])
        return np.asarray(np.maximum(uncertainty, 0.01) / np.sqrt(np.clip(probability, 0.1, 1.0)))

    @staticmethod
    def model_sigma(travel_time_s: Floats) -> Floats:
        """Return what the velocity model may be wrong by (s) after some travel time."""
        return np.asarray(_MODEL_FLOOR_S + _MODEL_SHARE * travel_time_s)

    def _sigma(self, data: _Data, point: Floats) -> Floats:
        """Return what each residual may be (s) for a source near `point`."""
        times = data.travel_times(point[None])[0]
        return np.hypot(data.sigma_s, self.model_sigma(times))

    def _searched(self, data: _Data) -> tuple[Floats, Floats]:
        """Return the best of all coarse nodes after one look around the best few."""
        nodes, half, times = self._coarse
        early = np.argsort(data.time_s, kind="stable")[:24]
        residual = data.time_s[early] - times[:, data.is_s[early].astype(int), data.station[early]]
        cell_s = 0.5 * float(np.hypot(half[0], half[1])) / 5.0
        sigma = np.hypot(data.sigma_s[early], cell_s)
        likelihood, _ = _student(residual.astype(np.float64), sigma)
        best = nodes[np.argsort(-likelihood, kind="stable")[:6]]
        around = (best[:, None] + _lattice(half, 5)[None]).reshape(-1, 3)
        around = _inside(around, self.network.search_box)
        likelihood, _ = self._likelihood(data, np.hypot(data.sigma_s, cell_s / 2), around)
        return around[int(np.argmax(likelihood))], half / 2

    def _refined(self, data: _Data, sigma: Floats, point: Floats, half: Floats) -> Floats:
        """Return the best point of nested grids around `point`."""
        for _ in range(6):
            around = _inside(point + _lattice(half, 5), self.network.search_box)
            likelihood, _ = self._likelihood(data, sigma, around)
            point, half = around[int(np.argmax(likelihood))], half / 2
        return point

    def _likelihood(self, data: _Data, sigma: Floats, points: Floats) -> tuple[Floats, Floats]:
        """Return log likelihood and origin time of sources at points (m, 3)."""
        times = data.travel_times(points)
        return _student_scaled(data.time_s - times, sigma, times, data.is_s)

    def _scale(self, data: _Data, sigma: Floats, point: Floats) -> float:
        """Return the factor on all sigmas that the residuals ask for, held near 1 when few."""
        residual = data.time_s - data.travel_times(point[None])
        _, time = _student(residual, sigma)
        u = (residual[0] - time[0]) / sigma
        log_scales = np.linspace(math.log(0.5), math.log(8), 57)
        free = max(len(u) - 4, 0.5)
        tails = np.log1p((u[None] / np.exp(log_scales)[:, None]) ** 2 / _DOF).sum(axis=1)
        score = (
            -(_DOF + 1) / 2 * tails * free / len(u)
            - free * log_scales
            - log_scales**2 / (2 * _SCALE_SPREAD**2)
        )
        return float(np.exp(log_scales[int(np.argmax(score))]))

    def _sampled(self, fit: Fit) -> _Posterior:
        """Draw from the posterior, first around the best point, then from what was found."""
        data, sigma, point = fit.data, fit.sigma_s, fit.point
        ids = "".join(sorted(pick.pick_id for pick in data.picks))
        seed = int.from_bytes(hashlib.sha256(ids.encode()).digest()[:8], "big")
        rng = np.random.default_rng(seed)
        box = self.network.search_box
        covariance = fit.covariance[:3, :3]
        centres = point[None]
        kernel = 2.0 * covariance
        for n_samples, n_centres in ((300, 40), (500, 60), (1000, 0)):
            samples, log_q = _mixture(rng, centres, kernel, covariance, n_samples)
            likelihood = np.full(n_samples, -np.inf)
            times = np.zeros(n_samples)
            valid = _contains(box, samples)
            likelihood[valid], times[valid] = self._likelihood(data, sigma, samples[valid])
            log_w = likelihood - log_q
            weights = np.exp(log_w - log_w.max())
            weights /= weights.sum()
            mean = weights @ samples
            deviation = samples - mean
            covariance = (weights[:, None] * deviation).T @ deviation + np.diag([1e-4, 1e-4, 1e-4])
            if n_centres:
                steps = (rng.random() + np.arange(n_centres)) / n_centres
                chosen = np.minimum(np.searchsorted(np.cumsum(weights), steps), n_samples - 1)
                centres = samples[chosen]
                kernel = covariance * n_centres ** (-2 / 7)  # Silverman's width in 3 dimensions
        return _Posterior(samples, times, weights)

    def _linearised(self, data: _Data, sigma: Floats, point: Floats) -> Floats:
        """Return the Gaussian covariance (km, s) at the best point, never wider than the box."""
        box = self.network.search_box
        step = np.diag([0.1, 0.1, 0.1])
        low, high = _inside(point - step, box), _inside(point + step, box)
        times = data.travel_times(np.concatenate([low, high]))
        n = times.shape[1]
        derivative = (times[3:] - times[:3]).T / np.diagonal(high - low)
        travelled = times.mean(axis=0)[:, None] * np.stack([~data.is_s, data.is_s], axis=1)
        design = np.hstack([derivative, np.ones((n, 1)), travelled]) / sigma[:, None]
        limits = [np.ptp(box.x_km) / 4, np.ptp(box.y_km) / 4, np.ptp(box.depth_km) / 4]
        prior = np.diag([*(1 / np.square(limits)), 0.0, *([_COMMON_SHARE**-2] * 2)])
        covariance = np.linalg.inv(design.T @ design + prior)[:4, :4]
        return np.asarray((covariance + covariance.T) / 2)

    def _origin(self, fit: Fit, posterior: _Posterior) -> Origin:
        data, sigma = fit.data, fit.sigma_s
        network, weights = self.network, posterior.weights
        mean = weights @ posterior.points
        deviation = posterior.points - mean
        covariance = (weights[:, None] * deviation).T @ deviation
        residuals = data.time_s - data.travel_times(mean[None])
        _, times = _student(residuals, sigma)
        residual = residuals[0] - times[0]
        pick_weight = 1 / (1 + (residual / sigma) ** 2 / _DOF)
        used = pick_weight >= _USED_WEIGHT
        precision = pick_weight / sigma**2
        rms = math.sqrt(float((precision * residual**2).sum() / precision.sum()))
        spread = posterior.times_s - weights @ posterior.times_s
        time_variance = float(weights @ spread**2) + 1 / float(precision.sum())
        latitude, longitude = (float(v) for v in network.frame.to_degrees(mean[0], mean[1]))
        major, minor, azimuth = _ellipse(deviation[:, :2], weights, covariance[:2, :2])
        shallow, deep = _quantiles(posterior.points[:, 2], weights, (0.16, 0.84))
        stations = [network.stations[k] for k in data.station]
        distance, bearing = geodesic(
            latitude, longitude, [s.latitude for s in stations], [s.longitude for s in stations]
        )
        any_used = used if used.any() else np.ones_like(used)
        gap = azimuthal_gap(bearing[any_used])
        nearest = float(distance[any_used].min())
        depth = float(mean[2])
        arrivals = tuple(
            Arrival(pick, float(d), float(a), float(r), float(w))
            for pick, d, a, r, w in zip(
                data.picks, distance, bearing, residual, pick_weight, strict=True
            )
        )
        model = (self.station_times or self.travel_times).model
        return Origin(
            time=from_ns(data.base_ns + round(float(times[0]) * NS_PER_S)),
            latitude=latitude,
            longitude=longitude,
            depth_km=depth,
            time_uncertainty_s=math.sqrt(time_variance),
            covariance_km2=_upper(covariance),
            ellipse_km=(major, minor),
            ellipse_azimuth_deg=azimuth,
            depth_interval_km=(shallow, deep),
            rms_s=rms,
            azimuthal_gap_deg=gap,
            nearest_station_km=nearest,
            n_stations=len(set(data.station[any_used].tolist())),
            n_phases=int(any_used.sum()),
            quality=quality_class(
                gap_deg=gap,
                nearest_km=nearest,
                depth_km=depth,
                n_phases=int(any_used.sum()),
                ellipse_major_km=major,
                depth_half_width_km=(deep - shallow) / 2,
                rms_s=rms,
            ),
            method=METHOD,
            velocity_model=f"{model.name} {model.version}",
            arrivals=arrivals,
        )


def locate(picks: Sequence[Pick], network: Network, travel_times: TravelTimes) -> Origin | Rejected:
    """Locate one event; for many events keep a `Locator`."""
    return Locator(network, travel_times).locate(picks)


def _student(residual: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Return log likelihood and best origin time of each row of residuals (m, n), seconds."""
    time = np.median(residual, axis=1)
    inverse = 1 / sigma**2
    for _ in range(3):
        u2 = (residual - time[:, None]) ** 2 * inverse
        weight = inverse / (1 + u2 / _DOF)
        time = (weight * residual).sum(axis=1) / weight.sum(axis=1)
    u2 = (residual - time[:, None]) ** 2 * inverse
    return -(_DOF + 1) / 2 * np.log1p(u2 / _DOF).sum(axis=1), time


def _student_scaled(
    residual: Floats, sigma: Floats, travelled: Floats, is_s: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return log likelihood and origin time with all P and all S times off by a common share.

    The shares, which the velocity model may be wrong by everywhere, are fitted with each origin
    time, held near zero by their prior. Otherwise errors common to all picks would look like
    knowledge, of depth above all.
    """
    time = np.median(residual, axis=1)
    share_p, share_s = np.zeros_like(time), np.zeros_like(time)
    inverse = 1 / sigma**2
    hold = _COMMON_SHARE**-2
    through_p, through_s = travelled * ~is_s, travelled * is_s
    left = residual - time[:, None]
    for _ in range(3):
        weight = inverse / (1 + left**2 * inverse / _DOF)
        weighted = weight * residual
        w_p, w_s = weight * through_p, weight * through_s
        a_p, a_s = w_p.sum(axis=1), w_s.sum(axis=1)
        c_p = (w_p * through_p).sum(axis=1) + hold
        c_s = (w_s * through_s).sum(axis=1) + hold
        b_p = (weighted * through_p).sum(axis=1)
        b_s = (weighted * through_s).sum(axis=1)
        numerator = weighted.sum(axis=1) - a_p * b_p / c_p - a_s * b_s / c_s
        time = numerator / (weight.sum(axis=1) - a_p**2 / c_p - a_s**2 / c_s)
        share_p, share_s = (b_p - time * a_p) / c_p, (b_s - time * a_s) / c_s
        common = np.where(is_s, share_s[:, None], share_p[:, None])
        left = residual - time[:, None] - common * travelled
    likelihood = -(_DOF + 1) / 2 * np.log1p(left**2 * inverse / _DOF).sum(axis=1)
    return likelihood - hold * (share_p**2 + share_s**2) / 2, time


def _lattice(half: Floats, n: int) -> Floats:
    """Return n x n x n offsets spanning ± `half`, the centre among them."""
    axis = np.linspace(-1, 1, n)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(cube * half)


def _inside(points: Floats, box: Box) -> Floats:
    low = np.array([box.x_km[0], box.y_km[0], box.depth_km[0]])
    high = np.array([box.x_km[1], box.y_km[1], box.depth_km[1]])
    return np.clip(points, low, high)


def _contains(box: Box, points: Floats) -> NDArray[np.bool_]:
    return np.asarray((_inside(points, box) == points).all(axis=1))


def _mixture(
    rng: np.random.Generator, centres: Floats, kernel: Floats, wide: Floats, n_samples: int
) -> tuple[Floats, Floats]:
    """Draw from Student-t kernels on the centres and, one in ten, a wide one; with log density."""
    dof, share = 5.0, 0.1
    is_wide = rng.random(n_samples) < share
    z = rng.standard_normal((n_samples, 3)) / np.sqrt(rng.chisquare(dof, (n_samples, 1)) / dof)
    narrow_root, wide_root = np.linalg.cholesky(kernel), np.linalg.cholesky(6.0 * wide)
    middle = centres.mean(axis=0)
    chosen = centres[rng.integers(len(centres), size=n_samples)]
    samples = np.where(is_wide[:, None], middle + z @ wide_root.T, chosen + z @ narrow_root.T)

    def density(root: Floats, around: Floats) -> Floats:
        inverse = np.linalg.inv(root)
        white, places = samples @ inverse.T, around @ inverse.T
        m2 = ((white[:, None, :] - places[None]) ** 2).sum(axis=2)
        height = (1 + m2 / dof) ** (-(dof + 3) / 2)
        return np.asarray(height.mean(axis=1) / np.prod(np.diagonal(root)))

    q = (1 - share) * density(narrow_root, centres) + share * density(wide_root, middle[None])
    return samples, np.log(q)


def _quantiles(values: Floats, weights: Floats, shares: tuple[float, ...]) -> list[float]:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order]) - 0.5 * weights[order]
    return [float(q) for q in np.interp(shares, cumulative, values[order])]


def _upper(covariance: Floats) -> tuple[float, float, float, float, float, float]:
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = covariance.tolist()
    return xx, xy, xz, yy, yz, zz


def _ellipse(deviation: Floats, weights: Floats, covariance: Floats) -> tuple[float, float, float]:
    """Return semi-axes (km) and azimuth (degrees) of the ellipse that holds 68 % of the weight."""
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-6)
    m2 = ((deviation @ vectors) ** 2 / values).sum(axis=1)
    [radius2] = _quantiles(m2, weights, (0.68,))
    minor, major = (math.sqrt(radius2 * value) for value in values)
    east, north = vectors[:, 1]
    return major, minor, math.degrees(math.atan2(east, north)) % 180
