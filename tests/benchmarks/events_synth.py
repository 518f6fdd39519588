"""Picks of simulated earthquakes with known truth, for the figures of association and location.

Whoever makes picks here knows what no locator is told: the crust's layers are off by some percent,
speeds vary in three dimensions, every station has a delay and every path its own; readings have
heavy tails. False picks come in three kinds: at random, in the coda of true ones, and all over the
network at once, as teleseisms and disturbances do. `GENERATOR` names this file and its settings by
hash: the same hash and seed make the same picks.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomon.config import Region
from geomon.events import Phase, Pick
from geomon.ids import SeedId, StationId
from geomon.locating.network import Frame, Network
from geomon.stations import Station
from geomon.times import NS_PER_S, TimeSpan, from_ns, parse_time
from geomon.velocity import LayeredModel

type Floats = NDArray[np.float64]

GENERATOR = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
START_NS = parse_time("2025-01-01T00:00:00")
KNOWN = LayeredModel(
    "benchmark", (-4.0, 1.0, 5.0, 12.0, 22.0, 38.0), (4.5, 5.5, 5.9, 6.2, 6.6, 7.9),
    (2.6, 3.18, 3.41, 3.58, 3.8, 4.45),
)  # fmt: skip
"""The crust everyone is told; the true one differs."""
LEAST_PICKS = 8
"""An event with fewer true picks is not asked for, nor counted as false when it is found."""
PHASES: tuple[Phase, Phase] = ("P", "S")
_CENTRE = (38.0, 22.0)
_SIGMA_S = {"P": 0.08, "S": 0.15}
_PICKED = {"P": 0.93, "S": 0.80}  # chance that an event well above the noise is picked
_OUTLIERS, _OUTLIER_S = 0.03, 1.2
_CODA, _COHERENT = 0.3, 0.1  # shares of the false picks; the rest come at random


@dataclass(frozen=True, slots=True)
class Scenario:
    """A network and its activity.

    Attributes
    ----------
    name : str
        What the figures call it.
    half_km : float
        Half the edge of the square that holds stations and events.
    events_per_hour, hours, noise : float
        Rate of events, how long, and false picks for each true one.
    n_stations : int
        Stations, at random in the square.
    layers, field, path : float
        Relative error of the layers, of the three-dimensional field, and of each single path.
    statics_s : float
        Standard deviation of the stations' P delays; 1.7 times as much for S.
    tails : float or None
        Degrees of freedom of the Student-t reading errors; normal without.
    outliers : float
        Share of readings with an error of the order of a second.
    outside : float
        Events lie up to so many half edges from the centre, the stations' square left out.
    """

    name: str
    half_km: float
    events_per_hour: float
    hours: float
    noise: float
    n_stations: int = 30
    layers: float = 0.01
    field: float = 0.01
    path: float = 0.01
    statics_s: float = 0.1
    tails: float | None = None
    outliers: float = _OUTLIERS
    outside: float | None = None


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """One earthquake as it was, and the ids of the picks it caused."""

    time_ns: int
    x_km: float
    y_km: float
    depth_km: float
    latitude: float
    longitude: float
    magnitude: float
    picks: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Picks and the truth behind them; `owners` maps pick ids to places in `events`."""

    scenario: Scenario
    network: Network
    picks: tuple[Pick, ...]
    events: tuple[TrueEvent, ...]
    owners: dict[str, int]

    @property
    def span(self) -> TimeSpan:
        """The time simulated."""
        return TimeSpan(START_NS, START_NS + round(self.scenario.hours * 3600) * NS_PER_S)


def make_scene(scenario: Scenario, seed: int) -> Scene:
    """Simulate a scenario: the same seed, the same picks."""
    rng = np.random.default_rng([seed, int.from_bytes(scenario.name.encode()[:8], "big")])
    network = _network(rng, scenario)
    n = int(rng.poisson(scenario.events_per_hour * scenario.hours))
    origin_s = np.sort(rng.uniform(0, scenario.hours * 3600, n))
    x, y, z = _hypocentres(rng, scenario, n)
    magnitude = np.clip(1.0 - np.log10(rng.random(n)), 1.0, 5.5)
    truth = network.travel_times(_true_model(rng, scenario.layers))
    fields = [_Field(rng, scenario.field) for _ in range(2)]
    true: list[tuple[int, str, float, int]] = []  # station, phase, second, event
    for k, station in enumerate(network.stations):
        distance = np.hypot(x - network.x_km[k], y - network.y_km[k])
        delay = rng.normal(0, scenario.statics_s)
        for phase in PHASES:
            times = truth.times(phase, distance, z, station.elevation_m)
            slower = fields[0].along(x, y, z, network, k)
            if phase == "S":  # its own anomalies, half of them those of P
                slower = 0.7 * slower + 0.7 * fields[1].along(x, y, z, network, k)
            times = times * (1 + slower + scenario.path * rng.standard_normal(n))
            times = times + delay * (1.0 if phase == "P" else 1.7)
            seen = -0.2 + 1.6 * np.log10(np.maximum(np.hypot(distance, z), 3) / 10)
            chance = _PICKED[phase] / (1 + np.exp(-(magnitude - seen) / 0.15))
            error = _reading_error(rng, scenario, _SIGMA_S[phase], n)
            picked = np.flatnonzero(rng.random(n) < chance)
            true += [(k, phase, float(origin_s[i] + times[i] + error[i]), int(i)) for i in picked]
    false = _false_picks(rng, scenario, network, true)
    owners: dict[str, int] = {}
    caused: list[list[str]] = [[] for _ in range(n)]
    picks = set()
    for k, phase, second, event in (*true, *false):
        typical = 0.75 if event >= 0 else 0.5
        probability = float(np.clip(rng.normal(typical, 0.15), 0.3, 1.0))
        pick = _pick(network.stations[k], phase, second, probability)
        picks.add(pick)
        if event >= 0:
            owners[pick.pick_id] = event
            caused[event].append(pick.pick_id)
    latitude, longitude = network.frame.to_degrees(x, y)
    events = tuple(
        TrueEvent(
            START_NS + round(origin_s[i] * NS_PER_S), x[i], y[i], z[i], float(latitude[i]),
            float(longitude[i]), float(magnitude[i]), frozenset(caused[i]),
        )
        for i in range(n)
    )  # fmt: skip
    return Scene(scenario, network, tuple(sorted(picks)), events, owners)


def _network(rng: np.random.Generator, scenario: Scenario) -> Network:
    half = scenario.half_km
    x, y = rng.uniform(-half, half, (2, scenario.n_stations))
    latitude, longitude = Frame(*_CENTRE).to_degrees(x, y)
    elevation = rng.choice([0.0, 250.0, 500.0, 750.0, 1000.0, 1500.0, 2000.0], scenario.n_stations)
    stations = {}
    for k in range(scenario.n_stations):
        key = StationId("XX", f"S{k:02d}")
        stations[key] = Station(key, float(latitude[k]), float(longitude[k]), float(elevation[k]))
    reach = 1.08 * half * (scenario.outside or 1.0)
    (south, north), (west, east) = Frame(*_CENTRE).to_degrees([-reach, reach], [-reach, reach])
    region = Region(
        west=float(west), south=float(south), east=float(east), north=float(north),
        max_depth_km=40,
    )  # fmt: skip
    return Network.of(stations, region)


def _hypocentres(
    rng: np.random.Generator, scenario: Scenario, n: int
) -> tuple[Floats, Floats, Floats]:
    """Half of the events lie all over the region, half in three clusters."""
    half = scenario.half_km
    if scenario.outside is not None:
        radius, angle = half * rng.uniform(1.1, scenario.outside, n), rng.uniform(0, 2 * np.pi, n)
        return radius * np.cos(angle), radius * np.sin(angle), rng.uniform(2, 30, n)
    x, y = rng.uniform(-half, half, (2, n))
    z = rng.uniform(2, 30, n)
    clustered = rng.random(n) < 0.5
    centre = rng.uniform(-0.7 * half, 0.7 * half, (3, 2))[rng.integers(0, 3, n)]
    width = min(6.0, 0.1 * half)
    x = np.where(clustered, centre[:, 0] + rng.normal(0, width, n), x)
    y = np.where(clustered, centre[:, 1] + rng.normal(0, width, n), y)
    return x, y, np.where(clustered, np.clip(rng.normal(10, 3, n), 2, 30), z)


def _true_model(rng: np.random.Generator, error: float) -> LayeredModel:
    """Return the known crust with each layer's speed, and a little its Vp/Vs, wrong."""
    factor = 1 + error * rng.standard_normal(len(KNOWN.tops_km))
    ratio = 1 + error / 3 * rng.standard_normal(len(KNOWN.tops_km))
    vp = tuple(float(v) for v in np.array(KNOWN.vp_km_s) * factor)
    vs = tuple(float(v) for v in np.array(KNOWN.vs_km_s) * factor * ratio)
    return LayeredModel("true", KNOWN.tops_km, vp, vs)


class _Field:
    """Relative slowness that varies smoothly in space: a sum of random waves.

    Times follow from the mean along the straight line from source to station: right to first
    order in the anomalies (Fermat's principle).
    """

    def __init__(self, rng: np.random.Generator, error: float) -> None:
        n_waves = 60
        length = rng.uniform(10.0, 60.0, n_waves)  # km
        direction = rng.standard_normal((n_waves, 3)) * (1.0, 1.0, 2.0)
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        self._numbers = 2 * np.pi * direction / length[:, None]
        self._phases = rng.uniform(0, 2 * np.pi, n_waves)
        self._amplitude = error * np.sqrt(2 / n_waves)

    def along(self, x: Floats, y: Floats, z: Floats, network: Network, k: int) -> Floats:
        """Return the mean relative slowness between sources and station k."""
        station = np.array([network.x_km[k], network.y_km[k], -network.elevation_m[k] / 1000])
        share = ((np.arange(24) + 0.5) / 24)[:, None, None]
        places = station + share * (np.stack([x, y, z], axis=1)[None] - station)
        waves = np.cos(places @ self._numbers.T + self._phases)
        return np.asarray(self._amplitude * waves.sum(axis=2).mean(axis=0))


def _reading_error(rng: np.random.Generator, scenario: Scenario, sigma_s: float, n: int) -> Floats:
    error = sigma_s * (
        rng.standard_normal(n) if scenario.tails is None else rng.standard_t(scenario.tails, n)
    )
    wild = rng.random(n) < scenario.outliers
    return np.asarray(np.where(wild, rng.normal(0, _OUTLIER_S, n), error))


def _false_picks(
    rng: np.random.Generator, scenario: Scenario, network: Network,
    true: list[tuple[int, str, float, int]],
) -> list[tuple[int, str, float, int]]:  # fmt: skip
    """Return picks of nothing: at random, in codas, and coherent over the network."""
    wanted = round(scenario.noise * len(true))
    length = scenario.hours * 3600 + 60
    n_coda, n_coherent = round(_CODA * wanted), round(_COHERENT * wanted)
    if not true:
        n_coda = 0
    false: list[tuple[int, str, float, int]] = []
    while len(false) < n_coherent:
        # A plane wave from afar, or a disturbance everywhere at once: P at most stations.
        angle, speed = rng.uniform(0, 2 * np.pi), float(rng.choice([12.0, 18.0, 1e6]))
        start = rng.uniform(0, length)
        delays = (network.x_km * np.cos(angle) + network.y_km * np.sin(angle)) / speed
        for k in np.flatnonzero(rng.random(len(network.stations)) < 0.6):
            phase = "P" if rng.random() < 0.9 else "S"
            second = start + float(delays[k]) + rng.normal(0, 0.3)
            false.append((int(k), phase, second, -1))
    for _ in range(n_coda):
        k, _, second, _ = true[int(rng.integers(len(true)))]
        phase = PHASES[int(rng.integers(2))]
        false.append((k, phase, second + 1.5 + rng.exponential(8.0), -1))
    while len(false) < wanted:
        k, phase = int(rng.integers(len(network.stations))), PHASES[int(rng.integers(2))]
        false.append((k, phase, rng.uniform(0, length), -1))
    return false


def _pick(station: Station, phase: str, second: float, probability: float) -> Pick:
    where = station.station_id
    return Pick(
        time=from_ns(START_NS + round(second * 1e6) * 1000),
        seed_id=SeedId(where.network, where.station, "", "HHZ" if phase == "P" else "HHN"),
        phase="P" if phase == "P" else "S",
        probability=probability,
        uncertainty_s=_SIGMA_S[phase],
        picker="simulated",
    )
