"""Double-difference relocation: where events of a cluster lie relative to each other.

Two earthquakes close to each other send their waves to a station along almost the same path, so
that what the velocity model is wrong by is almost the same for both, and cancels from the
difference of their arrival times. Differences of all neighbouring pairs, from picks and from
correlated waveforms, are fitted together by moving all events (Waldhauser and Ellsworth 2000,
https://doi.org/10.1785/0120000006): weighted least squares by LSQR (Paige and Saunders 1982,
https://doi.org/10.1145/355984.355989), repeated with the residuals' new weights until settled.

A cluster keeps its centroid: differences say nothing about it.

HypoDD and GrowClust, which do the same, are programs of their own, run on control files.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsqr
from scipy.spatial import cKDTree

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]
type Times = Callable[[Floats], Floats]
"""Travel times (s), shape (n_points, 2, n_stations), from points (n_points, 3; km)."""

_ROUNDS = 12
_SETTLED_KM = 1e-3
_STEP_KM = 0.05  # of derivatives
_DOF = 4.0  # of the residuals' Student-t: a wrong difference counts little
_MODEL_S_PER_KM = 0.003  # what paths from events so far apart differ by unknown to the model
_STEP_SIGMA_KM = 1.0  # how far an event may move in a round: holds what no difference holds
_KM_PER_S = 6.0  # so that columns of km and of seconds are of one size
_N_BOOTSTRAP = 40
_LEAST_DIFFERENCES = 8  # of an event, to be moved


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Picked arrivals of n_picks phases, grouped by event.

    Attributes
    ----------
    event, station, phase : array of int, shape (n_picks,)
        Which event; which station; 0 for P and 1 for S.
    time_s, sigma_s : array, shape (n_picks,)
        When, from the base that origin times are counted from, and how exactly.
    """

    event: Ints
    station: Ints
    phase: Ints
    time_s: Floats
    sigma_s: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """Differences of arrival times at one station: the first event's minus the second's.

    Attributes
    ----------
    one, two, station, phase : array of int, shape (n,)
        Events, station, and 0 for P, 1 for S.
    difference_s, sigma_s : array, shape (n,)
        Of arrival times, and standard deviation.
    is_correlated : array of bool, shape (n,)
        Whether waveforms were correlated, or two picks subtracted.
    """

    one: Ints
    two: Ints
    station: Ints
    phase: Ints
    difference_s: Floats
    sigma_s: Floats
    is_correlated: NDArray[np.bool_]

    def joined(self, other: "Differences") -> "Differences":
        """Return these and others."""
        return Differences(
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])
                for name in Differences.__slots__
            )
        )

    def taken(self, chosen: NDArray[np.bool_]) -> "Differences":
        """Return some of them."""
        return Differences(*(getattr(self, name)[chosen] for name in Differences.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Relocated:
    """Events moved relative to each other.

    Attributes
    ----------
    points_km : array, shape (n_events, 3)
        East, north, down; those that could not be moved stay where they were.
    times_s : array, shape (n_events,)
        Origin times.
    sigma_km, sigma_s : array, shape (n_events, 3) and (n_events,)
        Standard deviations relative to the cluster, by bootstrap; NaN for those not moved.
    cluster : array of int, shape (n_events,)
        Number of each event's cluster, the largest first; -1 for those not moved.
    n_differences : array of int, shape (n_events,)
        How many differences hold each.
    rms_before_s, rms_after_s : float
        Weighted root mean square of the residual differences.
    n_rounds : int
        How often they were fitted.
    """

    points_km: Floats
    times_s: Floats
    sigma_km: Floats
    sigma_s: Floats
    cluster: Ints
    n_differences: Ints
    rms_before_s: float
    rms_after_s: float
    n_rounds: int


def neighbours(
    points_km: Floats, arrivals: Arrivals, *, max_km: float, max_neighbours: int, min_links: int
) -> Ints:
    """Return pairs of events, shape (n_pairs, 2), close to each other and seen by the same.

    Each event gets its nearest neighbours, at most so many, that share at least so many phases;
    a pair is there once, the lower number first.
    """
    n = len(points_km)
    width = int(arrivals.station.max(initial=0)) + 1
    seen: csr_matrix = coo_matrix(
        (
            np.ones(arrivals.event.size, dtype=np.int32),
            (arrivals.event, arrivals.phase * width + arrivals.station),
        ),
        shape=(n, 2 * width),
    ).tocsr()
    seen.data[:] = 1
    tree = cKDTree(points_km)
    # Some near ones share too few phases: look at more than are wanted.
    k = min(n, 3 * max_neighbours + 1)
    distance, nearest = tree.query(points_km, k=k, distance_upper_bound=max_km)
    pairs: set[tuple[int, int]] = set()
    for i in range(n):
        near = np.atleast_1d(nearest[i])[np.isfinite(np.atleast_1d(distance[i]))]
        near = near[near != i]
        if not near.size:
            continue
        shared = np.asarray((seen[near] @ seen[i].T).todense()).ravel()
        for j in near[shared >= min_links][:max_neighbours].tolist():
            pairs.add((min(i, j), max(i, j)))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def picked_differences(arrivals: Arrivals, pairs: Ints) -> Differences:
    """Subtract the picks of each pair of events, at every station and phase both have."""
    by_event: dict[int, dict[tuple[int, int], int]] = {}
    for k, (event, station, phase) in enumerate(
        zip(arrivals.event.tolist(), arrivals.station.tolist(), arrivals.phase.tolist(),
            strict=True)
    ):  # fmt: skip
        by_event.setdefault(event, {})[station, phase] = k
    first, second = [], []
    for one, two in pairs.tolist():
        there = by_event.get(two, {})
        for key, k in by_event.get(one, {}).items():
            if key in there:
                first.append(k)
                second.append(there[key])
    a, b = np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)
    return Differences(
        arrivals.event[a],
        arrivals.event[b],
        arrivals.station[a],
        arrivals.phase[a],
        arrivals.time_s[a] - arrivals.time_s[b],
        np.hypot(arrivals.sigma_s[a], arrivals.sigma_s[b]),
        np.zeros(a.size, dtype=bool),
    )


def relocate(
    points_km: Floats,
    times_s: Floats,
    differences: Differences,
    travel_times: Times,
    *,
    limits_km: tuple[Floats, Floats],
    seed: int = 0,
) -> Relocated:
    """Move events so that differences of their arrival times fit.

    Parameters
    ----------
    points_km : array, shape (n_events, 3)
        Where they are: east, north, down.
    times_s : array, shape (n_events,)
        Their origin times.
    differences : Differences
        What is known of them.
    travel_times : callable
        Of points (m, 3): times (s), shape (m, 2, n_stations), of P and S to every station.
    limits_km : two arrays, shape (3,)
        Lowest and highest place an event may move to.
    seed : int
        Of the bootstrap; the same seed and input give the same answer.
    """
    n = len(points_km)
    points, times = points_km.copy(), times_s.copy()
    used, cluster = _linked(differences, n)
    kept = differences.taken(used)
    count = np.bincount(np.concatenate([kept.one, kept.two]), minlength=n)
    sigma_km, sigma_s = np.full((n, 3), np.nan), np.full(n, np.nan)
    if not kept.one.size:
        return Relocated(points, times, sigma_km, sigma_s, cluster, count, 0.0, 0.0, 0)
    before, n_rounds, moved_km = 0.0, 0, np.inf
    while n_rounds < _ROUNDS and moved_km >= _SETTLED_KM:
        residual, design = _system(points, times, kept, travel_times, limits_km)
        weight = _weights(residual, kept, points)
        before = before or _rms(residual, weight)
        step = _centred(_solved(design, residual, weight), cluster)
        points = np.clip(points + step[:, :3], *limits_km)
        times = times + step[:, 3] / _KM_PER_S
        moved_km, n_rounds = float(np.abs(step[:, :3]).max()), n_rounds + 1
    residual, design = _system(points, times, kept, travel_times, limits_km)
    weight = _weights(residual, kept, points)
    deviation = _bootstrapped(design, residual, weight, cluster, seed)
    moved = cluster >= 0
    sigma_km[moved], sigma_s[moved] = deviation[moved, :3], deviation[moved, 3] / _KM_PER_S
    return Relocated(
        points, times, sigma_km, sigma_s, cluster, count, before, _rms(residual, weight), n_rounds
    )


def _linked(differences: Differences, n_events: int) -> tuple[NDArray[np.bool_], Ints]:
    """Return which differences are between events held well enough, and the events' clusters."""
    used = np.ones(differences.one.size, dtype=bool)
    while True:
        one, two = differences.one[used], differences.two[used]
        count = np.bincount(np.concatenate([one, two]), minlength=n_events)
        loose = count < _LEAST_DIFFERENCES
        drop = used & (loose[differences.one] | loose[differences.two])
        if not drop.any():
            break
        used &= ~drop
    graph = coo_matrix((np.ones(one.size), (one, two)), shape=(n_events, n_events))
    _, label = connected_components(graph, directed=False)
    held = count > 0
    sizes = np.bincount(label[held], minlength=label.max(initial=0) + 1)
    rank = np.empty(sizes.size, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(sizes.size)
    return used, np.where(held, rank[label], -1)


def _system(
    points: Floats,
    times: Floats,
    differences: Differences,
    travel_times: Times,
    limits_km: tuple[Floats, Floats],
) -> tuple[Floats, csr_matrix]:
    """Return residual differences (s), and how they follow places (km) and times (6 km = 1 s)."""
    steps = _STEP_KM * np.eye(3)
    travelled = travel_times(points)
    slopes = []
    for step in steps:
        low, high = (np.clip(points + sign * step, *limits_km) for sign in (-1, 1))
        width = (high - low).sum(axis=1)
        slopes.append((travel_times(high) - travel_times(low)) / width[:, None, None])
    slope = np.stack(slopes, axis=-1)  # (n_events, 2, n_stations, 3)
    d = differences
    predicted = [times[event] + travelled[event, d.phase, d.station] for event in (d.one, d.two)]
    residual = d.difference_s - (predicted[0] - predicted[1])
    n = d.one.size
    row, column, value = [], [], []
    for event, sign in ((d.one, 1.0), (d.two, -1.0)):
        gradient = np.column_stack([slope[event, d.phase, d.station], np.full(n, 1 / _KM_PER_S)])
        for k in range(4):
            row.append(np.arange(n))
            column.append(4 * event + k)
            value.append(sign * gradient[:, k])
    matrix = coo_matrix(
        (np.concatenate(value), (np.concatenate(row), np.concatenate(column))),
        shape=(n, 4 * len(points)),
    )
    return residual, matrix.tocsr()


def _weights(residual: Floats, differences: Differences, points: Floats) -> Floats:
    """Return the precision (1/s) of each difference; those far off count little."""
    apart = np.linalg.norm(points[differences.one] - points[differences.two], axis=1)
    sigma = np.hypot(differences.sigma_s, _MODEL_S_PER_KM * apart)
    for kind in (False, True):
        those = differences.is_correlated == kind
        if those.any():
            # Their own scatter tells whether they are as exact as they claim.
            scale = 1.48 * float(np.median(np.abs(residual[those] / sigma[those])))
            sigma[those] *= max(scale, 1.0)
    return np.asarray(1 / (sigma * np.sqrt(1 + (residual / sigma) ** 2 / _DOF)))


def _rms(residual: Floats, weight: Floats) -> float:
    return float(np.sqrt(((weight * residual) ** 2).sum() / (weight**2).sum()))


def _solved(design: csr_matrix, residual: Floats, weight: Floats) -> Floats:
    """Return the step of each event (km; 6 km = 1 s), shape (n_events, 4)."""
    weighted = design.multiply(weight[:, None]).tocsr()
    answer = lsqr(weighted, weight * residual, damp=1 / _STEP_SIGMA_KM, atol=1e-8, btol=1e-8,
                  iter_lim=4 * design.shape[1])  # fmt: skip
    return np.asarray(answer[0]).reshape(-1, 4)


def _centred(step: Floats, cluster: Ints) -> Floats:
    """Take each cluster's mean off its steps; events of no cluster stay."""
    centred = np.zeros_like(step)
    held = cluster >= 0
    if held.any():
        size = np.bincount(cluster[held])
        for k in range(step.shape[1]):
            mean = np.bincount(cluster[held], step[held, k]) / size
            centred[held, k] = step[held, k] - mean[cluster[held]]
    return centred


def _bootstrapped(
    design: csr_matrix, residual: Floats, weight: Floats, cluster: Ints, seed: int
) -> Floats:
    """Return the standard deviation of each event's place and time when differences are redrawn.

    Residuals are drawn with replacement in units of their standard deviations.
    """
    rng = np.random.default_rng(seed)
    white = weight * residual
    steps = []
    for _ in range(_N_BOOTSTRAP):
        drawn = rng.choice(white, white.size) / weight
        steps.append(_centred(_solved(design, drawn, weight), cluster))
    return np.asarray(np.std(steps, axis=0))
