"""Why the default picker's network is as it is: small trainings that differ in one choice.

``python -m tests.benchmarks.ablation [--jobs N] [--steps N] [--only NAME …] [--results FILE]``
trains each variant from the same pools with the same batches, some at once, each on one thread,
and prints a Markdown table; the same numbers every time. All learn from synthetic seismograms, and
from labelled windows where there are any; thresholds are set on one half of the synthetic test
windows, scores are of the other half and of real windows from stations that no variant saw. The
recipe is there twice, with another seed too: what differs between the two is chance. Finished
variants are kept in the results file, so that a run can be resumed; one that fails is named, and
the others go on.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from geomon.events import Phase
from geomon.picking.architecture import unet
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker
from geomon.training import windows as drawing
from geomon.training.antialias import smoothed
from geomon.training.evaluate.budget import LOWEST
from geomon.training.evaluate.labelled import best_threshold, kept, pick_windows, score_windows
from geomon.training.evaluate.testsets import synthetic_set
from geomon.training.fit import TrainingRecipe, draft_card, gather
from geomon.training.recordings import LabelledWindow
from geomon.training.windows import Recording, Sampler, draw_events, draw_noise_pool
from tests.benchmarks import picking_data

PHASES: tuple[Phase, ...] = ("P", "S")
RECIPE = TrainingRecipe(n_events=2500, n_noise=600, continuous=())


@dataclass(frozen=True, slots=True)
class Variant:
    """One choice that differs from the recipe; `drawing` replaces parts of how windows are made."""

    name: str
    recipe: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    drawing: dict[str, Any] = field(default_factory=dict)


def _nothing(*_: object) -> None:
    """Leave a window as it is."""


VARIANTS = (
    Variant("as in the recipe"),
    Variant("another seed", recipe={"seed": RECIPE.seed + 1}),
    Variant("kernel 3", recipe={"kernel": 3}),
    Variant("kernel 7", recipe={"kernel": 7}),
    Variant("root 4", network={"root": 4}),
    Variant("root 16", network={"root": 16}),
    Variant("depth 4", network={"depth": 4}),
    Variant("stride 2", network={"stride": 2}),
    Variant("aliasing allowed", network={"down_kernel": None, "down_constraint": None}),
    Variant("no compression", recipe={"compression": None}),
    Variant("compression 4", recipe={"compression": 4.0}),
    Variant("normalised over 10 s", recipe={"window_s": 10.0}),
    Variant("normalised over 30 s", recipe={"window_s": 30.0}),
    Variant("high-pass 0.5 Hz", recipe={"highpass_hz": 0.5}),
    Variant("labels of 0.06 s", drawing={"_SIGMA": 6.0}),
    Variant("labels of 0.2 s", drawing={"_SIGMA": 20.0}),
    Variant("no disturbances", drawing={"spoil": _nothing}),
    Variant("not turned or reversed", drawing={"flip_and_turn": _nothing}),
    Variant("synthetic earthquakes only", recipe={"real_share": 0.0}),
)


@dataclass(frozen=True, slots=True)
class Material:
    """What all variants learn from and are scored on."""

    events: drawing.EventPool
    noise: NDArray[np.float16]
    recordings: tuple[Recording, ...]
    tuning: tuple[LabelledWindow, ...]
    tests: dict[str, tuple[LabelledWindow, ...]]


@cache
def material(n_test: int) -> Material:
    """Draw the pools, read the recordings, and put test windows aside."""
    rng = np.random.default_rng(RECIPE.seed)
    events, noise = draw_events(rng, RECIPE.n_events), draw_noise_pool(rng, RECIPE.n_noise)
    synthetic = synthetic_set(2 * n_test).windows
    tests = {"synthetic": synthetic[n_test:]}
    recordings: tuple[Recording, ...] = ()
    if not picking_data.missing():
        real = gather(RECIPE, picking_data.DATA, None)
        recordings = real.recordings
        noise = np.concatenate([noise, *(one[None] for one in real.noise)])
        tests["real"] = picking_data.three_components()
    return Material(events, noise, recordings, synthetic[:n_test], tests)


def network(recipe: TrainingRecipe, changes: dict[str, Any], *, training: bool) -> Any:
    """Build a variant's network, as `geomon.training.fit` does."""
    stride = changes.get("stride", 4)
    arguments = {
        "kernel": recipe.kernel,
        "stride": stride,
        "down_kernel": recipe.kernel + 2 * stride - 2,
        "down_constraint": smoothed(stride),
        **changes,
    }
    return unet(**arguments | ({} if training else {"down_constraint": None}))


def trained(variant: Variant, given: Material, steps: int) -> Picker:
    """Train a variant: Adam, level rate, falling in the last third, averaged weights."""
    recipe = replace(RECIPE, steps=steps, **variant.recipe)
    card = draft_card(recipe)
    sampler = Sampler(
        card, given.events, given.noise, given.recordings,
        real_share=recipe.real_share, seed=recipe.seed,
    )  # fmt: skip
    keras = load_keras()
    keras.utils.set_random_seed(recipe.seed)
    model = network(recipe, variant.network, training=True)
    optimiser = keras.optimizers.Adam(clipnorm=1.0, use_ema=True, ema_momentum=0.99)
    model.compile(optimizer=optimiser, loss="categorical_crossentropy")
    with ExitStack() as stack:
        for name, other in variant.drawing.items():
            stack.enter_context(patch.object(drawing, name, other))
        for step in range(steps):
            left = 3 * (1 - step / steps)
            model.optimizer.learning_rate = recipe.learning_rate * min(1.0, left, 0.01 + step / 100)
            model.train_on_batch(*sampler.batch(step, recipe.batch_size))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    plain = network(recipe, variant.network, training=False)
    plain.set_weights(model.get_weights())
    return Picker(plain, card)


def megaflops(model: Any) -> float:
    """Millions of multiplications and additions for a second of data."""
    rate, total = 100.0, 0.0
    for layer in model.layers:
        kind = type(layer).__name__
        if not kind.startswith("Conv1D"):
            continue
        stride = layer.strides[0]
        # A transposed convolution multiplies each sample that comes in.
        rate = rate / stride if kind == "Conv1D" else rate
        total += 2 * rate * float(np.prod(layer.kernel.shape))
        rate = rate if kind == "Conv1D" else rate * stride
    return total / 1e6


def measured(variant: Variant, steps: int, n_test: int) -> dict[str, float]:
    """Train a variant and return its row of the table."""
    given = material(n_test)
    picker = trained(variant, given, steps)
    low = dict.fromkeys(PHASES, LOWEST)
    tuning = pick_windows(picker, given.tuning, low)
    limits = {phase: best_threshold(given.tuning, tuning, phase) for phase in PHASES}
    row = {
        "parameters": float(picker.model.count_params()),
        "MFLOP a second": megaflops(picker.model),
    }
    for name, windows in given.tests.items():
        above = kept(pick_windows(picker, windows, low), limits)
        for phase in PHASES:
            for tolerance in (0.1, 0.5):
                score = score_windows(windows, above, phase, tolerance)
                row[f"{name} {phase} {tolerance}"] = round(score.f1, 4)
    load_keras().utils.clear_session()
    return row


def as_table(rows: dict[str, dict[str, float]]) -> str:
    """Return the rows as Markdown, best values of a column in bold."""
    columns = list(next(iter(rows.values())))
    lines = [f"| variant | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    best: dict[str, Callable[[Sequence[float]], float]] = {
        column: max if " P " in column or " S " in column else min for column in columns
    }
    tops = {c: best[c]([row[c] for row in rows.values()]) for c in columns}
    for name, row in rows.items():
        cells = []
        for column in columns:
            text = f"{row[column]:,.0f}" if column == "parameters" else f"{row[column]:.3g}"
            cells.append(f"**{text}**" if row[column] == tops[column] else text)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(
    variants: Sequence[Variant],
    results: Path | None,
    *,
    steps: int,
    n_test: int,
    jobs: int,
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Train variants, several at once, but for those whose rows the results file holds.

    Returns
    -------
    rows : dict of str to dict of str to float
        By name, in the order of the variants.
    failed : list of str
        Names of those that could not be trained, each with the reason.
    """
    rows: dict[str, dict[str, float]] = {}
    failed: list[str] = []
    key = json.dumps([asdict(RECIPE), steps, n_test], default=str)
    if results is not None and results.is_file():
        saved = json.loads(results.read_text(encoding="utf-8"))
        rows = saved["rows"] if saved["key"] == key else {}
    begun = time.monotonic()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {
            pool.submit(measured, variant, steps, n_test): variant.name
            for variant in variants
            if variant.name not in rows
        }
        for done in as_completed(waiting):
            name = waiting[done]
            try:
                rows[name] = done.result()
            except Exception as error:  # noqa: BLE001 - whatever it was, the others go on
                failed.append(f"{name}: {type(error).__name__}: {error}")
                continue
            print(f"{name}: ready after {time.monotonic() - begun:.0f} s", file=sys.stderr)
            if results is not None:
                fresh = results.with_suffix(".fresh")
                fresh.write_text(json.dumps({"key": key, "rows": rows}, indent=1), encoding="utf-8")
                fresh.replace(results)
    return {one.name: rows[one.name] for one in variants if one.name in rows}, failed


def main() -> None:
    """Train the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="batches each variant learns from")
    parser.add_argument("--only", nargs="*", help="names of variants; all without")
    parser.add_argument("--windows", type=int, default=100, help="synthetic test windows")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="variants at once")
    parser.add_argument("--results", type=Path, help="where finished variants are kept")
    arguments = parser.parse_args()
    names = [variant.name for variant in VARIANTS]
    unknown = set(arguments.only or []) - set(names)
    if unknown:
        parser.error(f"no variant {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    # One thread each, inherited by the processes: as many as there are cores would be in the way.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GEOMON_THREADS"), "1")
    rows, failed = measure(
        [one for one in VARIANTS if arguments.only is None or one.name in arguments.only],
        arguments.results,
        steps=arguments.steps, n_test=arguments.windows, jobs=arguments.jobs,
    )  # fmt: skip
    if rows:
        print(as_table(rows))
        print(f"\nF1 at 0.1 and 0.5 s after {arguments.steps} batches of {RECIPE.batch_size}.")
    sys.exit("\n".join(f"not trained: {one}" for one in failed) or None)


if __name__ == "__main__":
    main()
