"""Pick the phases of everything archived that was not picked yet, or changed since."""

import logging
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

from geomon.config import Config
from geomon.errors import GeomonError
from geomon.events import Phase
from geomon.ids import StreamId
from geomon.picking.card import PickerCard, read_card
from geomon.picking.prepare import CONTEXT, PIECE, STEP_NS
from geomon.services.champion import chosen_folder, load
from geomon.services.fanout import fan_out
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import workspace
from geomon.stores.ledger import Entry
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, day_span, merged

logger = logging.getLogger(__name__)

PIECE_NS = PIECE * STEP_NS
"""Length of the pieces time is cut in, counted from 1970."""
_LOOKS = 3
"""How often at most pieces are picked again because data came meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickReport(Report):
    """How many station-days were looked at, how much was picked anew, and what it gave."""

    n_units: int = 0
    picked_s: float = 0.0
    n_picks: int = 0
    n_added: int = 0
    n_removed: int = 0


@dataclass(frozen=True, slots=True, order=True)
class _Unit:
    stream_id: StreamId
    span: TimeSpan


@dataclass(frozen=True, slots=True)
class _Outcome:
    picked_s: float = 0.0
    n_picks: int = 0
    n_added: int = 0
    n_removed: int = 0
    problem: str = ""


def pick(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> PickReport:
    """Bring the picks that a span's samples decide up to date, stream-day by stream-day.

    Time is cut in the picker's pieces, counted from 1970. A piece is picked when the samples
    that can influence it are not those it was last picked from, so any order and any cut of
    the work ends in the same picks, and running twice changes nothing.

    Raises
    ------
    PickerMismatch
        If the picker has no valid card.
    StationMetadataError
        If nothing was ever ingested.
    """
    started = time.monotonic()
    space = workspace(config)
    picker_label(config)  # a picker that is not there is one error, not one a station-day
    inventory = space.stations().selected(stations)
    wanted = set(inventory.preferred_streams(span, config.network.channels))
    pieces = affected_pieces(span)
    units = [
        _Unit(stream, TimeSpan(part.start_ns, part.end_ns))
        for part in _station_days(pieces)
        for stream in sorted(wanted.intersection(space.archive.streams()))
    ]
    done = fan_out(
        _pick_stream_day, config, units, stage="pick", progress=progress, workers=1,
        resource=config.compute.dask_picking,
    )  # fmt: skip
    return PickReport(
        n_failed=sum(bool(outcome.problem) for outcome in done),
        problems=distinct([outcome.problem for outcome in done if outcome.problem]),
        took_s=time.monotonic() - started,
        n_units=len(units),
        picked_s=sum(outcome.picked_s for outcome in done),
        n_picks=sum(outcome.n_picks for outcome in done),
        n_added=sum(outcome.n_added for outcome in done),
        n_removed=sum(outcome.n_removed for outcome in done),
    )


def affected_pieces(span: TimeSpan) -> TimeSpan:
    """Return the whole pieces whose picks samples in a span can change."""
    return span.padded(CONTEXT * STEP_NS / NS_PER_S).aligned(PIECE_NS)


def picker_version(config: Config) -> str:
    """Return the hash of everything a pick depends on besides the samples; reads the card only.

    Raises
    ------
    PickerMismatch
        If the picker has no valid card.
    """
    return _version(config, read_card(chosen_folder(config)))


def picker_label(config: Config) -> str:
    """Return the label of the picker that is to pick now: what its picks are signed with.

    Raises
    ------
    PickerMismatch
        If the picker has no valid card.
    """
    return read_card(chosen_folder(config)).label


def _version(config: Config, card: PickerCard) -> str:
    return f"{card.weights_sha256[:16]}-{config.version('picker')}-{PIECE}"


def _station_days(pieces: TimeSpan) -> list[TimeSpan]:
    """Cut whole pieces into days: a piece belongs to the day it starts in."""
    parts = []
    for day in pieces.days():
        start = -(-day_span(day).start_ns // PIECE_NS) * PIECE_NS
        end = -(-day_span(day).end_ns // PIECE_NS) * PIECE_NS
        part = TimeSpan(start, end).intersection(pieces)
        if not part.is_empty:
            parts.append(part)
    return parts


def _pick_stream_day(config: Config, unit: _Unit) -> _Outcome:
    try:
        return _pick_changed_pieces(config, unit)
    except GeomonError as error:
        logger.warning("pick %s %s failed: %s", unit.stream_id, unit.span, error)
        workspace(config).coverage.record(
            "pick", str(unit.stream_id), _day(unit),
            version=picker_version(config), state="failed", error=str(error),
        )  # fmt: skip
        return _Outcome(problem=str(error))


def _pick_changed_pieces(config: Config, unit: _Unit) -> _Outcome:
    """Pick what changed, and again what others archived meanwhile: the last has seen everything."""
    done = _pick_once(config, unit)
    for _ in range(_LOOKS if done.picked_s else 0):
        more = _pick_once(config, unit)
        if not more.picked_s:
            break
        done = _Outcome(
            done.picked_s + more.picked_s,
            done.n_picks + more.n_picks,
            done.n_added + more.n_added,
            done.n_removed + more.n_removed,
        )
    return done


def _pick_once(config: Config, unit: _Unit) -> _Outcome:
    started = time.monotonic()
    space = workspace(config)
    folder = chosen_folder(config)  # a promotion meanwhile counts from the next on
    card = read_card(folder)
    step = PIECE_NS
    margin_s = CONTEXT * STEP_NS / NS_PER_S
    pieces = list(unit.span.steps(step))
    prints = space.archive.fingerprints(
        unit.stream_id, [piece.padded(margin_s) for piece in pieces]
    )
    version = _version(config, card)
    day = _day(unit)
    known = known_pieces(space.coverage.input_hash("pick", str(unit.stream_id), day, version))
    found = {piece.start_ns // step: now for piece, now in zip(pieces, prints, strict=True)}
    stale = [
        TimeSpan(piece * step, (piece + 1) * step)
        for piece, now in found.items()
        if known.get(piece, "") != now
    ]
    if not stale:  # loading the network takes seconds
        return _Outcome()
    from geomon.picking.infer import pick_and_judge

    picker = load(config, folder)
    doer = space.catalog.begin_run("pick", config_hash=version, picker=card.label)
    n_picks = n_added = n_removed = 0
    picked_s = 0.0
    told = started
    gated: Counter[str] = Counter()
    for run in merged(stale):
        segments = space.archive.read_stream(unit.stream_id, run.padded(margin_s)).segments
        judged = pick_and_judge(picker, segments, run, thresholds=thresholds(config))
        picks = [one for one, reason in judged if reason is None]
        gated.update(reason for _, reason in judged if reason is not None)
        fresh = {piece: now for piece, now in found.items() if run.contains(piece * step)}
        took_s, told = time.monotonic() - told, time.monotonic()
        change = space.catalog.replace_picks(
            unit.stream_id, run, picks, doer,
            also=space.coverage.revising(
                "pick", str(unit.stream_id), day,
                partial(_with_pieces, unit, version, fresh, len(picks), took_s),
            ),
        )  # fmt: skip
        n_picks += len(picks)
        n_added += change.added
        n_removed += change.removed
        picked_s += run.duration_s
    logger.info(
        "picked %s %s picks=%d gated=%s span_s=%.0f took_s=%.1f",
        unit.stream_id, day.start.date(), n_picks,
        ",".join(f"{reason}:{count}" for reason, count in sorted(gated.items())) or "0",
        picked_s, time.monotonic() - started,
    )  # fmt: skip
    return _Outcome(picked_s, n_picks, n_added, n_removed)


def _with_pieces(
    unit: _Unit,
    version: str,
    fresh: dict[int, str],
    n_picks: int,
    took_s: float,
    held: Entry | None,
) -> Entry:
    """Say of a stream's day what it was picked from, besides what others say of it since."""
    pieces, seconds = dict[int, str](), 0.0
    if held is not None and held.state == "done" and held.version == version:
        pieces, seconds = known_pieces(held.input_hash), held.seconds or 0.0
    text = _text({piece: now for piece, now in (pieces | fresh).items() if now})
    return Entry(
        "pick", str(unit.stream_id), _day(unit), "done", version, text,
        n_items=n_picks, seconds=round(seconds + took_s, 3),
    )  # fmt: skip


def _day(unit: _Unit) -> TimeSpan:
    """Return the UTC day whose ledger row the unit belongs to."""
    start_ns = unit.span.start_ns // NS_PER_DAY * NS_PER_DAY
    return TimeSpan(start_ns, start_ns + NS_PER_DAY)


def thresholds(config: Config) -> dict[Phase, float]:
    """Return the thresholds that the config sets instead of the card's."""
    chosen: dict[Phase, float | None] = {
        "P": config.picker.threshold_p,
        "S": config.picker.threshold_s,
    }
    return {phase: value for phase, value in chosen.items() if value is not None}


def known_pieces(text: str) -> dict[int, str]:
    """Read which fingerprint each piece of a day was last picked from."""
    entries = (entry.split(":") for entry in text.split(",") if entry)
    return {int(piece): fingerprint for piece, fingerprint in entries}


def _text(prints: dict[int, str]) -> str:
    return ",".join(f"{piece}:{prints[piece]}" for piece in sorted(prints))
