"""Networks with an input of fixed length, run over longer waveforms in overlapping windows.

The windows lie at fixed places of whatever is given, and everything about them is in the picker's
card. So a picker of this kind is used like one that takes any length.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

_BATCH_SAMPLES = 2**17  # samples the network is given at a time: bounds its memory

type Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Windows(BaseModel):
    """How a network with an input of fixed length is run over longer waveforms.

    Windows start every `stride` samples, and a last one ends where the waveforms end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_samples: Annotated[int, Field(ge=16, le=6000)]
    """Length of the network's input; what a piece is picked from holds a window either side."""
    stride: Annotated[int, Field(ge=1, le=6000)]
    """Samples from the start of one window to the start of the next."""
    scaling: Literal["std", "peak", "joint peak"]
    """What each window is divided by: every component, less its mean, by its standard deviation
    or by its largest absolute value; or all three, as they are, by the largest of them all."""
    blend: Literal["triangle", "lines"]
    """How outputs become one curve: as means with weights that rise from a window's ends to its
    middle; or, where a window has one output only, as lines from middle to middle."""

    def starts(self, n_samples: int) -> NDArray[np.int64]:
        """Return the first sample of every window over `n_samples` samples.

        Examples
        --------
        >>> rule = Windows(window_samples=400, stride=300, scaling="peak", blend="triangle")
        >>> rule.starts(1200).tolist()
        [0, 300, 600, 800]
        """
        last = n_samples - self.window_samples
        return np.unique(np.append(np.arange(0, last, self.stride), last))

    def aligned(self, first: int, n_samples: int) -> slice:
        """Return the part of some samples that windows fill which start at multiples of `stride`.

        Multiples on the absolute grid, so that neighbouring pieces see the same windows, and the
        same curve, where they meet. `first` is the grid index of the first sample.

        Examples
        --------
        >>> rule = Windows(window_samples=400, stride=300, scaling="peak", blend="triangle")
        >>> rule.aligned(first=1000, n_samples=1200)
        slice(200, 1200, None)
        """
        begin = -first % self.stride
        hops = (n_samples - begin - self.window_samples) // self.stride
        return slice(begin, begin + hops * self.stride + self.window_samples)


def curves(network: Network, waveforms: NDArray[np.float32], rule: Windows) -> NDArray[np.float32]:
    """Run a network over one station's waveforms and make one curve a class of its outputs.

    Parameters
    ----------
    network : callable
        From float32 (batch, window_samples, components) to float32 (batch, m, classes), where m
        is window_samples or 1.
    waveforms : array of float32, shape (n_samples, components)
        At least one window of samples.
    rule : Windows
        The card's rule.

    Returns
    -------
    array of float32, shape (n_samples, classes)
    """
    n = waveforms.shape[0]
    starts = rule.starts(n)
    views = np.lib.stride_tricks.sliding_window_view(waveforms, rule.window_samples, axis=0)
    distinct, which = _distinct(waveforms, starts, rule.window_samples)
    # Batches of one size, the last filled up with windows again: one shape is one compiled graph.
    size = -(-starts.size // -(-starts.size * rule.window_samples // _BATCH_SAMPLES))
    n_batches = -(-distinct.size // size)
    chosen = np.append(distinct, np.full(size * n_batches - distinct.size, distinct[-1]))
    outputs = np.concatenate([
        network(_scaled(views[batch].swapaxes(1, 2), rule))
        for batch in np.split(chosen, n_batches)
    ])[which]  # fmt: skip
    if rule.blend == "lines":
        middles = starts + rule.window_samples // 2
        columns = [np.interp(np.arange(n), middles, column) for column in outputs[:, 0].T]
        return np.stack(columns, axis=1).astype(np.float32)
    ramp = np.arange(1, rule.window_samples + 1, dtype=np.float32)
    weight = np.minimum(ramp, ramp[::-1])[:, None]
    total = np.zeros((n, outputs.shape[2]), dtype=np.float32)
    weights = np.zeros((n, 1), dtype=np.float32)
    for start, output in zip(starts, outputs, strict=True):
        total[start : start + rule.window_samples] += weight * output
        weights[start : start + rule.window_samples] += weight
    return total / weights


def _distinct(
    waveforms: NDArray[np.float32], starts: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the windows to look at, and which of them stands for each: the first empty for all."""
    filled = np.append(0, np.cumsum(waveforms.any(axis=1)))
    has_data = filled[starts + length] > filled[starts]
    distinct = np.append(starts[has_data], starts[~has_data][:1])
    return distinct, np.where(has_data, np.cumsum(has_data) - 1, distinct.size - 1)


def _scaled(windows: NDArray[np.float32], rule: Windows) -> NDArray[np.float32]:
    """Scale windows, shape (batch, window_samples, components); what does not move stays zero."""
    if rule.scaling == "joint peak":
        size = np.abs(windows).max(axis=(1, 2), keepdims=True)
    else:
        windows = windows - windows.mean(axis=1, keepdims=True)
        if rule.scaling == "std":
            size = windows.std(axis=1, keepdims=True)
        else:
            size = np.abs(windows).max(axis=1, keepdims=True)
    return np.ascontiguousarray(windows / np.where(size > 0, size, 1), dtype=np.float32)
