"""What every service returns: a small frozen report, and how it tells its progress."""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

type Progress = Callable[[str, int, int], None]
"""Called with the stage's name, units done and units in all."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Base of all reports: counts, and one line for each thing that went wrong.

    `problems` are told to the user; `n_failed` counts units of work that could not be done and
    makes a command exit with 1. Absent data are not a failure.
    """

    n_failed: int = 0
    problems: tuple[str, ...] = ()
    took_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)

    def summary(self) -> str:
        """Return one line with every number, such as ``events 3, updated 0 in 2.5 s``."""
        # Units that failed are named one by one as problems; zero of them is no news.
        parts = [
            _words(name, value)
            for name, value in self.as_dict().items()
            if isinstance(value, int | float | datetime)
            and name != "took_s"
            and (name != "n_failed" or value)
        ]
        return f"{', '.join(parts)} in {_number(self.took_s)} s".lstrip()


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _words(name: str, value: float | datetime) -> str:
    if isinstance(value, datetime):
        return f"{name} {value:%Y-%m-%dT%H:%M:%S}Z"
    unit = next((unit for unit in ("s", "km", "gb") if name.endswith(f"_{unit}")), "")
    thing = name.removeprefix("n_").removesuffix(f"_{unit}" if unit else "").replace("_", " ")
    return f"{thing} {_number(value)} {unit}".rstrip()


def distinct(problems: list[str], at_most: int = 50) -> tuple[str, ...]:
    """Return problems once each, in order, cut to a readable number."""
    once = list(dict.fromkeys(problems))
    if len(once) > at_most:
        once = [*once[:at_most], f"… and {len(once) - at_most} more"]
    return tuple(once)
