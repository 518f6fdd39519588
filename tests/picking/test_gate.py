"""Picks on tones, pulses, steps and dead stretches are not believed; picks on waves are."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import lfilter

from geomon.picking.gate import AFTER, BEFORE, reasons
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import SourceAndPath

N = BEFORE + 1 + AFTER
T = np.arange(AFTER + 50) / 100  # seconds from where a shape begins


def noise(rng: np.random.Generator, n: int = N) -> np.ndarray:
    return np.asarray(100 * lfilter([1], [1, -0.9], rng.normal(size=(3, n))))


def on_noise(shape: np.ndarray, gains: np.ndarray, late: int, rng: np.random.Generator) -> str:
    """Add a shape some samples after the pick, and say what the pick is called."""
    samples = noise(rng)
    samples[:, BEFORE + 1 + late :] += gains[:, None] * shape[: AFTER - late]
    [reason] = reasons(samples[None])
    return reason or ""


def gains(rng: np.random.Generator) -> np.ndarray:
    one = np.zeros(3)
    one[rng.integers(3)] = 1
    return one if rng.random() < 0.4 else rng.uniform(0.4, 1, 3) * rng.choice([-1, 1], 3)


@pytest.mark.fault(55)
@pytest.mark.parametrize("frequency_hz", [2.0, 5.0, 12.0, 31.0, 45.0])
def test_tones_are_not_believed(frequency_hz: float) -> None:
    rng = np.random.default_rng(1)
    for late in (-3, 0, 8, 18):
        tone = 5000 * np.sin(2 * np.pi * frequency_hz * T)
        assert on_noise(tone, gains(rng), late, rng) in ("tone", "pulse")


def test_tones_that_grow_are_not_believed() -> None:
    rng = np.random.default_rng(2)
    for seconds in (3.0, 6.0, 10.0):
        growing = np.sin(np.pi * (T + 0.1) / seconds) ** 2 * np.sin(2 * np.pi * 5 * T)
        assert on_noise(50_000 * growing, gains(rng), 0, rng) == "tone"


@pytest.mark.fault(55)
@pytest.mark.parametrize("period_s", [0.3, 0.8, 1.5])
def test_calibration_pulses_are_not_believed(period_s: float) -> None:
    rng = np.random.default_rng(3)
    for damping in (0.1, 0.2, 0.35):
        phase = 2 * np.pi * T / period_s
        pulse = 50_000 * np.exp(-damping * phase) * np.sin(phase)
        assert on_noise(pulse, gains(rng), 5, rng) in ("pulse", "tone"), damping


def test_most_faint_calibration_pulses_are_not_believed() -> None:
    rng = np.random.default_rng(3)
    phase = 2 * np.pi * T / 0.4
    pulse = 1500 * np.exp(-0.15 * phase) * np.sin(phase)
    found = [on_noise(pulse, rng.uniform(0.4, 1, 3), 5, rng) for _ in range(100)]
    assert sum(reason in ("pulse", "tone") for reason in found) >= 70


@pytest.mark.fault(55)
@pytest.mark.parametrize("decay_s", [1.0, 5.0, np.inf])
def test_steps_are_not_believed(decay_s: float) -> None:
    rng = np.random.default_rng(4)
    for late in (-5, 0, 25):
        step = 20_000 * np.exp(-T / decay_s)
        assert on_noise(step, gains(rng), late, rng) in ("step", "pulse")


@pytest.mark.fault(55)
def test_corners_of_clipped_swells_are_not_believed() -> None:
    rng = np.random.default_rng(10)
    samples = []
    for _ in range(40):
        t, limit = (np.arange(1200) - 600) / 100, rng.uniform(0, 0.7)
        # The first component runs into its limit at the pick, the others later.
        phases = np.arcsin(limit) - np.array([0, *rng.uniform(0, 1, 2)])
        swell = np.sin(2 * np.pi * t / rng.uniform(6, 15) + phases[:, None])
        clipped = np.minimum(1e6 * swell + noise(rng, t.size), 1e6 * limit)
        samples.append(clipped[:, 600 - BEFORE - 1 : 600 + AFTER])
    found = reasons(np.array(samples))
    assert found.count("clipped") >= 38


def test_clipped_earthquakes_are_believed() -> None:
    rng = np.random.default_rng(11)
    samples = []
    for trace, onsets in zip(*earthquakes(200, 12), strict=True):
        limit = np.abs(trace[:, : int(onsets[1])]).max() * rng.uniform(0.2, 0.9)
        clipped = np.clip(trace / limit, -1, 1) * 1e5
        for onset in onsets.round().astype(int):
            part = clipped[:, onset - BEFORE - 1 : onset + AFTER]
            if part.shape[1] == N:
                samples.append(np.clip(part + noise(rng), -1e5, 1e5))
    found = reasons(np.array(samples))
    assert found.count(None) >= 0.995 * len(found)


@pytest.mark.fault(55)
def test_dead_stretches_are_not_believed() -> None:
    samples = noise(np.random.default_rng(5))
    samples[:, BEFORE:] = samples[:, BEFORE : BEFORE + 1]
    assert reasons(samples[None]) == ["flat"]
    samples[1] = 0
    assert reasons(samples[None]) == ["flat"]
    still = np.zeros((1, 3, N))
    assert reasons(still) == [None]


def earthquakes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic local earthquakes, (count, 3, n), and their P and S in samples."""
    rng = np.random.default_rng(seed)
    lead = np.exp(rng.uniform(np.log(0.5), np.log(20), count))
    paths = SourceAndPath.draw(
        rng, magnitude=rng.uniform(0, 4, count), hypocentral_distance_km=8 * lead,
        p_time_s=np.full(count, 5.0), s_time_s=5.0 + lead,
    )  # fmt: skip
    motion = seismograms(rng, paths, n_samples=3000, sampling_rate_hz=100.0)
    return motion.astype(np.float64), np.stack([np.full(count, 500.0), 500 + 100 * lead], axis=1)


def resonant(trace: np.ndarray, frequency_hz: float, quality: float) -> np.ndarray:
    """Ring as a fluid-filled crack does: a long-period earthquake of a volcano."""
    pole = np.exp((-np.pi * frequency_hz / quality + 2j * np.pi * frequency_hz) / 100)
    return np.asarray(lfilter([1], [1, -2 * pole.real, abs(pole) ** 2], trace, axis=-1))


def unchanged(trace: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return trace


def ringing(trace: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return resonant(trace, rng.uniform(0.7, 5), rng.uniform(4, 20))


@pytest.mark.parametrize("path", [unchanged, ringing])
def test_earthquakes_are_believed(
    path: Callable[[np.ndarray, np.random.Generator], np.ndarray],
) -> None:
    rng = np.random.default_rng(6)
    samples = []
    for trace, onsets in zip(*earthquakes(400, 7), strict=True):
        seen = path(trace, rng)
        for onset in onsets.round().astype(int):
            start = onset - BEFORE - 1 + int(rng.integers(-5, 15))
            if start + N <= seen.shape[1]:
                part = seen[:, start : start + N]
                size = 100 * 10 ** rng.uniform(0.5, 3) / np.abs(part[:, BEFORE:]).max()
                samples.append(size * part + noise(rng))
    found = reasons(np.array(samples))
    assert sum(one is not None for one in found) <= 0.004 * len(samples)


def test_a_steady_tone_hides_no_earthquake() -> None:
    rng = np.random.default_rng(8)
    traces, _ = earthquakes(100, 9)
    hum = 3000 * np.sin(2 * np.pi * 12 * np.arange(N) / 100)
    cut = traces[:, :, 500 - BEFORE - 1 : 500 + AFTER]
    samples = [8000 * one / np.abs(one[:, BEFORE:]).max() + hum + noise(rng) for one in cut]
    assert reasons(np.array(samples)).count(None) >= 99


def test_no_picks_have_no_reasons() -> None:
    assert reasons(np.zeros((0, 3, N))) == []
