"""What the archive asks of a store of objects: read in part, replaced whole, never half-seen.

An object is some bytes under a name, with ``/`` between the name's parts. Two stores keep them: a
local folder (`geomon.stores.folder`) and an S3 bucket (`geomon.stores.bucket`). In both an object
is either the old version or the new one, whatever happens to the writer, and several writers may
work at once: each change is made to the version that it replaces. Names whose last part starts
with a dot are hidden: they are kept, and not listed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from geomon.errors import CorruptObject, StoreConflict

_N_READS = 5  # of an object that is replaced each time while it is read

type Change = Callable[["StoredObject | None"], Sequence[bytes] | None]
"""Given the present version of an object, the parts of the next one; None to leave it."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One object in a listing; `version` is another text whenever the content is another."""

    name: str
    size: int
    version: str


class StoredObject(Protocol):
    """One version of an object, open for reading in part.

    Attributes
    ----------
    key : str
        Name of the object.
    size : int
        Bytes.
    version : str
        As in a listing.
    """

    key: str
    size: int
    version: str

    def expect(self, places: Iterable[tuple[int, int]]) -> None:
        """Say which parts (start, size) are read next, so that they can be fetched together."""
        ...

    def read(self, start: int, size: int) -> bytes:
        """Return the bytes of [start, start + size), fewer at the end of the object.

        Raises
        ------
        StoreConflict
            If the object was replaced and this version of it can be read no more.
        StoreError
            If it cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of the object."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ObjectStore(Protocol):
    """Objects below one folder or one prefix of a bucket; may be pickled.

    Attributes
    ----------
    url : str
        Path of the folder, or ``s3://bucket/prefix``.
    n_readers : int
        Objects worth opening at once.
    """

    url: str
    n_readers: int

    def open(self, key: str) -> StoredObject | None:
        """Open the present version of an object; None when there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        ...

    def read(self, key: str) -> bytes | None:
        """Return a whole object; None when there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        ...

    def names(self, prefix: str = "") -> list[str]:
        """Return what lies directly below a prefix, sorted, without hidden names."""
        ...

    def listing(self, prefix: str) -> list[Entry]:
        """Return the objects directly below a prefix, sorted, without hidden names."""
        ...

    def update(self, key: str, change: Change) -> bool:
        """Replace an object by what `change` makes of its present version.

        Parameters
        ----------
        key : str
            Name of the object.
        change : callable
            May be called again, when another writer came between.

        Returns
        -------
        bool
            Whether the object was replaced.

        Raises
        ------
        StoreError
            If that is not possible; the object stays what it was.
        """
        ...

    def put_if_absent(self, key: str, content: bytes) -> None:
        """Store an object unless one of that name exists.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        ...

    def move(self, key: str, target: str) -> bool:
        """Give an object another name; return whether there was one.

        Raises
        ------
        StoreError
            If it cannot be moved.
        """
        ...

    def sweep(self) -> int:
        """Remove what killed writers left behind; return how many pieces."""
        ...


def read_steadily[T](read: Callable[[], T]) -> T:
    """Call a function that opens and reads objects, again when what it reads changes under it.

    It is called once more, too, when an object fails its checksum: a transfer may have failed.

    Raises
    ------
    CorruptObject
        If the object fails again.
    StoreConflict
        If objects keep changing.
    """
    is_second = False
    for _ in range(_N_READS):
        try:
            return read()
        except StoreConflict:
            continue
        except CorruptObject:
            if is_second:
                raise
            is_second = True
    return read()
