"""The figures about what surrounds the default picker: importers, spotting, training."""

import time

import numpy as np

from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.training.fit import TrainingRecipe, draft_card
from geomon.training.windows import Sampler, draw_events, draw_noise_pool
from tests.benchmarks import picking_data
from tests.benchmarks.picking_data import DATA, WEIGHTS
from tests.benchmarks.report import Figure, at_least, at_most, versions


def spotting() -> Figure:
    """How surely seismograms rank above prices, seasons and noise, in the worst pairing."""
    from tests.picking import test_spotting as draws

    others = [draws.stock_index, draws.monthly_temperature, draws.gaussian]
    ranked = {draw: draws.scores(draw) for draw in (draws.local, draws.long_period, *others)}
    value = min(
        draws.area(ranked[seismic], ranked[other])
        for seismic in (draws.local, draws.long_period)
        for other in others
    )
    words, holds = at_least(value, 0.99)
    return Figure(
        figure="spot the seismogram: least AUC", value=value, unit="", goal=words, holds=holds,
        conditions=f"{draws.DRAWS} draws each of local and long-period seismograms, of a stock "
        "index, monthly temperatures and Gaussian noise",
    )  # fmt: skip


def fidelity() -> list[Figure]:
    """How far imported pickers are from their originals' outputs."""
    from tests.picking import keras2_forward, test_importers

    peers = picking_data.peers()
    checkpoint = WEIGHTS / "phasenet" / "model_95.ckpt"
    x = test_importers.real_windows(DATA, 3000)
    published = test_importers.import_phasenet(checkpoint, fixed=True)
    outputs = {
        "PhaseNet, TensorFlow 1 graph": (
            np.asarray(published.model(x)),
            test_importers.original_phasenet(checkpoint, x),
        )
    }
    x = test_importers.real_windows(DATA, 6000)
    path = WEIGHTS / "eqtransformer" / "EqT_model.h5"
    outputs["EQTransformer, its layers in NumPy"] = (
        np.asarray(peers["EQTransformer"].model(x)),
        keras2_forward.eqtransformer(path, x),
    )
    x = np.concatenate([x[:, k : k + 400] for k in range(1000, 2000, 100)])
    x = x / np.maximum(np.abs(x).max(axis=(1, 2), keepdims=True), 1e-12)
    outputs["GPD, its layers in NumPy"] = (
        np.asarray(peers["GPD"].model(x))[:, 0],
        keras2_forward.gpd(WEIGHTS / "gpd" / "model_pol_best.hdf5", x),
    )
    figures = []
    for name, (got, expected) in outputs.items():
        apart = float(np.abs(got - expected).max())
        same = bool(np.array_equal(got.argmax(-1), expected.argmax(-1)))
        words, holds = at_most(apart, 1e-5)
        figures.append(
            Figure(
                figure=f"import fidelity, {name}", value=apart, unit="", goal=words,
                holds=holds and same,
                conditions=f"largest difference of outputs on real windows; arg-max "
                f"{'identical' if same else 'differs'}",
            )
        )  # fmt: skip
    return figures


def training(n_batches: int) -> Figure:
    """How many windows a second one core draws and learns from, together."""
    recipe = TrainingRecipe()
    card = draft_card(recipe)
    rng = np.random.default_rng(0)
    sampler = Sampler(card, draw_events(rng, 256), draw_noise_pool(rng, 64))
    keras = load_keras()
    model = unet()
    model.compile(optimizer=keras.optimizers.Adam(), loss="categorical_crossentropy")
    model.train_on_batch(*sampler.batch(0, recipe.batch_size))
    begin = time.process_time()
    for number in range(1, n_batches + 1):
        model.train_on_batch(*sampler.batch(number, recipe.batch_size))
    rate = n_batches * recipe.batch_size / (time.process_time() - begin)
    words, holds = at_least(rate, 200)
    return Figure(
        figure="training", value=rate, unit="windows a second and core", goal=words, holds=holds,
        conditions=f"drawing and learning, {n_batches} batches of {recipe.batch_size}; "
        + versions("tensorflow", "keras"),
    )  # fmt: skip
