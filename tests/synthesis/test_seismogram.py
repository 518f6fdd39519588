"""Seismograms have the size, the onset, the motion and the decay of earthquakes."""

import numpy as np
import pytest

from geomon.errors import WaveformError
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import (
    SourceAndPath,
    corner_frequency_hz,
    rupture_duration_s,
    seismic_moment,
)

RATE_HZ = 100.0


def make(seed=0, *, n=40, n_samples=3000, rate_hz=RATE_HZ, **given):
    rng = np.random.default_rng(seed)
    defaults = {
        "magnitude": np.full(n, 2.0), "hypocentral_distance_km": np.full(n, 20.0),
        "p_time_s": np.full(n, 5.0), "s_time_s": np.full(n, 7.5),
    }  # fmt: skip
    paths = SourceAndPath.draw(rng, **(defaults | given))
    return paths, seismograms(rng, paths, n_samples=n_samples, sampling_rate_hz=rate_hz)


def wood_anderson_magnitude(velocity, distance_km):
    """Hutton and Boore (1987) with the IASPEI gain, from the mean log peak of the horizontals."""
    n_fft = 2 * velocity.shape[-1]
    s = 2j * np.pi * np.fft.rfftfreq(n_fft, 1 / RATE_HZ)
    natural = 2 * np.pi / 0.8
    response = 2080 * s / (s**2 + 2 * 0.7 * natural * s + natural**2)
    trace_mm = 1000 * np.fft.irfft(np.fft.rfft(velocity, n_fft) * response, n_fft)
    peak = np.log10(np.abs(trace_mm[:, 1:, : velocity.shape[-1]]).max(axis=-1)).mean(axis=1)
    return peak + 1.11 * np.log10(distance_km / 100) + 0.00189 * (distance_km - 100) + 3


@pytest.mark.parametrize("distance_km", [8.0, 20.0, 50.0])
@pytest.mark.parametrize("magnitude", [0.0, 1.0, 2.0, 3.0])
def test_amplitudes_give_the_magnitude_back(magnitude, distance_km):
    _, velocity = make(
        n=60, n_samples=2500, magnitude=np.full(60, magnitude),
        hypocentral_distance_km=np.full(60, distance_km), s_time_s=5 + distance_km / 8.2,
    )  # fmt: skip
    measured = wood_anderson_magnitude(velocity, distance_km)
    assert np.median(measured) == pytest.approx(magnitude, abs=0.25)
    assert np.std(measured) < 0.4


def test_moments_and_corners_are_those_of_small_earthquakes():
    moment = seismic_moment([0.0, 2.0, 4.0])
    moment_magnitude = (np.log10(moment) - 9.05) / 1.5
    np.testing.assert_allclose(moment_magnitude, [0.81, 2.21, 3.85], atol=0.02)
    assert corner_frequency_hz(moment[1], 3e6) == pytest.approx(19, abs=3)


def test_nothing_moves_before_p_and_much_right_after():
    _, velocity = make(n=200)
    peak = np.abs(velocity).max(axis=(1, 2))
    before = np.abs(velocity[..., :495]).max(axis=(1, 2))
    just_after = np.abs(velocity[..., 500:520]).max(axis=(1, 2))
    assert np.max(before / peak) < 0.01
    assert np.median(just_after / peak) > 0.1


def test_onset_is_where_it_was_put_at_any_rate():
    onsets = []
    for rate_hz in (40.0, 100.0, 200.0):
        _, velocity = make(
            n=1, n_samples=round(15 * rate_hz), rate_hz=rate_hz, p_time_s=[5.0037],
            incidence_deg=10, polarity=1, radiation_p=0.7, scatter_p=0.01, site_gain=0.0,
            multiple_amplitude=0.0, stress_drop_pa=3e6, kappa_s=0.02, q0=200, q_exponent=0.5,
            head_delay_s=0.0,
        )  # fmt: skip
        up = velocity[0, 0, : round(5.4 * rate_hz)]
        onsets.append(np.argmax(up > 0.2 * up.max()) / rate_hz)
        assert up[np.argmax(np.abs(up) > 0.2 * np.abs(up).max())] > 0
    np.testing.assert_allclose(onsets, 5.0037, atol=0.035)


def test_p_moves_along_the_ray_and_s_across_it():
    _, velocity = make(
        n=50, azimuth_deg=30.0, incidence_deg=20.0, radiation_p=0.7, radiation_s=0.7,
        scatter_p=0.01, scatter_s=0.01, site_gain=0.0, sp_amplitude=0.0, multiple_amplitude=0.0,
        s_polarization_deg=0.0,
    )  # fmt: skip

    def direction(window):
        return np.linalg.svd(window, full_matrices=False)[0][:, 0]

    sine, cosine = np.sin(np.radians(20)), np.cos(np.radians(20))
    ray = np.array([cosine, sine * np.cos(np.radians(30)), sine * np.sin(np.radians(30))])
    for one in velocity:
        assert abs(direction(one[:, 500:512]) @ ray) > 0.98
        assert abs(direction(one[:, 750:765]) @ ray) < 0.4


def test_coda_decays_and_s_is_larger_than_p():
    _, velocity = make(n=100, n_samples=4000)
    energy = np.sqrt((velocity**2).sum(axis=1))

    def level(start_s, end_s):
        return np.sqrt((energy[:, round(start_s * 100) : round(end_s * 100)] ** 2).mean(axis=1))

    p, s = level(5, 6), level(7.5, 8.5)
    assert 1.5 < np.median(s / p) < 8
    for first, second in ((8.5, 12), (12, 20), (20, 35)):
        assert np.median(level(second, second + 2) / level(first, first + 2)) < 0.8


def test_amplitude_falls_with_distance_and_grows_with_magnitude():
    _, near = make(n=50, hypocentral_distance_km=np.full(50, 10.0))
    _, far = make(n=50, hypocentral_distance_km=np.full(50, 40.0))
    _, large = make(n=50, magnitude=np.full(50, 3.0))
    peaks = [np.median(np.abs(x).max(axis=(1, 2))) for x in (near, far, large)]
    assert peaks[0] > 4 * peaks[1]
    assert peaks[2] > 3 * peaks[0]


def test_same_seed_same_motion_and_arrivals_off_the_record_are_quiet():
    _, one = make(seed=4, n=3)
    _, two = make(seed=4, n=3)
    np.testing.assert_array_equal(one, two)
    _, later = make(n=2, p_time_s=[40.0, 41.0], s_time_s=[45.0, 46.0])
    assert np.abs(later).max() < 1e-3 * np.abs(one).max()


def test_a_record_may_start_in_the_middle_of_an_earthquake():
    _, velocity = make(n=20, n_samples=1000, p_time_s=-4.0, s_time_s=1.0)
    assert np.isfinite(velocity).all()
    assert np.abs(velocity[..., :90]).max() > 0
    assert np.median(np.abs(velocity[..., 100:150]).max(axis=(1, 2))) > np.median(
        np.abs(velocity[..., :90]).max(axis=(1, 2))
    )


def test_a_large_source_breaks_over_some_time():
    given = {"n": 30, "magnitude": np.full(30, 7.0), "n_samples": 6000, "s_time_s": np.full(30, 60)}
    duration = rupture_duration_s(7.0)
    _, long = make(**given, rupture_s=np.full(30, duration))
    _, point = make(**given)

    def centre_s(velocity):
        energy = velocity[..., 500:].astype(float) ** 2
        return (energy * np.arange(energy.shape[-1])).sum((1, 2)) / energy.sum((1, 2)) / RATE_HZ

    assert 4 < np.median(centre_s(long)) - np.median(centre_s(point)) < duration
    # It begins at P, more weakly than it goes on.
    peak = np.abs(long).max(axis=(1, 2))
    assert np.max(np.abs(long[..., :495]).max(axis=(1, 2)) / peak) < 0.01
    first_second = np.abs(long[..., 500:600]).max(axis=(1, 2))
    assert 0.01 < np.median(first_second / peak) < 0.5


def test_refuses_wrong_shapes_and_sizes():
    paths, _ = make(n=2)
    with pytest.raises(WaveformError, match="0 samples"):
        seismograms(np.random.default_rng(), paths, n_samples=0, sampling_rate_hz=100.0)
    with pytest.raises(WaveformError, match="cannot be made"):
        seismograms(np.random.default_rng(), paths, n_samples=10, sampling_rate_hz=0.0)
    values = {name: np.zeros(2) for name in SourceAndPath.__slots__}
    with pytest.raises(WaveformError, match="kappa_s"):
        SourceAndPath(**(values | {"kappa_s": np.zeros(3)}))


def test_synthetics_resemble_recorded_local_earthquakes(shared_data):
    """Median shape of 60 recorded and 240 simulated events with the same S minus P times."""
    from scipy.signal import butter, sosfiltfilt

    filter_ = butter(3, 1, "high", fs=RATE_HZ, output="sos")

    def features(motion, p, s):
        motion = sosfiltfilt(filter_, motion - motion.mean(axis=1, keepdims=True), axis=1)
        energy = motion**2
        envelope = np.sqrt(np.convolve(energy.sum(axis=0), np.full(15, 1 / 15), "same"))
        lead = s - p
        s_peak = envelope[s : s + 100 + lead].max()
        spectrum = np.abs(np.fft.rfft(motion[:, s : s + 100] * np.hanning(100), 256)) ** 2
        frequency = np.fft.rfftfreq(256, 1 / RATE_HZ)
        return (
            envelope[p : s - 5].max() / s_peak,
            envelope[s + lead : s + lead + 25].mean() / s_peak,
            envelope[s + 4 * lead : s + 4 * lead + 25].mean() / s_peak,
            np.sqrt(energy[0, p : p + 15].sum() / energy[1:, p : p + 15].sum()),
            (spectrum * frequency).sum() / spectrum.sum() / 10,
        )

    recorded, leads = [], []
    for path in sorted((shared_data / "phasenet_ncedc" / "dataset").rglob("*.npz")):
        window = np.load(path)
        motion = window["data"].T[[2, 1, 0]].astype(float)
        p, s = int(np.ravel(window["itp"])[0]), int(np.ravel(window["its"])[0])
        if np.abs(motion).max(axis=1).min() > 0 and 40 <= s - p < 1000:
            noise = motion[:, p - 1000 : p - 50].std()
            if np.abs(motion[:, s : s + 200]).max() > 30 * noise:
                recorded.append(features(motion, p, s))
                leads.append((s - p) / 100)
    assert len(recorded) > 40
    lead = np.repeat(leads, 4)
    _, simulated = make(
        n=lead.size, n_samples=9000, magnitude=1.5 + 0.8 * np.log10(8.2 * lead / 15),
        hypocentral_distance_km=8.2 * lead, p_time_s=15.0, s_time_s=15 + lead,
    )  # fmt: skip
    ours = [
        features(x.astype(float), 1500, 1500 + round(100 * t))
        for x, t in zip(simulated, lead, strict=True)
    ]
    ratio = np.median(ours, axis=0) / np.median(recorded, axis=0)
    assert np.all((ratio > 0.6) & (ratio < 1.6)), ratio
