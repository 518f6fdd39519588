"""Quality of channel-days in the database."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from geomon.ids import StreamId
from geomon.processing.psd import psd_summary
from geomon.processing.quality import measure
from geomon.stores.quality import DayQuality
from geomon.times import NS_PER_DAY, TimeSpan
from tests.stores.archives import DAY, HH, SPAN, segment
from tests.stores.events import dump

TODAY = date(2024, 2, 29)
BH = StreamId.parse("CX.PB02.00.BH")


def rows_of(stream_id=HH, day=TODAY, components="ZNE"):
    flat = np.zeros(30_000, np.int32)
    made = []
    for seed, component in enumerate(components):
        samples = np.random.default_rng(seed).integers(-99, 99, 270_000).astype(np.int32)
        segments = [segment(0, samples, component=component, rate=20.0)]
        segments.append(segment(20_000, flat, component=component, rate=20.0))
        psd = replace(psd_summary(segments, SPAN), above_low_db=12.5, above_high_db=-20.25)
        made.append(
            DayQuality(
                stream_id.seed_id(component), day, measure(segments, SPAN), psd, 98.5, 12.5, -20.25,
                assessed_ns=DAY + seed,
            )
        )  # fmt: skip
    return made


def test_what_is_written_is_read_back(catalog):
    rows = rows_of()
    assert catalog.qualities.replace(HH, TODAY, rows, fingerprint="a")
    found = catalog.qualities.find(SPAN, with_psd=True)
    assert found == sorted(rows, key=lambda row: row.seed_id)
    assert found[0].quality.longest_flat
    without = catalog.qualities.find(SPAN)
    assert without == [replace(row, psd=None) for row in found]
    assert without[0].above_low_db == 12.5
    assert catalog.qualities.held(HH, TODAY)[0] == "a"
    assert catalog.qualities.held(BH, TODAY) is None


def test_the_same_fingerprint_writes_nothing_and_another_one_replaces(catalog):
    catalog.qualities.replace(HH, TODAY, rows_of(), fingerprint="a")
    before = dump(catalog)
    assert not catalog.qualities.replace(HH, TODAY, rows_of(components="Z"), fingerprint="a")
    assert dump(catalog) == before
    assert catalog.qualities.replace(HH, TODAY, rows_of(components="ZN"), fingerprint="b")
    assert [row.seed_id.component for row in catalog.qualities.find(SPAN)] == ["N", "Z"]
    assert catalog.qualities.held(HH, TODAY)[0] == "b"


def test_rows_are_found_by_day_stream_and_component(catalog):
    for day in (TODAY, date(2024, 3, 1)):
        for stream_id in (HH, BH):
            catalog.qualities.replace(stream_id, day, rows_of(stream_id, day), fingerprint="a")
    two_days = TimeSpan(SPAN.start_ns + 1, SPAN.end_ns + 1)
    assert len(catalog.qualities.find(two_days)) == 12
    assert len(catalog.qualities.find(SPAN)) == 6
    [row, later] = catalog.qualities.find(two_days, streams=[BH], component="Z")
    assert (str(row.seed_id), row.day, later.day) == ("CX.PB02.00.BHZ", TODAY, date(2024, 3, 1))
    assert catalog.qualities.find(two_days, streams=[]) == []
    assert catalog.qualities.find(TimeSpan(DAY, DAY)) == []
    assert catalog.qualities.find(TimeSpan(DAY - NS_PER_DAY, DAY)) == []


@pytest.mark.parametrize("samples", [np.full(50, np.nan), np.full(50, 1e308)])
def test_odd_measures_are_kept_too(one_catalog, samples):
    odd = measure([segment(0, samples)], SPAN)
    row = DayQuality(BH.seed_id("Z"), TODAY, odd)
    one_catalog.qualities.replace(BH, TODAY, [row], fingerprint=str(samples[0]))
    assert one_catalog.qualities.find(SPAN, streams=[BH]) == [row]


def test_plain_values_for_json():
    row = rows_of()[0].as_dict()
    assert (row["channel"], row["day"]) == ("CX.PB01..HHZ", "2024-02-29")
    assert row["longest_flat"] == [{"start": "2024-02-29T05:33:20Z", "end": "2024-02-29T05:58:20Z"}]
    assert row["above_low_db"] == 12.5
    assert "psd" not in row
