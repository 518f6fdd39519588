"""Check the events of the catalogue against what chance makes of the same picks."""

import time
from dataclasses import dataclass

from geomon.config import Config
from geomon.locating.null import shifted_picks
from geomon.locating.reliability import ReliabilityBin, reliability
from geomon.services.locate import solver_at
from geomon.services.reports import Progress, Report, no_progress
from geomon.services.workspace import workspace
from geomon.times import TimeSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityReport(Report):
    """How many events there are and chance makes, altogether and by probability."""

    n_events: int
    n_chance: float
    rounds: int
    bins: tuple[ReliabilityBin, ...]


def measure_reliability(
    config: Config, span: TimeSpan, *, rounds: int = 5, progress: Progress = no_progress
) -> ReliabilityReport:
    """Compare the automatic events of a span with those its picks make when shifted in time.

    Nothing is written. The same span gives the same answer.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Origin times; days with activity as usual.
    rounds : int
        How often picks are shifted anew.
    progress : callable
        Told how far it is.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    started = time.monotonic()
    space = workspace(config)
    found = [
        event.probability
        for event in space.catalog.events(span.start_ns, span.end_ns)
        if event.review_state == "automatic" and event.probability is not None
    ]
    solver = solver_at(config, span.start_ns)
    picks = list(space.catalog.picks(span))
    tiles = solver.grid.tiles(span)
    chance: list[float] = []
    for k in range(rounds):
        shifted = shifted_picks(picks, seed=k)
        for n, tile in enumerate(tiles, start=1):
            groups = solver.solve_tile(shifted, tile).groups
            chance += [one.probability for one in groups if tile.contains(one.time_ns)]
            progress("shift", k * len(tiles) + n, rounds * len(tiles))
    return ReliabilityReport(
        n_events=len(found),
        n_chance=len(chance) / rounds,
        rounds=rounds,
        bins=reliability(found, chance, rounds),
        problems=() if found else (f"{span}: no automatic event to check",),
        took_s=time.monotonic() - started,
    )
