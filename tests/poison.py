"""Labels spoilt in the ways that happen: times shifted, phases swapped, every S a little late."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from geomon.events import Phase
from geomon.times import NS_PER_S
from geomon.training.dataset import Label

type Poison = Callable[[Label], Label]


def shifted(label: Label) -> Label:
    """Put a label a second late."""
    return replace(label, time_ns=label.time_ns + NS_PER_S, residual_s=label.residual_s + 0.9)


def swapped(label: Label) -> Label:
    """Call P what is S, and the other way round."""
    other: Phase = "S" if label.phase == "P" else "P"
    return replace(label, phase=other, residual_s=3.0 if other == "P" else -3.0)


def late_s(label: Label) -> Label:
    """Read S 0.2 s late; the location takes up a quarter of it. P stays."""
    if label.phase == "P":
        return label
    return replace(label, time_ns=label.time_ns + NS_PER_S // 5, residual_s=label.residual_s + 0.15)


POISONS: dict[str, Poison] = {"shifted": shifted, "swapped": swapped, "S late": late_s}
SHARES = (0.05, 0.2)


def poisoned(labels: Sequence[Label], poison: Poison, share: float) -> list[Label]:
    """Spoil a share of the labels that can be spoilt so."""
    rng = np.random.default_rng(5)
    can = [k for k, one in enumerate(labels) if poison(one) != one]
    chosen = set(rng.choice(can, round(share * len(can)), replace=False).tolist())
    return [poison(one) if k in chosen else one for k, one in enumerate(labels)]
