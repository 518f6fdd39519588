"""Station metadata that are wrong, odd or missing: named, and the others go on."""

from dataclasses import replace
from pathlib import Path

import pytest

from geomon.ids import SeedId
from geomon.services.ingest import ingest
from geomon.services.workspace import workspace
from geomon.sources.stationxml import write_stationxml
from geomon.stations import FOREVER_NS, Channel, Response, Stations
from geomon.stores.archive import Archive
from geomon.times import TimeSpan, parse_time
from tests.faultproxy import FaultProxy
from tests.faults.networks import (
    Configured,
    archived,
    assert_everything_archived,
    assert_nothing_invented,
    restarted,
    write_recordings,
)
from tests.servers import dataselect_server
from tests.sources.conftest import PB01, PB02, RECORDINGS, SPAN, recording

EPOCH = TimeSpan(parse_time("2010-01-01"), FOREVER_NS)
GAIN = Response(6.29e8, 1.0, "m/s", (0j, 0j), (-0.037 + 0.037j, -0.037 - 0.037j))


def channel(seed_id: SeedId, response: Response | None = GAIN) -> Channel:
    rate = RECORDINGS[seed_id].sampling_rate_hz if seed_id in RECORDINGS else 100.0
    return Channel(seed_id, EPOCH, -21.0, -69.5, 900.0, 0.0, 0.0, -90.0, rate, response)


ALL = Stations.of([channel(s) for s in RECORDINGS])


@pytest.mark.fault(35)
def test_contradictory_epochs_cost_their_channel_only(
    dataselect: str, configured: Configured
) -> None:
    other = replace(GAIN, sensitivity=1e9)
    stations = Stations((*ALL.channels, channel(PB02, response=other)))
    config = configured(dataselect, stations=write_stationxml(stations))
    report = ingest(config, SPAN)
    assert any(line.startswith(f"{PB02}: epochs") for line in report.problems)
    assert report.n_new_samples == 180_000
    assert_nothing_invented(config)
    assert PB02 not in workspace(config).stations().seed_ids()


@pytest.mark.fault(36)
@pytest.mark.parametrize("sensitivity", ["0.0", "NaN", None])
def test_a_useless_response_is_named_and_the_waveforms_kept(
    dataselect: str, configured: Configured, sensitivity: str | None
) -> None:
    xml = write_stationxml(ALL).decode()
    before, after = xml.rsplit("<Response>", 1)
    _, rest = after.split("</Response>", 1)
    damaged = "" if sensitivity is None else f"<Response>{after.split('</Response>')[0]}</Response>"
    if sensitivity is not None:
        damaged = damaged.replace("629000000.0", sensitivity)
    config = configured(dataselect, stations=before + damaged + rest)
    assert ingest(config, SPAN).n_failed == 0
    assert_everything_archived(config)
    [without] = [c for c in workspace(config).stations().channels if c.response is None]
    assert without.seed_id == PB02
    assert without.response_problem


@pytest.mark.fault(37)
def test_changed_metadata_are_another_version_and_cost_no_sample(
    proxy: FaultProxy, configured: Configured
) -> None:
    config = configured(proxy.url, stations=write_stationxml(ALL))
    ingest(config, SPAN)
    before = workspace(config).stations()
    n_requests = len(proxy.requests)
    changed = [replace(c, response=replace(GAIN, sensitivity=1e9)) for c in ALL.channels]
    config.network.stations.write_bytes(write_stationxml(Stations.of(changed)))
    restarted(config)
    assert ingest(config, SPAN).n_new_samples == 0
    assert len(proxy.requests) == n_requests
    after = workspace(config).stations()
    assert {c.response.sensitivity for c in after.channels} == {1e9}
    assert after.version != before.version
    assert_everything_archived(config)


@pytest.mark.fault(46)
@pytest.mark.parametrize("code", ["../../x", "/etc/x", "A/B", "..", "A B", "x" * 99])
def test_a_station_code_never_becomes_a_path(
    proxy: FaultProxy, configured: Configured, tmp_path: Path, code: str
) -> None:
    xml = write_stationxml(ALL).decode().replace('code="PB02"', f'code="{code}"')
    config = configured(proxy.url, stations=xml)
    report = ingest(config, SPAN)
    assert any(repr(code)[1:-1] in line and "not allowed" in line for line in report.problems)
    assert report.n_new_samples == 180_000
    assert not any(code.encode() in request.body for request in proxy.requests)
    below = Path(config.archive.url)
    made = {p.relative_to(below).parts[0] for p in below.rglob("*")}
    assert {name for name in made if not name.startswith((".", "_"))} <= {
        "CX", "zarr.json", "stations.xml",
    }  # fmt: skip
    assert {p.name for p in below.parent.iterdir()} <= {
        "archive", "stations", "catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm",
    }  # fmt: skip


@pytest.mark.fault(57)
def test_long_codes_empty_locations_and_two_sensors_are_kept_apart(
    configured: Configured, tmp_path: Path
) -> None:
    codes = ["CX.ABCDE..HHZ", "CX.ABCD..HHZ", "CX.ABCDE.00.HHZ", "CX.ABCDE.10.HHZ"]
    truth = {s: recording(s, n_samples=6_000) for s in map(SeedId.parse, codes)}
    (tmp_path / "w").mkdir()
    with dataselect_server(write_recordings(tmp_path / "w", truth.values())) as url:
        stations = write_stationxml(Stations.of([channel(s) for s in truth]))
        config = configured(url, stations=stations)
        assert ingest(config, SPAN).n_failed == 0
    assert [s.seed_id for s in archived(config)] == sorted(truth)
    assert_everything_archived(config, truth)


@pytest.mark.fault(58)
def test_stations_unknown_or_without_place_are_named_and_the_others_go_on(
    dataselect: str, configured: Configured
) -> None:
    stations = Stations.of([*ALL.channels, channel(SeedId.parse("CX.NOWHR..HHZ"))])
    xml = write_stationxml(stations).decode()
    before, after = xml.split('code="NOWHR"')
    xml = before + 'code="NOWHR"' + after.replace("<Latitude>-21.0</Latitude>", "", 2)
    config = configured(dataselect, stations=xml)
    report = ingest(config, SPAN)
    assert any("NOWHR" in line and "latitude" in line for line in report.problems)
    assert_everything_archived(config)
    asked = ingest(config, SPAN, stations=("CX.ABSENT",))
    assert any("CX.ABSENT" in line for line in asked.problems)


@pytest.mark.fault(28, 58)
def test_recordings_of_a_station_not_in_the_inventory_stay_out(
    dataselect: str, configured: Configured
) -> None:
    only = Stations.of([channel(s) for s in PB01])
    config = configured(dataselect, stations=write_stationxml(only))
    assert ingest(config, SPAN).n_new_samples == 180_000
    assert [str(s) for s in Archive.open(config.archive.url).streams()] == ["CX.PB01..HH"]
