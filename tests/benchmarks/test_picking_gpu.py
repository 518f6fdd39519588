"""Without a GPU nothing is claimed about one."""

import pytest

from tests.benchmarks import picking_gpu


def test_nothing_is_claimed_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picking_gpu, "gpus", tuple)
    [figure] = picking_gpu.measure(quick=True)
    assert (figure.value, figure.holds) == (None, None)
    assert figure.conditions.startswith("not measured: no NVIDIA GPU")
