"""Blasts are called so, with a reason; people and new solutions are respected."""

from pathlib import Path

from geomon.services.blasts import name_blasts
from geomon.services.workspace import workspace
from geomon.times import TimeSpan
from tests.locating.test_blasts import fault, of, quarry
from tests.networks import simulated

SPAN = TimeSpan.parse("2024-12-01T00:00", "2025-09-01T00:00")


def test_blasts_are_named_once_and_stay_so(tmp_path: Path) -> None:
    config = simulated(tmp_path)
    catalog = workspace(config).catalog
    blasts, quakes = of(quarry, 25, 1), of(fault, 30, 2, 64.4)
    catalog.replace_events(SPAN, [*blasts, *quakes], catalog.begin_run("locate"))
    first = catalog.events(event_type="earthquake")[0]
    catalog.review(first.event_id, "confirmed", actor="ana")
    wanted = name_blasts(config, SPAN, dry_run=True)
    assert len(catalog.events(event_type="quarry blast")) == 0
    report = name_blasts(config, SPAN)
    assert report == wanted
    named = catalog.events(event_type="quarry blast")
    assert len(named) == 25 - (first.preferred_origin.latitude < 64.2)
    assert set(report.named) == set(named.event_ids)
    assert named[0].reasons[-1].startswith("suspected blast, probability 0.9")
    kept = catalog.event(first.event_id)
    assert kept is not None
    assert kept.event_type == "earthquake"
    version = catalog.version()
    assert name_blasts(config, SPAN).named == ()
    # Solved again: what they are is not forgotten.
    catalog.replace_events(SPAN, [*blasts, *quakes], catalog.begin_run("locate"))
    assert catalog.events(event_type="quarry blast").event_ids == named.event_ids
    assert catalog.version() == version


def test_what_is_no_longer_suspected_is_an_earthquake_again(tmp_path: Path) -> None:
    config = simulated(tmp_path)
    catalog = workspace(config).catalog
    blasts = of(quarry, 12, 3)
    catalog.replace_events(SPAN, blasts, catalog.begin_run("locate"))
    assert len(name_blasts(config, SPAN).named) == 12
    catalog.replace_events(SPAN, [*blasts, *of(fault, 200, 4)], catalog.begin_run("locate"))
    report = name_blasts(config, SPAN)
    assert len(report.taken_back) + len(catalog.events(event_type="quarry blast")) >= 12
    assert name_blasts(config, SPAN).taken_back == ()
