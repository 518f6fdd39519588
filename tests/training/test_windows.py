"""Training windows: reproducible, well-formed, labelled where the onsets are."""

import numpy as np
import pytest

from geomon.picking.card import PickerCard
from geomon.processing.condition import highpass
from geomon.training.augment import (
    Window,
    clip,
    cut_gaps,
    disturb,
    drop_channels,
    flip_and_turn,
    quantise,
    sample_slowly,
    start_or_end,
)
from geomon.training.windows import CROP, LENGTH, Sampler, draw_events, finished


def test_a_batch_is_the_same_every_time(sampler: Sampler) -> None:
    one, two = sampler.batch(3, 4), sampler.batch(3, 4)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], sampler.batch(4, 4)[0])


def test_batches_are_well_formed(sampler: Sampler) -> None:
    x, y, weight = sampler.batch(0, 96)
    assert x.shape == (96, CROP, 3)
    assert np.isfinite(x).all()
    assert y.shape == (96, CROP, 3)
    assert np.allclose(y.sum(axis=-1), 1, atol=1e-5)
    assert y.min() >= 0
    assert set(np.unique(weight)) <= {0.0, 1.0}
    labelled = (y[..., 1:].max(axis=1) > 0.5).mean(axis=0)
    assert (labelled > 0.3).all()


def test_labels_stand_where_the_waves_arrive() -> None:
    events = draw_events(np.random.default_rng(2), 40)
    for trace, onsets in zip(events.samples, events.onsets, strict=True):
        seen = highpass(trace.astype(np.float64), 1.0, 100.0)
        p = round(onsets[0])
        before = np.abs(seen[100 : p - 30]).max()
        assert np.abs(seen[p : p + 200]).max() > 5 * before


@pytest.mark.parametrize(
    "change",
    [flip_and_turn, drop_channels, cut_gaps, start_or_end, disturb, clip, quantise, sample_slowly],
)
def test_augmentations_keep_windows_sound(change: object, card: PickerCard) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        window = Window.of(rng.normal(0, 1, (LENGTH, 3)))
        window.label(3000.4, 0, 1.0, 10.0)
        window.label(3600, 1, 0.7, 10.0)
        change(window, rng)  # type: ignore[operator]
        assert np.isfinite(window.samples).all()
        assert window.target.max() <= 1
        x, y, weight = finished(window, card, 1600, 77)
        assert np.isfinite(x).all()
        assert np.isfinite(y).all()
        assert x.dtype == y.dtype == weight.dtype == np.float32


def test_gains_change_nothing_that_the_network_sees(card: PickerCard) -> None:
    samples = np.random.default_rng(3).normal(0, 100, (LENGTH, 3))
    one, two = (
        finished(Window.of(samples * gains), card, 1600, 77)[0]
        for gains in (np.ones(3), np.array([1e-6, 30.0, 1e5]))
    )
    assert np.allclose(one, two, atol=1e-4)


def test_dead_channels_survive_a_coarse_digitiser() -> None:
    window = Window.of(np.zeros((LENGTH, 3)))
    window.samples[3000:] = 1e9
    window.samples[:, 1] = np.random.default_rng(0).normal(0, 100, LENGTH)
    quantise(window, np.random.default_rng(1))
    assert np.isfinite(window.samples).all()
    assert len(np.unique(window.samples[:, 1])) < 1000
    assert window.samples[-1, 0] == 1e9


def test_an_onset_that_was_cut_off_does_not_count() -> None:
    swing = np.sin(np.arange(LENGTH) / 8)[:, None].repeat(3, axis=1)
    swing[3000:] *= 1000
    swing[:2000] *= 0.01
    window = Window.of(swing)
    window.label(2000, 0, 1.0, 10.0)
    window.label(4000, 1, 1.0, 10.0)
    clip(window, np.random.default_rng(0))
    assert np.abs(window.samples).max() < 1000
    assert window.weight[1940:2060].all()
    assert not window.weight[3940:4060].any()


def test_two_recordings_at_once_keep_the_labels_that_show(sampler: Sampler) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, two = sampler._cut(rng, 1600), sampler._cut(rng, 1600)
        before = np.maximum(one.target, two.target)
        sampler._superpose(one, two, rng)
        assert np.isfinite(one.samples).all()
        there = one.valid.any(axis=1)
        assert np.array_equal(one.target[there], before[there])
        assert not one.target[~there].any()


def test_label_is_a_bell_around_its_onset() -> None:
    window = Window.of(np.zeros((200, 3)))
    window.label(100.5, 1, 0.8, 10.0)
    window.label(-3, 0, 1.0, 10.0)
    assert window.target[100, 1] == window.target[101, 1] == pytest.approx(0.799, abs=1e-3)
    assert window.target[:, 0].argmax() == 0
    assert not window.target[50:, 0].any()
