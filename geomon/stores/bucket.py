"""Objects in an S3 bucket, below a prefix.

An object is replaced by a conditional put: only when it is still the version that the new one was
made of. A writer that comes second reads again and makes its change again, so nothing is lost.
Every read names the version it belongs to, so two versions are never mixed.

Endpoint, region and credentials come from the environment, by the names AWS's own tools use:
``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``, web identities and instance roles; profiles in files are not read.
"""

import os
import random
import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from geomon.errors import CorruptObject, StoreConflict, StoreError, StoreUnavailable
from geomon.stores.objects import Change, Entry

if TYPE_CHECKING:
    from obstore.store import S3Store

_N_TRIES = 5  # of one request
_N_UPDATES = 25  # of one object; of writers that collide, one gets through each time
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 3.0
_TAIL = 65_536  # bytes at its end fetched when an object is opened: index and day record
_SMALL_HOLE = 131_072  # bytes fetched needlessly rather than in another request
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_ENDPOINT_NAMES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_CONFLICT = 409
_INSTANCE_ROLE = "/latest/api/token"  # asked for credentials where the environment has none
_STATUS = re.compile(r"status code: (\d{3})")


class StoredInBucket:
    """One version of an object, open for reading in part; see `StoredObject`."""

    def __init__(
        self, bucket: "Bucket", key: str, size: int, version: str, tail: tuple[int, bytes]
    ) -> None:
        self.key = key
        self.size = size
        self.version = version
        self._bucket = bucket
        self._tail = tail
        self._blocks = [tail]

    def expect(self, places: Iterable[tuple[int, int]]) -> None:
        """Fetch parts (start, size) at once, in as few requests as is sensible.

        Raises
        ------
        StoreConflict
            If the object was replaced.
        StoreError
            If it cannot be read.
        """
        wanted = sorted(places)
        if all(self._held(start, min(start + size, self.size)) for start, size in wanted):
            return
        blocks: list[list[int]] = []
        for start, size in wanted:
            end = min(start + size, self.size)
            if start >= self._tail[0] or start >= end:
                continue
            if blocks and start <= blocks[-1][1] + _SMALL_HOLE:
                blocks[-1][1] = max(blocks[-1][1], end)
            else:
                blocks.append([start, end])
        fetched = [(start, self._bucket.fetch(self, start, end)) for start, end in blocks]
        self._blocks = [*fetched, self._tail]

    def read(self, start: int, size: int) -> bytes:
        """Return the bytes of [start, start + size), fewer at the end of the object.

        Raises
        ------
        StoreConflict
            If the object was replaced.
        StoreError
            If it cannot be read.
        """
        end = min(start + size, self.size)
        if start >= end:
            return b""
        block = self._held(start, end)
        if block is None:
            return self._bucket.fetch(self, start, end)
        first, content = block
        return content[start - first : end - first]

    def _held(self, start: int, end: int) -> tuple[int, bytes] | None:
        """Return the fetched block that holds the bytes [start, end)."""
        at = bisect_right(self._blocks, start, key=lambda block: block[0]) - 1
        if at >= 0 and end <= self._blocks[at][0] + len(self._blocks[at][1]):
            return self._blocks[at]
        return None

    def close(self) -> None:
        """Let go of what was fetched."""
        self._blocks = [self._tail]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Bucket:
    """Objects below a prefix of an S3 bucket; see `ObjectStore`.

    Parameters
    ----------
    url : str
        ``s3://bucket`` or ``s3://bucket/prefix``.

    Raises
    ------
    StoreError
        If the URL names no bucket, or the endpoint is not encrypted: plain http is for this very
        machine, or where ``AWS_ALLOW_HTTP`` is ``true``.
    """

    n_readers = 16

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        settings = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}
        self._store = _connected(self.url, tuple(sorted(settings.items())), os.getpid())
        self._present: set[str] = set()

    def __reduce__(self) -> tuple[type["Bucket"], tuple[str]]:
        """Travel to other processes as a URL: they have credentials of their own."""
        return Bucket, (self.url,)

    def open(self, key: str) -> StoredInBucket | None:
        """Open the present version of an object; None when there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        return self._get(key, {"range": {"suffix": _TAIL}})

    def read(self, key: str) -> bytes | None:
        """Return a whole object; None when there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        found = self._get(key, {})
        return None if found is None else found.read(0, found.size)

    def fetch(self, stored: StoredInBucket, start: int, end: int) -> bytes:
        """Return the bytes [start, end) of the version that was opened.

        Raises
        ------
        StoreConflict
            If the object was replaced.
        StoreError
            If it cannot be read.
        """
        options = {"range": (start, end), "if_match": stored.version}
        found = self._get(stored.key, options)
        if found is None or found.version != stored.version:
            raise StoreConflict(f"{self.url}/{stored.key}: replaced while it was read")
        return found.read(start, end - start)

    def names(self, prefix: str = "") -> list[str]:
        """Return what lies directly below a prefix, sorted, without hidden names.

        Raises
        ------
        StoreError
            If the bucket cannot be listed.
        """
        listed = self._listed(prefix)
        paths = [*listed["common_prefixes"], *(meta["path"] for meta in listed["objects"])]
        names = (path.rpartition("/")[2] for path in paths)
        return sorted(name for name in names if not name.startswith("."))

    def listing(self, prefix: str) -> list[Entry]:
        """Return the objects directly below a prefix, sorted, without hidden names.

        Raises
        ------
        StoreError
            If the bucket cannot be listed.
        """
        entries = (
            Entry(meta["path"].rpartition("/")[2], meta["size"], meta["e_tag"])
            for meta in self._listed(prefix)["objects"]
        )
        return sorted(entry for entry in entries if not entry.name.startswith("."))

    def update(self, key: str, change: Change) -> bool:
        """Replace an object by what `change` makes of its present version.

        Raises
        ------
        StoreConflict
            If other writers were quicker each time.
        CorruptObject
            If `change` finds the present version damaged, twice.
        StoreUnavailable
            If the store does not answer.
        StoreError
            If that is not possible for another reason; the object stays what it was.
        """
        content: bytes | None = None
        n_failed = 0
        for number in range(_N_UPDATES):
            if number:
                _pause(number)
            stored = self.open(key)
            is_like_ours = stored is not None and content and stored.size == len(content)
            if is_like_ours and self.read(key) == content:
                return True  # the answer to our put was lost on its way
            try:
                with nullcontext() if stored is None else stored:
                    parts = change(stored)
                if parts is None:
                    return False
                content = b"".join(parts)
                self._put(key, content, None if stored is None else stored.version)
            except StoreConflict:
                continue
            except (StoreUnavailable, CorruptObject) as error:
                n_failed += 1
                if n_failed == (2 if isinstance(error, CorruptObject) else _N_TRIES):
                    raise
                continue
            self._present.add(key)
            return True
        msg = f"{self.url}/{key}: other writers were quicker {_N_UPDATES} times"
        raise StoreConflict(msg)

    def put_if_absent(self, key: str, content: bytes) -> None:
        """Store an object unless one of that name exists.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        if key not in self._present:
            self.update(key, lambda stored: [content] if stored is None else None)
            self._present.add(key)

    def move(self, key: str, target: str) -> bool:
        """Copy an object to another name and delete it; return whether there was one.

        Raises
        ------
        StoreConflict
            If the object was replaced meanwhile; it stays.
        StoreError
            If it cannot be moved.
        """
        import obstore

        stored, content = self.open(key), self.read(key)
        if stored is None or content is None:
            return False
        self._put(target, content, "")
        now = self.open(key)
        if now is None or now.version != stored.version:
            msg = f"{self.url}/{key}: replaced while it was moved"
            raise StoreConflict(msg)
        self._ask(key, lambda: obstore.delete(self._store, key))
        self._present.discard(key)
        return True

    def sweep(self) -> int:
        """Do nothing: a put leaves all or nothing."""
        return 0

    def _get(self, key: str, options: dict[str, Any]) -> StoredInBucket | None:
        """Ask for an object or a part of it; what came is its tail."""
        import obstore
        from obstore.exceptions import GenericError

        def ask() -> StoredInBucket:
            try:
                result = obstore.get(self._store, key, options=options)
            except GenericError as error:
                if "range" not in options or not _is_without_ranges(error):
                    raise
                whole = {name: text for name, text in options.items() if name != "range"}
                result = obstore.get(self._store, key, options=whole)
            meta, (start, end) = result.meta, result.range
            content = bytes(result.bytes())
            wanted = options.get("range")
            if len(content) != end - start or (isinstance(wanted, tuple) and end < wanted[1]):
                msg = f"{self.url}/{key}: {len(content)} bytes came of {end - start}"
                raise StoreUnavailable(msg)
            return StoredInBucket(self, key, meta["size"], meta["e_tag"], (start, content))

        return self._ask(key, ask)

    def _put(self, key: str, content: bytes, version: str | None) -> None:
        """Write once: over a version, over none (None), or over whatever is there (empty).

        Raises
        ------
        StoreUnavailable
            If the store does not answer; it may have written all the same.
        """
        import obstore

        mode: Any = "overwrite" if version == "" else "create"
        if version:
            mode = {"e_tag": version}
        put = self._ask(
            key,
            lambda: obstore.put(self._store, key, content, mode=mode, use_multipart=False),
            n_tries=1,
        )
        if put is None:
            msg = f"{self.url}/{key}: cannot be written: not found"
            raise StoreUnavailable(msg)

    def _listed(self, prefix: str) -> dict[str, Any]:
        import obstore

        found = self._ask(prefix, lambda: obstore.list_with_delimiter(self._store, prefix or None))
        return found or {"common_prefixes": [], "objects": []}

    def _ask[T](self, key: str, request: Callable[[], T], n_tries: int = _N_TRIES) -> T | None:
        """Make a request, again when the store has trouble; None when nothing is found."""
        from obstore.exceptions import BaseError

        for number in range(1, n_tries + 1):
            try:
                return request()
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise self._failed(key, error) from error
                return None
            except (BaseError, StoreUnavailable) as error:
                failure = self._failed(key, error)
                if number == n_tries or not isinstance(failure, StoreUnavailable):
                    raise failure from error
            _pause(number)
        return None

    def _failed(self, key: str, error: Exception) -> StoreError:
        """Say what a failed request means to us."""
        from obstore import exceptions

        text = str(error).partition("\n")[0].removeprefix("Generic S3 error: ")
        where = f"{self.url}/{key}" if key else self.url
        found = _STATUS.search(text)
        status = int(found[1]) if found else 0
        if isinstance(error, StoreError):
            return error
        if "NoSuchBucket" in str(error):
            return StoreError(f"{self.url}: no such bucket; make it first")
        if _INSTANCE_ROLE in text:
            return StoreError(
                f"{self.url}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            return StoreError(
                f"{where}: not allowed; check AWS_ACCESS_KEY_ID and the bucket's rules"
            )
        is_conflict = isinstance(
            error, exceptions.PreconditionError | exceptions.AlreadyExistsError
        )
        if is_conflict or status == _CONFLICT:
            return StoreConflict(f"{where}: another writer was quicker")
        if _is_refused(status):
            return StoreError(f"{where}: {text}")
        return StoreUnavailable(f"{where}: {text}")


def _is_refused(status: int) -> bool:
    """Tell whether an HTTP status means that asking again changes nothing."""
    return 400 <= status < 500 and status not in {408, 429}


def _is_without_ranges(error: Exception) -> bool:
    """Tell whether a part cannot be had: the object is empty, or the server knows no parts."""
    return "416" in str(error) or "NotPartial" in str(error)


def _pause(number: int) -> None:
    """Wait before trying again: longer each time, and for a random part of that."""
    time.sleep(random.uniform(0.2, 1) * min(_FIRST_PAUSE_S * 2**number, _LONGEST_PAUSE_S))


@lru_cache(maxsize=16)
def _connected(url: str, settings: tuple[tuple[str, str], ...], _process: int) -> "S3Store":
    """Return the one client of a bucket in this process, with its open connections.

    Raises
    ------
    StoreError
        If the URL or the settings cannot be used.
    """
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        msg = f"{url}: not the URL of a bucket; write s3://bucket or s3://bucket/prefix"
        raise StoreError(msg)
    given = dict(settings)
    endpoint = next((given[name] for name in _ENDPOINT_NAMES if given.get(name)), "")
    is_here = urlsplit(endpoint).hostname in _LOOPBACK
    is_allowed = given.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true", "yes"}
    if endpoint.startswith("http://") and not (is_here or is_allowed):
        msg = f"{url}: {endpoint} is not encrypted; use https, or set AWS_ALLOW_HTTP=true"
        raise StoreError(msg)
    try:
        return S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                "allow_http": is_here or is_allowed,
                "connect_timeout": "5s",
                "read_timeout": "30s",
                "timeout": "180s",
            },
            retry_config={"max_retries": 0},
        )
    except BaseError as error:
        msg = f"{url}: cannot be used: {str(error).partition(chr(10))[0]}"
        raise StoreError(msg) from error
