"""Mending samples: spikes go, onsets stay, gaps are filled without jumps."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt, sosfilt_zi

from geomon.processing.condition import (
    filled,
    flat_lines,
    highpass,
    lowpass,
    runs,
    without_spikes,
)


@given(st.lists(st.booleans(), max_size=80))
def test_runs_rebuild_the_mask(bits: list[bool]) -> None:
    mask = np.array(bits, dtype=np.bool_)
    again = np.zeros_like(mask)
    for start, end in runs(mask):
        assert end > start
        again[start:end] = True
    assert np.array_equal(again, mask)


def test_spikes_go_and_nothing_else_changes() -> None:
    rng = np.random.default_rng(0)
    clean = rng.normal(0, 50, 5000)
    at = np.array([400, 1200, 1800, 3000])
    dirty = clean.copy()
    dirty[at] += [20_000, -9000, 5000, 1e6]
    mended = without_spikes(dirty)
    assert np.abs(mended[at] - clean[at]).max() < 250
    assert np.array_equal(np.delete(mended, at), np.delete(clean, at))


@pytest.mark.parametrize("rise", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("size", [3.0, 100.0, 10_000.0])
def test_onsets_stay(rise: float, size: float) -> None:
    rng = np.random.default_rng(1)
    t = (np.arange(4000) - 2000) / 100
    grown = 1 - np.exp(-np.maximum(t, 0) / rise) if rise else (t >= 0) * 1.0
    trace = rng.normal(0, 1, 4000) + size * grown * np.cos(2 * np.pi * 15 * t) * (t >= 0)
    assert np.array_equal(without_spikes(trace), trace)


def test_short_traces_are_left_alone() -> None:
    trace = np.array([0.0, 0.0, 9e9, 0.0])
    assert np.array_equal(without_spikes(trace), trace)


def test_flat_lines() -> None:
    trace = np.array([1.0, 2, 3, 3, 3, 3, 4, 5, 5, 6])
    valid = np.ones(10, dtype=np.bool_)
    assert np.flatnonzero(flat_lines(trace, valid, 4)).tolist() == [2, 3, 4, 5]
    assert np.flatnonzero(flat_lines(trace, valid, 2)).tolist() == [2, 3, 4, 5, 7, 8]
    valid[4] = False
    assert not flat_lines(trace, valid, 3).any()


def test_gaps_become_straight_lines() -> None:
    trace = np.array([0.0, 1.0, 99, 99, 4.0, 99, 99, 99, 8.0, 99])
    valid = trace != 99
    mended, bridged = filled(trace, valid, 2)
    assert mended.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert np.flatnonzero(~bridged).tolist() == [5, 6, 7, 9]
    assert not filled(trace, np.zeros(10, dtype=np.bool_), 2)[0].any()


def test_lowpass_keeps_a_constant_and_stops_what_is_faster() -> None:
    time = np.arange(3000) / 100
    slow, fast = 500 + np.sin(2 * np.pi * time), np.sin(2 * np.pi * 45 * time)
    assert np.abs(lowpass(np.full(3000, 500.0), 20.0, 100.0, 4) - 500).max() < 1e-9
    # The filter delays what it lets through by some hundredths of a second.
    assert np.abs(lowpass(slow + fast, 20.0, 100.0, 4)[200:] - slow[198:-2]).max() < 0.05


def test_highpass_is_causal_and_starts_at_rest() -> None:
    trace = np.full((3000, 2), 1e6)
    assert np.abs(highpass(trace, 1.0, 100.0)).max() < 1e-3
    trace[1500:] += 10
    out = highpass(trace, 1.0, 100.0)
    assert np.abs(out[:1500]).max() < 1e-3
    assert out[1500, 0] > 9
    assert np.abs(out[1900:]).max() < 1e-3


@pytest.mark.parametrize("kind", ["highpass", "lowpass"])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
def test_filters_are_scipys(kind: Literal["highpass", "lowpass"], order: int) -> None:
    trace = np.random.default_rng(0).normal(40, 5, 3000)
    sections = butter(order, 4.0, kind, fs=100.0, output="sos")
    expected, _ = sosfilt(sections, trace, zi=sosfilt_zi(sections) * trace[0])
    ours = (highpass if kind == "highpass" else lowpass)(trace, 4.0, 100.0, order)
    assert np.abs(ours - expected).max() < 1e-9
