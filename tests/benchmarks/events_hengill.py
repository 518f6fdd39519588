"""Events found in real recordings: Hengill, fetched from a loopback data centre.

The recordings were never trained on.
"""

import json
import tempfile
from pathlib import Path

from geomon.config import Config
from geomon.locating.null import shifted_picks
from geomon.locating.solve import Solver
from geomon.locating.tiles import RawTile
from geomon.picking.card import save_picker
from geomon.picking.importers import import_phasenet
from geomon.services.run import run
from geomon.services.score import Comparison, compare
from geomon.services.workspace import workspace
from tests.benchmarks.report import Figure, at_least, at_most, versions
from tests.science import hengill

_N_SHIFTS = 12  # of five minutes: an hour of chance


def figures(shared: Path, quick: bool) -> list[Figure]:
    """Measure on the recordings in a folder; `quick` leaves out PhaseNet and chance."""
    answer = _figures(shared / "data", "default", "geomon's picker", at_least_found=10, quick=quick)
    checkpoint = shared / "weights" / "phasenet" / "model_95.ckpt"
    why = "takes longer than --quick allows" if quick else ""
    if not quick and not checkpoint.with_suffix(".ckpt.index").exists():
        why = f"no weights at {checkpoint}"
    if why:
        return [*answer, _count("Hengill reference events found, PhaseNet", None, 11, why)]
    with tempfile.TemporaryDirectory() as folder:
        save_picker(import_phasenet(checkpoint), Path(folder))
        answer += _figures(shared / "data", folder, "PhaseNet", at_least_found=11, quick=quick)
    return answer


def _figures(
    data: Path, picker: str, label: str, *, at_least_found: int, quick: bool
) -> list[Figure]:
    reference = hengill.reference(data)
    with (
        tempfile.TemporaryDirectory() as folder,
        hengill.served(data, Path(folder), picker) as config,
    ):
        run(config, hengill.SPAN)
        catalog = workspace(config).catalog
        events = list(catalog.events(hengill.SPAN.start_ns, hengill.SPAN.end_ns))
        chance = None if quick else _chance_events(config)
    result = compare(reference, events, within_s=hengill.WITHIN_S, within_km=hengill.WITHIN_KM)
    conditions = f"20 stations, 5 min, {label}; " + versions("tensorflow", "pyocto")
    extra = json.dumps([f"{events[j].preferred_origin.time:%H:%M:%S}" for j in result.extra])
    chance_goal, chance_holds = at_most(chance, 1)
    return [
        _count(
            f"Hengill reference events found, {label}", len(result.pairs), at_least_found,
            f"within 1 s and 3 km, extra events {extra}; {conditions}",
        ),
        _near(result, label, conditions),
        _count(f"clusters seen, {label}", hengill.clusters_seen(events), 2, conditions),
        Figure(
            figure=f"events an hour from time-shifted picks, {label}", value=chance,
            unit="1/h", goal=chance_goal, holds=chance_holds,
            conditions=f"left out of --quick; {conditions}" if quick
            else f"{_N_SHIFTS} shifts of 5 min; {conditions}",
        ),
        _doubled(result, label, conditions),
    ]  # fmt: skip


def _near(result: Comparison, label: str, conditions: str) -> Figure:
    goal, holds = at_most(result.epicentre_error_km, 1.5)
    return Figure(
        figure=f"Hengill, median distance to the reference, {label}",
        value=result.epicentre_error_km, unit="km", goal=goal, holds=holds, conditions=conditions,
    )  # fmt: skip


def _doubled(result: Comparison, label: str, conditions: str) -> Figure:
    goal, holds = at_most(result.n_doubled, 0)
    return Figure(
        figure=f"events doubled, {label}", value=float(result.n_doubled), unit="",
        goal=goal, holds=holds, conditions=conditions,
    )  # fmt: skip


def _chance_events(config: Config) -> float:
    """Return how many events an hour the same picks make when each station's are shifted."""
    space = workspace(config)
    solver = Solver.of(
        space.stations().at(hengill.SPAN.start_ns), config.velocity.model(),
        region=config.network.region, settings=config.association,
    )  # fmt: skip
    picks = space.catalog.picks(hengill.SPAN)
    n_events = 0
    for seed in range(_N_SHIFTS):
        shifted = shifted_picks(picks, seed)
        for tile in solver.grid.tiles(hengill.SPAN):
            before, after = (RawTile(one, ()) for one in solver.grid.neighbours(tile))
            alone = solver.solve_tile(shifted, tile)
            n_events += len(solver.settle(before, alone, after, shifted).origins)
    return n_events / (_N_SHIFTS * hengill.SPAN.duration_s / 3600)


def _count(name: str, value: int | None, goal: int, conditions: str) -> Figure:
    words, holds = at_least(value, goal)
    return Figure(
        figure=name, value=None if value is None else float(value), unit="", goal=words,
        holds=holds, conditions=conditions,
    )  # fmt: skip
