"""Everything the stores of a network hold, as comparable values."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from geomon.config import Config
from geomon.stores.archive import Archive
from geomon.times import TimeSpan


def archive_content(config: Config) -> dict[str, str]:
    """Return the hash of every archived object, by name."""
    root = Path(config.archive.url)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }


def archived_samples(config: Config, span: TimeSpan) -> list[tuple[str, int, str]]:
    """Return channel, start and hash of every archived segment of a span."""
    archive = Archive.open(config.archive.url, create=False)
    return [
        (str(segment.seed_id), segment.start_ns, hashlib.sha256(segment.samples).hexdigest())
        for stream in archive.streams()
        for segment in archive.read_stream(stream, span).segments
    ]


def catalog_content(config: Config) -> list[str]:
    """Return the catalogue's database as SQL text."""
    path = config.catalog.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())
