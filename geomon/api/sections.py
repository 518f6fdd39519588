"""Waveforms of an event by distance, or of one channel, ready to be drawn."""

import math
from collections.abc import Iterable, Mapping, Sequence

from geomon.api import schemas
from geomon.api.details import known
from geomon.api.envelopes import envelopes, peak, rounded, warmed
from geomon.events import Arrival, Event, Pick
from geomon.ids import SeedId, StationId, StreamId
from geomon.services.workspace import Workspace
from geomon.sphere import great_circle_km
from geomon.stations import Stations
from geomon.times import NS_PER_S, TimeSpan, from_ns, to_ns
from geomon.waveforms import Segment, Waveforms

MAX_TRACES = 48
_COMPONENTS = "ZNE12"


def event_records(
    space: Workspace,
    stations: Stations,
    event: Event,
    component: str,
    n_steps: int,
    highpass_hz: float,
) -> schemas.Records:
    """Return the record section of an event, nearest station first.

    Stations without an arrival are shown too where they stand within the reach of those with one,
    so that a reader sees what was not picked. Restricted channels are left out. Where a station
    has no such component, its vertical one is shown, or any.
    """
    origin_ns = to_ns(event.preferred_origin.time)
    span = _section_span(origin_ns, event.arrivals)
    arrivals: dict[StationId, list[Arrival]] = {}
    for arrival in event.arrivals:
        arrivals.setdefault(arrival.pick.seed_id.station_id, []).append(arrival)
    distances = _distances(stations, event, arrivals, origin_ns)
    sensors = _sensors(space, stations, arrivals, span)
    shown = sorted((d, s) for s, d in distances.items() if s in sensors)
    return _section(
        space, stations, [(sensors[s], d) for d, s in shown], span, component, n_steps,
        highpass_hz, event,
    )  # fmt: skip


def network_records(
    space: Workspace,
    stations: Stations,
    span: TimeSpan,
    component: str,
    n_steps: int,
    highpass_hz: float,
) -> schemas.Records:
    """Return every station in a span, the one picked first at the top, to look for what was missed.

    Restricted channels are left out.
    """
    first: dict[StationId, int] = {}
    for pick in space.catalog.picks(span):
        first.setdefault(pick.seed_id.station_id, to_ns(pick.time))
    sensors = _sensors(space, stations, {}, span)
    shown = sorted(sensors, key=lambda s: (first.get(s, span.end_ns), s))
    return _section(
        space, stations, [(sensors[s], None) for s in shown], span, component, n_steps, highpass_hz
    )


def _section(
    space: Workspace,
    stations: Stations,
    sensors: Sequence[tuple[StreamId, float | None]],
    span: TimeSpan,
    component: str,
    n_steps: int,
    highpass_hz: float,
    event: Event | None = None,
) -> schemas.Records:
    """Draw one trace a sensor, with the picks of the event and all others of the station."""
    components: set[str] = set()
    traces: list[schemas.Trace] = []
    picks = _picks(space, span, event)
    for stream, distance_km in sensors:
        if len(traces) == MAX_TRACES:
            break
        held = space.archive.read_stream(stream, warmed(span))
        open_ids = open_channels(held.seed_ids, stations, span.start_ns)
        components |= {seed_id.component for seed_id in open_ids}
        seed_id = _best(open_ids, component)
        if seed_id is None:
            continue
        found = picks.get(stream.station_id, [])
        traces.append(
            _trace(seed_id, held.of(seed_id), span, n_steps, highpass_hz, distance_km, found)
        )
    return schemas.Records(
        event_id=None if event is None else event.event_id,
        origin_time=None if event is None else event.preferred_origin.time,
        start=span.start,
        end=span.end,
        component=component,
        components=_named_once(components),
        highpass_hz=highpass_hz,
        traces=traces,
    )


def _picks(
    space: Workspace, span: TimeSpan, event: Event | None = None
) -> dict[StationId, list[schemas.TracePick]]:
    """Return the picks of a span by station: those of the event, and others with their event."""
    found: dict[StationId, list[schemas.TracePick]] = {}
    own = {arrival.pick: arrival.residual_s for arrival in event.arrivals} if event else {}
    shown = {
        pick: event.event_id
        for pick in own
        if event is not None and span.contains(to_ns(pick.time))
    }
    others = space.catalog.picks(span)
    for pick, event_id in zip(others, others.event_ids(), strict=True):
        shown.setdefault(pick, event_id)
    for pick, event_id in shown.items():
        residual_s = own.get(pick)
        found.setdefault(pick.seed_id.station_id, []).append(
            _trace_pick(pick, event_id, residual_s)
        )
    return found


def _trace_pick(pick: Pick, event_id: str, residual_s: float | None) -> schemas.TracePick:
    return schemas.TracePick(
        channel=str(pick.seed_id),
        phase=pick.phase,
        time=pick.time,
        residual_s=None if residual_s is None else known(residual_s),
        probability=known(pick.probability),
        uncertainty_s=known(pick.uncertainty_s),
        polarity=pick.polarity,
        polarity_probability=pick.polarity_probability,
        evaluation_mode=pick.evaluation_mode,
        picker=pick.picker,
        event_id=event_id,
    )


def channel_records(
    space: Workspace,
    stations: Stations,
    seed_id: SeedId,
    span: TimeSpan,
    n_steps: int,
    highpass_hz: float,
) -> schemas.Records:
    """Return one channel with the picks of its sensor; a restricted one comes without samples."""
    held = Waveforms(span, (), ())
    if seed_id.stream_id in space.archive.streams():
        held = space.archive.read_stream(seed_id.stream_id, warmed(span))
    open_ids = open_channels(held.seed_ids, stations, span.start_ns)
    found = space.catalog.picks(span, stream_id=seed_id.stream_id)
    picks = [
        _trace_pick(pick, event_id, None)
        for pick, event_id in zip(found, found.event_ids(), strict=True)
    ]
    segments = held.of(seed_id) if seed_id in open_ids else ()
    return schemas.Records(
        event_id=None,
        origin_time=None,
        start=span.start,
        end=span.end,
        component=seed_id.component,
        components=_named_once({one.component for one in open_ids}),
        highpass_hz=highpass_hz,
        traces=[_trace(seed_id, segments, span, n_steps, highpass_hz, None, picks)],
    )


def _section_span(origin_ns: int, arrivals: Iterable[Arrival]) -> TimeSpan:
    """Return from a little before the origin to well after the last arrival."""
    last_s = max(
        ((to_ns(arrival.pick.time) - origin_ns) / NS_PER_S for arrival in arrivals), default=20.0
    )
    before_s = min(max(0.15 * last_s, 1.5), 10.0)
    after_s = last_s + min(max(0.6 * last_s, 5.0), 60.0)
    return TimeSpan(
        origin_ns - round(before_s * NS_PER_S), origin_ns + round(max(after_s, 1.0) * NS_PER_S)
    )


def _distances(
    stations: Stations,
    event: Event,
    arrivals: Mapping[StationId, Sequence[Arrival]],
    origin_ns: int,
) -> dict[StationId, float]:
    """Return the epicentral distance, km, of every station within the reach of the arrivals."""
    origin = event.preferred_origin
    distances = {
        station_id: great_circle_km(
            origin.latitude, origin.longitude, place.latitude, place.longitude
        )
        for station_id, place in stations.at(origin_ns).items()
    }
    for station_id, of_station in arrivals.items():
        if math.isfinite(of_station[0].distance_km):
            distances[station_id] = of_station[0].distance_km
    reach_km = 1.1 * max((distances.get(s, 0.0) for s in arrivals), default=0.0)
    return {s: d for s, d in distances.items() if d <= reach_km or s in arrivals}


def _sensors(
    space: Workspace,
    stations: Stations,
    arrivals: Mapping[StationId, Sequence[Arrival]],
    span: TimeSpan,
) -> dict[StationId, StreamId]:
    """Choose one archived sensor a station: the one picked, else the network's first choice."""
    archived = set(space.archive.streams())
    chosen: dict[StationId, StreamId] = {}
    for stream in stations.preferred_streams(span, space.config.network.channels):
        if stream in archived:
            chosen.setdefault(stream.station_id, stream)
    for station_id, of_station in arrivals.items():
        stream = of_station[0].pick.seed_id.stream_id
        if stream in archived:
            chosen[station_id] = stream
    return chosen


def open_channels(seed_ids: Iterable[SeedId], stations: Stations, at_ns: int) -> list[SeedId]:
    """Leave out the channels whose data must not be served openly."""
    found = []
    for seed_id in seed_ids:
        channel = stations.channel(seed_id, at_ns)
        if channel is None or not channel.restricted:
            found.append(seed_id)
    return found


def _best(seed_ids: Sequence[SeedId], component: str) -> SeedId | None:
    """Return the channel of a component, or of its other name, else the vertical one, else any."""
    by_component = {seed_id.component: seed_id for seed_id in seed_ids}
    other = {"N": "1", "E": "2", "1": "N", "2": "E"}.get(component, component)
    for name in (component, other, "Z", *by_component):
        if name in by_component:
            return by_component[name]
    return None


def _named_once(components: set[str]) -> list[str]:
    """Return the components there are, vertical first; 1 and 2 stand in for N and E."""
    hidden = {other for name, other in (("N", "1"), ("E", "2")) if name in components}
    return sorted(components - hidden, key=lambda name: (_COMPONENTS.find(name) % 9, name))


def _trace(
    seed_id: SeedId,
    segments: Iterable[Segment],
    span: TimeSpan,
    n_steps: int,
    highpass_hz: float,
    distance_km: float | None,
    picks: list[schemas.TracePick],
) -> schemas.Trace:
    found = list(envelopes(segments, span, n_steps, highpass_hz=highpass_hz))
    largest = peak(found)
    return schemas.Trace(
        network=seed_id.network,
        station=seed_id.station,
        location=seed_id.location,
        channel=seed_id.channel,
        distance_km=distance_km,
        peak=largest,
        pieces=[
            schemas.TracePiece(
                start=from_ns(piece.start_ns),
                step_s=piece.step_s,
                minimum=rounded(piece.minimum, largest),
                maximum=rounded(piece.maximum, largest),
            )
            for piece in found
        ],
        picks=picks,
    )
