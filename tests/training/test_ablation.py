"""Each variant of the ablation differs from the recipe in what its name says."""

from contextlib import ExitStack
from dataclasses import asdict, replace
from unittest.mock import patch

import numpy as np

from geomon.training import windows as drawing
from geomon.training.fit import draft_card
from geomon.training.windows import Sampler
from tests.benchmarks.ablation import RECIPE, VARIANTS, Variant, megaflops, network


def windows_of(variant: Variant, sampler: Sampler) -> np.ndarray:
    """Waveforms and classes that a variant's first batch holds."""
    recipe = replace(RECIPE, **variant.recipe)
    one = replace(sampler, card=draft_card(recipe), real_share=recipe.real_share, seed=recipe.seed)
    with ExitStack() as stack:
        for name, other in variant.drawing.items():
            stack.enter_context(patch.object(drawing, name, other))
        x, y, _ = one.batch(0, 4)
    return np.concatenate([x, y], axis=-1)


def test_each_variant_changes_what_it_says_and_nothing_else(sampler: Sampler) -> None:
    base = VARIANTS[0]
    usual = windows_of(base, sampler)
    assert np.array_equal(usual, windows_of(base, sampler))
    sizes = {}
    for variant in VARIANTS:
        unlike = asdict(replace(RECIPE, **variant.recipe)).items() - asdict(RECIPE).items()
        shape = {*variant.network, *(name for name, _ in unlike if name == "kernel")}
        changes = len(unlike) + len(variant.network) + len(variant.drawing)
        assert changes == (0 if variant is base else 2 if "down_kernel" in shape else 1)
        if shape or variant is base:
            recipe = replace(RECIPE, **variant.recipe)
            sizes[variant.name] = megaflops(network(recipe, variant.network, training=False))
        if variant is not base:
            assert np.array_equal(usual, windows_of(variant, sampler)) == bool(shape), variant.name
    assert len(set(sizes.values())) == len(sizes) == 8
    assert sizes["kernel 3"] < sizes[base.name] < sizes["kernel 7"]
    assert sizes["root 4"] < sizes[base.name] < sizes["root 16"]
    assert sizes["depth 4"] < sizes[base.name] < sizes["stride 2"]
