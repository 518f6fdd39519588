"""Segments as miniSEED, read back by the library whose format it is."""

import numpy as np
import pymseed
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomon import steim2
from geomon.errors import WaveformError
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.times import parse_time
from geomon.waveforms import Segment

ID = SeedId("XX", "ABC", "00", "HHZ")
START = parse_time("2024-12-31T23:59:59.123456")


def read(content: bytes) -> list[tuple[int, int, float, np.ndarray]]:
    records = pymseed.MS3Record.from_buffer(content, unpack_data=True)
    return [(r.starttime, r.samplecnt, r.samprate, np.array(r.datasamples)) for r in records]


def check(content: bytes, segment: Segment) -> None:
    position = 0
    for start_ns, n_samples, rate_hz, samples in read(content):
        assert abs(start_ns - segment.time_ns(position)) <= 1000
        assert rate_hz == segment.sampling_rate_hz
        np.testing.assert_array_equal(samples, segment.samples[position : position + n_samples])
        position += n_samples
    assert position == segment.samples.size


@given(
    arrays(np.int32, st.integers(1, 400), elements=st.integers(-(2**31), 2**31 - 1)),
    st.integers(0, 31),
    st.sampled_from([1.0, 20.0, 100.0, 128.0, 1000.0, 0.1, 33.3]),
    st.sampled_from([256, 512, 4096]),
)
@settings(deadline=None, max_examples=60)
def test_any_samples_come_back(samples, shift, rate_hz, record_length):
    segment = Segment(ID, START, rate_hz, samples >> shift)
    check(encode([segment], format_version=2, record_length=record_length), segment)


def test_records_are_as_small_as_the_librarys():
    rng = np.random.default_rng(4)
    samples = np.cumsum(rng.normal(0, 300, 200_000)).astype(np.int32)
    segment = Segment(ID, START, 100.0, samples)
    content = encode([segment], format_version=2)
    check(content, segment)
    template = pymseed.MS3Record()
    template.sourceid, template.formatversion, template.reclen = "FDSN:XX_ABC_00_H_H_Z", 2, 4096
    template.starttime, template.samprate = START, 100.0
    template.encoding = pymseed.DataEncoding.STEIM2
    assert len(content) <= len(b"".join(template.generate(samples, "i")))


def test_a_step_that_does_not_fit_is_no_steim2():
    samples = np.array([0, 2**30, 0], np.int32)
    assert steim2.records(ID, START, 100, samples, 512) is None
    check(
        encode([Segment(ID, START, 100.0, samples)], format_version=2),
        Segment(ID, START, 100.0, samples),
    )


def test_long_codes_need_version_3():
    segment = Segment(SeedId("LONGNET", "ABC", "", "HHZ"), START, 100.0, np.zeros(3, np.int32))
    assert encode([segment])
    with pytest.raises(WaveformError, match="miniSEED 2"):
        encode([segment], format_version=2)
