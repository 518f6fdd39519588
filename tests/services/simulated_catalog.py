"""Repeating earthquakes at the simulated network, archived and located from misread arrivals.

Every station records one wavelet of its own for all of them, as earthquakes close to each other
do; no picker runs.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from geomon.config import Config, SimulatedSource
from geomon.config.velocity import Velocity
from geomon.events import Event, Origin, Phase, Pick
from geomon.ids import SeedId, StationId
from geomon.locating.network import Frame
from geomon.services.locate import solver_of
from geomon.services.workspace import workspace
from geomon.synthesis.network import Scenario
from geomon.synthesis.sensors import CENTRE
from geomon.synthesis.swarm import TrueEvent
from geomon.times import NS_PER_S, TimeSpan, from_ns
from geomon.velocity import LayeredModel
from geomon.waveforms import Provenance, Segment
from tests.networks import simulated

SPAN = TimeSpan.parse("2024-05-02T00:00", "2024-05-02T00:20")
FRAME = Frame(*CENTRE)
_SWARMS_KM = ((-6.0, 4.0, 5.0), (8.0, -5.0, 9.0))
_SPREAD_KM = (0.5, 0.4, 0.4)
_APART_S = 50
_RATE_HZ = 100.0
_MISREAD_S: dict[Phase, float] = {"P": 0.05, "S": 0.09}


def repeating_swarms(
    folder: Path, *, seed: int = 3, crust: Sequence[tuple[float, float, float]] = ()
) -> tuple[Config, list[TrueEvent]]:
    """Archive, and locate, earthquakes of two swarms in turn.

    They are located in the true crust, or in another: layer tops, P and S speeds.
    """
    rng = np.random.default_rng(seed)
    config = simulated(folder)
    assert isinstance(config.source, SimulatedSource)
    scenario = Scenario.of(config.source, config.velocity.model())
    if crust:
        model = LayeredModel("other", *zip(*crust, strict=True))
        config = config.model_copy(update={"velocity": Velocity.of(model)})
    space = workspace(config)
    space.refreshed_stations(SPAN)
    template = scenario.events(SPAN)[0]
    events = []
    for k in range(int(SPAN.duration_s) // _APART_S - 1):
        x, y, depth = _SWARMS_KM[k % 2] + rng.normal(0, _SPREAD_KM)
        latitude, longitude = FRAME.to_degrees(x, y)
        time_ns = SPAN.start_ns + (20 + k * _APART_S) * NS_PER_S
        events.append(
            replace(
                template, time_ns=time_ns, latitude=float(latitude), longitude=float(longitude),
                depth_km=float(depth), number=1000 + k,
            )
        )  # fmt: skip
    space.archive.write(_recorded(scenario, events, rng), Provenance("test", "all", "0" * 64))
    solver = solver_of(
        config, tuple(sorted(space.stations().at(SPAN.start_ns).values())), SPAN.start_ns
    )
    held = []
    for event in events:
        origin = solver.locator.locate(_picks(scenario, event, rng))
        assert isinstance(origin, Origin)
        held.append(Event(origin, probability=1.0))
    space.catalog.replace_events(SPAN, held, space.catalog.begin_run("locate"))
    return config, events


def places(events: list[TrueEvent]) -> np.ndarray:
    """Return where earthquakes are: east, north, down (km)."""
    x, y = FRAME.to_km([e.latitude for e in events], [e.longitude for e in events])
    return np.stack([x, y, [e.depth_km for e in events]], axis=1)


def _recorded(
    scenario: Scenario, events: list[TrueEvent], rng: np.random.Generator
) -> list[Segment]:
    """Return noise with each station's wavelets at the true arrivals, to a part of a sample."""
    n = int(SPAN.duration_s * _RATE_HZ)
    segments = []
    for sensor in scenario.sensors:
        arrivals = [scenario.arrivals(event)[sensor.stream_id.station_id] for event in events]
        for seed_id in sensor.seed_ids():
            samples = rng.normal(0, 30, n)
            for phase in ("P", "S"):
                size = 400.0 if (seed_id.component == "Z") == (phase == "P") else 50.0
                wavelet = _wavelet(rng) * size
                for arrival in arrivals:
                    time_ns = arrival.p_ns if phase == "P" else arrival.s_ns
                    _add(samples, wavelet, (time_ns - SPAN.start_ns) / NS_PER_S * _RATE_HZ)
            segments.append(
                Segment(seed_id, SPAN.start_ns, _RATE_HZ, np.round(samples).astype(np.int32))
            )
    return segments


def _wavelet(rng: np.random.Generator) -> np.ndarray:
    """Return a decaying burst of 2 to 12 Hz, 1.28 s long."""
    frequency = np.fft.rfftfreq(128, 1 / _RATE_HZ)
    noise = np.fft.rfft(rng.normal(0, 1, 128))
    noise[(frequency < 2) | (frequency > 12)] = 0
    burst = np.fft.irfft(noise, 128)
    return np.asarray(burst / burst.std() * np.exp(-np.arange(128) / 40))


def _add(samples: np.ndarray, wavelet: np.ndarray, at: float) -> None:
    first = int(at)
    padded = np.concatenate([np.zeros(32), wavelet, np.zeros(96)])
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(256) * (at - first))
    samples[first - 32 : first + 224] += np.fft.irfft(np.fft.rfft(padded) * turn, 256)


def _picks(scenario: Scenario, event: TrueEvent, rng: np.random.Generator) -> list[Pick]:
    """Return a pick of nearly every arrival, P on the vertical and S on a horizontal."""
    channels: dict[StationId, tuple[SeedId, ...]] = {
        sensor.stream_id.station_id: sensor.seed_ids() for sensor in scenario.sensors
    }
    phases: tuple[Phase, Phase] = ("P", "S")
    found = []
    for station, arrival in scenario.arrivals(event).items():
        for phase in phases:
            wanted = [c for c in channels[station] if (c.component == "Z") == (phase == "P")]
            if wanted and rng.random() < 0.9:
                time_ns = arrival.p_ns if phase == "P" else arrival.s_ns
                off = timedelta(seconds=float(rng.normal(0, _MISREAD_S[phase])))
                found.append(Pick(from_ns(time_ns) + off, wanted[0], phase, 0.9, _MISREAD_S[phase]))
    return found
