"""All origins of an event: those it prefers or preferred, and those it never did."""

import io
from dataclasses import replace

from obspy import read_events
from obspy.io.quakeml.core import _validate

from geomon.events import RELATIVE, Origin
from geomon.stores.catalog import Catalog
from geomon.stores.exports import export
from geomon.stores.relocating import add_origins, other_origins
from tests.stores.events import HOUR, make_event


def moved(origin: Origin, latitude: float, method: str = "again") -> Origin:
    return replace(origin, latitude=latitude, method=method)


def test_a_relative_place_is_preferred_until_picks_or_model_change(catalog: Catalog) -> None:
    first = make_event()
    catalog.replace_events(HOUR, [first], catalog.begin_run("locate"))
    [event] = catalog.events()
    relative = moved(first.preferred_origin, 64.07, f"double-difference{RELATIVE}")
    run = catalog.begin_run("relocate")
    add_origins(catalog.database, [(event.event_id, relative)], run, preferred=True, why="moved")

    nearby = replace(first, preferred_origin=moved(first.preferred_origin, 64.051))
    for again in (first, nearby):
        change = catalog.replace_events(HOUR, [again], catalog.begin_run("locate"))
        assert change.unchanged == (event.event_id,)
    assert [one.preferred_origin for one in catalog.events()] == [relative]

    fewer = replace(first.preferred_origin, arrivals=first.arrivals[:-1])
    catalog.replace_events(
        HOUR, [replace(first, preferred_origin=fewer)], catalog.begin_run("locate")
    )
    assert [one.preferred_origin for one in catalog.events()] == [fewer]
    add_origins(catalog.database, [(event.event_id, relative)], run, preferred=True, why="moved")
    elsewhere = replace(first.preferred_origin, velocity_model="another 1")
    catalog.replace_events(
        HOUR, [replace(first, preferred_origin=elsewhere)], catalog.begin_run("locate")
    )
    assert [one.preferred_origin for one in catalog.events()] == [elsewhere]


def test_what_was_never_preferred_is_written_too(catalog: Catalog) -> None:
    first = make_event()
    revised = replace(first, preferred_origin=moved(first.preferred_origin, 64.06))
    for event in (first, revised):
        catalog.replace_events(HOUR, [event], catalog.begin_run("locate"))
    [event] = catalog.events()
    then = event.valid_from
    run = catalog.begin_run("relocate")
    relative = moved(event.preferred_origin, 64.07, "double-difference")
    add_origins(catalog.database, [(event.event_id, relative)], run, preferred=False, why="moved")

    others = other_origins(catalog.database, event)
    assert [(one.origin.latitude, one.revision) for one in others] == [(64.05, 1), (64.07, None)]
    assert [one.is_preferred for one in others] == [False, False]
    assert (others[1].run, others[1].made_at) == (run.run_id, run.started_at)
    [before] = other_origins(catalog.database, event, as_of=then)
    assert before == others[0]

    document = export(
        catalog.events(), "quakeml", others=lambda one: other_origins(catalog.database, one)
    )
    assert _validate(io.BytesIO(document), verbose=True)
    [read] = read_events(io.BytesIO(document))
    assert read.preferred_origin().latitude == 64.06
    assert sorted(origin.latitude for origin in read.origins) == [64.05, 64.06, 64.07]
    assert len(read.picks) == len(event.picks)
    assert {len(origin.arrivals) for origin in read.origins} == {len(event.picks)}
    assert len({str(origin.resource_id) for origin in read.origins}) == 3
