"""The network after each epoch, kept so that an interrupted training goes on from there."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from geomon.picking.backend import load_keras

logger = logging.getLogger(__name__)


class Checkpoint:
    """The network after the last epoch, beside what it was trained by.

    Parameters
    ----------
    folder : Path
        Made where absent.
    key : dict
        What decides the training, as JSON: a network of another key is not gone on with.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._model = folder / "checkpoint.keras"
        self._fresh = folder / "checkpoint.fresh.keras"
        self._state = folder / "checkpoint.json"
        self._key = key

    def load(self) -> Any:  # noqa: ANN401 - of Keras
        """Read the network; None when there is none of this key."""
        there = self._state.is_file() and self._model.is_file()
        if not there or json.loads(self._state.read_text(encoding="utf-8")) != self._key:
            return None
        model = load_keras().saving.load_model(self._model)
        logger.info("resumed after batch %d", int(np.asarray(model.optimizer.iterations)))
        return model

    def begin(self) -> None:
        """Forget any network of another key."""
        self._model.unlink(missing_ok=True)
        self._state.write_text(json.dumps(self._key), encoding="utf-8")

    def save(self, model: Any) -> None:  # noqa: ANN401 - of Keras
        """Keep the network, under another name first: a kill must not spoil the last one."""
        model.save(self._fresh)
        self._fresh.replace(self._model)
