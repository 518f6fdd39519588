"""SeedLink, both protocol versions, against a real server of either kind, well and ill.

Nothing the server still holds may be lost, and nothing invented, whatever happens on the way.
"""

import random
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from seedlink_client import Protocol, SeedLink

from geomon.config import Network, SeedLinkSource
from geomon.errors import ConfigError, SourceUnavailable
from geomon.ids import SeedId
from geomon.sources import seedlink_collect
from geomon.sources.base import Fetched, StreamingSource
from geomon.sources.seedlink import SeedLinkSource as Source
from geomon.stores.archive import Archive
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests.seedlinkserver import SeedLinkServer, Stored, Wire, honest
from tests.servers import free_port
from tests.sources.conftest import CHANNELS, PB01, PB02, RECORDINGS, SPAN, START_NS

REACH_S = 1e9  # the recordings are some years old


def quick(address: str, folder: Path, **changes: object) -> SeedLinkSource:
    """Settings with limits small enough for a test."""
    limits: dict[str, object] = {
        "connect_timeout_s": 2.0, "read_timeout_s": 0.5, "quiet_s": 0.2, "deadline_s": 20.0,
        "retry_wait_s": 0.01, "reach_s": REACH_S,
    }  # fmt: skip
    settings = {"servers": (address,), "state": folder / "state.json"} | limits | changes
    return SeedLinkSource(**settings)


@pytest.fixture(params=["v3", "v4", "v3-shared", "v4-shared"])
def server(request) -> Iterator[SeedLinkServer]:
    """A server of either kind that speaks one version."""
    version = int(request.param[1])
    with SeedLinkServer(versions=(version,), shared="shared" in request.param) as server:
        yield server


@pytest.fixture
def source(server, network, tmp_path) -> Source:
    return Source(quick(server.address, tmp_path), network)


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive.open(tmp_path / "archive")


def until(seconds: float, seed_ids: Sequence[SeedId] = CHANNELS) -> list[Segment]:
    """The first seconds of the recordings."""
    span = TimeSpan(START_NS, START_NS + round(seconds * NS_PER_S))
    return [part for s in seed_ids if (part := RECORDINGS[s].clipped(span))]


def since(seconds: float) -> list[Segment]:
    """The rest of the recordings."""
    span = TimeSpan(START_NS + round(seconds * NS_PER_S), SPAN.end_ns)
    return [part for s in CHANNELS if (part := RECORDINGS[s].clipped(span))]


def collect_into(
    archive: Archive, source: StreamingSource, seed_ids: Sequence[SeedId] = CHANNELS
) -> list[Fetched]:
    """Do what the service does: write, then commit."""
    fetched = []
    for batch in source.collect(seed_ids):
        archive.write(batch.fetched.segments, batch.fetched.provenance)
        batch.commit()
        fetched.append(batch.fetched)
    return fetched


def problems(fetched: Sequence[Fetched]) -> str:
    return "; ".join(line for one in fetched for line in one.problems)


def assert_archived(archive: Archive, expected: Sequence[Segment]) -> None:
    """Exactly these samples are in the archive, at these times."""
    for segment in expected:
        found = archive.read(segment.seed_id, SPAN.start, SPAN.end)
        [held] = [s for s in found.segments if s.seed_id == segment.seed_id]
        assert (held.start_ns, held.sampling_rate_hz) == (
            segment.start_ns, segment.sampling_rate_hz,
        )  # fmt: skip
        np.testing.assert_array_equal(held.samples, segment.samples)


# What a server sends


def test_our_server_serves_an_independent_client(server) -> None:
    server.feed(RECORDINGS.values())
    host, port = server.address.split(":")
    client = SeedLink(host, int(port), protocol=Protocol(str(server.versions[0])), dialup=True)
    first, *others = [s for s in server.ring if s.station == "CX_PB02"]
    with client:
        client.add_stream("CX_PB02", seqnum=first.count)
        records = [packet.payload for packet in client.collect(reconnect=False)]
    assert records == [stored.record for stored in others]


def test_all_is_collected_once_and_then_only_what_is_new(server, source, archive) -> None:
    server.feed(until(300))
    first = collect_into(archive, source)
    assert [f.outcome for f in first] == ["data"]
    [asked] = first[0].asked
    assert (asked.url, asked.outcome) == (f"seedlink://{server.address}", "data")
    assert (asked.n_bytes, asked.sha256) == (first[0].n_bytes, first[0].provenance.sha256)
    assert problems(first) == ""
    assert_archived(archive, until(300))
    assert collect_into(archive, source) == []
    server.feed(since(300))
    second = collect_into(archive, source)
    assert_archived(archive, RECORDINGS.values())
    assert sum(f.n_bytes for f in second) < sum(f.n_bytes for f in first) * 1.2
    assert problems(second) == ""


def test_another_process_goes_on_where_the_last_one_stopped(
    server, network, tmp_path, archive
) -> None:
    for end in (100, 250, 600):
        server.feed(until(end) if end == 100 else [])
        if end > 100:
            before = 100 if end == 250 else 250
            span = TimeSpan(START_NS + before * NS_PER_S, START_NS + end * NS_PER_S)
            server.feed([RECORDINGS[s].clipped(span) for s in CHANNELS])
        fetched = collect_into(archive, Source(quick(server.address, tmp_path), network))
        assert problems(fetched) == ""
        assert_archived(archive, until(end))


def test_a_batch_not_committed_is_sent_again(server, network, tmp_path, archive) -> None:
    server.feed(RECORDINGS.values())
    source = Source(quick(server.address, tmp_path, max_batch_mb=0.05), network)
    batches = source.collect(CHANNELS)
    for _ in range(2):
        batch = next(batches)
        archive.write(batch.fetched.segments, batch.fetched.provenance)
        batch.commit()
    next(batches)
    assert list(batches) == []
    fetched = collect_into(archive, source)
    assert len(fetched) > 2
    assert_archived(archive, RECORDINGS.values())


def test_numbers_that_start_again_are_followed(server, source, archive) -> None:
    server.first = 0xFFFFFF - 40 if server.versions == (3,) else 2**63
    server.feed(until(300))
    collect_into(archive, source)
    server.feed(since(300))
    fetched = collect_into(archive, source)
    assert_archived(archive, RECORDINGS.values())
    assert problems(fetched) == ""


def test_only_what_was_asked_for_is_kept(server, source, archive) -> None:
    other = SeedId.parse("CX.PB01.10.HHZ")
    server.feed([*RECORDINGS.values(), Segment(other, START_NS, 100.0, np.arange(500, dtype="i4"))])
    server.feed([Segment(SeedId.parse("CX.PB09..HHZ"), START_NS, 1.0, np.arange(50, dtype="i4"))])
    fetched = collect_into(archive, source, PB01)
    assert {s.seed_id for f in fetched for s in f.segments} == set(PB01)
    assert problems(fetched) == ""


def test_a_station_added_later_gets_all_the_server_holds(server, source, archive) -> None:
    server.feed(until(300))
    collect_into(archive, source, PB01)
    server.feed(since(300))
    collect_into(archive, source, PB01)
    collect_into(archive, source, CHANNELS)
    assert_archived(archive, RECORDINGS.values())
    server.feed([Segment(PB02, SPAN.end_ns, 40.0, np.arange(4000, dtype=np.int32))])
    server.commands.clear()
    fetched = collect_into(archive, source, CHANNELS)
    assert sum(s.samples.size for f in fetched for s in f.segments if s.seed_id == PB02) >= 4000
    assert server.commands.count("HELLO") == 1


@pytest.mark.parametrize(("farthest", "n_connections"), [(100_000, 1), (5, 2)])
@pytest.mark.parametrize("server", ["v3-shared", "v4-shared"], indirect=True)
def test_stations_left_behind_catch_up_where_all_are_numbered_together(
    server, source, archive, monkeypatch, farthest, n_connections
) -> None:
    monkeypatch.setattr(seedlink_collect, "_FARTHEST_APART", farthest)
    server.feed(until(300))
    collect_into(archive, source)
    server.feed(since(300))
    collect_into(archive, source, PB01)
    server.commands.clear()
    fetched = collect_into(archive, source)
    assert server.commands.count("HELLO") == n_connections
    assert problems(fetched) == ""
    assert_archived(archive, RECORDINGS.values())


def test_a_new_station_is_asked_for_so_far_back_as_configured(server, network, tmp_path) -> None:
    server.feed(RECORDINGS.values())
    source = Source(quick(server.address, tmp_path, reach_s=3600), network)
    assert list(source.collect(CHANNELS)) == []


def test_the_newest_version_offered_is_spoken_unless_one_is_asked_for(network, tmp_path) -> None:
    with SeedLinkServer() as server:
        server.feed(until(10))
        list(Source(quick(server.address, tmp_path), network).collect(CHANNELS))
        assert "SLPROTO 4.0" in server.commands
        server.commands.clear()
        list(Source(quick(server.address, tmp_path, protocol=3), network).collect(CHANNELS))
        assert "SLPROTO 4.0" not in server.commands
        assert "STATION PB01 CX" in server.commands
    with SeedLinkServer(versions=(3,)) as server:
        source = Source(quick(server.address, tmp_path, protocol=4), network)
        [last] = [batch.fetched for batch in source.collect(CHANNELS)]
        assert last.outcome == "rejected"
        assert "does not support SeedLink v4" in problems([last])


def test_version_4_brings_miniseed_3(network, tmp_path, archive) -> None:
    with SeedLinkServer(versions=(4,)) as server:
        server.feed(RECORDINGS.values(), format_version=3)
        collect_into(archive, Source(quick(server.address, tmp_path), network))
    assert_archived(archive, RECORDINGS.values())


# Servers that forget


def test_a_restarted_server_that_counts_anew_loses_nothing(server, source, archive) -> None:
    server.first = 5000
    server.feed(until(300))
    collect_into(archive, source)
    server.feed(since(300))
    server.restart(first=4700)  # the number known is held again, by another packet
    fetched = collect_into(archive, source)
    assert_archived(archive, RECORDINGS.values())
    assert "no longer held" not in problems(fetched)
    assert collect_into(archive, source) == []


def test_what_a_ring_has_dropped_is_told(server, source, archive) -> None:
    server.feed(until(200))
    collect_into(archive, source)
    server.feed(since(200))
    server.restart(first=1, keep=150)
    fetched = collect_into(archive, source)
    for seed_id in CHANNELS:
        assert f"{seed_id}: {server.address} has nothing from 2024-02-03T05:03:2" in problems(
            fetched
        )
    [_, rest] = archive.read(PB01[0], SPAN.start, SPAN.end).segments
    np.testing.assert_array_equal(rest.samples, RECORDINGS[PB01[0]].samples[-rest.samples.size :])
    assert collect_into(archive, source) == []


def test_a_ring_that_dropped_the_packet_known_is_gone_on_with(server, source, archive) -> None:
    server.capacity = 60
    server.feed(until(100))
    collect_into(archive, source)
    server.feed(since(100))
    fetched = collect_into(archive, source)
    held = {s.station for s in server.ring}
    assert held == {"CX_PB01", "CX_PB02"}
    assert "has nothing from" in problems(fetched)
    for seed_id in CHANNELS:
        *_, last = archive.read(seed_id, SPAN.start, SPAN.end).segments
        assert last.end_ns == RECORDINGS[seed_id].end_ns


@pytest.mark.parametrize(("version", "refused"), [(3, "TIME"), (4, "DATA ALL")])
def test_a_server_without_windows_of_time_sends_all_it_has(
    version, refused, network, tmp_path, archive
) -> None:
    with SeedLinkServer(versions=(version,), windows=False) as server:
        source = Source(quick(server.address, tmp_path), network)
        server.feed(until(300))
        collect_into(archive, source)
        server.feed(since(300))
        server.restart(first=7000)
        assert problems(collect_into(archive, source)) == ""
        assert_archived(archive, RECORDINGS.values())
        fetched = source.fetch(PB01, TimeSpan(START_NS, START_NS + NS_PER_S))
        assert fetched.outcome == "nodata"
        assert f"refused {refused}" in problems([fetched])


def test_a_state_file_that_is_damaged_is_told_and_replaced(
    server, source, archive, tmp_path
) -> None:
    server.feed(RECORDINGS.values())
    (tmp_path / "state.json").write_text("{")
    assert "state.json: cannot be read as SeedLink state" in problems(collect_into(archive, source))
    assert_archived(archive, RECORDINGS.values())
    assert collect_into(archive, source) == []


def test_what_a_killed_process_left_behind_is_swept(server, source, tmp_path) -> None:
    server.feed(until(10))
    left_behind = tmp_path / ".state.json-abcd"
    left_behind.write_text("{")
    list(source.collect(CHANNELS))
    assert not left_behind.exists()


def test_a_second_process_leaves_it_to_the_first(server, network, tmp_path, archive) -> None:
    server.feed(RECORDINGS.values())
    settings = quick(server.address, tmp_path, max_batch_mb=0.05)
    first = Source(settings, network).collect(CHANNELS)
    next(first)
    [second] = Source(settings, network).collect(CHANNELS)
    assert "another process is collecting" in problems([second.fetched])
    first.close()
    collect_into(archive, Source(settings, network))
    assert_archived(archive, RECORDINGS.values())


# Faults


def reset_mid_packet(wire: Wire, packets: Iterator[Stored]) -> None:
    for stored in islice(packets, 20):
        wire.send(wire.packet(stored))
    wire.send(wire.packet(next(packets))[:300])
    wire.reset()


def closed_mid_packet(wire: Wire, packets: Iterator[Stored]) -> None:
    wire.send(wire.packet(next(packets)))
    wire.send(wire.packet(next(packets))[:100])
    wire.close()


def closed_before_anything(wire: Wire, packets: Iterator[Stored]) -> None:
    wire.close()


def closed_between_packets(wire: Wire, packets: Iterator[Stored]) -> None:
    for stored in islice(packets, 15):
        wire.send(wire.packet(stored))
    wire.close()


def stall_mid_packet(wire: Wire, packets: Iterator[Stored]) -> None:
    wire.send(wire.packet(next(packets)))
    wire.send(wire.packet(next(packets))[:50])
    wire.stall()


def stall_in_header(wire: Wire, packets: Iterator[Stored]) -> None:
    wire.send(wire.packet(next(packets))[:5])
    wire.stall()


def error_in_stream(wire: Wire, packets: Iterator[Stored]) -> None:
    wire.send(wire.packet(next(packets)))
    wire.send(b"ERROR INTERNAL trouble\r\n")
    wire.close()


def twice(wire: Wire, packets: Iterator[Stored]) -> None:
    for stored in packets:
        wire.send(wire.packet(stored) * 2)


def junk_between(wire: Wire, packets: Iterator[Stored]) -> None:
    for number, stored in enumerate(packets):
        if number % 50 == 7:
            wire.send(b"\0SE2SL00garbage SLINF\xff" * 9)
        wire.send(wire.packet(stored))


def out_of_order(wire: Wire, packets: Iterator[Stored]) -> None:
    first = next(packets)
    held = list(islice(packets, len(wire.server.ring) - 1))  # in real time there is no end
    wire.send(wire.packet(first))
    for number in range(0, len(held), 3):
        for stored in reversed(held[number : number + 3]):
            wire.send(wire.packet(stored))


MENDED: dict[str, Callable[[Wire, Iterator[Stored]], None]] = {
    "reset-mid-packet": reset_mid_packet,
    "closed-mid-packet": closed_mid_packet,
    "closed-before-anything": closed_before_anything,
    "closed-between-packets": closed_between_packets,
    "stall-mid-packet": stall_mid_packet,
    "stall-in-header": stall_in_header,
    "duplicates": twice,
    "junk-between-packets": junk_between,
    "out-of-order": out_of_order,
}


@pytest.mark.parametrize("server", ["v3", "v4-shared"], indirect=True)
@pytest.mark.parametrize("fault", MENDED.values(), ids=MENDED.keys())
def test_a_fault_that_strikes_once_costs_nothing(server, source, archive, fault) -> None:
    server.feed(RECORDINGS.values())
    server.script = [fault, fault]
    collect_into(archive, source)
    assert_archived(archive, RECORDINGS.values())
    server.feed([Segment(PB02, SPAN.end_ns, 40.0, np.arange(400, dtype=np.int32))])
    server.script.clear()
    server.commands.clear()
    collect_into(archive, source)
    assert server.commands.count("HELLO") == 1  # the state was good


@pytest.mark.parametrize("server", ["v3", "v4", "v4-shared"], indirect=True)
@pytest.mark.parametrize("seed", range(4))
def test_noise_on_the_wire_invents_nothing_and_hangs_nobody(
    server, network, tmp_path, archive, seed
) -> None:
    truth = until(60)
    server.feed(truth)
    rng = random.Random(seed)

    def noisy(wire: Wire, packets: Iterator[Stored]) -> None:
        sent = [bytearray(wire.packet(p)) for p in islice(packets, len(wire.server.ring))]
        for packet in rng.sample(sent, 15):
            # Not in times and rates: no checksum of miniSEED 2 covers its header.
            at = rng.choice([*range(len(packet) - 492), *range(len(packet) - 464, len(packet))])
            packet[at] ^= 1 << rng.randrange(8)
        whole = b"".join(sent)
        for _ in range(25):
            at, n = rng.randrange(len(whole)), rng.randrange(1, 40)
            lost = rng.randrange(2)
            whole = whole[:at] + (b"" if lost else rng.randbytes(n)) + whole[at + lost * n :]
        wire.send(whole)

    server.always = noisy
    source = Source(quick(server.address, tmp_path, deadline_s=4.0), network)
    collect_into(archive, source)
    source.fetch(CHANNELS, SPAN)
    for recorded in truth:
        for part in archive.read(recorded.seed_id, SPAN.start, SPAN.end).segments:
            index = round((part.start_ns - START_NS) * part.sampling_rate_hz / NS_PER_S)
            assert recorded.time_ns(index) == part.start_ns
            np.testing.assert_array_equal(
                part.samples, recorded.samples[index : index + part.samples.size]
            )


LASTING = {
    "stall": (stall_mid_packet, "network"),
    "closed": (closed_before_anything, "network"),
    "error": (error_in_stream, "rejected"),
    "no-packets": (lambda wire, packets: wire.send(b"<html>" * 30_000), "not_data"),
}


@pytest.mark.parametrize("server", ["v3-shared", "v4"], indirect=True)
@pytest.mark.parametrize(("fault", "outcome"), LASTING.values(), ids=LASTING.keys())
def test_a_fault_that_lasts_is_a_typed_outcome(server, source, archive, fault, outcome) -> None:
    server.feed(RECORDINGS.values())
    server.always = fault
    *_, last = collect_into(archive, source)
    assert last.outcome in (outcome, "truncated")
    assert server.address in problems([last])
    fetched = source.fetch(CHANNELS, SPAN)
    assert fetched.outcome in (outcome, "truncated")
    assert fetched.missing != ()
    server.always = honest
    collect_into(archive, source)
    assert_archived(archive, RECORDINGS.values())


def test_no_server_is_an_outcome(network, tmp_path, archive) -> None:
    address = f"127.0.0.1:{free_port()}"
    source = Source(quick(address, tmp_path), network)
    [last] = collect_into(archive, source)
    assert last.outcome == "network"
    assert f"{address}: no connection" in problems([last])
    fetched = source.fetch(PB01, SPAN)
    assert (fetched.outcome, len(fetched.missing)) == ("network", 3)


def test_what_speaks_another_protocol_is_an_outcome(dataselect, network, tmp_path) -> None:
    source = Source(quick(dataselect.removeprefix("http://"), tmp_path), network)
    [batch] = source.collect(CHANNELS)
    assert batch.fetched.outcome in ("network", "not_data", "truncated", "rejected")


def test_the_next_server_has_what_the_first_has_not(network, tmp_path, archive) -> None:
    with SeedLinkServer(versions=(3,)) as one, SeedLinkServer(versions=(4,)) as two:
        one.feed(until(600, PB01))
        two.feed(RECORDINGS.values())
        addresses = (f"127.0.0.1:{free_port()}", one.address, two.address)
        source = Source(quick("", tmp_path, servers=addresses), network)
        fetched = collect_into(archive, source)
        assert_archived(archive, RECORDINGS.values())
        assert "STATION CX_PB01" not in two.commands
        assert "no connection" in problems(fetched)
        both = source.fetch(CHANNELS, SPAN)
        assert (both.outcome, both.missing) == ("data", ())


@pytest.mark.parametrize("version", [3, 4])
def test_a_station_the_server_lacks_hinders_no_other(version, network, tmp_path, archive) -> None:
    with SeedLinkServer(versions=(version,)) as server:
        server.feed(until(600, PB01))
        source = Source(quick(server.address, tmp_path), network)
        fetched = collect_into(archive, source)
        assert_archived(archive, until(600, PB01))
        assert "CX.PB02: " in problems(fetched)
        assert "refused STATION" in problems(fetched)
        assert fetched[-1].outcome == "nodata"


def damaged(kind: str, record: bytes) -> bytes:
    if kind == "payload":
        return bytes(range(256)) * 2
    if kind == "steim":
        return record[:200] + bytes([record[200] ^ 4]) + record[201:]
    if kind == "length":
        return record[:300]
    return record + b"\0" * 100


@pytest.mark.parametrize("kind", ["payload", "steim", "length", "longer"])
def test_a_damaged_record_costs_itself_alone(server, source, archive, kind) -> None:
    server.feed(RECORDINGS.values())
    place = 100
    spoilt = server.ring[place]
    content = damaged(kind, spoilt.record)
    server.ring[place] = Stored(
        spoilt.count, spoilt.station, spoilt.stream, spoilt.start_ns, spoilt.end_ns, content
    )
    fetched = collect_into(archive, source)
    assert problems(fetched) != ""
    n_lost = 0
    for seed_id in CHANNELS:
        truth = RECORDINGS[seed_id]
        for part in archive.read(seed_id, SPAN.start, SPAN.end).segments:
            index = round((part.start_ns - truth.start_ns) * truth.sampling_rate_hz / NS_PER_S)
            expected = truth.samples[index : index + part.samples.size]
            np.testing.assert_array_equal(part.samples, expected)
            n_lost -= part.samples.size
        n_lost += truth.samples.size
    per_record = 520  # Steim2 of this noise
    assert 0 <= n_lost <= (2 * per_record if kind == "length" else per_record)
    assert collect_into(archive, source) == []
    server.ring[place] = spoilt
    hole = TimeSpan(spoilt.start_ns - NS_PER_S, spoilt.end_ns + NS_PER_S)
    again = source.fetch(CHANNELS, hole)
    archive.write(again.segments, again.provenance)
    assert_archived(archive, RECORDINGS.values())


def test_records_from_the_future_are_left_out(server, source, archive) -> None:
    server.feed(RECORDINGS.values())
    future_ns = START_NS + 100 * 365 * 86_400 * NS_PER_S
    server.feed([Segment(PB02, future_ns, 40.0, np.arange(400, dtype=np.int32))])
    fetched = collect_into(archive, source)
    assert_archived(archive, RECORDINGS.values())
    assert "in the future" in problems(fetched)
    assert max(s.end_ns for f in fetched for s in f.segments) <= SPAN.end_ns


def test_codes_that_are_no_codes_never_get_far(server, source, archive, tmp_path) -> None:
    server.feed(RECORDINGS.values())
    evil = bytearray(server.ring[0].record)
    evil[8:13] = b"../.."
    server.put(bytes(evil), station="CX_PB01")
    fetched = collect_into(archive, source)
    assert {s.seed_id for f in fetched for s in f.segments} == set(CHANNELS)
    assert_archived(archive, RECORDINGS.values())


def test_a_run_that_is_cut_by_its_deadline_goes_on_the_next_time(
    server, network, tmp_path, archive
) -> None:
    server.feed(RECORDINGS.values())

    def slowly(wire: Wire, packets: Iterator[Stored]) -> None:
        for number, stored in enumerate(packets):
            if number > 50:
                server.closing.wait(0.02)
            wire.send(wire.packet(stored))

    server.always = slowly
    source = Source(quick(server.address, tmp_path, deadline_s=0.5), network)
    fetched = collect_into(archive, source)
    assert "stopped after 0.5 s" in problems(fetched)
    assert fetched[-1].outcome == "nodata"
    server.always = honest
    collect_into(archive, source)
    assert_archived(archive, RECORDINGS.values())


# Spans of time


def test_a_span_is_fetched_like_from_any_other_source(server, source) -> None:
    server.feed(RECORDINGS.values())
    span = TimeSpan(START_NS + 100_500_000_000, START_NS + 200_250_000_000)
    fetched = source.fetch(CHANNELS, span)
    assert (fetched.outcome, fetched.missing, fetched.problems) == ("data", (), ())
    assert [s.seed_id for s in fetched.segments] == sorted(CHANNELS)
    for segment in fetched.segments:
        expected = RECORDINGS[segment.seed_id].clipped(span)
        assert segment.start_ns == expected.start_ns
        np.testing.assert_array_equal(segment.samples, expected.samples)
    assert fetched.provenance.source == f"seedlink:{server.address}"


def test_a_span_the_server_no_longer_holds_is_no_data(server, source) -> None:
    server.feed(RECORDINGS.values())
    early = TimeSpan(START_NS - 100 * NS_PER_S, START_NS - 50 * NS_PER_S)
    fetched = source.fetch(PB01, early)
    assert (fetched.outcome, fetched.segments) == ("nodata", ())
    assert [gap.span for gap in fetched.missing] == [early] * 3


def test_a_connection_lost_in_a_span_is_made_again(server, source) -> None:
    server.feed(RECORDINGS.values())
    server.script = [reset_mid_packet, closed_between_packets]
    fetched = source.fetch(CHANNELS, SPAN)
    assert (fetched.outcome, fetched.missing) == ("data", ())
    assert [asked.outcome for asked in fetched.asked][-1] == "data"
    assert len(fetched.asked) in (2, 3)


def test_a_span_is_not_without_data_while_a_server_does_not_answer(
    server, network, tmp_path
) -> None:
    server.feed(until(600, PB01))
    addresses = (f"127.0.0.1:{free_port()}", server.address)
    source = Source(quick("", tmp_path, servers=addresses), network)
    assert source.fetch([PB02], SPAN).outcome == "network"
    assert source.fetch(PB01, SPAN).outcome == "data"


def test_a_span_too_large_is_cut(server, network, tmp_path) -> None:
    server.feed(RECORDINGS.values())
    source = Source(quick(server.address, tmp_path, max_answer_mb=0.02), network)
    fetched = source.fetch(CHANNELS, SPAN)
    assert fetched.outcome == "too_large"
    assert fetched.n_bytes < 22_000
    assert "more than 0.02 MB" in problems([fetched])


def test_what_was_just_collected_is_not_asked_for_again(server, source, archive) -> None:
    server.feed(RECORDINGS.values())
    collect_into(archive, source)
    server.commands.clear()
    following = TimeSpan(SPAN.end_ns - NS_PER_S, SPAN.end_ns + 60 * NS_PER_S)
    assert source.fetch(CHANNELS, following).outcome == "nodata"
    assert server.commands == []
    assert source.fetch(CHANNELS, SPAN).outcome == "data"


# Stations and settings


def test_channels_a_table_does_not_name_are_those_the_server_has(server, source) -> None:
    server.feed(RECORDINGS.values())
    stations = source.stations(SPAN)
    assert stations.seed_ids() == sorted(CHANNELS)
    assert stations.problems == ()


def test_a_server_that_does_not_tell_its_channels_is_named(server, source) -> None:
    server.tells_streams = False
    server.feed(RECORDINGS.values())
    if server.versions == (4,):
        with pytest.raises(SourceUnavailable, match="looking for channels"):
            source.stations(SPAN)
    else:
        assert "CX.PB01: no recordings found" in "; ".join(source.stations(SPAN).problems)


def test_a_station_file_is_needed(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"network\.stations is missing"):
        Source(quick("localhost", tmp_path), Network(name="none"))


def test_an_encrypted_connection_needs_a_certificate_that_holds(
    network, tmp_path, archive, monkeypatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with SeedLinkServer(tls=context) as server:
        server.feed(until(60))
        source = Source(quick(server.address, tmp_path, tls=True), network)
        [refused] = collect_into(archive, source)
        assert "no encrypted connection" in problems([refused])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        collect_into(archive, source)
        assert_archived(archive, until(60))
