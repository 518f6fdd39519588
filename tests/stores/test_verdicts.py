"""People judge picks; what needs a look comes first."""

from dataclasses import replace

import pytest

from geomon.errors import StoreError
from geomon.stores.catalog import Catalog
from geomon.stores.verdicts import Verdicts
from tests.stores.events import HOUR, STREAMS, make_event, make_pick

THRESHOLDS = {"P": 0.3, "S": 0.3}


def test_the_least_sure_picks_come_first_until_judged(catalog: Catalog) -> None:
    verdicts = Verdicts(catalog.database)
    picks = [make_pick(10, probability=0.9), make_pick(20, probability=0.32),
             make_pick(30, probability=0.5)]  # fmt: skip
    catalog.replace_picks(STREAMS[0], HOUR, picks, catalog.begin_run("pick"))

    def queue() -> list[float]:
        return [p.probability for p, _ in verdicts.doubtful_picks(HOUR, THRESHOLDS, limit=10)]

    assert queue() == [0.32, 0.5, 0.9]
    verdicts.judge(picks[1], "wrong", actor="anna", reason="a truck")
    assert queue() == [0.5, 0.9]
    verdicts.judge(picks[1], "correct", actor="ben")
    [verdict] = verdicts.find(HOUR)
    assert (verdict.pick, verdict.verdict, verdict.actor) == (picks[1], "correct", "ben")
    assert verdicts.find(HOUR, stream_id=STREAMS[1]) == []
    with pytest.raises(StoreError, match="no P pick"):
        verdicts.judge(make_pick(11), "wrong", actor="anna")


def test_the_least_probable_events_come_first_until_reviewed(catalog: Catalog) -> None:
    verdicts = Verdicts(catalog.database)
    events = [
        replace(make_event(200.0 * k, first_station=k), probability=likely)
        for k, likely in enumerate((0.99, 0.51, 0.8), start=1)
    ]
    catalog.replace_events(HOUR, events, catalog.begin_run("locate"))
    ids = catalog.events().event_ids
    assert verdicts.doubtful_events(HOUR, limit=5) == [ids[1], ids[2], ids[0]]
    n_before = len(verdicts.doubtful_picks(HOUR, THRESHOLDS, limit=500))
    catalog.review(ids[1], "confirmed", actor="anna")
    assert verdicts.doubtful_events(HOUR, limit=5) == [ids[2], ids[0]]
    left = verdicts.doubtful_picks(HOUR, THRESHOLDS, limit=500)
    assert len(left) == n_before - len(catalog.event(ids[1]).picks)
    assert {event_id for _, event_id in left} == {ids[0], ids[2]}
