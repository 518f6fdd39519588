"""Plain integers and floats carry no checksum: a flipped bit shows when they are fetched again."""

import logging
from collections.abc import Iterator

import numpy as np
import pytest

from geomon.miniseed import encode
from geomon.sources.fdsn import FdsnSource
from geomon.sources.twice import agreed
from geomon.times import TimeSpan
from geomon.waveforms import Segment
from tests import faultproxy as f
from tests.servers import dataselect_server
from tests.sources.conftest import PB01, PB02, RECORDINGS, SPAN, START_NS, quick

RECORD = 512


def unpacked(seed_id=PB02) -> Segment:
    """Steps too large for Steim 2, so that 32-bit integers are written."""
    rng = np.random.default_rng(5)
    samples = rng.integers(-(2**31) + 1, 2**31, 24_000).astype(np.int32)
    return Segment(seed_id, START_NS, 40.0, samples)


TRUTH = {
    PB02: unpacked(),
    PB01[0]: Segment(
        PB01[0], START_NS, 40.0, np.random.default_rng(6).normal(size=24_000).astype(np.float32)
    ),
    PB01[2]: RECORDINGS[PB01[2]],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("unpacked")
    for seed_id, segment in TRUTH.items():
        content = encode([segment], format_version=2, record_length=RECORD)
        (folder / f"{seed_id}.mseed").write_bytes(content)
    with dataselect_server(folder) as url:
        yield url


@pytest.fixture
def proxy(server) -> Iterator[f.FaultProxy]:
    with f.FaultProxy(server) as proxy:
        yield proxy


@pytest.fixture
def source(proxy, network) -> Iterator[FdsnSource]:
    source = FdsnSource(quick(proxy.url, max_attempts=2), network)
    yield source
    source.close()


def flip(record: int, offset: int = 300) -> f.Fault:
    def change(whole: bytes) -> bytes:
        spoiled = bytearray(whole)
        spoiled[record * RECORD + offset] ^= 4
        return bytes(spoiled)

    return f.altered(change)


def assert_is_truth(fetched, *seed_ids) -> None:
    assert [s.seed_id for s in fetched.segments] == sorted(seed_ids)
    for segment in fetched.segments:
        truth = TRUTH[segment.seed_id]
        assert segment.start_ns == truth.start_ns
        np.testing.assert_array_equal(segment.samples, truth.samples)


@pytest.mark.fault(22)
def test_identical_copies_are_believed_without_a_word(proxy, source, caplog):
    caplog.set_level(logging.DEBUG, logger="geomon")
    fetched = source.fetch([PB01[0], PB01[2], PB02], SPAN)
    assert_is_truth(fetched, PB01[0], PB01[2], PB02)
    assert fetched.problems == ()
    assert fetched.unchecked == (PB01[0], PB02)
    assert len(fetched.asked) == len(proxy.requests) == 2
    again = proxy.requests[1].body.decode()
    assert "HHZ" not in again
    assert len(again.splitlines()) == 2
    assert f"{PB01[0]}, {PB02}: no checksum, fetched twice, identical" in caplog.text


@pytest.mark.fault(22)
@pytest.mark.parametrize("spoiled", range(3))
def test_a_flipped_bit_in_one_of_three_copies_is_outvoted(proxy, source, spoiled):
    proxy.script = [f.honest] * spoiled + [flip(7)]
    fetched = source.fetch([PB02], SPAN)
    assert_is_truth(fetched, PB02)
    assert fetched.outcome == "data"
    assert len(proxy.requests) == (2 if spoiled == 2 else 3)
    named = [f"{PB02}: no checksum, and fetches differ: two of three are believed"]
    assert list(fetched.problems) == ([] if spoiled == 2 else named)


@pytest.mark.fault(22)
def test_what_no_two_copies_agree_on_is_asked_for_again(proxy, source):
    proxy.script = [flip(7, 300), flip(7, 301), flip(7, 302)]
    fetched = source.fetch([PB02], SPAN)
    assert_is_truth(fetched, PB02)
    assert f"{PB02}: no checksum, and fetches differ: 1 records left out" in fetched.problems


@pytest.mark.fault(22)
def test_what_stays_in_doubt_is_missing_and_named(proxy, source):
    proxy.script = [flip(7, 300 + k) for k in range(3)] + [flip(0, 300 + k) for k in range(3)]
    fetched = source.fetch([PB02], SPAN)
    truth = TRUTH[PB02]
    for segment in fetched.segments:
        np.testing.assert_array_equal(segment.samples, truth.clipped(segment.span).samples)
    assert len(fetched.missing) == 1
    assert fetched.outcome == "truncated"


@pytest.mark.fault(22)
def test_when_there_is_no_second_copy_it_is_said(proxy, source):
    proxy.script = [f.honest, *[f.status(500)] * 2]
    fetched = source.fetch([PB02], SPAN)
    assert_is_truth(fetched, PB02)
    assert fetched.unchecked == (PB02,)
    assert any("not to be had again to compare" in line for line in fetched.problems)


def test_what_was_recorded_between_two_fetches_changes_nothing():
    whole = encode([TRUTH[PB02]], format_version=2, record_length=RECORD)
    early = whole[: 20 * RECORD]
    believed = agreed([early, whole], [PB02])
    assert believed.body is early
    assert believed.in_doubt == {}


def test_the_place_of_a_record_in_its_file_does_not_count():
    part = TRUTH[PB02].clipped(TimeSpan(START_NS, START_NS + 60 * 10**9))
    whole = encode([part], format_version=2, record_length=RECORD)
    renumbered = b"".join(
        b"%06d" % (900 + k) + whole[k * RECORD + 6 : (k + 1) * RECORD]
        for k in range(len(whole) // RECORD)
    )
    assert agreed([whole, renumbered], [PB02]).body is whole
