"""Local normalisation: zero mean, unit spread, blind to gaps and to where the cut is."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.picking.normalise import normalise


def naive(samples: np.ndarray, valid: np.ndarray, first: int, hop: int) -> np.ndarray:
    """The definition, node by node, one channel."""
    n = samples.size
    absolute = first + np.arange(n)
    nodes = np.arange(first // hop, (first + n - 1) // hop + 2) * hop
    means, stds = [], []
    for node in nodes:
        inside = valid & (absolute >= node - hop) & (absolute < node + hop)
        enough = inside.sum() >= 100
        means.append(samples[inside].mean() if enough else np.nan)
        stds.append(samples[inside].std() if enough else np.nan)
    known = np.flatnonzero(np.isfinite(means))
    if known.size == 0:
        return np.zeros(n)
    for k in range(nodes.size):
        before = known[known <= k]
        source = before[-1] if before.size else known[0]
        means[k], stds[k] = means[source], stds[source]
    mean = np.interp(absolute, nodes, means)
    std = np.interp(absolute, nodes, stds)
    return np.where(valid & (std > 0), (samples - mean) / np.where(std > 0, std, 1), 0)


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(-5000, 2 * 10**11),
    n=st.integers(1, 9000),
    hole=st.tuples(st.integers(0, 9000), st.integers(0, 6000)),
    offset=st.sampled_from([0.0, 1e4, 1e8]),
)
def test_same_as_the_definition(first: int, n: int, hole: tuple[int, int], offset: float) -> None:
    rng = np.random.default_rng(n)
    samples = rng.normal(offset, 3, (n, 2)) * np.array([1, 50])
    valid = np.ones((n, 2), dtype=np.bool_)
    valid[hole[0] : hole[0] + hole[1], 0] = False
    got = normalise(samples, valid, first=first, hop=1500)
    for c in range(2):
        expected = naive(samples[:, c], valid[:, c], first, 1500)
        assert np.allclose(got[:, c], expected, atol=2e-4)


def test_a_batch_is_its_members() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(3, 4000, 2))
    valid = rng.random((3, 4000, 2)) < 0.9
    batch = normalise(samples, valid, first=77, hop=1500)
    for one, two, mask in zip(batch, samples, valid, strict=True):
        assert np.array_equal(one, normalise(two, mask, first=77, hop=1500))


def test_inner_samples_do_not_see_far_away() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(20_000, 1))
    valid = np.ones_like(samples, dtype=np.bool_)
    whole = normalise(samples, valid, first=0, hop=1500)
    other = samples.copy()
    other[:6000] *= 100
    changed = normalise(other, valid, first=0, hop=1500)
    assert np.array_equal(whole[9000:], changed[9000:])
    part = normalise(samples[4500:], valid[4500:], first=4500, hop=1500)
    assert np.allclose(part[3000:], whole[7500:], atol=1e-6)


def test_dead_channel_is_zero() -> None:
    samples = np.full((3000, 1), 42.0)
    out = normalise(samples, np.ones((3000, 1), dtype=np.bool_), first=0, hop=1500)
    assert not out.any()
