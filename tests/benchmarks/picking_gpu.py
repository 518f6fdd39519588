"""How many station-days a second the default picker picks on GPUs, and how busy they are with it.

In processes of their own, in single and in half precision; on all GPUs that Keras' backend sees.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from geomon.services.processes import gpus
from tests.benchmarks.picking_speed import DAY
from tests.benchmarks.report import Figure, main, versions

PRECISIONS = ("float32", "bfloat16")

WORK = (
    DAY
    + """
import json, subprocess, sys, time
from geomon.ids import SeedId
from geomon.picking.card import load_picker
from geomon.picking.infer import pick_sensors
from geomon.picking.prepare import HALO, PIECE
from geomon.picking.run_keras import gpus
from geomon.times import TimeSpan, parse_time
from geomon.waveforms import Segment
precision, hours, least_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
picker = load_picker("default", precision=precision)
if not gpus():
    sys.exit(print("null"))
def timed(function):
    # The first time compiles. Returns runs a second, and how busy the GPUs were, 0 to 1.
    function()
    watch = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits",
             "--loop-ms=200"]
    try:
        watching = subprocess.Popen(watch, stdout=subprocess.PIPE, text=True)
    except OSError:
        watching = None
    runs, begin = 0, time.monotonic()
    while (took := time.monotonic() - begin) < least_s or not runs:
        function()
        runs += 1
    if watching is None:
        return runs / took, None
    watching.terminate()
    busy = [float(line) for line in watching.communicate()[0].split() if line.isdigit()]
    return runs / took, sum(busy) / len(busy) / 100 if busy else None
x = np.random.default_rng(0).normal(size=(picker.batch, PIECE + 2 * HALO, 3)).astype(np.float32)
network, network_busy = timed(lambda: picker.predict(x))
start = parse_time("2024-01-01")
samples = day(hours * 3600)
sensors = [
    [Segment(SeedId.parse(f"XX.S{k:02}..HH{letter}"), start, 100.0, x)
     for letter, x in zip("ZNE", samples)]
    for k in range(picker.batch)
]
span = TimeSpan(start, start + hours * 3600 * 1_000_000_000)
whole, whole_busy = timed(lambda: pick_sensors(picker, sensors, span))
print(json.dumps({
    "gpus": len(gpus()), "batch": picker.batch,
    "network": network * picker.batch * PIECE / 8_640_000, "network_busy": network_busy,
    "whole": whole * len(sensors) * hours / 24, "whole_busy": whole_busy,
}))
"""
)


def measured(precision: str, hours: int, least_s: float) -> dict[str, Any] | None:
    """Run the default picker on the GPUs in a new process; None where there is none."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, precision, str(hours), str(least_s)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] | None = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(quick: bool) -> Sequence[Figure]:
    """Measure station-days a second on GPUs, and their utilisation."""
    figures = []
    for precision in PRECISIONS if gpus() else ():
        found = measured(precision, 1 if quick else 6, 2.0 if quick else 10.0)
        if found is None:
            break
        sizes = (
            f"{found['gpus']} GPU, {found['batch']} pieces at once, {precision}, "
            f"{versions('keras', 'tensorflow')}"
        )
        for part, words in (("network", "network alone"), ("whole", "samples to picks")):
            busy = found[f"{part}_busy"]
            figures += [
                Figure(
                    figure=f"station-days a second on a GPU, {words}, {precision}",
                    value=found[part], unit="days", conditions=sizes,
                ),
                Figure(
                    figure=f"utilisation of the GPU, {words}, {precision}",
                    value=busy, unit="",
                    conditions="mean of nvidia-smi's, every 0.2 s" if busy is not None
                    else "needs nvidia-smi",
                ),
            ]  # fmt: skip
    nothing = Figure(
        figure="station-days a second on a GPU, and its utilisation", value=None, unit="days",
        conditions="not measured: no NVIDIA GPU at hand that Keras' backend sees",
    )  # fmt: skip
    return figures or [nothing]


if __name__ == "__main__":
    main(measure)
