"""What analysts did becomes labels, with who and why; what nobody looked at is weak or in doubt."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from geomon.events import Arrival, Event
from geomon.services.labelling import labels_of
from geomon.services.workspace import workspace
from geomon.stores.amending import Amendments
from geomon.stores.catalog import Catalog
from geomon.stores.verdicts import Verdicts
from geomon.times import to_ns
from geomon.training.dataset import Label, Tally
from tests.networks import simulated
from tests.stores.events import HOUR, STREAMS, make_event, make_pick


def manual(arrival: Arrival, later_s: float) -> Arrival:
    pick = replace(
        arrival.pick,
        time=arrival.pick.time + timedelta(seconds=later_s),
        picker="ada",
        evaluation_mode="manual",
        probability=float("nan"),
    )
    return replace(arrival, pick=pick)


def amended(event: Event, arrivals: tuple[Arrival, ...]) -> Event:
    return replace(event, preferred_origin=replace(event.preferred_origin, arrivals=arrivals))


def catalogue(folder: Path) -> tuple[Catalog, list[Event]]:
    config = simulated(folder)
    catalog = workspace(config).catalog
    events = [make_event(seconds) for seconds in (100, 400, 700, 1000)]
    picks = [pick for event in events for pick in event.picks]
    lonely = make_pick(2000.0, STREAMS[0])
    run = catalog.begin_run("pick")
    for stream in STREAMS:
        of_stream = [p for p in [*picks, lonely] if p.seed_id.stream_id == stream]
        catalog.replace_picks(stream, HOUR, of_stream, run)
    catalog.replace_events(HOUR, events, catalog.begin_run("locate"))
    return catalog, list(catalog.events(HOUR.start, HOUR.end))


def found(folder: Path, tally: Tally | None = None) -> list[Label]:
    return labels_of(simulated(folder), HOUR, tally or Tally())


def test_picks_that_were_moved_added_and_taken_off_become_labels(tmp_path: Path) -> None:
    catalog, [_, event, *_] = catalogue(tmp_path)
    moved, taken, *rest = event.arrivals
    extra = manual(replace(rest[-1], pick=make_pick(409.0, STREAMS[9], "S")), 0.0)
    Amendments(catalog.database).amend(
        amended(event, (manual(moved, 0.3), *rest, extra)),
        state="reviewed", actor="ada", reason="P was late", revision=event.revision,
    )  # fmt: skip
    labels = [one for one in found(tmp_path) if one.actor]
    assert Counter(one.kind for one in labels) == {"manual": 2, "reviewed": 10, "rejected": 1}
    by_time = {one.time_ns: one for one in found(tmp_path)}
    assert to_ns(moved.pick.time) not in by_time
    late = by_time[to_ns(moved.pick.time) + 300_000_000]
    assert (late.kind, late.actor, late.reason) == ("manual", "ada", "P was late")
    assert late.event_id == event.event_id
    assert late.residual_s == moved.residual_s
    gone = by_time[to_ns(taken.pick.time)]
    assert (gone.kind, gone.phase, gone.actor) == ("rejected", taken.pick.phase, "ada")
    assert by_time[to_ns(extra.pick.time)].kind == "manual"


def test_a_rejected_event_teaches_noise_and_a_confirmed_one_onsets(tmp_path: Path) -> None:
    catalog, [first, second, *_] = catalogue(tmp_path)
    catalog.review(first.event_id, "rejected", actor="bob", reason="a quarry's crusher")
    catalog.review(second.event_id, "confirmed", actor="ada")
    labels = found(tmp_path)
    rejected = [one for one in labels if one.kind == "rejected"]
    assert {one.time_ns for one in rejected} == {to_ns(pick.time) for pick in first.picks}
    assert {(one.actor, one.reason) for one in rejected} == {("bob", "a quarry's crusher")}
    reviewed = [one for one in labels if one.kind == "reviewed"]
    assert {one.time_ns for one in reviewed} == {to_ns(pick.time) for pick in second.picks}
    assert {one.event_id for one in reviewed} == {second.event_id}


def test_verdicts_on_single_picks_count(tmp_path: Path) -> None:
    catalog, [first, *_] = catalogue(tmp_path)
    verdicts = Verdicts(catalog.database)
    wrong, right, open_ = (arrival.pick for arrival in first.arrivals[-3:])
    verdicts.judge(wrong, "wrong", actor="ada", reason="a door")
    verdicts.judge(right, "correct", actor="ada")
    verdicts.judge(open_, "unsure", actor="ada")
    by_time = {one.time_ns: one for one in found(tmp_path)}
    assert by_time[to_ns(wrong.time)].kind == "rejected"
    assert by_time[to_ns(wrong.time)].reason == "a door"
    confirmed = by_time[to_ns(right.time)]
    assert (confirmed.kind, confirmed.event_id) == ("reviewed", first.event_id)
    assert by_time[to_ns(open_.time)].kind == "doubtful"


def test_what_nobody_looked_at_is_weak_where_it_is_certain_and_else_in_doubt(
    tmp_path: Path,
) -> None:
    catalogue(tmp_path)
    tally = Tally()
    labels = found(tmp_path, tally)
    kinds = Counter(one.kind for one in labels)
    assert kinds == {"automatic": 48, "doubtful": 1}
    assert all(not one.actor for one in labels)
    assert tally.kept["automatic labels"] == 48
    unsure = [replace(make_event(100), probability=0.6)]
    catalog = workspace(simulated(tmp_path)).catalog
    catalog.replace_events(HOUR, unsure, catalog.begin_run("locate"))
    assert {one.kind for one in found(tmp_path, tally)} == {"doubtful"}
    assert tally.dropped["automatic events that are not certain"] == 1
