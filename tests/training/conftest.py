"""Small pools to draw training windows from."""

import numpy as np
import pytest

from geomon.picking.card import PickerCard
from geomon.training.fit import TrainingRecipe, draft_card
from geomon.training.windows import Recording, Sampler, draw_events, draw_noise_pool


@pytest.fixture(scope="session")
def card() -> PickerCard:
    return draft_card(TrainingRecipe())


def recording(labelled: bool) -> Recording:
    """Noise with two bursts, their picks, and a gap."""
    rng = np.random.default_rng(5)
    n = 9000
    samples = rng.normal(0, 10, (n, 3)).astype(np.float32)
    for at in (3000, 3400):
        samples[at:] += rng.normal(0, 300, (n - at, 3)) * np.exp(-np.arange(n - at) / 200)[:, None]
    valid = np.ones((n, 3), dtype=np.bool_)
    valid[7000:7300] = False
    return Recording(
        samples, valid, np.array([3000.0, 3400.0]), np.array([0, 1]), np.array([1.0, 0.8]), labelled
    )


@pytest.fixture(scope="session")
def sampler(card: PickerCard) -> Sampler:
    rng = np.random.default_rng(0)
    events, noise = draw_events(rng, 24), draw_noise_pool(rng, 8)
    return Sampler(card, events, noise, (recording(True), recording(False)), real_share=0.3, seed=1)
