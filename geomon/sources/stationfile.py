"""The file that describes a network's stations: StationXML, or a plain table.

A CSV table needs the columns ``network, station, latitude, longitude, elevation`` (degrees north
and east, metres above sea level; also ``elevation_m``) and may have ``location, channel, depth``
(metres of burial).
Without ``channel`` a row describes a station whose channels are those its recordings turn out to
have.
"""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from geomon.errors import DataError, StationMetadataError
from geomon.ids import SeedId, StationId
from geomon.sources.stationxml import read_stations
from geomon.stations import FOREVER_NS, Channel, Station, Stations
from geomon.times import TimeSpan, parse_time

_ALWAYS = TimeSpan(parse_time("1900-01-01"), FOREVER_NS)
_NEEDED = ("network", "station", "latitude", "longitude", "elevation")
_OPTIONAL = ("location", "channel", "depth")
_MAX_CSV_BYTES = 64_000_000
# Where positive counts point on the three letters that say so (FDSN source identifiers, 2024).
_ORIENTATION = {"Z": (0.0, -90.0), "N": (0.0, 0.0), "E": (90.0, 0.0)}


@dataclass(frozen=True, slots=True)
class StationFile:
    """What a station file says.

    Attributes
    ----------
    stations : Stations
        The channels it names.
    sites : tuple of Station
        The stations whose channels it does not name.
    """

    stations: Stations
    sites: tuple[Station, ...] = ()

    def with_channels(self, seed_ids: Iterable[SeedId]) -> Stations:
        """Return all stations, giving each site the channels among `seed_ids` that are its own.

        Sites without any are named in `problems`.
        """
        of_station: dict[StationId, list[SeedId]] = {}
        for seed_id in sorted(set(seed_ids)):
            of_station.setdefault(seed_id.station_id, []).append(seed_id)
        channels = list(self.stations.channels)
        problems = list(self.stations.problems)
        for site in self.sites:
            found = of_station.get(site.station_id, [])
            if not found:
                problems.append(f"{site.station_id}: no recordings found, so no channels are known")
            channels += [
                _channel(seed_id, site.latitude, site.longitude, site.elevation_m, 0.0)
                for seed_id in found
            ]
        return Stations.of(channels, problems, self.stations.credits)


def read_station_file(path: Path) -> StationFile:
    """Read a StationXML or CSV file, told apart by content.

    Raises
    ------
    StationMetadataError
        If the file cannot be read, or a CSV lacks a column or holds an impossible value.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise StationMetadataError(msg) from error
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return StationFile(read_stations(path))
    return _read_csv(path)


def _read_csv(path: Path) -> StationFile:
    if path.stat().st_size > _MAX_CSV_BYTES:
        msg = f"{path}: larger than {_MAX_CSV_BYTES // 1_000_000} MB"
        raise StationMetadataError(msg)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: neither StationXML nor a UTF-8 table"
        raise StationMetadataError(msg) from error
    if not text.strip():
        msg = f"{path}: is empty; it should be StationXML or a table of stations"
        raise StationMetadataError(msg)
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    # The units may be said: elevation_m, depth_m.
    columns = [(name or "").strip().lower().removesuffix("_m") for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if lacking := [name for name in _NEEDED if name not in columns]:
        msg = f"{path}: column {lacking[0]!r} is missing; columns are {', '.join(columns)[:200]}"
        raise StationMetadataError(msg)
    channels: list[Channel] = []
    sites: dict[StationId, Station] = {}
    for row in reader:
        where = f"{path}:{reader.line_num}"
        try:
            _read_row({k: (v or "").strip() for k, v in row.items() if k}, channels, sites)
        except DataError as error:
            msg = f"{where}: {error}"
            raise StationMetadataError(msg) from error
    return StationFile(Stations.of(channels), tuple(sorted(sites.values())))


def _read_row(
    row: dict[str, str], channels: list[Channel], sites: dict[StationId, Station]
) -> None:
    station_id = StationId(row["network"], row["station"])
    latitude = _number(row, "latitude", 90)
    longitude = _number(row, "longitude", 180)
    elevation_m = _number(row, "elevation", 20_000)
    depth_m = _number(row, "depth", 20_000) if row.get("depth") else 0.0
    location = row.get("location", "").replace("--", "")
    codes = row.get("channel", "").split()
    channels += [
        _channel(
            SeedId(station_id.network, station_id.station, location, code),
            latitude,
            longitude,
            elevation_m,
            depth_m,
        )
        for code in codes
    ]
    if not codes:
        site = Station(station_id, latitude, longitude, elevation_m - depth_m)
        if sites.setdefault(station_id, site) != site:
            msg = f"{station_id}: given twice with different coordinates"
            raise StationMetadataError(msg)


def _number(row: dict[str, str], name: str, largest: float) -> float:
    try:
        value = float(row[name])
    except ValueError as error:
        msg = f"{name} {row[name]!r} is not a number"
        raise StationMetadataError(msg) from error
    if not math.isfinite(value) or abs(value) > largest:
        msg = f"{name} {row[name]} is outside ±{largest:g}"
        raise StationMetadataError(msg)
    return value


def _channel(
    seed_id: SeedId, latitude: float, longitude: float, elevation_m: float, depth_m: float
) -> Channel:
    azimuth, dip = _ORIENTATION.get(seed_id.component, (None, None))
    return Channel(
        seed_id, _ALWAYS, latitude, longitude, elevation_m, depth_m, azimuth, dip,
        response_problem="the station table holds no response",
    )  # fmt: skip
