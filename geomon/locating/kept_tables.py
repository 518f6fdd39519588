"""Tables that take seconds to make, kept in a folder under the hash of what they depend on."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)


def kept_table(
    cache: Path | None,
    kind: str,
    key: str,
    shape: tuple[int, ...],
    make: Callable[[], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return a table from the folder that keeps it under the hash of a key, or make and keep it.

    Without a folder it is made every time.
    """
    if cache is None:
        return make()
    path = cache / f"{kind}_{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
    table = _read_table(path, shape)
    if table is None:
        table = make()
        _write_table(path, table)
    return table


def _read_table(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return a kept table, or None when there is none of this shape that can be read."""
    try:
        table = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("%s: unreadable travel times are built again (%s)", path, error)
        return None
    if table.shape != shape or table.dtype != np.float32:
        logger.warning("%s: holds %s, not %s; built again", path, table.shape, shape)
        return None
    return np.asarray(table)


def _write_table(path: Path, slowness: NDArray[np.float32]) -> None:
    """Write to a temporary file and rename: readers see all of it or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.stem, suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, slowness, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        logger.warning("%s: travel times are not kept (%s)", path, error)
