"""StationXML in and out, with ObsPy as the second opinion."""

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import read_inventory
from obspy.io.stationxml.core import validate_stationxml

from geomon.errors import StationMetadataError
from geomon.ids import SeedId, StationId
from geomon.sources import stationxml
from geomon.sources.stationfile import read_station_file
from geomon.sources.stationxml import read_stations, write_stationxml
from geomon.stations import FOREVER_NS, Channel, Credit, Response, Stations
from geomon.times import TimeSpan, parse_time

EPOCH = TimeSpan(parse_time("2010-01-01"), FOREVER_NS)
STS2 = Response(
    sensitivity=6.29e8,
    frequency_hz=1.0,
    input_unit="m/s",
    zeros=(0j, 0j),
    poles=(-0.037 + 0.037j, -0.037 - 0.037j, -251.3 + 0j, -131 + 467.3j, -131 - 467.3j),
)


def channel(seed_id: str = "CX.PB01..HHZ", **changes: object) -> Channel:
    values = {
        "epoch": EPOCH, "latitude": -21.04, "longitude": -69.49, "elevation_m": 900.0,
        "depth_m": 2.0, "azimuth_deg": 0.0, "dip_deg": -90.0, "sampling_rate_hz": 100.0,
        "response": STS2,
    }  # fmt: skip
    return Channel(SeedId.parse(seed_id), **(values | changes))


CHANNELS = (
    channel(),
    channel(
        "CX.PB01.10.HNZ", response=Response(4e5, 1.0, "m/s**2", (), (-981 + 1009j, -981 - 1009j))
    ),
    channel("CX.PB02..EHZ", response=None, response_problem="the metadata hold no response"),
    channel(
        "CX.PB02..HHZ",
        epoch=TimeSpan(parse_time("2010-01-01"), parse_time("2015-06-07T08:09:10.5")),
        restricted=True,
    ),
    channel("CX.PB02..HHZ", epoch=TimeSpan(parse_time("2015-06-07T08:09:10.5"), FOREVER_NS)),
    channel("CX.PB02..HHN", response=None, response_problem="the gain of stage 1 is zero"),
    channel("IU.ANMO.00.BHZ", azimuth_deg=None, dip_deg=None, sampling_rate_hz=None),
)


def test_what_is_written_is_read_back():
    stations = Stations.of(CHANNELS)
    again = read_stations(write_stationxml(stations))
    assert again == stations
    assert again.version == stations.version
    assert write_stationxml(stations) == write_stationxml(again)


def test_credits_come_back_and_are_valid():
    credits = (Credit("CX", "Net & Co", "10.7914/SN/CX", "Net (2020)", "CC-BY-4.0"),)
    content = write_stationxml(Stations.of(CHANNELS, credits=credits))
    assert validate_stationxml(io.BytesIO(content)) == (True, ())
    assert read_stations(content).credits == credits
    assert read_stations(content).selected(("CX.*",)).credits == credits


def test_what_is_said_of_no_access_depends_on_who_asked():
    content = write_stationxml(Stations.of([channel()]))
    assert not read_stations(content).channels[0].restricted
    assert read_stations(content, is_open=False).channels[0].restricted
    told = content.replace(b'<Network code="CX"', b'<Network code="CX" restrictedStatus="open"')
    assert not read_stations(told, is_open=False).channels[0].restricted


def test_obspy_reads_what_is_written_and_sees_the_same_response():
    valid, errors = validate_stationxml(io.BytesIO(write_stationxml(Stations.of(CHANNELS))))
    assert valid, errors
    inventory = read_inventory(io.BytesIO(write_stationxml(Stations.of(CHANNELS))), "STATIONXML")
    assert inventory.get_contents()["channels"].count("CX.PB02..HHZ") == 2
    response = inventory.select(station="PB01", channel="HHZ")[0][0][0].response
    frequencies = np.array([0.01, 0.1, 1.0, 10.0, 40.0])
    theirs = response.get_evalresp_response_for_frequencies(frequencies, output="VEL")
    np.testing.assert_allclose(theirs, evaluated(STS2, frequencies), rtol=1e-6)


def evaluated(response: Response, frequencies_hz: np.ndarray) -> np.ndarray:
    def shape(s: np.ndarray) -> np.ndarray:
        zeros = np.prod([s - z for z in response.zeros], axis=0)
        return zeros / np.prod([s - p for p in response.poles], axis=0)

    reference = shape(np.array([2j * math.pi * response.frequency_hz]))
    return response.sensitivity * shape(2j * math.pi * frequencies_hz) / abs(reference)


def test_poles_in_hertz_are_converted():
    xml = write_stationxml(Stations.of([channel()])).decode()
    for root in sorted({part for z in (*STS2.zeros, *STS2.poles) for part in (z.real, z.imag)}):
        xml = xml.replace(f">{root!r}</", f">{root / (2 * math.pi)!r}</")
    xml = xml.replace("LAPLACE (RADIANS/SECOND)", "LAPLACE (HERTZ)")
    [read] = read_stations(xml.encode()).channels
    np.testing.assert_allclose(read.response.poles, STS2.poles, rtol=1e-12)


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("<Value>629000000.0</Value>", "<Value>0</Value>", "sensitivity is zero"),
        ("<Frequency>1.0</Frequency>", "", "no frequency"),
        (">m/s<", ">Pa<", "'Pa' is no ground motion"),
        ("LAPLACE (RADIANS/SECOND)", "DIGITAL (Z-TRANSFORM)", "no stage gives poles and zeros"),
        ("<Real>-251.3</Real>", "", "lacks its real"),
        ("<Real>-251.3</Real>", "<Real>nan</Real>", "Real is nan"),
        ("InstrumentSensitivity>", "InstrumentPolynomial>", "sensitivity is missing"),
    ],
)
def test_an_unusable_response_is_named_and_the_channel_kept(old, new, problem):
    xml = write_stationxml(Stations.of([channel()])).decode()
    assert old in xml
    [read] = read_stations(xml.replace(old, new).encode()).channels
    assert read.response is None
    assert problem in read.response_problem


@pytest.mark.fault(36)
def test_a_stage_gain_of_zero_is_noticed():
    xml = write_stationxml(Stations.of([channel()])).decode()
    before, after = xml.split("<StageGain>")
    xml = f"{before}<StageGain>{after.replace('629000000.0', '0.0')}"
    [read] = read_stations(xml.encode()).channels
    assert read.response is None
    assert read.response_problem == "the gain of stage 1 is zero"


@pytest.mark.fault(46, 58)
@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('code="HHZ"', 'code="../x"', "channel code '../x' is not allowed"),
        ("<Latitude>-21.04</Latitude>", "<Latitude>-91</Latitude>", "latitude -91.0 is outside"),
        ("<Latitude>-21.04</Latitude>", "<Latitude>x</Latitude>", "'x' is not a number"),
        ("<Longitude>-69.49</Longitude>", "", "no longitude"),
        ('startDate="2010-01-01T00:00:00Z"', 'startDate="yesterday"', "is not a time"),
        ('startDate="2010', 'endDate="2001-01-01" startDate="2010', "before it starts"),
    ],
)
def test_an_unusable_channel_is_named_and_the_others_go_on(old, new, problem):
    bad = write_stationxml(Stations.of([channel()])).decode().replace(old, new)
    good = write_stationxml(Stations.of([channel("IU.ANMO.00.BHZ")])).decode()
    network = good[good.index("<Network") : good.index("</FDSNStationXML>")]
    both = read_stations(bad.replace("</FDSNStationXML>", network + "</FDSNStationXML>").encode())
    assert both.seed_ids() == [SeedId.parse("IU.ANMO.00.BHZ")]
    [line] = both.problems
    assert problem in line


@pytest.mark.fault(35)
def test_overlapping_epochs_with_different_gain_are_refused_and_the_others_go_on():
    other = Response(1e9, 1.0, "m/s", STS2.zeros, STS2.poles)
    xml = write_stationxml(Stations((channel(), channel(response=other), channel("CX.PB02..HHZ"))))
    stations = read_stations(xml)
    assert stations.seed_ids() == [SeedId.parse("CX.PB02..HHZ")]
    assert stations.problems[0].startswith("CX.PB01..HHZ: epochs")


LAUGHS = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 10))


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    "prologue",
    [
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
    ],
)
def test_entities_are_refused(prologue):
    xml = write_stationxml(Stations.of([channel()])).decode()
    head, _, rest = xml.partition("?>")
    spoiled = f"{head}?>{prologue}{rest.replace('>PB01<', '>&e;&l9;<')}"
    with pytest.raises(StationMetadataError, match="StationXML: "):
        read_stations(spoiled.encode())


@pytest.mark.parametrize(
    ("content", "why"), [(b"<html/>", "root element"), (b"<a", "well-formed"), (b"", "well-formed")]
)
def test_what_is_no_stationxml_is_refused_in_one_line(content, why):
    with pytest.raises(StationMetadataError, match=why) as caught:
        read_stations(content)
    assert "\n" not in str(caught.value)


@pytest.mark.fault(48)
def test_a_file_too_large_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(stationxml, "MAX_BYTES", 1_000_000)
    path = tmp_path / "stations.xml"
    with path.open("wb") as file:
        file.write(b"<FDSNStationXML>")
        file.truncate(50_000_000_000)  # sparse
    with pytest.raises(StationMetadataError, match="larger than 1 MB"):
        read_stations(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damage_raises_anything_else(data):
    content = bytearray(write_stationxml(Stations.of(CHANNELS)))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    try:
        read = read_stations(bytes(content))
    except StationMetadataError as error:
        assert str(error).startswith("StationXML: ")  # noqa: PT017 - being read is allowed too
    else:
        assert all(abs(c.latitude) <= 90 and not c.epoch.is_empty for c in read.channels)


CSV = """network,station,latitude,longitude,elevation,location,channel,depth
CX,PB01,-21.04,-69.49,900,,HHZ HHN HHE,2
IU,ANMO,34.95,-106.46,1850,00,BHZ,100
OK,VERT,35.0,-97.0,300,,,
"""


@pytest.mark.parametrize("unit", ["", "_m"])
def test_a_table_of_stations(tmp_path, unit):
    path = tmp_path / "stations.csv"
    path.write_text(CSV.replace("elevation", f"elevation{unit}"))
    file = read_station_file(path)
    [vertical_only] = file.sites
    assert vertical_only.station_id == StationId("OK", "VERT")
    found = [SeedId.parse("OK.VERT..EHZ"), SeedId.parse("XX.OTHER..EHZ")]
    stations = file.with_channels(found)
    assert [str(s) for s in stations.seed_ids()] == [
        "CX.PB01..HHE", "CX.PB01..HHN", "CX.PB01..HHZ", "IU.ANMO.00.BHZ", "OK.VERT..EHZ",
    ]  # fmt: skip
    assert stations.station(StationId("CX", "PB01"), EPOCH.start_ns).elevation_m == 898
    assert stations.problems == ()
    assert "OK.VERT: no recordings" in file.with_channels([]).problems[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("latitude", "lat", "column 'latitude' is missing"),
        ("-21.04", "ninety", r":2: latitude 'ninety' is not a number"),
        ("34.95", "134.95", r":3: latitude 134.95 is outside"),
        ("CX", "c x", r":2: .*network code 'c x' is not allowed"),
        ("HHZ", "HH", r":2: .*channel code 'HH' is not allowed"),
    ],
)
def test_a_wrong_table_is_one_clear_line(tmp_path, old, new, message):
    path = tmp_path / "stations.csv"
    path.write_text(CSV.replace(old, new, 1))
    with pytest.raises(StationMetadataError, match=message):
        read_station_file(path)


def test_the_kind_of_file_is_told_by_content(tmp_path):
    path = tmp_path / "whatever.csv"
    path.write_bytes(write_stationxml(Stations.of(CHANNELS)))
    assert read_station_file(path).stations == Stations.of(CHANNELS)
    with pytest.raises(StationMetadataError, match="cannot be read"):
        read_station_file(tmp_path / "absent")
    path.write_bytes(bytes(range(128, 255)))
    with pytest.raises(StationMetadataError, match="neither StationXML nor"):
        read_station_file(path)
