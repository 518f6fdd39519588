"""What is gained by looking back at a catalogue: station corrections and double differences."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomon.config import Config
from geomon.events import Origin, Pick
from geomon.locating.corrections import Estimated, estimate
from geomon.locating.fit import Fit
from geomon.locating.locate import Locator
from geomon.services.relocate import METHOD, Linking, RelocateReport, relocate_events
from geomon.services.workspace import workspace
from geomon.stores.relocating import origins_of
from geomon.synthesis.swarm import TrueEvent as SwarmEvent
from geomon.times import to_ns
from tests.benchmarks.events_synth import (
    GENERATOR,
    KNOWN,
    LEAST_PICKS,
    Scenario,
    Scene,
    TrueEvent,
    make_scene,
)
from tests.benchmarks.report import Figure, at_least
from tests.services.simulated_catalog import FRAME, SPAN, places, repeating_swarms

_DELAYED = Scenario("delayed", 60.0, 12.0, 16.0, 0.0, 20, statics_s=0.25)
_SEEDS = (51, 52, 53)
_OTHER_CRUST = ((0.0, 4.3, 2.45), (2.0, 5.5, 3.2), (12.0, 6.1, 3.5), (30.0, 8.0, 4.5))


def figures(quick: bool) -> list[Figure]:
    """Measure; `quick` takes a quarter of the time of one seed for corrections."""
    if quick:
        delayed = replace(_DELAYED, hours=_DELAYED.hours / 4)
        one = _corrections(delayed, _SEEDS[:1])
        few = f"one network is a matter of luck; {one.conditions}"
        return [replace(one, holds=None, conditions=few), *_swarms()]
    return [_corrections(_DELAYED, _SEEDS), *_swarms()]


def _corrections(scenario: Scenario, seeds: tuple[int, ...]) -> Figure:
    """Find corrections from one half of the events, and locate the other half with them."""
    without: list[float] = []
    with_: list[float] = []
    for seed in seeds:
        scene = make_scene(scenario, seed)
        locator = Locator(scene.network, scene.network.travel_times(KNOWN))
        seen = [event for event in scene.events if len(event.picks) >= LEAST_PICKS]
        found = estimate(locator, [_picks(scene, event) for event in seen[::2]])
        if not isinstance(found, Estimated):
            return Figure(
                figure="epicentre error with station corrections", value=None, unit="km",
                conditions=found.reason,
            )  # fmt: skip
        corrected = replace(locator, network=scene.network.corrected(found.delays))
        for event in seen[1::2]:
            without.append(_miss(locator, scene, event))
            with_.append(_miss(corrected, scene, event))
    before, after = float(np.median(without)), float(np.median(with_))
    goal, holds = at_least(before / after, 1.3)
    return Figure(
        figure="epicentre error, median, with station corrections", value=after, unit="km",
        goal=f"ratio {goal}", peer="without corrections", peer_value=before, ratio=before / after,
        holds=holds,
        conditions=f"{len(with_)} events that the corrections do not rest on, 20 stations in "
        f"120 km, delays of 0.25 s (S 0.43 s), crust off by 1 %; seeds {seeds}; "
        f"generator {GENERATOR}",
    )  # fmt: skip


def _picks(scene: Scene, event: TrueEvent) -> list[Pick]:
    by_id = {pick.pick_id: pick for pick in scene.picks}
    return [by_id[pick_id] for pick_id in sorted(event.picks)]


def _miss(locator: Locator, scene: Scene, event: TrueEvent) -> float:
    fit = locator.fit(_picks(scene, event))
    if not isinstance(fit, Fit):
        return float("nan")
    return float(np.hypot(fit.point[0] - event.x_km, fit.point[1] - event.y_km))


def _swarms() -> list[Figure]:
    """Relocate two swarms of repeating earthquakes in a crust that is 5 % too slow."""
    with tempfile.TemporaryDirectory() as folder:
        config, truth = repeating_swarms(Path(folder), crust=_OTHER_CRUST)
        single = _relative_miss(config, truth, "")
        answer = []
        for what, with_waveforms, least in (
            ("picks alone", False, 1.2), ("picks and waveforms", True, 5.0),
        ):  # fmt: skip
            report = relocate_events(
                config, SPAN, linking=Linking(max_km=6.0, with_waveforms=with_waveforms)
            )
            answer.append(
                _figure(what, report, single, _relative_miss(config, truth, METHOD), least)
            )
    return answer


def _figure(
    what: str, report: RelocateReport, single: float, relocated: float, least: float
) -> Figure:
    goal, holds = at_least(single / relocated, least)
    return Figure(
        figure=f"relative location error, median, double differences of {what}", value=relocated,
        unit="km", goal=f"ratio {goal}", peer="single-event location", peer_value=single,
        ratio=single / relocated, holds=holds,
        conditions=f"{report.n_relocated} of {report.n_events} events of two swarms of some 500 m, "
        f"12 stations, picks misread by 0.05 s (S 0.09 s), {report.n_picked} picked and "
        f"{report.n_correlated} correlated differences, crust off by 5 %, {report.took_s:.1f} s",
    )  # fmt: skip


def _relative_miss(config: Config, truth: list[SwarmEvent], method: str) -> float:
    """Return the median distance of events from where they are, swarms laid on their centres."""
    catalog = workspace(config).catalog
    events = list(catalog.events(SPAN.start_ns, SPAN.end_ns))
    origins: list[Origin] = []
    for one in truth:
        event = min(events, key=lambda e: abs(to_ns(e.preferred_origin.time) - one.time_ns))
        held = [h.origin for h in origins_of(catalog.database, event.event_id)]
        by_method = [origin for origin in held if origin.method == method]
        origins.append(by_method[-1] if by_method else event.preferred_origin)
    x, y = FRAME.to_km([o.latitude for o in origins], [o.longitude for o in origins])
    off: NDArray[np.float64] = np.stack([x, y, [o.depth_km for o in origins]], axis=1)
    off = off - places(truth)
    eastern = places(truth)[:, 0] > 0
    for swarm in (eastern, ~eastern):
        off[swarm] -= np.median(off[swarm], axis=0)
    return float(np.median(np.linalg.norm(off, axis=1)))
