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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


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


def at_least(value: float | None, goal: float) -> tuple[str, bool | None]:
    """Return the goal in words and whether `value` reaches it."""
    return f">= {goal:g}", None if value is None else value >= goal


def at_most(value: float | None, goal: float) -> tuple[str, bool | None]:
    """Return the goal in words and whether `value` stays within it."""
    return f"<= {goal:g}", None if value is None else value <= goal


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
    """Return the figures as a Markdown table."""
    lines = ["| figure | value | goal | peer | holds |", "|---|---|---|---|---|"]
    marks = {True: "yes", False: "**no**", None: "-"}
    for figure in figures:
        value = "not measured" if figure.value is None else f"{figure.value:.4g} {figure.unit}"
        peer = figure.peer
        if figure.peer_value is not None:
            peer += f": {figure.peer_value:.4g} {figure.unit}"
        if figure.ratio is not None:
            peer += f" ({figure.ratio:.2g} ×)"
        note = f" ({figure.conditions})" if figure.conditions else ""
        lines.append(
            f"| {figure.figure}{note} | {value.strip()} | {figure.goal} | {peer} "
            f"| {marks[figure.holds]} |"
        )
    return "\n".join(lines)
