"""Files made of events and picks."""

import csv
import io
import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from pyarrow import parquet

from geomon.stores.catalog import Catalog
from geomon.stores.eventlist import EVENT_COLUMNS, PICK_COLUMNS, EventList
from geomon.stores.exports import export, picks_to_csv, to_csv, to_geojson, to_parquet, to_table
from tests.stores.events import HOUR, make_event, many_events


@pytest.fixture
def events(catalog: Catalog) -> EventList:
    event = make_event(1800.25, value=None)
    origin = replace(event.preferred_origin, rms_s=math.nan, depth_km=math.nan)
    catalog.replace_events(
        HOUR, [*many_events(3), replace(event, preferred_origin=origin)],
        catalog.begin_run("locate"),
    )  # fmt: skip
    return catalog.events()


def test_csv(events: EventList) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(events).decode())))
    assert tuple(rows[0]) == EVENT_COLUMNS
    assert rows[0]["time"] == "2026-07-04T17:10:00.000000Z"
    assert float(rows[0]["latitude"]) == events.summaries[0].latitude
    assert [row["magnitude"] == "" for row in rows] == [False, False, True, False]
    assert rows[2]["rms_s"] == rows[2]["depth_km"] == ""
    assert to_csv(list(events)) == to_csv(events)


def test_geojson(events: EventList) -> None:
    collection = json.loads(to_geojson(events))
    first, third = collection["features"][0], collection["features"][2]
    assert first["id"] == events.event_ids[0]
    assert first["geometry"]["coordinates"][2] == -1000 * first["properties"]["depth_km"]
    assert len(third["geometry"]["coordinates"]) == 2
    assert third["properties"]["magnitude"] is None


def test_parquet(events: EventList) -> None:
    content = to_parquet(events)
    table = parquet.read_table(io.BytesIO(content))
    assert table.column_names == [*EVENT_COLUMNS, "geometry"]
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["columns"]["geometry"]["encoding"] == "WKB"
    frame = pd.read_parquet(io.BytesIO(content))
    assert frame.time[0] == events.summaries[0].time
    assert frame.magnitude.isna().tolist() == [False, False, True, False]


def test_nothing_is_still_a_file(catalog: Catalog) -> None:
    nothing = catalog.events()
    assert to_csv(nothing).decode().strip() == ",".join(EVENT_COLUMNS)
    assert json.loads(to_geojson(nothing))["features"] == []
    assert parquet.read_table(io.BytesIO(to_parquet(nothing))).num_rows == 0
    assert b"<event " not in export(nothing, "quakeml")
    assert to_table(nothing).startswith("event")


def test_every_format(events: EventList) -> None:
    assert export(events, "csv") == to_csv(events)
    assert export(events, "quakeml").count(b"<event ") == 4


def test_table(events: EventList) -> None:
    lines = to_table(events).splitlines()
    assert len(lines) == 5
    assert "ML" in lines[1]
    assert " - " in lines[3]


def test_picks(catalog: Catalog, events: EventList) -> None:
    picks = catalog.picks(HOUR)
    rows = list(csv.DictReader(io.StringIO(picks_to_csv(picks).decode())))
    assert tuple(rows[0]) == PICK_COLUMNS
    assert len(rows) == len(picks) == 48
    assert {row["event_id"] for row in rows} == set(events.event_ids)
    assert rows[0]["channel"] in ("HHZ", "HHN")
