"""QuakeML out and in: valid, complete, and the same again."""

import io
import math
import warnings
from dataclasses import replace

import obspy
import pytest
from obspy.io.quakeml.core import _validate

from geomon.errors import DataError
from geomon.events import Event
from geomon.stores.catalog import Catalog
from geomon.stores.quakeml import stream, write_quakeml
from geomon.stores.quakeml_reading import read_quakeml
from tests.stores.events import HOUR, T0, make_event, many_events, said, with_mechanism


def named(events: list[Event]) -> list[Event]:
    return [
        replace(e, event_id=f"gm2026{i}", revision=2, valid_from=T0, run="locate-1")
        for i, e in enumerate(events)
    ]


def bare() -> Event:
    """An event of which hardly anything is known."""
    event = make_event(200, value=None)
    nan = math.nan
    origin = replace(
        event.preferred_origin, depth_km=nan, time_uncertainty_s=nan, covariance_km2=(nan,) * 6,
        ellipse_km=(nan, nan), ellipse_azimuth_deg=nan, depth_interval_km=(nan, nan), rms_s=nan,
        azimuthal_gap_deg=nan, nearest_station_km=nan, n_stations=0, n_phases=0, quality="D",
        method="", velocity_model="", arrivals=(),
    )  # fmt: skip
    return replace(event, preferred_origin=origin, probability=None)


def awkward() -> Event:
    event = make_event(300.000001, latitude=-0.1, longitude=180.0, depth_km=-0.4, value=-1.25)
    return replace(
        event, reasons=('two <sites> & "one" net', "ünïcode \x07"), event_type="explosion"
    )


def test_valid_by_the_schema() -> None:
    content = write_quakeml(
        named([make_event(), bare(), awkward(), with_mechanism(make_event(400))]), agency="GM"
    )
    assert _validate(io.BytesIO(content), verbose=True)
    assert b"nan" not in content.lower().replace(b"unan", b"")
    without = write_quakeml(named([make_event()]), with_arrivals=False)
    assert _validate(io.BytesIO(without), verbose=True)
    assert b"<pick" not in without
    assert b"".join(stream([])) == write_quakeml([])


def test_obspy_reads_what_was_meant() -> None:
    event = named([make_event()])[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [read] = obspy.read_events(io.BytesIO(write_quakeml([event])), format="QUAKEML")
    origin, magnitude = read.preferred_origin(), read.preferred_magnitude()
    ours = event.preferred_origin
    assert origin.time.datetime.replace(tzinfo=T0.tzinfo) == ours.time
    assert (origin.latitude, origin.longitude) == (ours.latitude, ours.longitude)
    assert origin.depth == 1000 * ours.depth_km
    assert origin.depth_errors.lower_uncertainty == pytest.approx(1200)
    assert origin.origin_uncertainty.max_horizontal_uncertainty == 1000 * ours.ellipse_km[0]
    assert origin.quality.used_station_count == ours.n_stations
    assert origin.evaluation_mode == "automatic"
    assert (magnitude.mag, magnitude.magnitude_type) == (1.7, "ML")
    assert len(read.picks) == len(origin.arrivals) == 12
    assert len(read.station_magnitudes) == len(read.amplitudes) == 6
    for arrival, mine in zip(origin.arrivals, ours.arrivals, strict=True):
        pick = arrival.pick_id.get_referred_object()
        assert pick.waveform_id.get_seed_string() == str(mine.pick.seed_id)
        assert pick.time.datetime.replace(tzinfo=T0.tzinfo) == mine.pick.time
        assert arrival.distance * 111.195 == pytest.approx(mine.distance_km, abs=1e-3)
    assert read.extra.probability.value == "0.97"


def test_obspy_reads_mechanism_and_all_magnitudes() -> None:
    event = named([with_mechanism(make_event())])[0]
    [read] = obspy.read_events(io.BytesIO(write_quakeml([event])), format="QUAKEML")
    assert [one.magnitude_type for one in read.magnitudes] == ["ML", "Mw"]
    [mechanism] = read.focal_mechanisms
    plane = mechanism.nodal_planes.nodal_plane_1
    assert (plane.strike, plane.dip, plane.rake) == (35.5, 42.0, -80.25)
    assert mechanism.station_polarity_count == 14
    assert mechanism.triggering_origin_id.get_referred_object() == read.origins[0]


def test_obspy_writes_what_it_read() -> None:
    catalog = obspy.read_events(io.BytesIO(write_quakeml(named(many_events(3)))))
    written = io.BytesIO()
    catalog.write(written, format="QUAKEML")
    events, problems = read_quakeml(written.getvalue())
    assert not problems
    assert [len(event.event.picks) for event in events] == [12, 12, 12]


def test_reading_back_gives_the_same() -> None:
    events = named([with_mechanism(make_event(400)), *many_events(5), bare(), awkward()])
    read, problems = read_quakeml(write_quakeml(events))
    assert not problems
    assert said([one.event for one in read]) == said(events)
    assert read[-1].event.reasons == ('two <sites> & "one" net', "ünïcode ")
    assert read[0].public_id == "smi:geomon/event/gm20260"


def test_a_type_nobody_confirmed_is_only_suspected() -> None:
    [event] = named([make_event()])
    blast = replace(event, event_type="quarry blast")
    assert b"<typeCertainty>suspected</typeCertainty>" in write_quakeml([blast])
    confirmed = replace(blast, review_state="confirmed")
    for one in (event, confirmed):
        assert b"typeCertainty" not in write_quakeml([one])
    [read] = obspy.read_events(io.BytesIO(write_quakeml([blast])), format="QUAKEML")
    assert (read.event_type, read.event_type_certainty) == ("quarry blast", "suspected")


def test_the_catalogue_as_obspy(catalog: Catalog) -> None:
    catalog.replace_events(HOUR, many_events(2), catalog.begin_run("locate"))
    events = catalog.events()
    assert [str(e.resource_id).rsplit("/", 1)[1] for e in events.to_obspy()] == list(
        events.event_ids
    )


FOREIGN = b"""<?xml version="1.0"?>
<q:quakeml xmlns="http://quakeml.org/xmlns/bed/1.2" xmlns:q="http://quakeml.org/xmlns/quakeml/1.2">
<eventParameters publicID="smi:org/cat"><event publicID="smi:org/ev/1">
<preferredOriginID>smi:org/origin/2</preferredOriginID>
<pick publicID="smi:org/pick/1"><time><value>2026-07-04T17:00:05Z</value></time>
<waveformID networkCode="XX" stationCode="ABC" channelCode="EHZ"/><phaseHint>Pg</phaseHint>
<evaluationMode>manual</evaluationMode><creationInfo><author>anna</author></creationInfo></pick>
<pick publicID="smi:org/pick/2"><time><value>2026-07-04T17:00:06Z</value></time>
<waveformID networkCode="XX" stationCode="ABC"/><phaseHint>S</phaseHint></pick>
<origin publicID="smi:org/origin/1"><time><value>2020-01-01T00:00:00</value></time>
<latitude><value>1</value></latitude><longitude><value>2</value></longitude></origin>
<origin publicID="smi:org/origin/2"><time><value>2026-07-04T17:00:00.5Z</value></time>
<latitude><value>64</value></latitude><longitude><value>-21</value></longitude>
<depth><value>5000</value><uncertainty>100</uncertainty></depth>
<evaluationMode>manual</evaluationMode>
<arrival publicID="smi:org/a/1"><pickID>smi:org/pick/1</pickID><phase>Pg</phase>
<distance>0.2</distance></arrival>
<arrival publicID="smi:org/a/2"><pickID>smi:org/pick/2</pickID><phase>S</phase></arrival>
<arrival publicID="smi:org/a/3"><pickID>smi:org/pick/1</pickID><phase>pP</phase></arrival>
</origin>
<magnitude publicID="smi:org/m/1"><mag><value>3.1</value></mag></magnitude>
</event><event publicID="smi:org/ev/2"><type>earthquake</type></event>
</eventParameters></q:quakeml>"""


def test_foreign_events() -> None:
    [read], problems = read_quakeml(FOREIGN, name="org.xml")
    event = read.event
    assert read.public_id == "smi:org/ev/1"
    assert event.preferred_origin.depth_km == 5.0
    assert event.review_state == "reviewed"
    assert [p.picker for p in event.picks] == ["anna"]
    assert event.arrivals[0].distance_km == pytest.approx(22.239)
    assert event.preferred_magnitude.magnitude_type == "M"
    assert math.isnan(event.preferred_origin.rms_s)
    assert [line.split(":")[0] for line in problems] == ["org.xml"] * 3
    assert "org.xml: event smi:org/ev/2: has no origin (1)" in problems


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "x.xml: not XML"),
        (b"<a/>", "x.xml: not a QuakeML document"),
        (b'<!DOCTYPE quakeml [<!ENTITY e "x">]><quakeml>&e;</quakeml>', "not a QuakeML document"),
    ],
)
def test_what_is_not_quakeml_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_quakeml(content, name="x.xml")
