"""Kernels that may keep every fourth value let nothing through that would fold."""

import numpy as np
import pytest

from geomon.training.antialias import projection, smoothed, smoother


@pytest.mark.parametrize("stride", [2, 4])
def test_projected_kernels_stop_what_would_fold_onto_zero(stride: int) -> None:
    rng = np.random.default_rng(3)
    kernel = projection(11, stride) @ rng.normal(size=(11, 5))
    folding = np.exp(-2j * np.pi * np.outer(np.arange(1, stride) / stride, np.arange(11)))
    assert np.abs(folding @ kernel).max() < 1e-12
    # Those that obey already stay as they are.
    assert projection(11, stride) @ kernel == pytest.approx(kernel)
    assert smoother(stride).sum() == pytest.approx(1)


def test_the_constraint_projects_and_can_be_saved() -> None:
    kernel = np.random.default_rng(0).normal(size=(11, 3, 2)).astype(np.float32)
    constraint = smoothed(4)
    expected = np.tensordot(projection(11, 4), kernel, axes=1)
    assert np.asarray(constraint(kernel)) == pytest.approx(expected, abs=1e-6)
    assert type(constraint).from_config(constraint.get_config()).stride == 4
