"""Who is told what: new events, what becomes of them, and stations that fall silent.

The catalogue's changes since the last time are read, so nothing depends on who made them: a live
cycle, a late daily run, or an analyst who rejects an event. What was told is in the ledger: each
thing is told once, an event told and later withdrawn or rejected is told as such, and what could
not be delivered is delivered by a later cycle.
"""

import json
import logging
import os
import smtplib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any, Literal

from pyproj import Geod

from geomon.config import Alerts, Config
from geomon.ids import StationId
from geomon.services.coverage import newest_samples
from geomon.services.workspace import Workspace, workspace
from geomon.stores.changes import EventChange
from geomon.stores.database import Run
from geomon.stores.ledger import Ledger
from geomon.stores.summary import EventSummary
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, from_ns, to_ns

logger = logging.getLogger(__name__)

type Kind = Literal[
    "event.new", "event.updated", "event.retracted", "station.silent", "station.back"
]

_WHOLE = TimeSpan(0, 1)
"""Span of every row: what was told belongs to an event or a station, not to a time."""
_SEEN, _TURN = "seen", "turn"
"""Keys of how far the catalogue's changes were looked at, and of whose turn it is to tell."""
_TURN_S = 60.0
_MOST_CHANGES = 1_000_000
_MOST_AT_FIRST = 5_000
"""More are no news: somebody imported a catalogue, or turned alerts on years later."""
_MOST_ATTEMPTS = 20
_FORGOTTEN_NS = 30 * NS_PER_DAY
"""Stations silent for longer than this when first looked at are nobody's news."""
_EARTH = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something told: of which event or station, as a line of text and as plain values."""

    kind: Kind
    subject: str
    text: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What was told, and which deliveries did not work (they are tried again)."""

    notices: tuple[Notice, ...] = ()
    problems: tuple[str, ...] = ()


def tell(config: Config, *, now: datetime | None = None) -> Told:
    """Tell everything that is news, once; see `Alerts` for what is news and to whom.

    Raises
    ------
    StoreError
        If the catalogue cannot be read or written.
    """
    instant = now or datetime.now(UTC)
    space, doer = workspace(config), Run.begin("alert")
    ledger = space.coverage
    if not _changes(space)[0] and not any(True for _ in _news(config, instant, [])):
        return Told()
    if not ledger.claim("alert", _TURN, [_WHOLE], version="", lease_s=_TURN_S, run=doer):
        return Told()  # whoever has the turn tells it, or the next cycle
    notices: list[Notice] = []
    problems: list[str] = []
    try:
        changes, seen_ns = _changes(space)
        for notice, left in _news(config, instant, changes):
            logger.warning("%s: %s", notice.kind, notice.text)
            failed = _deliver(config.alerts, notice, left)
            _note(ledger, notice, failed, doer)
            problems += failed.values()
            notices.append(notice)
        ledger.record("alert", _SEEN, _WHOLE, state="done", input_hash=str(seen_ns), run=doer)
    finally:
        ledger.record("alert", _TURN, _WHOLE, state="done", run=doer)
    return Told(tuple(notices), tuple(problems))


def headline(summary: EventSummary, network: str) -> str:
    """Say on one line what happened where and when; automatic solutions are provisional."""
    size = "no magnitude"
    if summary.magnitude is not None:
        size = f"{summary.magnitude_type} {summary.magnitude:z.1f}"
    depth = "" if summary.depth_km is None else f" {summary.depth_km:.1f} km deep"
    state = "provisional" if summary.review_state == "automatic" else summary.review_state
    return (
        f"{network}: {size} {summary.time:%Y-%m-%d %H:%M:%S} UTC {summary.latitude:.3f} "
        f"{summary.longitude:.3f}{depth} ({summary.n_stations} stations, quality "
        f"{summary.quality}, {state}) {summary.event_id}"
    )


def is_worth_telling(rule: Alerts, summary: EventSummary) -> bool:
    """Tell whether an event meets the rule; what the rule asks for and is unknown does not."""
    asked: list[tuple[float | None, float | None]] = [
        (rule.min_stations, summary.n_stations),
        (rule.min_probability, summary.probability),
        (rule.min_magnitude, summary.magnitude),
    ]
    gap = summary.azimuthal_gap_deg
    if rule.max_gap_deg is not None and (gap is None or gap > rule.max_gap_deg):
        return False
    return all(least is None or (value is not None and value >= least) for least, value in asked)


# ------------------------------------------------------------------------------------- what is news


def _news(
    config: Config, now: datetime, changes: Sequence[EventChange]
) -> Iterator[tuple[Notice, tuple[str, ...]]]:
    """Yield what is to be told, with the channels it is to be told by."""
    space = workspace(config)
    channels = tuple(_channels(config.alerts))
    for entry in space.coverage.entries("alert", states=("failed",)):
        if entry.attempts < _MOST_ATTEMPTS:
            said = json.loads(entry.input_hash)
            yield Notice(**said["notice"]), tuple(name for name in said["left"] if name in channels)
    for change in changes:
        kept = _told_of(space.coverage, change.event_id)
        if (notice := _of_event(config, change, kept, now)) is not None:
            yield notice, channels
    for station_id, newest_ns in _watched(space):
        kept = _told_of(space.coverage, str(station_id))
        if (notice := _of_station(config, station_id, newest_ns, kept, now)) is not None:
            yield notice, channels


def _changes(space: Workspace) -> tuple[list[EventChange], int]:
    """Return how the catalogue changed since it was looked at last, and up to when that is."""
    kept = space.coverage.entries("alert", key=_SEEN)
    seen_ns = int(kept[0].input_hash) if kept else 0
    limit = _MOST_CHANGES if kept else _MOST_AT_FIRST
    clock_ns = space.catalog.clock_ns()
    found = space.catalog.changes(seen_ns, limit=limit)
    if found is None:
        return [], clock_ns
    return found, found[-1].stamp_ns if found else seen_ns


def _told_of(ledger: Ledger, subject: str) -> Notice | None:
    """Return what was last told of an event or a station."""
    kept = ledger.entries("alert", key=subject)
    return Notice(**json.loads(kept[0].input_hash)["notice"]) if kept else None


def _of_event(
    config: Config, change: EventChange, told: Notice | None, now: datetime
) -> Notice | None:
    rule, summary = config.alerts, change.summary
    content = summary._asdict() | {
        "time": summary.time.isoformat(),
        "network": config.network.name,
        "is_provisional": summary.review_state == "automatic",
    }
    content = {key: value for key, value in content.items() if _is_plain(value)}
    is_known = told is not None and told.kind != "event.retracted"
    text = headline(summary, config.network.name)
    if change.what == "withdrawn":
        if not is_known:
            return None
        heir = f", see {change.merged_into}" if change.merged_into else ""
        how = "rejected by an analyst" if summary.review_state == "rejected" else "withdrawn"
        content["merged_into"] = change.merged_into
        return Notice(
            "event.retracted", change.event_id, f"RETRACTED ({how}{heir}): {text}", content
        )
    if is_known and told is not None:
        if not _says_something_else(rule, told.content, summary):
            return None
        return Notice("event.updated", change.event_id, f"UPDATE: {text}", content)
    is_old = now - summary.time > timedelta(hours=rule.max_age_h)
    if is_old or not is_worth_telling(rule, summary):
        return None
    return Notice("event.new", change.event_id, text, content)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _says_something_else(rule: Alerts, told: dict[str, Any], summary: EventSummary) -> bool:
    """Tell whether an event is no longer what was told: elsewhere, of another size, reviewed."""
    if told["review_state"] != summary.review_state:
        return True
    if (told["magnitude"] is None) != (summary.magnitude is None):
        return True
    change = 0.0 if summary.magnitude is None else abs(told["magnitude"] - summary.magnitude)
    if change >= rule.update_magnitude:
        return True
    _, _, metres = _EARTH.inv(
        told["longitude"], told["latitude"], summary.longitude, summary.latitude
    )
    return bool(metres >= 1000 * rule.update_km)


def _watched(space: Workspace) -> Iterable[tuple[StationId, int]]:
    if space.config.alerts.silent_after_s is None:
        return ()
    return newest_samples(space).items()


def _of_station(
    config: Config, station_id: StationId, newest_ns: int, told: Notice | None, now: datetime
) -> Notice | None:
    limit_s = config.alerts.silent_after_s or 0
    silent_ns = to_ns(now) - newest_ns
    was_silent = told is not None and told.kind == "station.silent"
    is_silent = silent_ns > limit_s * NS_PER_S
    if is_silent == was_silent or (is_silent and silent_ns > _FORGOTTEN_NS):
        return None
    newest = from_ns(newest_ns)
    content = {
        "station": str(station_id), "newest": newest.isoformat(), "network": config.network.name,
    }  # fmt: skip
    since = f"newest sample {newest:%Y-%m-%d %H:%M:%S} UTC"
    if is_silent:
        text = f"{config.network.name}: station {station_id} is silent, {since}"
        return Notice("station.silent", str(station_id), text, content)
    text = f"{config.network.name}: station {station_id} is back, {since}"
    return Notice("station.back", str(station_id), text, content)


# ------------------------------------------------------------------------------ how it is delivered


def _channels(rule: Alerts) -> dict[str, Callable[[Notice], None]]:
    """Return how notices leave this machine, by name; they are logged in any case."""
    found: dict[str, Callable[[Notice], None]] = {}
    if rule.webhook_url is not None:
        url = rule.webhook_url
        found["webhook"] = lambda notice: _post(url, notice)
    if rule.email_to:
        found["email"] = lambda notice: _mail(rule, notice)
    return found


def _deliver(rule: Alerts, notice: Notice, names: tuple[str, ...]) -> dict[str, str]:
    """Send a notice by some channels; return what went wrong, by channel."""
    import httpx

    failed = {}
    for name, send in _channels(rule).items():
        if name not in names:
            continue
        try:
            send(notice)
        except (httpx.HTTPError, OSError, smtplib.SMTPException) as error:
            failed[name] = f"alert of {notice.subject} not delivered by {name}: {error}"
    return failed


def _post(url: str, notice: Notice) -> None:
    import httpx

    content = {"kind": notice.kind, "text": notice.text, **notice.content}
    httpx.post(url, json=content, timeout=10).raise_for_status()


def _mail(rule: Alerts, notice: Notice) -> None:
    message = EmailMessage()
    message["Subject"] = notice.text[:120]
    message["From"] = rule.email_from
    message["To"] = ", ".join(rule.email_to)
    lines = [f"{key}: {value}" for key, value in notice.content.items() if value is not None]
    message.set_content("\n".join([notice.text, "", *lines]))
    with smtplib.SMTP(rule.smtp_host, rule.smtp_port, timeout=20) as server:
        if user := os.environ.get("GEOMON_SMTP_USER"):
            server.starttls()
            server.login(user, os.environ.get("GEOMON_SMTP_PASSWORD", ""))
        server.send_message(message)


def _note(ledger: Ledger, notice: Notice, failed: dict[str, str], doer: Run) -> None:
    """Keep what was told, and by which channels it is still to be told."""
    said = json.dumps({"notice": asdict(notice), "left": list(failed)}, sort_keys=True)
    ledger.record(
        "alert", notice.subject, _WHOLE, state="failed" if failed else "done",
        version=notice.kind, input_hash=said, error="; ".join(failed.values()), run=doer,
    )  # fmt: skip
