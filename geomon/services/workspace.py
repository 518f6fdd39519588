"""Everything one config opens: archive, catalogue, ledger, source and stations."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from geomon.config import Config, find_config, load_config
from geomon.errors import NotMade, SourceError, StationMetadataError
from geomon.ids import SeedId
from geomon.stations import Channel, Credit, Stations
from geomon.stores.archive import Archive
from geomon.stores.catalog import Catalog
from geomon.stores.ledger import Ledger
from geomon.times import TimeSpan

if TYPE_CHECKING:
    from geomon.sources.base import WaveformSource

_OPENING = threading.Lock()
_SNAPSHOT = "stations.xml"
_CHANGES = ".stations-changed.json"
"""Hidden: it holds times of writing, and an archive's other objects only what they are given."""


@dataclass(frozen=True)
class Workspace:
    """The stores of one network, opened on first use."""

    config: Config
    _told: Stations | None = field(default=None, init=False, compare=False)

    @cached_property
    def archive(self) -> Archive:
        """Waveforms."""
        return Archive.open(self.config.archive.url)

    @cached_property
    def catalog(self) -> Catalog:
        """Events and picks."""
        with _OPENING:  # threads that ask at once share one
            opened: Catalog | None = self.__dict__.get("catalog")
            return opened or Catalog.open(
                self.config.catalog.url, agency=self.config.network.agency
            )

    @cached_property
    def coverage(self) -> Ledger:
        """What was fetched, picked and located, and what came of it."""
        return self.catalog.ledger

    @cached_property
    def source(self) -> "WaveformSource":
        """Where waveforms come from."""
        from geomon.sources.opening import open_source

        return open_source(self.config)

    def made(self, *stores: Literal["archive", "catalog"]) -> Self:
        """Return the workspace if the stores named are there to be read; nothing is made.

        Raises
        ------
        ConfigError
            If the catalogue's URL cannot be used.
        NotMade
            If nothing was ever written to one of them; the message says what to do.
        StoreError
            If one of them cannot be opened.
        """
        held, config = self.__dict__, self.config
        try:
            if "archive" in stores and "archive" not in held:
                held["archive"] = Archive.open(config.archive.url, create=False)
            if "catalog" in stores and "catalog" not in held:
                url, agency = config.catalog.url, config.network.agency
                held["catalog"] = Catalog.open(url, agency=agency, create=False)
        except NotMade as error:
            msg = f"{error}, so no data: `geomon run` makes it, or the config names another place"
            raise NotMade(msg) from error
        return self

    def stations(self) -> Stations:
        """Return the stations as the source last told them.

        Raises
        ------
        StationMetadataError
            If nothing was ever ingested.
        """
        content = self.archive.document(_SNAPSHOT)
        if content is None:
            msg = f"{self.config.network.name}: no station metadata yet; run `geomon ingest` first"
            raise StationMetadataError(msg)
        return _parsed(content, self.config.network.select)

    def public_stations(self) -> Stations:
        """Return the stations as they are shown to others: restricted and credited as configured.

        None when nothing was ever ingested.
        """
        try:
            told = self.stations()
        except StationMetadataError:
            told = Stations(())
        return _published(told, self.config)

    def stations_changed(self) -> Mapping[tuple[SeedId, int], int]:
        """Return when the metadata of channel epochs last changed, as far as that is known.

        Returns
        -------
        dict of (SeedId, start of the epoch) to nanoseconds since 1970
            Without the epochs that nobody took note of.
        """
        known = _changes(self.archive.document(_CHANGES))
        return {
            (channel.seed_id, channel.epoch.start_ns): known[name]
            for channel in self.stations().channels
            if (name := _named(channel)) in known
        }

    def refreshed_stations(self, span: TimeSpan) -> Stations:
        """Ask the source for its stations and keep a copy beside the waveforms.

        When the source cannot be reached, the copy of last time serves. Channels that were told
        before and are not told now are kept: what is archived of them still needs metadata.

        Raises
        ------
        SourceError
            If the source cannot be reached and there is no copy.
        """
        from geomon.sources.stationxml import write_stationxml

        source = self.source  # a config that describes none is told before a folder is made
        known = self.archive.document(_SNAPSHOT)
        try:
            told = source.stations(span)
        except SourceError as error:
            if known is None:
                raise
            stale = f"{self.config.network.name}: using station metadata of last time: {error}"
            return replace(self.stations(), problems=(stale,))
        if told is self._told:  # sources answer from memory most of the time
            return replace(self.stations(), problems=told.problems)
        channels, credits = told.channels, told.credits
        if known is not None:
            before = _parsed(known, ())
            now = {channel.seed_id for channel in channels}
            channels += tuple(c for c in before.channels if c.seed_id not in now)
            credits = (*before.credits, *credits)
        content = write_stationxml(Stations.of(channels, credits=credits))
        self.archive.keep_document(_SNAPSHOT, content)
        self._note_changes(_parsed(content, ()))
        self.__dict__["_told"] = told
        return replace(self.stations(), problems=told.problems)

    def _note_changes(self, stations: Stations) -> None:
        """Keep the time at which each channel epoch was first told as it is told now."""
        known, now_ns = _changes(self.archive.document(_CHANGES)), time.time_ns()
        changes = {name: known.get(name, now_ns) for name in map(_named, stations.channels)}
        self.archive.keep_document(_CHANGES, json.dumps(changes, sort_keys=True).encode())


def _named(channel: Channel) -> str:
    """Return a name that changes with anything said of a channel epoch."""
    return f"{channel.seed_id} {sha256(repr(channel).encode()).hexdigest()[:16]}"


def _changes(content: bytes | None) -> dict[str, int]:
    return {} if content is None else {str(k): int(v) for k, v in json.loads(content).items()}


@lru_cache(maxsize=8)
def _parsed(content: bytes, select: tuple[str, ...]) -> Stations:
    from geomon.sources.stationxml import read_stations

    return read_stations(content).selected(select)


@lru_cache(maxsize=8)
def _published(stations: Stations, config: Config) -> Stations:
    closed = config.server.restricted
    channels = stations.channels
    if closed:
        channels = tuple(
            replace(c, restricted=c.restricted or c.seed_id.station_id.matches(closed))
            for c in channels
        )
    codes = {channel.seed_id.network for channel in channels}
    credits = {credit.network: credit for credit in stations.credits if credit.network in codes}
    for own in config.network.credits:
        known = credits.get(own.network, Credit(own.network))
        credits[own.network] = replace(known, **own.model_dump(exclude_defaults=True))
    return Stations(channels, stations.problems, tuple(sorted(credits.values())))


@lru_cache(maxsize=16)
def workspace(config: Config) -> Workspace:
    """Return the one workspace of a config in this process."""
    return Workspace(config)


def open_config(config: Config | str | Path) -> Workspace:
    """Open a network by config object, path, or name of a shipped config.

    Raises
    ------
    ConfigError
        If the config cannot be found or used.
    """
    if isinstance(config, Config):
        return workspace(config)
    return workspace(load_config(find_config(str(config))))
