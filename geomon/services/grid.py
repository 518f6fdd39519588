"""What is done, missing, stale or failed, for every station, day and stage: the operator's grid."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from geomon.config import Config
from geomon.ids import StreamId
from geomon.services.coverage import archived_spans
from geomon.services.locate import locate_version
from geomon.services.pick import PIECE_NS, known_pieces, picker_version
from geomon.services.workspace import workspace
from geomon.stations import Stations
from geomon.stores.ledger import NETWORK, Entry
from geomon.times import NS_PER_DAY, TimeSpan, merged, subtracted

type Stage = Literal["fetch", "pick", "locate"]
type State = Literal["missing", "failed", "stale", "nodata", "done"]

STAGES: tuple[Stage, ...] = ("fetch", "pick", "locate")
SIGNS: dict[State, str] = {"failed": "!", "missing": ".", "stale": "~", "done": "#", "nodata": "o"}
"""A sign for each state, the worst first."""

_WIDEST = 120
"""Signs on a line of the terminal; longer spans share one sign between days."""
_PARTICULARS = re.compile(r"\b[A-Z0-9*]+\.[A-Z0-9*]+\.[A-Z0-9]*(?:\.[A-Z0-9]+)?\b|\d[\dT:.,Z/-]*")
"""What makes two failures of one kind read differently: streams, times, numbers."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What one stage did for one stream (or the network) on one day.

    `seconds` are those of the day left to do; `error` says why a failed one failed.
    """

    key: str
    day: date
    stage: Stage
    state: State
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why stages failed: how many stream-days for one reason, and one of its messages in full."""

    stage: Stage
    count: int
    message: str

    def __str__(self) -> str:
        return f"{self.count} x {self.stage}: {self.message}"


def status(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    inventory: Stations | None = None,
) -> list[Cell]:
    """Return the state of every stage on every day of every stream, in order.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        What is asked about.
    stations : tuple of str
        ``NET.STA`` patterns; all stations when empty.
    inventory : Stations, optional
        The stations there are; the source is asked when not given.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    """
    space = workspace(config)
    inventory = inventory or space.refreshed_stations(span)
    chosen = inventory.selected(stations)
    days = _Days(span)
    ledger = space.coverage
    fetched = _by_key(ledger.entries("archive", span=span))
    picked = _by_key(ledger.entries("pick", span=span.aligned(PIECE_NS)))
    version = picker_version(config)
    cells: list[Cell] = []
    for stream in chosen.preferred_streams(span, config.network.channels):
        archived = days.cut(archived_spans(config, stream, span))
        cells += _fetch_cells(days, stream, archived, fetched[str(stream)])
        cells += _pick_cells(days, stream, archived, picked[str(stream)], version)
    located = ledger.entries("locate", key=NETWORK, span=span)
    cells += _locate_cells(days, located, locate_version(config, inventory.version))
    return sorted(cells)


def reasons(cells: Iterable[Cell]) -> list[Reason]:
    """Group failures that differ in nothing but streams, times and numbers, most frequent first."""
    groups: dict[tuple[Stage, str], list[str]] = defaultdict(list)
    for cell in cells:
        if cell.state == "failed":
            groups[cell.stage, _PARTICULARS.sub("…", cell.error)].append(cell.error)
    found = [Reason(stage, len(errors), errors[0]) for (stage, _), errors in groups.items()]
    return sorted(found, key=lambda reason: (-reason.count, reason.stage, reason.message))


def document(cells: Sequence[Cell], at_work: Sequence[Entry] = ()) -> dict[str, Any]:
    """Return the grid for a page: the days, and one line of signs a stream and stage.

    Parameters
    ----------
    cells : sequence of Cell
        The grid.
    at_work : sequence of Entry
        Units of backfills that somebody is at work on now.

    Returns
    -------
    dict
        ``days`` (ISO dates), ``signs`` (state by sign), ``rows`` (``key``, ``stage`` and
        ``states``, a sign for each day, blank where nothing is known), ``failures`` (``stage``,
        ``count``, ``message``) and ``at_work`` (``key``, ``start``, ``end``).
    """
    days = _days_of(cells)
    place = {day: index for index, day in enumerate(days)}
    rows = []
    for (key, stage), found in _rows(cells).items():
        line = [" "] * len(days)
        for cell in found:
            line[place[cell.day]] = SIGNS[cell.state]
        rows.append({"key": key, "stage": stage, "states": "".join(line)})
    return {
        "days": [day.isoformat() for day in days],
        "signs": {sign: state for state, sign in SIGNS.items()},
        "rows": rows,
        "failures": [
            {"stage": reason.stage, "count": reason.count, "message": reason.message}
            for reason in reasons(cells)
        ],
        "at_work": [
            {
                "key": entry.key,
                "start": entry.span.start.isoformat(),
                "end": entry.span.end.isoformat(),
            }
            for entry in at_work
        ],
    }


def at_work(config: Config, span: TimeSpan) -> list[Entry]:
    """Return the units of backfills in a span that somebody is at work on now."""
    return workspace(config).coverage.at_work("backfill", span)


def drawn(cells: Sequence[Cell], at_work: Sequence[Entry] = ()) -> str:
    """Draw the document for a terminal: a sign a day, or the worst of some days.

    The first lines explain the signs and date the columns; what failed and what is being worked
    on follows below.
    """
    content = document(cells, at_work)
    days: list[str] = content["days"]
    if not days:
        return "no stations"
    each = -(-len(days) // _WIDEST)
    width = max(len(row["key"]) for row in content["rows"])
    signs = ", ".join(f"{sign} {state}" for sign, state in content["signs"].items())
    per = "a sign a day" if each == 1 else f"a sign for {each} days, the worst of them"
    lines = [
        f"{days[0]} to {days[-1]}, {per}: {signs}",
        f"{'':<{width}} {'':<6} |{_ruler(days, each)}|",
    ]
    for row in content["rows"]:
        line = _shortened(row["states"], each)
        lines.append(f"{row['key']:<{width}} {row['stage']:<6} |{line}|")
    lines += [f"failed: {reason}" for reason in reasons(cells)]
    lines += [f"at work: {one['key']} from {one['start'][:10]}" for one in content["at_work"]]
    return "\n".join(lines)


class _Days:
    """The days of a span, whole or cut by its ends."""

    def __init__(self, span: TimeSpan) -> None:
        self.parts = {part.start_ns // NS_PER_DAY: part for part in span.steps(NS_PER_DAY)}
        self.dates = {number: part.start.date() for number, part in self.parts.items()}

    def cut(self, spans: Iterable[TimeSpan]) -> Mapping[int, list[TimeSpan]]:
        """Return the parts of ordered spans in each day that they touch."""
        found: dict[int, list[TimeSpan]] = defaultdict(list)
        for span in spans:
            for part in span.steps(NS_PER_DAY):
                number = part.start_ns // NS_PER_DAY
                if number in self.parts:
                    clipped = part.intersection(self.parts[number])
                    if not clipped.is_empty:
                        found[number].append(clipped)
        return found


def _by_key(entries: Iterable[Entry]) -> Mapping[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.key].append(entry)
    return found


def _failures(days: _Days, entries: Iterable[Entry]) -> dict[int, str]:
    """Return the error of each day with a failed entry."""
    found: dict[int, str] = {}
    for entry in entries:
        if entry.state == "failed":
            found |= dict.fromkeys(days.cut([entry.span]), entry.error)
    return found


def _lacking(wanted: Sequence[TimeSpan], held: Sequence[TimeSpan]) -> float:
    """Return the seconds of some spans that others do not cover."""
    if list(wanted) == list(held):
        return 0.0
    return sum(rest.duration_s for part in wanted for rest in subtracted(part, held))


def _fetch_cells(
    days: _Days, stream: StreamId, archived: Mapping[int, list[TimeSpan]], entries: list[Entry]
) -> list[Cell]:
    failures = _failures(days, entries)
    asked = days.cut(merged(e.span for e in entries if e.state in {"done", "nodata"}))
    cells = []
    for number, day in days.parts.items():
        held = archived.get(number, [])
        lacking = _lacking([day], held)
        state: State = "missing"
        if number in failures:
            state = "failed"
        elif lacking < 1 or not _lacking([day], asked.get(number, [])):
            state = "done" if held else "nodata"
        error = failures.get(number, "")
        cells.append(Cell(str(stream), days.dates[number], "fetch", state, lacking, error))
    return cells


def _pick_cells(
    days: _Days,
    stream: StreamId,
    archived: Mapping[int, list[TimeSpan]],
    entries: list[Entry],
    version: str,
) -> list[Cell]:
    failures = _failures(days, entries)
    now = [entry for entry in entries if entry.version == version]
    old = [entry for entry in entries if entry.version != version]
    picked, before = (
        days.cut(merged(span for entry in some for span in _pieces(entry))) for some in (now, old)
    )
    cells = []
    for number in days.parts:
        held = archived.get(number, [])
        left = _lacking(held, picked.get(number, []))
        state: State = "done" if held else "nodata"
        if number in failures:
            state = "failed"
        elif left > 0:
            state = "stale" if number in before else "missing"
        error = failures.get(number, "")
        cells.append(Cell(str(stream), days.dates[number], "pick", state, left, error))
    return cells


def _pieces(entry: Entry) -> list[TimeSpan]:
    """Return the pieces that an entry says are picked; a piece belongs to the day it starts in."""
    first, end = -(-entry.span.start_ns // PIECE_NS), -(-entry.span.end_ns // PIECE_NS)
    if entry.input_hash.count(":") == end - first:  # all of them: most days, read without parsing
        return [TimeSpan(first * PIECE_NS, end * PIECE_NS)]
    known = known_pieces(entry.input_hash)
    return merged(TimeSpan(piece * PIECE_NS, (piece + 1) * PIECE_NS) for piece in known)


def _locate_cells(days: _Days, entries: list[Entry], version: str) -> list[Cell]:
    failures = _failures(days, entries)
    settled = [entry for entry in entries if entry.state in {"done", "nodata"}]
    now = days.cut(merged(entry.span for entry in settled if entry.version == version))
    before = days.cut(merged(entry.span for entry in settled if entry.version != version))
    with_data = days.cut(merged(entry.span for entry in settled if entry.state == "done"))
    cells = []
    for number, day in days.parts.items():
        left = _lacking([day], now.get(number, []))
        state: State = "done" if number in with_data else "nodata"
        if number in failures:
            state = "failed"
        elif left > 0:
            state = "stale" if number in before else "missing"
        error = failures.get(number, "")
        cells.append(Cell(NETWORK, days.dates[number], "locate", state, left, error))
    return cells


def _days_of(cells: Iterable[Cell]) -> list[date]:
    found = {cell.day for cell in cells}
    if not found:
        return []
    first = min(found)
    return [first + timedelta(days=n) for n in range((max(found) - first).days + 1)]


def _rows(cells: Iterable[Cell]) -> dict[tuple[str, Stage], list[Cell]]:
    """Return the cells of each line: stations in order and then the network, stage by stage."""
    rows: dict[tuple[str, Stage], list[Cell]] = defaultdict(list)
    for cell in cells:
        rows[cell.key, cell.stage].append(cell)
    order = sorted(rows, key=lambda row: (row[0] == NETWORK, row[0], STAGES.index(row[1])))
    return {row: rows[row] for row in order}


def _shortened(line: str, each: int) -> str:
    if each == 1:
        return line
    worst = [*SIGNS.values(), " "]
    parts = (line[first : first + each] for first in range(0, len(line), each))
    return "".join(min(part, key=worst.index) for part in parts)


def _ruler(days: Sequence[str], each: int) -> str:
    """Date the columns: the month where it begins, as far as there is room."""
    line = [" "] * -(-len(days) // each)
    free = 0
    for index, day in enumerate(days):
        place = index // each
        if (index == 0 or day.endswith("-01")) and place >= free and place + 7 <= len(line):
            line[place : place + 7] = day[:7]
            free = place + 8
    return "".join(line)
