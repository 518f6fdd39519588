"""Public buckets of day files, on an S3 server on loopback."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date

import httpx
import numpy as np
import pytest

from geomon.config import Config, Network, OpenDataSource
from geomon.errors import ConfigError
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources import opendata
from geomon.sources.base import Fetched, WaveformSource
from geomon.sources.opendata import LAYOUTS
from geomon.sources.opening import open_source
from geomon.sources.stationxml import write_stationxml
from geomon.stations import Stations
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment
from tests import faultproxy as f
from tests.servers import s3_server
from tests.sources.test_stationxml import channel

MIDNIGHT_NS = parse_time("2024-02-29")
DAY = TimeSpan(MIDNIGHT_NS, MIDNIGHT_NS + NS_PER_DAY)
HHZ = SeedId.parse("CI.SDD..HHZ")
HHN = SeedId.parse("CI.SDD..HHN")

KEYS = {
    "SCEDC": ("CI.SDD..HHZ", "continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms"),
    "SCEDC-": ("CI.WCS2.10.BHE", "continuous_waveforms/2024/2024_060/CIWCS2_BHE10_2024060.ms"),
    "NCEDC": (
        "NC.KBG..HHZ",
        "continuous_waveforms/NC/2024/2024.060/KBG.NC.HHZ..D.2024.060",
    ),
    "NCEDC-": (
        "BK.MERC.00.HNZ",
        "continuous_waveforms/BK/2024/2024.060/MERC.BK.HNZ.00.D.2024.060",
    ),
    "EARTHSCOPE": ("IU.ANMO.00.BHZ", "miniseed/IU/2024/060/ANMO.IU.2024.060"),
    "GEONET": (
        "NZ.WEL.10.HHZ",
        "waveforms/miniseed/2024/2024.060/WEL.NZ/2024.060.WEL.10-HHZ.NZ.D",
    ),
}


def hour(seed_id: SeedId, start_ns: int, n_samples: int = 36_000) -> Segment:
    """Ten samples a second that look like noise, the same for the same time."""
    rng = np.random.default_rng([start_ns // NS_PER_S, *str(seed_id).encode()])
    samples = np.cumsum(rng.normal(0, 300, n_samples)).astype(np.int32)
    return Segment(seed_id, start_ns, 10.0, samples)


def a_day(seed_id: SeedId, start_ns: int = MIDNIGHT_NS) -> Segment:
    return hour(seed_id, start_ns, 864_000)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server(*(layout.bucket for layout in LAYOUTS.values())) as url:
        yield url


class Bucket:
    """A bucket's content, open to everyone."""

    def __init__(self, server: str, centre: str) -> None:
        self.url = f"{server}/{LAYOUTS[centre].bucket}"
        self._client = httpx.Client(trust_env=False)
        self.keys: list[str] = []

    def put(self, key: str, *segments: Segment, content: bytes | None = None) -> None:
        if content is None:
            content = encode(segments, format_version=2, record_length=512)
        answer = self._client.put(
            f"{self.url}/{key}", content=content, headers={"x-amz-acl": "public-read"}
        )
        answer.raise_for_status()
        self.keys.append(key)

    def close(self) -> None:
        for key in self.keys:
            self._client.delete(f"{self.url}/{key}")
        self._client.close()


@pytest.fixture
def scedc(server) -> Iterator[Bucket]:
    with closing(Bucket(server, "SCEDC")) as bucket:
        yield bucket


def source_of(endpoint: str, tmp_path, centre: str = "SCEDC", **limits: object):
    table = tmp_path / "stations.csv"
    table.write_text(
        "network,station,latitude,longitude,elevation,channel\nCI,SDD,33.5,-117.6,120,HHZ HHN\n"
    )
    quick = {"retry_wait_s": 0.01, "connect_timeout_s": 2.0, "deadline_s": 2.0}
    settings = OpenDataSource(centre=centre, endpoint=endpoint, **(quick | limits))
    return opendata.OpenDataSource(settings, Network(name="test", stations=table))


@pytest.fixture
def source(server, tmp_path):
    with closing(source_of(server, tmp_path)) as source:
        yield source


@pytest.fixture
def proxy(server) -> Iterator[f.FaultProxy]:
    with f.FaultProxy(server) as proxy:
        yield proxy


def assert_holds(fetched: Fetched, *segments: Segment) -> None:
    assert fetched.outcome == "data"
    assert [s.seed_id for s in fetched.segments] == [s.seed_id for s in segments]
    for found, truth in zip(fetched.segments, segments, strict=True):
        assert (found.start_ns, found.sampling_rate_hz) == (truth.start_ns, truth.sampling_rate_hz)
        np.testing.assert_array_equal(found.samples, truth.samples)


@pytest.mark.parametrize("name", KEYS)
def test_each_centre_has_its_layout(server, tmp_path, name):
    centre, (code, key) = name.removesuffix("-"), KEYS[name]
    seed_id = SeedId.parse(code)
    truth = a_day(seed_id)
    assert LAYOUTS[centre].key_of(seed_id, date(2024, 2, 29)) == key
    with (
        closing(Bucket(server, centre)) as bucket,
        closing(source_of(server, tmp_path, centre)) as source,
    ):
        bucket.put(key, truth)
        fetched = source.fetch([seed_id], DAY)
    assert isinstance(source, WaveformSource)
    assert_holds(fetched, truth)
    assert fetched.missing == ()
    assert fetched.problems == ()
    assert fetched.provenance.source == f"s3:{LAYOUTS[centre].bucket}"
    [asked] = fetched.asked
    assert asked.url == f"s3://{LAYOUTS[centre].bucket}/{key}"
    assert (asked.outcome, asked.n_bytes) == ("data", fetched.n_bytes)
    assert asked.sha256 == fetched.provenance.sha256


def test_an_object_of_a_whole_station_is_read_once(server, tmp_path):
    wanted = [SeedId.parse(f"IU.ANMO.00.BH{c}") for c in "12Z"]
    other = SeedId.parse("IU.ANMO.00.LHZ")
    days = [a_day(seed_id) for seed_id in wanted]
    with (
        closing(Bucket(server, "EARTHSCOPE")) as bucket,
        closing(source_of(server, tmp_path, "EARTHSCOPE")) as source,
    ):
        bucket.put("miniseed/IU/2024/060/ANMO.IU.2024.060", *days, a_day(other))
        fetched = source.fetch(wanted, DAY)
    assert_holds(fetched, *days)
    assert len(fetched.asked) == 1
    assert fetched.problems == ()


def test_a_record_across_midnight_is_found_in_either_days_file(scedc, source):
    """The day's own file begins 3 s late: these samples lie in the file of the day before."""
    truth = a_day(HHZ)
    before = a_day(HHZ, MIDNIGHT_NS - NS_PER_DAY)
    joined = Segment(
        HHZ, before.start_ns, 10.0, np.concatenate([before.samples, truth.samples[:30]])
    )
    late = Segment(HHZ, MIDNIGHT_NS + 3 * NS_PER_S, 10.0, truth.samples[30:])
    scedc.put("continuous_waveforms/2024/2024_059/CISDD__HHZ___2024059.ms", joined)
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", late)
    fetched = source.fetch([HHZ], DAY)
    assert_holds(fetched, truth)
    assert [asked.outcome for asked in fetched.asked] == ["data", "data"]


def test_days_merely_touched_are_not_read(scedc, source):
    truth = a_day(HHZ)
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", truth)
    fetched = source.fetch([HHZ], DAY.padded(1.0))
    assert_holds(fetched, truth)
    assert len(fetched.asked) == 1


@pytest.mark.parametrize("seconds", [1, 60])
def test_a_short_span_is_cut_out_of_its_day(scedc, source, seconds):
    truth = a_day(HHZ)
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", truth)
    start_ns = MIDNIGHT_NS + 3600 * NS_PER_S
    span = TimeSpan(start_ns, start_ns + seconds * NS_PER_S)
    assert_holds(source.fetch([HHZ], span), truth.clipped(span))


def test_what_is_not_there_is_no_data(scedc, source):
    truth = a_day(HHZ)
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", truth)
    both = source.fetch([HHZ, HHN], DAY)
    assert_holds(both, truth)
    assert [(gap.seed_id, gap.span) for gap in both.missing] == [(HHN, DAY)]
    none = source.fetch([HHN], DAY)
    assert none.outcome == "nodata"
    assert none.problems == ()
    assert none.is_retryable


@pytest.mark.parametrize(
    "fault",
    [
        f.status(500), f.status(503), f.reset_before, f.cut(5000, "length"), f.silent,
        f.stall_after(5000), f.html, f.not_http, f.cut(5000),
    ],
    ids=[
        "500", "503", "reset", "cut", "silent", "stalled", "html", "not-http", "no-length",
    ],
)  # fmt: skip
def test_a_fault_that_strikes_once_loses_nothing(scedc, proxy, tmp_path, fault):
    truth = hour(HHZ, MIDNIGHT_NS + 3600 * NS_PER_S)
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", truth)
    proxy.script = [fault]
    with closing(source_of(proxy.url, tmp_path)) as source:
        fetched = source.fetch([HHZ], truth.span)
    assert_holds(fetched, truth)
    assert [asked.outcome for asked in fetched.asked][-1] == "data"
    assert len(fetched.asked) == len(proxy.requests) == 2


@pytest.mark.parametrize(
    ("fault", "outcome", "n_requests"),
    [
        (f.status(500), "network", 2),
        (f.status(503), "throttled", 2),
        (f.status(403), "auth", 1),
        (f.status(400), "rejected", 1),
        (f.status(301), "rejected", 1),
        (f.html, "not_data", 2),
    ],
    ids=["500", "503", "403", "400", "301", "html"],
)
def test_a_fault_that_lasts_is_a_typed_outcome(proxy, tmp_path, fault, outcome, n_requests):
    proxy.always = fault
    span = TimeSpan(MIDNIGHT_NS + 3600 * NS_PER_S, MIDNIGHT_NS + 7200 * NS_PER_S)
    with closing(source_of(proxy.url, tmp_path, max_attempts=2)) as source:
        fetched = source.fetch([HHZ], span)
    assert fetched.outcome == outcome
    assert len(proxy.requests) == n_requests
    assert [gap.span for gap in fetched.missing] == [span]
    [line] = fetched.problems
    assert line.startswith("scedc-pds/continuous_waveforms/")
    assert "\n" not in line


def test_an_object_too_large_is_not_read(scedc, server, tmp_path):
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", a_day(HHZ))
    with closing(source_of(server, tmp_path, max_object_mb=0.1)) as source:
        fetched = source.fetch([HHZ], DAY)
    assert fetched.outcome == "too_large"
    assert fetched.n_bytes == 0
    assert "more than 0.1 MB" in fetched.problems[0]


def test_asking_for_nothing_brings_nothing(source):
    assert source.fetch([], DAY).outcome == "nodata"
    assert source.fetch([HHZ], TimeSpan(MIDNIGHT_NS, MIDNIGHT_NS)).asked == ()


def test_damage_in_a_file_is_a_hole(scedc, source):
    truth = a_day(HHZ)
    content = bytearray(encode([truth], format_version=2, record_length=512))
    content[512 * 100 + 300] ^= 8
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", content=bytes(content))
    fetched = source.fetch([HHZ], DAY)
    assert fetched.outcome == "data"
    assert len(fetched.missing) == 1
    assert "samples damaged" in fetched.problems[0]
    for segment in fetched.segments:
        clipped = truth.clipped(segment.span)
        np.testing.assert_array_equal(segment.samples, clipped.samples)


def test_secrets_meant_for_the_archive_are_not_used(scedc, server, tmp_path, monkeypatch, proxy):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "archive-user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "archive-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    truth = a_day(HHZ)
    scedc.put("continuous_waveforms/2024/2024_060/CISDD__HHZ___2024060.ms", truth)
    with closing(source_of(proxy.url, tmp_path)) as source:
        assert_holds(source.fetch([HHZ], DAY), truth)
    assert all("authorization" not in request.headers for request in proxy.requests)
    assert "archive-user" not in str(proxy.requests)


def test_stations_come_from_the_file(source):
    assert source.stations(DAY).seed_ids() == [HHN, HHZ]


def test_stations_come_from_the_station_service(httpserver, server):
    httpserver.expect_request("/fdsnws/station/1/query").respond_with_data(
        write_stationxml(Stations.of([channel("CI.SDD..HHZ"), channel("CI.SDD..LHZ")]))
    )
    settings = OpenDataSource(
        centre="SCEDC", endpoint=server, station_service=f"http://127.0.0.1:{httpserver.port}"
    )
    network = Network(name="test", select=("CI.*",))
    with closing(opendata.OpenDataSource(settings, network)) as source:
        assert source.stations(DAY).seed_ids() == [HHZ]


def test_it_is_opened_from_a_config(tmp_path):
    config = Config(
        network={"name": "test", "select": ["NZ.WEL"]},
        source={"kind": "opendata", "centre": "GEONET"},
        archive={"url": str(tmp_path / "archive")},
    )
    with closing(open_source(config)) as source:
        assert isinstance(source, opendata.OpenDataSource)


def test_without_stations_or_area_it_is_refused():
    settings = OpenDataSource(centre="NCEDC")
    with pytest.raises(ConfigError, match="network: give select, region or stations"):
        opendata.OpenDataSource(settings, Network(name="test"))
