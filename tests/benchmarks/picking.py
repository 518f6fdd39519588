"""How good and how fast the default picker is, beside published ones in the same run.

Accuracy, false picks and robustness are measured on real recordings that the picker never saw,
speed beside SeisBench. A goal of accuracy is met when the estimate is within 0.02 of it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context

from geomon.picking.card import Picker, load_picker
from tests.benchmarks import (
    picking_accuracy,
    picking_checks,
    picking_data,
    picking_gpu,
    picking_robustness,
    picking_speed,
)
from tests.benchmarks.report import Figure, main


def measure(quick: bool) -> list[Figure]:
    """Measure the default picker against PhaseNet, EQTransformer, GPD and SeisBench.

    `quick` takes fewer recordings, PhaseNet alone, and two parts at once.
    """
    if not quick:
        return [*chain.from_iterable(part(False) for part in PARTS.values())]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return [*chain.from_iterable(pool.map(_quickly, PARTS))]


def _quickly(name: str) -> Sequence[Figure]:
    return PARTS[name](True)


def _accuracy(quick: bool) -> Sequence[Figure]:
    why = picking_data.missing()
    if why:
        return [Figure(figure="accuracy and robustness", value=None, unit="", conditions=why)]
    peers = _peers("PhaseNet") if quick else picking_data.peers()
    return picking_accuracy.measure(load_picker("default"), peers, every=4 if quick else 1)


def _robustness(quick: bool) -> Sequence[Figure]:
    picker = load_picker("default")
    if picking_data.missing():
        return picking_robustness.artefacts(picker, {}, seconds=1800)
    # GPD takes 50 times as long as the others.
    peers = _peers("PhaseNet") if quick else _peers("PhaseNet", "EQTransformer")
    return picking_robustness.measure(picker, peers, quick=quick)


def _checks(quick: bool) -> Sequence[Figure]:
    fidelity = [] if picking_data.missing() else picking_checks.fidelity()
    training = picking_checks.training(20 if quick else 100)
    return [picking_checks.spotting(), training, *fidelity]


def _peers(*names: str) -> dict[str, Picker]:
    return {name: one for name, one in picking_data.peers().items() if name in names}


PARTS: dict[str, Callable[[bool], Sequence[Figure]]] = {
    "accuracy": _accuracy,
    "robustness": _robustness,
    "speed": picking_speed.measure,
    "GPU": picking_gpu.measure,
    "checks": _checks,
}


if __name__ == "__main__":
    main(measure)
