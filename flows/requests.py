"""What each flow can be asked: the forms of the Prefect page."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from geomon.config import Config, find_config, load_config
from geomon.times import TimeSpan, day_span


def _as_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_as_utc)]
PickOn = Literal["cpu-pool", "gpu-pool"]
StationPattern = Annotated[str, Field(pattern=r"^[A-Z0-9*?-]+\.[A-Z0-9*?-]+$")]


class NetworkRequest(BaseModel):
    """A network, by its config file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )

    config: str = Field(default_factory=lambda: os.environ.get("GEOMON_CONFIG_FILE", "demo"))
    """Config file of the network; the deployment's own when left out."""

    @property
    def name(self) -> str:
        """What the run is called after."""
        return Path(self.config).stem

    def load(self) -> Config:
        """Read the config file.

        Raises
        ------
        ConfigError
            If it cannot be found or used.
        """
        return load_config(find_config(self.config))


class SpanRequest(NetworkRequest):
    """A network and a stretch of time."""

    start: UtcTime
    """First instant, UTC."""
    end: UtcTime
    """First instant after the stretch, UTC."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            msg = f"end ({self.end:%Y-%m-%dT%H:%M:%S}) must be later than start"
            raise ValueError(msg)
        return self

    @property
    def span(self) -> TimeSpan:
        """The stretch of time."""
        return TimeSpan.between(self.start, self.end)


class StationsRequest(SpanRequest):
    """A network, some of its stations and a stretch of time."""

    stations: tuple[StationPattern, ...] = ()
    """Stations as NET.STA, wildcards allowed; all of the network when the list is empty."""
    days_per_task: Annotated[int, Field(ge=1, le=31)] = 7
    """Days of one station that make one task."""
    max_parallel: Annotated[int, Field(ge=1, le=64)] = 2
    """Tasks at work at once."""


class LocateRequest(SpanRequest):
    """A network and a stretch of time, located a few days at a time."""

    days_per_task: Annotated[int, Field(ge=1, le=31)] = 7
    """Days that make one task."""


class DailyRequest(NetworkRequest):
    """A network and a day."""

    day: date | None = None
    """The UTC day; yesterday when None."""

    @property
    def chosen_day(self) -> date:
        """The day asked for, or yesterday."""
        return self.day or (datetime.now(UTC) - timedelta(days=1)).date()


class ReportRequest(NetworkRequest):
    """A network and a day to report on."""

    day: date | None = None
    """The UTC day; the last 24 hours when None."""

    @property
    def when(self) -> str:
        """The day, or the last 24 hours, in words."""
        return f"{self.day}" if self.day else "of the last 24 h"

    @property
    def span(self) -> TimeSpan:
        """The day, or the last 24 hours."""
        if self.day is not None:
            return day_span(self.day)
        now = datetime.now(UTC).replace(microsecond=0)
        return TimeSpan.between(now - timedelta(days=1), now)


class BackfillRequest(SpanRequest):
    """A network, months of its stations, and what of them is to be done."""

    stations: tuple[StationPattern, ...] = ()
    """Stations as NET.STA, wildcards allowed; all of the network when the list is empty."""
    mode: Literal["missing", "failed", "missing+failed", "stale", "all"] = "missing+failed"
    """What to do: what was never done, what failed, both, what an older picker or config did, or
    all."""
    dry_run: bool = False
    """Only plan, and tell what it would take."""
    pick_on: PickOn = "cpu-pool"
    """Where phases are picked: here, or by the workers with a GPU."""
    max_parallel: Annotated[int, Field(ge=1, le=64)] = 2
    """Stations at work at once."""
    max_hours: Annotated[float, Field(gt=0)] | None = None
    """Begin nothing that would end later than after so many hours; None is without limit."""
    max_cost: Annotated[float, Field(gt=0)] | None = None
    """Begin nothing that would cost more, by the config's compute.cost_per_hour; None is without
    limit."""


class RetrainRequest(NetworkRequest):
    """A network whose picker is to get better, and what it learns from."""

    days: Annotated[int, Field(ge=1, le=3650)] = 90
    """How far back labels are taken from, days."""
    end: UtcTime | None = None
    """Up to when; now when None."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """Most epochs of training; it stops earlier when nothing gets better."""
    steps_an_epoch: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Batches of an epoch."""
    seed: int = 1
    """Of all randomness."""
    from_scratch: bool = False
    """Start from random weights, not from the champion's."""
    benchmark: str = ""
    """Folder of labelled windows for the fixed benchmark, besides its synthetic ones."""
    n_synthetic: Annotated[int, Field(ge=10, le=10_000)] = 120
    """Synthetic windows of the fixed benchmark."""

    @property
    def span(self) -> TimeSpan:
        """Where labels are taken from."""
        end = self.end or datetime.now(UTC)
        return TimeSpan.between(end - timedelta(days=self.days), end)
