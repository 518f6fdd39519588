"""First motions of simulated earthquakes whose true direction is known: told, and how surely."""

import numpy as np
from numpy.typing import NDArray

from geomon.picking.first_motion import AFTER, BEFORE, first_motion
from geomon.processing.condition import highpass
from geomon.synthesis.noise import draw_noise
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import SourceAndPath
from tests.benchmarks.report import Figure, main, versions

type Floats = NDArray[np.float64]

P = 500  # sample of the true onset
_SEED = 20_261
_BINS = ((0.80, 0.90), (0.90, 0.97), (0.97, 1.0))
_NEAR = 0.05  # a probability may be off by


def recorded(seed: int, count: int) -> tuple[Floats, Floats, Floats]:
    """Return verticals of earthquakes on noise, raw and filtered, and their true polarities.

    Each arrives at sample `P`, from the noise level to 150 times above it.

    Returns
    -------
    raw, filtered : array, shape (800, count)
        At 100 Hz.
    polarity : array, shape (count,)
        1 for up and -1 for down.
    """
    rng = np.random.default_rng(seed)
    lead = np.exp(rng.uniform(np.log(0.5), np.log(25), count))
    paths = SourceAndPath.draw(
        rng, magnitude=rng.uniform(-0.5, 4.5, count), hypocentral_distance_km=8 * lead,
        p_time_s=np.full(count, P / 100), s_time_s=P / 100 + lead,
    )  # fmt: skip
    motion = seismograms(rng, paths, n_samples=800, sampling_rate_hz=100.0)[:, 0].T
    noise = draw_noise(rng, level=rng.uniform(0, 1, count), n_samples=800, sampling_rate_hz=100.0)
    signal, ground = (x.astype(np.float64) for x in (motion, noise[:, 0].T))
    strength = np.sqrt((highpass(signal, 1.5, 100.0, 4)[P : P + 100] ** 2).mean(axis=0))
    loudness = highpass(ground, 1.5, 100.0, 4)[200:].std(axis=0)
    raw = signal / strength * 10 ** rng.uniform(0, 2.2, count) + ground / loudness
    return raw, highpass(raw, 1.5, 100.0, 4), paths.polarity


def told(
    raw: Floats, filtered: Floats, late: NDArray[np.int64], uncertainty_s: Floats
) -> tuple[Floats, Floats]:
    """Return what is told of first motions picked so many samples late, and how surely.

    Returns
    -------
    sign, probability : array, shape (n,)
        Both 0 where it is undecidable.
    """
    values = {"positive": 1.0, "negative": -1.0, "undecidable": 0.0}
    found = []
    for column, (shift, sigma_s) in enumerate(zip(late, uncertainty_s, strict=True)):
        around = slice(P + shift - BEFORE, P + shift + AFTER)
        polarity, probability = first_motion(
            filtered[around, column], raw[around, column], float(sigma_s)
        )
        found.append((values[polarity], probability or 0.0))
    sign, chance = np.array(found).T
    return sign, chance


def measure(quick: bool) -> list[Figure]:
    """Measure first motions; `quick` takes fewer."""
    count = 400 if quick else 3000
    rng = np.random.default_rng(_SEED)
    raw, filtered, truth = recorded(_SEED, count)
    uncertainty_s = np.exp(rng.uniform(np.log(0.02), np.log(0.15), count))
    # Student's t with 4 degrees of freedom has a variance of 2.
    late = np.round(100 * uncertainty_s * rng.standard_t(4, count) / np.sqrt(2)).astype(np.int64)
    late = np.clip(late, -100, 100)
    sign, chance = told(raw, filtered, late, uncertainty_s)
    speaks = sign != 0
    is_right = (sign == truth)[speaks]
    chance = chance[speaks]
    conditions = (
        f"{count} simulated P from the noise level to 150 times above it, picked with errors of "
        "0.02-0.15 s (Student's t), other earthquakes than the probabilities were fitted to; "
        f"{versions('numpy')}"
    )
    bins, off = [], []
    for low, high in _BINS:
        inside = (chance >= low) & (chance < high)
        n = int(inside.sum())
        if n:
            said, right = float(chance[inside].mean()), float(is_right[inside].mean())
            bins.append(f"{right:.3f} of {n} said to be {said:.3f}")
            # Only what three standard deviations of the count leave no room for is an error.
            off.append(max(abs(said - right) - 3 * np.sqrt(said * (1 - said) / n), 0.0))
    return [
        Figure(
            figure="first motions told", value=100 * float(speaks.mean()), unit="%",
            conditions=conditions,
        ),
        Figure(
            figure="first motions told, right", value=100 * float(is_right.mean()), unit="%",
            goal="≥ 95", holds=bool(is_right.mean() >= 0.95), conditions=conditions,
        ),
        Figure(
            figure="first motions, probability off what is right", value=max(off), unit="",
            goal=f"≤ {_NEAR}", holds=max(off) <= _NEAR,
            conditions=f"beyond the count's own error: {'; '.join(bins)}; {conditions}",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main(measure)
