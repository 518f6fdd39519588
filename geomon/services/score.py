"""Compare a catalogue with known truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from geomon.events import Event
from geomon.sphere import great_circle_km


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """A reference event; `magnitude` is None where the reference has none."""

    time: datetime
    latitude: float
    longitude: float
    depth_km: float
    magnitude: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a catalogue does against reference events.

    `pairs` holds (index of the reference, index of the event); `n_doubled` events lie as close
    to a reference as its partner does; `extra` lists the indices of the events left over.
    Errors are medians over the pairs, NaN without any.
    """

    n_known: int
    pairs: tuple[tuple[int, int], ...]
    n_doubled: int
    extra: tuple[int, ...]
    epicentre_error_km: float
    depth_error_km: float
    time_error_s: float
    magnitude_error: float

    @property
    def recall(self) -> float:
        """Share of the reference events found."""
        return len(self.pairs) / self.n_known if self.n_known else float("nan")


def compare(
    known: Sequence[KnownEvent],
    events: Sequence[Event],
    *,
    within_s: float = 1.0,
    within_km: float = 10.0,
) -> Comparison:
    """Pair reference and catalogue events one to one, nearest first.

    Parameters
    ----------
    known : sequence of KnownEvent
        The reference.
    events : sequence of Event
        The catalogue.
    within_s, within_km : float
        Largest difference in origin time and epicentre of a pair.

    Notes
    -----
    Nearness is the time difference over `within_s` plus the distance over `within_km`.
    """
    near: list[tuple[float, int, int]] = []
    for i, reference in enumerate(known):
        for j, event in enumerate(events):
            origin = event.preferred_origin
            delay_s = abs((origin.time - reference.time).total_seconds())
            distance_km = _distance_km(reference, event)
            if delay_s <= within_s and distance_km <= within_km:
                near.append((delay_s / within_s + distance_km / within_km, i, j))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(near):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    left = {j for j in range(len(events)) if j not in taken}
    doubled = {j for _, i, j in near if j in left and i in pairs}
    return _comparison(known, events, pairs, len(doubled), tuple(sorted(left - doubled)))


def _comparison(
    known: Sequence[KnownEvent],
    events: Sequence[Event],
    pairs: dict[int, int],
    n_doubled: int,
    extra: tuple[int, ...],
) -> Comparison:
    couples = [(known[i], events[j]) for i, j in sorted(pairs.items())]

    def median(values: list[float]) -> float:
        return float(np.median(values)) if values else float("nan")

    return Comparison(
        n_known=len(known),
        pairs=tuple(sorted(pairs.items())),
        n_doubled=n_doubled,
        extra=extra,
        epicentre_error_km=median([_distance_km(k, e) for k, e in couples]),
        depth_error_km=median([abs(e.preferred_origin.depth_km - k.depth_km) for k, e in couples]),
        time_error_s=median(
            [abs((e.preferred_origin.time - k.time).total_seconds()) for k, e in couples]
        ),
        magnitude_error=median(
            [
                abs(e.preferred_magnitude.value - k.magnitude)
                for k, e in couples
                if e.preferred_magnitude is not None and k.magnitude is not None
            ]
        ),
    )


def _distance_km(known: KnownEvent, event: Event) -> float:
    origin = event.preferred_origin
    return great_circle_km(known.latitude, known.longitude, origin.latitude, origin.longitude)
