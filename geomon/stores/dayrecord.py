"""What a station-day's object says about its samples: exact times, overflow, provenance.

Two canonical JSON texts. The *layout* is all a reader needs: for each component the runs of
consecutive samples that lie in the array, with the exact time of their first one, and the extras,
which are runs that do not fit the array. The *origins* say which request brought which samples.
"""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from geomon.ids import SeedId, StreamId
from geomon.stores.layout import FORMAT, Series
from geomon.waveforms import Provenance


@dataclass(frozen=True, slots=True, order=True)
class GridRun:
    """Consecutive samples of one time line that lie in the array.

    Attributes
    ----------
    component : str
        Component letter.
    start_ns : int
        Time of the first sample.
    n_samples : int
        How many; their times follow from the sampling rate.
    position : int
        Position of the first sample in the day's part of its array row.
    """

    component: str
    start_ns: int
    n_samples: int
    position: int


@dataclass(frozen=True, slots=True, order=True)
class Extra:
    """Consecutive samples of one time line kept beside the array, compressed on their own.

    `is_visible` is false for samples that lost to others recorded for the same time: they are
    kept, but a read does not return them.
    """

    component: str
    start_ns: int
    n_samples: int
    is_visible: bool
    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class DayRecord:
    """Layout of one station-day's object, in canonical order."""

    series: Series
    day: date
    runs: tuple[GridRun, ...]
    extras: tuple[Extra, ...]

    @property
    def n_samples(self) -> int:
        """Samples a read returns."""
        visible = sum(extra.n_samples for extra in self.extras if extra.is_visible)
        return sum(run.n_samples for run in self.runs) + visible

    @property
    def n_overflow(self) -> int:
        """Samples kept out of sight because others were recorded for the same time."""
        return sum(extra.n_samples for extra in self.extras if not extra.is_visible)

    @property
    def components(self) -> tuple[str, ...]:
        """Component letters with samples, sorted."""
        runs = {run.component for run in self.runs}
        return tuple(sorted(runs | {e.component for e in self.extras if e.is_visible}))

    @property
    def seed_ids(self) -> tuple[SeedId, ...]:
        """Channels with samples, sorted."""
        return tuple(self.series.stream_id.seed_id(letter) for letter in self.components)

    def to_bytes(self) -> bytes:
        """Return the canonical text."""
        runs: dict[str, list[list[int]]] = {}
        for run in self.runs:
            runs.setdefault(run.component, []).append([run.start_ns, run.n_samples, run.position])
        extras = [
            [e.component, e.start_ns, e.n_samples, int(e.is_visible), e.offset, e.n_bytes]
            for e in self.extras
        ]
        return _as_json(
            {
                "format": FORMAT,
                "stream": str(self.series.stream_id),
                "sampling_rate_hz": self.series.sampling_rate_hz,
                "sample_type": self.series.sample_type,
                "day": self.day.isoformat(),
                "runs": runs,
                "extras": extras,
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> "DayRecord":
        """Read the canonical text.

        Raises
        ------
        ValueError
            If it is not one, or of another format.
        """
        try:
            document = json.loads(content)
            if document["format"] != FORMAT:
                msg = f"format {document['format']} is not {FORMAT}"
                raise ValueError(msg)
            series = Series(
                StreamId.parse(document["stream"]),
                document["sampling_rate_hz"],
                document["sample_type"],
            )
            runs = tuple(
                GridRun(component, *numbers)
                for component, rows in document["runs"].items()
                for numbers in rows
            )
            extras = tuple(
                Extra(component, start, size, bool(visible), offset, n_bytes)
                for component, start, size, visible, offset, n_bytes in document["extras"]
            )
            return cls(series, date.fromisoformat(document["day"]), runs, extras)
        except (KeyError, TypeError, AttributeError) as error:
            msg = f"the day record lacks something: {error!r}"
            raise ValueError(msg) from error


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """Who brought a sample: a request, and which of its recordings when they contradict."""

    request: Provenance
    version: int


@dataclass(frozen=True, slots=True)
class Origins:
    """Labels of all samples of a station-day, as run lengths.

    Attributes
    ----------
    labels : tuple of Label
        Those in use, sorted.
    visible, hidden : dict of str to list of (int, int)
        For each component, in the order of its samples: how many, index of their label.
    """

    labels: tuple[Label, ...]
    visible: dict[str, list[tuple[int, int]]]
    hidden: dict[str, list[tuple[int, int]]]

    @property
    def requests(self) -> tuple[Provenance, ...]:
        """Requests that brought samples, sorted."""
        return tuple(sorted({label.request for label in self.labels}))

    def to_bytes(self) -> bytes:
        """Return the canonical text."""
        requests = self.requests
        place = {request: index for index, request in enumerate(requests)}
        return _as_json(
            {
                "requests": [[r.source, r.request, r.sha256] for r in requests],
                "labels": [[place[label.request], label.version] for label in self.labels],
                "visible": self.visible,
                "hidden": self.hidden,
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> "Origins":
        """Read the canonical text.

        Raises
        ------
        ValueError
            If it is not one.
        """
        try:
            document = json.loads(content)
            requests = [Provenance(*entry) for entry in document["requests"]]
            labels = tuple(Label(requests[at], version) for at, version in document["labels"])
            visible, hidden = (
                {c: [(size, at) for size, at in rows] for c, rows in document[kind].items()}
                for kind in ("visible", "hidden")
            )
            return cls(labels, visible, hidden)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            msg = f"the list of origins lacks something: {error!r}"
            raise ValueError(msg) from error


def _as_json(document: Any) -> bytes:  # noqa: ANN401 - any JSON document
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
