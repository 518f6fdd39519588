"""A network with known truth, ready to be served: waveforms, events with arrivals, coverage."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from geomon.config import Config
from geomon.events import Arrival, Event, Magnitude, Origin, Pick, StationMagnitude
from geomon.picking.card import PickerCard
from geomon.services.coverage import known_pieces
from geomon.services.pick import PIECE_NS, picker_version
from geomon.services.workspace import Workspace, workspace
from geomon.sources.simulated import SimulatedSource
from geomon.sources.stationxml import write_stationxml
from geomon.stations import Stations
from geomon.times import TimeSpan, day_span, from_ns, subtracted
from geomon.waveforms import Segment

SPAN = TimeSpan.parse("2024-03-05T06:00:00", "2024-03-05T06:12:00")
OUTAGE = TimeSpan.parse("2024-03-05T06:04:00", "2024-03-05T06:05:00")
"""A minute that GM03 has no data for."""
WATCHED = TimeSpan.parse("2024-03-05T06:00:00", "2024-03-05T06:10:00")
CLOCK = TimeSpan.parse("2024-04-01", "2024-04-01").start_ns


def make_config(folder: Path, **changes: object) -> Config:
    """Return a config whose stores and picker lie in a folder."""
    write_card(folder / "picker")
    sections = {
        "network": {"name": "Test swarm", "agency": "TST"},
        "source": {"kind": "simulated", "seed": 3, "n_stations": 8, "events_per_hour": 90},
        "archive": {"url": str(folder / "archive")},
        "catalog": {"url": f"sqlite:///{folder / 'catalog.sqlite'}"},
        "picker": {"name": str(folder / "picker")},
    }
    return Config(**{**sections, **changes})


def write_card(folder: Path) -> None:
    """Write the card of a picker; the API reads only that."""
    card = PickerCard(
        name="truth",
        version="1",
        components="ZNE",
        classes=("N", "P", "S"),
        normalisation={},
        halo_samples=1792,
        length_multiple=256,
        thresholds={"P": 0.5, "S": 0.5},
        weights_sha256="0" * 64,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(card.model_dump_json(), encoding="utf-8")


def fill(config: Config, *, restricted: tuple[str, ...] = ()) -> Workspace:
    """Fill archive, catalogue and ledger of a simulated network from its truth."""
    space = workspace(config)
    source = SimulatedSource(config.source, config.velocity.model(), clock=lambda: CLOCK)
    stations = source.stations(SPAN)
    stations = Stations(
        tuple(
            replace(c, restricted=True) if str(c.seed_id.station_id) in restricted else c
            for c in stations.channels
        )
    )
    fetched = source.fetch(stations.seed_ids(), SPAN)
    segments = [part for segment in fetched.segments for part in _without_outage(segment)]
    space.archive.write(segments, fetched.provenance)
    space.archive.keep_document("stations.xml", write_stationxml(stations))
    events = true_events(source, stations)
    run = space.catalog.begin_run("locate", picker="truth")
    for stream in {pick.seed_id.stream_id for event in events for pick in event.picks}:
        picks = [p for event in events for p in event.picks if p.seed_id.stream_id == stream]
        space.catalog.replace_picks(stream, SPAN.padded(120), sorted(set(picks)), run)
    space.catalog.replace_events(SPAN, events, run)
    record_work(space, run)
    return space


def _without_outage(segment: Segment) -> list[Segment]:
    if segment.seed_id.station != "GM03":
        return [segment]
    parts = [segment.clipped(span) for span in subtracted(segment.span, [OUTAGE])]
    return [part for part in parts if part is not None]


def record_work(space: Workspace, run: object) -> None:
    """Write into the ledger that `WATCHED` was picked and searched."""
    step = PIECE_NS
    pieces = range(WATCHED.start_ns // step, -(-WATCHED.end_ns // step))
    text = ",".join(f"{piece}:done" for piece in pieces)
    assert set(known_pieces(text)) == set(pieces)
    version = picker_version(space.config)
    for stream in space.archive.streams():
        space.coverage.record(
            "pick", str(stream), day_span(WATCHED.start.date()), version=version, input_hash=text,
            state="done", run=run,
        )  # fmt: skip
    space.coverage.record("locate", "network", WATCHED, version="1", state="done", run=run)


def true_events(source: SimulatedSource, stations: Stations) -> list[Event]:
    """Return the simulated earthquakes as if they had been located perfectly."""
    events = []
    for true in source.scenario.events(SPAN):
        time = from_ns(true.time_ns)
        arrivals = []
        for station_id, arrival in source.scenario.arrivals(true).items():
            [stream] = [
                s
                for s in sorted({i.stream_id for i in stations.seed_ids()})
                if s.station_id == station_id
            ][:1]
            for phase, time_ns in (("P", arrival.p_ns), ("S", arrival.s_ns)):
                residual_s = 0.08 * math.sin(true.time_ns + arrival.distance_km)
                arrivals.append(
                    Arrival(
                        _pick(stream.seed_id("Z"), phase, from_ns(time_ns)),
                        arrival.distance_km,
                        arrival.azimuth_deg,
                        residual_s,
                        0.9,
                    )
                )
        events.append(make_event(time, true.latitude, true.longitude, true.depth_km,
                                 true.magnitude, tuple(arrivals)))  # fmt: skip
    return events


def make_event(
    time: datetime,
    latitude: float,
    longitude: float,
    depth_km: float,
    magnitude: float | None,
    arrivals: tuple[Arrival, ...] = (),
) -> Event:
    """Return an event with plausible uncertainties."""
    origin = Origin(
        time=time,
        latitude=latitude,
        longitude=longitude,
        depth_km=depth_km,
        time_uncertainty_s=0.07,
        covariance_km2=(0.2, 0.05, 0.0, 0.1, 0.0, 0.5),
        ellipse_km=(0.7, 0.4),
        ellipse_azimuth_deg=60.0,
        depth_interval_km=(max(depth_km - 1.2, 0.0), depth_km + 1.0),
        rms_s=0.06,
        azimuthal_gap_deg=95.0,
        nearest_station_km=4.2,
        n_stations=len({a.pick.seed_id.station_id for a in arrivals}),
        n_phases=len(arrivals),
        quality="B",
        method="student-t",
        velocity_model="iasp91",
        arrivals=arrivals,
    )
    sized = None
    if magnitude is not None:
        stations = tuple(
            StationMagnitude(a.pick.seed_id, "ML", magnitude + 0.1, 0.02, a.distance_km)
            for a in arrivals
            if a.pick.phase == "S"
        )
        sized = Magnitude(magnitude, "ML", 0.11, len(stations), stations)
    return Event(preferred_origin=origin, preferred_magnitude=sized, probability=0.97)


def bare_event(
    seconds: float, latitude: float, longitude: float, depth_km: float, magnitude: float | None
) -> Event:
    """Return an event without arrivals, some seconds after the start of `SPAN`."""
    time = SPAN.start + timedelta(seconds=seconds)
    return make_event(time, latitude, longitude, depth_km, magnitude)


def _pick(seed_id: object, phase: str, time: datetime) -> Pick:
    return Pick(
        time=time, seed_id=seed_id, phase=phase, probability=0.9, uncertainty_s=0.05, snr=12.0,
        picker="truth",
    )  # fmt: skip
