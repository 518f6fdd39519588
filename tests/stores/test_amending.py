"""What analysts do is a revision of its own, can be undone, and is left alone by later runs."""

from dataclasses import replace

import pytest

from geomon.errors import StoreError
from geomon.events import Event
from geomon.stores.amending import Amendments, Outdated
from geomon.stores.catalog import Catalog
from tests.stores.events import HOUR, make_event, make_pick, said

ANNA = {"actor": "anna", "reason": "looked at it"}


def found(catalog: Catalog, *events: Event) -> list[str]:
    """Let an automatic run find events; return the ids of all there are then, in time order."""
    catalog.replace_events(HOUR, events, catalog.begin_run("locate"))
    return list(catalog.events().event_ids)


def moved(event: Event, **changes: object) -> Event:
    """Return an event with its first pick made by hand, 0.4 s later."""
    first, *rest = event.arrivals
    pick = replace(
        make_pick(0, first.pick.seed_id.stream_id, mode="manual", picker="anna"),
        time=make_pick(100.4).time, phase=first.pick.phase, seed_id=first.pick.seed_id,
    )  # fmt: skip
    arrivals = (replace(first, pick=pick), *rest)
    origin = replace(event.preferred_origin, arrivals=arrivals, **changes)
    return replace(event, preferred_origin=origin)


def manual(catalog: Catalog) -> int:
    return len(catalog.picks(HOUR, mode="manual"))


def test_a_solution_by_hand_stands_and_can_be_undone(catalog: Catalog) -> None:
    amendments = Amendments(catalog.database)
    [event_id] = found(catalog, make_event())
    held = catalog.event(event_id)
    amendments.amend(moved(held, depth_km=9.0), state="reviewed", revision=1, **ANNA)
    revised = catalog.event(event_id)
    assert revised.preferred_origin.depth_km == 9.0
    assert (revised.revision, revised.review_state) == (2, "reviewed")
    assert manual(catalog) == 1
    with pytest.raises(Outdated, match="revision 2"):
        amendments.amend(held, state="reviewed", revision=1, **ANNA)
    assert found(catalog, make_event(depth_km=3.0)) == [event_id]
    assert catalog.event(event_id).preferred_origin.depth_km == 9.0
    assert amendments.undo(event_id, actor="ben") == (event_id,)
    assert said([catalog.event(event_id)]) == said([held])
    assert catalog.event(event_id).review_state == "automatic"
    assert manual(catalog) == 0
    amendments.undo(event_id, actor="ben", reason="right after all")
    assert said([catalog.event(event_id)]) == said([revised])
    assert manual(catalog) == 1
    history = amendments.history(event_id)
    assert [(one.revision, one.actor, one.reason) for one in history] == [
        (4, "ben", "right after all"), (3, "ben", "undone"), (2, "anna", "looked at it"),
        (1, "", "found"),
    ]  # fmt: skip
    assert [one.run_kind for one in history] == ["review"] * 3 + ["locate"]
    assert catalog.event(event_id, as_of=history[2].time) == revised


def test_nothing_automatic_can_be_undone(catalog: Catalog) -> None:
    amendments = Amendments(catalog.database)
    [event_id] = found(catalog, make_event())
    with pytest.raises(StoreError, match="nothing can be undone"):
        amendments.undo(event_id, actor="anna")
    with pytest.raises(StoreError, match="no such event"):
        amendments.undo("gm2024nothing", actor="anna")


def test_events_are_made_and_unmade(catalog: Catalog) -> None:
    amendments = Amendments(catalog.database)
    made = amendments.create(moved(make_event()), **ANNA)
    assert catalog.event(made).review_state == "reviewed"
    assert found(catalog, make_event()) == [made]
    amendments.undo(made, actor="anna")
    assert catalog.event(made) is None
    assert manual(catalog) == 0
    assert [one.event_ids for one in amendments.actions()] == [(made,), (made,)]
    assert [one.is_latest for one in amendments.actions()] == [True, False]
    amendments.undo(made, actor="anna")
    assert catalog.event(made).revision == 3
    amendments.undo(made, actor="anna")
    assert found(catalog, make_event()) == [made]


def test_merged_events_lead_to_one_and_stay_merged(catalog: Catalog) -> None:
    amendments = Amendments(catalog.database)
    automatic = [make_event(100.0), make_event(140.0, first_station=6, latitude=64.3)]
    one, two = found(catalog, *automatic)
    joint = replace(make_event(100.0, depth_km=6.0), event_id=one)
    amendments.merge(joint, [(two, 1)], revision=1, **ANNA)
    assert catalog.event(two).event_id == one
    assert found(catalog, *automatic) == [one]
    assert sorted(amendments.undo(one, actor="anna")) == sorted([one, two])
    assert found(catalog, *automatic) == [one, two]
    assert catalog.event(two).event_id == two
    amendments.undo(two, actor="anna")
    assert catalog.event(two).event_id == one


def test_a_split_event_is_not_found_again_as_one(catalog: Catalog) -> None:
    amendments = Amendments(catalog.database)
    [event_id] = found(catalog, make_event(n_stations=8))
    held = catalog.event(event_id)
    stays = replace(make_event(n_stations=4), event_id=event_id)
    leaves = make_event(n_stations=4, first_station=4, latitude=64.4)
    same, new = amendments.split(stays, leaves, revision=1, **ANNA)
    assert same == event_id
    assert set(found(catalog, held)) == {event_id, new}
    catalog.review(new, "confirmed", actor="ben")
    with pytest.raises(Outdated, match="changed since"):
        amendments.undo(event_id, actor="anna")
    amendments.undo(new, actor="ben")
    amendments.comment(event_id, actor="ben", reason="two, clearly")
    assert amendments.history(event_id)[0].reason == "two, clearly"


def test_a_new_event_beside_a_reviewed_one_is_still_found(catalog: Catalog) -> None:
    [event_id] = found(catalog, make_event())
    catalog.review(event_id, "confirmed", actor="anna")
    other = make_event(900.0, first_station=3, latitude=63.9)
    assert len(found(catalog, make_event(), other)) == 2
