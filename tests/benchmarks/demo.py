"""The demo as its user runs it: how long, how much memory, and how close to the truth."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geomon.services.run import run
from geomon.services.score import KnownEvent, compare
from geomon.services.workspace import workspace
from geomon.synthesis.network import Scenario
from geomon.times import TimeSpan
from tests.benchmarks.report import Figure, at_least, at_most, main, versions
from tests.networks import simulated

_QUICK_SPAN = TimeSpan.parse("2024-05-01T23:50", "2024-05-02T00:10")
_ENOUGH_STATIONS = 6


def measure(quick: bool) -> list[Figure]:
    """Measure the demo; `quick` takes its middle twenty minutes, without Prefect."""
    return _quick() if quick else _full()


def _full() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        first = _demo(folder)
        second = _demo(folder)
    conditions = f"12 stations, 1 h, {first['n_true']} events; " + versions("tensorflow", "prefect")
    found = first["n_findable_found"] / first["n_findable"]
    return [
        *_quality(
            found, first["n_doubled"], first["n_false"], first["epicentre_error_km"], conditions
        ),
        _figure("magnitude error, median", first["magnitude_error"], "", 0.3, conditions),
        _figure("demo, first time", first["wall_s"], "s", 90, "installed; " + conditions),
        _figure("demo, second time", second["wall_s"], "s", 90, conditions),
        _figure("peak memory of a process", first["peak_memory_gb"], "GB", 3, conditions),
        _figure(
            "events changed by the second time",
            float(first["digest"] != second["digest"]), "", 0, conditions,
        ),
    ]  # fmt: skip


def _demo(folder: str) -> dict[str, Any]:
    started = time.monotonic()
    command = [sys.executable, "-m", "geomon", "demo", "--dir", folder, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    report["wall_s"] = time.monotonic() - started
    command = [
        sys.executable, "-m", "geomon", "catalog", "digest", "--start", "2024-05-01",
        "--end", "2024-05-03", "--config", str(Path(folder) / "config.yaml"),
    ]  # fmt: skip
    report["digest"] = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return report


def _quick() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        config = simulated(Path(folder))
        run(config, _QUICK_SPAN)
        # The last seconds of the span hold events whose S waves are not recorded any more.
        judged = TimeSpan(_QUICK_SPAN.start_ns, _QUICK_SPAN.end_ns - 30_000_000_000)
        scenario = Scenario.of(config.source, config.velocity.model())
        truth = scenario.events(judged)
        events = list(workspace(config).catalog.events(judged.start_ns, judged.end_ns))
    known = [KnownEvent(e.time, e.latitude, e.longitude, e.depth_km, e.magnitude) for e in truth]
    result = compare(known, events)
    findable = {
        i for i, e in enumerate(truth) if scenario.n_stations_above_noise(e) >= _ENOUGH_STATIONS
    }
    found = len(findable.intersection(i for i, _ in result.pairs)) / len(findable)
    conditions = f"12 stations, 20 min, {len(truth)} events, no Prefect; " + versions("tensorflow")
    why = "takes longer than --quick allows"
    return [
        *_quality(
            found, result.n_doubled, len(result.extra), result.epicentre_error_km, conditions
        ),
        _figure("magnitude error, median", result.magnitude_error, "", 0.3, conditions),
        _figure("demo, first time", None, "s", 90, why),
        _figure("demo, second time", None, "s", 90, why),
        _figure("peak memory of a process", None, "GB", 3, why),
    ]


def _quality(
    found: float, doubled: int, false: int, epicentre_km: float, conditions: str
) -> Sequence[Figure]:
    goal, holds = at_least(found, 0.95)
    return [
        Figure(
            figure="events with 6 stations above noise found", value=found, unit="",
            goal=goal, holds=holds, conditions=conditions,
        ),
        _figure("events doubled", float(doubled), "", 0, conditions),
        _figure("false events", float(false), "", 0, conditions),
        _figure("epicentre error, median", epicentre_km, "km", 1.5, conditions),
    ]  # fmt: skip


def _figure(name: str, value: float | None, unit: str, limit: float, conditions: str) -> Figure:
    goal, holds = at_most(value, limit)
    return Figure(
        figure=name, value=value, unit=unit, goal=goal, holds=holds, conditions=conditions
    )


if __name__ == "__main__":
    main(measure)
