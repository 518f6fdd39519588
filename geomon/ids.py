"""Names of stations and streams: SEED ids, sensors.

Codes are checked here, once, against an allow-list: whatever passes is safe as part of a path,
a URL or a query.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Self

from geomon.errors import DataError

_CODE = re.compile(r"[A-Z0-9][A-Z0-9-]{0,7}")  # FDSN source identifiers 1.0, section "codes"
_LOCATION = re.compile(r"[A-Z0-9-]{0,8}")
_CHANNEL = re.compile(r"[A-Z0-9]{3}")


def _checked(pattern: re.Pattern[str], value: str, what: str, whole: str) -> None:
    if not pattern.fullmatch(value):
        msg = f"{whole!r}: {what} code {value!r} is not allowed (letters A-Z, digits, dash)"
        raise DataError(msg)


@dataclass(frozen=True, slots=True, order=True)
class StationId:
    """One station of one network, written ``NET.STA``."""

    network: str
    station: str

    def __post_init__(self) -> None:
        _checked(_CODE, self.network, "network", str(self))
        _checked(_CODE, self.station, "station", str(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NET.STA``.

        Raises
        ------
        DataError
            If `text` is not two allowed codes joined by one dot.
        """
        parts = text.split(".")
        if len(parts) != 2:
            msg = f"{text!r} is not a station id; write NET.STA"
            raise DataError(msg)
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.network}.{self.station}"

    def matches(self, patterns: tuple[str, ...]) -> bool:
        """Tell whether any ``NET.STA`` pattern (``*`` and ``?`` allowed) names this station."""
        return any(fnmatchcase(str(self), pattern) for pattern in patterns)


@lru_cache(maxsize=16_384)
def _station_of(network: str, station: str) -> StationId:
    """Return one station's id: asked for with every pick, so checked once and kept."""
    return StationId(network, station)


@dataclass(frozen=True, slots=True, order=True)
class StreamId:
    """The components of one sensor: network, station, location, band and instrument code.

    Written like a SEED id without its last letter: ``CX.PB01..HH``. This is what the archive
    keeps together and what a picker reads at once.
    """

    network: str
    station: str
    location: str
    band_instrument: str

    def __post_init__(self) -> None:
        _checked(_CODE, self.network, "network", str(self))
        _checked(_CODE, self.station, "station", str(self))
        _checked(_LOCATION, self.location, "location", str(self))
        _checked(_CHANNEL, self.band_instrument + "Z", "band and instrument", str(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NET.STA.LOC.BI``.

        Raises
        ------
        DataError
            If `text` is not four allowed codes joined by dots.
        """
        parts = text.split(".")
        if len(parts) != 4:
            msg = f"{text!r} is not a stream id; write NET.STA.LOC.BI, for example CX.PB01..HH"
            raise DataError(msg)
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.network}.{self.station}.{self.location}.{self.band_instrument}"

    @property
    def station_id(self) -> StationId:
        """The station this sensor stands at."""
        return _station_of(self.network, self.station)

    def seed_id(self, component: str) -> "SeedId":
        """Name one component of the sensor, for example ``"Z"``."""
        return SeedId(
            self.network, self.station, self.location, f"{self.band_instrument}{component}"
        )


@lru_cache(maxsize=16_384)
def _stream_of(network: str, station: str, location: str, band_instrument: str) -> StreamId:
    """Return one sensor's id, checked once and kept."""
    return StreamId(network, station, location, band_instrument)


@dataclass(frozen=True, slots=True, order=True)
class SeedId:
    """The four codes of one channel, written ``NET.STA.LOC.CHA``; `location` is often empty.

    Examples
    --------
    >>> SeedId.parse("CX.PB01..HHZ").component
    'Z'
    """

    network: str
    station: str
    location: str
    channel: str

    def __post_init__(self) -> None:
        _checked(_CODE, self.network, "network", str(self))
        _checked(_CODE, self.station, "station", str(self))
        _checked(_LOCATION, self.location, "location", str(self))
        _checked(_CHANNEL, self.channel, "channel", str(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NET.STA.LOC.CHA``.

        Raises
        ------
        DataError
            If `text` is not four allowed codes joined by dots.
        """
        parts = text.split(".")
        if len(parts) != 4:
            msg = f"{text!r} is not a SEED id; write NET.STA.LOC.CHA, for example CX.PB01..HHZ"
            raise DataError(msg)
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.network}.{self.station}.{self.location}.{self.channel}"

    @property
    def component(self) -> str:
        """Last letter of the channel code, for example ``Z``."""
        return self.channel[2]

    @property
    def stream_id(self) -> StreamId:
        """The sensor this channel belongs to."""
        return _stream_of(self.network, self.station, self.location, self.channel[:2])

    @property
    def station_id(self) -> StationId:
        """The station this channel stands at."""
        return _station_of(self.network, self.station)
