"""Objects of a store in a local folder: read in part, replaced whole, never seen half-written.

An object is one file. A writer holds the object's lock while it reads, merges and replaces it;
the new bytes go to a file of their own, reach the disk, and take the object's name in one step.
Readers never wait: an open object stays what it was while another version takes its name.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from geomon.errors import StoreError

_WRITING = ".writing"
_MAX_PARTS = 1024  # IOV_MAX of Linux


class StoredObject:
    """One version of an object, open for reading in part.

    Parameters
    ----------
    key : str
        Name of the object, with ``/`` between its parts.
    descriptor : int
        Open file, closed with the object.
    """

    def __init__(self, key: str, descriptor: int) -> None:
        self.key = key
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor

    def read(self, start: int, size: int) -> bytes:
        """Return the bytes of [start, start + size), fewer at the end of the object."""
        parts: list[bytes] = []
        while size > 0 and (part := os.pread(self._descriptor, size, start)):
            parts.append(part)
            start += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Slot:
    """The right to replace one object, held while its lock is held."""

    def __init__(self, descriptor: int, partial: Path, target: Path) -> None:
        self._descriptor = descriptor
        self._partial = partial
        self._target = target
        self.is_replaced = False

    def replace(self, parts: Sequence[bytes]) -> None:
        """Make `parts` the object's content, durably and at once.

        Raises
        ------
        StoreError
            If that is not possible, for example because the disk is full; the object stays what
            it was.
        """
        try:
            os.ftruncate(self._descriptor, 0)
            _write_all(self._descriptor, parts)
            os.fsync(self._descriptor)
            _make_folder(self._target.parent)
            self._partial.replace(self._target)
            self.is_replaced = True
            _sync_folder(self._target.parent)
        except OSError as error:
            msg = f"{self._target}: cannot be written: {error.strerror}"
            raise StoreError(msg) from error


class Folder:
    """Objects below one local folder.

    Parameters
    ----------
    root : Path
        Existing folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, key: str) -> StoredObject | None:
        """Open the present version of an object; None when there is none."""
        try:
            descriptor = os.open(self.root / key, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return StoredObject(key, descriptor)

    def read(self, key: str) -> bytes | None:
        """Return a whole object; None when there is none."""
        found = self.open(key)
        if found is None:
            return None
        with found:
            return found.read(0, found.size)

    def names(self, prefix: str = "") -> list[str]:
        """Return what lies directly below a prefix, sorted, without hidden names."""
        try:
            with os.scandir(self.root / prefix) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    @contextmanager
    def exclusive(self, key: str) -> Iterator[Slot]:
        """Wait for the lock of an object and hold it.

        The file that is locked is the one that will take the object's name, so a killed writer
        leaves no lock and at most one partial file, which the next writer of the object reuses.
        """
        partial = self.root / _WRITING / key.replace("/", "!")
        descriptor = _locked(partial)
        slot = Slot(descriptor, partial, self.root / key)
        try:
            yield slot
        finally:
            if not slot.is_replaced:
                partial.unlink(missing_ok=True)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may hold the file open
            os.close(descriptor)

    def put_if_absent(self, key: str, content: bytes) -> None:
        """Store an object unless one of that name exists."""
        if (self.root / key).exists():
            return
        with self.exclusive(key) as slot:
            if not (self.root / key).exists():
                slot.replace([content])

    def sweep(self) -> int:
        """Remove partial files whose writers are gone; return how many."""
        n_removed = 0
        folder = self.root / _WRITING
        for partial in sorted(folder.iterdir()) if folder.is_dir() else []:
            descriptor = _locked(partial, wait=False)
            if descriptor >= 0:
                partial.unlink(missing_ok=True)
                os.close(descriptor)
                n_removed += 1
        return n_removed


def _locked(partial: Path, *, wait: bool = True) -> int:
    """Open and lock a partial file; -1 when another writer has it and `wait` is false."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return -1
        except BaseException:
            os.close(descriptor)
            raise
        # The writer before us may have renamed or removed the very file we waited for.
        try:
            if os.path.samestat(os.fstat(descriptor), partial.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _write_all(descriptor: int, parts: Sequence[bytes]) -> None:
    for first in range(0, len(parts), _MAX_PARTS):
        batch = parts[first : first + _MAX_PARTS]
        expected = sum(len(part) for part in batch)
        written = os.writev(descriptor, batch)
        if written < expected:
            rest = memoryview(b"".join(batch))[written:]
            while rest:
                rest = rest[os.write(descriptor, rest) :]


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents so that they survive a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
