"""Files made of events and picks."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from obspy import read_events
from obspy.io.quakeml.core import _validate
from pyarrow import parquet

from geomon.stations import Credit
from geomon.stores.catalog import Catalog
from geomon.stores.eventlist import PICK_COLUMNS, EventList
from geomon.stores.exports import export, picks_to_csv, to_csv, to_geojson, to_parquet, to_table
from geomon.stores.summary import EVENT_COLUMNS
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


CREDIT = Credit("XX", "Test Net", "10.7914/SN/XX", "Test & Co. (2020)", "CC-BY-4.0")


def test_whose_data_they_are_travels_along(events: EventList) -> None:
    line = "XX: Test & Co. (2020); https://doi.org/10.7914/SN/XX; licence CC-BY-4.0"
    assert json.loads(export(events, "geojson", credits=[CREDIT]))["credits"] == [line]
    table = parquet.read_table(io.BytesIO(export(events, "parquet", credits=[CREDIT])))
    assert json.loads(table.schema.metadata[b"credits"]) == [line]
    quakeml = export(events, "quakeml", credits=[CREDIT])
    assert _validate(io.BytesIO(quakeml), verbose=True)
    [comment] = read_events(io.BytesIO(quakeml)).comments
    assert comment.text == line


def test_duckdb_and_geopandas_open_the_parquet(events: EventList, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    geopandas = pytest.importorskip("geopandas", reason="needs geopandas")
    file = tmp_path / "events.parquet"
    file.write_bytes(to_parquet(events))
    with duckdb.connect() as connection:
        query = f"SELECT event_id, latitude, magnitude FROM '{file}' ORDER BY time"
        rows = connection.execute(query).fetchall()
    assert rows == [(s.event_id, s.latitude, s.magnitude) for s in events.summaries]
    frame = geopandas.read_parquet(file)
    assert [(p.x, p.y) for p in frame.geometry] == [
        (s.longitude, s.latitude) for s in events.summaries
    ]
    assert frame.crs.to_epsg() == 4326 or frame.crs.to_authority() == ("OGC", "CRS84")


@pytest.mark.parametrize(
    ("kind", "form"), [("nonlinloc", None), ("hypodd", "HYPODDPHA"), ("nordic", "NORDIC")]
)
def test_phase_files(kind: str, form: str | None, tmp_path: Path) -> None:
    """ObsPy reads HypoDD and Nordic back; NonLinLoc's observations are its input alone."""
    events = [replace(e, event_id=f"gm{i}") for i, e in enumerate(many_events(2))]
    content = export(events, kind)
    if form is None:
        blocks = content.decode().strip().split("\n\n")
        assert len(blocks) == 2
        onsets = [line.split() for line in blocks[0].splitlines() if " GAU " in line]
        assert len(onsets) == 12
        assert {line[4] for line in onsets} == {"P", "S"}
        return
    file = tmp_path / "phases"
    file.write_bytes(content)
    read = read_events(str(file), format=form)
    assert len(read) == 2
    for event, mine in zip(read, events, strict=True):
        origin = event.origins[0]
        assert origin.latitude == pytest.approx(mine.preferred_origin.latitude, abs=1e-3)
        assert len(event.picks) == 12
        times = sorted(pick.time.timestamp for pick in event.picks)
        expected = sorted(pick.time.timestamp() for pick in mine.picks)
        assert times == pytest.approx(expected, abs=1e-3)


def test_phase_files_take_events_without_depth_or_magnitude(events: EventList) -> None:
    counts = {"nonlinloc": b"PUBLIC_ID", "hypodd": b"#", "nordic": b"STAT SP"}
    found = {kind: export(events, kind).count(mark) for kind, mark in counts.items()}
    assert found == {"nonlinloc": 4, "hypodd": 3, "nordic": 4}


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
