"""From a SeedLink server into the archive by the service, whatever becomes of the process."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from geomon.config import Config, SeedLinkSource, load_config
from geomon.errors import StoreError
from geomon.ids import SeedId
from geomon.services.ingest import ingest
from geomon.services.streaming import Drained, drain
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment
from tests.networks import simulated
from tests.seedlinkserver import SeedLinkServer, Stored, Wire, honest

START_NS = parse_time("2024-02-03T23:55:00")
SPAN = TimeSpan(START_NS, START_NS + 600 * NS_PER_S)  # over midnight
CHANNELS = [SeedId.parse(f"CX.{station}..HH{c}") for station in ("PB01", "PB02") for c in "ENZ"]
STATIONS = """network,station,latitude,longitude,elevation
CX,PB01,-21.04,-69.49,900
CX,PB02,-21.32,-69.90,1015
"""


def recorded(seed_id: SeedId) -> Segment:
    rng = np.random.default_rng(list(str(seed_id).encode()))
    samples = np.cumsum(rng.normal(0, 300, 60_000)).astype(np.int32)
    return Segment(seed_id, START_NS, 100.0, samples)


RECORDINGS = {seed_id: recorded(seed_id) for seed_id in CHANNELS}


def network_of(server: SeedLinkServer, folder: Path, **source: object) -> Path:
    """Write the config of a network that is streamed from a server."""
    (folder / "stations.csv").write_text(STATIONS)
    content = {
        "network": {"name": "Test", "stations": "stations.csv"},
        "source": {
            "kind": "seedlink", "servers": [server.address], "reach_s": 1e9, "quiet_s": 0.2,
        } | source,
        "archive": {"url": "archive"},
        "catalog": {"url": "sqlite:///catalog.sqlite"},
    }  # fmt: skip
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def drained(config: Config) -> Drained:
    workspace(config).refreshed_stations(SPAN)
    return drain(config, SPAN)


def assert_all_is_archived(config: Config) -> None:
    archive = workspace(config).archive
    assert not archive.verify()
    for seed_id, truth in RECORDINGS.items():
        [held] = archive.read(seed_id, SPAN.start, SPAN.end).segments
        assert held.start_ns == truth.start_ns
        np.testing.assert_array_equal(held.samples, truth.samples)


@pytest.fixture(params=[3, 4], ids=["v3", "v4"])
def server(request) -> Iterator[SeedLinkServer]:
    with SeedLinkServer(versions=(request.param,), shared=request.param == 4) as server:
        yield server


def test_the_state_lies_beside_the_config_file(server, tmp_path) -> None:
    config = load_config(network_of(server, tmp_path))
    assert isinstance(config.source, SeedLinkSource)
    assert config.source.state == tmp_path / "seedlink-state.json"


def test_a_stream_is_archived_as_it_grows(server, tmp_path) -> None:
    config = load_config(network_of(server, tmp_path))
    middle = TimeSpan(START_NS, START_NS + 200 * NS_PER_S)
    server.feed([s.clipped(middle) for s in RECORDINGS.values()])
    first = drained(config)
    assert (first.failed, first.problems, first.n_new_samples) == (False, (), 6 * 20_000)
    assert first.changed == (middle,)
    assert [(str(stream), str(day)) for stream, day in first.days] == [
        ("CX.PB01..HH", "2024-02-03"), ("CX.PB02..HH", "2024-02-03"),
    ]  # fmt: skip
    again = drained(config)
    assert (again.n_batches, again.n_new_samples) == (0, 0)
    rest = TimeSpan(middle.end_ns, SPAN.end_ns)
    server.feed([s.clipped(rest) for s in RECORDINGS.values()])
    assert drained(config).changed == (rest,)
    assert_all_is_archived(config)


def test_ingest_drains_and_asks_for_the_holes_that_are_left(server, tmp_path) -> None:
    config = load_config(network_of(server, tmp_path))
    server.feed(RECORDINGS.values())
    whole = server.ring[300]
    server.ring[300] = spoilt = replace(whole, record=whole.record[:100] + bytes(412))
    sent = []

    def once_spoilt(packet: Stored) -> Stored:
        if packet is spoilt and sent:
            return whole
        sent.extend([packet] if packet is spoilt else [])
        return packet

    def mended(wire: Wire, packets: Iterator[Stored]) -> None:
        honest(wire, map(once_spoilt, packets))

    server.always = mended
    report = ingest(config, SPAN)
    assert report.n_new_samples == 6 * 60_000
    assert_all_is_archived(config)
    assert ingest(config, SPAN).n_new_samples == 0


def test_only_channels_of_the_config_are_archived(server, tmp_path) -> None:
    path = network_of(server, tmp_path)
    content = yaml.safe_load(path.read_text())
    content["network"] |= {"select": ["CX.PB02"], "channels": ["HH"]}
    path.write_text(yaml.safe_dump(content))
    config = load_config(path)
    other = Segment(SeedId.parse("CX.PB02..LHZ"), START_NS, 1.0, np.arange(600, dtype=np.int32))
    server.feed([*RECORDINGS.values(), other])
    assert drained(config).n_new_samples == 3 * 60_000
    assert [str(s) for s in workspace(config).archive.streams()] == ["CX.PB02..HH"]


@pytest.mark.fault(38, slow=True)
def test_what_cannot_be_written_is_not_acknowledged(server, tmp_path, monkeypatch) -> None:
    config = load_config(network_of(server, tmp_path))
    server.feed(RECORDINGS.values())

    def fail(*_: object) -> None:
        msg = "no space left"
        raise StoreError(msg)

    archive = workspace(config).archive
    with monkeypatch.context() as patch:
        patch.setattr(type(archive), "write", fail)
        report = drained(config)
    assert (report.failed, report.problems) == (True, ("no space left",))
    assert not (tmp_path / "seedlink-state.json").exists()
    assert not drained(config).failed
    assert_all_is_archived(config)


def test_a_source_that_does_not_stream_has_nothing_to_drain(tmp_path) -> None:
    assert drain(simulated(tmp_path), SPAN) == Drained()


@pytest.mark.fault(39, slow=True)
def test_a_killed_process_loses_nothing_and_doubles_nothing(server, tmp_path) -> None:
    path = network_of(server, tmp_path, max_batch_mb=0.03)
    config = load_config(path)
    server.feed(RECORDINGS.values())

    def leisurely(wire: Wire, packets: Iterator[Stored]) -> None:
        for number, stored in enumerate(packets):
            wire.send(wire.packet(stored))
            if number % 50 == 0:
                server.closing.wait(0.005)

    server.always = leisurely
    rng = random.Random(str(server.versions))
    command = [
        sys.executable, "-m", "tests.services.draining", str(path),
        SPAN.start.strftime("%Y-%m-%dT%H:%M:%S"), SPAN.end.strftime("%Y-%m-%dT%H:%M:%S"),
    ]  # fmt: skip
    held: list[int] = []
    for _ in range(2):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": ""}
        ) as process:
            for _ in range(rng.randint(2, 4)):
                process.stdout.readline()
            try:
                process.wait(timeout=rng.uniform(0, 0.02))
            except subprocess.TimeoutExpired:
                process.kill()
        found = workspace(config).archive.read(CHANNELS[0], SPAN.start, SPAN.end)
        assert len(found.segments) <= 1
        held.append(sum(s.samples.size for s in found.segments))
    assert held == sorted(held)
    assert 0 < held[-1] < 60_000
    report = drained(config)
    assert report.problems == ()
    assert_all_is_archived(config)
