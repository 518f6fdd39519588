"""Near-real time: everything since the watermark, again and again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from geomon.config import Config
from geomon.services.alerts import Notice, tell
from geomon.services.reports import Report, distinct
from geomon.services.run import run
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, to_ns

_FARTHEST_BACK_NS = 7 * NS_PER_DAY
"""After a longer outage the rest is a backfill's work, not a live cycle's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport(Report):
    """What one cycle looked at and what it changed."""

    start: datetime
    end: datetime
    n_new_samples: int
    n_picks_added: int
    n_events_created: int
    n_events_updated: int
    n_alerts: int
    notices: tuple[Notice, ...] = ()


def cycle(config: Config, *, now: datetime | None = None) -> CycleReport:
    """Fetch, pick and locate everything since the watermark, and tell what is news.

    The watermark is the newest archived sample, not the scheduled time: after an outage the
    next cycle reaches back to where the last one stopped. The last ``schedule.lookback_s``
    seconds are always looked at again, so that holes filled since are picked.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    PickerMismatch
        If the picker cannot be loaded.
    """
    started = time.monotonic()
    span = window(config, now or datetime.now(UTC))
    reports = run(config, span)
    fetched, picked, located = reports
    told = tell(config, now=now)
    return CycleReport(
        n_failed=sum(report.n_failed for report in reports),
        problems=distinct([*(p for r in reports for p in r.problems), *told.problems]),
        took_s=time.monotonic() - started,
        start=span.start,
        end=span.end,
        n_new_samples=fetched.n_new_samples,
        n_picks_added=picked.n_added,
        n_events_created=located.n_created,
        n_events_updated=located.n_updated,
        n_alerts=len(told.notices),
        notices=told.notices,
    )


def window(config: Config, now: datetime) -> TimeSpan:
    """Return what a cycle at `now` has to look at."""
    archive = workspace(config).archive
    now_ns = to_ns(now) // NS_PER_S * NS_PER_S
    farthest = TimeSpan(now_ns - _FARTHEST_BACK_NS, now_ns)
    newest = max(
        (
            part.end_ns
            for stream in archive.streams()
            for parts in archive.coverage(stream, farthest).values()
            for part in parts
        ),
        default=now_ns,
    )
    lookback_ns = config.schedule.lookback_s * NS_PER_S
    return TimeSpan(min(newest, now_ns) - lookback_ns, now_ns)


def watch(config: Config, *, cycles: int = 0) -> Iterator[CycleReport]:
    """Run cycles for ever, or `cycles` of them, starting one every ``monitor_every_s``.

    Time is kept with a monotonic clock: a jump of the system clock delays nothing.
    """
    done = 0
    due = time.monotonic()
    while True:
        yield cycle(config)
        done += 1
        if done == cycles:
            return
        due = max(due + config.schedule.monitor_every_s, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
