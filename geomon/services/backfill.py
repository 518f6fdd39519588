"""Months of stations: a plan and a quote first, then only what is missing, failed or stale.

The ledger says what is done, so a backfill that was stopped, killed or run twice goes on where
it was, and two that overlap end in the same archive and catalogue. A unit of work is claimed with
a lease that its worker renews: others leave it alone meanwhile, and take it when the worker died.
"""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from geomon.config import Config
from geomon.errors import DataError, GeomonError
from geomon.ids import StationId
from geomon.services.grid import STAGES, Cell, Reason, Stage, reasons, status
from geomon.services.ingest import ingest
from geomon.services.locate import locate
from geomon.services.pick import PickReport, pick
from geomon.services.reports import Report
from geomon.services.workspace import workspace
from geomon.stores.database import Run
from geomon.stores.ledger import NETWORK, Ledger, Product
from geomon.times import NS_PER_DAY, TimeSpan, format_ns

logger = logging.getLogger(__name__)

type Mode = Literal["missing", "failed", "missing+failed", "stale", "all"]

MODES: tuple[Mode, ...] = ("missing", "failed", "missing+failed", "stale", "all")
DAYS_PER_UNIT = 7
LEASE_S = 6.0
"""A dead worker's unit is taken over after this; losing a lease alive costs work done twice."""

_MOST_NAMED = 12
_BYTES_PER_SAMPLE = 1.5
"""Steim-2 miniSEED of typical records."""
_PRODUCTS: dict[Stage, Product] = {"fetch": "archive", "pick": "pick", "locate": "locate"}
_CANCEL = "cancel"
"""Key of the ledger's row that says when a backfill was last told to stop."""


@dataclass(frozen=True, slots=True, order=True)
class BackfillUnit:
    """One piece of work: fetch and pick a station, or locate the network, for some days."""

    station: str
    span: TimeSpan

    @property
    def is_network(self) -> bool:
        """Whether it is the network's."""
        return self.station == NETWORK

    def __str__(self) -> str:
        return f"{self.station} {self.span.words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan(Report):
    """What a backfill would do, and what it would take.

    Attributes
    ----------
    to_do : dict
        Days of streams (days of the network for ``locate``) by stage and state.
    fetch_gb : float
        Estimated from sampling rates.
    hours : float or None
        Work, one unit after the other, from what this installation took before; None when a
        stage that is to be done was never measured here.
    cost : float or None
        From `hours`, `fetch_gb` and what the config says an hour and a gigabyte cost.
    reasons : tuple of Reason
        Why what failed failed.
    units : tuple of BackfillUnit
        The newest days first; the stations' before the network's.
    """

    mode: Mode
    start: str
    end: str
    n_stations: int
    n_days: int
    to_do: dict[str, dict[str, int]]
    fetch_gb: float
    hours: float | None
    cost: float | None
    reasons: tuple[Reason, ...] = ()
    units: tuple[BackfillUnit, ...] = ()

    @property
    def n_units(self) -> int:
        """Pieces of work."""
        return len(self.units)

    @property
    def span(self) -> TimeSpan:
        """What it is about."""
        return TimeSpan.parse(self.start, self.end)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        # Not `super()`, which a dataclass with slots leaves pointing at the class before.
        return Report.as_dict(self) | {"n_units": self.n_units}

    def text(self) -> str:
        """Return the plan for a person."""
        lines = [
            f"{self.span.words}, mode {self.mode}: {self.n_stations} x {self.n_days} station-days"
        ]
        for stage, states in self.to_do.items():
            counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            lines.append(f"  {stage:<7} {counts or 'nothing known'}")
        lines += [f"  failed: {reason}" for reason in self.reasons]
        took = "time not measured here yet" if self.hours is None else f"{self.hours:.2g} h of work"
        cost = f", cost {self.cost:.2f}" if self.cost else ""
        lines.append(
            f"  to do: {self.n_units} units, {self.fetch_gb:.3g} GB to fetch, {took}{cost}"
        )
        return "\n".join(lines)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a plan that was printed as JSON.

        Raises
        ------
        DataError
            If it is no such document.
        """
        try:
            content = json.loads(text)
            content.pop("n_units")
            content["reasons"] = tuple(Reason(**reason) for reason in content["reasons"])
            content["units"] = tuple(
                BackfillUnit(unit["station"], TimeSpan(**unit["span"])) for unit in content["units"]
            )
            content["problems"] = tuple(content["problems"])
            return cls(**content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f"not a plan of `geomon backfill plan --json`: {error}"
            raise DataError(msg) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitReport(Report):
    """What one unit brought; `held` names it when somebody else is at work on it."""

    n_units: int = 1
    n_bytes: int = 0
    n_new_samples: int = 0
    n_picks_added: int = 0
    n_picks_removed: int = 0
    n_events_created: int = 0
    n_events_updated: int = 0
    n_events_withdrawn: int = 0
    held: BackfillUnit | None = None


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
    wanted = _wanted(cells, mode)
    parts = list(span.steps(DAYS_PER_UNIT * NS_PER_DAY))
    places = {day: index for index, part in enumerate(parts) for day in part.days()}
    touched = {(_station(cell.key), places[cell.day]) for cell in wanted}
    units = [BackfillUnit(station, parts[index]) for station, index in touched]
    rule = config.compute
    fetch_gb, hours = _gigabytes(config, wanted), _hours(config, span, wanted)
    return BackfillPlan(
        problems=tuple(_without_work(config, stations, cells)),
        mode=mode,
        start=format_ns(span.start_ns),
        end=format_ns(span.end_ns),
        n_stations=len({_station(cell.key) for cell in cells if cell.stage == "fetch"}),
        n_days=len(span.days()),
        to_do={
            stage: dict(Counter(cell.state for cell in cells if cell.stage == stage))
            for stage in STAGES
        },
        fetch_gb=fetch_gb,
        hours=hours,
        cost=None if hours is None else hours * rule.cost_per_hour + fetch_gb * rule.cost_per_gb,
        reasons=tuple(reasons(cells)),
        units=tuple(sorted(units, key=lambda u: (-u.span.start_ns, u.is_network, u.station))),
    )


def _without_work(
    config: Config, stations: tuple[str, ...], cells: Iterable[Cell]
) -> Iterator[str]:
    """Yield what was asked for and is in no plan: stations nobody knows, or without channels."""
    names = {_station(cell.key) for cell in cells if cell.stage == "fetch"}
    planned = {StationId.parse(name) for name in names}
    known = workspace(config).stations().station_ids()
    held = ", ".join(str(one) for one in sorted(known)[:_MOST_NAMED])
    held += f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    for pattern in stations or config.network.select or ("*.*",):
        if not any(one.matches((pattern,)) for one in known):
            yield f"{pattern}: the source has no such station; it has {held or 'none'}"
        elif not any(one.matches((pattern,)) for one in planned):
            channels = ", ".join(config.network.channels)
            yield f"{pattern}: no channel of network.channels ({channels}) at that time"


def _wanted(cells: Iterable[Cell], mode: Mode) -> list[Cell]:
    """Return what a mode asks for, and what follows from it: new data are picked and located."""
    kept = list(cells)
    wanted = {cell for cell in kept if mode == "all" or cell.state in mode.split("+")}
    fetched = {(cell.key, cell.day) for cell in wanted if cell.stage == "fetch"}
    wanted |= {cell for cell in kept if cell.stage == "pick" and (cell.key, cell.day) in fetched}
    days = {cell.day for cell in wanted}
    return sorted(wanted | {cell for cell in kept if cell.stage == "locate" and cell.day in days})


def _station(key: str) -> str:
    return key if key == NETWORK else ".".join(key.split(".")[:2])


def _gigabytes(config: Config, wanted: Iterable[Cell]) -> float:
    rates: Counter[str] = Counter()
    for channel in workspace(config).stations().channels:
        rates[str(channel.seed_id.stream_id)] += round(channel.sampling_rate_hz or 100.0)
    n_samples = sum(cell.seconds * rates[cell.key] for cell in wanted if cell.stage == "fetch")
    return n_samples * _BYTES_PER_SAMPLE / 1e9


def _hours(config: Config, span: TimeSpan, wanted: Iterable[Cell]) -> float | None:
    ledger = workspace(config).coverage
    lengths_s = {part.start.date(): part.duration_s for part in span.steps(NS_PER_DAY)}
    to_do_s: Counter[Stage] = Counter()
    for cell in wanted:
        to_do_s[cell.stage] += round(lengths_s[cell.day])
    hours = 0.0
    for stage, seconds in to_do_s.items():
        each_s = ledger.seconds_per_day(_PRODUCTS[stage])
        if each_s is None:
            return None
        hours += each_s / 3600 * seconds / 86_400
    return hours


def run_one(
    config: Config,
    unit: BackfillUnit,
    *,
    fetching: Callable[[], AbstractContextManager[None]] = nullcontext,
    picking: Callable[[Config, BackfillUnit], PickReport] | None = None,
) -> UnitReport:
    """Do one unit, unless somebody else holds it; what fails is in the report.

    Parameters
    ----------
    config : Config
        The network.
    unit : BackfillUnit
        What to do.
    fetching : callable
        Gives a context to fetch in, for example one that waits for a slot at the data centre.
    picking : callable, optional
        Has a station picked elsewhere; picked here by default.

    Raises
    ------
    StoreError
        If the ledger cannot be written.
    """
    ledger = workspace(config).coverage
    doer = Run.begin("backfill")
    mine = ledger.claim(
        "backfill", unit.station, [unit.span], version="", lease_s=LEASE_S, run=doer
    )
    if not mine:
        return UnitReport(n_units=0, held=unit)
    started = time.monotonic()
    report = UnitReport(n_failed=1, problems=(f"{unit}: ended by a defect",))
    try:
        with _kept(ledger, doer):
            report = _worked(config, unit, fetching, picking or _pick_here)
    finally:
        ledger.record(
            "backfill", unit.station, unit.span, state="failed" if report.n_failed else "done",
            error="; ".join(report.problems[:3]) if report.n_failed else "",
            seconds=round(time.monotonic() - started, 3), run=doer,
        )  # fmt: skip
    return replace(report, took_s=time.monotonic() - started)


@contextmanager
def _kept(ledger: Ledger, doer: Run) -> Iterator[None]:
    """Renew a lease as long as this process lives."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_S / 3):
            try:
                ledger.renew("backfill", lease_s=LEASE_S, run=doer)
            except GeomonError as error:
                logger.warning("lease of %s not renewed: %s", doer.run_id, error)

    heart = threading.Thread(target=renew, name=f"lease of {doer.run_id}", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()


def _pick_here(config: Config, unit: BackfillUnit) -> PickReport:
    return pick(config, unit.span, stations=(unit.station,))


def _worked(
    config: Config,
    unit: BackfillUnit,
    fetching: Callable[[], AbstractContextManager[None]],
    picking: Callable[[Config, BackfillUnit], PickReport],
) -> UnitReport:
    try:
        if unit.is_network:
            located = locate(config, unit.span)
            return UnitReport(
                n_failed=located.n_failed,
                problems=located.problems,
                n_events_created=located.n_created,
                n_events_updated=located.n_updated,
                n_events_withdrawn=located.n_withdrawn,
            )
        with fetching():
            fetched = ingest(config, unit.span, stations=(unit.station,))
        picked = picking(config, unit)
    except GeomonError as error:
        return UnitReport(n_failed=1, problems=(f"{unit}: {error}",))
    return UnitReport(
        n_failed=fetched.n_failed + picked.n_failed,
        problems=(*fetched.problems, *picked.problems),
        n_bytes=fetched.n_bytes,
        n_new_samples=fetched.n_new_samples,
        n_picks_added=picked.n_added,
        n_picks_removed=picked.n_removed,
    )


def cancel(config: Config, span: TimeSpan) -> int:
    """Tell every backfill that touches a span to stop; return how many units are at work now.

    Units at work are finished, no other one is begun. Backfills started later are not meant.

    Raises
    ------
    StoreConflict
        If other writers stayed in the way.
    """
    ledger = workspace(config).coverage
    ledger.record("backfill", _CANCEL, span, state="done", input_hash=str(time.time_ns()))
    return len(ledger.at_work("backfill", span))


def is_cancelled(config: Config, span: TimeSpan, since_ns: int) -> bool:
    """Tell whether backfills that touch a span were told to stop after an instant."""
    told = workspace(config).coverage.entries("backfill", key=_CANCEL, span=span)
    return any(int(entry.input_hash) > since_ns for entry in told)
