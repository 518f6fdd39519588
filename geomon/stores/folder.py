"""Objects in a local folder, one file each.

A writer holds the object's lock while it reads, merges and replaces it; the new bytes go to a file
of their own, reach the disk, and take the object's name in one step. Readers never wait: an open
object stays what it was while another version takes its name.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Self

from geomon.errors import StoreError
from geomon.stores.objects import Change, Entry

_WRITING = ".writing"
_MAX_PARTS = 1024  # IOV_MAX of Linux


class StoredFile:
    """One version of an object, open for reading in part; see `StoredObject`.

    Parameters
    ----------
    key : str
        Name of the object.
    descriptor : int
        Open file, closed with the object.
    """

    def __init__(self, key: str, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.key = key
        self.size = status.st_size
        self.version = _version(status)
        self._descriptor = descriptor

    def expect(self, places: Iterable[tuple[int, int]]) -> None:
        """Do nothing: a local file is read where it lies."""

    def read(self, start: int, size: int) -> bytes:
        """Return the bytes of [start, start + size), fewer at the end of the object.

        Raises
        ------
        StoreError
            If the disk fails.
        """
        parts: list[bytes] = []
        try:
            while size > 0 and (part := os.pread(self._descriptor, size, start)):
                parts.append(part)
                start += len(part)
                size -= len(part)
        except OSError as error:
            raise StoreError(_failed(self.key, "read", error)) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Folder:
    """Objects below one local folder; see `ObjectStore`.

    Parameters
    ----------
    root : Path
        The folder; made with the first object.
    """

    n_readers = 1

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def open(self, key: str) -> StoredFile | None:
        """Open the present version of an object; None when there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        try:
            descriptor = os.open(self.root / key, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(_failed(str(self.root / key), "read", error)) from error
        return StoredFile(key, descriptor)

    def read(self, key: str) -> bytes | None:
        """Return a whole object; None when there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
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

    def listing(self, prefix: str) -> list[Entry]:
        """Return the objects directly below a prefix, sorted, without hidden names."""
        found: list[Entry] = []
        try:
            with os.scandir(self.root / prefix) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        if entry.is_file() and not entry.name.startswith("."):
                            status = entry.stat()
                            found.append(Entry(entry.name, status.st_size, _version(status)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found)

    def update(self, key: str, change: Change) -> bool:
        """Replace an object, under its lock, by what `change` makes of its present version.

        Raises
        ------
        StoreError
            If that is not possible, for example because the disk is full; the object stays what
            it was.
        """
        with self._lock(key) as slot:
            stored = self.open(key)
            with nullcontext() if stored is None else stored:
                parts = change(stored)
                if parts is not None:
                    slot.replace(parts)
        return parts is not None

    def put_if_absent(self, key: str, content: bytes) -> None:
        """Store an object unless one of that name exists.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        if not (self.root / key).exists():
            self.update(key, lambda stored: [content] if stored is None else None)

    def move(self, key: str, target: str) -> bool:
        """Give an object another name, under its lock; return whether there was one.

        Raises
        ------
        StoreError
            If it cannot be moved.
        """
        source, place = self.root / key, self.root / target
        with self._lock(key):
            try:
                if not source.exists():
                    return False
                _make_folder(place.parent)
                source.rename(place)
                _sync_folder(place.parent)
                _sync_folder(source.parent)
            except OSError as error:
                raise StoreError(_failed(str(source), "moved", error)) from error
        return True

    def sweep(self) -> int:
        """Remove partial files whose writers are gone; return how many.

        Where there is no folder, or one that may only be read, nothing is removed.
        """
        n_removed = 0
        folder = self.root / _WRITING
        with suppress(OSError):
            for partial in sorted(folder.iterdir()):
                descriptor = _locked(partial, wait=False)
                if descriptor >= 0:
                    partial.unlink(missing_ok=True)
                    os.close(descriptor)
                    n_removed += 1
        _drop_if_empty(folder)
        return n_removed

    @contextmanager
    def _lock(self, key: str) -> Iterator["_Slot"]:
        """Wait for the lock of an object and hold it.

        The file that is locked is the one that will take the object's name, so a killed writer
        leaves no lock and at most one partial file, which the next writer of the object reuses.

        Raises
        ------
        StoreError
            If no file can be made.
        """
        partial = self.root / _WRITING / key.replace("/", "!")
        try:
            descriptor = _locked(partial)
        except OSError as error:
            raise StoreError(_failed(str(self.root / key), "written", error)) from error
        slot = _Slot(descriptor, partial, self.root / key)
        try:
            yield slot
        finally:
            if not slot.is_replaced:
                partial.unlink(missing_ok=True)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may hold the file open
            os.close(descriptor)
            _drop_if_empty(partial.parent)


class _Slot:
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
            If that is not possible.
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
            raise StoreError(_failed(str(self._target), "written", error)) from error


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


def _failed(name: str, what: str, error: OSError) -> str:
    return f"{name}: cannot be {what}: {error.strerror}"


def _locked(partial: Path, *, wait: bool = True) -> int:
    """Open and lock a partial file; -1 when another writer has it and `wait` is false."""
    while True:
        try:
            descriptor = _opened(partial)
        except FileNotFoundError:
            continue  # the last writer before us removed the empty folder
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


def _opened(partial: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(partial, flags, 0o644)
    except FileNotFoundError:
        partial.parent.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            partial.parent.mkdir()
        return os.open(partial, flags, 0o644)


def _drop_if_empty(folder: Path) -> None:
    """Remove the folder of partial files, so that nothing but the archive is there at rest."""
    with suppress(OSError):
        folder.rmdir()


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
