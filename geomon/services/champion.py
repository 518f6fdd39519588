"""Which picker picks: the champion of the registry, or the one a config names.

The registry is read anew whenever a picker is asked for, so that a promotion counts from the next
piece of work on, in every process.
"""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from geomon.config import Config
from geomon.errors import StoreError
from geomon.picking.card import Backend, picker_folder
from geomon.services.workspace import workspace
from geomon.stores.pickers import Decision, Pickers, Registered

if TYPE_CHECKING:
    from geomon.picking.card import Picker
    from geomon.picking.run_keras import Precision

CHAMPION = "champion"
"""``picker.name`` of networks that follow their registry."""

FIRST = "default"
"""The picker that is champion before there is any other."""


def pickers_of(config: Config) -> Pickers:
    """Return the registry of a network."""
    return Pickers(workspace(config).catalog.database)


def chosen_folder(config: Config) -> Path:
    """Return the folder of the picker that is to pick now.

    Raises
    ------
    StoreError
        If the registry cannot be read.
    """
    if config.picker.name != CHAMPION:
        return picker_folder(config.picker.name)
    registry = pickers_of(config)
    champion = registry.champion()
    return registry.folder(champion) if champion else picker_folder(FIRST)


def load(config: Config, folder: Path | None = None) -> "Picker":
    """Return the picker that is to pick now, loaded once a process and version.

    Parameters
    ----------
    config : Config
        The network.
    folder : Path, optional
        As `chosen_folder` gave it before; asked anew without, as a promotion may have changed it.

    Raises
    ------
    PickerMismatch
        If the picker does not exist or does not fit its card, or its backend cannot run it.
    """
    rule = config.picker
    return _load(folder or chosen_folder(config), rule.backend, rule.precision, rule.batch)


@lru_cache(maxsize=3)
def _load(folder: Path, backend: "Backend", precision: "Precision", batch: int | None) -> "Picker":
    from geomon.picking.card import load_picker

    return load_picker(folder, backend=backend, precision=precision, batch=batch)


def ensure_champion(config: Config) -> str:
    """Return the champion's hash; the network's picker is installed where there is none.

    Raises
    ------
    PickerMismatch
        If that picker does not exist.
    StoreConflict
        If another one was installed meanwhile.
    """
    registry = pickers_of(config)
    held = registry.champion()
    if held:
        return held
    name = FIRST if config.picker.name == CHAMPION else config.picker.name
    sha256 = registry.add(picker_folder(name))
    first = Decision("installed", sha256, sha256, "the first model: the floor", "geomon")
    registry.decide(first, instead_of="")
    return sha256


def promote(config: Config, name: str, *, actor: str, reason: str) -> Registered:
    """Make a picker of the registry the champion, whatever the gate says.

    Raises
    ------
    StoreError
        If there is no such picker, or it is the champion already.
    StoreConflict
        If another champion was made meanwhile.
    """
    registry = pickers_of(config)
    champion = ensure_champion(config)
    chosen = registry.find(name)
    if chosen.sha256 == champion:
        msg = f"{name}: is the champion already"
        raise StoreError(msg)
    decision = Decision("promoted", chosen.sha256, chosen.sha256, reason, actor)
    registry.decide(decision, instead_of=champion)
    return registry.find(chosen.sha256)


def rollback(config: Config, *, actor: str, reason: str) -> Registered:
    """Make the picker that was champion before the champion again.

    Raises
    ------
    StoreError
        If there never was another one.
    StoreConflict
        If another champion was made meanwhile.
    """
    registry = pickers_of(config)
    decisions = registry.decisions()
    champion = decisions[-1].champion if decisions else ""
    before = _champion_before(decisions)
    if not before:
        msg = f"{config.network.name}: no other picker was champion before this one"
        raise StoreError(msg)
    decision = Decision("rolled back", before, champion, reason, actor)
    registry.decide(decision, instead_of=champion)
    return registry.find(before)


def _champion_before(decisions: list[Decision]) -> str:
    """Return whom the champion replaced; a rollback takes the promotion before it back."""
    line: list[str] = []
    for decision in decisions:
        if decision.outcome == "rolled back":
            line.pop()
        elif not line or decision.champion != line[-1]:
            line.append(decision.champion)
    return line[-2] if len(line) > 1 else ""


def trial_of(decisions: list[Decision]) -> int:
    """Return the number of the next test against the champion, from 1.

    Every test counts that spent of its error budget, also before it was replaced and taken back.
    """
    n_tests: Counter[str] = Counter()
    champion = ""
    for decision in decisions:
        n_tests[champion] += decision.alpha > 0
        champion = decision.champion
    return n_tests[champion] + 1
