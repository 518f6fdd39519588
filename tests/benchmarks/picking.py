"""How good and how fast the default picker is, beside published ones in the same run.

Accuracy, false picks and robustness are measured on real recordings that the picker never saw,
speed beside SeisBench. A goal of accuracy is met when the estimate is within 0.02 of it.
"""

from collections.abc import Sequence

from geomon.picking.card import load_picker
from tests.benchmarks import (
    picking_accuracy,
    picking_checks,
    picking_data,
    picking_gpu,
    picking_robustness,
    picking_speed,
)
from tests.benchmarks.report import Figure, main


def measure(quick: bool) -> Sequence[Figure]:
    """Measure the default picker against PhaseNet, EQTransformer, GPD and SeisBench."""
    picker = load_picker("default")
    figures = [
        *picking_speed.measure(quick),
        *picking_gpu.measure(quick),
        picking_checks.spotting(),
        picking_checks.training(20 if quick else 100),
    ]
    why = picking_data.missing()
    if why:
        nothing = Figure(figure="accuracy and robustness", value=None, unit="", conditions=why)
        return [nothing, *picking_robustness.artefacts(picker, {}, seconds=1800), *figures]
    peers = picking_data.peers()
    # GPD takes 50 times as long as the others.
    quick_peers = {name: one for name, one in peers.items() if name != "GPD"}
    return [
        *picking_accuracy.measure(picker, quick_peers if quick else peers),
        *picking_robustness.measure(picker, quick_peers, quick=quick),
        *figures,
        *picking_checks.fidelity(),
    ]


if __name__ == "__main__":
    main(measure)
