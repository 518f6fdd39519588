"""The catalogue keeps, versions and finds picks and events."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from geomon.errors import DataError, StoreError
from geomon.ids import StreamId
from geomon.stores.amending import Amendments
from geomon.stores.catalog import Catalog
from geomon.stores.queries import Circle, EventQuery
from geomon.times import TimeSpan
from tests.stores.events import (
    HOUR,
    STREAMS,
    T0,
    at,
    dump,
    make_event,
    make_pick,
    many_events,
    said,
)


def test_events_come_back_as_they_went_in(catalog: Catalog) -> None:
    events = many_events(7)
    change = catalog.replace_events(HOUR, events, catalog.begin_run("locate"))
    assert len(change.created) == 7
    found = catalog.events(T0, T0 + timedelta(hours=1))
    assert said(found) == said(events)
    assert {event.event_id for event in found} == set(change.created)
    assert all(event.run.startswith("locate-") and event.revision == 1 for event in found)


def test_doing_it_twice_changes_no_row(catalog: Catalog) -> None:
    events = many_events(5)
    picks = [p for e in events for p in e.picks if p.seed_id.stream_id == STREAMS[3]]
    for _ in range(2):
        run = catalog.begin_run("pick")
        catalog.replace_picks(STREAMS[3], HOUR, picks, run)
        catalog.replace_events(HOUR, list(reversed(events)), run)
        catalog.finish_run(run)
        rows = dump(catalog)
    run = catalog.begin_run("again")
    assert catalog.replace_picks(STREAMS[3], HOUR, picks, run).added == 0
    assert len(catalog.replace_events(HOUR, events, run).unchanged) == 5
    catalog.finish_run(run)
    assert dump(catalog) == rows
    assert [row[2] for row in rows["run"]] == ["pick"]


def test_picks_are_replaced_within_the_span_only(catalog: Catalog) -> None:
    run = catalog.begin_run("pick")
    first = [make_pick(second) for second in (10, 20, 30)]
    catalog.replace_picks(STREAMS[0], HOUR, first, run)
    part = TimeSpan.between(at(15), at(30))
    change = catalog.replace_picks(STREAMS[0], part, [make_pick(20, probability=0.5)], run)
    assert (change.added, change.removed) == (1, 1)
    assert [p.probability for p in catalog.picks(HOUR)] == [0.9, 0.5, 0.9]


def test_picks_of_the_past_stay_readable(catalog: Catalog) -> None:
    catalog.replace_picks(STREAMS[0], HOUR, [make_pick(10)], catalog.begin_run("pick"))
    event = catalog.replace_events(HOUR, [make_event()], catalog.begin_run("locate")).created[0]
    then = catalog.event(event).valid_from
    catalog.replace_picks(STREAMS[0], HOUR, [], catalog.begin_run("pick"))
    assert not [p for p in catalog.picks(HOUR) if p.seed_id.stream_id == STREAMS[0]]
    assert make_pick(10) in catalog.picks(HOUR, as_of=then)
    assert said([catalog.event(event)]) == said([make_event()])


def test_manual_picks_are_not_touched(catalog: Catalog) -> None:
    manual = replace(make_event(), preferred_origin=replace(make_event().preferred_origin))
    arrivals = [
        replace(a, pick=replace(a.pick, picker="anna", evaluation_mode="manual"))
        for a in manual.arrivals
    ]
    origin = replace(manual.preferred_origin, arrivals=tuple(arrivals))
    catalog.replace_events(
        HOUR, [replace(manual, preferred_origin=origin)], catalog.begin_run("locate")
    )
    catalog.replace_picks(STREAMS[0], HOUR, [], catalog.begin_run("pick"))
    assert len(catalog.picks(HOUR, mode="manual")) == 12


@pytest.mark.parametrize(
    ("pick", "problem"),
    [
        (make_pick(10, STREAMS[1]), "is not of GM.ST00..HH"),
        (make_pick(4000), "is not of GM.ST00..HH"),
        (make_pick(10, mode="manual"), "is not automatic"),
    ],
)
def test_picks_that_do_not_belong_are_refused(catalog: Catalog, pick, problem) -> None:
    with pytest.raises(DataError, match=problem):
        catalog.replace_picks(STREAMS[0], HOUR, [pick], catalog.begin_run("pick"))
    twice = [make_pick(10), make_pick(10, probability=0.4)]
    with pytest.raises(DataError, match="two P picks at"):
        catalog.replace_picks(STREAMS[0], HOUR, twice, catalog.begin_run("pick"))
    assert not any(dump(catalog)["run"])


def test_pick_filters(catalog: Catalog) -> None:
    run = catalog.begin_run("pick")
    other = StreamId("XX", "ABCDE", "00", "EH")
    catalog.replace_picks(
        STREAMS[0], HOUR, [make_pick(10), make_pick(12, phase="S", probability=0.4)], run
    )
    catalog.replace_picks(other, HOUR, [make_pick(11, other)], run)
    assert [str(p.seed_id) for p in catalog.picks(HOUR)] == [
        "GM.ST00..HHZ", "XX.ABCDE.00.EHZ", "GM.ST00..HHN",
    ]  # fmt: skip
    assert len(catalog.picks(HOUR, stations=("XX.*",))) == 1
    assert len(catalog.picks(HOUR, stream_id=STREAMS[0])) == 2
    assert len(catalog.picks(HOUR, phase="S")) == 1
    assert len(catalog.picks(HOUR, min_probability=0.5)) == 2
    assert len(catalog.picks(HOUR, stations=("NO.*",))) == 0
    assert list(catalog.picks(HOUR).to_pandas().columns)[-1] == "event_id"


def test_picks_know_their_event(catalog: Catalog) -> None:
    [event_id] = catalog.replace_events(HOUR, [make_event()], catalog.begin_run("locate")).created
    run = catalog.begin_run("pick")
    catalog.replace_picks(STREAMS[11], HOUR, [make_pick(50, STREAMS[11])], run)
    used = catalog.picks(HOUR).event_ids()
    assert sorted(set(used)) == ["", event_id]
    assert used.count("") == 1


def test_a_new_solution_is_a_new_revision_of_the_same_event(catalog: Catalog) -> None:
    [event_id] = catalog.replace_events(HOUR, [make_event()], catalog.begin_run("a")).created
    before = catalog.event(event_id)
    moved = make_event(100.4, latitude=64.06, value=1.9)
    change = catalog.replace_events(HOUR, [moved], catalog.begin_run("b"))
    assert change.updated == (event_id,)
    assert said([catalog.event(event_id)]) == said([moved])
    assert catalog.event(event_id).revision == 2
    assert catalog.event(event_id, as_of=before.valid_from) == before
    assert catalog.events(as_of=before.valid_from)[0] == before
    assert [event.revision for event in catalog.revisions(event_id)] == [1, 2]


def test_an_event_not_found_again_is_withdrawn_and_can_come_back(catalog: Catalog) -> None:
    [event_id] = catalog.replace_events(HOUR, [make_event()], catalog.begin_run("a")).created
    then = catalog.event(event_id).valid_from
    assert catalog.replace_events(HOUR, [], catalog.begin_run("b")).withdrawn == (event_id,)
    assert catalog.event(event_id) is None
    assert len(catalog.events()) == 0
    assert len(catalog.events(as_of=then)) == 1
    change = catalog.replace_events(HOUR, [make_event()], catalog.begin_run("c"))
    assert change.updated == (event_id,)
    assert said([catalog.event(event_id)]) == said([make_event()])


def test_another_picker_finds_the_same_event(catalog: Catalog) -> None:
    [event_id] = catalog.replace_events(HOUR, [make_event()], catalog.begin_run("a")).created
    again = make_event(109.0, latitude=64.5, pick_shift_s=-8.8, picker="other-9f")
    assert catalog.replace_events(HOUR, [again], catalog.begin_run("b")).updated == (event_id,)


def test_two_events_of_a_swarm_stay_two(catalog: Catalog) -> None:
    tiles = [TimeSpan.between(at(0), at(600)), TimeSpan.between(at(600), at(1200))]
    one, two = make_event(599.5), make_event(600.7, first_station=6)
    for _ in range(2):
        for tile, event in zip(tiles, (one, two), strict=True):
            catalog.replace_events(tile, [event], catalog.begin_run("locate"))
    assert said(catalog.events()) == said([one, two])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_event_that_moves_over_a_tile_edge_is_not_doubled(catalog: Catalog, order) -> None:
    tiles = [TimeSpan.between(at(0), at(600)), TimeSpan.between(at(600), at(1200))]
    [event_id] = catalog.replace_events(
        tiles[0], [make_event(599.9)], catalog.begin_run("a")
    ).created
    moved = {0: [], 1: [make_event(600.1, pick_shift_s=-0.2)]}
    for index in order:
        catalog.replace_events(tiles[index], moved[index], catalog.begin_run("b"))
    assert catalog.events().event_ids == (event_id,)
    rows = dump(catalog)
    for index in order:
        catalog.replace_events(tiles[index], moved[index], catalog.begin_run("c"))
    assert dump(catalog) == rows


def test_an_origin_outside_its_tile_still_belongs_to_it(catalog: Catalog) -> None:
    tile, after = TimeSpan.between(at(0), at(600)), TimeSpan.between(at(600), at(1200))
    catalog.replace_events(tile, [make_event(600.3)], catalog.begin_run("a"))
    assert catalog.replace_events(after, [], catalog.begin_run("b")).withdrawn == ()
    assert len(catalog.replace_events(tile, [], catalog.begin_run("c")).withdrawn) == 1


def test_the_difference_between_two_days(catalog: Catalog) -> None:
    before, after = many_events(3), [*many_events(3)[1:], make_event(3000.0)]
    deeper = replace(after[0], preferred_origin=replace(after[0].preferred_origin, depth_km=9.0))
    catalog.replace_events(HOUR, before, catalog.begin_run("a"))
    then = catalog.events()[0].valid_from
    catalog.replace_events(HOUR, [deeper, *after[1:]], catalog.begin_run("b"))
    changes = catalog.diff(then)
    assert [(one.kind, one.columns) for one in changes] == [
        ("removed", ()), ("changed", ("depth_km",)), ("added", ()),
    ]  # fmt: skip
    assert catalog.diff(then, then) == []
    assert [one.kind for one in catalog.diff(then, query=EventQuery(start=at(2900)))] == ["added"]


def test_merged_events_lead_to_the_one_that_took_over(catalog: Catalog) -> None:
    halves = [make_event(100, n_stations=4), make_event(101, first_station=4, n_stations=3)]
    ids = catalog.replace_events(HOUR, halves, catalog.begin_run("a")).created
    whole = replace(
        halves[0],
        preferred_origin=replace(
            halves[0].preferred_origin, arrivals=halves[0].arrivals + halves[1].arrivals
        ),
    )
    change = catalog.replace_events(HOUR, [whole], catalog.begin_run("b"))
    assert set(change.updated + change.withdrawn) == set(ids)
    assert catalog.event(change.withdrawn[0]).event_id == change.updated[0]
    history = Amendments(catalog.database).history(change.withdrawn[0])
    assert [one.reason for one in history] == [f"merged into {change.updated[0]}", "found"]


def test_what_people_decided_stands(catalog: Catalog) -> None:
    ids = catalog.replace_events(HOUR, many_events(3), catalog.begin_run("a")).created
    by_time = [event.event_id for event in catalog.events()]
    assert set(ids) == set(by_time)
    confirmed = catalog.review(by_time[0], "confirmed", actor="anna", reason="felt")
    assert (confirmed.review_state, confirmed.revision) == ("confirmed", 2)
    catalog.review(by_time[1], "rejected", actor="anna", reason="quarry")
    rows = dump(catalog)
    catalog.review(by_time[1], "rejected", actor="anna", reason="quarry")
    assert dump(catalog) == rows
    shifted = [
        replace(e, preferred_origin=replace(e.preferred_origin, depth_km=9.0))
        for e in many_events(3)
    ]
    change = catalog.replace_events(HOUR, shifted, catalog.begin_run("b"))
    assert change.updated == (by_time[2],)
    assert catalog.event(by_time[0]) == confirmed
    assert catalog.events().event_ids == (by_time[0], by_time[2])
    assert catalog.replace_events(HOUR, [], catalog.begin_run("c")).withdrawn == (by_time[2],)
    assert len(catalog.events(include_rejected=True)) == 2
    with pytest.raises(StoreError, match="gm1999nothing: no such event"):
        catalog.review("gm1999nothing", "confirmed", actor="anna")


def test_digest_says_what_the_catalogue_says_and_nothing_else(
    catalog: Catalog, tmp_path: Path
) -> None:
    events = many_events(4)
    catalog.replace_events(HOUR, events, catalog.begin_run("a"))
    other = Catalog.open(f"sqlite:///{tmp_path}/other.sqlite")
    other.replace_events(HOUR, events[:2], other.begin_run("x"))
    assert other.digest(HOUR) != catalog.digest(HOUR)
    other.replace_events(HOUR, [], other.begin_run("x"))
    other.replace_events(HOUR, events, other.begin_run("y"))
    for stream_id in STREAMS:
        wanted = [p for e in events for p in e.picks if p.seed_id.stream_id == stream_id]
        other.replace_picks(stream_id, HOUR, wanted, other.begin_run("y"))
    assert other.digest(HOUR) == catalog.digest(HOUR)
    assert other.picks_digest(HOUR) == catalog.picks_digest(HOUR)
    other.close()


def test_event_filters(catalog: Catalog) -> None:
    events = [
        make_event(100, latitude=64.0, longitude=-21.0, depth_km=2.0, value=0.5),
        make_event(
            200, latitude=-17.5, longitude=179.9, depth_km=550.0, value=6.1, first_station=3
        ),
        make_event(300, latitude=-17.5, longitude=-179.9, depth_km=10.0, value=5.0),
        make_event(400, latitude=-17.5, longitude=180.0, depth_km=20.0, value=None),
    ]
    catalog.replace_events(HOUR, events, catalog.begin_run("locate"))
    seconds = lambda **query: [  # noqa: E731
        (summary.time - T0).total_seconds() for summary in catalog.events(**query).summaries
    ]
    assert seconds() == [100, 200, 300, 400]
    assert seconds(start="2026-07-04T17:03:20", end=at(300)) == [200]
    assert seconds(bbox=(179.5, -20, -179.5, -10)) == [200, 300, 400]
    assert seconds(bbox=(-180, -20, -179, -10)) == [300, 400]
    assert seconds(bbox=(-180, -90, 180, 90), min_magnitude=1) == [200, 300]
    assert seconds(circle=Circle(-17.5, 180.0, 0.09)) == [400]
    assert seconds(circle=Circle(-17.5, 180.0, 0.2, 0.05)) == [200, 300]
    assert seconds(circle=Circle(90.0, 0.0, 27.0)) == [100]
    assert seconds(circle=Circle(-17.5, 180.0, 1.0), limit=1, offset=1) == [300]
    assert seconds(max_magnitude=5.0) == [100, 300]
    assert seconds(min_depth_km=15, max_depth_km=100) == [400]
    assert seconds(magnitude_type="ml") == [100, 200, 300]
    assert seconds(order_by="-time", limit=2) == [400, 300]
    assert seconds(order_by="-magnitude") == [200, 300, 100, 400]
    assert seconds(order_by="-magnitude", limit=9) == [200, 300, 100, 400]
    assert seconds(order_by="-magnitude", limit=2, offset=2) == [100, 400]
    assert seconds(order_by="-magnitude", min_magnitude=1, limit=1) == [200]
    assert seconds(order_by="magnitude") == [100, 300, 200, 400]
    assert seconds(limit=2, offset=1) == [200, 300]
    assert seconds(offset=3) == [400]
    assert seconds(event_type="quarry blast") == []
    assert seconds(catalog="elsewhere") == []
    assert seconds(event_ids=catalog.events().event_ids[:1]) == [100]
    assert seconds(start="0001-01-01", end="9999-12-31", as_of="2999-01-01") == seconds()
    newest = catalog.events()[0].valid_from
    assert seconds(updated_after=newest) == []
    assert len(seconds(updated_after=newest - timedelta(seconds=1))) == 4
    assert catalog.count(EventQuery(min_magnitude=1.0, limit=1)) == 2
    assert catalog.count(EventQuery(circle=Circle(-17.5, 180.0, 1.0))) == 3
    assert catalog.span() == TimeSpan(HOUR.start_ns + 100 * 10**9, HOUR.start_ns + 400 * 10**9 + 1)


@pytest.mark.parametrize(
    "query",
    [
        {"bbox": (-200, 0, 0, 10)},
        {"bbox": (0, 10, 20, 0)},
        {"limit": -1},
        {"offset": -1},
        {"start": "yesterday"},
        {"start": "2026-07-05", "end": "2026-07-04T12:00:00"},
        {"min_magnitude": float("nan")},
        {"min_magnitude": 2.0, "max_magnitude": 1.0},
        {"min_depth_km": 20.0, "max_depth_km": 1.0},
    ],
)
def test_impossible_questions_are_refused(catalog: Catalog, query) -> None:
    with pytest.raises(DataError):
        catalog.events(**query)


def test_an_answer_does_not_change_under_its_reader(catalog: Catalog) -> None:
    catalog.replace_events(HOUR, [make_event()], catalog.begin_run("a"))
    answer = catalog.events()
    catalog.replace_events(HOUR, [], catalog.begin_run("b"))
    assert said(answer) == said([make_event()])
    assert said(answer[:1]) == said([answer[0]])


def test_tables(catalog: Catalog) -> None:
    catalog.replace_events(
        HOUR, [make_event(), make_event(300, value=None)], catalog.begin_run("a")
    )
    frame = catalog.events().to_pandas()
    assert list(frame.columns[:7]) == [
        "event_id", "time", "latitude", "longitude", "depth_km", "magnitude", "magnitude_type",
    ]  # fmt: skip
    assert frame.magnitude.isna().tolist() == [False, True]
    assert str(frame.time.dt.tz) == "UTC"
    assert len(catalog.events(start=at(5000)).to_pandas()) == 0
