"""What every benchmark prints: figures beside their goals and their peers.

``python -m tests.benchmarks.NAME [--quick] [--json]``. A figure that could not be measured has
`value` None and says why in `conditions`; `holds` is then None too. The exit status is 1 only
when some figure does not hold.
"""

import argparse
import importlib.metadata
import json
import platform
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain, groupby

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure.

    `goal` is what was promised, in words a reader can check (``>= 0.95``); `ratio` is value over
    peer value, or peer over value where smaller is better, so that above 1 is always better.
    """

    figure: str
    value: float | None
    unit: str
    goal: str = ""
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    holds: bool | None = None
    conditions: str = ""

    def __post_init__(self) -> None:
        """Take NumPy's numbers as Python's: its False is not `False`, nor JSON."""
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, one.name, value.item())


def at_least(value: float | None, goal: float) -> tuple[str, bool | None]:
    """Return the goal in words and whether `value` reaches it."""
    return f">= {goal:g}", None if value is None else value >= goal


def at_most(value: float | None, goal: float) -> tuple[str, bool | None]:
    """Return the goal in words and whether `value` stays within it."""
    return f"<= {goal:g}", None if value is None else value <= goal


def within(name: str, value: float, unit: str, most: float, conditions: str) -> Figure:
    """Return a figure whose goal is to stay within `most`."""
    goal, holds = at_most(value, most)
    return Figure(
        figure=name, value=value, unit=unit, goal=goal, holds=holds, conditions=conditions
    )


def versions(*packages: str) -> str:
    """Return the Python version, the core count's platform and package versions, for conditions."""
    named = [f"{name} {_version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", platform.machine(), *named])


def _version(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


def main(measure: Callable[[bool], Sequence[Figure]]) -> None:
    """Parse the command line, call ``measure(quick)``, print the figures and exit."""
    parser = argparse.ArgumentParser(description=(measure.__doc__ or "").strip())
    parser.add_argument("--quick", action="store_true", help="smaller sizes, within 45 s")
    parser.add_argument("--json", action="store_true", help="one JSON list on stdout")
    arguments = parser.parse_args()
    figures = list(measure(arguments.quick))
    if arguments.json:
        print(json.dumps([asdict(figure) for figure in figures], ensure_ascii=False))
    else:
        print(as_table(figures))
    sys.exit(any(figure.holds is False for figure in figures))


def as_table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table, with what several rows share as notes below it.

    Figures that differ in their peer alone become one row.
    """
    rows = [list(same) for _, same in groupby(figures, _but_for_the_peer)]
    shared = Counter(part for row in rows for part in set(_parts(row[0])))
    # Short ones are read sooner than looked up.
    notes = [
        part
        for part in dict.fromkeys(chain(*(_parts(row[0]) for row in rows)))
        if shared[part] > 1 and len(part) > 30
    ]
    lines = ["| figure | value | goal | peer | holds |", "|---|---|---|---|---|"]
    for row in rows:
        first = row[0]
        own = "; ".join(part for part in _parts(first) if part not in notes)
        marks = "".join(f" [{notes.index(part) + 1}]" for part in _parts(first) if part in notes)
        name = f"{first.figure}{f' ({own})' if own else ''}{marks}"
        value = "not measured" if first.value is None else f"{first.value:.4g} {first.unit}"
        peers = "; ".join(_peer(figure) for figure in row if figure.peer)
        lines.append(
            f"| {name} | {value.strip()} | {first.goal} | {peers} | {_MARKS[first.holds]} |"
        )
    if notes:
        lines += ["", "; ".join(f"[{number}] {note}" for number, note in enumerate(notes, 1)) + "."]
    return "\n".join(lines)


_MARKS = {True: "yes", False: "**no**", None: "-"}


def _but_for_the_peer(figure: Figure) -> tuple[object, ...]:
    """Return all that figures of one row have in common; NaN is not equal to itself."""
    return figure.figure, str(figure.value), figure.unit, figure.goal, figure.conditions


def _parts(figure: Figure) -> list[str]:
    return [part for part in figure.conditions.split("; ") if part]


def _peer(figure: Figure) -> str:
    value = "" if figure.peer_value is None else f": {figure.peer_value:.4g} {figure.unit}".rstrip()
    ratio = "" if figure.ratio is None else f" ({figure.ratio:.2g} ×)"
    return f"{figure.peer}{value}{ratio}"
