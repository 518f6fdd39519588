"""An analyst of the simulated network, who knows the truth and marks what can be seen."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from geomon.config import Config, SimulatedSource
from geomon.events import Arrival, Event, Magnitude, Origin, Phase, Pick
from geomon.ids import StreamId
from geomon.processing.condition import highpass
from geomon.services.workspace import workspace
from geomon.stores.amending import Amendments
from geomon.synthesis.network import Scenario
from geomon.synthesis.swarm import TrueEvent
from geomon.times import TimeSpan, from_ns
from geomon.training.recordings import recorded

READING_S: dict[Phase, float] = {"P": 0.02, "S": 0.04}
"""How far off the truth an analyst reads an onset, one standard deviation."""

_GROWTH = 2.0  # of amplitude at an onset that can be seen


@dataclass(frozen=True, slots=True)
class Onset:
    """One onset that an analyst sees."""

    stream_id: StreamId
    time_ns: int
    phase: Phase
    distance_km: float
    azimuth_deg: float


def scenario_of(config: Config) -> Scenario:
    """Return the network behind a config's simulated source."""
    assert isinstance(config.source, SimulatedSource)
    return Scenario.of(config.source, config.velocity.model())


def visible(config: Config, span: TimeSpan) -> dict[TrueEvent, list[Onset]]:
    """Return the onsets that stand out of the archived records, by earthquake."""
    scenario, archive = scenario_of(config), workspace(config).archive
    seen: dict[StreamId, np.ndarray] = {}
    for sensor in scenario.sensors:
        segments = archive.read_stream(sensor.stream_id, span).segments
        if segments:
            samples, valid = recorded(segments, span)
            filtered = highpass(samples.astype(np.float64), 2.0, 100.0)
            seen[sensor.stream_id] = np.where(valid, filtered, np.nan)
    found: dict[TrueEvent, list[Onset]] = {}
    for event in scenario.events(span):
        arrivals = scenario.arrivals(event)
        for stream, samples in seen.items():
            arrival = arrivals[stream.station_id]
            times: dict[Phase, int] = {"P": arrival.p_ns, "S": arrival.s_ns}
            for phase, time_ns in times.items():
                at = (time_ns - span.start_ns) // 10_000_000
                before, after = samples[at - 105 : at - 5], samples[at : at + 60]
                if at < 3000 or at + 3000 > len(samples):
                    continue
                noise, signal = (np.sqrt((x**2).mean(axis=0)) for x in (before, after))
                here = np.isfinite(noise + signal) & (noise > 0)
                if here.any() and (signal[here] / noise[here]).max() > _GROWTH:
                    onset = Onset(stream, time_ns, phase, arrival.distance_km, arrival.azimuth_deg)
                    found.setdefault(event, []).append(onset)
    return found


def reviewed_event(event: TrueEvent, onsets: Iterable[Onset], rng: np.random.Generator) -> Event:
    """Return an earthquake as the analyst holds it: manual picks, solved right."""
    arrivals = []
    for onset in onsets:
        off = rng.normal(0, READING_S[onset.phase])
        pick = Pick(
            from_ns(onset.time_ns + round(off * 1e6) * 1000),
            onset.stream_id.seed_id("Z"), onset.phase, float("nan"), 0.05,
            picker="ada", evaluation_mode="manual",
        )  # fmt: skip
        residual = off + rng.normal(0, READING_S[onset.phase])
        arrivals.append(Arrival(pick, onset.distance_km, onset.azimuth_deg, residual, 1.0))
    origin = Origin(
        from_ns(event.time_ns), event.latitude, event.longitude, event.depth_km, 0.05,
        (0.1, 0, 0, 0.1, 0, 0.2), (0.4, 0.3), 10.0,
        (event.depth_km - 0.5, event.depth_km + 0.5), 0.05, 90.0, 5.0,
        len({one.pick.seed_id.station_id for one in arrivals}), len(arrivals), "A", "manual",
        "demo", tuple(arrivals),
    )  # fmt: skip
    magnitude = Magnitude(event.magnitude, "ML", 0.1, 5)
    return Event(origin, magnitude, review_state="reviewed")


def found_event(event: TrueEvent, onsets: Iterable[Onset], rng: np.random.Generator) -> Event:
    """Return an earthquake as a good picker finds it: automatic, and certain."""
    seen = reviewed_event(event, onsets, rng)
    arrivals = tuple(
        replace(
            one,
            pick=replace(one.pick, probability=0.9, picker="sharp@0", evaluation_mode="automatic"),
        )
        for one in seen.preferred_origin.arrivals
    )
    origin = replace(seen.preferred_origin, arrivals=arrivals)
    return replace(seen, preferred_origin=origin, review_state="automatic", probability=0.99)


def find_all(config: Config, span: TimeSpan, *, seed: int = 0) -> list[Event]:
    """Store every earthquake seen at five onsets or more, one a station and phase, as located."""
    rng = np.random.default_rng(seed)
    catalog = workspace(config).catalog
    events = []
    for event, onsets in visible(config, span).items():
        first = {(one.stream_id.station_id, one.phase): one for one in reversed(onsets)}
        if len(first) >= 5:
            events.append(found_event(event, first.values(), rng))
    run = catalog.begin_run("pick")
    picks = [pick for event in events for pick in event.picks]
    for stream in sorted({pick.seed_id.stream_id for pick in picks}):
        of_stream = [pick for pick in picks if pick.seed_id.stream_id == stream]
        catalog.replace_picks(stream, span, of_stream, run)
    catalog.replace_events(span, events, catalog.begin_run("locate"))
    return list(catalog.events(span.start, span.end))


def review_all(config: Config, span: TimeSpan, *, seed: int = 0, least_onsets: int = 4) -> int:
    """Add every earthquake of a span with enough onsets, signed by the analyst; return how many."""
    rng = np.random.default_rng(seed)
    catalog = workspace(config).catalog
    amendments = Amendments(catalog.database)
    held = {one.preferred_origin.time for one in catalog.events(span.start, span.end)}
    n_added = 0
    for event, onsets in visible(config, span).items():
        if len(onsets) >= least_onsets and from_ns(event.time_ns) not in held:
            amendments.create(
                reviewed_event(event, onsets, rng), actor="ada", reason="reviewed whole"
            )
            n_added += 1
    return n_added
