"""Pickers and recordings shared by the picking tests."""

from pathlib import Path

import numpy as np
import pytest

from geomon.ids import SeedId
from geomon.picking.architecture import unet
from geomon.picking.card import Normalisation, Picker, PickerCard
from geomon.picking.importers import import_phasenet
from geomon.times import parse_time
from geomon.waveforms import Segment

START_NS = parse_time("2024-03-01T12:00:00")


@pytest.fixture(scope="session")
def random_picker() -> Picker:
    """An untrained network with a loud output layer: peaks everywhere, from any data."""
    import keras

    keras.utils.set_random_seed(7)
    model = unet()
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            rng = np.random.default_rng(len(layer.name))
            layer.set_weights([
                rng.uniform(0.8, 1.6, w.shape) if "gamma" in w.path or "variance" in w.path
                else rng.normal(0, 0.2, w.shape)
                for w in layer.weights
            ])  # fmt: skip
    kernel, bias = model.get_layer("output_conv").get_weights()
    model.get_layer("output_conv").set_weights([kernel * 12, bias])
    card = PickerCard(
        name="random",
        version="1",
        components="ZNE",
        classes=("N", "P", "S"),
        normalisation=Normalisation(highpass_hz=1.0),
        halo_samples=1792,
        length_multiple=256,
        thresholds={"P": 0.4, "S": 0.4},
        weights_sha256="0" * 64,
    )
    return Picker(model, card)


@pytest.fixture(scope="session")
def phasenet(shared_weights: Path) -> Picker:
    return import_phasenet(shared_weights / "phasenet" / "model_95.ckpt")


def recording(
    seconds: float,
    *,
    rate: float = 100.0,
    components: str = "ZNE",
    start_ns: int = START_NS,
    seed: int = 1,
) -> list[Segment]:
    """Noise with a few bursts, as counts, one segment a component."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    bursts = [(a, rng.uniform(200, 4000)) for a in np.sort(rng.uniform(0, seconds, 8))]
    time = np.arange(n) / rate
    segments = []
    for letter in components:
        trace = rng.normal(0, 60, n) + 900 * np.sin(2 * np.pi * time / 6)
        for begin, size in bursts:
            t = time - begin
            trace += np.where(t > 0, size * np.exp(-np.maximum(t, 0) / 2), 0) * rng.normal(0, 1, n)
        segments.append(
            Segment(SeedId.parse(f"XX.STA..HH{letter}"), start_ns, rate, trace.astype(np.int32))
        )
    return segments
