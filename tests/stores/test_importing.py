"""Events of other catalogues, beside the own ones."""

from dataclasses import replace
from datetime import timedelta

import pytest

from geomon.errors import DataError
from geomon.stores.catalog import Catalog
from geomon.stores.exports import export
from geomon.stores.quakeml import write_quakeml
from geomon.stores.queries import OWN
from geomon.stores.relocating import HeldOrigin, other_origins
from tests.stores.events import HOUR, dump, make_event, many_events, said


def document(events) -> bytes:
    named = [replace(e, event_id=f"x{i}", review_state="reviewed") for i, e in enumerate(events)]
    return write_quakeml(named, agency="other")


def test_imported_events_keep_their_names_and_their_place(catalog: Catalog) -> None:
    events = many_events(3)
    report = catalog.import_quakeml(document(events), name="other.xml", catalog="other")
    assert len(report.created) == 3
    assert report.problems == ()
    assert catalog.names() == [OWN, "other"]
    assert len(catalog.events()) == 0
    found = catalog.events(catalog="other")
    assert said(found) == said(events)
    assert {event.review_state for event in found} == {"reviewed"}
    assert catalog.event("smi:other/event/x0") == found[0]
    assert catalog.picks(HOUR) == []
    assert catalog.event(report.created[0], as_of=found[0].valid_from - timedelta(days=1)) is None


def test_importing_again_changes_only_what_differs(catalog: Catalog) -> None:
    catalog.import_quakeml(document(many_events(3)), catalog="other")
    rows = dump(catalog)
    assert len(catalog.import_quakeml(document(many_events(3)), catalog="other").unchanged) == 3
    assert dump(catalog) == rows
    moved = [many_events(3)[0], make_event(700), many_events(3)[2]]
    report = catalog.import_quakeml(document(moved), catalog="other")
    assert (len(report.created), len(report.updated), len(report.unchanged)) == (0, 1, 2)
    assert len(catalog.revisions(report.updated[0])) == 2


def test_runs_leave_imported_events_alone(catalog: Catalog) -> None:
    catalog.import_quakeml(document(many_events(3)), catalog="other")
    change = catalog.replace_events(HOUR, many_events(3), catalog.begin_run("locate"))
    assert len(change.created) == 3
    assert catalog.replace_events(HOUR, [], catalog.begin_run("locate")).withdrawn != ()
    assert len(catalog.events(catalog=None)) == len(catalog.events(catalog="other")) == 3


def test_the_own_catalogue_is_not_for_imports(catalog: Catalog) -> None:
    with pytest.raises(DataError, match="holds what geomon finds itself"):
        catalog.import_quakeml(document(many_events(1)), catalog=OWN)


@pytest.mark.parametrize("name", ["", "all", "two words", "x" * 65])
def test_a_catalogue_needs_a_name_one_can_ask_for(catalog: Catalog, name: str) -> None:
    with pytest.raises(DataError, match="is no name of a catalogue"):
        catalog.import_quakeml(document(many_events(1)), catalog=name)


def test_events_nobody_could_know_again_are_left_out(catalog: Catalog) -> None:
    nameless = document(many_events(2)).replace(b'"smi:other/event/x1"', b'""')
    report = catalog.import_quakeml(nameless, catalog="other")
    assert len(report.created) == 1
    assert "has no publicID" in report.problems[0]


def test_events_keep_the_agency_they_come_from(catalog: Catalog) -> None:
    catalog.replace_events(HOUR, [make_event()], catalog.begin_run("locate"))
    catalog.import_quakeml(document(many_events(2)), catalog="other")
    catalog.import_quakeml(write_quakeml([make_event(9000)]), catalog="third", contributor="ISC")
    assert catalog.contributors() == ["geomon", "ISC", "other"]
    everything = catalog.events(catalog=None)
    sources = everything.contributions.values()
    assert sorted(source.agency for source in sources) == ["ISC", "other", "other"]
    assert {source.public_id for source in sources} >= {"smi:other/event/x0"}
    counts = {"isc": 1, "Other": 2, "GEOMON": 1, "nobody": 0}
    for name, count in counts.items():
        assert len(catalog.events(catalog=None, contributors=[name])) == count
    assert len(catalog.events(catalog=None, contributors=["geomon", "ISC"])) == 2
    written = export(everything, "quakeml")
    assert written.count(b"<agencyID>ISC</agencyID>") > 1
    rows = dump(catalog)
    known = export(catalog.events(catalog="other"), "quakeml")
    assert len(catalog.import_quakeml(known, catalog="other").unchanged) == 2
    catalog.import_quakeml(document(many_events(2)), catalog="other")
    assert dump(catalog) == rows
    catalog.import_quakeml(document(many_events(2)), catalog="other", contributor="INGV")
    assert catalog.contributors() == ["geomon", "INGV", "ISC"]


def test_origins_that_are_not_preferred_come_along(catalog: Catalog) -> None:
    event = replace(make_event(), event_id="x0")
    beside = replace(event.preferred_origin, latitude=64.5, method="double-difference")
    made_at = event.preferred_origin.time
    held = HeldOrigin(beside, "relocate-1", False, None, made_at)
    content = write_quakeml([event], agency="other", others=lambda _event: [held])
    for _ in range(2):
        catalog.import_quakeml(content, catalog="other")
    [read] = catalog.events(catalog="other")
    assert [one.origin for one in other_origins(catalog.database, read)] == [beside]
    assert len(read.arrivals) == len(beside.arrivals) > 0
    assert catalog.picks(HOUR) == []
