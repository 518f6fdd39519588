"""Station metadata from FDSN station services: every epoch, with responses, kept for six hours."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from geomon.config import FdsnSource as Settings
from geomon.config import Network
from geomon.errors import RequestRejected, SourceUnavailable, StationMetadataError
from geomon.sources.answers import Answer
from geomon.sources.base import Outcome, chosen
from geomon.sources.datacentre import DataCentre
from geomon.sources.stationxml import read_stations
from geomon.stations import Stations

logger = logging.getLogger(__name__)

_STATION = "/fdsnws/station/1/query"
_REFRESH_S = 6 * 3600.0
_RETRY_S = 300.0
_SMALLEST_BOX_DEG = 0.1


@dataclass(frozen=True, slots=True)
class _Box:
    """An area in degrees that does not cross the dateline."""

    west: float
    south: float
    east: float
    north: float

    def halves(self) -> "tuple[_Box, _Box] | None":
        width, height = self.east - self.west, self.north - self.south
        if max(width, height) < _SMALLEST_BOX_DEG:
            return None
        if width >= height:
            middle = (self.west + self.east) / 2
            return replace(self, east=middle), replace(self, west=middle)
        middle = (self.south + self.north) / 2
        return replace(self, north=middle), replace(self, south=middle)


@dataclass(frozen=True, slots=True)
class _Selection:
    """One station query: lines of codes, in one area or anywhere."""

    lines: tuple[str, ...]
    box: _Box | None = None

    def __str__(self) -> str:
        options = ["level=response", "format=xml"]
        if self.box is not None:
            options += [
                f"minlatitude={self.box.south}", f"maxlatitude={self.box.north}",
                f"minlongitude={self.box.west}", f"maxlongitude={self.box.east}",
            ]  # fmt: skip
        return "\n".join([*options, *self.lines]) + "\n"

    def halves(self) -> "tuple[_Selection, ...] | None":
        """Halve the lines, then the area; None when it is as small as it gets."""
        if len(self.lines) > 1:
            middle = len(self.lines) // 2
            return (
                replace(self, lines=self.lines[:middle]),
                replace(self, lines=self.lines[middle:]),
            )
        boxes = self.box.halves() if self.box is not None else None
        return None if boxes is None else tuple(replace(self, box=box) for box in boxes)


class StationService:
    """What several data centres know of a network's stations, joined.

    Each centre may know some of the stations. One that does not answer is represented by what it
    said last, and asked again before long. Safe to share between threads.

    Parameters
    ----------
    centres : sequence of DataCentre
        Whom to ask.
    settings : config.FdsnSource
        How often to try.
    network : config.Network
        Which stations and channels.
    """

    def __init__(self, centres: Sequence[DataCentre], settings: Settings, network: Network) -> None:
        self._centres = centres
        self._settings = settings
        self._network = network
        self._lock = threading.Lock()
        self._stations: Stations | None = None
        self._due = 0.0
        self._known: dict[str, Stations] = {}

    def stations(self) -> Stations:
        """Return all stations selected; asks when the last answer is older than six hours.

        Raises
        ------
        SourceUnavailable
            If no data centre answers and nothing is known from before.
        RequestRejected
            If the data centres refuse the request.
        """
        with self._lock:
            if self._stations is None or time.monotonic() >= self._due:
                self._stations = self._ask_all()
            return self._stations

    def _ask_all(self) -> Stations:
        problems: list[str] = []
        outcomes: set[Outcome] = set()
        for centre in self._centres:
            parts: list[Stations] = []
            for selection in _selections(self._network):
                answer = self._ask(centre, selection, parts)
                if answer.outcome not in ("data", "nodata"):
                    outcomes.add(answer.outcome)
                    problems.append(f"station service: {answer.detail}")
                    break
            else:
                self._known[centre.base_url] = _joined(parts)
        self._due = time.monotonic() + (_RETRY_S if problems else _REFRESH_S)
        if not self._known:
            if outcomes <= {"auth", "rejected", "too_large"}:
                raise RequestRejected("; ".join(problems))
            raise SourceUnavailable("; ".join(problems))
        found = chosen(_joined(list(self._known.values())), self._network)
        if not found.channels and not self._network.select:
            problems.append("station service: no station matches network.region and channels")
        return Stations(found.channels, (*found.problems, *problems), found.credits)

    def _ask(self, centre: DataCentre, selection: _Selection, parts: list[Stations]) -> Answer:
        """Put what a centre answers into `parts`; return the answer, the first failure if any."""
        answer = Answer("network")
        for attempt in range(self._settings.max_attempts):
            if attempt:
                centre.wait(attempt)
            answer = centre.post(
                _STATION, str(selection), _looks_like_xml, accept_encoding="gzip, identity"
            )
            if answer.outcome == "nodata":
                parts.append(Stations((), (answer.detail,) if answer.detail else ()))
                return answer
            if answer.outcome == "data":
                try:
                    # What a centre shows to those it knows is open only where it says so.
                    is_open = self._settings.auth == "none"
                    parts.append(read_stations(bytes(answer.body), is_open=is_open))
                except StationMetadataError as error:
                    answer = Answer("not_data", detail=f"{centre.host}: {error}", retry=True)
                else:
                    return answer
            if not answer.retry:
                break
        halves = selection.halves() if answer.outcome == "too_large" else None
        for half in halves or ():
            answer = self._ask(centre, half, parts)
            if answer.outcome not in ("data", "nodata"):
                break
        return answer


def _joined(parts: Sequence[Stations]) -> Stations:
    channels = [channel for part in parts for channel in part.channels]
    problems = dict.fromkeys(line for part in parts for line in part.problems)
    return Stations.of(channels, problems, [credit for part in parts for credit in part.credits])


def _selections(network: Network) -> list[_Selection]:
    """Write the station queries: one, or two for a region across the dateline."""
    patterns = [pattern.split(".") for pattern in network.select or ("*.*",)]
    lines = tuple(
        f"{code} {station} * {channel}? 1950-01-01T00:00:00 2500-01-01T00:00:00"
        for code, station in patterns
        for channel in network.channels
    )
    region = network.region
    if region is None or network.select:
        return [_Selection(lines)]
    crosses = region.west > region.east
    sides = [(region.west, 180.0), (-180.0, region.east)]
    return [
        _Selection(lines, _Box(west, region.south, east, region.north))
        for west, east in (sides if crosses else [(region.west, region.east)])
    ]


def _looks_like_xml(prefix: bytes) -> bool:
    return b"FDSNStationXML" in prefix
