"""Measure located events on the archived waveforms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from geomon.config import Config
from geomon.errors import CorruptObject
from geomon.events import Magnitude, Origin, StationMagnitude
from geomon.ids import StreamId
from geomon.locating.magnitude import NoMagnitude, local_magnitude, magnitude_span
from geomon.locating.network import geodesic
from geomon.locating.network_magnitude import network_magnitude
from geomon.locating.solve import Solver
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, to_ns


@dataclass(frozen=True, slots=True)
class Measured:
    """A network magnitude, or None, and why channels gave none."""

    magnitude: Magnitude | None
    refused: tuple[NoMagnitude, ...]


def measure(
    config: Config, solver: Solver, origin: Origin, streams: Sequence[StreamId]
) -> Measured:
    """Return an event's network magnitude from the stations as near as those that picked it.

    `streams` are the sensors the archive holds anything of.

    Arrival times are the picked ones, or those the velocity model predicts. A station without a
    pick counts only by how small the event must have been to drown in its noise; should it have
    seen something after all, that may be another event.
    """
    found: list[StationMagnitude] = []
    refused: list[NoMagnitude] = []
    picked = {arrival.pick.seed_id.stream_id for arrival in origin.arrivals}
    farthest_km = max((arrival.distance_km for arrival in origin.arrivals), default=0.0)
    network = solver.network
    distance_km, _ = geodesic(
        origin.latitude, origin.longitude,
        [station.latitude for station in network.stations],
        [station.longitude for station in network.stations],
    )  # fmt: skip
    for stream in sorted(picked | set(streams)):
        place = network.index.get(stream.station_id)
        if place is None or (stream not in picked and distance_km[place] > farthest_km):
            continue
        for one in _measure_stream(config, solver, origin, stream, float(distance_km[place])):
            if stream not in picked and (isinstance(one, StationMagnitude) or one.limit is None):
                continue
            if isinstance(one, NoMagnitude):
                refused.append(one)
            else:
                found.append(one)
    return Measured(network_magnitude(found), tuple(refused))


def _measure_stream(
    config: Config, solver: Solver, origin: Origin, stream: StreamId, distance_km: float
) -> list[StationMagnitude | NoMagnitude]:
    space = workspace(config)
    arrivals = [a for a in origin.arrivals if a.pick.seed_id.station_id == stream.station_id]
    times = {arrival.pick.phase: to_ns(arrival.pick.time) for arrival in arrivals}
    elevation_m = solver.network.elevation_m[solver.network.index[stream.station_id]]
    for phase in ("P", "S"):
        if phase not in times:
            predicted = solver.travel_times.times(
                phase, distance_km, origin.depth_km, float(elevation_m)
            )
            times[phase] = to_ns(origin.time) + round(float(predicted) * NS_PER_S)
    p_time_ns, s_time_ns = min(times["P"], times["S"]), times["S"]
    span = magnitude_span(p_time_ns, s_time_ns)
    try:
        held = space.archive.read_stream(stream, span)
    except CorruptObject as error:
        return [NoMagnitude(stream.seed_id("Z"), str(error))]
    results: list[StationMagnitude | NoMagnitude] = []
    for seed_id in sorted({segment.seed_id for segment in held.segments}):
        channel = space.stations().channel(seed_id, p_time_ns)
        if channel is None:
            results.append(NoMagnitude(seed_id, "not in the station metadata"))
            continue
        depth_km = origin.depth_km + (channel.elevation_m - channel.depth_m) / 1000
        results.append(
            local_magnitude(
                held.of(seed_id),
                channel.response,
                p_time_ns=p_time_ns,
                s_time_ns=s_time_ns,
                distance_km=math.hypot(distance_km, depth_km),
                settings=config.magnitude,
                response_problem=channel.response_problem,
            )
        )
    return results
