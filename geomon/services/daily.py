"""Yesterday once more: late data, late picks, and what the day was worth."""

from dataclasses import dataclass
from datetime import date

from geomon.config import Config
from geomon.services.coverage import coverage
from geomon.services.quality import assess_days
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.run import run
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, day_span

_REQUESTS_KEPT_NS = 90 * NS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyReport(Report):
    """One day: what late data changed, how complete it is, and how many events it has."""

    day: date
    n_new_samples: int
    n_picks_added: int
    n_picks_removed: int
    n_events: int
    archived: float
    located: float


def daily(config: Config, day: date, *, progress: Progress = no_progress) -> DailyReport:
    """Ask again for what a day lacks, pick and locate what changed, and report the day.

    Every sensor's day is measured too, also where nothing came any more since it was measured
    last; what the log of requests says of the time 90 days earlier is dropped.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    """
    span = day_span(day)
    reports = run(config, span, progress=progress)
    measured = assess_days(config, span, progress=progress)
    catalog = workspace(config).catalog
    catalog.requests.forget(span.start_ns - _REQUESTS_KEPT_NS)
    rows = coverage(config, span)
    events = catalog.events(start=span.start, end=span.end)
    done = (*reports, measured)
    return DailyReport(
        n_failed=sum(report.n_failed for report in done),
        problems=distinct([p for report in done for p in report.problems]),
        took_s=sum(report.took_s for report in done),
        day=day,
        n_new_samples=reports.ingest.n_new_samples,
        n_picks_added=reports.pick.n_added,
        n_picks_removed=reports.pick.n_removed,
        n_events=len(events),
        archived=sum(row.archived for row in rows) / max(len(rows), 1),
        located=sum(row.located for row in rows) / max(len(rows), 1),
    )
