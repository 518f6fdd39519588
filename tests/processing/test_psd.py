"""Noise spectra, beside ObsPy's and beside what theory says."""

import numpy as np
import pytest
from obspy import Trace, UTCDateTime, read
from obspy.signal import PPSD
from obspy.signal.spectral_estimation import get_nhnm, get_nlnm

from geomon.ids import SeedId
from geomon.processing.psd import high_noise_model, low_noise_model, psd_summary
from geomon.processing.response import counts_per_unit
from geomon.stations import Response
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment

Z = SeedId.parse("CX.PB01..HHZ")
POLES = (-0.037 + 0.037j, -0.037 - 0.037j, -251 + 0j, -131 - 467j, -131 + 467j)
RESPONSE = Response(6.3e8, 1.0, "m/s", (0j, 0j), POLES)


def span_of(hours):
    return TimeSpan(0, hours * 3600 * NS_PER_S)


def segment(start_s, samples, rate_hz=100.0):
    return Segment(Z, round(start_s * NS_PER_S), rate_hz, samples)


def white(hours, rate_hz=100.0, seed=0, sigma=1000.0):
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0, sigma, round(hours * 3600 * rate_hz))).astype(np.int32)


def ppsd(samples, rate_hz):
    """Return ObsPy's periods and the decibels of every hour."""
    shape = np.abs(counts_per_unit(RESPONSE, np.array([1.0])))[0]
    bare = np.abs(counts_per_unit(Response(1, 1.0, "m/s", (0j, 0j), POLES), np.array([1.0])))[0]
    s = 2j * np.pi
    scale = bare / np.abs(s**2 / np.prod([s - pole for pole in POLES]))
    metadata = {"poles": POLES, "zeros": [0j, 0j], "gain": scale, "sensitivity": shape}
    trace = Trace(samples, {"sampling_rate": rate_hz, "starttime": UTCDateTime(0)})
    theirs = PPSD(trace.stats, metadata)
    theirs.add(trace)
    return np.array(theirs.period_bin_centers), np.array(theirs.psd_values)


@pytest.mark.parametrize("rate_hz", [20.0, 100.0])
def test_white_noise_agrees_with_obspy_and_with_theory(rate_hz):
    samples = white(6, rate_hz)
    summary = psd_summary([segment(0, samples, rate_hz)], span_of(6), RESPONSE)
    periods, values = ppsd(samples, rate_hz)
    assert summary.unit == "m/s**2"
    assert summary.n_windows == len(values) == 11
    assert summary.periods_s == pytest.approx(periods, rel=1e-5)
    enough = periods < 20  # octaves of fewer frequencies scatter
    difference = np.array(summary.median_db) - np.median(values, axis=0)
    assert np.abs(difference[enough]).max() < 0.3
    counts = psd_summary([segment(0, samples, rate_hz)], span_of(8))
    expected = 10 * np.log10(2 * 1000**2 / rate_hz)
    # The mean of decibels lies below the decibels of the mean: by 0.3 dB for ten spectra.
    assert np.array(counts.median_db)[enough] == pytest.approx(expected - 0.3, abs=0.5)


def test_recordings_agree_with_obspy(shared_data):
    folder = shared_data / "deepphasepick_cx/sample_data/archive/2014/CX/PB01/HHZ.D"
    trace = read(str(next(folder.glob("*"))), format="MSEED")[0]
    samples = trace.data[: 6 * 360_000]
    summary = psd_summary([segment(0, samples)], span_of(6), RESPONSE)
    periods, values = ppsd(samples, 100.0)
    assert summary.n_windows == len(values)
    short = periods < 50
    for percentile, ours, most_db in (
        (5, summary.low_db, 1.5), (50, summary.median_db, 0.7), (95, summary.high_db, 1.5),
    ):  # fmt: skip
        difference = np.array(ours) - np.percentile(values, percentile, axis=0)
        assert np.abs(difference[short]).max() < most_db
        assert np.abs(difference[short].mean()) < 0.3
    assert 0 < summary.above_low_db < 60
    assert not summary.is_dead


def test_the_noise_models_are_petersons():
    for model, (periods, theirs) in ((low_noise_model, get_nlnm()), (high_noise_model, get_nhnm())):
        assert model(np.array(periods)) == pytest.approx(theirs, abs=1e-3)
    assert np.isnan(low_noise_model(np.array([0.09, 1e5 + 1]))).all()


def test_hours_with_a_gap_count_when_half_of_them_is_there():
    samples = white(4)
    whole = psd_summary([segment(0, samples)], span_of(4))
    short_gap = [segment(0, samples[:500_000]), segment(5001, samples[500_100:])]
    with_gap = psd_summary(short_gap, span_of(4))
    assert with_gap.n_windows == whole.n_windows == 7
    assert np.array(with_gap.median_db) == pytest.approx(whole.median_db, abs=3)
    half = psd_summary([segment(0, samples[: 2 * 360_000])], span_of(4))
    assert half.n_windows == 3
    assert psd_summary([segment(0, samples[:60_000])], span_of(4)) is None


def test_a_jittering_clock_does_not_break_hours_up():
    samples = white(2)
    cuts = np.array_split(samples, 500)
    starts = np.cumsum([0, *(cut.size for cut in cuts[:-1])]) / 100
    jittering = [
        segment(s + (k % 3) * 1e-3, c) for k, (s, c) in enumerate(zip(starts, cuts, strict=True))
    ]
    assert psd_summary(jittering, span_of(2)).n_windows == 3


def test_a_silent_channel_is_dead_and_finite():
    silent = psd_summary([segment(0, np.full(720_000, 7, np.int32))], span_of(2), RESPONSE)
    assert np.isfinite(silent.median_db).all()
    assert silent.is_dead
    assert silent.below_low_share == 1
    assert not psd_summary([segment(0, np.full(720_000, 7, np.int32))], span_of(2)).is_dead


def test_small_physical_units_keep_their_size():
    samples = (white(2) * 1e-15).astype(np.float32)
    summary = psd_summary([segment(0, samples)], span_of(2))
    counts = psd_summary([segment(0, white(2))], span_of(2))
    assert np.array(summary.median_db) == pytest.approx(np.array(counts.median_db) - 300, abs=0.05)


def test_values_that_are_no_numbers_cost_their_hours_only():
    samples = white(6).astype(np.float64)
    samples[0], samples[700] = np.nan, np.inf
    summary = psd_summary([segment(0, samples)], span_of(6))
    assert summary.n_windows == 11
    assert np.isfinite(summary.high_db).all()


@pytest.mark.parametrize("rate_hz", [0.1, 1.0, 200 / 3, 1000.0])
def test_any_sampling_rate(rate_hz):
    samples = white(2, rate_hz)
    summary = psd_summary([segment(0, samples, rate_hz)], span_of(2), RESPONSE)
    assert summary.n_windows == 3
    assert summary.periods_s[0] == pytest.approx(2 / rate_hz, rel=1e-4)
    assert np.isfinite(summary.median_db).all()


def test_a_response_without_a_value_gives_counts():
    broken = Response(0.0, 1.0, "m/s", (0j,), ())
    summary = psd_summary([segment(0, white(2))], span_of(2), broken)
    assert (summary.unit, summary.above_low_db) == ("counts", None)
    assert psd_summary([], span_of(2)) is None
    assert psd_summary([segment(0, white(2)[:30], 0.01)], span_of(2)) is None
