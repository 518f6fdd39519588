"""Do a backfill's plan: how many units at once, when to stop, and what it changed."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from statistics import median

from pyproj import Geod

from geomon.config import Config
from geomon.services.backfill import BackfillPlan, BackfillUnit, UnitReport, is_cancelled, run_one
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import workspace
from geomon.stores.comparing import EventDifference
from geomon.stores.queries import EventQuery
from geomon.times import TimeSpan, format_ns

_LOOK_AGAIN_S = 1.0
"""Between two looks at a unit that somebody else holds."""
_EARTH = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class Limits:
    """When to begin no further unit: hours on the clock, and cost; None is without limit."""

    hours: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the catalogue says of a span now, and did not before.

    `as_of` is the instant before the work: the catalogue as it was stays readable with it.
    `moved_km` is the median distance that changed events moved.
    """

    as_of: str
    n_added: int = 0
    n_removed: int = 0
    n_changed: int = 0
    moved_km: float | None = None

    def text(self) -> str:
        """Return one line for a person."""
        moved = "" if self.moved_km is None else f" by a median of {self.moved_km:.2g} km"
        return (
            f"events: {self.n_added} added, {self.n_removed} removed, {self.n_changed} changed"
            f"{moved}; as it was: --as-of {self.as_of}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillReport(Report):
    """What a backfill brought; `stopped` says why it ended before its plan, `n_left` how early."""

    n_units: int
    n_left: int
    n_new_samples: int
    n_picks_added: int
    n_picks_removed: int
    n_events_created: int
    n_events_updated: int
    n_events_withdrawn: int
    stopped: str = ""
    difference: Difference | None = None

    def summary(self) -> str:
        """Return the report for a person."""
        # Not `super()`, which a dataclass with slots leaves pointing at the class before.
        lines = [Report.summary(self)]
        if self.stopped:
            lines.append(f"  stopped: {self.stopped}; {self.n_left} units left for the next run")
        if self.difference is not None:
            lines.append(f"  {self.difference.text()}")
        return "\n".join(lines)


def run(
    config: Config,
    planned: BackfillPlan,
    *,
    max_parallel: int = 1,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> BackfillReport:
    """Do a plan in threads of this process; what fails is in the report.

    Parameters
    ----------
    config : Config
        The network.
    planned : BackfillPlan
        What to do.
    max_parallel : int
        Units at work at once; each spreads its station-days further, over a Dask cluster where
        the config names one.
    limits : Limits, optional
        When to stop early.
    progress : callable
        Told about every unit done.

    Raises
    ------
    StoreError
        If the ledger cannot be written.
    """
    with ThreadPoolExecutor(max_parallel, thread_name_prefix="backfill") as threads:

        def first(running: Sequence[Future[UnitReport]]) -> tuple[Future[UnitReport], UnitReport]:
            done = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
            return done, done.result()

        return drive(
            config,
            planned,
            begin=lambda unit: threads.submit(run_one, config, unit),
            first=first,
            max_parallel=max_parallel,
            limits=limits or Limits(),
            progress=progress,
        )


def drive[Work](
    config: Config,
    planned: BackfillPlan,
    *,
    begin: Callable[[BackfillUnit], Work],
    first: Callable[[Sequence[Work]], tuple[Work, UnitReport]],
    max_parallel: int,
    limits: Limits,
    progress: Progress,
) -> BackfillReport:
    """Do a plan: some days' stations side by side, then the network, then the days before.

    A unit that another backfill holds is left for the end of its days, and done when it is free.

    Parameters
    ----------
    config, planned, max_parallel, limits, progress
        See `run`.
    begin : callable
        Sets a unit to work.
    first : callable
        Waits for any of the work begun; returns it with its report.
    """
    watch = _Watch(config, planned, limits)
    reports: list[UnitReport] = []
    done, total = Counter[str](), Counter(_stage(unit) for unit in planned.units)
    for stage in total:
        progress(stage, 0, total[stage])
    for units in _batches(planned.units):
        waiting, held = deque(units), set[BackfillUnit]()
        running: list[Work] = []
        while waiting or running:
            if watch.should_stop(reports):
                waiting.clear()
            while waiting and len(running) < max_parallel:
                if waiting[0] in held and not running:
                    time.sleep(_LOOK_AGAIN_S)
                running.append(begin(waiting.popleft()))
            if not running:
                break
            work, report = first(running)
            running.remove(work)
            if report.held is not None:
                held.add(report.held)
                waiting.append(report.held)
                continue
            reports.append(report)
            stage = _stage(units[0])
            done[stage] += 1
            progress(stage, done[stage], total[stage])
    return watch.closed(reports)


def _stage(unit: BackfillUnit) -> str:
    return "network" if unit.is_network else "stations"


def _batches(units: Sequence[BackfillUnit]) -> list[list[BackfillUnit]]:
    """Return units in the order of the plan, those together that may be at work side by side."""
    batches: list[list[BackfillUnit]] = []
    for unit in units:
        last = batches[-1][-1] if batches else None
        if last is None or (last.span, last.is_network) != (unit.span, unit.is_network):
            batches.append([])
        batches[-1].append(unit)
    return batches


class _Watch:
    """Knows when a backfill began, when it has to stop, and what it changed."""

    def __init__(self, config: Config, planned: BackfillPlan, limits: Limits) -> None:
        self._config = config
        self._planned = planned
        self._limits = limits
        self._began_ns = time.time_ns()
        self._began = time.monotonic()
        self._clock_ns = workspace(config).catalog.clock_ns()
        self._stopped = ""

    def should_stop(self, reports: Sequence[UnitReport]) -> bool:
        """Tell whether no further unit may begin: cancelled, or beyond a limit with one more."""
        if self._stopped:
            return True
        hours = (time.monotonic() - self._began) / 3600
        each = hours / len(reports) if reports else 0.0
        rule = self._config.compute
        gigabytes = sum(report.n_bytes for report in reports) / 1e9
        cost = (hours + each) * rule.cost_per_hour + gigabytes * rule.cost_per_gb
        if self._limits.hours is not None and hours + each > self._limits.hours:
            self._stopped = f"after {hours:.3g} h, of {self._limits.hours:g} h at most"
        elif self._limits.cost is not None and cost > self._limits.cost:
            self._stopped = f"at a cost of {cost:.3g}, of {self._limits.cost:g} at most"
        elif is_cancelled(self._config, self._planned.span, self._began_ns):
            self._stopped = "cancelled"
        return bool(self._stopped)

    def closed(self, reports: Sequence[UnitReport]) -> BackfillReport:
        """Add everything up."""
        n_left = len(self._planned.units) - len(reports)
        return BackfillReport(
            n_failed=sum(report.n_failed for report in reports),
            problems=distinct([line for report in reports for line in report.problems]),
            took_s=time.monotonic() - self._began,
            n_units=len(reports),
            n_left=n_left,
            n_new_samples=sum(report.n_new_samples for report in reports),
            n_picks_added=sum(report.n_picks_added for report in reports),
            n_picks_removed=sum(report.n_picks_removed for report in reports),
            n_events_created=sum(report.n_events_created for report in reports),
            n_events_updated=sum(report.n_events_updated for report in reports),
            n_events_withdrawn=sum(report.n_events_withdrawn for report in reports),
            stopped=self._stopped if n_left else "",
            difference=difference(self._config, self._planned.span, self._clock_ns),
        )


def difference(config: Config, span: TimeSpan, since_ns: int) -> Difference | None:
    """Return how the catalogue of a span changed since an instant of its clock; None if not."""
    catalog = workspace(config).catalog
    query = EventQuery(start=span.start, end=span.end)
    found = catalog.diff(since_ns, query=query)
    if not found:
        return None
    counts = Counter(one.kind for one in found)
    moved = [km for one in found if one.kind == "changed" and (km := _moved_km(one)) is not None]
    return Difference(
        as_of=format_ns(since_ns),
        n_added=counts["added"],
        n_removed=counts["removed"],
        n_changed=counts["changed"],
        moved_km=round(median(moved), 3) if moved else None,
    )


def _moved_km(one: EventDifference) -> float | None:
    if one.before is None or one.after is None:
        return None
    _, _, metres = _EARTH.inv(
        one.before.longitude, one.before.latitude, one.after.longitude, one.after.latitude
    )
    return float(metres) / 1000
