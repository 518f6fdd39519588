"""What all importers share: putting arrays read from a file into the layers they belong to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.errors import PickerMismatch

UNHASHED = "0" * 64  # the card's hash until the picker is saved

type Array = NDArray[np.generic]


def fill(model: Any, weights: Mapping[str, Sequence[Array]], blame: str) -> None:  # noqa: ANN401
    """Give every layer its weights, in the order Keras has them; none may be left over.

    Parameters
    ----------
    model : keras.Model
        The rebuilt network.
    weights : mapping of str to arrays
        By the layer's name.
    blame : str
        Beginning of the error: the file, and what it is not.

    Raises
    ------
    PickerMismatch
        If a layer's weights are missing or of another shape, if some are not finite, or if there
        are more than the network has.
    """
    problem = ""
    left = set(weights)
    for layer in model.layers:
        if not layer.weights:
            continue
        given, wanted = weights.get(layer.name, ()), [tuple(w.shape) for w in layer.weights]
        left.discard(layer.name)
        if [array.shape for array in given] != wanted:
            shapes = ", ".join(str(array.shape) for array in given) or "nothing"
            problem = f"{layer.name} needs {', '.join(map(str, wanted))} and finds {shapes}"
        elif not all(np.isfinite(array).all() for array in given):
            problem = f"{layer.name} has weights that are no finite numbers"
        if problem:
            break
        layer.set_weights(list(given))
    if not problem and left:
        problem = f"the network has no {', '.join(sorted(left)[:3])}"
    if problem:
        msg = f"{blame}: {problem}"
        raise PickerMismatch(msg)
