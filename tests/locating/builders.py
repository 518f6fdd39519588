"""Simulated networks and picks with known truth, for the tests of `geomon.locating`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomon.events import Origin, Phase, Pick
from geomon.ids import SeedId, StationId
from geomon.locating.locate import Locator
from geomon.locating.network import Frame, Network
from geomon.locating.solve import Solver
from geomon.locating.travel_times import TravelTimes
from geomon.stations import Station
from geomon.times import NS_PER_S, TimeSpan, from_ns, parse_time, to_ns
from geomon.velocity import LayeredModel

CRUST = LayeredModel(
    "crust", (-4.0, 1.0, 5.0, 12.0, 22.0, 38.0), (4.5, 5.5, 5.9, 6.2, 6.6, 7.9),
    (2.6, 3.18, 3.41, 3.58, 3.8, 4.45),
)  # fmt: skip
START_NS = parse_time("2025-01-01T00:00:00")


@dataclass(frozen=True)
class TrueEvent:
    time_ns: int
    x_km: float
    y_km: float
    depth_km: float
    latitude: float
    longitude: float
    magnitude: float
    picks: frozenset[str]


def perturbed(model: LayeredModel, rng: np.random.Generator, share: float = 0.03) -> LayeredModel:
    factor = 1 + share * rng.standard_normal(len(model.tops_km))
    vp = np.array(model.vp_km_s) * factor
    vs = np.array(model.vs_km_s) * factor * (1 + share / 3 * rng.standard_normal(len(vp)))
    return LayeredModel("perturbed", model.tops_km, tuple(vp), tuple(vs))


def build_stations(
    rng: np.random.Generator, n: int = 30, half_km: float = 150.0, lat: float = 38.0,
    lon: float = 22.0, max_elevation_m: float = 2000.0,
) -> dict[StationId, Station]:  # fmt: skip
    x, y = rng.uniform(-half_km, half_km, (2, n))
    latitude, longitude = Frame(lat, lon).to_degrees(x, y)
    longitude = (longitude + 180) % 360 - 180
    elevation = rng.uniform(0, max_elevation_m, n).round()
    stations = [
        Station(StationId("XX", f"S{k:02d}"), float(latitude[k]), float(longitude[k]), elevation[k])
        for k in range(n)
    ]
    return {station.station_id: station for station in stations}


def make_pick(
    station_id: StationId, phase: str, time_ns: int, probability: float, sigma: float
) -> Pick:
    channel = "HHZ" if phase == "P" else "HHN"
    return Pick(
        time=from_ns(time_ns),
        seed_id=SeedId(station_id.network, station_id.station, "", channel),
        phase=phase,  # type: ignore[arg-type]
        probability=probability,
        uncertainty_s=sigma,
        picker="test",
    )


def picks_of(
    locator: Locator, second: float, x_km: float, y_km: float, stations: Sequence[int],
    seed: int = 0,
) -> list[Pick]:  # fmt: skip
    """P and S of an earthquake 8 km deep, read to a few hundredths of a second."""
    rng = np.random.default_rng([seed, round(second)])
    network, made = locator.network, []
    for k in stations:
        away = float(np.hypot(network.x_km[k] - x_km, network.y_km[k] - y_km))
        readings: tuple[tuple[Phase, float], ...] = (("P", 0.03), ("S", 0.06))
        for phase, sigma in readings:
            time_s = float(locator.travel_times.times(phase, away, 8.0, network.elevation_m[k]))
            at_ns = START_NS + round((second + time_s + rng.normal(0, sigma)) * NS_PER_S)
            made.append(make_pick(network.stations[k].station_id, phase, at_ns, 0.8, sigma))
    return made


def located(locator: Locator, picks: Sequence[Pick]) -> Origin:
    origin = locator.locate(picks)
    assert isinstance(origin, Origin)
    return origin


@dataclass(frozen=True)
class Scene:
    network: Network
    picks: tuple[Pick, ...]
    events: tuple[TrueEvent, ...]
    hours: float


def simulate(
    rng: np.random.Generator, *, network: Network, truth: TravelTimes, hours: float,
    events_per_hour: float, noise: float = 0.3, half_km: float = 150.0, max_depth_km: float = 30.0,
    statics_s: float = 0.15, path: float = 0.01, sigma_p: float = 0.08, sigma_s: float = 0.15,
    outliers: float = 0.03, start_ns: int = START_NS, clustered: float = 0.5,
    times_s: np.ndarray | None = None, min_magnitude: float = 1.0,
) -> Scene:  # fmt: skip
    """Events uniform and in three clusters; Gutenberg-Richter sizes decide who sees them."""
    n = rng.poisson(events_per_hour * hours) if times_s is None else len(times_s)
    t = np.sort(rng.uniform(0, hours * 3600, n)) if times_s is None else np.asarray(times_s)
    x, y = rng.uniform(-half_km, half_km, (2, n))
    z = rng.uniform(2, max_depth_km, n)
    in_cluster = rng.random(n) < clustered
    centre = rng.uniform(-half_km * 0.7, half_km * 0.7, (3, 2))[rng.integers(0, 3, n)]
    width = half_km * 0.04
    x = np.where(in_cluster, centre[:, 0] + rng.normal(0, width, n), x)
    y = np.where(in_cluster, centre[:, 1] + rng.normal(0, width, n), y)
    z = np.where(in_cluster, np.clip(rng.normal(10, 3, n), 2, max_depth_km), z)
    magnitude = np.clip(min_magnitude - np.log10(rng.random(n)), None, 5.5)
    latitude, longitude = network.frame.to_degrees(x, y)
    statics = rng.normal(0, statics_s, (len(network.stations), 2)) * [1.0, 1.7]
    picks: list[Pick] = []
    used: list[set[str]] = [set() for _ in range(n)]
    for s, station in enumerate(network.stations):
        distance = np.hypot(x - network.x_km[s], y - network.y_km[s])
        for c, (phase, sigma) in enumerate((("P", sigma_p), ("S", sigma_s))):
            times = truth.times(phase, distance, z, station.elevation_m)  # type: ignore[arg-type]
            times = times * (1 + path * rng.standard_normal(n)) + statics[s, c]
            # Magnitude seen grows with distance, relative to the size of the network.
            seen = -0.2 + 1.6 * np.log10(np.maximum(np.hypot(distance, z) * 150 / half_km, 3) / 10)
            chance = (0.93 if c == 0 else 0.8) / (1 + np.exp(-(magnitude - seen) / 0.15))
            error = rng.normal(0, sigma, n)
            wild = rng.random(n) < outliers
            error[wild] = rng.normal(0, 1.2 * half_km / 150 + 0.3, wild.sum())
            probability = np.clip(rng.normal(0.75, 0.15, n), 0.3, 1.0)
            for i in np.flatnonzero(rng.random(n) < chance):
                time_ns = start_ns + round((t[i] + times[i] + error[i]) * 1e6) * 1000
                pick = make_pick(station.station_id, phase, time_ns, float(probability[i]), sigma)
                picks.append(pick)
                used[i].add(pick.pick_id)
    for _ in range(round(noise * len(picks))):
        station = network.stations[rng.integers(len(network.stations))]
        phase, sigma = (("P", sigma_p), ("S", sigma_s))[rng.integers(2)]
        time_ns = start_ns + round(rng.uniform(0, hours * 3600 + 60) * 1e6) * 1000
        probability = float(np.clip(rng.normal(0.5, 0.15), 0.3, 1))
        picks.append(make_pick(station.station_id, phase, time_ns, probability, sigma))
    events = tuple(
        TrueEvent(
            start_ns + round(t[i] * NS_PER_S),
            x[i],
            y[i],
            z[i],
            float(latitude[i]),
            float(longitude[i]),
            float(magnitude[i]),
            frozenset(used[i]),
        )
        for i in range(n)
    )
    return Scene(network, tuple(sorted(picks)), events, hours)


def run_tiles(solver: Solver, picks: Sequence[Pick], *, backwards: bool = False) -> list[Origin]:
    """Solve every tile that picks touch, forwards or backwards; return all origins by time."""
    span = TimeSpan(to_ns(min(picks).time), to_ns(max(picks).time) + 1)
    tiles = solver.grid.tiles(span)
    first, last = solver.grid.neighbours(tiles[0])[0], solver.grid.neighbours(tiles[-1])[1]
    step = -1 if backwards else 1
    raw = {tile: solver.solve_tile(picks, tile) for tile in [first, *tiles, last][::step]}
    origins: list[Origin] = []
    for tile in tiles[::step]:
        before, after = solver.grid.neighbours(tile)
        origins += solver.settle(raw[before], raw[tile], raw[after], picks).origins
    return sorted(origins, key=lambda origin: origin.time)
