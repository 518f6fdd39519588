"""miniSEED in and out: exact, and around damage."""

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.errors import WaveformError
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources import records
from geomon.sources.miniseed import Decoded, decode
from geomon.sources.records import scan
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment
from tests.sources.conftest import PB01, PB02, START_NS, recording

Z = PB01[2]
RECORD = 512


def segment(
    samples: object, start_ns: int = START_NS, rate_hz: float = 100.0, seed_id: SeedId = Z
) -> Segment:
    return Segment(seed_id, start_ns, rate_hz, np.asarray(samples))


def noise(n_samples: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 300, n_samples)).astype(np.int32)


def assert_same(decoded: Decoded, *expected: Segment) -> None:
    assert len(decoded.segments) == len(expected)
    for got, want in zip(decoded.segments, expected, strict=True):
        assert (got.seed_id, got.start_ns) == (want.seed_id, want.start_ns)
        assert got.sampling_rate_hz == want.sampling_rate_hz
        assert got.samples.dtype == want.samples.dtype
        np.testing.assert_array_equal(got.samples, want.samples)


@pytest.mark.parametrize("record_length", [256, 512, 4096])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("rate_hz", [0.1, 1.0, 40.0, 100.0, 128.0, 200.0, 62.5])
def test_what_is_written_is_read_back(version, rate_hz, record_length):
    whole = segment(noise(5_000), START_NS + 123_456_000, rate_hz)
    content = encode([whole], format_version=version, record_length=record_length)
    decoded = decode(content)
    assert_same(decoded, whole)
    assert decoded.problems == ()
    assert not decoded.is_damaged
    assert decoded.unchecked == ()


@pytest.mark.parametrize("kind", ["int32", "float32", "float64"])
def test_nanoseconds_and_sample_types_survive_version_3(kind):
    whole = segment(noise(3_000).astype(kind), START_NS + 123_456_789, 99.998)
    assert_same(decode(encode([whole])), whole)


def test_steps_too_large_for_steim_are_written_plainly():
    samples = noise(3_000)
    samples[1500:1502] = (-(2**31), 2**31 - 1)
    assert_same(decode(encode([segment(samples)])), segment(samples))


def test_what_does_not_fit_is_refused():
    with pytest.raises(WaveformError, match=r"CX\.PB01\.\.HHZ: int16"):
        encode([segment(np.arange(5, dtype=np.int16))])
    long = SeedId.parse("CX.LONGNAME..HHZ")
    with pytest.raises(WaveformError, match=r"CX\.LONGNAME\.\.HHZ: cannot be written"):
        encode([segment(noise(100), seed_id=long)], format_version=2)


@pytest.mark.fault(57)
def test_channels_are_kept_apart_and_sorted():
    ids = [SeedId.parse(i) for i in ("CX.PB01.00.HHZ", "CX.PB01..HHZ", "CX.ABCDE..HHZ")]
    parts = [segment(noise(500, k), seed_id=seed_id) for k, seed_id in enumerate(ids)]
    assert_same(decode(encode(parts)), *sorted(parts, key=lambda p: p.seed_id))


@pytest.mark.fault(28)
def test_only_channels_asked_for_are_taken():
    content = encode([segment(noise(500)), segment(noise(500), seed_id=PB02)])
    decoded = decode(content, allowed={Z})
    assert_same(decoded, segment(noise(500)))
    assert decoded.rejected == {"channel": 1}
    assert decoded.foreign == ("FDSN:CX_PB02_00_B_H_Z",)


@pytest.mark.fault(46)
def test_a_code_that_would_be_a_path_is_refused():
    content = encode([segment(noise(300))], format_version=2, record_length=512)
    content = b"".join(
        content[i : i + 8] + b"../x " + content[i + 13 : i + 512]
        for i in range(0, len(content), 512)
    )
    decoded = decode(content)
    assert decoded.segments == ()
    assert set(decoded.rejected) == {"channel"}


@pytest.mark.fault(34)
def test_samples_outside_the_window_are_trimmed():
    whole = segment(noise(5_000))
    span = TimeSpan(START_NS + 10 * NS_PER_S, START_NS + 20 * NS_PER_S)
    assert_same(
        decode(encode([whole]), span=span), segment(whole.samples[1000:2000], span.start_ns)
    )


def test_gaps_stay_gaps():
    first = segment(noise(1_000))
    second = segment(noise(1_000, 2), START_NS + 20 * NS_PER_S)
    assert_same(decode(encode([second, first])), first, second)


@pytest.mark.fault(56)
def test_a_thousand_gaps_are_no_trouble():
    parts = [segment(noise(50, k), START_NS + k * NS_PER_S) for k in range(1000)]
    assert_same(decode(encode(parts, record_length=512)), *parts)


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("version", "step_ns", "n_segments"),
    [
        (3, 1, 1),
        (3, 2_001, 2),
        (3, 100_000, 2),
        (2, 1_000, 2),
        (2, 100_000, 2),
    ],
)
def test_a_clock_step_beyond_the_resolution_begins_a_new_time_line(version, step_ns, n_segments):
    samples = noise(2_000)
    first = segment(samples[:1000], START_NS)
    second = segment(samples[1000:], first.end_ns + step_ns)
    decoded = decode(encode([first, second], format_version=version))
    assert len(decoded.segments) == n_segments
    if n_segments == 2:
        assert_same(decoded, first, second)


@pytest.mark.fault(33)
def test_a_drifting_clock_mistimes_no_sample_by_more_than_the_resolution():
    """libmseed's own merging mistimes samples by up to half a period here."""
    written, truth = [], []
    for k in range(200):
        start_ns = START_NS + k * (NS_PER_S + 30_000)
        part = segment(noise(100, k), start_ns)
        written.append(encode([part]))
        truth.append(part)
    decoded = decode(b"".join(written))
    times = np.concatenate(
        [[s.time_ns(i) for i in range(s.samples.size)] for s in decoded.segments]
    )
    expected = np.concatenate([[t.time_ns(i) for i in range(100)] for t in truth])
    assert times.size == expected.size
    assert np.abs(times - expected).max() <= 1_000


@pytest.mark.fault(24, 25)
def test_duplicates_count_once_and_order_does_not_matter():
    whole = segment(noise(20_000))
    content = encode([whole], format_version=2, record_length=512)
    written = [content[i : i + RECORD] for i in range(0, len(content), RECORD)]
    doubled = written + written[5:30]
    random.Random(2).shuffle(doubled)
    decoded = decode(b"".join(doubled))
    assert_same(decoded, whole)
    assert decoded.n_duplicates == 25
    assert not decoded.is_damaged


@pytest.mark.fault(26)
def test_the_same_samples_cut_into_other_records_are_the_same():
    whole = segment(noise(20_000))
    shifted = segment(whole.samples[777:15_000], whole.time_ns(777))
    decoded = decode(encode([whole], record_length=512), encode([shifted], format_version=2))
    assert_same(decoded, whole)
    assert decoded.conflicts == ()


@pytest.mark.fault(27)
def test_different_samples_for_the_same_time_are_both_kept_in_a_fixed_order():
    whole = segment(noise(2_000))
    other = segment(whole.samples[500:700] + 1, whole.time_ns(500))
    one = decode(encode([whole]), encode([other]))
    two = decode(encode([other]), encode([whole]))
    assert_same(one, whole, other)
    assert_same(two, whole, other)
    assert [c.span for c in one.conflicts] == [other.span]


@pytest.mark.fault(29)
def test_two_rates_of_one_channel_are_two_series():
    fast, slow = segment(noise(1_000)), segment(noise(400), START_NS + 20 * NS_PER_S, 40.0)
    assert_same(decode(encode([fast, slow])), fast, slow)


@pytest.mark.fault(31)
def test_samples_that_are_no_numbers_become_gaps():
    samples = np.linspace(0, 1, 100, dtype=np.float32)
    samples[10], samples[50:60] = np.nan, np.inf
    whole = segment(samples)
    decoded = decode(encode([whole]))
    assert_same(
        decoded,
        segment(samples[:10]),
        segment(samples[11:50], whole.time_ns(11)),
        segment(samples[60:], whole.time_ns(60)),
    )
    assert [m.span.duration_s for m in decoded.masked] == pytest.approx([0.01, 0.1])
    assert not decoded.is_damaged


@pytest.mark.fault(22)
def test_plain_integers_of_version_2_are_flagged_as_unchecked():
    samples = noise(100)
    samples[50:52] = (-(2**31), 2**31 - 1)
    assert decode(encode([segment(samples)], format_version=2)).unchecked == (Z,)
    assert decode(encode([segment(samples)], format_version=3)).unchecked == ()


def test_a_time_no_other_record_attests_is_flagged_as_unchecked():
    """A bit flipped in the time of a record that stands alone would go unseen."""
    content = encode([segment(noise(2_000))], format_version=2, record_length=512)
    alone, rest = content[:RECORD], content[RECORD:]
    assert decode(content).unchecked == ()
    assert decode(alone).unchecked == (Z,)
    assert decode(alone, rest).unchecked == ()
    assert decode(encode([segment(noise(100))], format_version=3)).unchecked == ()


def test_a_record_with_junk_behind_it_is_flagged_as_unchecked():
    content = encode([segment(noise(2_000))], format_version=2, record_length=512)
    spoiled = content[: 2 * RECORD] + b"?" * 40 + content[2 * RECORD :]
    assert decode(spoiled).unchecked == (Z,)


@pytest.mark.fault(32)
def test_a_leap_second_is_the_first_of_the_next_minute():
    leap = parse_time("2016-12-31T23:59:59")
    content = bytearray(encode([segment(noise(100), leap)], format_version=2, record_length=512))
    assert content[26] == 59
    content[26] = 60
    [part] = decode(bytes(content)).segments
    assert part.start_ns == parse_time("2017-01-01")


@pytest.mark.fault(33)
def test_records_from_the_future_are_refused():
    decoded = decode(encode([segment(noise(1000))]), latest_ns=START_NS + 5 * NS_PER_S)
    assert decoded.segments == ()
    assert decoded.future == (Z,)
    assert not decoded.is_damaged


@pytest.mark.parametrize("content", [b"", b"x", bytes(10_000), b"MS\x03" * 1000, b"000001D " * 500])
def test_what_is_no_miniseed_gives_nothing(content):
    assert decode(content).segments == ()


CONTENTS = {
    "steim-v2": encode([recording(Z, n_samples=20_000)], format_version=2, record_length=512),
    "steim-v3": encode([recording(Z, n_samples=20_000)], record_length=512),
    "floats-v2": encode(
        [segment(noise(3_000).astype(np.float32))], format_version=2, record_length=512
    ),
    "mixed": encode([recording(PB02, n_samples=4_000)], record_length=256)
    + encode([recording(Z, n_samples=9_000)], format_version=2, record_length=1024),
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(sorted(CONTENTS)))
    content = bytearray(CONTENTS[name])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "zero", "random", "delete", "insert", "cut"]))
        size = draw(st.integers(1, 900))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "zero":
            content[at : at + size] = bytes(size)
        elif kind == "random":
            content[at : at + size] = random.Random(size).randbytes(size)
        elif kind == "delete":
            del content[at : at + size]
        elif kind == "insert":
            content[at:at] = random.Random(size).randbytes(size)
        else:
            del content[max(at, 1) :]
    return name, bytes(content)


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_no_damage_makes_it_raise_and_steim_and_crc_invent_nothing(case):
    name, content = case
    decoded = decode(content)
    if name not in ("steim-v2", "steim-v3"):
        return
    truth = recording(Z, n_samples=20_000)
    for part in decoded.segments:
        index = round((part.start_ns - truth.start_ns) / 10_000_000)
        sound = (
            part.seed_id == Z
            and 0 <= index <= truth.samples.size - part.samples.size
            and np.array_equal(truth.samples[index : index + part.samples.size], part.samples)
        )
        # The header of a miniSEED 2 record has no checksum: a flipped time may go unseen there.
        assert sound or name == "steim-v2"


LONG = b"".join(
    encode([recording(Z, n_samples=90_000)], format_version=2, record_length=length)
    for length in (512, 256)
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_headers_read_as_columns_are_those_read_one_by_one(data):
    content = bytearray(LONG)
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1)) // 256 * 256
        at += data.draw(st.integers(0, 70))
        content[at % len(content)] = data.draw(st.integers(0, 255))
    span = TimeSpan(START_NS, START_NS + 700 * NS_PER_S)
    columns = scan(bytes(content), span=span, latest_ns=span.end_ns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records._Scanner, "_take_similar", lambda _, position: position)
        one_by_one = scan(bytes(content), span=span, latest_ns=span.end_ns)
    assert columns.records.tolist() == one_by_one.records.tolist()
    assert (columns.seed_ids, columns.rejected, columns.n_junk_bytes) == (
        one_by_one.seed_ids, one_by_one.rejected, one_by_one.n_junk_bytes
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3_000), st.integers(0, 2_000))
def test_arbitrary_bytes_around_a_record_lose_it_never(junk, cut):
    sound = CONTENTS["steim-v3"]
    first_length = scan(sound).records["length"][0]
    decoded = decode(junk[:cut] + sound[:first_length] + junk[cut:])
    n_samples = scan(sound).records["n_samples"][0]
    assert any(part.samples.size == n_samples for part in decoded.segments)


@pytest.mark.fault(21, 23)
@pytest.mark.parametrize("damage", ["random", "zero", "delete", "insert", "flip"])
@pytest.mark.parametrize("name", ["steim-v2", "steim-v3"])
def test_at_least_96_percent_of_what_is_undamaged_is_kept(name, damage):
    """Ten hits on 40 records: what the hits did not touch is kept."""
    content = bytearray(CONTENTS[name])
    sound = scan(CONTENTS[name]).records
    rng = random.Random(5)
    hit = sorted(rng.sample(range(len(sound)), 10), reverse=True)
    for index in hit:
        record = sound[index]
        at = int(record["offset"]) + rng.randrange(64, int(record["length"]) - 64)
        if damage == "flip":
            content[at] ^= 1 << rng.randrange(8)
        elif damage == "delete":
            del content[at : at + 33]
        elif damage == "insert":
            content[at:at] = rng.randbytes(33)
        else:
            block = bytes(40) if damage == "zero" else rng.randbytes(40)
            content[at : at + 40] = block
    untouched = sum(int(r["n_samples"]) for i, r in enumerate(sound) if i not in hit)
    kept = sum(part.samples.size for part in decode(bytes(content)).segments)
    assert kept >= 0.96 * untouched


@pytest.mark.fault(33)
def test_a_header_time_that_was_hit_is_noticed_by_its_neighbours():
    content = bytearray(CONTENTS["steim-v2"])
    struct.pack_into(">B", content, 10 * RECORD + 25, 7)  # minutes
    decoded = decode(bytes(content))
    assert decoded.rejected == {"time": 1}
    assert decoded.is_damaged
    assert len(decoded.segments) == 2
