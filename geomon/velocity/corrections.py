"""Station corrections: how late phases arrive at each station, and the file that keeps them.

A file holds every set ever estimated, newest last, one delay a line::

    set,valid_from,station,phase,delay_s,uncertainty_s,n_picks,model,n_events,made
    3fd0c1a2,2024-01-01T00:00:00Z,CX.PB01,P,0.084,0.011,212,iasp91 5b1c…,640,2026-01-07T09:12:44Z

A set is valid from its instant on, until that of a later set.
"""

import csv
import hashlib
import io
import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from itertools import groupby
from pathlib import Path

from geomon.errors import DataError
from geomon.events import Phase
from geomon.ids import StationId
from geomon.times import format_ns, parse_time

_COLUMNS = (
    "set", "valid_from", "station", "phase", "delay_s", "uncertainty_s", "n_picks",
    "model", "n_events", "made",
)  # fmt: skip
_MOST_S = 10.0


@dataclass(frozen=True, slots=True, order=True)
class StationDelay:
    """How late one phase arrives at one station, on average.

    Attributes
    ----------
    station : StationId
        Where.
    phase : {"P", "S"}
        Which.
    delay_s : float
        Observed minus predicted time; subtracted from picks before they are located.
    uncertainty_s : float
        Its standard deviation.
    n_picks : int
        How many picks say so.
    """

    station: StationId
    phase: Phase
    delay_s: float
    uncertainty_s: float
    n_picks: int


@dataclass(frozen=True, slots=True)
class CorrectionSet:
    """Delays estimated together, and from what.

    Attributes
    ----------
    valid_from_ns : int
        Instant from which on they hold.
    delays : tuple of StationDelay
        In order of station and phase.
    model : str
        Name and hash of the velocity model they belong to.
    n_events : int
        Events they rest on.
    made_ns : int
        When they were estimated.
    """

    valid_from_ns: int
    delays: tuple[StationDelay, ...]
    model: str = ""
    n_events: int = 0
    made_ns: int = field(default=0, compare=False)

    @property
    def version(self) -> str:
        """Hash of what the set says, whenever it was made."""
        said = (self.valid_from_ns, [astuple(one) for one in self.delays], self.model)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class CorrectionHistory:
    """All sets of a file, in order of their validity."""

    sets: tuple[CorrectionSet, ...] = ()

    @property
    def version(self) -> str:
        """Hash of all sets: what is located with them depends on it."""
        return hashlib.sha256("".join(one.version for one in self.sets).encode()).hexdigest()[:16]

    def at(self, time_ns: int) -> tuple[StationDelay, ...]:
        """Return the delays valid at an instant; none before the first set."""
        valid = [one for one in self.sets if one.valid_from_ns <= time_ns]
        return valid[-1].delays if valid else ()

    def with_set(self, new: CorrectionSet) -> "CorrectionHistory":
        """Return the history with one more set; the same if the last set says the same."""
        before = [one for one in self.sets if one.valid_from_ns <= new.valid_from_ns]
        if before and before[-1] == new:
            return self
        # Of two sets valid from the same instant, the one added later counts.
        return CorrectionHistory(tuple(sorted([*self.sets, new], key=lambda s: s.valid_from_ns)))


def read_corrections(path: Path) -> CorrectionHistory:
    """Read a file of station corrections.

    Raises
    ------
    DataError
        If it cannot be read, or a line makes no sense; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        msg = (
            f"{path}: no station corrections there; make them with `geomon corrections estimate "
            "--output FILE`, or take station_corrections out of the config"
        )
        raise DataError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: station corrections cannot be read: {error}"
        raise DataError(msg) from error
    rows = csv.DictReader(lines)
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        msg = f"{path}: not a table of station corrections: no column {', '.join(missing)}"
        raise DataError(msg)
    read = []
    for line, row in enumerate(rows, start=2):
        try:
            head = (parse_time(row["valid_from"]), row["model"], int(row["n_events"]))
            delay = _delay(row)
            read.append((row["set"], head, parse_time(row["made"]), delay))
        except (TypeError, ValueError) as error:
            msg = f"{path}:{line}: {error}; expected {','.join(_COLUMNS)}"
            raise DataError(msg) from error
    sets = []
    for _, group in groupby(read, key=lambda one: (one[0], one[1], one[2])):
        members = list(group)
        _, (valid_from_ns, model, n_events), made_ns, _ = members[0]
        delays = tuple(sorted(one[3] for one in members))
        if len({(one.station, one.phase) for one in delays}) < len(delays):
            msg = f"{path}: set {members[0][0]} has a station and phase twice"
            raise DataError(msg)
        sets.append(CorrectionSet(valid_from_ns, delays, model, n_events, made_ns))
    return CorrectionHistory(tuple(sorted(sets, key=lambda one: one.valid_from_ns)))


def write_corrections(path: Path, history: CorrectionHistory) -> None:
    """Write a file of station corrections; readers see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(as_csv(history.sets))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def as_csv(sets: Iterable[CorrectionSet]) -> str:
    """Return sets as the text of a file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in sets:
        head = (one.version[:8], format_ns(one.valid_from_ns))
        tail = (one.model, one.n_events, format_ns(one.made_ns))
        writer.writerows(
            (*head, d.station, d.phase, f"{d.delay_s:.4f}", f"{d.uncertainty_s:.4f}", d.n_picks,
             *tail)
            for d in one.delays
        )  # fmt: skip
    return text.getvalue()


def _delay(row: dict[str, str]) -> StationDelay:
    phase = row["phase"]
    delay, uncertainty = float(row["delay_s"]), float(row["uncertainty_s"])
    if phase not in {"P", "S"}:
        msg = f"phase {phase!r} is neither P nor S"
        raise ValueError(msg)
    if not (abs(delay) <= _MOST_S and 0 <= uncertainty < math.inf):
        msg = f"delay {delay} s ± {uncertainty} s; allowed is up to {_MOST_S:g} s"
        raise ValueError(msg)
    return StationDelay(
        StationId.parse(row["station"]),
        "P" if phase == "P" else "S",
        delay,
        uncertainty,
        int(row["n_picks"]),
    )
