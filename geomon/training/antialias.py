"""Down-sampling that does not alias: what a pick is worth must not hang on where it falls.

A convolution that keeps every fourth value folds what is too fast onto what is slow, and the
curves then change when the record is shifted by a sample. Kernels that are a smoothing filter
convolved with a shorter kernel cannot do that; they are a linear subspace, onto which training
projects after each step. What comes out is a plain convolution.

Zhang, R. (2019), Making convolutional networks shift-invariant again, Proc. ICML 97, 7324-7334.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.picking.backend import load_keras


def smoother(stride: int) -> NDArray[np.float64]:
    """Return a triangle of ``2 stride - 1`` samples and sum 1.

    It is the shortest filter with double zeros wherever sampling each `stride`-th value would
    fold a frequency onto zero.
    """
    box = np.full(stride, 1 / stride)
    return np.convolve(box, box)


def projection(width: int, stride: int) -> NDArray[np.float64]:
    """Return the matrix (width, width) that finds the nearest kernel that was smoothed.

    Parameters
    ----------
    width : int
        Of the kernels, samples; at least ``2 stride - 1``.
    stride : int
        Samples between the values kept.
    """
    blur = smoother(stride)
    shorter = width - blur.size + 1
    basis = np.stack([np.convolve(row, blur) for row in np.eye(shorter)], axis=1)
    return np.asarray(basis @ np.linalg.pinv(basis))


@cache
def _constraint() -> Any:  # noqa: ANN401 - a class, which exists once Keras is imported
    keras = load_keras()
    base: Any = keras.constraints.Constraint

    class Smoothed(base):
        """Keep kernels of strided convolutions free of what would alias."""

        def __init__(self, stride: int) -> None:
            self.stride = stride

        def __call__(self, w: Any) -> Any:  # noqa: ANN401 - a tensor
            matrix = projection(int(w.shape[0]), self.stride).astype(np.float32)
            return keras.ops.tensordot(keras.ops.convert_to_tensor(matrix), w, axes=1)

        def get_config(self) -> dict[str, int]:
            return {"stride": self.stride}

    return keras.saving.register_keras_serializable("geomon")(Smoothed)


def smoothed(stride: int) -> Any:  # noqa: ANN401
    """Return the Keras constraint for kernels that keep every `stride`-th value."""
    return _constraint()(stride)
