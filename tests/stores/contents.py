"""An archive's objects behind its back, in a folder and in a bucket."""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from hypothesis import HealthCheck, settings
from obstore.store import S3Store

from geomon.stores.archive import Archive


def contents(archive: Archive) -> dict[str, bytes]:
    """All objects of an archive by name, without hidden ones."""
    return {key: found for key, found in all_contents(archive).items() if "/." not in f"/{key}"}


def all_contents(archive: Archive) -> dict[str, bytes]:
    """All objects of an archive by name."""
    if is_remote(archive):
        store = _bucket(archive)
        keys = [meta["path"] for batch in obstore.list(store) for meta in batch]
        return {key: bytes(obstore.get(store, key).bytes()) for key in sorted(keys)}
    root = Path(archive.url)
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def days(archive: Archive) -> dict[str, bytes]:
    """Station-days' objects by name."""
    return {key: found for key, found in contents(archive).items() if "/c/0/" in key}


def put(archive: Archive, key: str, content: bytes | None) -> None:
    """Replace an object behind the archive's back, or remove it."""
    if is_remote(archive):
        if content is None:
            obstore.delete(_bucket(archive), key)
        else:
            obstore.put(_bucket(archive), key, content)
        return
    path = Path(archive.url, key)
    if content is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def is_remote(archive: Archive) -> bool:
    """Tell whether an archive lies in a bucket."""
    return archive.url.startswith("s3://")


def _bucket(archive: Archive) -> S3Store:
    parts = urlsplit(archive.url)
    options = {"allow_http": True}
    return S3Store(parts.netloc, prefix=parts.path.strip("/"), client_options=options)


def digest(archive: Archive) -> str:
    """SHA-256 over the names and bytes of all objects of an archive, without hidden ones."""
    total = hashlib.sha256()
    for key, content in contents(archive).items():
        total.update(key.encode() + b"\0" + hashlib.sha256(content).digest())
    return total.hexdigest()


def examples(n: int) -> settings:
    """Settings of a property test: `n` examples, or GEOMON_TEST_EXAMPLES where that is set."""
    return settings(
        max_examples=int(os.environ.get("GEOMON_TEST_EXAMPLES", str(n))),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
