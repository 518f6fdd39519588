"""What is missing: not yet, none so far, or none at all."""

import json

import numpy as np
import pytest

from geomon.ids import SeedId
from geomon.services.coverage import coverage, table
from geomon.services.missing import missing, missing_summary
from geomon.services.workspace import workspace
from geomon.sources.stationxml import write_stationxml
from geomon.stations import Channel, Stations
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, day_span, parse_time
from geomon.waveforms import Provenance, Segment
from tests.networks import simulated

START = parse_time("2024-05-02")
MINUTE = 60 * NS_PER_S
Z, N = SeedId.parse("XX.AAA..HHZ"), SeedId.parse("XX.AAA..HHN")


def minutes(first, last):
    return TimeSpan(START + round(first * MINUTE), START + round(last * MINUTE))


def fill(config, seed_id, span):
    rate_hz = 20.0
    samples = np.arange(round(span.duration_s * rate_hz), dtype=np.int32)
    archive = workspace(config).archive
    archive.write([Segment(seed_id, span.start_ns, rate_hz, samples)], Provenance("t", "", ""))


@pytest.fixture
def config(tmp_path):
    """Six hours of one sensor: an hour of data, then holes of every kind."""
    config = simulated(tmp_path)
    space = workspace(config)
    epoch = TimeSpan(0, 4 * 10**18)
    stations = Stations.of([Channel(seed_id, epoch, 1.0, 2.0, 3.0) for seed_id in (Z, N)])
    space.archive.keep_document("stations.xml", write_stationxml(stations))
    for seed_id in (Z, N):
        fill(config, seed_id, minutes(0, 70))
        note = space.catalog.gaps.note
        for asked_min in (500, 520):
            note(
                str(seed_id),
                minutes(60, 180),
                [minutes(70, 180)],
                now_ns=minutes(0, asked_min).end_ns,
            )
        note(str(seed_id), minutes(180, 240), [minutes(180, 240)], now_ns=minutes(0, 400).end_ns)
        note(str(seed_id), minutes(240, 300), [minutes(240, 300)], now_ns=minutes(0, 310).end_ns)
    return config


SIX_HOURS = minutes(0, 360)


def test_hours_without_data_say_why(config):
    rows = coverage(config, SIX_HOURS)
    [stream] = {row.stream for row in rows}
    states = [{hole.state for hole in row.missing} for row in rows]
    assert states == [set(), {"confirmed"}, {"confirmed"}, {"unconfirmed"}, {"pending"}, set()]
    head, line = table(rows, SIX_HOURS).splitlines()
    assert head.startswith("2024-05-02T00:00 to 2024-05-02T06:00, a sign an hour: ")
    assert line.startswith(f"{stream} |.-x?~ |")
    month = TimeSpan(SIX_HOURS.start_ns, SIX_HOURS.start_ns + 31 * NS_PER_DAY)
    head, line = table(coverage(config, month), month).splitlines()
    assert "a sign a day: " in head
    assert line.startswith(f"{stream} |-    ")
    document = json.loads(json.dumps(rows[4].as_dict(), default=str))
    assert document["missing"][0] == {
        "channel": "XX.AAA..HHN", "start": "2024-05-02T04:00:00Z", "end": "2024-05-02T05:00:00Z",
        "state": "pending", "n_asked": 1, "next": "2024-05-02T05:30:00Z",
    }  # fmt: skip
    assert rows[2].missing[0].next_ns is None


def test_the_summary_names_every_hole_once(config):
    now_ns = minutes(0, 320).end_ns
    assert missing_summary(config, SIX_HOURS, now_ns=now_ns) == [
        "XX.AAA..HH[NZ] 2024-05-02 01:10:00–03:00:00 confirmed: the source has none, asked 2 times",
        "XX.AAA..HH[NZ] 2024-05-02 03:00:00–04:00:00 missing, asked once, "
        "next at 2024-05-02 16:00:00",
        "XX.AAA..HH[NZ] 2024-05-02 04:00:00–05:00:00 missing, asked once, "
        "next at 2024-05-02 05:30:00",
    ]
    late = missing_summary(config, minutes(250, 260), now_ns=minutes(0, 2000).end_ns)
    assert late == [
        "XX.AAA..HH[NZ] 2024-05-02 04:10:00–04:20:00 missing, asked once, due to be asked again now"
    ]
    assert missing_summary(config, SIX_HOURS, at_most=1, now_ns=now_ns)[1:] == [
        "… and 2 shorter holes, 7200.0 s in all"
    ]
    assert missing_summary(config, SIX_HOURS, stations=("XX.B*",)) == []
    assert missing_summary(config, minutes(0, 60)) == []


def test_what_came_some_other_way_is_not_missing(config):
    fill(config, Z, minutes(180, 210))
    holes = [hole for hole in missing(config, SIX_HOURS) if hole.state == "unconfirmed"]
    assert [(hole.channel, hole.span) for hole in holes] == [
        (str(N), minutes(180, 240)), (str(Z), minutes(210, 240)),
    ]  # fmt: skip
    words = " ".join(missing_summary(config, SIX_HOURS))
    assert "HHZ 2024-05-02 03:30:00–04:00:00" in words
    assert "HHN 2024-05-02 03:00:00–04:00:00" in words


def test_a_hole_of_a_whole_sensor_and_over_midnight(config):
    days = TimeSpan(day_span(minutes(0, 1).start.date()).start_ns, START + 48 * 60 * MINUTE)
    span = minutes(23 * 60, 25 * 60)
    workspace(config).catalog.gaps.note("XX.AAA..HH", span, [span], now_ns=span.end_ns)
    last = missing_summary(config, days, now_ns=span.end_ns)[-1]
    assert last.startswith("XX.AAA..HH 2024-05-02 23:00:00–2024-05-03 01:00:00 missing")
    rows = coverage(config, days)
    assert [row.start.hour for row in rows if row.missing][-2:] == [23, 0]
