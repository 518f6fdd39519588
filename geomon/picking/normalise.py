"""Local, gap-aware normalisation on the absolute sample grid: the same for training and picking."""

import numpy as np
from numpy.typing import NDArray

_MIN_VALID = 100  # samples a mean and a standard deviation need


def _filled_nodes(
    values: NDArray[np.float64], known: NDArray[np.bool_], default: float
) -> NDArray[np.float64]:
    """Carry the last known node forward, then the first known one back, along axis -2."""
    n_nodes = values.shape[-2]
    position = np.arange(n_nodes)[:, None]
    before = np.maximum.accumulate(np.where(known, position, -1), axis=-2)
    after = np.where(known, position, n_nodes)
    after = np.flip(np.minimum.accumulate(np.flip(after, -2), axis=-2), -2)
    source = np.where(before >= 0, before, np.minimum(after, n_nodes - 1))
    taken = np.take_along_axis(values, source, axis=-2)
    return np.where(known.any(axis=-2, keepdims=True), taken, default)


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
    n = samples.shape[-2]
    edges = np.concatenate(([0], np.arange(hop - first % hop, n, hop)))
    lengths = np.diff(edges, append=n)

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Repeat one value a block for each of its samples."""
        return np.repeat(values, lengths, axis=-2)

    masked = not valid.all()
    count = np.add.reduceat(valid, edges, axis=-2, dtype=np.float64)
    kept = np.where(valid, samples, 0.0) if masked else samples
    total = np.add.reduceat(kept, edges, axis=-2)
    centre = total / np.maximum(count, 1)
    deviation = samples - spread(centre)
    if masked:
        deviation *= valid
    square = np.add.reduceat(deviation * deviation, edges, axis=-2)

    # A node's window is the block before and the block after it.
    shape = (*count.shape[:-2], count.shape[-2] + 1, count.shape[-1])

    def joined(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.zeros(shape)
        out[..., 1:, :] += before
        out[..., :-1, :] += after
        return out

    node_count = joined(count, count)
    node_mean = joined(total, total) / np.maximum(node_count, 1)
    # Each block's squares are about its own mean; shift them to the node's (Chan et al. 1983).
    before = square + count * (centre - node_mean[..., 1:, :]) ** 2
    after = square + count * (centre - node_mean[..., :-1, :]) ** 2
    node_std = np.sqrt(joined(before, after) / np.maximum(node_count, 1))
    known = node_count >= _MIN_VALID
    node_mean = _filled_nodes(node_mean, known, 0.0)
    node_std = _filled_nodes(node_std, known, 0.0)

    fraction = (((first + np.arange(n, dtype=np.int64)) % hop) / hop)[:, None]
    mean = spread(node_mean[..., :-1, :]) + fraction * spread(np.diff(node_mean, axis=-2))
    std = spread(node_std[..., :-1, :]) + fraction * spread(np.diff(node_std, axis=-2))
    moving = valid & (std > 0)
    out = np.zeros(samples.shape, dtype=np.float32)
    np.divide(samples - mean, std, out=out, where=moving, casting="same_kind")
    return out
