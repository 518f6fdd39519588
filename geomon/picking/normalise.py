"""Local, gap-aware normalisation on the absolute sample grid: the same for training and picking."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_MIN_VALID = 100  # samples a mean and a standard deviation need


def _filled_nodes(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Carry the last known node forward, then the first known one back; 0 without any."""
    if known.all():
        return values
    n_nodes = values.shape[-1]
    position = np.arange(n_nodes)
    before = np.maximum.accumulate(np.where(known, position, -1), axis=-1)
    after = np.where(known, position, n_nodes)
    after = np.flip(np.minimum.accumulate(np.flip(after, -1), axis=-1), -1)
    source = np.where(before >= 0, before, np.minimum(after, n_nodes - 1))
    taken = np.take_along_axis(values, source, axis=-1)
    return np.where(known.any(axis=-1, keepdims=True), taken, 0.0)


def normalise(
    samples: NDArray[np.float64], valid: NDArray[np.bool_], *, first: int, hop: int
) -> NDArray[np.float32]:
    """Remove the local mean and divide by the local standard deviation, channel by channel.

    Means and standard deviations are taken over the valid samples of windows of two hops around
    nodes at multiples of `hop` on the absolute grid, and are linear between the nodes. A node
    with fewer than 100 valid samples takes over its neighbour's values.

    Parameters
    ----------
    samples : array of float64, shape (..., n, channels)
        Samples, time next to last.
    valid : array of bool, same shape
        False where there are no data.
    first : int
        Absolute grid index of the first sample.
    hop : int
        Samples between nodes.

    Returns
    -------
    array of float32, same shape
        Zero where not valid and where the channel does not move.
    """
    n, channels = samples.shape[-2:]
    x = np.ascontiguousarray(samples, dtype=np.float64).reshape(-1, n, channels)
    there = np.ascontiguousarray(valid).reshape(x.shape)
    edges = np.concatenate(([0], np.arange(hop - first % hop, n, hop), [n]))
    mean, std = _nodes(*_blocks(x, there, edges))
    out = np.zeros(x.shape, dtype=np.float32)
    _scale(x, there, edges, (first % hop) / hop, 1 / hop, mean, std, out)
    return out.reshape(samples.shape)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _blocks(x: NDArray[np.float64], valid: NDArray[np.bool_], edges: NDArray[np.int64]) -> Any:  # noqa: ANN401
    """Return number, mean and sum of squares about it of the valid samples between edges."""
    batch, _, channels = x.shape
    count = np.zeros((batch, channels, edges.shape[0] - 1))
    centre, square = np.zeros_like(count), np.zeros_like(count)
    for b in range(batch):
        for k in range(edges.shape[0] - 1):
            for c in range(channels):
                number, total = 0, 0.0
                for t in range(edges[k], edges[k + 1]):
                    if valid[b, t, c]:
                        number += 1
                        total += x[b, t, c]
                mean = total / max(number, 1)
                squares = 0.0
                for t in range(edges[k], edges[k + 1]):
                    if valid[b, t, c]:
                        squares += (x[b, t, c] - mean) ** 2
                count[b, c, k], centre[b, c, k], square[b, c, k] = number, mean, squares
    return count, centre, square


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scale(
    x: NDArray[np.float64],
    valid: NDArray[np.bool_],
    edges: NDArray[np.int64],
    begin: float,
    step: float,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Subtract the line through the nodes' means, divide by that through their deviations."""
    for b in range(x.shape[0]):
        for k in range(edges.shape[0] - 1):
            offset = begin if k == 0 else 0.0
            for c in range(x.shape[2]):
                level, slope = mean[b, c, k], mean[b, c, k + 1] - mean[b, c, k]
                spread, growth = std[b, c, k], std[b, c, k + 1] - std[b, c, k]
                for t in range(edges[k], edges[k + 1]):
                    fraction = offset + (t - edges[k]) * step
                    size = spread + growth * fraction
                    if valid[b, t, c] and size > 0:
                        out[b, t, c] = (x[b, t, c] - (level + slope * fraction)) / size


def centred(samples: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Remove each channel's mean over its valid samples, and no more; zero where not valid.

    Parameters
    ----------
    samples : array of float64, shape (n, channels)
        Samples.
    valid : array of bool, same shape
        False where there are no data.
    """
    total = np.where(valid, samples, 0.0).sum(axis=0)
    level = total / np.maximum(valid.sum(axis=0), 1)
    return np.where(valid, samples - level, 0.0).astype(np.float32)


def _nodes(
    count: NDArray[np.float64], centre: NDArray[np.float64], square: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Join the blocks before and after each node: mean and standard deviation at the nodes."""
    shape = (*count.shape[:-1], count.shape[-1] + 1)

    def joined(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.zeros(shape)
        whole[..., 1:] += before
        whole[..., :-1] += after
        return whole

    number = joined(count, count)
    total = count * centre
    mean = joined(total, total) / np.maximum(number, 1)
    # Each block's squares are about its own mean; shift them to the node's (Chan et al. 1983).
    before = square + count * (centre - mean[..., 1:]) ** 2
    after = square + count * (centre - mean[..., :-1]) ** 2
    std = np.sqrt(joined(before, after) / np.maximum(number, 1))
    known = number >= _MIN_VALID
    return _filled_nodes(mean, known), _filled_nodes(std, known)
