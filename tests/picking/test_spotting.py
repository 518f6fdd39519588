"""Spot the seismogram among series that are none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import mannwhitneyu

from geomon.errors import WaveformError
from geomon.picking.spotting import spot
from geomon.synthesis.noise import draw_noise
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import SourceAndPath
from geomon.training.recordings import read_windows

DRAWS = 500


def stock_index(rng: np.random.Generator) -> np.ndarray:
    """Ten years of working days: growth, calm and nervous times, crashes."""
    n = int(rng.integers(500, 4000))
    calm = np.exp(0.3 * lfilter([np.sqrt(1 - 0.98**2)], [1, -0.98], rng.normal(size=n)))
    steps = 0.0003 + 0.01 * calm * rng.standard_t(5, n)
    return np.asarray(1000 * np.exp(np.cumsum(steps)))


def monthly_temperature(rng: np.random.Generator) -> np.ndarray:
    """Some decades of monthly means: seasons, warming, weather that is wilder in winter."""
    month = np.arange(int(rng.integers(240, 1800)))
    season = np.cos(2 * np.pi * (month + rng.uniform(0, 12)) / 12)
    weather = lfilter([1], [1, -0.3], rng.normal(size=month.size))
    wild = 1 + rng.uniform(0, 0.4) * season
    return 10 + rng.uniform(3, 15) * season + 0.001 * month + rng.uniform(0.5, 2) * wild * weather


def gaussian(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=int(rng.integers(240, 6000)))


def local(rng: np.random.Generator) -> np.ndarray:
    """A local earthquake at 100 Hz above the noise."""
    lead, n = np.exp(rng.uniform(np.log(0.5), np.log(20))), int(rng.integers(3000, 9000))
    begin = rng.uniform(0.1, 0.5) * n / 100
    paths = SourceAndPath.draw(
        rng, magnitude=[rng.uniform(0.5, 4)], hypocentral_distance_km=[8 * lead],
        p_time_s=[begin], s_time_s=[begin + lead],
    )  # fmt: skip
    motion = seismograms(rng, paths, n_samples=n, sampling_rate_hz=100.0)[0, 0]
    noise = draw_noise(rng, level=rng.uniform(0, 1), n_samples=n, sampling_rate_hz=100.0)[0, 0]
    return np.asarray(motion / np.abs(motion).max() * rng.uniform(10, 300) + noise / noise.std())


def long_period(rng: np.random.Generator) -> np.ndarray:
    """A distant earthquake at 1 Hz: P, S, and a surface wavetrain whose slow waves come first."""
    n, distance = int(rng.integers(3600, 7200)), rng.uniform(2000, 6000)
    t = np.arange(n) - rng.uniform(0, 600)
    trace = np.zeros(n)
    for speed, period, size in ((10.0, 8.0, 0.15), (5.5, 14.0, 0.35)):
        after = np.maximum(t - distance / speed, 0)
        trace += size * np.exp(-after / (3 * period)) * np.sin(2 * np.pi * after / period)
    for period in np.linspace(15, 80, 60):
        arrival = distance / (2.9 + 0.014 * period)
        bell = np.exp(-0.5 * ((t - arrival) / (1.5 * period)) ** 2)
        trace += 0.2 * bell * np.cos(2 * np.pi * (t - arrival) / period)
    noise = lfilter([1], [1, -0.9], rng.normal(size=n))
    return np.asarray(trace / np.abs(trace).max() * rng.uniform(10, 300) + noise / noise.std())


def scores(draw: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.array([spot(draw(rng)).score for _ in range(DRAWS)])


def area(seismic: np.ndarray, other: np.ndarray) -> float:
    """Chance that a seismogram is ranked above the other series (area under the ROC curve)."""
    return float(mannwhitneyu(seismic, other).statistic) / seismic.size / other.size


@pytest.fixture(scope="module")
def others() -> dict[str, np.ndarray]:
    return {draw.__name__: scores(draw) for draw in (stock_index, monthly_temperature, gaussian)}


@pytest.mark.parametrize("draw", [local, long_period])
def test_seismograms_rank_above_all_else(
    draw: Callable[[np.random.Generator], np.ndarray], others: dict[str, np.ndarray]
) -> None:
    seismic = scores(draw)
    for name, other in others.items():
        assert area(seismic, other) >= 0.99, name


def test_recorded_seismograms_rank_above_all_else(
    shared_data: Path, others: dict[str, np.ndarray]
) -> None:
    windows = read_windows(shared_data / "phasenet_ncedc" / "dataset" / "waveform_train")
    # Small ones hardly show on some component: a station's best one counts.
    seismic = np.array([max(spot(s.samples).score for s in w.segments) for w in windows])
    for name, other in others.items():
        assert area(seismic, other) >= 0.99, name


@pytest.mark.parametrize(
    ("draw", "kind"),
    [
        (stock_index, "wandering"),
        (monthly_temperature, "periodic"),
        (gaussian, "noise"),
        (local, "seismogram"),
        (long_period, "seismogram"),
    ],
)
def test_each_kind_is_named(draw: Callable[[np.random.Generator], np.ndarray], kind: str) -> None:
    rng = np.random.default_rng(3)
    named: list[str] = [spot(draw(rng)).kind for _ in range(100)]
    assert named.count(kind) >= 90


def test_units_and_offsets_do_not_matter() -> None:
    series = local(np.random.default_rng(1)).astype(np.float64)
    assert spot(1e-9 * series + 5).score == pytest.approx(spot(series).score, rel=1e-3)


def test_dead_series_are_noise_and_bad_ones_refused() -> None:
    assert spot(np.full(500, 7.0)).score == 0
    with pytest.raises(WaveformError, match="128"):
        spot(np.zeros(10))
    with pytest.raises(WaveformError, match="finite"):
        spot(np.full(500, np.nan))
