"""Turn picks into located, sized events, tile by tile, wherever something changed."""

import hashlib
import logging
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from geomon.caches import cache_folder
from geomon.config import Config
from geomon.errors import GeomonError, StationMetadataError
from geomon.events import Event, Pick
from geomon.ids import SeedId
from geomon.locating.solve import Solver
from geomon.locating.standing import Standing, keep_decisions
from geomon.locating.tiles import RawTile
from geomon.services.magnitude import measure
from geomon.services.pick import (
    PIECE_NS,
    affected_pieces,
    known_pieces,
    picker_label,
    picker_version,
)
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import workspace
from geomon.stations import Station, Stations
from geomon.stores.ledger import Entry
from geomon.stores.tidying import Tidying
from geomon.times import TimeSpan, day_span, from_ns, to_ns
from geomon.velocity.corrections import CorrectionHistory, StationDelay

logger = logging.getLogger(__name__)

_LOOKS = 3
"""How often at most tiles are solved again because picks changed meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocateReport(Report):
    """How many tiles were looked at and solved anew, and what changed in the catalogue."""

    n_tiles: int = 0
    n_solved: int = 0
    n_events: int = 0
    n_created: int = 0
    n_updated: int = 0
    n_withdrawn: int = 0
    event_ids: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    n_solved: int = 0
    n_events: int = 0
    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    n_withdrawn: int = 0
    problems: list[str] = field(default_factory=list)
    failed: set[TimeSpan] = field(default_factory=set)


def locate(config: Config, span: TimeSpan, *, progress: Progress = no_progress) -> LocateReport:
    """Bring every tile up to date whose events samples in a span can change.

    A tile is solved when the picks or samples its events depend on, or anything in the
    configuration that matters, are not those it was last solved from. So any order and any cut
    of the work ends in the same events, and running twice changes nothing.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    started = time.monotonic()
    tally = _Tally()
    work = _Locating(config, span)
    tiles = work.tiles
    progress("locate", 0, len(tiles))
    for done, tile in enumerate(tiles, start=1):
        work.try_tile(tile, tally)
        progress("locate", done, len(tiles))
    if tally.n_solved:
        _look_again(config, span, tally)
    return LocateReport(
        n_failed=len(tally.failed),
        problems=distinct([*work.problems, *tally.problems, *work.told_no_magnitude()]),
        took_s=time.monotonic() - started,
        n_tiles=len(tiles),
        n_solved=tally.n_solved,
        n_events=tally.n_events,
        n_created=len(tally.created),
        n_updated=len(tally.updated),
        n_withdrawn=tally.n_withdrawn,
        event_ids=tuple(tally.created),
    )


def _look_again(config: Config, span: TimeSpan, tally: _Tally) -> None:
    """Solve again what others changed meanwhile: the last one to write has seen everything."""
    for _ in range(_LOOKS):
        work, before = _Locating(config, span), tally.n_solved
        for tile in work.tiles:
            if tile not in tally.failed:
                work.try_tile(tile, tally)
        if tally.n_solved == before:
            return


def locate_version(config: Config, inventory_version: str) -> str:
    """Return the hash of everything an event depends on besides picks and samples."""
    return (
        f"{config.version('network', 'association', 'velocity', 'magnitude')}-{inventory_version}"
    )


def _table_folder(config: Config) -> Path:
    """Return where travel times are kept: in the archive's folder, or the user's for S3."""
    if "://" not in config.archive.url:
        return Path(config.archive.url) / ".travel_times"
    return cache_folder("travel_times")


def solver_of(config: Config, stations: tuple[Station, ...], time_ns: int) -> Solver:
    """Return what locates events of some time at these stations; kept for the next.

    The time tells which of the station corrections are valid.
    """
    return _solver(config, stations, _corrections(config).at(time_ns))


def solver_at(config: Config, time_ns: int) -> Solver:
    """Return what locates events of some time, at the stations known then.

    Raises
    ------
    StationMetadataError
        If no station is known at that time.
    """
    stations = tuple(sorted(workspace(config).stations().at(time_ns).values()))
    if not stations:
        msg = f"{config.network.name}: no station is known at {from_ns(time_ns)}: nothing to locate"
        raise StationMetadataError(msg)
    return solver_of(config, stations, time_ns)


@lru_cache(maxsize=4)
def _corrections(config: Config) -> CorrectionHistory:
    return config.velocity.corrections()


@lru_cache(maxsize=4)
def _solver(
    config: Config, stations: tuple[Station, ...], corrections: tuple[StationDelay, ...]
) -> Solver:
    return Solver.of(
        {station.station_id: station for station in stations},
        config.velocity.model(),
        grid=config.velocity.three_dimensional(),
        region=config.network.region,
        settings=config.association,
        corrections=corrections,
        cache=_table_folder(config),
    )


class _Locating:
    """One run over a span: the picks it needs, and raw tiles solved once."""

    def __init__(self, config: Config, span: TimeSpan) -> None:
        self.config = config
        self.space = workspace(config)
        self.inventory: Stations = self.space.stations()
        self.stations = tuple(sorted(self.inventory.at(span.start_ns).values()))
        self.problems: list[str] = []
        self.tiles: list[TimeSpan] = []
        self.no_magnitude: dict[SeedId, str] = {}
        if not self.stations:
            self.problems.append(
                f"{config.network.name}: no station is known at {span.start}: nothing to locate"
            )
            return
        # Tiles are laid out by travel times alone: the same whatever the station corrections.
        self.grid = solver_of(config, self.stations, span.start_ns).grid
        self.tiles = self.grid.affected(affected_pieces(span))
        reach = TimeSpan(
            self.grid.dependency_span(self.tiles[0]).start_ns,
            self.grid.dependency_span(self.tiles[-1]).end_ns,
        )
        self._streams = tuple(self.space.archive.streams())
        self._picks = sorted(self.space.catalog.picks(reach))
        self._pick_times = [to_ns(pick.time) for pick in self._picks]
        self._prints = self._data_prints(reach)
        self._standing = Tidying(self.space.catalog.database).standing(reach)
        self._raw: dict[TimeSpan, RawTile] = {}
        self._version = locate_version(config, self.inventory.version)
        self._run = self.space.catalog.begin_run(
            "locate", config_hash=self._version, picker=picker_label(config)
        )

    def try_tile(self, tile: TimeSpan, tally: _Tally) -> None:
        """Bring one tile up to date; a failure is tallied, and kept in the ledger."""
        try:
            self.bring_up_to_date(tile, tally)
        except GeomonError as error:
            tally.failed.add(tile)
            tally.problems.append(f"tile {tile}: {error}")
            self.space.coverage.record(
                "locate", "network", tile, version=self._version, state="failed",
                error=str(error), run=self._run,
            )  # fmt: skip

    def bring_up_to_date(self, tile: TimeSpan, tally: _Tally) -> None:
        """Solve one tile if what it depends on changed, and put its events into the catalogue."""
        started = time.monotonic()
        solver = self._solver(tile)
        dependency = self.grid.dependency_span(tile)
        picks = self._picks_in(dependency)
        standing = [one for one in self._standing if dependency.contains(one.owner_ns)]
        input_hash = self._input_hash(dependency, picks, standing)
        ledger = self.space.coverage
        if ledger.is_current(
            "locate", "network", tile, version=self._version, input_hash=input_hash
        ):
            return
        before, after = self.grid.neighbours(tile)
        this = self._raw_tile(tile)
        around = self._picks_in(self.grid.input_span(tile))
        solved = solver.settle(self._raw_tile(before), this, self._raw_tile(after), around)
        found = zip(solved.origins, solved.probabilities, strict=True)
        events = []
        for origin, likely in keep_decisions(list(found), standing, around, tile, solver):
            measured = measure(self.config, solver, origin, self._streams, around)
            events.append(
                Event(
                    origin,
                    measured.magnitude,
                    probability=round(likely, 4),
                    other_magnitudes=measured.others,
                    mechanism=measured.mechanism,
                )
            )
            self.no_magnitude.update(
                (one.seed_id, one.reason)
                for one in measured.refused
                if "response" in one.reason or "metadata" in one.reason
            )
        has_data = bool(picks) or self._has_data(tile)
        solved_from = Entry(
            "locate", "network", tile, "done" if has_data else "nodata", self._version, input_hash,
            n_items=len(events), seconds=round(time.monotonic() - started, 3),
        )  # fmt: skip
        change = self.space.catalog.replace_events(
            tile, events, self._run,
            also=ledger.revising("locate", "network", tile, lambda _: solved_from),
        )  # fmt: skip
        tally.n_solved += 1
        tally.n_events += len(events)
        tally.created += change.created
        tally.updated += change.updated
        tally.n_withdrawn += len(change.withdrawn)
        if this.is_saturated:
            tally.problems.append(f"tile {tile}: {this.reason}")
        tally.problems += [f"tile {tile}: {note}" for note in this.notes]
        tally.problems += [
            f"{group.time:%Y-%m-%d %H:%M:%S}: not located: {rejected.reason}"
            for group, rejected in solved.rejected
        ]
        if events:
            logger.info(
                "located %s picks=%d events=%d took_s=%.1f",
                tile, len(picks), len(events), time.monotonic() - started,
            )  # fmt: skip

    def told_no_magnitude(self) -> list[str]:
        """Say which channels can give no magnitude, and why."""
        return [
            f"{seed_id}: no magnitude: {reason}"
            for seed_id, reason in sorted(self.no_magnitude.items())
        ]

    def _solver(self, tile: TimeSpan) -> Solver:
        """Return what solves a tile: by the station corrections valid when it starts."""
        return solver_of(self.config, self.stations, tile.start_ns)

    def _raw_tile(self, tile: TimeSpan) -> RawTile:
        if tile not in self._raw:
            picks = self._picks_in(self.grid.input_span(tile))
            self._raw[tile] = self._solver(tile).solve_tile(picks, tile)
        return self._raw[tile]

    def _picks_in(self, span: TimeSpan) -> Sequence[Pick]:
        low = bisect_left(self._pick_times, span.start_ns)
        high = bisect_left(self._pick_times, span.end_ns)
        return self._picks[low:high]

    def _data_prints(self, reach: TimeSpan) -> list[tuple[TimeSpan, str]]:
        """Return what every piece of data was when it was picked: amplitudes depend on it."""
        step = PIECE_NS
        version = picker_version(self.config)
        prints = []
        for stream in self._streams:
            for day in reach.aligned(step).days():
                text = self.space.coverage.input_hash("pick", str(stream), day_span(day), version)
                for piece, fingerprint in known_pieces(text).items():
                    span = TimeSpan(piece * step, (piece + 1) * step)
                    prints.append((span, f"{stream}:{piece}:{fingerprint}"))
        return sorted(prints)

    def _has_data(self, tile: TimeSpan) -> bool:
        return any(span.overlaps(tile) for span, _ in self._prints)

    def _input_hash(
        self, span: TimeSpan, picks: Sequence[Pick], standing: Sequence[Standing]
    ) -> str:
        digest = hashlib.sha256()
        for pick in picks:
            digest.update(pick.pick_id.encode())
        for piece, text in self._prints:
            if piece.overlaps(span):
                digest.update(text.encode())
        for one in standing:
            digest.update("".join((one.event_id, *one.decisions)).encode())
        return digest.hexdigest()[:32]
