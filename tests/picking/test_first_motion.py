"""First motions are told where they are clear, and right then."""

import numpy as np
import pytest

from geomon.picking.first_motion import AFTER, BEFORE, first_motion
from geomon.processing.condition import highpass
from geomon.synthesis.noise import draw_noise
from geomon.synthesis.seismogram import SourceAndPath, seismograms

P = 1000  # sample


@pytest.fixture(scope="module")
def recorded() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Verticals of 1000 earthquakes on noise, raw and filtered, and their true polarities."""
    rng = np.random.default_rng(1)
    count = 1000
    lead = np.exp(rng.uniform(np.log(0.5), np.log(25), count))
    paths = SourceAndPath.draw(
        rng, magnitude=rng.uniform(-0.5, 4.5, count), hypocentral_distance_km=8 * lead,
        p_time_s=np.full(count, P / 100), s_time_s=P / 100 + lead,
    )  # fmt: skip
    motion = seismograms(rng, paths, n_samples=1500, sampling_rate_hz=100.0)[:, 0].T
    noise = draw_noise(rng, level=rng.uniform(0, 1, count), n_samples=1500, sampling_rate_hz=100.0)
    signal, ground = (x.astype(np.float64) for x in (motion, noise[:, 0].T))
    strength = np.sqrt((highpass(signal, 1.5, 100.0, 4)[P : P + 100] ** 2).mean(axis=0))
    loudness = highpass(ground, 1.5, 100.0, 4)[300:].std(axis=0)
    raw = signal / strength * 10 ** rng.uniform(0, 2.2, count) + ground / loudness
    return raw, highpass(raw, 1.5, 100.0, 4), paths.polarity


def told(raw: np.ndarray, filtered: np.ndarray, late: np.ndarray) -> np.ndarray:
    values = {"positive": 1.0, "negative": -1.0, "undecidable": 0.0}
    found = []
    for column, shift in enumerate(late):
        around = slice(P + shift - BEFORE, P + shift + AFTER)
        found.append(values[first_motion(filtered[around, column], raw[around, column])])
    return np.array(found)


@pytest.mark.parametrize("scatter", [0, 3, 8])
def test_what_is_told_is_right(
    recorded: tuple[np.ndarray, np.ndarray, np.ndarray], scatter: int
) -> None:
    raw, filtered, polarity = recorded
    late = np.round(np.random.default_rng(2).normal(0, scatter, polarity.size)).astype(int)
    found = told(raw, filtered, late)
    speaks = found != 0
    assert speaks.mean() > (0.5 if scatter < 5 else 0.4)
    assert (found == polarity)[speaks].mean() > 0.97


def test_a_reversed_sensor_reverses_it(
    recorded: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    raw, filtered, polarity = recorded
    late = np.zeros(polarity.size, dtype=int)
    assert (told(-raw, -filtered, late) == -told(raw, filtered, late)).all()


def test_noise_has_none() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(BEFORE + AFTER, 1000))
    found = [first_motion(one, one) for one in noise.T]
    assert found.count("undecidable") >= 995


def test_what_is_clipped_or_dead_has_none() -> None:
    trace = np.random.default_rng(4).normal(size=BEFORE + AFTER)
    trace[BEFORE:] += 80 * np.sin(np.arange(AFTER) / 4)
    assert first_motion(trace, trace) == "positive"
    assert first_motion(trace, np.minimum(trace, 30)) == "undecidable"
    still = np.zeros(BEFORE + AFTER)
    assert first_motion(still, still) == "undecidable"
    still[BEFORE:] = 100 * np.sin(np.arange(AFTER) / 4)
    assert first_motion(still, still) == "undecidable"


def test_the_second_motion_is_not_the_first() -> None:
    rng = np.random.default_rng(5)
    trace = rng.normal(size=BEFORE + AFTER)
    t = np.arange(AFTER + 10)
    # Begins 0.1 s before the pick, softly: the first swing downwards is half as high.
    trace[BEFORE - 10 :] += 40 * np.where(t < 8, -0.5, 1) * np.sin(np.pi * t / 8) ** 2
    assert first_motion(trace, trace) in ("negative", "undecidable")
