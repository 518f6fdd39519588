"""Resampling on absolute grids: onsets stay, cuts do not matter."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.processing.resample import exact_rate, resample

GRID = Fraction(100)


def onset(time: np.ndarray) -> np.ndarray:
    """A P wave that begins at 0: emergent within 20 ms, 4 to 12 Hz."""
    t = np.maximum(time, 0)
    return np.asarray(
        (1 - np.exp(-t / 0.02)) * np.exp(-t / 0.5) * np.sin(2 * np.pi * 8 * t) * (time > 0)
    )


@pytest.mark.parametrize("rate", [200.0, 250.0, 500.0, 125.0, 62.5, 50.0, 40.0, 1000.0])
def test_onsets_do_not_move(rate: float) -> None:
    n = round(20 * rate)
    there = resample(
        onset(np.arange(n)[:, None] / rate - 9.9973), first_in=0, rate_in=exact_rate(rate),
        first_out=0, rate_out=GRID, n_out=2000,
    )[:, 0]  # fmt: skip
    direct = onset(np.arange(2000) / 100 - 9.9973)
    peak = np.abs(direct).max()
    slower = min(rate, 100.0)
    # Hardly anything shows up more than 1.5 samples of the slower grid before the onset.
    early = np.arange(2000) < 999 - 150 / slower
    assert np.abs(there[early]).max() < (0.01 if rate >= 100 else 0.04) * peak
    lag = np.argmax(np.correlate(there, direct, "full")) - 1999
    assert abs(lag) <= 1
    if rate >= 100:
        assert np.abs(there - direct).max() < 0.06 * peak


@pytest.mark.parametrize("rate", [200.0, 40.0, 500.0])
def test_no_aliases(rate: float) -> None:
    n = round(30 * rate)
    time = np.arange(n) / rate
    limit = min(rate, 100.0) / 2
    for frequency, gain in ((0.25 * limit, 1.0), (0.5 * limit, 0.97)):
        out = resample(
            np.sin(2 * np.pi * frequency * time), first_in=0, rate_in=exact_rate(rate),
            first_out=0, rate_out=GRID, n_out=3000,
        )[500:-500]  # fmt: skip
        assert np.sqrt(2 * np.mean(out**2)) == pytest.approx(gain, abs=0.04)
    if rate > 100:
        out = resample(
            np.sin(2 * np.pi * 65 * time), first_in=0, rate_in=exact_rate(rate), first_out=0,
            rate_out=GRID, n_out=3000,
        )  # fmt: skip
        assert np.abs(out[500:-500]).max() < 0.01


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([200.0, 250.0, 40.0, 62.5, 200 / 3, 99.7]),
    begin=st.integers(0, 900),
    second=st.integers(0, 10**9),
)
def test_output_does_not_depend_on_the_cut(rate: float, begin: int, second: int) -> None:
    exact = exact_rate(rate)
    first_in = int(second * exact)
    samples = np.random.default_rng(0).normal(size=(round(15 * rate) + 2, 2))
    first_out = -int(-first_in * GRID / exact // 1)
    arguments = {"first_in": first_in, "rate_in": exact, "rate_out": GRID}
    whole = resample(samples, first_out=first_out, n_out=1500, **arguments)
    part = resample(samples, first_out=first_out + begin, n_out=500, **arguments)
    assert np.array_equal(whole[begin : begin + 500], part)


def test_constant_stays_constant() -> None:
    out = resample(
        np.full((50, 3), 7.5), first_in=10, rate_in=Fraction(40), first_out=25, rate_out=GRID,
        n_out=100,
    )  # fmt: skip
    assert np.allclose(out, 7.5, rtol=1e-12)
