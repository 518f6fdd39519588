"""Noise has the levels it is asked for, and no memory of how it was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from geomon.errors import WaveformError
from geomon.synthesis.instruments import BROADBAND, counts_per_velocity
from geomon.synthesis.noise import ContinuousNoise, draw_noise, noise_model_db, noise_psd
from geomon.times import NS_PER_S, parse_time

RATE_HZ = 40.0
FIRST = round(parse_time("2024-05-01T13:00:00") // NS_PER_S * RATE_HZ)
NOISE = ContinuousNoise(seed=3, stream=7, sampling_rate_hz=RATE_HZ, level=0.4)


@pytest.mark.parametrize("level", [0, 1])
def test_models_agree_with_obspys_tables(level):
    from obspy.signal.spectral_estimation import get_nhnm, get_nlnm

    period, decibels = (get_nlnm, get_nhnm)[level]()
    np.testing.assert_allclose(noise_model_db(1 / period, level), decibels, atol=1e-3)


def test_power_spectrum_is_the_one_asked_for():
    samples = NOISE.samples(FIRST, 200_000).astype(float)
    frequency, power = welch(samples, RATE_HZ, nperseg=4096)
    for low, high in ((0.1, 0.3), (0.5, 2), (2, 8), (8, 15)):
        band = (frequency >= low) & (frequency < high)
        ratio = power[band].sum() / noise_psd(frequency[band], 0.4).sum()
        assert 10 * np.log10(ratio) == pytest.approx(0, abs=1.0)
    band = (frequency >= 1) & (frequency < 10)
    rms = np.sqrt(power[band].sum() * frequency[1])
    assert NOISE.rms(0, 1, 10) == pytest.approx(rms, rel=0.1)


def test_instrument_turns_it_into_counts():
    counts = ContinuousNoise(3, 7, RATE_HZ, 0.4, BROADBAND)
    gain = abs(counts_per_velocity(BROADBAND, np.array([1.0]))[0])
    assert gain == pytest.approx(BROADBAND.sensitivity)
    assert counts.rms(0, 1, 10) == pytest.approx(gain * NOISE.rms(0, 1, 10), rel=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(-30_000, 30_000), st.integers(0, 40_000))
def test_any_window_holds_the_same_samples(offset, count):
    whole = NOISE.samples(FIRST - 30_000, 100_000)
    np.testing.assert_array_equal(
        NOISE.samples(FIRST + offset, count), whole[30_000 + offset : 30_000 + offset + count]
    )


def test_streams_and_seeds_differ():
    def start(seed, stream):
        return ContinuousNoise(seed, stream, RATE_HZ, 0.4).samples(FIRST, 1000)

    assert not np.array_equal(start(3, 7), start(3, 8))
    assert not np.array_equal(start(3, 7), start(4, 7))


def test_day_is_louder_than_night_where_people_are():
    noise = ContinuousNoise(3, 7, RATE_HZ, 0.4, day_night_db=12.0, longitude_deg=15.0)
    noon, midnight = parse_time("2024-05-01T12:00"), parse_time("2024-05-01T00:00")
    assert noise.rms(noon, 4, 12) > 3.5 * noise.rms(midnight, 4, 12)
    assert noise.rms(noon, 0.05, 0.2) == pytest.approx(noise.rms(midnight, 0.05, 0.2), rel=0.02)


def test_five_minutes_must_hold_whole_samples():
    with pytest.raises(WaveformError, match="whole number"):
        ContinuousNoise(1, 1, 33.333, 0.4)


def test_training_noise_is_reproducible_and_follows_its_level():
    def draw():
        rng = np.random.default_rng(5)
        return draw_noise(rng, level=[0.0, 0.9], n_samples=3001, sampling_rate_hz=100.0)

    noise = draw()
    assert noise.shape == (2, 3, 3001)
    assert noise.dtype == np.float32
    assert np.ptp(noise[1]) > 100 * np.ptp(noise[0])
    np.testing.assert_array_equal(noise, draw())


def test_refuses_an_empty_window():
    with pytest.raises(WaveformError, match="0 samples"):
        draw_noise(np.random.default_rng(), level=[0.5], n_samples=0, sampling_rate_hz=100.0)
