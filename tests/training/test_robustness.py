"""Perturbed windows, artefacts and test sets are what they say."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from geomon.errors import DataError
from geomon.events import Pick
from geomon.times import NS_PER_S, from_ns
from geomon.training.evaluate.artefacts import ARTEFACTS, START_NS, disturbed_noise
from geomon.training.evaluate.labelled import snr_db, window_span
from geomon.training.evaluate.perturbations import (
    PERTURBATIONS,
    gap_after_p,
    half_sample_later,
    noisier,
    resampled,
    rotated,
    shifted,
    spike_before_p,
    vertical_only,
)
from geomon.training.evaluate.robustness import changes
from geomon.training.evaluate.testsets import read_set, spread, synthetic_set
from geomon.training.recordings import LabelledWindow


@pytest.fixture(scope="module")
def window() -> LabelledWindow:
    return synthetic_set(2).windows[0]


def test_synthetic_windows_are_the_same_every_time() -> None:
    one, two = synthetic_set(3), synthetic_set(3)
    assert [w.s_index for w in one.windows] == pytest.approx(
        [w.s_index for w in two.windows], nan_ok=True
    )
    assert all(
        np.array_equal(a.samples, b.samples)
        for v, w in zip(one.windows, two.windows, strict=True)
        for a, b in zip(v.segments, w.segments, strict=True)
    )
    assert spread(5, 10) == [0, 1, 2, 3, 4]


def test_every_perturbation_keeps_the_labels_in_place(window: LabelledWindow) -> None:
    for name, change in PERTURBATIONS.items():
        changed = change(window)
        assert abs(changed.p_index - window.p_index) <= 0.5, name
        assert window_span(changed).duration_s == pytest.approx(90, abs=0.06), name
    unlabelled = replace(window, p_index=float("nan"))
    for change in PERTURBATIONS.values():
        change(unlabelled)


def test_perturbations_do_what_they_say(window: LabelledWindow) -> None:
    z, n, e = (s.samples for s in window.segments)
    turned = {s.seed_id.component: s.samples for s in rotated(90)(window).segments}
    assert turned["N"] == pytest.approx(-e)
    assert turned["E"] == pytest.approx(n)
    assert [s.seed_id.component for s in vertical_only(window).segments] == ["Z"]
    spiked = spike_before_p()(window).segments[0].samples
    assert np.argmax(np.abs(spiked)) == 2700
    assert np.abs(spiked).max() > 99 * np.abs(z).max()
    assert np.count_nonzero(spiked != z) == 1
    assert snr_db(noisier(30)(window)) < snr_db(window)
    with_gap = gap_after_p()(window)
    assert len(with_gap.segments) == 6
    assert with_gap.segments[1].start_ns - with_gap.segments[0].end_ns == 2 * NS_PER_S
    assert shifted(7)(window).span.start_ns - window.span.start_ns == 70_000_000


def test_resampled_copies_show_the_same_wave(window: LabelledWindow) -> None:
    smooth = np.sin(2 * np.pi * np.arange(9000) / 100)
    one = replace(window, segments=tuple(replace(s, samples=smooth) for s in window.segments))
    fast = resampled(200)(one).segments[0]
    assert fast.sampling_rate_hz == 200
    assert fast.samples[2000:2200:2] == pytest.approx(smooth[1000:1100], abs=0.01)
    later = half_sample_later(one)
    expected = np.sin(2 * np.pi * (np.arange(9000) + 0.5) / 100)
    assert later.segments[0].samples[100:-100] == pytest.approx(expected[100:-100], abs=0.01)
    assert later.p_index == one.p_index - 0.5


def test_changes_follow_true_picks(window: LabelledWindow) -> None:
    seed_id = window.segments[0].seed_id

    def at(seconds: float, probability: float, base: LabelledWindow = window) -> Pick:
        time = from_ns(base.span.start_ns + round(seconds * NS_PER_S))
        return Pick(time, seed_id, "P", probability, 0.05)

    moved = shifted(100)(window)
    before = [at(30.0, 0.9), at(60.0, 0.9)]
    after = [at(30.1, 0.7, moved)]
    change = changes([window], [before], [moved], [after], {"P": 0.3})
    assert (change.n_picks, change.n_lost) == (1, 0)
    assert change.median_swing == pytest.approx(0.2)
    assert change.moved_s == pytest.approx(0.1)
    lost = changes([window], [before], [window], [[at(30.1, 0.2)]], {"P": 0.3})
    assert (lost.n_lost, lost.n_gone) == (1, 0)
    gone = changes([window], [before], [window], [[at(60.0, 0.9)]], {"P": 0.3})
    assert (gone.n_lost, gone.n_gone) == (1, 1)


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_artefacts_are_reproducible_and_strong(kind: str) -> None:
    one, two = disturbed_noise(kind, 120, seed=3), disturbed_noise(kind, 120, seed=3)
    quiet = disturbed_noise("noise alone", 120, seed=3)
    assert [s.start_ns for s in one] == [START_NS] * 3
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(one, two, strict=True))
    assert all(s.samples.dtype == np.int32 for s in one)
    differs = [not np.array_equal(a.samples, b.samples) for a, b in zip(one, quiet, strict=True)]
    assert any(differs) == (kind != "noise alone")


def write_seisbench(folder: Path, *, bucket: bool) -> None:
    """Two traces of a SeisBench data set: one with P and S at 50 Hz, one with noise."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, 3, 4000))
    with h5py.File(folder / "waveforms.hdf5", "w") as file:
        file["data_format/dimension_order"] = "CW"
        file["data_format/component_order"] = "ZNE"
        if bucket:
            file["data/bucket0"] = data
        else:
            file["data/a"], file["data/b"] = data
    names = ["bucket0$0,:3,:4000", "bucket0$1,:3,:4000"] if bucket else ["a", "b"]
    head = (
        "trace_name,station_network_code,station_code,source_id,trace_sampling_rate_hz,"
        "trace_Pg_arrival_sample,trace_Sg_arrival_sample"
    )
    rows = [f'"{names[0]}",CX,PB01,event1,50,1500,1750', f'"{names[1]}",CX,PB02,,50,,']
    (folder / "metadata.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


@pytest.mark.parametrize("bucket", [True, False])
def test_a_seisbench_data_set_is_read(tmp_path: Path, bucket: bool) -> None:
    write_seisbench(tmp_path, bucket=bucket)
    material = read_set(tmp_path)
    [window] = material.windows
    assert material.events == ("event1",)
    assert str(window.station_id) == "CX.PB01"
    assert (window.p_index, window.s_index) == (3000, 3500)
    assert [s.seed_id.component for s in window.segments] == ["Z", "N", "E"]
    assert window.segments[0].sampling_rate_hz == 50
    assert window.segments[0].samples.size == 4000


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelled windows"):
        read_set(tmp_path)
    with pytest.raises(DataError, match="no miniSEED"):
        synthetic_set(1).with_continuous(tmp_path)
    write_seisbench(tmp_path, bucket=True)
    table = tmp_path / "metadata.csv"
    table.write_text(table.read_text().replace("bucket0$0", "bucket7$0"), encoding="utf-8")
    with pytest.raises(DataError, match="not a SeisBench data set"):
        read_set(tmp_path)
