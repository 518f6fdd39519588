"""Quality of station-days: measured once for each state of the archive."""

from datetime import date

import numpy as np
import pytest

from geomon.errors import CorruptObject
from geomon.ids import StreamId
from geomon.services import quality as service
from geomon.services.quality import assess, assess_days, quality, spectra, table
from geomon.services.workspace import workspace
from geomon.sources.stationxml import write_stationxml
from geomon.stations import Channel, Response, Stations
from geomon.times import NS_PER_S, TimeSpan, day_span
from geomon.waveforms import Provenance, Segment
from tests.networks import simulated
from tests.stores.events import dump

HH = StreamId.parse("XX.AAA..HH")
TODAY = date(2024, 5, 2)
DAY = day_span(TODAY)
HOUR_NS = 3600 * NS_PER_S
AFTER = DAY.end_ns + 24 * HOUR_NS
FROM = Provenance("test", "a", "0" * 64)


def record(hours, first=0, component="Z", seed=0, rate_hz=20.0):
    samples = np.random.default_rng(seed).integers(-500, 500, round(hours * 3600 * rate_hz))
    start_ns = DAY.start_ns + round(first * HOUR_NS)
    return Segment(HH.seed_id(component), start_ns, rate_hz, samples.astype(np.int32))


@pytest.fixture
def config(tmp_path):
    return simulated(tmp_path)


def test_a_day_is_measured_once_for_each_state_of_the_archive(config):
    space = workspace(config)
    assert not assess(config, HH, TODAY, now_ns=AFTER)
    space.archive.write([record(24), record(23, component="N")], FROM)
    assert assess(config, HH, TODAY, now_ns=AFTER)
    before = dump(space.catalog)
    assert not assess(config, HH, TODAY, now_ns=AFTER + HOUR_NS)
    assert dump(space.catalog) == before
    north, vertical = quality(config, DAY)
    assert (vertical.quality.availability, vertical.quality.n_gaps) == (1, 0)
    assert north.quality.availability == pytest.approx(23 / 24)
    space.archive.write([record(1, first=23, component="N")], FROM)
    assert assess(config, HH, TODAY, now_ns=AFTER)
    assert quality(config, DAY)[0].quality.availability == 1
    assert quality(config, DAY, stations=("XX.B*",)) == []


def test_minutes_like_nothing_seismic_are_flagged(config):
    space = workspace(config)
    space.archive.write([record(2)], FROM)
    assess(config, HH, TODAY, now_ns=AFTER)
    [row] = quality(config, DAY)
    assert row.quality.odd_kinds == ("white",)
    assert row.quality.odd_s == pytest.approx(7200, rel=0.02)
    assert "white 12" in table([row])
    [*_, last] = row.as_dict()["longest_odd"]
    assert last["end"] == "2024-05-02T02:00:00Z"


def test_a_day_that_is_not_over_is_measured_at_most_once_an_hour(config):
    archive = workspace(config).archive
    noon = DAY.start_ns + 12 * HOUR_NS
    archive.write([record(11.9)], FROM)
    assert assess(config, HH, TODAY, now_ns=noon)
    assert quality(config, DAY)[0].quality.availability == 1
    archive.write([record(0.2, first=11.9)], FROM)
    assert not assess(config, HH, TODAY, now_ns=noon + HOUR_NS // 2)
    assert assess(config, HH, TODAY, now_ns=noon + HOUR_NS)
    # The station fell silent: what is later than two hours is missing.
    assert assess(config, HH, TODAY, now_ns=noon + 6 * HOUR_NS)
    [row] = quality(config, DAY)
    assert row.quality.availability == pytest.approx(12.1 / 16)
    assert assess(config, HH, TODAY, now_ns=AFTER)
    [row] = quality(config, DAY)
    assert row.quality.availability == pytest.approx(12.1 / 24)
    archive.write([record(0.1, first=23)], FROM)
    assert assess(config, HH, TODAY, now_ns=AFTER + 1)


def test_a_response_gives_decibels_of_acceleration(config):
    space = workspace(config)
    space.archive.write([record(24)], FROM)
    assess(config, HH, TODAY, now_ns=AFTER)
    [row] = spectra(config, HH, "Z", DAY)
    assert (row.psd.unit, row.above_low_db) == ("counts", None)
    response = Response(6e8, 1.0, "m/s", (0j, 0j), (-0.037 + 0.037j, -0.037 - 0.037j))
    channel = Channel(HH.seed_id("Z"), TimeSpan(0, 4 * 10**18), 1, 2, 3, response=response)
    space.archive.keep_document("stations.xml", write_stationxml(Stations.of([channel])))
    assert assess(config, HH, TODAY, now_ns=AFTER)
    [row] = spectra(config, HH, "Z", DAY)
    assert row.psd.unit == "m/s**2"
    assert row.psd.n_windows == 47
    assert 0 < row.above_low_db == row.psd.above_low_db
    assert spectra(config, HH, "N", DAY) == []


def test_what_digitisers_say_of_their_clocks_stands_until_told_anew(config):
    archive = workspace(config).archive
    archive.write([record(2)], FROM)
    assess(config, HH, TODAY, timing_quality={HH.seed_id("Z"): 97.5}, now_ns=AFTER)
    archive.write([record(2, first=4)], FROM)
    assess(config, HH, TODAY, now_ns=AFTER)
    [row] = quality(config, DAY)
    assert (row.timing_quality, row.quality.n_gaps) == (97.5, 2)


def test_samples_that_lost_are_told(config):
    archive = workspace(config).archive
    archive.write([record(2)], FROM)
    archive.write([record(1, seed=9)], Provenance("test", "b", "1" * 64))
    assess(config, HH, TODAY, now_ns=AFTER)
    [row] = quality(config, DAY)
    assert row.quality.n_conflicts == pytest.approx(72_000, rel=0.01)
    assert "conflicts" in table([row])


def test_all_days_of_a_span_and_a_damaged_one(config, monkeypatch):
    archive = workspace(config).archive
    other = Segment(
        StreamId.parse("XX.BBB..HH").seed_id("Z"), DAY.start_ns, 20.0, record(1).samples
    )
    later = Segment(HH.seed_id("Z"), DAY.start_ns + 30 * HOUR_NS, 20.0, record(1).samples)
    archive.write([record(24), other, later], FROM)
    report = assess_days(config, DAY)
    assert (report.n_units, report.n_assessed, report.n_failed) == (2, 2, 0)
    assert assess_days(config, DAY).n_assessed == 0
    assert assess_days(config, DAY, stations=("XX.AAA",)).n_units == 1
    two_days = TimeSpan(DAY.start_ns, DAY.end_ns + HOUR_NS)

    def fail(*args, **options):
        raise CorruptObject("XX/AAA: damaged")

    monkeypatch.setattr(service, "measure", fail)
    report = assess_days(config, two_days)
    assert (report.n_units, report.n_assessed, report.n_failed) == (3, 0, 1)
    assert "damaged" in report.problems[0]
    assert len(quality(config, two_days)) == 2


def test_the_table(config):
    workspace(config).archive.write([record(24), record(12.5, component="N")], FROM)
    dead = Segment(HH.seed_id("E"), DAY.start_ns, 20.0, np.zeros(20 * 3600, np.int32))
    workspace(config).archive.write([dead], FROM)
    assert table(quality(config, DAY)) == "no day was measured"
    assess(config, HH, TODAY, now_ns=AFTER)
    lines = table(quality(config, DAY)).splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("dead")
    assert "52.1%" in lines[2]
    assert "11.5 h" in lines[2]
    assert "100.0%" in lines[3]
