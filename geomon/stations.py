"""Stations, channels, epochs and instrument responses, as plain values."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from geomon.errors import StationMetadataError
from geomon.ids import SeedId, StationId, StreamId
from geomon.times import TimeSpan, format_ns

FOREVER_NS = 253_402_300_799_000_000_000  # 9999-12-31T23:59:59 UTC, an epoch without an end


@dataclass(frozen=True, slots=True)
class Response:
    """Instrument response: counts per unit of ground motion, as poles and zeros.

    Attributes
    ----------
    sensitivity : float
        Counts per input unit at `frequency_hz`; never zero.
    frequency_hz : float
        Where the sensitivity holds.
    input_unit : {"m", "m/s", "m/s**2"}
        Ground displacement, velocity or acceleration.
    zeros, poles : tuple of complex
        Roots in rad/s (Laplace), of all analogue stages together.
    """

    sensitivity: float
    frequency_hz: float
    input_unit: Literal["m", "m/s", "m/s**2"]
    zeros: tuple[complex, ...]
    poles: tuple[complex, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel during one epoch.

    `azimuth_deg` and `dip_deg` (degrees, dip positive down) say where positive counts point;
    None when unknown. `response` is None when the metadata hold none or it is unusable;
    `response_problem` then says why. `restricted` data must not be served openly.
    """

    seed_id: SeedId
    epoch: TimeSpan
    latitude: float
    longitude: float
    elevation_m: float
    depth_m: float = 0.0
    azimuth_deg: float | None = None
    dip_deg: float | None = None
    sampling_rate_hz: float | None = None
    response: Response | None = None
    response_problem: str = ""
    restricted: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Station:
    """Where a station stands; `elevation_m` is the sensor's: ground minus burial depth."""

    station_id: StationId
    latitude: float
    longitude: float
    elevation_m: float


@dataclass(frozen=True, slots=True, order=True)
class Credit:
    """Whose data a network's are: what everyone who uses them has to say.

    Attributes
    ----------
    network : str
        Network code.
    name : str
        What the network calls itself.
    doi : str
        Its digital object identifier, ``10.…/…``.
    citation : str
        How it wants to be cited.
    licence : str
        Under what terms its data may be used: an SPDX name such as ``CC-BY-4.0``, or a URL.
    """

    network: str
    name: str = ""
    doi: str = ""
    citation: str = ""
    licence: str = ""

    def text(self) -> str:
        """Return everything in one line."""
        link = f"https://doi.org/{self.doi}" if self.doi else ""
        parts = [self.citation or self.name, link, self.licence and f"licence {self.licence}"]
        return f"{self.network}: {'; '.join(part for part in parts if part)}"


@dataclass(frozen=True)
class Stations:
    """The channels of a network, all epochs, in (SEED id, epoch) order.

    `problems` names what had to be left out when the metadata were read, one line each; `credits`
    says whose data they are, for the networks that say so.
    """

    channels: tuple[Channel, ...]
    problems: tuple[str, ...] = ()
    credits: tuple[Credit, ...] = ()

    @classmethod
    def of(
        cls,
        channels: Iterable[Channel],
        problems: Iterable[str] = (),
        credits: Iterable[Credit] = (),
    ) -> "Stations":
        """Sort channels, drop exact duplicates, and refuse contradictory epochs.

        Two epochs of one channel that overlap with different positions or sensitivities make the
        channel unusable: it is left out and named in `problems`; the others go on.
        """
        ordered = sorted(set(channels), key=lambda c: (c.seed_id, c.epoch))
        contradictory: dict[SeedId, str] = {}
        for one, two in pairwise(ordered):
            if one.seed_id == two.seed_id and one.epoch.overlaps(two.epoch):
                contradictory[one.seed_id] = (
                    f"{one.seed_id}: epochs {one.epoch} and {two.epoch} overlap and differ; "
                    "channel left out until the metadata are mended"
                )
        kept = tuple(c for c in ordered if c.seed_id not in contradictory)
        known = {credit.network: credit for credit in credits}
        return cls(kept, (*problems, *contradictory.values()), tuple(sorted(known.values())))

    @cached_property
    def version(self) -> str:
        """Hash of everything held: it changes when the metadata change."""
        return hashlib.sha256(repr(self.channels).encode()).hexdigest()[:16]

    def station_ids(self) -> list[StationId]:
        """Return every station, in order, once."""
        return sorted({channel.seed_id.station_id for channel in self.channels})

    def seed_ids(self, span: TimeSpan | None = None) -> list[SeedId]:
        """Return every channel with an epoch in `span` (or ever), in order, once."""
        return sorted({c.seed_id for c in self.channels if span is None or c.epoch.overlaps(span)})

    def selected(self, patterns: tuple[str, ...]) -> "Stations":
        """Return only the stations whose ``NET.STA`` matches any pattern; none selects all."""
        if not patterns:
            return self
        return Stations(
            tuple(c for c in self.channels if c.seed_id.station_id.matches(patterns)),
            self.problems,
            self.credits,
        )

    def preferred_streams(
        self, span: TimeSpan, band_instruments: tuple[str, ...]
    ) -> list[StreamId]:
        """Return one sensor a station and location: the first of `band_instruments` it has.

        Two sensors at one site under different location codes are both kept.
        """
        best: dict[tuple[StationId, str], StreamId] = {}
        for stream_id in sorted({seed_id.stream_id for seed_id in self.seed_ids(span)}):
            if stream_id.band_instrument not in band_instruments:
                continue
            key = (stream_id.station_id, stream_id.location)
            current = best.get(key)
            if current is None or band_instruments.index(
                stream_id.band_instrument
            ) < band_instruments.index(current.band_instrument):
                best[key] = stream_id
        return sorted(best.values())

    def channel(self, seed_id: SeedId, at_ns: int) -> Channel | None:
        """Return the epoch of a channel valid at a time; None when there is none."""
        for channel in self.channels:
            if channel.seed_id == seed_id and channel.epoch.contains(at_ns):
                return channel
        return None

    def station(self, station_id: StationId, at_ns: int) -> Station:
        """Return where a station stands at a time, from its first valid channel.

        Raises
        ------
        StationMetadataError
            If no channel of the station is valid then.
        """
        for channel in self.channels:
            if channel.seed_id.station_id == station_id and channel.epoch.contains(at_ns):
                return Station(
                    station_id,
                    channel.latitude,
                    channel.longitude,
                    channel.elevation_m - channel.depth_m,
                )
        msg = f"{station_id}: no coordinates for {format_ns(at_ns)} in the station metadata"
        raise StationMetadataError(msg)

    def at(self, at_ns: int) -> dict[StationId, Station]:
        """Return every station valid at a time."""
        found: dict[StationId, Station] = {}
        for channel in self.channels:
            station_id = channel.seed_id.station_id
            if station_id not in found and channel.epoch.contains(at_ns):
                found[station_id] = self.station(station_id, at_ns)
        return found
