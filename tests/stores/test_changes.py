"""What became of events since an instant, and reads that end in time; on both databases."""

from dataclasses import replace

import pytest

from geomon.errors import StoreTimeout
from geomon.stores.catalog import Catalog
from geomon.stores.patience import reads_within
from tests.stores.events import HOUR, make_event, many_events


def located(catalog: Catalog, *events) -> None:
    catalog.replace_events(HOUR, events, catalog.begin_run("locate"))


def told(catalog: Catalog, since_ns: int) -> dict[str, str]:
    return {change.event_id: change.what for change in catalog.changes(since_ns)}


def test_each_event_is_told_once_as_it_is_now(catalog: Catalog) -> None:
    start_ns = catalog.clock_ns()
    assert catalog.changes(start_ns) == []
    first, second, third = many_events(3)
    located(catalog, first, second)
    both_ns = catalog.clock_ns()
    one, two = catalog.events().event_ids
    assert told(catalog, start_ns) == {one: "created", two: "created"}
    assert {change.stamp_ns for change in catalog.changes(start_ns)} == {both_ns}
    moved = replace(first, preferred_origin=replace(first.preferred_origin, rms_s=0.5))
    located(catalog, moved, third)
    [*_, three] = catalog.events().event_ids
    assert told(catalog, both_ns) == {one: "updated", two: "withdrawn", three: "created"}
    # Whoever never heard of the second event hears that it is gone; of the first that it is there.
    assert told(catalog, start_ns) == {one: "created", two: "withdrawn", three: "created"}
    [change] = [change for change in catalog.changes(both_ns) if change.event_id == one]
    assert change.summary == catalog.events().summaries[0]
    assert (change.revision, change.merged_into) == (2, None)
    catalog.review(three, "rejected", actor="anna")
    assert told(catalog, both_ns)[three] == "withdrawn"
    catalog.review(three, "confirmed", actor="anna")
    assert told(catalog, both_ns)[three] == "created"
    assert catalog.changes(catalog.clock_ns()) == []


def test_too_much_is_not_told(catalog: Catalog) -> None:
    located(catalog, *many_events(3))
    assert catalog.changes(0, limit=2) is None
    assert len(catalog.changes(0, limit=3)) == 3
    assert catalog.changes(0, catalog="imported") == []


@pytest.mark.fault(52)
def test_a_statement_that_takes_too_long_is_stopped(catalog: Catalog) -> None:
    slow = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
        "SELECT max(i) FROM n"
    )
    with (
        pytest.raises(StoreTimeout),
        reads_within(0.2),
        catalog.database.read() as connection,
    ):
        connection.exec_driver_sql(slow)
    located(catalog, make_event())  # the connection goes on
    with reads_within(5.0):
        assert len(catalog.events()) == 1
