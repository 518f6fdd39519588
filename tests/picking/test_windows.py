"""Pickers that look at windows of fixed length: how they are run over longer records."""

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import PickerMismatch
from geomon.picking.card import Gate, Normalisation, Picker, PickerCard
from geomon.picking.importers import import_eqtransformer, import_gpd, import_seisbench
from geomon.picking.infer import pick, piece_ns, span_to_read
from geomon.picking.windows import Windows, curves
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import span_of
from tests.picking.conftest import recording
from tests.picking.seisbench_files import random_state, write_json, write_pt
from tests.picking.test_infer import cut

NOISE = np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float32)


def rule(**changes: object) -> Windows:
    plain = {"window_samples": 400, "stride": 150, "scaling": "std", "blend": "triangle"}
    return Windows.model_validate({**plain, **changes})


def test_windows_are_scaled_by_themselves() -> None:
    seen: list[np.ndarray] = []

    def network(x: np.ndarray) -> np.ndarray:
        seen.extend(x)
        return x

    for scaling in ("std", "peak", "joint peak"):
        seen.clear()
        curves(network, 1000 * NOISE + 70, rule(scaling=scaling))
        window = 1000 * NOISE[150:550] + 70
        if scaling != "joint peak":
            window = window - window.mean(axis=0)
        size = {
            "std": window.std(axis=0), "peak": np.abs(window).max(axis=0),
            "joint peak": np.abs(window).max(),
        }[scaling]  # fmt: skip
        assert np.abs(seen[1] - window / size).max() < 1e-5


def test_silence_stays_silent() -> None:
    for scaling in ("std", "peak", "joint peak"):
        out = curves(lambda x: x, np.zeros((1000, 3), np.float32), rule(scaling=scaling))
        assert not out.any()


def test_overlapping_outputs_become_one_curve() -> None:
    constant = curves(lambda x: np.full_like(x, 0.25), NOISE, rule())
    assert np.abs(constant - 0.25).max() < 1e-6

    def middle_heavy(x: np.ndarray) -> np.ndarray:
        """Right in the middle of a window, and wrong at its ends."""
        place = np.abs(np.arange(x.shape[1]) - x.shape[1] / 2) / (x.shape[1] / 2)
        return np.broadcast_to(place[:, None], x.shape).astype(np.float32)

    blended = curves(middle_heavy, NOISE, rule(stride=200))
    assert blended[400:-400].max() < 0.51
    assert blended[0].max() > 0.9


def test_one_output_a_window_lies_at_its_middle() -> None:
    ramp = np.repeat(np.arange(1000, dtype=np.float32)[:, None], 3, axis=1)

    def first_sample(x: np.ndarray) -> np.ndarray:
        """What a window of a ramp is divided by says where it lies."""
        return 1 / np.diff(x, axis=1)[:, :1]

    lines = curves(first_sample, ramp, rule(scaling="joint peak", blend="lines", stride=10))
    # The largest value of a window is its last sample, 199 after its middle.
    assert np.abs(lines[200:-200, 0] - np.arange(200, 800) - 199).max() < 0.2


def test_batches_are_of_one_bounded_size() -> None:
    shapes = set()

    def network(x: np.ndarray) -> np.ndarray:
        shapes.add(x.shape)
        return x[:, :1].copy()

    day = np.ones((1_000_000, 3), np.float32)
    tracemalloc.start()
    curves(network, day, rule(stride=20, blend="lines"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    [(n, length, _)] = shapes
    assert length == 400
    assert n * length <= 2**17
    # Windows laid out whole would take 240 MB.
    assert peak < 80e6


def test_of_windows_without_data_one_is_looked_at() -> None:
    sparse = np.zeros((200_000, 3), np.float32)
    sparse[3000:5000], sparse[90_000:91_000] = NOISE[:2000], NOISE[:1000]
    seen = 0

    def network(x: np.ndarray) -> np.ndarray:
        nonlocal seen
        seen += len(x)
        return np.abs(x).mean(axis=(1, 2), keepdims=True) + 0.25  # of nothing too

    lines = curves(network, sparse, rule(stride=20, blend="lines"))
    rows = [x[None] for x in np.lib.stride_tricks.sliding_window_view(sparse, 400, axis=0)[::20]]
    scaled = [(x - x.mean(axis=-1, keepdims=True)).swapaxes(1, 2) for x in rows]
    spreads = [x.std(axis=1, keepdims=True) for x in scaled]
    middles = [
        float(network(x / np.where(s > 0, s, 1))[0, 0, 0])
        for x, s in zip(scaled, spreads, strict=True)
    ]
    whole, seen = lines[200 : 200 + 20 * len(middles) : 20, 0], 0
    assert np.abs(whole - middles).max() < 1e-5
    curves(network, sparse, rule(stride=20, blend="lines"))
    assert seen < 0.1 * len(middles)


def identity_picker(**changes: object) -> Picker:
    """A picker whose curves are its waveforms."""
    import keras

    waveform = keras.Input((None, 3))
    model = keras.Model(waveform, keras.layers.Activation("linear")(waveform))
    plain = {
        "name": "identity", "version": "1", "components": "ZNE", "classes": ("D", "P", "S"),
        "normalisation": Normalisation(), "thresholds": {"P": 0.3, "S": 0.3},
        "weights_sha256": "0" * 64,
    }  # fmt: skip
    return Picker(model, PickerCard.model_validate({**plain, **changes}))


def test_picks_count_only_near_a_detection() -> None:
    x = np.full((1, 1000, 3), 0.8, np.float32)
    x[0, :, 0] = 0.1
    x[0, 500:600, 0] = 0.9
    gated = identity_picker(gate=Gate(threshold=0.3, reach_s=1.0)).predict(x)
    assert np.flatnonzero(gated[0, :, 1]).tolist() == list(range(400, 700))
    assert np.array_equal(gated[0, :, 1], gated[0, :, 2])
    assert np.array_equal(gated[..., 0], x[..., 0])
    assert np.array_equal(identity_picker().predict(x), x)


def test_less_than_a_window_is_refused() -> None:
    picker = identity_picker(windows=rule())
    with pytest.raises(PickerMismatch, match="input length 399 is less than a window of 400"):
        picker.predict(np.zeros((1, 399, 3), np.float32))


@pytest.fixture(params=["eqtransformer", "gpd", "seisbench"])
def windowed(request: pytest.FixtureRequest, tmp_path: Path) -> Picker:
    """A picker of each kind that runs in windows, easily excited."""
    if request.param == "seisbench":
        write_pt(tmp_path / "random.pt", random_state())
        write_json(tmp_path / "random.json", norm="peak")
        return import_seisbench(tmp_path / "random.pt")
    weights: Path = request.getfixturevalue("shared_weights")
    if request.param == "gpd":
        return import_gpd(weights / "gpd" / "model_pol.json", stride=40)
    return import_eqtransformer(weights / "eqtransformer" / "EqT_model.h5")


def test_any_cut_gives_the_same_picks(windowed: Picker) -> None:
    segments = recording(400)
    span = span_of(segments)
    assert span is not None
    limits = {"P": 0.05, "S": 0.05}
    whole = pick(windowed, segments, span, thresholds=limits)
    assert len(whole) > 5
    odd = [span.start_ns + NS_PER_S * second + 3_141_593 for second in (97, 213)]
    edges = [span.start_ns, *odd, span.end_ns]
    parts = [TimeSpan(a, b) for a, b in itertools.pairwise(edges)]
    for cuts in (parts[::-1], list(span.steps(piece_ns(windowed)))):
        found = []
        for part in cuts:
            read = cut(segments, span_to_read(windowed, part))
            found += pick(windowed, read, part, thresholds=limits)
        assert sorted(found, key=lambda one: (one.time, one.phase)) == whole


def test_any_batch_gives_the_same_curves(windowed: Picker) -> None:
    x = np.pad(np.stack([NOISE, NOISE[::-1], 3 * NOISE]), ((0, 0), (0, 1500), (0, 0)))
    together = windowed.predict(x)
    for one, curve in zip(x, together, strict=True):
        assert np.array_equal(windowed.predict(one[None])[0], curve)
