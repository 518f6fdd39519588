"""What is in folders of miniSEED files: found by content, remembered between runs.

A file is scanned once, and again when its size or time of change differs. The index is a small
SQLite database among the user's caches; without it, or when it is damaged, files are scanned anew.
"""

import hashlib
import logging
import mmap
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from geomon.caches import cache_folder
from geomon.ids import SeedId
from geomon.sources.records import HEADER, SIGNATURE_BYTES, Scan, ends, scan
from geomon.times import TimeSpan

logger = logging.getLogger(__name__)

_FORMAT = 1  # changes when the same files give other rows
_BLOCK_BYTES = 1 << 20
_PROBE_BYTES = 1 << 16
_IN_MEMORY_BYTES = 1 << 28  # a mapped file that shrinks would end the process
_QUICK_WALK_S = 0.05
_WALK_PAUSE = 20  # a slower walk is done again after so many times its duration, at the earliest
_FILES_A_COMMIT = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS file (
    path BLOB PRIMARY KEY, size INTEGER, modified_ns INTEGER, problem TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (
    path BLOB, channel TEXT, start_ns INTEGER, end_ns INTEGER, offset INTEGER, length INTEGER
);
CREATE INDEX IF NOT EXISTS block_channel ON block (channel, start_ns);
CREATE INDEX IF NOT EXISTS block_path ON block (path);
"""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring records of one channel in one file, with what damage lies among them."""

    seed_id: SeedId
    span: TimeSpan
    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _File:
    """What a scan found in one file."""

    blocks: tuple[Block, ...] = ()
    problem: str = ""


class FileIndex:
    """The miniSEED files below some folders.

    Safe to share between threads; several processes may share the database.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._lock = threading.Lock()
        self._walked_at = float("-inf")
        self._walk_took_s = 0.0
        self._database = _opened(self._paths)

    def refresh(self) -> None:
        """Scan files that are new or changed, and forget those gone."""
        with self._lock:
            begun = time.monotonic()
            pause_s = _WALK_PAUSE * self._walk_took_s
            if self._walk_took_s > _QUICK_WALK_S and begun < self._walked_at + pause_s:
                return
            self._update()
            self._walked_at = time.monotonic()
            self._walk_took_s = self._walked_at - begun

    def _update(self) -> None:
        known = {
            path: (size, modified_ns)
            for path, size, modified_ns in self._all("SELECT path, size, modified_ns FROM file")
        }
        n_scanned = 0
        for path, state in _files_below(self._paths):
            key = os.fsencode(path)
            if known.pop(key, None) == (state.st_size, state.st_mtime_ns):
                continue
            self._enter(key, state, _scan_file(path, state))
            n_scanned += 1
            if n_scanned % _FILES_A_COMMIT == 0:
                self._database.commit()
        for key in known:
            self._forget(key)
        self._database.commit()

    def _enter(self, key: bytes, state: os.stat_result, found: _File) -> None:
        self._forget(key)
        self._database.execute(
            "INSERT INTO file VALUES (?, ?, ?, ?)",
            (key, state.st_size, state.st_mtime_ns, found.problem),
        )
        self._database.executemany(
            "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)",
            [
                (key, str(b.seed_id), b.span.start_ns, b.span.end_ns, b.offset, b.length)
                for b in found.blocks
            ],
        )

    def _forget(self, key: bytes) -> None:
        self._database.execute("DELETE FROM block WHERE path = ?", (key,))
        self._database.execute("DELETE FROM file WHERE path = ?", (key,))

    def _all(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with closing(self._database.execute(query, values)) as cursor:
            return cursor.fetchall()

    def blocks(self, seed_ids: Iterable[SeedId], span: TimeSpan) -> list[Block]:
        """Return the blocks of some channels that touch a span, in (file, offset) order."""
        found: list[Block] = []
        with self._lock:
            for seed_id in sorted(set(seed_ids)):
                rows = self._all(
                    "SELECT path, start_ns, end_ns, offset, length FROM block"
                    " WHERE channel = ? AND start_ns < ? AND end_ns > ?",
                    (str(seed_id), span.end_ns, span.start_ns),
                )
                for path, start_ns, end_ns, offset, length in rows:
                    where = Path(os.fsdecode(path))
                    found.append(Block(seed_id, TimeSpan(start_ns, end_ns), where, offset, length))
        return sorted(found, key=lambda block: (block.path, block.offset))

    def spans(self) -> dict[SeedId, TimeSpan]:
        """Return the first and last time of each channel found."""
        with self._lock:
            rows = self._all(
                "SELECT channel, min(start_ns), max(end_ns) FROM block GROUP BY channel"
            )
        spans = {SeedId.parse(name): TimeSpan(start, end) for name, start, end in rows}
        return dict(sorted(spans.items()))

    def problems(self, paths: Iterable[Path]) -> list[str]:
        """Return what is wrong with some files, one line for each that is damaged."""
        keys = [os.fsencode(path) for path in sorted(set(paths))]
        with self._lock:
            found = [self._all("SELECT problem FROM file WHERE path = ?", (key,)) for key in keys]
        return [problem for rows in found for (problem,) in rows if problem]


def _opened(paths: Sequence[Path]) -> sqlite3.Connection:
    """Open the index of some folders; one in memory where it cannot be kept."""
    named = hashlib.sha256(repr((_FORMAT, sorted(map(str, paths)))).encode()).hexdigest()[:24]
    file = cache_folder("files") / f"{named}.sqlite"
    for _ in range(2):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            return _with_tables(str(file))
        except (OSError, sqlite3.OperationalError) as error:  # no place, or locked
            logger.warning("%s: files are scanned anew each time: %s", file, error)
            break
        except sqlite3.DatabaseError:
            file.unlink(missing_ok=True)
    return _with_tables(":memory:")


def _with_tables(place: str) -> sqlite3.Connection:
    database = sqlite3.connect(place, timeout=60, check_same_thread=False)
    database.execute("PRAGMA synchronous = OFF")  # what is lost is scanned again
    database.executescript(_TABLES)
    return database


def _files_below(paths: Sequence[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every regular file once, in order; hidden ones are left alone."""
    seen: set[Path] = set()
    for top in paths:
        for path in [top] if top.is_file() else _names_below(top):
            if path in seen:
                continue
            seen.add(path)
            try:
                state = path.stat()
            except OSError as error:
                logger.warning("%s: %s", path, error.strerror)
                continue
            if stat.S_ISREG(state.st_mode):
                yield path, state


def _names_below(top: Path) -> Iterator[Path]:
    """Yield what is in a folder, in order; links are followed, but none in a circle."""
    visited: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(top, followlinks=True):
        state = Path(folder).stat()
        here = (state.st_dev, state.st_ino)
        if here in visited:
            folders.clear()
            continue
        visited.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _scan_file(path: Path, state: os.stat_result) -> _File:
    if state.st_size < SIGNATURE_BYTES:
        return _File()
    try:
        with path.open("rb") as file:
            if HEADER.search(file.read(_PROBE_BYTES)) is None:
                return _File()
            file.seek(0)
            found = scan(file.read()) if state.st_size <= _IN_MEMORY_BYTES else _scan_large(file)
    except (OSError, ValueError) as error:
        logger.warning("%s: cannot be read: %s", path, error)
        return _File(problem=f"{path}: cannot be read: {error}")
    if not len(found.records):
        return _File()
    damaged = found.n_junk_bytes + sum(found.rejected.values())
    problem = f"{path}: damaged; {_summary(found)}" if damaged else ""
    if problem:
        logger.warning("%s", problem)
    return _File(tuple(_blocks(found, path, state.st_size)), problem)


def _scan_large(file: BinaryIO) -> Scan:
    with (
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        return scan(view)


def _summary(found: Scan) -> str:
    parts = [f"{count} x {reason}" for reason, count in sorted(found.rejected.items()) if count]
    if found.n_junk_bytes:
        parts.append(f"{found.n_junk_bytes} bytes belong to no record")
    return ", ".join(parts)


def _blocks(found: Scan, path: Path, size: int) -> Iterator[Block]:
    """Group neighbouring records of one channel into stretches read at once."""
    records = found.records
    offsets, channels = records["offset"].tolist(), records["channel"].tolist()
    start_ns, end_ns = records["start_ns"], ends(records)
    begin = 0
    for index in range(1, len(records) + 1):
        at_end = index == len(records)
        if (
            at_end
            or channels[index] != channels[begin]
            or offsets[index] - offsets[begin] > _BLOCK_BYTES
        ):
            # Damaged bytes go with the block before them, those at the start with the first one.
            start = offsets[begin] if begin else 0
            end = size if at_end else offsets[index]
            span = TimeSpan(int(start_ns[begin:index].min()), int(end_ns[begin:index].max()))
            yield Block(found.seed_ids[channels[begin]], span, path, start, end - start)
            begin = index
