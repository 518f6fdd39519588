"""How well picks become events, how well those are placed and sized, and how true they are.

Simulated networks with known truth, events of others, and recordings where there are any.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
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

    Two parts at once, those that take longest first; the one whose time is asked for is alone,
    but in `quick`, which does not judge it.
    """
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        together = [name for name in _LONGEST_FIRST if quick or name != _TIMED]
        running = {name: pool.submit(_measured, name, quick) for name in together}
        found = {name: part.result() for name, part in running.items()}
    if not quick:
        found[_TIMED] = _measured(_TIMED, quick)
    return [figure for name in PARTS for figure in found[name]]


def _recordings(quick: bool) -> list[Figure]:
    data = _SHARED / "data"
    if not data.is_dir():
        why = f"no recordings in {data}"
        return [
            Figure(figure=f"events in recordings of {name}", value=None, unit="", conditions=why)
            for name in ("Hengill", "Italy 2016", "a geothermal field", "a coal mine", "Ridgecrest")
        ]
    return [*events_real.figures(data, quick), *events_hengill.figures(_SHARED, quick)]


_TIMED = "association, time"
PARTS: dict[str, Callable[[bool], Sequence[Figure]]] = {
    "magnitudes": events_magnitudes.measure,
    "first motions": first_motions.measure,
    "mechanisms": events_mechanisms.measure,
    "probabilities": events_truth.figures,
    "cuts and faults": events_cuts.figures,
    "travel times": travel_times.measure,
    "detection": events_detection.figures,
    "location": events_location.figures,
    **{
        f"association, {scenario.name}": partial(events_association.figures, scenario, goal)
        for scenario, goal in events_association.SETS
    },
    "recordings": _recordings,
    _TIMED: events_association.speed,
}

_LONGEST = (
    "recordings", "association, local 1000/h", "cuts and faults", "probabilities", "location",
    "association, regional 100/h", "association, local 300/h", "association, regional 10/h",
    "detection",
)  # fmt: skip
_LONGEST_FIRST = sorted(PARTS, key=lambda name: (*_LONGEST, name).index(name))


def _measured(name: str, quick: bool) -> list[Figure]:
    """Measure one part, and say on stderr when it begins and ends; one that breaks ends alone."""
    started = time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        figures = list(PARTS[name](quick))
    except Exception as error:  # noqa: BLE001 - the others' minutes are not lost
        traceback.print_exc()
        figures = [
            Figure(figure=name, value=None, unit="", holds=False, conditions=f"broke: {error!r}")
        ]
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return figures


if __name__ == "__main__":
    main(measure)
