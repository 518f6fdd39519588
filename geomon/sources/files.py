"""Folders of miniSEED files as a source: found by content, indexed by reading headers once."""

import hashlib
import logging
import mmap
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from geomon.config import FilesSource as Settings
from geomon.config import Network
from geomon.errors import ConfigError
from geomon.ids import SeedId
from geomon.sources.base import Fetched, Outcome, chosen, holes
from geomon.sources.miniseed import decode
from geomon.sources.records import HEADER, SIGNATURE_BYTES, Scan, ends, scan
from geomon.sources.stationfile import StationFile, read_station_file
from geomon.stations import Stations
from geomon.times import TimeSpan
from geomon.waveforms import Provenance

logger = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 20
_PROBE_BYTES = 1 << 16
_IN_MEMORY_BYTES = 1 << 28  # a mapped file that shrinks would end the process


@dataclass(frozen=True, slots=True)
class _Block:
    """Neighbouring records of one channel in one file, with what damage lies among them."""

    seed_id: SeedId
    span: TimeSpan
    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _File:
    """The index of one file as it was when scanned."""

    size: int
    modified_ns: int
    blocks: tuple[_Block, ...] = ()
    problem: str = ""


class FilesSource:
    """A `WaveformSource` over files and folders of miniSEED 2 and 3.

    File names do not matter. Files may grow and appear while the source is in use; damaged ones
    are read around the damage and named in `Fetched.problems`.

    Parameters
    ----------
    settings : config.FilesSource
        Where to look.
    network : config.Network
        Which stations and channels; its station file is needed.

    Raises
    ------
    ConfigError
        If a path does not exist, or there is no station file.
    StationMetadataError
        If the station file cannot be read.
    """

    def __init__(self, settings: Settings, network: Network) -> None:
        if network.stations is None:
            msg = (
                "network.stations is missing: miniSEED files do not say where stations are; "
                "name a StationXML or CSV file"
            )
            raise ConfigError(msg)
        for path in settings.paths:
            if not path.exists():
                msg = f"source.paths: {path} does not exist"
                raise ConfigError(msg)
        self.settings = settings
        self.network = network
        self._station_file: StationFile = read_station_file(network.stations)
        self._files: dict[Path, _File] = {}
        self._lock = threading.Lock()

    def stations(self, span: TimeSpan) -> Stations:
        """Return the stations of the network's file, with the channels found in the recordings."""
        del span  # the file knows all epochs
        seed_ids = {block.seed_id for block in self._index()}
        return chosen(self._station_file.with_channels(seed_ids), self.network)

    def spans(self) -> dict[SeedId, TimeSpan]:
        """Return the first and last time of each channel found."""
        found: dict[SeedId, TimeSpan] = {}
        for block in self._index():
            known = found.get(block.seed_id, block.span)
            found[block.seed_id] = TimeSpan(
                min(known.start_ns, block.span.start_ns), max(known.end_ns, block.span.end_ns)
            )
        return dict(sorted(found.items()))

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Read some channels in one span; see `WaveformSource.fetch`.

        Damage in a file is a problem and a hole, not a failure: reading again mends nothing.
        """
        wanted = sorted(set(seed_ids))
        blocks = [b for b in self._index() if b.seed_id in set(wanted) and b.span.overlaps(span)]
        blocks.sort(key=lambda block: (block.path, block.offset))
        digest = hashlib.sha256()
        buffers: list[bytes] = []
        problems = [
            known.problem
            for path, known in sorted(self._files.items())
            if known.problem and path in {block.path for block in blocks}
        ]
        outcome: Outcome = "data"
        for block in blocks:
            try:
                with block.path.open("rb") as file:
                    file.seek(block.offset)
                    content = file.read(block.length)
            except OSError as error:
                problems.append(f"{block.path}: cannot be read: {error.strerror}")
                outcome = "network"
                continue
            digest.update(content)
            buffers.append(content)
        decoded = decode(*buffers, allowed=frozenset(wanted), span=span)
        names = ", ".join(dict.fromkeys(block.path.name for block in blocks))
        problems += [f"{line} (in {names[:300]})" for line in decoded.problems]
        if not decoded.segments and outcome == "data":
            outcome = "nodata"
        asked = ",".join(str(seed_id) for seed_id in wanted)
        return Fetched(
            outcome=outcome,
            segments=decoded.segments,
            provenance=Provenance("files", f"{asked} {span}", digest.hexdigest()),
            n_bytes=sum(len(content) for content in buffers),
            problems=tuple(problems),
            missing=holes(decoded.segments, wanted, span),
            unchecked=decoded.unchecked,
            timing_quality=decoded.timing_quality,
        )

    def _index(self) -> list[_Block]:
        """Scan files that are new or changed since the last time; forget those gone."""
        with self._lock:
            seen: dict[Path, _File] = {}
            for path, state in _files_below(self.settings.paths):
                known = self._files.get(path)
                current = (known.size, known.modified_ns) if known else None
                if known is None or current != (state.st_size, state.st_mtime_ns):
                    known = _scan_file(path, state)
                seen[path] = known
            self._files = seen
            return [block for file in seen.values() for block in file.blocks]


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
    empty = _File(state.st_size, state.st_mtime_ns)
    if state.st_size < SIGNATURE_BYTES:
        return empty
    try:
        with path.open("rb") as file:
            if HEADER.search(file.read(_PROBE_BYTES)) is None:
                return empty
            file.seek(0)
            found = scan(file.read()) if state.st_size <= _IN_MEMORY_BYTES else _scan_large(file)
    except (OSError, ValueError) as error:
        logger.warning("%s: cannot be read: %s", path, error)
        return _File(state.st_size, state.st_mtime_ns, problem=f"{path}: cannot be read: {error}")
    if not len(found.records):
        return empty
    damaged = found.n_junk_bytes + sum(found.rejected.values())
    problem = f"{path}: damaged; {_summary(found)}" if damaged else ""
    if problem:
        logger.warning("%s", problem)
    blocks = tuple(_blocks(found, path, state.st_size))
    return _File(state.st_size, state.st_mtime_ns, blocks, problem)


def _scan_large(file: BinaryIO) -> Scan:
    with (
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        return scan(view)


def _summary(found: Scan) -> str:
    parts = [f"{count} x {reason}" for reason, count in sorted(found.rejected.items())]
    if found.n_junk_bytes:
        parts.append(f"{found.n_junk_bytes} bytes belong to no record")
    return ", ".join(parts)


def _blocks(found: Scan, path: Path, size: int) -> Iterator[_Block]:
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
            yield _Block(found.seed_ids[channels[begin]], span, path, start, end - start)
            begin = index
