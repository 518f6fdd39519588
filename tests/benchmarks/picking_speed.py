"""How fast the default picker is, and how much memory it takes, beside SeisBench.

Everything runs in processes of its own, on one thread, timed in processor seconds: other work on
the machine then disturbs least. The day is a synthetic one of noise with local earthquakes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.report import Figure, at_least, at_most, main, versions
from tests.benchmarks.seisbench import SeisBenchMissing, run_seisbench

BACKENDS = ("tensorflow", "onnxruntime")

# Three components of a day, 100 Hz: noise, and a decaying burst every twenty minutes.
DAY = """
import numpy as np
def day(seconds):
    rng, n = np.random.default_rng(0), seconds * 100
    time = np.arange(n) / 100 % 1200 - 600
    burst = np.where(time > 0, 4000 * np.exp(-np.maximum(time, 0) / 3), 0)
    return [(100 * rng.normal(size=n) + burst * rng.normal(size=n)).astype(np.int32) for _ in "ZNE"]
"""

OURS = (
    DAY
    + """
import json, pathlib, sys, time
begin = time.monotonic()
import geomon.cli
from geomon.ids import SeedId
from geomon.picking.card import load_picker
from geomon.picking.infer import pick
from geomon.picking.prepare import HALO, PIECE
from geomon.times import TimeSpan, parse_time
from geomon.waveforms import Segment
seconds, days, backend = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
started = time.monotonic() - begin
samples = day(seconds)
start = parse_time("2024-01-01")
def picked(picker, n, number=0):
    at = start + number * 86_400_000_000_000
    segments = [
        Segment(SeedId.parse(f"XX.SYN..HH{letter}"), at, 100.0, x[: n * 100])
        for letter, x in zip("ZNE", samples)
    ]
    return len(pick(picker, segments, TimeSpan(at, at + n * 1_000_000_000)))
begin = time.monotonic()
picker = load_picker("default", backend=backend)
picked(picker, 1200)
first = started + time.monotonic() - begin
first_cpu = time.process_time()
def fastest(function, times):
    took = []
    for _ in range(times):
        begin = time.process_time()
        function()
        took.append(time.process_time() - begin)
    return min(took)
picks = picked(picker, seconds)
whole = fastest(lambda: picked(picker, seconds), 3) * 86_400 / seconds
x = np.random.default_rng(0).normal(size=(1, PIECE + 2 * HALO, 3)).astype(np.float32)
network = fastest(lambda: picker.predict(x), 20) * 8_640_000 / PIECE
def memory():  # of this program alone: ru_maxrss begins at the parent's
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
one = memory()
for number in range(1, days):
    picked(picker, seconds, number)
print(json.dumps({"first": first, "first_cpu": first_cpu, "whole": whole, "network": network,
                  "picks": picks, "rss_day": one, "rss_days": memory()}))
"""
)

THEIRS = (
    DAY
    + """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import torch
import seisbench.models
from obspy import Stream, Trace
torch.set_num_threads(1)
seconds = int(sys.argv[1])
model = seisbench.models.PhaseNet(phases="NPS")
def stream(n):
    return Stream([
        Trace(x[: n * 100].astype(np.float32), {"network": "XX", "station": "SYN",
              "channel": "HH" + letter, "sampling_rate": 100.0})
        for letter, x in zip("ZNE", samples)
    ])
samples = day(seconds)
model.annotate(stream(120))
took = []
for _ in range(2):
    begin = time.process_time()
    model.annotate(stream(seconds))
    took.append(time.process_time() - begin)
print(json.dumps(min(took) * 86_400 / seconds))
"""
)


def ours(seconds: int, days: int, backend: str) -> dict[str, Any]:
    """Run the default picker in a new process."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GEOMON_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", OURS, str(seconds), str(days), backend],
        env={**os.environ, **dict.fromkeys(names, "1")},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peer(seconds: int) -> tuple[float | None, str]:
    """Return processor seconds a day of SeisBench's annotate, or none and why."""
    try:
        return float(json.loads(run_seisbench(THEIRS, str(seconds)).splitlines()[-1])), ""
    except SeisBenchMissing as error:
        return None, str(error)


def _backend_figures(
    backend: str, seconds: int, days: int, theirs: float | None, why: str
) -> list[Figure]:
    found = ours(seconds, days, backend)
    cold = ours(1200, 1, backend)  # not the first ever, which compiles loops and keeps them
    machine = versions("tensorflow_cpu" if backend == "tensorflow" else "onnxruntime")
    sizes = f"3 × 100 Hz, {seconds} s, one thread, {machine}"
    rate = 60 / found["whole"]
    goal, holds = at_least(rate, 16)
    ratio = theirs / found["whole"] if theirs else None
    peer_goal, peer_holds = at_least(ratio, 3)
    cold_goal, cold_holds = at_most(cold["first"], 8)
    rss_goal, rss_holds = at_most(found["rss_days"], 1200)
    return [
        Figure(
            figure=f"station-days a core-minute, samples to picks, {backend}",
            value=rate, unit="days", goal=goal, holds=holds,
            conditions=f"{sizes}, {found['picks']} picks",
        ),
        Figure(
            figure=f"speed beside SeisBench's PhaseNet.annotate, {backend}",
            value=ratio, unit="times", goal=peer_goal, holds=peer_holds,
            conditions=why or "annotate gives curves, ours are picks; "
            f"{theirs:.1f} against {found['whole']:.2f} processor seconds a day",
        ),
        Figure(
            figure=f"station-days a core-minute, network alone, {backend}",
            value=60 / found["network"], unit="days", conditions=sizes,
        ),
        Figure(
            figure=f"peak memory over {days} days, one after the other, {backend}",
            value=found["rss_days"], unit="MB", goal=rss_goal, holds=rss_holds,
            conditions=f"{found['rss_day']:.0f} MB after the first day",
        ),
        Figure(
            figure=f"first picks of a cold process, {backend}",
            value=cold["first"], unit="s", goal=cold_goal, holds=cold_holds,
            conditions="command line imported, model loaded, 20 minutes of 3 × 100 Hz picked, by "
            f"the wall clock; {cold['first_cpu']:.1f} processor seconds, {found['first']:.1f} s "
            "the very first time, which compiles loops and keeps them",
        ),
    ]  # fmt: skip


def measure(quick: bool) -> Sequence[Figure]:
    """Measure speed and memory of the default picker on both backends, beside SeisBench."""
    seconds, days = (7200, 2) if quick else (86_400, 31)
    theirs, why = peer(min(seconds, 28_800))
    return [
        figure
        for backend in BACKENDS
        for figure in _backend_figures(backend, seconds, days, theirs, why)
    ]


if __name__ == "__main__":
    main(measure)
