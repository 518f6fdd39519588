"""Sizes and mechanisms of what the simulated network located."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomon.config import Config
from geomon.events import Event, FocalMechanism, Pick
from geomon.locating.calibration import Calibration
from geomon.locating.mechanism import kagan_angle_deg, radiation, takeoff_deg
from geomon.locating.solve import Solver
from geomon.services.calibration import calibrate_magnitudes
from geomon.services.magnitude import measure, mechanism_of
from geomon.services.run import RunReports
from geomon.services.workspace import workspace
from tests.services.conftest import SPAN


@pytest.fixture
def located(processed: tuple[Config, RunReports]) -> tuple[Config, Solver, list[Event]]:
    config, _ = processed
    space = workspace(config)
    solver = Solver.of(
        space.stations().at(SPAN.start_ns), config.velocity.model(), region=config.network.region
    )
    return config, solver, list(space.catalog.events(SPAN.start_ns, SPAN.end_ns))


def test_events_have_local_and_moment_magnitudes_that_agree(
    located: tuple[Config, Solver, list[Event]],
) -> None:
    _, _, events = located
    both = [
        (event.preferred_magnitude.value, other.value)
        for event in events
        if event.preferred_magnitude is not None
        and event.preferred_magnitude.magnitude_type == "ML"
        for other in event.other_magnitudes
        if other.magnitude_type == "Mw" and other.n_stations >= 3
    ]
    assert both
    for local, moment in both:
        # Moment grows as 10^ML for small earthquakes, so that Mw is 2/3 ML and some constant.
        assert moment == pytest.approx(0.64 * local + 0.77, abs=0.4)


def test_without_any_response_only_a_duration_is_left_and_called_so(
    located: tuple[Config, Solver, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, solver, events = located
    event = max(
        (event for event in events if event.preferred_magnitude),
        key=lambda event: event.preferred_magnitude.value,  # type: ignore[union-attr]
    )
    streams = workspace(config).archive.streams()
    stations = workspace(config).stations()
    known = type(stations).channel
    monkeypatch.setattr(
        type(stations), "channel",
        lambda self, seed_id, time_ns: replace(
            known(self, seed_id, time_ns), response=None, response_problem="lost"
        ),
    )  # fmt: skip
    assert measure(config, solver, event.preferred_origin, streams).magnitude is None
    asked = config.model_copy(
        update={"magnitude": config.magnitude.model_copy(update={"duration": True})}
    )
    measured = measure(asked, solver, event.preferred_origin, streams)
    assert {one.reason for one in measured.refused} == {"no usable response: lost"}
    assert measured.others == ()
    if measured.magnitude is not None:
        assert measured.magnitude.magnitude_type == "Md"


def test_first_motions_of_an_event_make_its_mechanism(
    located: tuple[Config, Solver, list[Event]],
) -> None:
    _, solver, events = located
    event = max(events, key=lambda event: len(event.arrivals))
    origin = event.preferred_origin
    true = (40.0, 65.0, -70.0)

    def observed(pick: Pick, distance_km: float, azimuth_deg: float) -> Pick:
        station = solver.network.stations[solver.network.index[pick.seed_id.station_id]]
        angle = takeoff_deg(solver.travel_times, distance_km, origin.depth_km, station.elevation_m)
        up = float(radiation(*true, [azimuth_deg], [float(angle)])[0]) > 0
        return replace(pick, polarity="positive" if up else "negative")

    seen = replace(
        origin,
        arrivals=tuple(
            replace(one, pick=observed(one.pick, one.distance_km, one.azimuth_deg))
            for one in origin.arrivals
        ),
    )
    found = mechanism_of(solver, seen)
    if found is None:
        pytest.skip(f"{len({a.pick.seed_id.station_id for a in origin.arrivals})} stations are few")
    assert isinstance(found, FocalMechanism)
    angle = kagan_angle_deg((found.strike_deg, found.dip_deg, found.rake_deg), true)
    assert angle < max(2 * found.uncertainty_deg, 30)
    assert np.isfinite(found.misfit)
    unclear = replace(
        seen,
        arrivals=tuple(
            replace(one, pick=replace(one.pick, polarity="undecidable")) for one in seen.arrivals
        ),
    )
    assert mechanism_of(solver, unclear) is None


def test_the_catalogue_is_calibrated_against_a_reference(
    located: tuple[Config, Solver, list[Event]], tmp_path: Path
) -> None:
    config, _, events = located
    reference = tmp_path / "reference.csv"
    rows = ["time,latitude,longitude,magnitude"]
    for event in events:
        origin, magnitude = event.preferred_origin, event.preferred_magnitude
        if magnitude is not None:
            place = f"{origin.latitude},{origin.longitude}"
            rows.append(f"{origin.time:%Y-%m-%dT%H:%M:%S.%fZ},{place},{magnitude.value + 0.5}")
    reference.write_text("\n".join(rows) + "\n")
    result = calibrate_magnitudes(config, SPAN, reference)
    assert result.n_matched == result.n_reference == len(rows) - 1
    found = result.calibration
    assert isinstance(found, Calibration)
    near_km = 20.0
    before, after = (
        one.a * np.log10(near_km / 100) + one.b * (near_km - 100) + one.c
        for one in (config.magnitude, found.settings)
    )
    corrections = [one.value for one in found.settings.station_corrections]
    assert after - before + np.mean(corrections) == pytest.approx(0.5, abs=0.2)
    assert found.scatter < found.scatter_before + 0.1
