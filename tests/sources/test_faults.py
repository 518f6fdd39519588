"""Every fault a data centre has shown us, injected for real; nothing may be lost or invented.

The test ids begin with the fault's number. "Mended" faults strike once: everything must be there
in the end. "Lasting" ones never stop: a typed outcome, what is sound kept, the rest listed.
"""

import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources.base import Fetched
from geomon.sources.fdsn import FdsnSource
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests import faultproxy as f
from tests.faults.numbers import by_number
from tests.servers import free_port
from tests.sources.conftest import PB01, PB02, RECORDINGS, SPAN, START_NS, quick

RECORD = 512


@pytest.fixture
def proxy(dataselect) -> Iterator[f.FaultProxy]:
    with f.FaultProxy(dataselect) as proxy:
        yield proxy


@pytest.fixture
def source(proxy, network) -> Iterator[FdsnSource]:
    source = FdsnSource(quick(proxy.url), network)
    yield source
    source.close()


def n_samples(fetched: Fetched) -> int:
    return sum(segment.samples.size for segment in fetched.segments)


def assert_nothing_invented(fetched: Fetched) -> None:
    for segment in fetched.segments:
        truth = RECORDINGS[segment.seed_id]
        index = round((segment.start_ns - truth.start_ns) * truth.sampling_rate_hz / NS_PER_S)
        assert truth.time_ns(index) == segment.start_ns
        np.testing.assert_array_equal(
            segment.samples, truth.samples[index : index + segment.samples.size]
        )


def assert_everything_is_there(fetched: Fetched, *seed_ids: SeedId) -> None:
    assert_nothing_invented(fetched)
    assert [segment.seed_id for segment in fetched.segments] == sorted(seed_ids)
    assert n_samples(fetched) == sum(RECORDINGS[s].samples.size for s in seed_ids)
    assert fetched.missing == ()
    assert fetched.outcome == "data"


def block(index: int, content: bytes) -> Callable[[bytes], bytes]:
    def change(whole: bytes) -> bytes:
        return whole[: index * RECORD] + content + whole[(index + 1) * RECORD :]

    return change


def flipped(offset: int, bit: int = 0) -> Callable[[bytes], bytes]:
    def change(whole: bytes) -> bytes:
        spoiled = bytearray(whole)
        spoiled[offset] ^= 1 << bit
        return bytes(spoiled)

    return change


def without(start: int, length: int) -> Callable[[bytes], bytes]:
    return lambda whole: whole[:start] + whole[start + length :]


def inserted(at: int, content: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: whole[:at] + content + whole[at:]


def renamed(whole: bytes) -> bytes:
    return whole[:8] + b"EVIL " + whole[13:]


def shuffled(whole: bytes) -> bytes:
    records = [whole[i : i + RECORD] for i in range(0, len(whole), RECORD)]
    random.Random(1).shuffle(records)
    return b"".join(records)


def header_field(layout: str, offset: int, *values: int) -> Callable[[bytes], bytes]:
    """Overwrite part of the header of the sixth record."""

    def change(whole: bytes) -> bytes:
        spoiled = bytearray(whole)
        struct.pack_into(layout, spoiled, 5 * RECORD + offset, *values)
        return bytes(spoiled)

    return change


RANDOM = random.Random(7).randbytes(RECORD)
MENDED: dict[str, list[f.Fault]] = {
    "02-reset-before-answer": [f.reset_before],
    "02-not-http": [f.not_http],
    "03-reset-in-body": [f.reset_after(5000)],
    "03-reset-in-body-twice": [f.reset_after(5000), f.reset_after(9000)],
    "04-headers-never-come": [f.silent],
    "05-body-stalls": [f.stall_after(5000)],
    "06-trickle": [f.trickle(16, 0.05)],
    "07-cut-without-length": [f.cut(5000)],
    "07-cut-between-records": [f.cut(10 * RECORD)],
    "08-cut-with-length": [f.cut(5000, "length")],
    "08-cut-chunked": [f.cut(5000, "chunked")],
    "09-length-too-short": [f.wrong_length(-700)],
    "09-length-too-long": [f.wrong_length(512)],
    "11-gzip-cut": [f.packed(keep=0.5)],
    "11-gzip-whole": [f.packed()],
    "13-429": [f.status(429)],
    "13-503-retry-after": [f.status(503, Retry_After="1")],
    "13-503-date": [f.status(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")],
    "14-500": [f.status(500), f.status(502, b"<html>bad gateway</html>"), f.status(504)],
    "15-413-then-parts": [f.status(413)],
    "18-html": [f.html],
    "18-empty": [f.empty],
    "19-error-text-after-records": [
        f.altered(lambda whole: whole[: 10 * RECORD] + b"Error 500: database gone\n" * 9)
    ],
    "21-bit-flipped-in-steim": [f.altered(flipped(5 * RECORD + 300, 3))],
    "23-random-block": [f.altered(block(5, RANDOM))],
    "23-zero-block": [f.altered(block(5, bytes(RECORD)))],
    "23-bytes-deleted": [f.altered(without(5 * RECORD + 100, 37))],
    "23-bytes-inserted": [f.altered(inserted(5 * RECORD + 100, RANDOM[:37]))],
    "23-bytes-inserted-between": [f.altered(inserted(5 * RECORD, RANDOM[:37]))],
    "24-duplicates": [f.altered(lambda whole: whole + whole[: 4 * RECORD])],
    "25-out-of-order": [f.altered(shuffled)],
    "28-foreign-record": [f.altered(renamed)],
    "29-rate-zero": [f.altered(header_field(">hh", 32, 0, 1))],
    "29-rate-other": [f.altered(header_field(">hh", 32, 200, 1))],
    "30-no-samples": [f.altered(header_field(">H", 30, 0))],
    "30-65535-samples": [f.altered(header_field(">H", 30, 65_535))],
    "33-time-elsewhere": [f.altered(header_field(">B", 25, 3))],
}


WHOLE_AT_ONCE = {
    "09-length-too-long", "11-gzip-whole", "24-duplicates", "25-out-of-order",
}  # fmt: skip
SILENT = {"07-cut-between-records", "11-gzip-whole", "24-duplicates", "25-out-of-order"}


@pytest.mark.parametrize("name", by_number(MENDED))
def test_a_fault_that_strikes_once_loses_nothing(proxy, source, name):
    proxy.script = list(MENDED[name])
    fetched = source.fetch([PB02], SPAN)
    assert_everything_is_there(fetched, PB02)
    assert (len(proxy.requests) == len(MENDED[name])) == (name in WHOLE_AT_ONCE)
    assert bool(fetched.problems) == (name not in SILENT)


@pytest.mark.parametrize(
    "name", by_number(["03-reset-in-body", "07-cut-without-length", "23-random-block"])
)
def test_only_the_hole_is_asked_for_again(proxy, source, name):
    proxy.script = list(MENDED[name])
    assert_everything_is_there(source.fetch([*PB01, PB02], SPAN), *PB01, PB02)
    again = proxy.requests[1].body.decode().split()
    assert again[4] > "2024-02-03T05:00:00.000000" or len(proxy.requests[1].body.splitlines()) < 4


LASTING: dict[str, tuple[f.Fault, str]] = {
    "02-reset-before-answer": (f.reset_before, "network"),
    "04-headers-never-come": (f.silent, "network"),
    "04-headers-trickle": (f.slow_headers, "network"),
    "06-trickle": (f.trickle(16, 0.05), "network"),
    "07-cut-without-length": (f.cut(5000), "truncated"),
    "10-endless": (f.endless, "data"),
    "10-endless-nonsense": (f.endless_nonsense, "not_data"),
    "11-gzip-cut": (f.packed(keep=0.5), "network"),
    "12-gzip-bomb-of-zeros": (f.zero_bomb(256), "not_data"),
    "12-gzip-bomb-of-records": (f.packed(repeat=500, keep=0.999), "data"),
    "12-gzip-bomb-of-one-record": (f.repeated_record(10_000), "too_large"),
    "13-429": (f.status(429), "throttled"),
    "13-503-for-an-hour": (f.status(503, Retry_After="3600"), "throttled"),
    "14-500": (f.status(500), "network"),
    "15-413": (f.status(413), "too_large"),
    "16-401": (f.status(401), "auth"),
    "16-403": (f.status(403), "auth"),
    "16-400": (f.status(400, b"Error 400: Bad request\n\nno such thing"), "rejected"),
    "17-204": (f.status(204), "nodata"),
    "17-404": (f.status(404), "nodata"),
    "18-html": (f.html, "not_data"),
    "18-empty": (f.empty, "not_data"),
    "20-redirect-to-file": (f.redirect("file:///etc/hostname"), "rejected"),
    "20-redirect-elsewhere": (f.redirect("http://127.0.0.1:9/query"), "rejected"),
    "20-redirect-loop": (f.redirect("/fdsnws/dataselect/1/query?again"), "rejected"),
    "20-redirect-nowhere": (f.redirect(""), "rejected"),
    "20-redirect-nonsense": (f.redirect("http://[::1:x/"), "rejected"),
    "21-bit-flipped-in-steim": (f.altered(flipped(300, 3)), "truncated"),
    "28-foreign-records": (
        f.altered(lambda whole: whole.replace(b"PB02 ", b"EVIL ")),
        "truncated",
    ),
    "49-pickle": (f.altered(lambda _: b"\x80\x04\x95" + bytes(90)), "not_data"),
}


@pytest.mark.parametrize("name", by_number(LASTING))
def test_a_fault_that_lasts_is_a_typed_outcome(proxy, network, name):
    source = FdsnSource(quick(proxy.url, max_attempts=2, deadline_s=2.0), network)
    fault, outcome = LASTING[name]
    proxy.always = fault
    fetched = source.fetch([PB02], SPAN)
    source.close()
    assert fetched.outcome == outcome
    assert_nothing_invented(fetched)
    n_missing = sum(gap.span.duration_s for gap in fetched.missing) * 40
    assert n_missing == pytest.approx(24_000 - n_samples(fetched), abs=1 + len(fetched.missing))
    if name.startswith(("16", "20")):
        assert len(proxy.requests) <= 4
    if not name.startswith("17-204"):
        assert all(isinstance(line, str) and "\n" not in line for line in fetched.problems)
        assert fetched.problems


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "bomb", [f.zero_bomb(300), f.packed(repeat=2000)], ids=["zeros", "records"]
)
def test_12_a_bomb_does_not_fill_the_memory(proxy, source, bomb):
    proxy.always = bomb
    tracemalloc.start()
    source.fetch([PB02], SPAN)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 128e6


@pytest.mark.fault(15)
def test_15_a_request_too_large_is_asked_in_parts(proxy, source):
    """The server takes at most one channel and 200 s at a time."""
    proxy.always = f.limited(1, 200.0)
    assert_everything_is_there(source.fetch([*PB01, PB02], SPAN), *PB01, PB02)


@pytest.mark.fault(1)
def test_01_the_next_data_centre_is_asked_when_the_first_is_dead(dataselect, network):
    source = FdsnSource(quick(f"http://127.0.0.1:{free_port()}", dataselect), network)
    fetched = source.fetch([PB02], SPAN)
    assert_everything_is_there(fetched, PB02)
    assert any("refused" in line for line in fetched.problems)
    source.close()


@pytest.mark.fault(1)
def test_01_a_host_that_keeps_failing_is_left_alone_for_a_while(proxy, network):
    source = FdsnSource(quick(proxy.url, pause_s=3600, max_attempts=5), network)
    proxy.always = f.status(500)
    assert source.fetch([PB02], SPAN).outcome == "network"
    n_requests = len(proxy.requests)
    fetched = source.fetch([PB02], SPAN)
    assert fetched.outcome == "network"
    assert len(proxy.requests) == n_requests == 5
    assert "left alone" in fetched.problems[0]
    source.close()


@pytest.mark.fault(1)
def test_01_a_host_that_recovers_is_used_again(proxy, network):
    source = FdsnSource(quick(proxy.url, pause_s=0, max_attempts=5), network)
    proxy.script = [f.status(500)] * 5
    assert source.fetch([PB02], SPAN).outcome == "network"
    assert_everything_is_there(source.fetch([PB02], SPAN), PB02)
    source.close()


@pytest.mark.fault(13)
def test_13_every_refusal_halves_the_pace(proxy, source):
    proxy.script = [f.status(429), f.status(429)]
    source.fetch([PB02], SPAN)
    assert source.centres[0].seconds_between_requests == pytest.approx(4 / 100 * 0.9)


@pytest.mark.fault(13)
def test_13_a_long_retry_after_closes_the_host(proxy, source):
    proxy.script = [f.status(503, Retry_After="3600")]
    first = source.fetch([PB02], SPAN)
    second = source.fetch([PB02], SPAN)
    assert first.outcome == second.outcome == "throttled"
    assert len(proxy.requests) == 1
    assert "come back in 3600 s" in second.problems[0]


@pytest.mark.fault(17)
def test_17_data_that_come_later_are_found_later(proxy, source):
    proxy.script = [f.status(204)]
    assert source.fetch([PB02], SPAN).outcome == "nodata"
    assert_everything_is_there(source.fetch([PB02], SPAN), PB02)


@pytest.mark.fault(20)
def test_20_a_redirect_on_the_same_host_is_followed_by_post(proxy, source):
    proxy.script = [f.redirect("/fdsnws/dataselect/1/query?moved=1")]
    assert_everything_is_there(source.fetch([PB02], SPAN), PB02)
    assert [r.method for r in proxy.requests] == ["POST", "POST"]
    assert proxy.requests[0].body == proxy.requests[1].body


@pytest.mark.fault(27)
def test_27_different_samples_for_the_same_time_are_both_kept(proxy, source):
    truth = RECORDINGS[PB02]
    other = Segment(PB02, truth.time_ns(4000), 40.0, truth.samples[4000:4100] + 1)
    spoiled = encode([other], format_version=2, record_length=512)
    proxy.script = [f.altered(lambda whole: whole + spoiled)]
    fetched = source.fetch([PB02], SPAN)
    assert fetched.outcome == "data"
    whole, extra = fetched.segments
    np.testing.assert_array_equal(whole.samples, truth.samples)
    np.testing.assert_array_equal(extra.samples, other.samples)
    assert any("different samples" in line for line in fetched.problems)


@pytest.mark.fault(33)
def test_33_records_in_the_future_are_refused_and_the_rest_kept(proxy, source):
    now_ns = time.time_ns() // NS_PER_S * NS_PER_S
    past, future = (
        Segment(PB02, now_ns + days * 86_400 * NS_PER_S, 40.0, np.arange(100, dtype=np.int32))
        for days in (-1, 2)
    )
    proxy.always = f.altered(lambda whole: whole + encode([past, future], format_version=2))
    span = TimeSpan(past.start_ns - NS_PER_S, future.end_ns + NS_PER_S)
    fetched = source.fetch([PB02], span)
    assert [(one.start_ns, one.samples.size) for one in fetched.segments] == [(past.start_ns, 100)]
    assert any("in the future" in line for line in fetched.problems)


HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nMS\x03",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\xfe\r\n\r\nabc",
    b"HTTP/1.1 200 \xff\xfe\r\nContent-Type: text/x; charset=\xff\r\n\r\nabc",
    b"HTTP/1.1 999 Strange\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: \xff\xfe://\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: soon\r\n\r\n",
    b"HTTP/1.1 503 Slow\r\nRetry-After: -7\r\n\r\n",
    b"HTTP/1.1 400 Bad\r\n\r\n\xff\xfe\x00",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
]


@pytest.mark.fault(2)
@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_02_no_answer_however_strange_makes_it_raise(proxy, network, head):
    source = FdsnSource(quick(proxy.url, max_attempts=1), network)
    proxy.always = lambda exchange: exchange.send(head)
    fetched = source.fetch([PB02], SPAN)
    source.close()
    assert fetched.outcome not in ("data", "nodata")
    assert fetched.segments == ()
    assert all("\n" not in line for line in fetched.problems)


@pytest.mark.fault(60)
def test_60_when_several_stations_lie_in_the_future_it_is_our_clock(proxy, source, caplog):
    start_ns = START_NS + 40 * 365 * 86_400 * NS_PER_S
    ahead = [
        Segment(seed_id, start_ns, 40.0, np.arange(100, dtype=np.int32))
        for seed_id in (PB01[2], PB02)
    ]
    proxy.always = f.altered(lambda _: encode(ahead, format_version=2))
    fetched = source.fetch([PB01[2], PB02], TimeSpan(start_ns, start_ns + NS_PER_S))
    assert len(fetched.segments) == 2
    assert "check this machine's clock" in caplog.text


def test_the_client_says_who_it_is_and_how_to_reach_the_operator(proxy, source):
    source.fetch([PB02], SPAN)
    agent = proxy.requests[0].headers["user-agent"]
    assert agent.startswith("geomon/")
    assert agent.endswith("(ops@example.org)")
