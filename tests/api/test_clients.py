"""Clients other people wrote, before a real server on loopback."""

import numpy as np
import pytest
from obspy import UTCDateTime
from obspy.clients.fdsn import Client
from obspy.clients.fdsn.header import FDSNNoDataException

from geomon.ids import SeedId
from geomon.times import TimeSpan
from tests.api.network import SPAN


@pytest.fixture(scope="module")
def obspy_client(server: str) -> Client:
    return Client(server)


def test_obspy_finds_the_services(obspy_client):
    assert set(obspy_client.services) >= {"event", "station", "dataselect"}
    assert obspy_client.services["available_event_catalogs"] == {"geomon"}
    assert obspy_client.services["available_event_contributors"] == {"TST"}


def test_obspy_gets_events(obspy_client, space):
    held = space.catalog.events()
    start, end = UTCDateTime(ns=SPAN.start_ns), UTCDateTime(ns=SPAN.end_ns)
    catalog = obspy_client.get_events(starttime=start, endtime=end, orderby="time-asc")
    assert len(catalog) == len(held)
    for got, event in zip(catalog, held, strict=True):
        origin = got.preferred_origin()
        assert origin.time == UTCDateTime(event.preferred_origin.time)
        assert origin.latitude == pytest.approx(event.preferred_origin.latitude, abs=1e-6)
        assert origin.depth == pytest.approx(event.preferred_origin.depth_km * 1000, abs=1)
    one = obspy_client.get_events(eventid=str(catalog[0].resource_id), includearrivals=True)
    assert len(one) == 1
    assert len(one[0].picks) == len(held[0].picks)
    middle = sorted(event.preferred_magnitude.value for event in held)[len(held) // 2]
    large = obspy_client.get_events(
        minmagnitude=middle, magnitudetype="ML", limit=2, orderby="magnitude"
    )
    assert all(event.magnitudes[0].mag >= middle for event in large)
    centre = held[0].preferred_origin
    near = obspy_client.get_events(
        latitude=centre.latitude, longitude=centre.longitude, maxradius=0.5, catalog="geomon"
    )
    assert len(near) > 0
    with pytest.raises(FDSNNoDataException):
        obspy_client.get_events(minmagnitude=9)


def test_obspy_gets_stations_with_responses(obspy_client, space):
    inventory = obspy_client.get_stations(level="response")
    held = space.stations()
    names = {f"{net.code}.{sta.code}" for net in inventory for sta in net}
    assert names == {str(station_id) for station_id in held.station_ids()}
    channel = held.channels[0]
    response = inventory.get_response(str(channel.seed_id), UTCDateTime(ns=SPAN.start_ns))
    assert response.instrument_sensitivity.value == pytest.approx(channel.response.sensitivity)
    few = obspy_client.get_stations(
        station="GM0*", channel="HHZ,EHZ", level="channel", format="text"
    )
    assert {cha.code for net in few for sta in net for cha in sta} <= {"HHZ", "EHZ"}


def test_obspy_gets_the_very_samples(obspy_client, space):
    span = TimeSpan.parse("2024-03-05T06:02:00", "2024-03-05T06:03:00")
    start, end = UTCDateTime(ns=span.start_ns), UTCDateTime(ns=span.end_ns)
    stream = obspy_client.get_waveforms("XX", "*", "*", "*Z", start, end)
    assert len({trace.id for trace in stream}) >= 8
    for trace in stream:
        held = space.archive.read(SeedId.parse(trace.id), span.start_ns, span.end_ns + 1)
        starts = {segment.start_ns // 1000: segment for segment in held.segments}
        segment = starts[trace.stats.starttime.ns // 1000]
        np.testing.assert_array_equal(trace.data, segment.samples)
    bulk = [("XX", "GM01", "*", "HH?", start, end), ("XX", "GM03", "*", "HHZ", start, end)]
    assert {trace.id.split(".")[1] for trace in obspy_client.get_waveforms_bulk(bulk)} == {
        "GM01",
        "GM03",
    }
    with pytest.raises(FDSNNoDataException):
        obspy_client.get_waveforms("XX", "NONE", "*", "*", start, end)
