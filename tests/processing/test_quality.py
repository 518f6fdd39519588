"""What is measured of a channel's day."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.ids import SeedId
from geomon.processing.quality import contiguous, measure
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

Z = SeedId.parse("CX.PB01..HHZ")
HOUR = TimeSpan(0, 3600 * NS_PER_S)


def noise(n_samples, seed=0, sigma=100.0):
    """Noise whose neighbours are alike, as in recordings."""
    rng = np.random.default_rng(seed)
    white = rng.normal(0, sigma, n_samples + 4)
    return np.round(np.convolve(white, np.ones(5) / 5, "valid")).astype(np.int32)


def segment(start_s, samples, rate_hz=100.0, ns=0):
    return Segment(Z, round(start_s * NS_PER_S) + ns, rate_hz, np.asarray(samples))


def test_a_whole_hour_of_noise():
    samples = noise(360_000)
    quality = measure([segment(0, samples)], HOUR)
    assert quality.sampling_rate_hz == 100
    assert (quality.n_samples, quality.availability) == (360_000, 1)
    assert (quality.n_gaps, quality.n_overlaps, quality.n_clock_steps) == (0, 0, 0)
    assert (quality.minimum, quality.maximum) == (samples.min(), samples.max())
    assert quality.mean == pytest.approx(samples.mean())
    assert quality.rms == pytest.approx(samples.std())
    assert (quality.n_flat, quality.n_clipped, quality.n_spikes, quality.n_steps) == (0, 0, 0, 0)
    assert not quality.is_dead


def test_gaps_count_also_at_the_ends_of_the_span():
    parts = [segment(600, noise(60_000)), segment(1500, noise(60_000)), segment(2100, noise(1000))]
    quality = measure(parts, HOUR)
    assert quality.n_gaps == 3
    assert quality.max_gap_s == pytest.approx(3600 - 2110)
    assert quality.availability == pytest.approx(1210 / 3600)


@pytest.mark.parametrize("offset_ms", [1, 5, 9])
def test_a_grid_off_midnight_leaves_no_gap(offset_ms):
    quality = measure([segment(offset_ms / 1000 - 1, noise(360_200))], HOUR)
    assert quality.n_gaps == 0
    assert quality.availability == 1


def test_one_missing_sample_is_a_gap_and_a_jittering_clock_is_none():
    samples = noise(360_000)
    halves = segment(0, samples[:1000]), segment(10.01, samples[1001:])
    assert measure(halves, HOUR).n_gaps == 1
    jittering = segment(0, samples[:1000]), segment(10, samples[1000:], ns=3_000_000)
    quality = measure(jittering, HOUR)
    assert (quality.n_gaps, quality.n_overlaps, quality.n_clock_steps) == (0, 0, 1)
    assert quality.max_clock_step_s == pytest.approx(0.003)
    rounded = segment(0, samples[:1000]), segment(10, samples[1000:], ns=500)
    assert measure(rounded, HOUR).n_clock_steps == 0


def test_overlaps_and_samples_out_of_sight():
    parts = [segment(0, noise(60_000)), segment(590, noise(301_000))]
    hidden = [segment(100, noise(500)), segment(-100, noise(10))]
    quality = measure(parts, HOUR, hidden=hidden)
    assert (quality.n_overlaps, quality.n_conflicts, quality.n_gaps) == (1, 500, 0)
    assert quality.max_overlap_s == pytest.approx(10)
    assert quality.availability == 1


def test_flat_lines():
    samples = noise(360_000)
    samples[1000:1150] = 17  # 1.5 s: too short
    samples[5000:5200] = 17
    samples[90_000:96_000] = -3
    quality = measure([segment(0, samples)], HOUR)
    assert quality.n_flat == 2
    assert quality.flat_s == pytest.approx(62, abs=0.05)
    assert quality.longest_flat[0].start_ns == pytest.approx(50 * NS_PER_S, abs=10_000_000)
    assert quality.longest_flat[1].duration_s == pytest.approx(60, abs=0.05)
    assert not quality.is_dead


def test_a_dead_channel():
    quality = measure([segment(0, np.full(360_000, 5, np.int32))], HOUR)
    assert quality.is_dead
    assert (quality.rms, quality.n_flat, quality.flat_s) == (0, 1, 3600)
    assert (quality.n_clipped, quality.n_spikes, quality.n_steps) == (0, 0, 0)


def test_clipped_peaks_are_found_and_natural_ones_are_not():
    t = np.arange(360_000) / 100
    slow = np.round(500 * np.sin(2 * np.pi * 0.1 * t)).astype(np.int32)
    assert measure([segment(0, slow)], HOUR).n_clipped == 0
    assert measure([segment(0, noise(360_000, sigma=2))], HOUR).n_clipped == 0
    strong = np.round(3e6 * np.sin(2 * np.pi * t)).astype(np.int32)
    clipped = np.clip(strong, -2_000_000, 2_000_000)
    quality = measure([segment(0, clipped)], HOUR)
    assert quality.n_clipped == 7200
    assert quality.clipped_s == pytest.approx(np.count_nonzero(np.abs(clipped) == 2_000_000) / 100)


def test_spikes_and_steps_are_told_apart_and_onsets_are_neither():
    samples = noise(360_000, sigma=50)
    samples[100_000:103_000] += noise(3000, seed=1, sigma=50_000)  # an earthquake
    with_faults = samples.copy()
    places = [5000, 70_000, 150_000, 300_000]
    with_faults[places] += [3000, -3000, 100_000, 2000]
    with_faults[200_000:] += 4000
    assert measure([segment(0, samples)], HOUR).n_spikes == 0
    assert measure([segment(0, samples)], HOUR).n_steps == 0
    quality = measure([segment(0, with_faults)], HOUR)
    assert (quality.n_spikes, quality.n_steps) == (4, 1)


def test_several_rates_give_one_measure_of_the_day():
    parts = [segment(0, noise(120_000), 100.0), segment(1200, noise(480_000), 200.0)]
    quality = measure(parts, HOUR)
    assert quality.sampling_rate_hz == 200
    assert quality.sampling_rates_hz == (100, 200)
    assert quality.n_samples == 600_000
    assert quality.n_gaps == 0


def test_values_that_are_no_numbers_are_left_out():
    samples = noise(360_000).astype(np.float32)
    good = measure([segment(0, samples)], HOUR)
    samples[::1000] = np.nan
    samples[17] = np.inf
    quality = measure([segment(0, samples)], HOUR)
    assert quality.n_not_finite == 361
    assert quality.rms == pytest.approx(good.rms, rel=1e-2)
    assert quality.maximum <= good.maximum
    nothing = measure([segment(0, np.full(360_000, np.nan))], HOUR)
    assert (nothing.mean, nothing.rms, nothing.is_dead) == (None, None, True)


def test_nothing_at_all():
    quality = measure([], HOUR)
    assert quality.sampling_rate_hz is None
    assert (quality.n_samples, quality.availability, quality.n_gaps) == (0, 0, 1)
    assert quality.max_gap_s == 3600
    assert not quality.is_dead
    assert measure([segment(0, noise(10))], TimeSpan(0, 0)).availability == 0


def test_contiguous_joins_within_half_a_sample_only():
    parts = [segment(0, noise(100)), segment(1, noise(100), ns=4_000_000), segment(2.01, noise(5))]
    assert [one.samples.size for one in contiguous(parts)] == [200, 5]
    others = [segment(0, noise(100)), segment(1, noise(100).astype(np.float32))]
    assert [one.samples.size for one in contiguous(others)] == [100, 100]


pieces = st.lists(
    st.tuples(
        st.integers(-10, 3700 * 10).map(lambda tenths: tenths / 10),
        st.integers(1, 300),
        st.sampled_from([0.1, 1.0, 200 / 3, 100.0, 1000.0]),
        st.sampled_from(["<i4", "<f4", "<f8"]),
        st.sampled_from([0.0, 1.0, 1e4, 1e300, np.nan, np.inf]),
        st.integers(0, 2**31),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(pieces)
def test_odd_data_give_a_measure_and_never_an_error(parts):
    made = []
    for start_s, n_samples, rate_hz, kind, size, seed in parts:
        values = np.random.default_rng(seed).normal(0, 1, n_samples)
        if kind == "<i4":
            samples = np.clip(np.nan_to_num(values * min(size, 1e9)), -(2**31), 2**31 - 1)
        else:
            with np.errstate(all="ignore"):
                samples = values * size
                samples = samples.astype(kind)
        made.append(segment(start_s, samples.astype(kind), rate_hz))
    quality = measure(made, HOUR)
    assert 0 <= quality.availability <= 1
    assert quality.n_gaps <= len(made) + 1
    assert quality.flat_s <= sum(s.samples.size / s.sampling_rate_hz for s in made)
