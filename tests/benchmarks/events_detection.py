"""Detection probability by magnitude, and completeness, of the simulated network.

Earthquakes injected into its archived records are found as often as its own ones of the same size:
that is what the probability promises.
"""

import tempfile
from pathlib import Path

from geomon.config import Config, SimulatedSource
from geomon.locating.detection import DetectionCurve
from geomon.services.detection import measure_detection
from geomon.services.run import run
from geomon.services.score import KnownEvent, compare
from geomon.services.workspace import workspace
from geomon.synthesis.network import Scenario
from geomon.times import TimeSpan
from tests.benchmarks.report import Figure, versions
from tests.networks import simulated

SPAN = TimeSpan.parse("2024-05-02T00:00", "2024-05-02T01:30")
MAGNITUDES = (-1.5, 2.0)
_N_EVENTS = 150
_SEED = 5
_NAMES = (
    "magnitude detected half of the time, injected",
    "share of the network's own earthquakes found",
)


def figures(quick: bool) -> list[Figure]:
    """Inject earthquakes; `quick` leaves that out, as an hour of records must be picked."""
    if quick:
        why = "takes longer than --quick allows"
        return [Figure(figure=name, value=None, unit="", conditions=why) for name in _NAMES]
    with tempfile.TemporaryDirectory() as folder:
        config = simulated(Path(folder))
        run(config, SPAN)
        found = measure_detection(
            config, SPAN, n_events=_N_EVENTS, magnitudes=MAGNITUDES, seed=_SEED
        )
        own = _own(config, SPAN)
    conditions = (
        f"{len(found.trials)} earthquakes of magnitude {MAGNITUDES[0]:g} to {MAGNITUDES[1]:g} in "
        f"{SPAN.duration_s / 60:.0f} min of 12 simulated stations, seed {_SEED}; "
        f"{versions('tensorflow', 'pyocto')}"
    )
    if not isinstance(found.curve, DetectionCurve):
        return [
            Figure(figure=name, value=None, unit="", conditions=found.curve.reason)
            for name in _NAMES
        ]
    half, error = found.curve.magnitude_at(0.5)
    most, _ = found.curve.magnitude_at(0.9)
    told = f"± {error:.2f}, 90 % from {most:.2f}; {conditions}"
    share = sum(is_found for _, is_found in own) / len(own)
    promised = sum(found.curve.probability(size)[0] for size, _ in own) / len(own)
    smallest = min(size for size, _ in own)
    return [
        Figure(figure=_NAMES[0], value=half, unit="", conditions=told),
        Figure(
            figure=_NAMES[1], value=share, unit="", goal="peer ± 0.1",
            peer="promised by injected ones", peer_value=promised,
            holds=abs(share - promised) <= 0.1,
            conditions=f"{len(own)} from magnitude {smallest:.1f}; {conditions}",
        ),
    ]  # fmt: skip


def _own(config: Config, span: TimeSpan) -> list[tuple[float, bool]]:
    """Return the magnitudes of the network's own earthquakes and whether each was found."""
    assert isinstance(config.source, SimulatedSource)
    scenario = Scenario.of(config.source, config.velocity.model())
    true = [
        KnownEvent(event.time, event.latitude, event.longitude, event.depth_km, event.magnitude)
        for event in scenario.events(span)
    ]
    events = list(workspace(config).catalog.events(span.start_ns, span.end_ns))
    seen = {known for known, _ in compare(true, events, within_s=2.0, within_km=10.0).pairs}
    return [
        (event.magnitude, k in seen) for k, event in enumerate(true) if event.magnitude is not None
    ]
