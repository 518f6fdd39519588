"""Noise with what goes wrong on sensors and lines, and the picks made on it, all of them false.

Each kind is recorded seismic noise as a good broadband station has it (Peterson 1993) with one
disturbance a minute, drawn with a fixed seed: the same samples every time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.picking.card import Picker
from geomon.picking.infer import pick_and_judge
from geomon.processing.condition import highpass
from geomon.synthesis.noise import ContinuousNoise
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.training.augment import gains
from geomon.waveforms import Segment

START_NS = parse_time("2024-03-01T12:00:00")
_RATE = 100
_COUNTS = 1e9  # a m/s: a broadband sensor on a 24-bit digitiser
_EVERY = 6007  # samples from one disturbance to the next

type _Disturb = Callable[[NDArray[np.float64], int, NDArray[np.float64], np.random.Generator], None]


def _zeros(x: NDArray[np.float64], at: int, _: object, rng: np.random.Generator) -> None:
    """Fill with zeros what did not arrive."""
    x[at : at + int(rng.integers(200, 2500))] = 0


def _flat(x: NDArray[np.float64], at: int, _: object, rng: np.random.Generator) -> None:
    """Hang at the last value."""
    x[at : at + int(rng.integers(200, 2500))] = x[at]


def _spike(
    x: NDArray[np.float64], at: int, size: NDArray[np.float64], rng: np.random.Generator
) -> None:
    x[at : at + int(rng.integers(1, 4))] += 10 * size


def _step(
    x: NDArray[np.float64], at: int, size: NDArray[np.float64], _: np.random.Generator
) -> None:
    x[at:] += 10 * size


def _calibration(
    x: NDArray[np.float64], at: int, size: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Swing as the sensor does after a kick to its mass."""
    t = np.arange(3000) / _RATE
    period = np.exp(rng.uniform(np.log(0.5), np.log(5)))
    swing = np.exp(-rng.uniform(0.15, 0.8) * 2 * np.pi * t / period)
    x[at : at + 3000] += (swing * np.sin(2 * np.pi * t / period))[:, None] * size


def _burst(
    x: NDArray[np.float64], at: int, size: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Switch a tone of 5 Hz on and off."""
    n = int(rng.integers(100, 1000))
    x[at : at + n] += np.sin(10 * np.pi * np.arange(n) / _RATE)[:, None] * size


def _soft_burst(
    x: NDArray[np.float64], at: int, size: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Let a tone of 5 Hz swell and fade."""
    n = int(rng.integers(100, 1000))
    x[at : at + n] += (np.hanning(n) * np.sin(10 * np.pi * np.arange(n) / _RATE))[:, None] * size


def _clipping(
    x: NDArray[np.float64], at: int, size: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Run into the digitiser's limit on a slow swell, as of a distant earthquake."""
    n = 3000
    period = rng.uniform(2, 15)
    swell = np.hanning(n) * np.sin(2 * np.pi * np.arange(n) / _RATE / period)
    limit = 20 * np.abs(size).max() * rng.uniform(0.2, 0.9)
    x[at : at + n] += 20 * swell[:, None] * size
    np.clip(x[at : at + n], -limit, limit, out=x[at : at + n])


ARTEFACTS: Mapping[str, _Disturb | None] = {
    "noise alone": None,
    "zeros": _zeros,
    "spike": _spike,
    "step": _step,
    "flat line": _flat,
    "calibration pulse": _calibration,
    "5-Hz burst, abrupt": _burst,
    "5-Hz burst, soft": _soft_burst,
    "clipping": _clipping,
}


def disturbed_noise(kind: str, seconds: int, seed: int = 0) -> list[Segment]:
    """Make three components of noise at 100 Hz with one disturbance a minute.

    A disturbance is 5 to 500 times as large as the noise above 1 Hz, on one component or on all.

    Parameters
    ----------
    kind : str
        One of `ARTEFACTS`.
    seconds : int
        Length.
    seed : int
        Of all randomness.

    Returns
    -------
    list of Segment
        From `START_NS` on, in counts.
    """
    n = seconds * _RATE
    first = START_NS // NS_PER_S * _RATE
    level = np.random.default_rng((seed, 1)).uniform(0.2, 0.6)
    noise = [ContinuousNoise(seed, stream, float(_RATE), level) for stream in range(3)]
    samples = np.stack([one.samples(first, n) for one in noise], axis=1).astype(np.float64)
    samples *= _COUNTS
    unit = float(highpass(samples[: 60 * _RATE], 1.0, float(_RATE))[500:].std())
    disturb = ARTEFACTS[kind]
    rng = np.random.default_rng((seed, 2))
    if disturb is not None:
        for at in range(3011, n - 4000, _EVERY):
            size = unit * 10 ** rng.uniform(np.log10(5), np.log10(500)) * gains(rng)
            disturb(samples, at, size, rng)
    counts = np.clip(np.round(samples), -(2**31) + 1, 2**31 - 1).astype(np.int32)
    return [
        Segment(SeedId.parse(f"XX.NOISE..HH{letter}"), START_NS, float(_RATE), counts[:, column])
        for column, letter in enumerate("ZNE")
    ]


@dataclass(frozen=True, slots=True)
class FalsePicks:
    """Picks on what is no earthquake: all, and those that the gate on input lets through."""

    made: int
    believed: int


def false_picks(picker: Picker, kind: str, seconds: int, seed: int = 0) -> FalsePicks:
    """Return how many picks, P and S together, a picker makes on disturbed noise.

    Parameters
    ----------
    picker : Picker
        Its card's thresholds are used.
    kind, seconds, seed
        As for `disturbed_noise`.
    """
    span = TimeSpan(START_NS, START_NS + seconds * NS_PER_S)
    judged = pick_and_judge(picker, disturbed_noise(kind, seconds, seed), span)
    return FalsePicks(len(judged), sum(reason is None for _, reason in judged))
