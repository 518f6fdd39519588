"""Events without a response get a size from their neighbours, and are told to have it so."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from geomon.events import Event, Magnitude
from geomon.locating.magnitude import NoMagnitude
from geomon.locating.relative import RELATIVE_TYPE, relative_magnitude
from geomon.services.relative import size_by_neighbours
from geomon.services.workspace import workspace
from tests.networks import simulated
from tests.stores.events import HOUR, make_event


def louder(event: Event, magnitudes: float) -> Event:
    """Return an event with larger amplitudes, and no magnitude."""
    arrivals = tuple(
        replace(a, pick=replace(a.pick, amplitude=(a.pick.amplitude or 0) * 10**magnitudes))
        for a in event.arrivals
    )
    origin = replace(event.preferred_origin, arrivals=arrivals)
    return replace(event, preferred_origin=origin, preferred_magnitude=None)


def test_a_ratio_of_amplitudes_is_a_difference_of_magnitudes(tmp_path: Path) -> None:
    config = simulated(tmp_path)
    known = [
        replace(make_event(100.0 * k, value=1.5, latitude=64.05 + 0.01 * k), event_id=f"gm{k}")
        for k in range(1, 4)
    ]
    event = louder(make_event(1000.0), 0.7)
    found = relative_magnitude(event, known, config.magnitude)
    assert isinstance(found, Magnitude)
    assert found.magnitude_type == RELATIVE_TYPE
    assert found.value == pytest.approx(2.2, abs=0.01)
    assert found.n_stations == 6
    assert 0.1 < found.uncertainty < 0.3
    assert all(math.isnan(one.amplitude_mm) for one in found.station_magnitudes)
    far = [replace(one, preferred_origin=replace(one.preferred_origin, latitude=65.0))
           for one in known]  # fmt: skip
    refused = relative_magnitude(event, far, config.magnitude)
    assert isinstance(refused, NoMagnitude)
    assert refused.reason.startswith("0 neighbours within 10 km")


def test_the_catalogue_is_sized_once(tmp_path: Path) -> None:
    config = simulated(tmp_path)
    catalog = workspace(config).catalog
    known = [make_event(100.0 * k, value=1.5, latitude=64.05 + 0.01 * k) for k in range(1, 4)]
    solved = [*known, louder(make_event(1000.0), 0.7)]
    catalog.replace_events(HOUR, solved, catalog.begin_run("locate"))
    assert size_by_neighbours(config, HOUR, dry_run=True).sized != ()
    [event_id] = size_by_neighbours(config, HOUR).sized
    sized = catalog.event(event_id)
    assert sized is not None
    assert sized.preferred_magnitude is not None
    assert sized.preferred_magnitude.magnitude_type == RELATIVE_TYPE
    assert sized.revision == 2
    assert size_by_neighbours(config, HOUR).sized == ()
    # Solving the tile again, also from slightly other picks, leaves the size.
    for event in (solved[-1], make_event(1000.1)):
        again = replace(event, preferred_magnitude=None)
        catalog.replace_events(HOUR, [*known, again], catalog.begin_run("locate"))
        kept = catalog.event(event_id)
        assert kept is not None
        assert kept.preferred_magnitude == sized.preferred_magnitude
        assert kept.revision == (2 if event is solved[-1] else 3)
    with_response = make_event(1000.1, value=1.9)
    catalog.replace_events(HOUR, [*known, with_response], catalog.begin_run("locate"))
    measured = catalog.event(event_id)
    assert measured is not None
    assert measured.preferred_magnitude == with_response.preferred_magnitude
