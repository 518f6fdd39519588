"""Months of stations: a plan and a quote first, then only what is missing, failed or stale.

The ledger says what is done, so a backfill that was stopped, killed or run twice goes on where
it was, and two that overlap end in the same archive and catalogue.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from geomon.config import Config, find_config, load_config
from geomon.errors import GeomonError
from geomon.ids import StreamId
from geomon.services.coverage import archived_spans, common, picked_spans
from geomon.services.fanout import fan_out
from geomon.services.ingest import ingest
from geomon.services.locate import locate, locate_version
from geomon.services.pick import pick
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, TimeSpan, merged, subtracted

type Mode = Literal["missing", "failed", "missing+failed", "stale", "all"]
type Stage = Literal["fetch", "pick", "locate"]
type State = Literal["missing", "failed", "stale", "nodata", "done"]

DAYS_PER_UNIT = 7
_BYTES_PER_SAMPLE = 1.5
"""Steim-2 miniSEED of typical records."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What one stage did for one stream (or the network) on one day."""

    key: str
    day: date
    stage: Stage
    state: State
    seconds: float


@dataclass(frozen=True, slots=True, order=True)
class BackfillUnit:
    """One piece of work: fetch and pick a station, or locate the network, for some days."""

    station: str
    span: TimeSpan

    def __str__(self) -> str:
        last = TimeSpan(self.span.end_ns - 1, self.span.end_ns).start
        return f"{self.station} {self.span.start:%Y-%m-%d} to {last:%Y-%m-%d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan(Report):
    """What a backfill would do, and what it would take.

    `to_do` counts days of streams (days of the network for ``locate``) by stage and state;
    `fetch_gb` is estimated from sampling rates; `hours` is quoted from what this installation
    took before, None for a stage that never ran here.
    """

    mode: Mode
    start: str
    end: str
    n_stations: int
    n_days: int
    n_units: int
    to_do: dict[str, dict[str, int]]
    fetch_gb: float
    hours: float | None
    station_units: tuple[BackfillUnit, ...] = ()
    network_units: tuple[BackfillUnit, ...] = ()

    def text(self) -> str:
        """Return the plan for a person."""
        lines = [
            f"{self.start} to {self.end}: {self.n_stations} stations, {self.n_days} days, "
            f"mode {self.mode}"
        ]
        for stage, states in self.to_do.items():
            counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            lines.append(f"  {stage:<7} {counts or 'nothing known'}")
        took = "not measured here yet" if self.hours is None else f"about {self.hours:.2g} h"
        lines.append(
            f"  to do: {self.n_units} units, about {self.fetch_gb:.3g} GB to fetch, {took}"
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitReport(Report):
    """What one unit brought."""

    n_units: int = 1
    n_new_samples: int = 0
    n_picks_added: int = 0
    n_events_created: int = 0
    n_events_updated: int = 0


def status(config: Config, span: TimeSpan, *, stations: tuple[str, ...] = ()) -> list[Cell]:
    """Return the state of every stage on every day of every stream, in order.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    """
    space = workspace(config)
    inventory = space.refreshed_stations(span).selected(stations)
    streams = inventory.preferred_streams(span, config.network.channels)
    cells: list[Cell] = []
    for stream in streams:
        archived = archived_spans(config, stream, span)
        picked = picked_spans(config, stream, span)
        for day in span.steps(NS_PER_DAY):
            cells.append(_fetch_cell(config, stream, day, archived))
            cells.append(_pick_cell(config, stream, day, archived, picked))
    for day in span.steps(NS_PER_DAY):
        cells.append(_locate_cell(config, day, inventory.version))
    return sorted(cells)


def plan(
    config: Config,
    span: TimeSpan,
    stations: tuple[str, ...] = (),
    mode: Mode = "missing+failed",
) -> BackfillPlan:
    """Say what a backfill would do, before anything runs.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    """
    cells = status(config, span, stations=stations)
    wanted = [cell for cell in cells if _is_wanted(cell, mode)]
    keys = {cell.key for cell in cells if cell.stage == "fetch"}
    of_station = sorted({key.rsplit(".", 2)[0] for key in keys})
    parts = list(_chunks(span))
    station_units = tuple(
        BackfillUnit(station, part)
        for part in parts
        for station in of_station
        if any(_is_in(cell, station, part) for cell in wanted)
    )
    days_touched = [part for part in parts if any(part.overlaps(u.span) for u in station_units)]
    network_units = tuple(
        BackfillUnit("network", part)
        for part in parts
        if part in days_touched or any(_is_in(cell, "network", part) for cell in wanted)
    )
    to_do: dict[str, dict[str, int]] = {}
    for stage in ("fetch", "pick", "locate"):
        to_do[stage] = dict(Counter(cell.state for cell in cells if cell.stage == stage))
    return BackfillPlan(
        mode=mode,
        start=str(span.start.isoformat()),
        end=str(span.end.isoformat()),
        n_stations=len(of_station),
        n_days=len(list(span.steps(NS_PER_DAY))),
        n_units=len(station_units) + len(network_units),
        to_do=to_do,
        fetch_gb=_gigabytes(config, wanted),
        hours=_hours(config, wanted),
        station_units=station_units,
        network_units=network_units,
    )


def run(config: Config, planned: BackfillPlan, *, progress: Progress = no_progress) -> UnitReport:
    """Do a plan: all stations first, then the network. A unit that fails is reported.

    Raises
    ------
    StationMetadataError
        If station metadata are lost meanwhile.
    """
    started = time.monotonic()
    reports = fan_out(
        run_one, config, planned.station_units, stage="stations", progress=progress, workers=1
    )
    reports += fan_out(
        run_one, config, planned.network_units, stage="network", progress=progress, workers=1
    )
    return UnitReport(
        n_failed=sum(report.n_failed for report in reports),
        problems=distinct([line for report in reports for line in report.problems]),
        took_s=time.monotonic() - started,
        n_units=len(reports),
        n_new_samples=sum(report.n_new_samples for report in reports),
        n_picks_added=sum(report.n_picks_added for report in reports),
        n_events_created=sum(report.n_events_created for report in reports),
        n_events_updated=sum(report.n_events_updated for report in reports),
    )


def run_unit(config_name: str, unit: BackfillUnit) -> UnitReport:
    """Do one unit in a process that knows the config by name only.

    Raises
    ------
    ConfigError
        If the config cannot be used.
    """
    return run_one(load_config(find_config(config_name)), unit)


def run_one(config: Config, unit: BackfillUnit) -> UnitReport:
    """Do one unit; what fails is in the report."""
    try:
        if unit.station == "network":
            located = locate(config, unit.span)
            return UnitReport(
                n_failed=located.n_failed,
                problems=located.problems,
                took_s=located.took_s,
                n_events_created=located.n_created,
                n_events_updated=located.n_updated,
            )
        fetched = ingest(config, unit.span, stations=(unit.station,))
        picked = pick(config, unit.span, stations=(unit.station,))
    except GeomonError as error:
        return UnitReport(n_failed=1, problems=(f"{unit}: {error}",))
    return UnitReport(
        n_failed=fetched.n_failed + picked.n_failed,
        problems=(*fetched.problems, *picked.problems),
        took_s=fetched.took_s + picked.took_s,
        n_new_samples=fetched.n_new_samples,
        n_picks_added=picked.n_added,
    )


def grid(cells: Iterable[Cell]) -> str:
    """Draw one line a stream and stage with a sign a day, explained in the first line."""
    signs = {"done": "#", "failed": "!", "stale": "~", "nodata": "o", "missing": "."}
    rows: dict[tuple[str, str], str] = {}
    for cell in sorted(cells, key=lambda c: (c.key, c.stage, c.day)):
        row = (cell.key, cell.stage)
        rows[row] = rows.get(row, "") + signs[cell.state]
    width = max((len(key) for key, _ in rows), default=0)
    lines = [f"{key:<{width}} {stage:<6} |{line}|" for (key, stage), line in sorted(rows.items())]
    return "\n".join(["a sign a day: # done, ! failed, ~ stale, o no data, . to do", *lines])


def _fetch_cell(config: Config, stream: StreamId, day: TimeSpan, archived: list[TimeSpan]) -> Cell:
    lacking = sum(part.duration_s for part in subtracted(day, archived))
    entries = workspace(config).coverage.entries("archive", key=str(stream), span=day)
    states = {entry.state for entry in entries}
    asked = merged(entry.span for entry in entries if entry.state in {"done", "nodata"})
    state: State
    if "failed" in states:
        state = "failed"
    elif lacking < 1 or not subtracted(day, asked):
        state = "done" if lacking < day.duration_s else "nodata"
    else:
        state = "missing"
    return Cell(str(stream), day.start.date(), "fetch", state, lacking)


def _pick_cell(
    config: Config,
    stream: StreamId,
    day: TimeSpan,
    archived: list[TimeSpan],
    picked: list[TimeSpan],
) -> Cell:
    held = common([day], archived)
    left = sum(rest.duration_s for part in held for rest in subtracted(part, picked))
    entries = workspace(config).coverage.entries("pick", key=str(stream), span=day)
    state: State
    if any(entry.state == "failed" for entry in entries):
        state = "failed"
    elif left > 0:
        state = "stale" if entries else "missing"
    else:
        state = "done" if held else "nodata"
    return Cell(str(stream), day.start.date(), "pick", state, left)


def _locate_cell(config: Config, day: TimeSpan, inventory_version: str) -> Cell:
    entries = workspace(config).coverage.entries("locate", key="network", span=day)
    version = locate_version(config, inventory_version)
    current = merged(entry.span for entry in entries if entry.version == version)
    left = sum(part.duration_s for part in subtracted(day, current))
    state: State = "done"
    if left > 0:
        state = "stale" if entries else "missing"
    elif all(entry.state == "nodata" for entry in entries):
        state = "nodata"
    return Cell("network", day.start.date(), "locate", state, left)


def _is_wanted(cell: Cell, mode: Mode) -> bool:
    return mode == "all" or cell.state in mode.split("+")


def _is_in(cell: Cell, station: str, part: TimeSpan) -> bool:
    same = cell.key == station or cell.key.startswith(f"{station}.")
    return (
        same
        and part.start.date() <= cell.day <= TimeSpan(part.end_ns - 1, part.end_ns).start.date()
    )


def _chunks(span: TimeSpan) -> Iterable[TimeSpan]:
    return span.steps(DAYS_PER_UNIT * NS_PER_DAY)


def _gigabytes(config: Config, cells: Iterable[Cell]) -> float:
    rates: Counter[str] = Counter()
    for channel in workspace(config).stations().channels:
        rates[str(channel.seed_id.stream_id)] += round(channel.sampling_rate_hz or 100.0)
    n_bytes = sum(
        cell.seconds * rates[cell.key] * _BYTES_PER_SAMPLE
        for cell in cells
        if cell.stage == "fetch"
    )
    return n_bytes / 1e9


def _hours(config: Config, cells: Iterable[Cell]) -> float | None:
    ledger = workspace(config).coverage
    seconds = 0.0
    for cell in cells:
        product: Literal["archive", "pick", "locate"] = (
            "archive" if cell.stage == "fetch" else cell.stage
        )
        each = ledger.median_seconds(product)
        if each is None:
            return None
        tiles = NS_PER_DAY / 1e9 / config.association.tile_s if cell.stage == "locate" else 1
        seconds += each * tiles
    return seconds / 3600
