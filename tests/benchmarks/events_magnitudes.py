"""Magnitudes of simulated earthquakes, from their noisy records, against noise-free ones."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomon.config import MagnitudeSettings, SimulatedSource
from geomon.events import Magnitude, StationMagnitude
from geomon.ids import SeedId
from geomon.locating.magnitude import (
    NoMagnitude,
    local_magnitude,
    magnitude_of,
    magnitude_span,
    wood_anderson,
)
from geomon.locating.moment import (
    SourceSpectrum,
    moment_magnitude_of,
    network_moment_magnitude,
    source_spectrum,
)
from geomon.locating.network import geodesic
from geomon.locating.network_magnitude import network_magnitude
from geomon.stations import Response
from geomon.synthesis.instruments import counts_per_velocity
from geomon.synthesis.network import Scenario, TrueArrival
from geomon.synthesis.sensors import Sensor
from geomon.synthesis.source_and_path import seismic_moment
from geomon.synthesis.swarm import TrueEvent
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.velocity import LayeredModel
from geomon.waveforms import Segment
from tests.benchmarks.report import Figure, at_most, main, versions

CRUST = LayeredModel("bench", (0.0, 2.0, 12.0, 30.0), (4.6, 5.8, 6.3, 8.0), (2.6, 3.35, 3.65, 4.5))
SETTINGS = MagnitudeSettings()
SHARED = Path(os.environ.get("GEOMON_SHARED", Path(__file__).parents[3] / "shared"))
_FLAT = Response(1.0, 10.0, "m/s", (), ())
_MINE_HZ = (2.0, 4.0)  # what lies below is drift: events of a mine shake at tens of hertz
_START = parse_time("2025-03-01T00:00:00")
_MAGNITUDES = (-0.7, 3.0)
_LOCATION_ERROR_KM = 0.6
_CURVE_ERROR = 0.07  # of a and b, one standard deviation: the curve used is never the true one
_SCENARIOS = 6
_EVENTS = 40


@dataclass(frozen=True, slots=True)
class Case:
    """One earthquake: its true magnitude, and what was measured of it."""

    magnitude: float
    found: tuple[StationMagnitude, ...]
    refused: tuple[NoMagnitude, ...]
    true_moment_magnitude: float
    moment_magnitude: Magnitude | None


def measure(quick: bool) -> list[Figure]:
    """Measure magnitudes; `quick` takes fewer earthquakes."""
    n_scenarios, n_events = (2, 8) if quick else (_SCENARIOS, _EVENTS)
    cases: list[Case] = []
    n_channels, seconds = 0, 0.0
    for seed in range(n_scenarios):
        scenario = Scenario.of(
            SimulatedSource(seed=300 + seed, n_stations=12, events_per_hour=n_events), CRUST
        )
        for event in _events(scenario, n_events):
            started = time.perf_counter()
            case, n = _case(scenario, event, seed)
            seconds += time.perf_counter() - started
            n_channels += n
            if case is not None:
                cases.append(case)
    conditions = (
        f"{len(cases)} of {n_scenarios * n_events} earthquakes of magnitude {_MAGNITUDES[0]} to "
        f"{_MAGNITUDES[1]} at 12 stations within 40 km, attenuation off by "
        f"{100 * _CURVE_ERROR:.0f} %, hypocentres by {_LOCATION_ERROR_KM} km; truth is the mean of "
        f"all stations' noise-free Wood-Anderson amplitudes; {versions('numpy')}"
    )
    return [
        *_errors(cases, conditions), *_moments(cases, conditions), _cost(cases, conditions),
        _analyst(),
    ]  # fmt: skip


def _events(scenario: Scenario, count: int) -> Iterator[TrueEvent]:
    """Yield earthquakes of the scenario, all magnitudes equally often."""
    span = TimeSpan(_START, _START + 2 * 3600 * NS_PER_S)
    rng = np.random.default_rng(scenario.seed)
    for event in scenario.events(span)[:count]:
        yield replace(event, magnitude=float(rng.uniform(*_MAGNITUDES)))


def _case(scenario: Scenario, event: TrueEvent, seed: int) -> tuple[Case | None, int]:
    """Measure one earthquake with the default curve, its truth with a perturbed one."""
    curve = np.random.default_rng((seed, 7))
    truth = replace_curve(SETTINGS, *(1 + _CURVE_ERROR * curve.standard_normal(2)))
    rng = np.random.default_rng((scenario.seed, event.half_hour, event.number))
    offset = rng.normal(0, _LOCATION_ERROR_KM / math.sqrt(3), 3)
    found: list[StationMagnitude] = []
    refused: list[NoMagnitude] = []
    true: dict[str, list[float]] = {}
    spectra: list[SourceSpectrum] = []
    arrivals = scenario.arrivals(event)
    for sensor in scenario.sensors:
        arrival = arrivals[sensor.stream_id.station_id]
        horizontals = []
        for component in range(len(sensor.components)):
            if sensor.components[component] == "Z":
                continue
            segment, clean = record(scenario, event, sensor, arrival, component)
            if sensor.is_response_known:
                horizontals.append((segment, sensor.response))
            depth = event.depth_km + sensor.elevation_m / 1000
            seen_km = math.hypot(arrival.distance_km + offset[0], depth + offset[1])
            answer = local_magnitude(
                [segment], sensor.response if sensor.is_response_known else None,
                p_time_ns=arrival.p_ns, s_time_ns=arrival.s_ns, distance_km=seen_km,
                settings=SETTINGS,
            )  # fmt: skip
            (refused if isinstance(answer, NoMagnitude) else found).append(answer)
            amplitude = _true_amplitude_mm(clean, sensor)
            km = arrival.hypocentral_distance_km
            true.setdefault(str(sensor.stream_id.station_id), []).append(
                math.log10(amplitude)
                + truth.a * math.log10(km / 100)
                + truth.b * (km - 100)
                + truth.c
            )
        if horizontals:
            spectrum = source_spectrum(
                horizontals, p_time_ns=arrival.p_ns, s_time_ns=arrival.s_ns, distance_km=seen_km,
                vs_km_s=float(CRUST.speed_at(event.depth_km, "S")),
            )  # fmt: skip
            if isinstance(spectrum, SourceSpectrum):
                spectra.append(spectrum)
    if not found:
        return None, len(refused)
    magnitude = float(np.mean([np.mean(values) for values in true.values()]))
    moment = moment_magnitude_of(float(seismic_moment(event.magnitude)))
    case = Case(magnitude, tuple(found), tuple(refused), moment, network_moment_magnitude(spectra))
    return case, len(found) + len(refused)


def replace_curve(settings: MagnitudeSettings, a: float, b: float) -> MagnitudeSettings:
    """Return settings whose curve is another, of the same magnitude 20 km away.

    There the network was calibrated, say: what is wrong is how amplitudes fall with distance.
    """
    changed = settings.model_copy(update={"a": a * settings.a, "b": b * settings.b})
    before, after = (one.a * math.log10(0.2) - 80 * one.b + one.c for one in (settings, changed))
    return changed.model_copy(update={"c": changed.c + before - after})


def record(
    scenario: Scenario, event: TrueEvent, sensor: Sensor, arrival: TrueArrival, component: int
) -> tuple[Segment, NDArray[np.float64]]:
    """Return a channel's noisy record over the span a magnitude needs, and the signal alone."""
    span = magnitude_span(arrival.p_ns, arrival.s_ns)
    rate = sensor.sampling_rate_hz
    first = int((span.start_ns - sensor.offset_ns) * rate // NS_PER_S) - 2
    count = round(span.duration_s * rate) + 4
    counts = sensor.noise(scenario.seed, component).samples(first, count).astype(np.float64)
    at, signal = scenario.signal(event, sensor)
    low, high = max(at, first), min(at + signal.shape[1], first + count)
    counts[low - first : high - first] += signal[component, low - at : high - at]
    counts += sensor.dc_counts
    start_ns = round(first * NS_PER_S / rate) + sensor.offset_ns
    segment = Segment(
        sensor.seed_ids()[component], start_ns, rate, np.rint(counts).astype(np.int32)
    )
    return segment, signal[component].astype(np.float64)


def _true_amplitude_mm(counts: NDArray[np.float64], sensor: Sensor) -> float:
    """Return the largest deflection of a Wood-Anderson seismograph by ground motion alone."""
    size = 1 << (2 * counts.size).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / sensor.sampling_rate_hz)
    gain = counts_per_velocity(sensor.response, frequency)
    s, natural = 2j * np.pi * frequency, 2 * np.pi / 0.8
    seismograph = 2080e3 * s / (s**2 + 2 * 0.7 * natural * s + natural**2)
    factor = np.divide(seismograph, gain, out=np.zeros_like(seismograph), where=np.abs(gain) > 0)
    return float(
        np.abs(np.fft.irfft(np.fft.rfft(counts, size) * factor, size)[: counts.size]).max()
    )


def _errors(cases: list[Case], conditions: str) -> list[Figure]:
    """Score network magnitudes, and beside them the median of the stations that saw the event."""
    true = np.array([case.magnitude for case in cases])
    own, peer = np.empty((2, true.size))
    for k, case in enumerate(cases):
        network = network_magnitude(case.found, case.refused)
        assert network is not None
        own[k] = network.value - true[k]
        by_station: dict[object, list[float]] = {}
        for one in case.found:
            by_station.setdefault(one.seed_id.station_id, []).append(one.value)
        peer[k] = np.median([np.mean(values) for values in by_station.values()]) - true[k]
    figures = []
    for name, score, limit in (
        ("median absolute error", lambda e: float(np.median(np.abs(e))), 0.15),
        ("slope of error against magnitude", lambda e: float(np.polyfit(true, e, 1)[0]), 0.05),
    ):
        goal, holds = at_most(abs(score(own)), limit)
        figures.append(
            Figure(
                figure=f"ML, {name}",
                value=score(own),
                unit="",
                goal=goal.replace("<=", "within ±"),
                peer="median of the stations that saw it",
                peer_value=score(peer),
                holds=holds,
                conditions=conditions,
            )
        )
    small = true < 1
    figures.append(
        Figure(
            figure="ML, bias below magnitude 1",
            value=float(np.median(own[small])),
            unit="",
            peer="median of the stations that saw it",
            peer_value=float(np.median(peer[small])),
            conditions=f"{int(small.sum())} earthquakes; {conditions}",
        )
    )
    return figures


def _moments(cases: list[Case], conditions: str) -> list[Figure]:
    """Score moment magnitudes against the moments the earthquakes were made with."""
    sized = [case for case in cases if case.moment_magnitude is not None]
    error, spread, true = np.array(
        [
            (case.moment_magnitude.value - case.true_moment_magnitude,
             case.moment_magnitude.uncertainty, case.true_moment_magnitude)
            for case in sized if case.moment_magnitude is not None
        ]
    ).T  # fmt: skip
    conditions = (
        f"{len(sized)} of them with a spectrum above noise, true Mw {true.min():.1f} to "
        f"{true.max():.1f}; {conditions}"
    )
    return [
        Figure(figure=f"Mw, {name}", value=float(value), unit=unit, conditions=conditions)
        for name, value, unit in (
            ("median absolute error", np.median(np.abs(error)), ""),
            ("median error", np.median(error), ""),
            ("slope of error against magnitude", np.polyfit(true, error, 1)[0], ""),
            ("within its own standard deviation", 100 * np.mean(np.abs(error) <= spread), "%"),
        )
    ]


def _cost(cases: list[Case], conditions: str) -> Figure:
    """Time one channel again and again, response cached as in work."""
    scenario = Scenario.of(SimulatedSource(seed=300, n_stations=12, events_per_hour=40), CRUST)
    event = replace(next(_events(scenario, 1)), magnitude=-0.5)  # noisy: every band is tried
    sensor = scenario.sensors[0]
    arrival = scenario.arrivals(event)[sensor.stream_id.station_id]
    segment, _ = record(scenario, event, sensor, arrival, 1)
    count = 200
    started = time.process_time()
    for _ in range(count):
        local_magnitude(
            [segment], sensor.response, p_time_ns=arrival.p_ns, s_time_ns=arrival.s_ns,
            distance_km=20.0, settings=SETTINGS,
        )  # fmt: skip
    one = (time.process_time() - started) / count
    channels = len(cases[0].found) + len(cases[0].refused)
    started = time.process_time()
    for _ in range(20):
        network_magnitude(cases[0].found, cases[0].refused)
    together = (time.process_time() - started) / 20 / channels
    goal, holds = at_most(1000 * (one + together), 1.0)
    return Figure(
        figure="ML, CPU time a channel", value=1000 * (one + together), unit="ms", goal=goal,
        holds=holds, conditions=f"{segment.samples.size} samples; {conditions}",
    )  # fmt: skip


def _analyst() -> Figure:
    """Compare with the magnitudes published for five events of a coal mine.

    What its sensors count per m/s was not published. One constant for all of them stands for that,
    and for the mine's own c; each event is measured with the constant the other four tell.
    """
    name, goal = "ML, difference to the analyst's, median", 0.2
    folder = SHARED / "data" / "coal_node" / "opsdata_coal_node" / "coal_node"
    if not folder.is_dir():
        return Figure(
            figure=name, value=None, unit="", goal=f"<= {goal}", conditions=f"no {folder}"
        )
    off = np.array([found - published for found, published in _mine(folder)])
    constants = [np.median(np.delete(off, k)) for k in range(off.size)]
    misses = np.abs(off - constants)
    words, holds = at_most(value := float(np.median(misses)), goal)
    return Figure(
        figure=name, value=value, unit="", goal=words, holds=holds,
        conditions=f"{off.size} events of a coal mine, ML -0.8 to 0.9, each by one constant from "
        f"the others, as no response was published; largest {misses.max():.2f}; the records begin "
        "too late for a noise window",
    )  # fmt: skip


def _mine(folder: Path) -> Iterator[tuple[float, float]]:
    """Yield the magnitude found, but for a constant, and the published one, event by event."""
    import obspy

    inventory = obspy.read_inventory(folder / "stations" / "inv.xml", format="STATIONXML")
    places = {s.code: (s.latitude, s.longitude, s.elevation) for net in inventory for s in net}
    published = []
    for path in sorted((folder / "events").rglob("*.xml")):
        event = obspy.read_events(path, format="QUAKEML")[0]
        [value] = [one.mag for one in event.magnitudes if one.magnitude_type == "ML"]
        published.append((event.preferred_origin() or event.origins[0], value))
    for path in sorted((folder / "waveforms").glob("*.mseed")):
        stream = obspy.read(path, format="MSEED")
        start = stream[0].stats.starttime
        origin, value = min(published, key=lambda pair: abs(pair[0].time - start))
        found = []
        for trace in stream.select(channel="*[!Z]"):
            latitude, longitude, elevation_m = places[trace.stats.station]
            away, _ = geodesic(origin.latitude, origin.longitude, [latitude], [longitude])
            km = math.hypot(float(away[0]), (origin.depth + elevation_m) / 1000)
            rate = trace.stats.sampling_rate
            drawn = wood_anderson(trace.data, rate, _FLAT, SETTINGS.wood_anderson_gain, _MINE_HZ)
            amplitude = float(np.abs(drawn).max())
            seed_id = SeedId("MINE", trace.stats.station, "", trace.stats.channel)
            one = magnitude_of(amplitude, km, seed_id.station_id, SETTINGS)
            found.append(StationMagnitude(seed_id, "ML", one, amplitude, km))
        network = network_magnitude(found)
        if network is not None:
            yield network.value, value


if __name__ == "__main__":
    main(measure)
