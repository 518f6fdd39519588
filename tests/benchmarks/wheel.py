"""How large the wheel is: the page with its libraries and map, the picker, and the code."""

import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.report import Figure, at_most, versions

ROOT = Path(__file__).parents[2]
MOST_MB = 5.0


def files() -> Iterator[Path]:
    """Yield what the build puts into the wheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    for name in (*wheel["packages"], *wheel["force-include"]):
        for file in (ROOT / name).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def packed_mb() -> float:
    """Return the size of the files, each packed as wheels pack them."""
    return sum(len(zlib.compress(file.read_bytes(), 6)) for file in files()) / 1e6


def payload() -> Figure:
    """Measure what a user downloads."""
    value = packed_mb()
    goal, holds = at_most(value, MOST_MB)
    return Figure(
        figure="wheel, packed", value=value, unit="MB", goal=goal, holds=holds,
        conditions=f"page, map, libraries and default picker inside; {versions()}",
    )  # fmt: skip
