"""A pick's strength is what NumPy says in a few words, with any samples missing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.picking.onsets import _NOISE, _SIGNAL, _strength
from geomon.picking.prepare import Gridded, Prepared

SEED_ID = SeedId.parse("XX.STA..HHZ")
INDEX = 700


def prepared(rng: np.random.Generator, valid: NDArray[np.bool_]) -> tuple[Prepared, Gridded]:
    n = valid.size
    samples = rng.normal(size=n) * 10 ** rng.uniform(0, 6) + rng.normal() * 1e6
    filtered = rng.normal(size=(n, 3)) * np.where(np.arange(n) > INDEX, 7, 1)[:, None]
    channel = Gridded(SEED_ID, samples, valid, ())
    columns = np.stack([valid] * 3, axis=1)
    whole = Prepared(np.zeros((n, 3), np.float32), filtered, columns, ~valid, (channel, None, None))
    return whole, channel


def in_numpy(whole: Prepared, channel: Gridded) -> tuple[float | None, float | None]:
    after, before = slice(INDEX, INDEX + _SIGNAL), slice(INDEX - _NOISE, INDEX)
    is_signal, is_noise = whole.valid[after, 0], whole.valid[before, 0]
    if not is_signal.any():
        return None, None
    counts, quiet = channel.samples[after][is_signal], channel.samples[before][is_noise]
    amplitude = float(f"{np.abs(counts - (quiet if quiet.size else counts).mean()).max():.6g}")
    noise = whole.filtered[before, 0][is_noise]
    if not noise.size or noise.std() == 0:
        return None, amplitude
    signal = whole.filtered[after, 0][is_signal] - noise.mean()
    return float(f"{np.sqrt(np.mean(signal**2)) / noise.std():.4g}"), amplitude


@pytest.mark.parametrize("share", [1.0, 0.6, 0.01])
def test_strength_is_that_of_the_samples_there_are(share: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        whole, channel = prepared(rng, rng.random(1000) < share)
        assert _strength(whole, channel, 0, INDEX) == in_numpy(whole, channel)


def test_strength_without_noise_or_without_signal() -> None:
    rng = np.random.default_rng(2)
    place = np.arange(1000)
    whole, channel = prepared(rng, place >= INDEX)
    assert _strength(whole, channel, 0, INDEX) == in_numpy(whole, channel)
    assert _strength(whole, channel, 0, INDEX)[0] is None
    whole, channel = prepared(rng, place < INDEX)
    assert _strength(whole, channel, 0, INDEX) == (None, None)
    whole, channel = prepared(rng, np.ones(1000, np.bool_))
    whole.filtered[:INDEX] = 3.0
    assert _strength(whole, channel, 0, INDEX)[0] is None
