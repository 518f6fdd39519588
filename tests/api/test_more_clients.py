"""Further clients other people wrote: pyrocko's, fdsnws_fetch, ObsPy's MassDownloader."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import UTCDateTime
from obspy.clients.fdsn import Client
from obspy.clients.fdsn.mass_downloader import MassDownloader, RectangularDomain, Restrictions

from geomon.ids import SeedId
from geomon.times import TimeSpan, format_ns
from tests.api.network import SPAN

MINUTE = TimeSpan.parse("2024-03-05T06:02:00", "2024-03-05T06:03:00")
START, END = (t / 1e9 for t in (MINUTE.start_ns, MINUTE.end_ns))


def check_samples(stream: obspy.Stream, space, n_stations: int) -> None:
    """Compare with the archive what a client got for `MINUTE`, both ends included."""
    assert len({trace.stats.station for trace in stream}) >= n_stations
    for trace in stream:
        held = space.archive.read(SeedId.parse(trace.id), MINUTE.start_ns, MINUTE.end_ns + 1)
        starts = {segment.start_ns // 1000: segment for segment in held.segments}
        segment = starts[trace.stats.starttime.ns // 1000]
        np.testing.assert_array_equal(trace.data, segment.samples[: trace.stats.npts])


@pytest.fixture
def pyrocko(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))  # it keeps a configuration there
    return pytest.importorskip("pyrocko.client.fdsn", reason="needs pyrocko")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_pyrocko(pyrocko, server, space):
    document = pyrocko.event(site=server, starttime=START - 3600, endtime=END + 3600, parsed=True)
    events = document.get_pyrocko_events()
    held = space.catalog.events("2024-03-05T05:00", "2024-03-05T08:00")
    assert len(events) == len(held) > 0
    assert {round(event.lat, 4) for event in events} == {
        round(event.preferred_origin.latitude, 4) for event in held
    }
    stations = pyrocko.station(site=server, level="response")
    codes = {f"{net.code}.{sta.code}" for net in stations.network_list for sta in net.station_list}
    assert codes == {str(station_id) for station_id in space.stations().station_ids()}
    selection = [("XX", "GM0?", "*", "HHZ", START, END)]
    answer = pyrocko.dataselect(site=server, selection=selection)
    check_samples(obspy.read(io.BytesIO(answer.read())), space, 2)
    answer = pyrocko.availability(
        "query", site=server, network="XX", station="GM01", starttime=START, endtime=END
    )
    head, *rows = answer.read().decode().splitlines()
    assert head.startswith("#Network")
    assert {tuple(row.split()[:2]) for row in rows} == {("XX", "GM01")}


def test_fdsnws_fetch(httpserver, server, space, tmp_path):
    program = Path(sys.executable).with_name("fdsnws_fetch")
    if not program.exists():
        pytest.skip("needs fdsnwsscripts")
    start, end = format_ns(MINUTE.start_ns)[:-1], format_ns(MINUTE.end_ns)[:-1]
    for service, options, name in (
        ("dataselect", [], "data.mseed"),
        ("station", ["-y", "station", "-q", "level=response"], "stations.xml"),
    ):
        # A routing service says which data centre to ask; ours is the only one.
        httpserver.clear()
        httpserver.expect_request("/eidaws/routing/1/query").respond_with_data(
            f"{server}/fdsnws/{service}/1/query\nXX GM0* * HHZ {start} {end}\n"
        )
        routing = httpserver.url_for("/eidaws/routing/1/query")
        command = [program, "-u", routing, "-N", "XX", "-S", "GM0*", "-L", "*", "-C", "HHZ"]
        command += ["-s", start, "-e", end, "-z", "-Z", "-r", "1", *options, "-o", tmp_path / name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    check_samples(obspy.read(tmp_path / "data.mseed"), space, 2)
    inventory = obspy.read_inventory(tmp_path / "stations.xml")
    assert {station.code for station in inventory[0]} >= {"GM01", "GM03"}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")
def test_mass_downloader(server, space, tmp_path):
    restrictions = Restrictions(
        starttime=UTCDateTime(ns=MINUTE.start_ns), endtime=UTCDateTime(ns=MINUTE.end_ns),
        network="XX", reject_channels_with_gaps=False, minimum_length=0.0,
        minimum_interstation_distance_in_m=0, channel_priorities=["HH[ZNE12]", "BH[ZNE12]"],
    )  # fmt: skip
    downloader = MassDownloader(providers=[Client(server)], configure_logging=False)
    downloader.download(
        RectangularDomain(-90, 90, -180, 180), restrictions, mseed_storage=str(tmp_path / "mseed"),
        stationxml_storage=str(tmp_path / "xml"), threads_per_client=1, print_report=False,
    )  # fmt: skip
    stream = obspy.Stream()
    for file in sorted((tmp_path / "mseed").glob("*.mseed")):
        stream += obspy.read(file)
    check_samples(stream, space, 3)
    described = {file.stem for file in (tmp_path / "xml").glob("*.xml")}
    assert {f"{trace.stats.network}.{trace.stats.station}" for trace in stream} <= described
    assert SPAN.contains(stream[0].stats.starttime.ns)
