"""Answers that arrive whole and are wrong, odd, or larger than they should be."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from geomon.miniseed import encode
from geomon.services.ingest import ingest
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment
from tests import faultproxy as f
from tests.faults.networks import (
    Configured,
    archived,
    assert_everything_archived,
    assert_nothing_invented,
)
from tests.sources.conftest import PB02, RECORDINGS, SPAN

TRUTH = RECORDINGS[PB02]
STREAM = PB02.stream_id
ONLY_PB02 = """network,station,latitude,longitude,elevation,location,channel
CX,PB02,-21.32,-69.90,1015,00,BHZ
"""


def part(first: int, after: int, *, late_ns: int = 0) -> Segment:
    """Return some of the true samples, by a clock that may be late."""
    samples = TRUTH.samples[first:after]
    return replace(TRUTH, start_ns=TRUTH.time_ns(first) + late_ns, samples=samples)


def answer(*segments: Segment, version: int = 2) -> f.Fault:
    content = encode(segments, format_version=version, record_length=512)
    return f.altered(lambda _: content)


@pytest.mark.fault(12, slow=True)
def test_bombs_take_little_memory(proxy: f.FaultProxy, dataselect: str) -> None:
    """Zeros, sound recordings over and over, and one record over and over; far above the limit."""
    proxy.script = [f.zero_bomb(1500), f.packed(repeat=2500), f.repeated_record(300_000)]
    command = [sys.executable, "-m", "tests.faults.appetite", dataselect, proxy.url, "3"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert proxy.script == []
    assert int(done.stdout) < 128e6


@pytest.mark.fault(26)
def test_the_same_samples_in_overlapping_answers_are_one(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    config = configured(proxy.url, stations=ONLY_PB02)
    for first, after in ((0, 9_000), (5_000, 16_000), (12_345, 24_000)):
        proxy.always = answer(part(first, after), part(first + 777, after - 777))
        report = ingest(config, TimeSpan(TRUTH.time_ns(first), TRUTH.time_ns(after)))
        assert report.n_failed == 0
    assert_everything_archived(config, seed_ids=[PB02])
    assert workspace(config).archive.overflow(STREAM, SPAN) == ()


@pytest.mark.fault(27)
def test_of_two_recordings_of_one_time_the_same_wins_in_any_order(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    other = replace(part(4_000, 4_100), samples=TRUTH.samples[4_000:4_100] + 1)
    seen = []
    for order in ([TRUTH, other], [other, TRUTH]):
        proxy.always = answer(*order)
        config = configured(proxy.url, stations=ONLY_PB02)
        report = ingest(config, SPAN)
        assert any("different samples" in line for line in report.problems)
        [whole] = archived(config)
        [lost] = workspace(config).archive.overflow(STREAM, SPAN)
        assert {whole.samples.size, lost.samples.size} == {24_000, 100}
        assert set(zip(whole.samples[4_000:4_100], lost.samples, strict=True)) == set(
            zip(TRUTH.samples[4_000:4_100], other.samples, strict=True)
        ) or set(zip(lost.samples, whole.samples[4_000:4_100], strict=True)) == set(
            zip(TRUTH.samples[4_000:4_100], other.samples, strict=True)
        )
        seen.append((whole.samples.tobytes(), lost.samples.tobytes()))
    assert seen[0] == seen[1]


@pytest.mark.fault(29)
def test_two_rates_of_one_channel_are_two_series(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    fast = Segment(PB02, TRUTH.time_ns(20_000), 80.0, np.arange(4_000, dtype=np.int32))
    proxy.always = answer(part(0, 12_000), fast)
    config = configured(proxy.url, stations=ONLY_PB02)
    assert ingest(config, SPAN).n_new_samples == 16_000
    slow, found = archived(config)
    np.testing.assert_array_equal(slow.samples, TRUTH.samples[:12_000])
    assert (found.start_ns, found.sampling_rate_hz) == (fast.start_ns, 80.0)
    np.testing.assert_array_equal(found.samples, fast.samples)


@pytest.mark.fault(31)
def test_samples_that_are_no_numbers_stay_out_and_are_told(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    samples = TRUTH.samples.astype(np.float32)
    samples[1_000], samples[5_000:5_040] = np.nan, np.inf
    proxy.always = answer(replace(TRUTH, samples=samples), version=3)
    config = configured(proxy.url, stations=ONLY_PB02)
    report = ingest(config, SPAN)
    assert any("NaN or infinite" in line for line in report.problems)
    found = archived(config)
    assert sum(segment.samples.size for segment in found) == 24_000 - 41
    assert all(np.isfinite(segment.samples).all() for segment in found)
    assert [s.start_ns for s in found] == [TRUTH.time_ns(k) for k in (0, 1_001, 5_040)]


@pytest.mark.fault(32)
def test_a_leap_second_keeps_every_sample_and_is_told(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    """A record of the leap second gets the times of the second after it, which are doubled."""
    midnight = parse_time("2017-01-01")
    before, leap, after = (
        Segment(PB02, midnight - NS_PER_S + k * NS_PER_S, 40.0, TRUTH.samples[40 * k : 40 * k + 40])
        for k in (0, 1, 2)
    )
    leaping = bytearray(encode([replace(leap, start_ns=before.start_ns)], format_version=2))
    assert leaping[26] == 59
    leaping[26] = 60
    following = replace(after, start_ns=midnight)
    content = encode([before], format_version=2) + leaping + encode([following], format_version=2)
    proxy.always = f.altered(lambda _: content)
    config = configured(proxy.url, stations=ONLY_PB02)
    span = TimeSpan(midnight - 600 * NS_PER_S, midnight + 600 * NS_PER_S)
    report = ingest(config, span)
    assert any("different samples for the same time" in line for line in report.problems)
    lost = workspace(config).archive.overflow(STREAM, span)
    kept = np.concatenate([s.samples for s in (*archived(config, span), *lost)])
    assert sorted(kept.tolist()) == sorted(TRUTH.samples[:120].tolist())


@pytest.mark.fault(33)
def test_a_clock_that_jumps_or_drifts_mistimes_no_sample(
    proxy: f.FaultProxy, configured: Configured
) -> None:
    jump = [part(0, 10_000), part(10_000, 24_000, late_ns=3_000_000)]
    drift = [part(k * 400, (k + 1) * 400, late_ns=k * 30_000) for k in range(60)]
    for pieces in (jump, drift):
        content = b"".join(encode([piece], format_version=3) for piece in pieces)
        proxy.always = f.altered(lambda _, content=content: content)
        config = configured(proxy.url, stations=ONLY_PB02)
        assert ingest(config, SPAN).n_failed == 0
        found = archived(config)
        times = np.concatenate([[s.time_ns(i) for i in range(s.samples.size)] for s in found])
        true = np.concatenate([[s.time_ns(i) for i in range(s.samples.size)] for s in pieces])
        assert np.abs(times - true[: times.size]).max() <= 1_000
        np.testing.assert_array_equal(
            np.concatenate([s.samples for s in found]), TRUTH.samples[: times.size]
        )
        assert times.size >= 24_000 - 1  # the last one may fall out of the span


@pytest.mark.fault(34)
def test_records_reach_beyond_the_window_and_samples_do_not(
    dataselect: str, configured: Configured
) -> None:
    """Servers send whole records."""
    config = configured(dataselect)
    window = TimeSpan(SPAN.start_ns + 100 * NS_PER_S, SPAN.start_ns + 130 * NS_PER_S)
    assert ingest(config, window).n_failed == 0
    assert assert_nothing_invented(config) >= 30 * (3 * 100 + 40)
    asked = window.padded(1.0)
    for segment in archived(config):
        assert asked.start_ns <= segment.start_ns
        assert segment.time_ns(segment.samples.size - 1) < asked.end_ns


@pytest.mark.fault(56)
def test_a_day_of_many_gaps_is_archived_whole(proxy: f.FaultProxy, configured: Configured) -> None:
    pieces = [part(k * 80, k * 80 + 60) for k in range(300)]
    proxy.always = answer(*pieces)
    config = configured(proxy.url, stations=ONLY_PB02)
    assert ingest(config, SPAN).n_failed == 0
    found = archived(config)
    assert [(s.start_ns, s.samples.size) for s in found] == [(p.start_ns, 60) for p in pieces]
    assert assert_nothing_invented(config) == 300 * 60
    assert ingest(config, SPAN).n_new_samples == 0
