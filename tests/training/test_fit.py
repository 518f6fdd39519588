"""The training command: learns, resumes, and leaves a picker that loads."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import DataError, PickerMismatch
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.picking.card import load_picker
from geomon.training import fit as fitting
from geomon.training.evaluate import best_threshold, pick_windows, score_windows
from geomon.training.fit import TrainingRecipe, train
from geomon.training.recordings import is_training_station, read_streams, read_windows
from geomon.waveforms import Segment

TINY = TrainingRecipe(name="tiny", steps=4, batch_size=4, n_events=8, n_noise=4)


def test_training_resumes_and_leaves_a_picker_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "_STEPS_AN_EPOCH", 2)
    drawn: list[int] = []
    original = fitting.Sampler.batch

    def dies_in_second_epoch(self: fitting.Sampler, number: int, size: int) -> object:
        drawn.append(number)
        if number == 3 and drawn.count(3) == 1:
            msg = "power cut"
            raise OSError(msg)
        return original(self, number, size)

    monkeypatch.setattr(fitting.Sampler, "batch", dies_in_second_epoch)
    with pytest.raises(OSError, match="power cut"):
        train(TINY, tmp_path / "tiny")
    made = train(TINY, tmp_path / "tiny", tensorboard=tmp_path / "log")
    assert len(list((tmp_path / "log").iterdir())) == 1
    assert sorted(set(drawn)) == [0, 1, 2, 3, 4]
    assert drawn.count(0) == drawn.count(1) == 1
    loaded = load_picker(tmp_path / "tiny")
    x = np.random.default_rng(0).normal(size=(1, 1024, 3)).astype(np.float32)
    assert np.array_equal(loaded.predict(x), made.predict(x))
    assert loaded.card.training.recipe["steps"] == 4
    assert loaded.card.training.data[-1].use == "synthetic"


_ENDLESS = """
import sys
from pathlib import Path
from geomon.training import fit
from tests.training.test_fit import TINY, replace
fit._STEPS_AN_EPOCH = 2
fit.train(replace(TINY, steps=100_000), Path(sys.argv[1]))
"""


def test_a_killed_run_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(out)])
    try:
        while not (out / "checkpoint.keras").is_file() and process.poll() is None:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    (out / "checkpoint.fresh.keras").write_bytes(b"half a check")
    monkeypatch.setattr(fitting, "_STEPS_AN_EPOCH", 2)
    drawn: list[int] = []
    original = fitting.Sampler.batch

    def noted(self: fitting.Sampler, number: int, size: int) -> object:
        drawn.append(number)
        return original(self, number, size)

    monkeypatch.setattr(fitting.Sampler, "batch", noted)
    train(replace(TINY, steps=40), out)
    assert drawn[0] >= 2
    assert drawn[-1] == 40


def test_any_picker_teaches_on_unlabelled_records(tmp_path: Path) -> None:
    folder = tmp_path / "real" / "station"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    segments = [
        Segment(
            SeedId.parse(f"XX.TEA..HH{letter}"), 0, 100.0, rng.integers(-99, 99, 30_000, np.int32)
        )
        for letter in "ZNE"
    ]
    (folder / "hour.mseed").write_bytes(encode(segments))
    recipe = replace(TINY, labelled=(), continuous=("station",))
    made = train(recipe, tmp_path / "out", real=tmp_path / "real", teacher="default")
    assert made.card.training.teacher.startswith("default ")
    assert made.card.training.data[0].amount == "XX.TEA..HH 0.1 h"
    with pytest.raises(PickerMismatch, match=r"nowhere\.ckpt"):
        train(recipe, tmp_path / "other", real=tmp_path / "real", teacher="nowhere.ckpt")


def test_folders_without_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="phasenet_ncedc"):
        train(TINY, tmp_path / "out", real=tmp_path)
    bad = tmp_path / "labels"
    bad.mkdir()
    (bad / "NC_AAA_x.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"NC_AAA_x\.npz: not a labelled window"):
        train(replace(TINY, labelled=("labels",), continuous=()), tmp_path / "out", real=tmp_path)


def test_stations_train_or_test_never_both(shared_data: Path) -> None:
    windows = read_windows(shared_data / "phasenet_ncedc" / "dataset" / "waveform_train")
    stations = {window.station_id for window in windows}
    kept_out = [{s for s in stations if not is_training_station(s, fold)} for fold in range(3)]
    assert len(windows) == 154
    assert sum(map(len, kept_out)) == len(set.union(*kept_out)) == len(stations)
    assert min(map(len, kept_out)) > 25


def test_scoring_labelled_windows(shared_data: Path, shared_weights: Path) -> None:
    from geomon.picking.importers import import_phasenet

    picker = import_phasenet(shared_weights / "phasenet" / "model_95.ckpt")
    windows = [
        window
        for window in read_windows(shared_data / "phasenet_ncedc" / "dataset" / "waveform_train")
        if len(window.segments) == 3
    ][:30]
    picks = pick_windows(picker, windows, {"P": 0.05, "S": 0.05})
    threshold = best_threshold(windows, picks, "P")
    kept = [[one for one in found if one.probability > threshold] for found in picks]
    assert score_windows(windows, kept, "P", 0.5).f1 > 0.95
    assert abs(score_windows(windows, kept, "P", 0.5).bias_s) < 0.05


def test_continuous_recordings_are_read_by_stretch(shared_data: Path) -> None:
    stretches = read_streams(shared_data / "deepphasepick_cx" / "sample_data" / "CX_20140301")
    assert [str(stream) for stream, _ in stretches] == ["CX.PB01..HH", "CX.PB02..HH"]
    assert all(len(segments) == 3 for _, segments in stretches)
