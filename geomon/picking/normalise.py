"""Local, gap-aware normalisation on the absolute sample grid: the same for training and picking."""

import numpy as np
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
    n = samples.shape[-2]
    edges = np.concatenate(([0], np.arange(hop - first % hop, n, hop)))
    lengths = np.diff(edges, append=n)
    # Time last: sums and repeats along contiguous samples are several times faster.
    x = np.swapaxes(samples, -1, -2).copy()
    there = np.ascontiguousarray(np.swapaxes(valid, -1, -2))
    weight = there.astype(np.float64)
    count = np.add.reduceat(weight, edges, axis=-1)
    centre = np.add.reduceat(x * weight, edges, axis=-1) / np.maximum(count, 1)
    deviation = x - np.repeat(centre, lengths, axis=-1)
    deviation *= weight
    deviation *= deviation
    square = np.add.reduceat(deviation, edges, axis=-1)
    node_mean, node_std = _nodes(count, centre, square)
    fraction = ((first + np.arange(n, dtype=np.int64)) % hop) / hop

    def ramp(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate linearly between nodes."""
        line = np.repeat(np.diff(nodes, axis=-1), lengths, axis=-1)
        line *= fraction
        line += np.repeat(nodes[..., :-1], lengths, axis=-1)
        return line

    std = ramp(node_std)
    std[~(there & (std > 0))] = np.inf
    x -= ramp(node_mean)
    x /= std
    return np.ascontiguousarray(np.swapaxes(x, -1, -2), dtype=np.float32)


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
