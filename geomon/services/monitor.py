"""Near-real time: everything since the watermark, again and again."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from geomon.config import Config
from geomon.events import Event
from geomon.services.reports import Report, distinct
from geomon.services.run import run
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, to_ns

logger = logging.getLogger(__name__)

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


def cycle(config: Config, *, now: datetime | None = None) -> CycleReport:
    """Fetch, pick and locate everything since the watermark, and tell about new events.

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
    told, problems = _tell(config, located.event_ids)
    return CycleReport(
        n_failed=sum(report.n_failed for report in reports),
        problems=distinct([*(p for r in reports for p in r.problems), *problems]),
        took_s=time.monotonic() - started,
        start=span.start,
        end=span.end,
        n_new_samples=fetched.n_new_samples,
        n_picks_added=picked.n_added,
        n_events_created=located.n_created,
        n_events_updated=located.n_updated,
        n_alerts=told,
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


def _tell(config: Config, event_ids: tuple[str, ...]) -> tuple[int, list[str]]:
    """Log new events that are worth it, and send them to the webhook if there is one."""
    told, problems = 0, []
    for event_id in event_ids:
        event = workspace(config).catalog.event(event_id)
        if event is None or not _is_worth_telling(config, event):
            continue
        told += 1
        logger.warning("earthquake %s", headline(event))
        if config.alerts.webhook_url:
            problem = _post(config.alerts.webhook_url, event)
            problems += [problem] if problem else []
    return told, problems


def _is_worth_telling(config: Config, event: Event) -> bool:
    rule = config.alerts
    magnitude = event.preferred_magnitude
    if event.preferred_origin.n_stations < rule.min_stations:
        return False
    return rule.min_magnitude is None or (
        magnitude is not None and magnitude.value >= rule.min_magnitude
    )


def headline(event: Event) -> str:
    """Say on one line what happened where and when."""
    origin, magnitude = event.preferred_origin, event.preferred_magnitude
    size = f"{magnitude.magnitude_type} {magnitude.value:.1f}" if magnitude else "no magnitude"
    return (
        f"{event.event_id} {origin.time:%Y-%m-%d %H:%M:%S} UTC {size} "
        f"{origin.latitude:.3f} {origin.longitude:.3f} {origin.depth_km:.1f} km "
        f"({origin.n_stations} stations, quality {origin.quality})"
    )


def _post(url: str, event: Event) -> str:
    import httpx

    origin, magnitude = event.preferred_origin, event.preferred_magnitude
    content = {
        "event_id": event.event_id,
        "text": headline(event),
        "time": origin.time.isoformat(),
        "latitude": origin.latitude,
        "longitude": origin.longitude,
        "depth_km": origin.depth_km,
        "magnitude": magnitude.value if magnitude else None,
        "magnitude_type": magnitude.magnitude_type if magnitude else None,
    }
    try:
        httpx.post(url, json=content, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        return f"alert for {event.event_id} not delivered to {url}: {error}"
    return ""
