"""What every service returns: a small frozen report, and how it tells its progress."""

import dataclasses
from collections.abc import Callable
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
        """Return one line with every count."""
        parts = [
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self.as_dict().items()
            if not isinstance(value, dict | tuple | list)
        ]
        return " ".join(parts)


def distinct(problems: list[str], at_most: int = 50) -> tuple[str, ...]:
    """Return problems once each, in order, cut to a readable number."""
    once = list(dict.fromkeys(problems))
    if len(once) > at_most:
        once = [*once[:at_most], f"… and {len(once) - at_most} more"]
    return tuple(once)
