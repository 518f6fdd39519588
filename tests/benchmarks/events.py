"""How well picks become events, how well those are placed and sized, and how true they are.

Simulated networks with known truth, events of others, and recordings where there are any.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks import (
    events_association,
    events_cuts,
    events_detection,
    events_hengill,
    events_location,
    events_magnitudes,
    events_mechanisms,
    events_real,
    events_truth,
    first_motions,
    travel_times,
)
from tests.benchmarks.report import Figure, main

_SHARED = Path(os.environ.get("GEOMON_SHARED", Path(__file__).parents[3] / "shared"))


def measure(quick: bool) -> list[Figure]:
    """Measure association, location, magnitudes and truth; `quick` takes smaller sizes.

    Two parts at once, but for the one whose time is asked for.
    """
    other = [name for name in PARTS if name not in _ON_ONE_CORE]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        halves = pool.map(_measured_all, (_ON_ONE_CORE, other), (quick, quick))
        found = {name: figures for half in halves for name, figures in half.items()}
    return [
        *(figure for name in PARTS for figure in found[name]),
        events_association.speed(quick=quick),
    ]


def _measured_all(names: Sequence[str], quick: bool) -> dict[str, list[Figure]]:
    return {name: _measured(name, quick) for name in names}


def _recordings(quick: bool) -> list[Figure]:
    data = _SHARED / "data"
    if not data.is_dir():
        why = f"no recordings in {data}"
        return [
            Figure(figure=f"events in recordings of {name}", value=None, unit="", conditions=why)
            for name in ("Hengill", "Italy 2016", "a geothermal field", "a coal mine", "Ridgecrest")
        ]
    return [*events_real.figures(data, quick), *events_hengill.figures(_SHARED, quick)]


PARTS: dict[str, Callable[[bool], Sequence[Figure]]] = {
    "magnitudes": events_magnitudes.measure,
    "first motions": first_motions.measure,
    "mechanisms": events_mechanisms.measure,
    "probabilities": events_truth.figures,
    "cuts and faults": events_cuts.figures,
    "travel times": travel_times.measure,
    "detection": events_detection.figures,
    "location": events_location.figures,
    "association": events_association.figures,
    "recordings": _recordings,
}


_ON_ONE_CORE = ("location", "association")  # half of the work; those that pick are in the other


def _measured(name: str, quick: bool) -> list[Figure]:
    """Measure one part, and say on stderr when it begins and ends."""
    started = time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    figures = list(PARTS[name](quick))
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return figures


if __name__ == "__main__":
    main(measure)
