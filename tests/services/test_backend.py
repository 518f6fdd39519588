"""The backend that a config names computes; what another one gave is picked again."""

from pathlib import Path

import pytest

from geomon.services.champion import load
from geomon.services.pick import picker_version
from tests.networks import simulated


def test_the_config_chooses_the_backend(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    config = simulated(tmp_path)
    other = config.model_copy(
        update={"picker": config.picker.model_copy(update={"backend": "onnxruntime"})}
    )
    assert load(config).model is not None
    assert load(other).model is None
    assert load(other) is load(other)
    assert load(other).card == load(config).card
    assert picker_version(other) != picker_version(config)
