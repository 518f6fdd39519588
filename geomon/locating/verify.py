"""Is a group of picks an earthquake? Its evidence against chance decides, and picks follow it.

A group is compared with the hypothesis that its picks met by chance. For every station and phase
the event either explains a pick near its predicted time, or has to excuse that there is none::

    evidence = Σ log(d f(r) / λ) over picks explained + Σ log(1 - d) over picks missing
               + log(volume of the posterior / (volume of the region x one hour))

with d the probability that an event like this is picked at that distance, f the density of the
residual r, and λ the rate at which such picks come anyway around that time. The last term is the
price of having looked everywhere. If picks came at random with rate λ, an evidence above log K
would appear less than once in K hours (Markov's inequality), so the threshold is a false-alarm
rate, the same for every network.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from geomon.events import Pick
from geomon.locating.fit import Fit, Rejected
from geomon.locating.locate import Locator
from geomon.locating.plane_waves import MAX_SLOWNESS_S_KM, PlaneWave, plane_through
from geomon.locating.timing_errors import reading_errors
from geomon.times import NS_PER_S, to_ns

type Floats = NDArray[np.float64]

_DOF = 4.0
_MATCH_SIGMAS = 3.0
_PICKED = np.array([0.9, 0.8])  # highest chance that P and S of an event are picked, near it
_FALL = 4.0  # how steeply that falls beyond the distance an event is seen to
_LEAST = 0.005  # chance of a pick far beyond it
_HOPELESS = -20.0  # evidence so low that gathering picks will not help
# A plane wave from afar: fewest picks of P, and their share; how wide around it P are its own.
_LEAST_PLANE, _PLANE_P_SHARE, _PLANE_S = 5, 0.65, 1.0
_T_NORM = float(gammaln((_DOF + 1) / 2) - gammaln(_DOF / 2) - 0.5 * math.log(_DOF * math.pi))


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """A candidate with the picks it explains.

    Attributes
    ----------
    evidence : float
        Natural logarithm of the odds against chance, for one event an hour in the region.
    picks : tuple of Pick
        Explained picks, sorted.
    fit : Fit
        Where and when they say.
    """

    evidence: float
    picks: tuple[Pick, ...]
    fit: Fit


class Verifier:
    """Weighs candidates against all picks of one tile.

    Parameters
    ----------
    locator : Locator
        Locates candidates.
    picks : iterable of Pick
        Every pick of the tile and its margins: they set the rates.
    max_distance_km : float or None
        Stations farther away are neither expected nor used.

    Attributes
    ----------
    waves : list of PlaneWave
        Those that were let pass.
    """

    def __init__(
        self, locator: Locator, picks: Iterable[Pick], max_distance_km: float | None
    ) -> None:
        self.waves: list[PlaneWave] = []
        self._locator = locator
        self._max_distance_km = max_distance_km or math.inf
        network = locator.network
        n = len(network.stations)
        slots: list[list[tuple[int, Pick]]] = [[] for _ in range(2 * n)]
        for pick in sorted(picks):
            k = network.index.get(pick.seed_id.station_id)
            if k is not None:
                late_ns = round(network.delay_of(pick) * NS_PER_S)
                slots[2 * k + (pick.phase == "S")].append((to_ns(pick.time) - late_ns, pick))
        self._picks = [[pick for _, pick in slot] for slot in slots]
        self._places = {
            pick: (number, place)
            for number, slot in enumerate(self._picks)
            for place, pick in enumerate(slot)
        }
        self._fits: dict[tuple[tuple[Pick, ...], bytes], Fit | Rejected] = {}
        self._base_ns = min((slot[0][0] for slot in slots if slot), default=0)
        self._times = [
            np.array([(time - self._base_ns) / NS_PER_S for time, _ in slot]) for slot in slots
        ]
        self._sigma = [reading_errors([pick for _, pick in slot]) for slot in slots]
        self._used = [np.zeros(len(slot), dtype=bool) for slot in slots]
        alive = np.array([bool(slots[2 * k] or slots[2 * k + 1]) for k in range(n)])
        self._alive = np.repeat(alive, 2)
        self._is_s = np.tile([False, True], n)
        # Without any S at all, S is not read here, rather than missing.
        self._alive &= ~self._is_s | any(bool(slots[2 * k + 1]) for k in range(n))
        self._x = np.repeat(network.x_km, 2)
        self._y = np.repeat(network.y_km, 2)
        self._receivers = locator.receivers(self._is_s, np.repeat(np.arange(n), 2))
        # Picks come in swarms: rates are counted around each, over the time an event lasts.
        self._rate_half_s = max(locator.longest_s / 4, 3.0)
        last = max((float(times[-1]) for times in self._times if times.size), default=0.0)
        self._duration_s = max(last, 60.0)
        self.recount()
        (west, east), (south, north), (top, bottom) = (
            network.box.x_km,
            network.box.y_km,
            network.box.depth_km,
        )
        self._log_space = math.log((east - west) * (north - south) * (bottom - top) * 3600.0)

    def verify(self, picks: Sequence[Pick], start: Floats | None = None) -> Verified | None:
        """Locate a candidate, let it gather the free picks it explains, and weigh it.

        Returns None when too few picks are left to locate with.
        """
        fit = self._fit([pick for pick in picks if self._is_free(pick)], start)
        for _ in range(3):
            if isinstance(fit, Rejected):
                return None
            matched, evidence = self._weighed(fit)
            if matched == fit.data.picks or evidence < _HOPELESS:
                return Verified(evidence, fit.data.picks, fit)
            fit = self._fit(matched, fit.point)
        if isinstance(fit, Rejected):
            return None
        matched, evidence = self._weighed(fit)
        return Verified(evidence, fit.data.picks, fit)

    def _fit(self, picks: Sequence[Pick], start: Floats | None) -> Fit | Rejected:
        """Locate picks, or remember: a candidate that failed comes again after a recount."""
        key = (tuple(picks), b"" if start is None else start.tobytes())
        if key not in self._fits:
            self._fits[key] = self._locator.fit(picks, start)
        return self._fits[key]

    def distant_wave(self, verified: Verified) -> PlaneWave | None:
        """Return the plane wave that explains a candidate better, with its free P picks, if any.

        Waves from a distant earthquake, or a disturbance everywhere at once, cross the network
        faster than any from a source within it. A plane through the candidate's P picks that fits
        them at least as well as its origin does, and so fast, tells such a wave.
        """
        data = verified.fit.data
        is_p = ~data.is_s
        if is_p.sum() < _LEAST_PLANE or is_p.mean() < _PLANE_P_SHARE:
            return None
        slowness, time = plane_through(data.x_km[is_p], data.y_km[is_p], data.time_s[is_p])
        if math.hypot(*slowness) > MAX_SLOWNESS_S_KM:
            return None
        sigma = verified.fit.sigma_s[is_p]
        off = (
            data.time_s[is_p] - time - slowness[0] * data.x_km[is_p] - slowness[1] * data.y_km[is_p]
        )
        if _tails(off, sigma) < _tails(verified.fit.residual_s[is_p], sigma):
            return None
        passing = time + (data.base_ns - self._base_ns) / NS_PER_S
        found = []
        for slot in range(0, len(self._times), 2):
            at = passing + slowness[0] * self._x[slot] + slowness[1] * self._y[slot]
            low, high = np.searchsorted(self._times[slot], (at - _PLANE_S, at + _PLANE_S))
            found += [self._picks[slot][k] for k in range(low, high) if not self._used[slot][k]]
        if not found:
            return None
        return PlaneWave((float(slowness[0]), float(slowness[1])), tuple(sorted(found)))

    def use(self, picks: Iterable[Pick]) -> None:
        """Take picks away from all later candidates."""
        for pick in picks:
            slot, place = self._places[pick]
            self._used[slot][place] = True

    def let_pass(self, wave: PlaneWave) -> None:
        """Take a wave's picks away, and remember the wave."""
        self.use(wave.picks)
        self.waves.append(wave)

    def free_picks(self) -> list[Pick]:
        """Return the picks not yet used, sorted."""
        return sorted(
            pick
            for slot, used in zip(self._picks, self._used, strict=True)
            for pick, taken in zip(slot, used.tolist(), strict=True)
            if not taken
        )

    def recount(self) -> None:
        """Count rates again, of the picks not yet used."""
        self._free = [t[~used] for t, used in zip(self._times, self._used, strict=True)]
        self._pair_rate = self._s_rate_after_p()

    def _s_rate_after_p(self) -> float:
        """Return the rate (1/s) of S in the seconds after a P, over all stations."""
        n_p = n_pairs = 0
        for p_times, s_times in zip(self._free[::2], self._free[1::2], strict=True):
            first = np.searchsorted(s_times, p_times)
            last = np.searchsorted(s_times, p_times + self._rate_half_s)
            n_p += p_times.size
            n_pairs += int((last > first).sum())
        return n_pairs / max(n_p, 1) / self._rate_half_s

    def _is_free(self, pick: Pick) -> bool:
        slot, place = self._places[pick]
        return not self._used[slot][place]

    def _weighed(self, fit: Fit) -> tuple[tuple[Pick, ...], float]:
        """Return the free picks an origin explains, and the evidence for it."""
        point = fit.point
        distance = np.hypot(self._x - point[0], self._y - point[1])
        predicted = self._receivers.times_from(point[None])[0]
        origin = fit.time_s + (fit.data.base_ns - self._base_ns) / NS_PER_S
        model = self._locator.errors.of_model(predicted)
        loose = math.sqrt(max(float(fit.covariance[3, 3]), 0.0))
        explained = np.full(distance.size, -np.inf)
        matched: list[Pick] = []
        near = (distance <= self._max_distance_km) & self._alive & np.isfinite(predicted)
        for slot in np.flatnonzero(near).tolist():
            found = self._match(slot, origin + predicted[slot], model[slot], fit.scale, loose)
            if found is not None:
                pick, explained[slot] = found
                matched.append(pick)
        hypocentral = np.hypot(distance, point[2])
        seen = np.isfinite(explained)
        evidence = _detection(hypocentral[near], self._is_s[near], explained[near], seen[near])
        sign, log_volume = np.linalg.slogdet(fit.covariance)
        occam = 2 * math.log(2 * math.pi) + 0.5 * float(log_volume) if sign > 0 else 0.0
        return tuple(sorted(matched)), evidence + occam - self._log_space

    def _match(
        self, slot: int, time: float, model: float, scale: float, loose: float
    ) -> tuple[Pick, float] | None:
        """Return the free pick nearest to a predicted time, and log(f / rate); None for none."""
        times = self._times[slot]
        reach = _MATCH_SIGMAS * math.hypot(scale * math.hypot(0.2, model), loose)
        low, high = np.searchsorted(times, (time - reach, time + reach))
        best: tuple[float, int, float] | None = None
        for k in range(int(low), int(high)):
            if self._used[slot][k]:
                continue
            sigma = scale * math.hypot(float(self._sigma[slot][k]), model)
            off = abs(float(times[k]) - time)
            misfit = off / math.hypot(sigma, loose)
            if misfit <= _MATCH_SIGMAS and (best is None or misfit < best[0]):
                best = (misfit, k, sigma)
        if best is None:
            return None
        _, k, sigma = best
        u = (float(times[k]) - time) / sigma
        density = _T_NORM - math.log(sigma) - (_DOF + 1) / 2 * math.log1p(u * u / _DOF)
        return self._picks[slot][k], density - math.log(self._rate(slot, k))

    def _rate(self, slot: int, k: int) -> float:
        """Return how often (1/s) a pick like this one comes by chance around its time.

        That is the mean rate, or the rate around it, or, for an S after a P, the rate of S in the
        seconds after any P: a P met by chance brings its own S.
        """
        times, half = self._free[slot], self._rate_half_s
        time = self._times[slot][k]
        low, high = np.searchsorted(times, (time - half, time + half))
        rate = max(times.size / self._duration_s, float(high - low - 1) / (2 * half))
        if self._is_s[slot]:
            before = self._free[slot - 1]
            low, high = np.searchsorted(before, (time - half, time))
            rate = max(rate, float(high - low) * self._pair_rate)
        return rate


def _tails(residual_s: Floats, sigma_s: Floats) -> float:
    return -float(np.log1p((residual_s / sigma_s) ** 2 / _DOF).sum())


def _detection(
    distance_km: Floats, is_s: NDArray[np.bool_], explained: Floats, seen: NDArray[np.bool_]
) -> float:
    """Return the evidence of picks and missing picks, averaged over how far the event is seen."""
    if not seen.any():
        return -math.inf
    reach = np.geomspace(max(distance_km.min(), 1.0), 2.0 * distance_km.max() + 1.0, 16)
    fall = (distance_km[None] / reach[:, None]) ** _FALL
    picked = np.maximum(_PICKED[is_s.astype(int)] / (1 + fall), _LEAST)
    terms = np.where(seen, np.log(picked) + np.where(seen, explained, 0.0), np.log1p(-picked))
    return float(logsumexp(terms.sum(axis=1)) - math.log(reach.size))
