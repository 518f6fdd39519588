"""What the page shows of one station, and the coverage of all."""

import numpy as np

from geomon.services.shares import percent
from geomon.times import NS_PER_S, TimeSpan
from tests.api.network import OUTAGE, SPAN

TIMES = {"start": "2024-03-05T06:00:00", "end": "2024-03-05T06:15:00"}


def test_a_station_is_described_with_its_sensors(client):
    station = client.get("/api/stations/XX.GM03").json()
    assert station["id"] == "XX.GM03"
    [sensor, *_] = station["sensors"]
    assert sensor["first_day"] == "2024-03-05"
    assert sensor["components"] == ["E", "N", "Z"]
    assert client.get("/api/stations/XX.NONE").status_code == 404
    assert client.get("/api/stations/nonsense").status_code == 400


def test_picks_are_counted_and_residuals_listed(client, space):
    activity = client.get("/api/stations/XX.GM03/activity", params=TIMES).json()
    rate = activity["rate"]
    picks = space.catalog.picks(SPAN, stations=("XX.GM03",))
    assert rate["step_s"] == 300
    assert sum(rate["p"]) + sum(rate["s"]) == len(picks)
    assert len(activity["residuals"]) == len(picks)
    assert all(abs(one["residual_s"]) <= 0.08 for one in activity["residuals"])
    too_long = {"start": "2020-01-01", "end": "2024-01-01"}
    assert client.get("/api/stations/XX.GM03/activity", params=too_long).status_code == 400


def test_a_drum_shows_a_day_with_its_gaps(client):
    asked = {"day": "2024-03-05", "bins": 600}
    drum = client.get("/api/stations/XX.GM03/drum", params=asked).json()
    assert len(drum["lines"]) == 24
    line = drum["lines"][6]
    assert len(line["low"]) == 600
    has_data = np.array([value is not None for value in line["low"]])
    minute = 10
    assert has_data[: 3 * minute].all()
    start = (OUTAGE.start_ns - SPAN.start_ns) // NS_PER_S // 6
    assert not has_data[start + 1 : start + 9].any()
    assert not has_data[13 * minute :].any()
    assert all(value is None for value in drum["lines"][5]["high"])
    assert client.get("/api/stations/XX.GM03/drum?stream=XX.GM03.99.HH").status_code == 404


def test_the_grid_tells_what_was_watched(client):
    grid = client.get("/api/coverage/grid", params=TIMES).json()
    assert (grid["step_s"], grid["n_steps"]) == (300, 3)
    rows = {row["id"]: row for row in grid["rows"]}
    assert len(rows) == 8
    assert rows["XX.GM01"]["archived"] == [100, 100, 40]
    assert rows["XX.GM03"]["archived"] == [80, 100, 40]
    assert rows["XX.GM01"]["located"][:2] == [100, 100]
    assert rows["XX.GM01"]["located"][2] == 0
    days = client.get("/api/coverage/grid", params={**TIMES, "step": "day"}).json()
    assert days["n_steps"] == 1
    assert rows["XX.GM01"]["archived"] != days["rows"][0]["archived"]
    too_many = {"start": "2010-01-01", "end": "2015-01-01", "step": "hour"}
    assert client.get("/api/coverage/grid", params=too_many).status_code == 413


def test_the_backfill_grid_tells_what_is_left_to_do(client):
    found = client.get("/api/backfill/grid", params=TIMES).json()
    assert found["days"] == ["2024-03-05"]
    states = {(row["key"], row["stage"]): found["signs"][row["states"]] for row in found["rows"]}
    assert {stage for _, stage in states} == {"fetch", "pick", "locate"}
    assert set(states.values()) <= {"done", "missing", "stale", "nodata", "failed"}


def test_percentages_never_hide_a_little_or_a_little_missing():
    hour = 3600 * NS_PER_S
    span = TimeSpan(0, 4 * hour)
    spans = [TimeSpan(0, hour), TimeSpan(hour + 1, hour + NS_PER_S),
             TimeSpan(2 * hour, 3 * hour - 60 * NS_PER_S)]  # fmt: skip
    assert percent(spans, span, hour).tolist() == [100, 1, 98, 0]
    assert percent([], span, hour).tolist() == [0, 0, 0, 0]
    part = TimeSpan(hour // 2, 2 * hour + hour // 2)
    assert percent([TimeSpan(0, 2 * hour)], part, hour).tolist() == [100, 100, 0]


def test_events_come_in_columns_for_the_map(client, space):
    found = client.get("/api/eventcolumns", params=TIMES).json()
    events = space.catalog.events(order_by="-time")
    assert found["n_events"] == len(events) == len(found["time_ms"])
    assert found["columns"]["event_id"] == list(events.event_ids)
    assert all(len(column) == len(events) for column in found["columns"].values())
    first = events[0]
    assert found["columns"]["longitude"][0] == round(first.preferred_origin.longitude, 5)
    state = found["names"]["review_state"][found["columns"]["review_state"][0]]
    assert state == first.review_state
    assert client.get("/api/eventcolumns?start=2020-01-01&end=2020-01-02").json()["n_events"] == 0
