"""Measure located events on the archived waveforms: magnitudes, and mechanisms from their picks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from geomon.config import Config
from geomon.errors import CorruptObject
from geomon.events import FocalMechanism, Magnitude, Origin, Phase, Pick, StationMagnitude
from geomon.ids import StationId, StreamId
from geomon.locating.duration import (
    duration_magnitude,
    duration_span,
    network_duration_magnitude,
)
from geomon.locating.magnitude import NoMagnitude, local_magnitude, magnitude_span
from geomon.locating.mechanism import MIN_POLARITIES, focal_mechanism, takeoff_deg
from geomon.locating.moment import (
    SourceSpectrum,
    network_moment_magnitude,
    source_spectrum,
    spectrum_spans,
)
from geomon.locating.network import geodesic
from geomon.locating.network_magnitude import network_magnitude
from geomon.locating.solve import Solver
from geomon.services.workspace import workspace
from geomon.stations import Response
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.waveforms import Segment

_PHASES: tuple[Phase, Phase] = ("P", "S")
_LEAST_TAIL_NS = 2 * NS_PER_S  # after S, where a pick may still be of the same event


@dataclass(frozen=True, slots=True)
class Measured:
    """The preferred magnitude and others, a mechanism, and why channels gave no magnitude."""

    magnitude: Magnitude | None
    others: tuple[Magnitude, ...]
    mechanism: FocalMechanism | None
    refused: tuple[NoMagnitude, ...]


@dataclass(slots=True)
class _Found:
    """What the sensors of one event gave."""

    local: list[StationMagnitude] = field(default_factory=list)
    spectra: list[SourceSpectrum] = field(default_factory=list)
    refused: list[NoMagnitude] = field(default_factory=list)
    has_response: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """When an event reached a sensor, and from how far."""

    stream: StreamId
    is_picked: bool
    p_time_ns: int
    s_time_ns: int
    end_ns: int | None
    distance_km: float


def measure(
    config: Config,
    solver: Solver,
    origin: Origin,
    streams: Sequence[StreamId],
    picks: Sequence[Pick] = (),
) -> Measured:
    """Measure one event.

    A local magnitude is preferred, then a moment magnitude, then a duration magnitude, which is
    only tried where the config asks for it and no sensor that picked the event has a response.

    Parameters
    ----------
    config : Config
        The network.
    solver : Solver
        That located it.
    origin : Origin
        Where it was located.
    streams : sequence of StreamId
        Sensors the archive holds anything of. One without a pick counts only by how small the
        event must have been to drown in its noise, and only as near as the farthest pick: should
        it have seen something after all, that may be another event.
    picks : sequence of Pick
        All picks then: amplitudes are looked for only up to those of the next event.
    """
    found = _Found()
    sensors = _seen_by(solver, origin, streams, picks)
    for seen in sensors:
        _measure_sensor(config, solver, origin, seen, found)
    magnitudes = [network_magnitude(found.local, found.refused)]
    magnitudes.append(network_moment_magnitude(found.spectra))
    if config.magnitude.duration and not found.has_response:
        magnitudes.append(_duration(config, [seen for seen in sensors if seen.is_picked]))
    made = [magnitude for magnitude in magnitudes if magnitude is not None]
    return Measured(
        made[0] if made else None,
        tuple(made[1:]),
        mechanism_of(solver, origin),
        tuple(found.refused),
    )


def mechanism_of(solver: Solver, origin: Origin) -> FocalMechanism | None:
    """Return the mechanism that an origin's first motions tell, if they tell one.

    Rays leave the depths at both ends and in the middle of the 68 % interval.
    """
    by_station: dict[StationId, tuple[Pick, float, float]] = {}
    for arrival in sorted(origin.arrivals, key=lambda one: -one.pick.probability):
        pick = arrival.pick
        if pick.phase == "P" and pick.polarity != "undecidable":
            by_station.setdefault(
                pick.seed_id.station_id, (pick, arrival.distance_km, arrival.azimuth_deg)
            )
    used = [one for station, one in sorted(by_station.items()) if station in solver.network.index]
    if len(used) < MIN_POLARITIES:
        return None
    network = solver.network
    places = np.array([network.index[pick.seed_id.station_id] for pick, _, _ in used])
    depths = sorted(
        depth for depth in (origin.depth_km, *origin.depth_interval_km) if math.isfinite(depth)
    )
    azimuth_deg = np.array([azimuth for _, _, azimuth in used])
    if solver.locator.station_times is None:
        distance_km = np.array([distance for _, distance, _ in used])
        takeoffs = takeoff_deg(
            solver.travel_times, distance_km, np.array(depths)[:, None],
            network.elevation_m[places],
        )  # fmt: skip
    else:
        x, y = network.frame.to_km(origin.latitude, origin.longitude)
        points = np.array([[float(x), float(y), depth] for depth in depths])
        azimuths, takeoffs = solver.locator.rays(points, places)
        azimuth_deg = azimuths[len(depths) // 2]
    polarities = [1 if pick.polarity == "positive" else -1 for pick, _, _ in used]
    probabilities = [
        math.nan if pick.polarity_probability is None else pick.polarity_probability
        for pick, _, _ in used
    ]
    found = focal_mechanism(polarities, azimuth_deg, takeoffs, probabilities)
    return found if isinstance(found, FocalMechanism) else None


def _seen_by(
    solver: Solver, origin: Origin, streams: Sequence[StreamId], picks: Sequence[Pick]
) -> list[_Seen]:
    """Return the sensors that picked an event, and those as near; P and S picked or predicted.

    Predictions are in the model that located the event, with its station corrections.
    """
    own = {arrival.pick.pick_id for arrival in origin.arrivals}
    foreign: dict[StationId, list[int]] = {}
    for pick in picks:
        if pick.pick_id not in own:
            foreign.setdefault(pick.seed_id.station_id, []).append(to_ns(pick.time))
    picked = {arrival.pick.seed_id.stream_id for arrival in origin.arrivals}
    farthest_km = max((arrival.distance_km for arrival in origin.arrivals), default=0.0)
    network = solver.network
    predicted_s = solver.locator.arrival_times(origin.latitude, origin.longitude, origin.depth_km)
    distance_km, _ = geodesic(
        origin.latitude, origin.longitude,
        [station.latitude for station in network.stations],
        [station.longitude for station in network.stations],
    )  # fmt: skip
    seen = []
    for stream in sorted(picked | set(streams)):
        place = network.index.get(stream.station_id)
        if place is None or (stream not in picked and distance_km[place] > farthest_km):
            continue
        times = {
            arrival.pick.phase: to_ns(arrival.pick.time)
            for arrival in origin.arrivals
            if arrival.pick.seed_id.station_id == stream.station_id
        }
        for phase, after_s in zip(_PHASES, predicted_s[:, place].tolist(), strict=True):
            if phase not in times and math.isfinite(after_s):
                times[phase] = to_ns(origin.time) + round(after_s * NS_PER_S)
        if len(times) == 2:
            later = [
                time_ns
                for time_ns in foreign.get(stream.station_id, ())
                if time_ns > times["S"] + _LEAST_TAIL_NS
            ]
            seen.append(
                _Seen(
                    stream,
                    is_picked=stream in picked,
                    p_time_ns=min(times["P"], times["S"]),
                    s_time_ns=times["S"],
                    end_ns=min(later, default=None),
                    distance_km=float(distance_km[place]),
                )
            )
    return seen


def _measure_sensor(
    config: Config, solver: Solver, origin: Origin, seen: _Seen, found: _Found
) -> None:
    space = workspace(config)
    spans = [
        magnitude_span(seen.p_time_ns, seen.s_time_ns),
        *spectrum_spans(seen.p_time_ns, seen.s_time_ns),
    ]
    span = TimeSpan(min(one.start_ns for one in spans), max(one.end_ns for one in spans))
    try:
        held = space.archive.read_stream(seen.stream, span)
    except CorruptObject as error:
        found.refused.append(NoMagnitude(seen.stream.seed_id("Z"), str(error)))
        return
    horizontals: list[tuple[Segment, Response]] = []
    distance_km = seen.distance_km
    for seed_id in sorted({segment.seed_id for segment in held.segments}):
        channel = space.stations().channel(seed_id, seen.p_time_ns)
        if channel is None:
            found.refused.append(NoMagnitude(seed_id, "not in the station metadata"))
            continue
        if seen.is_picked and channel.response is not None:
            found.has_response = True
        depth_km = origin.depth_km + (channel.elevation_m - channel.depth_m) / 1000
        distance_km = math.hypot(seen.distance_km, depth_km)
        answer = local_magnitude(
            held.of(seed_id),
            channel.response,
            p_time_ns=seen.p_time_ns,
            s_time_ns=seen.s_time_ns,
            distance_km=distance_km,
            settings=config.magnitude,
            response_problem=channel.response_problem,
            end_ns=seen.end_ns,
        )
        if isinstance(answer, NoMagnitude):
            if seen.is_picked or answer.limit is not None:
                found.refused.append(answer)
        elif seen.is_picked:
            found.local.append(answer)
            if channel.response is not None and seed_id.component != "Z":
                longest = max(held.of(seed_id), key=lambda one: one.samples.size)
                horizontals.append((longest, channel.response))
    if horizontals:
        spectrum = source_spectrum(
            horizontals,
            p_time_ns=seen.p_time_ns,
            s_time_ns=seen.s_time_ns,
            distance_km=distance_km,
            vs_km_s=float(solver.travel_times.model.speed_at(origin.depth_km, "S")),
        )
        if isinstance(spectrum, SourceSpectrum):
            found.spectra.append(spectrum)


def _duration(config: Config, sensors: Sequence[_Seen]) -> Magnitude | None:
    """Return a duration magnitude, from the vertical of each sensor."""
    stations: list[StationMagnitude] = []
    for seen in sensors:
        try:
            held = workspace(config).archive.read_stream(seen.stream, duration_span(seen.p_time_ns))
        except CorruptObject:
            continue
        vertical = [one for one in held.segments if one.seed_id.component == "Z"]
        for segment in vertical[:1]:
            answer = duration_magnitude(
                segment, p_time_ns=seen.p_time_ns, distance_km=seen.distance_km
            )
            if isinstance(answer, StationMagnitude):
                stations.append(answer)
    return network_duration_magnitude(stations)
