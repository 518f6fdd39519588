"""Calibrate the magnitudes of a network's catalogue against another catalogue."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from geomon.config import Config
from geomon.errors import DataError
from geomon.events import Event, StationMagnitude
from geomon.locating.calibration import Amplitude, Calibration, NotCalibrated, calibrate
from geomon.services.score import KnownEvent, compare
from geomon.services.workspace import workspace
from geomon.stores.quakeml_reading import read_quakeml
from geomon.times import TimeSpan, from_ns, parse_time, to_ns

_COLUMNS = ("time", "latitude", "longitude", "magnitude")
_WITHIN_S = 5.0
_WITHIN_KM = 30.0


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration, or why there is none, and how many events it could rest on."""

    calibration: Calibration | NotCalibrated
    n_reference: int
    n_matched: int


def calibrate_magnitudes(config: Config, span: TimeSpan, reference: Path) -> Calibrated:
    """Find attenuation and station corrections that give a reference's magnitudes.

    Events of the catalogue are paired with the reference's, within 5 s and 30 km.

    Raises
    ------
    DataError
        If the reference cannot be read.
    """
    known = [
        one
        for one in read_reference(reference)
        if one.magnitude is not None and span.contains(to_ns(one.time))
    ]
    events = list(workspace(config).catalog.events(span.start_ns, span.end_ns))
    pairs = compare(known, events, within_s=_WITHIN_S, within_km=_WITHIN_KM).pairs
    amplitudes = [
        Amplitude(
            event=i,
            magnitude=known[i].magnitude or 0.0,
            station=one.seed_id.station_id,
            amplitude_mm=one.amplitude_mm,
            distance_km=one.distance_km,
        )
        for i, j in pairs
        for one in _station_magnitudes(events[j])
        if one.seed_id.component != "Z"
    ]
    return Calibrated(calibrate(amplitudes, config.magnitude), len(known), len(pairs))


def _station_magnitudes(event: Event) -> tuple[StationMagnitude, ...]:
    magnitude = event.preferred_magnitude
    return () if magnitude is None else magnitude.station_magnitudes


def read_reference(path: Path) -> list[KnownEvent]:
    """Read reference events from QuakeML, or from CSV of time, latitude, longitude, magnitude.

    Raises
    ------
    DataError
        If the file is neither; the message names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"{path}: reference cannot be read: {error.strerror}; check the path"
        raise DataError(msg) from error
    if content.lstrip()[:1] == b"<":
        read, _ = read_quakeml(content, name=str(path))
        return [
            KnownEvent(
                origin.time, origin.latitude, origin.longitude, origin.depth_km,
                None if one.event.preferred_magnitude is None
                else one.event.preferred_magnitude.value,
            )
            for one in read
            for origin in [one.event.preferred_origin]
        ]  # fmt: skip
    rows = csv.DictReader(content.decode("utf-8", errors="replace").splitlines())
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        msg = f"{path}: neither QuakeML nor a table: no column {', '.join(missing)}"
        raise DataError(msg)
    events = []
    for line, row in enumerate(rows, start=2):
        try:
            magnitude = float(row["magnitude"] or math.nan)
            event = KnownEvent(
                from_ns(parse_time(row["time"])), float(row["latitude"]), float(row["longitude"]),
                float(row.get("depth_km") or math.nan),
                magnitude if math.isfinite(magnitude) else None,
            )  # fmt: skip
        except ValueError as error:
            msg = f"{path}:{line}: {error}; expected time, latitude, longitude and magnitude"
            raise DataError(msg) from error
        events.append(event)
    return events
