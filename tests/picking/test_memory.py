"""What happens when memory runs out while a network runs."""

from dataclasses import replace

import numpy as np
import pytest

from geomon.errors import OutOfMemory
from geomon.picking.card import Picker
from geomon.picking.infer import probabilities
from geomon.picking.memory import Halving
from geomon.times import NS_PER_S, TimeSpan
from tests.picking.conftest import START_NS, recording

X = np.random.default_rng(0).normal(size=(7, 20, 3)).astype(np.float32)


class ResourceExhaustedError(Exception):
    """Called as TensorFlow calls its own."""


ERRORS = (
    MemoryError(),
    ResourceExhaustedError("failed"),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 21474836480 bytes"),
    RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
)


@pytest.mark.fault(45)
@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_half_as_much_is_computed_at_once_from_then_on(error: Exception) -> None:
    sizes: list[int] = []

    def network(x: np.ndarray) -> np.ndarray:
        sizes.append(len(x))
        if len(x) > 2:
            raise error
        return 2 * x

    halving = Halving(network)
    assert np.array_equal(halving(X), 2 * X)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    sizes.clear()
    assert np.array_equal(halving(X[:4]), 2 * X[:4])
    assert sizes == [1, 1, 1, 1]


@pytest.mark.fault(45)
def test_no_room_for_one_is_an_error_worth_another_try() -> None:
    def network(_: np.ndarray) -> np.ndarray:
        raise MemoryError

    with pytest.raises(OutOfMemory, match="one piece of 20 samples") as caught:
        Halving(network)(X)
    assert caught.value.retryable


def test_other_errors_are_left_alone() -> None:
    def network(_: np.ndarray) -> np.ndarray:
        msg = "shapes differ"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="shapes differ"):
        Halving(network)(X)


@pytest.mark.fault(45)
def test_a_picker_goes_on_in_smaller_batches(random_picker: Picker) -> None:
    def network(x: np.ndarray) -> np.ndarray:
        if len(x) > 1:
            raise MemoryError
        return random_picker.predict(x)

    tight = replace(random_picker, network=network, batch=4)
    segments, span = recording(1500), TimeSpan(START_NS, START_NS + 1500 * NS_PER_S)
    one, two = (probabilities(picker, segments, span) for picker in (random_picker, tight))
    assert np.array_equal(one.probabilities, two.probabilities)
