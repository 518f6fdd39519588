"""Report how much the events of a span depend on the settings they are found with."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from geomon.config import Config
from geomon.errors import DataError
from geomon.events import Pick
from geomon.ids import StationId
from geomon.locating.sensitivity import Outcome, outcome, solve_span, variations
from geomon.locating.solve import Solver
from geomon.services.locate import solver_at
from geomon.services.reports import Progress, Report, no_progress
from geomon.services.workspace import workspace
from geomon.stations import Station
from geomon.times import TimeSpan
from geomon.velocity import LayeredModel

_SPEED_SHARES = (-0.03, 0.03)
_THIRDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneReport(Report):
    """What is found as things are, and with each setting changed.

    `usual` comes first and is what the others are compared with.
    """

    n_picks: int
    usual: Outcome
    others: tuple[Outcome, ...]


def tune(
    config: Config, span: TimeSpan, *, only: Sequence[str] = (), progress: Progress = no_progress
) -> TuneReport:
    """Find the events of a span again and again, with one setting changed at a time.

    The catalogue stays as it is. Besides the settings of association, speeds are made 3 % lower
    and higher, and each third of the stations is left out in turn.

    Parameters
    ----------
    config : Config
        The network, with the settings as they are.
    span : TimeSpan
        Origin times of the events.
    only : sequence of str
        Names of what to change; everything by default.
    progress : callable
        Told how far it is.

    Raises
    ------
    DataError
        If the span has no picks, or there is nothing of a name in `only`.
    StationMetadataError
        If nothing was ever ingested.
    """
    started = time.monotonic()
    space = workspace(config)
    solver = solver_at(config, span.start_ns)
    tiles = solver.grid.tiles(span)
    reach = TimeSpan(
        solver.grid.dependency_span(tiles[0]).start_ns,
        solver.grid.dependency_span(tiles[-1]).end_ns,
    )
    picks = sorted(space.catalog.picks(reach))
    if not picks:
        msg = f"{span}: no picks there; run `geomon pick` first"
        raise DataError(msg)
    changes = list(_changes(config, solver, picks, span))
    names = dict.fromkeys(name for name, _, _ in changes)
    if unknown := [name for name in only if name not in names]:
        msg = f"{unknown[0]!r} is nothing to change; there are {', '.join(names)}"
        raise DataError(msg)
    changes = [change for change in changes if not only or change[0] in only]
    usual = solve_span(solver, picks, span)
    others = []
    for done, (name, value, made) in enumerate(changes, start=1):
        others.append(outcome(name, value, solve_span(made(), picks, span), usual))
        progress("tune", done, len(changes))
    return TuneReport(
        n_picks=len(picks),
        usual=outcome("", "", usual, usual),
        others=tuple(others),
        took_s=time.monotonic() - started,
    )


def _changes(
    config: Config,
    solver: Solver,
    picks: list[Pick],
    span: TimeSpan,
) -> Iterator[tuple[str, str, Callable[[], Solver]]]:
    """Yield what is changed, to what, and what makes a solver with it."""
    corrections = config.velocity.corrections().at(span.start_ns)
    stations = solver.network.stations
    everyone = {station.station_id: station for station in stations}
    model = config.velocity.model()

    def solving(some: dict[StationId, Station], speeds: LayeredModel) -> Solver:
        return Solver.of(
            some,
            speeds,
            region=solver.network.region,
            settings=solver.settings,
            corrections=corrections,
        )

    network, times = solver.network, solver.travel_times
    for name, value, settings in variations(
        network, times, solver.settings, picks, span.duration_s
    ):
        yield name, value, partial(Solver, network, times, settings, solver.locator.station_times)
    if config.velocity.grid is None:
        for share in _SPEED_SHARES:
            yield (
                "speeds",
                f"{share:+.0%}",
                partial(solving, everyone, _faster(model, share)),
            )
    for third in range(_THIRDS):
        some = {s.station_id: s for k, s in enumerate(stations) if k % _THIRDS != third}
        if len(some) >= solver.settings.min_stations:
            yield (
                "stations",
                f"{len(some)} of {len(stations)}",
                partial(solving, some, model),
            )


def _faster(model: LayeredModel, share: float) -> LayeredModel:
    factor = 1 + share
    scaled = {
        name: tuple(factor * value for value in getattr(model, name))
        for name in ("vp_km_s", "vs_km_s", "vp_gradient", "vs_gradient")
    }
    return replace(model, name=f"{model.name} {share:+.0%}", **scaled)
