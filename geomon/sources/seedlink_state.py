"""The file that remembers how far each SeedLink station has been archived.

For every server: the number of the last packet of each station, by which the server goes on, and
a hash of that packet, by which its numbers are known to be the same. For every channel: the time
up to which it was received from any server, by which another server, or one that has lost count,
goes on.

The file is replaced whole, after its content is on disk. It may be older than the archive, never
newer: packets are then received twice, which changes nothing.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geomon.errors import DataError, SourceUnavailable
from geomon.ids import SeedId, StationId
from geomon.times import format_ns, parse_time

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Position:
    """A packet up to which a station is archived: its number, the protocol it counts in, a hash."""

    sequence: int
    version: int
    digest: str


@dataclass(slots=True)
class Progress:
    """How far everything has been archived.

    `positions` by server and station; `received_ns`, the end of what was received, by channel.
    """

    positions: dict[str, dict[StationId, Position]] = field(default_factory=dict)
    received_ns: dict[SeedId, int] = field(default_factory=dict)


class StateFile:
    """A `Progress` on disk.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Hold the right to collect into this file; yields False when another process has it.

        Raises
        ------
        SourceUnavailable
            If the folder of the file cannot be written to.
        """
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            msg = f"{self.path}: cannot be written: {error.strerror}"
            raise SourceUnavailable(msg) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            for left_behind in self.path.parent.glob(f".{self.path.name}-*"):
                left_behind.unlink(missing_ok=True)  # by a process that was killed
            yield True
        finally:
            os.close(descriptor)

    def read(self) -> Progress:
        """Read the file; one that does not exist knows nothing.

        Raises
        ------
        DataError
            If it is there and cannot be read.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return _progress(content)
        except FileNotFoundError:
            return Progress()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f"{self.path}: cannot be read as SeedLink state: {error}"
            raise DataError(msg) from error

    def update(self, change: Callable[[Progress], None]) -> None:
        """Change what the file says, durably: it says the old or the new, whatever happens.

        A file that cannot be read is replaced.

        Raises
        ------
        SourceUnavailable
            If the file cannot be written.
        """
        try:
            progress = self.read()
        except DataError:
            progress = Progress()
        change(progress)
        text = json.dumps(_content(progress), indent=1, sort_keys=True)
        try:
            self._replace(text.encode())
        except OSError as error:
            msg = f"{self.path}: cannot be written: {error.strerror}"
            raise SourceUnavailable(msg) from error

    def _replace(self, content: bytes) -> None:
        folder = self.path.parent
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{self.path.name}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _content(progress: Progress) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "servers": {
            server: {
                str(station_id): {
                    "sequence": position.sequence,
                    "protocol": position.version,
                    "digest": position.digest,
                }
                for station_id, position in positions.items()
            }
            for server, positions in progress.positions.items()
        },
        "received": {str(s): format_ns(time_ns) for s, time_ns in progress.received_ns.items()},
    }


def _progress(content: Mapping[str, Any]) -> Progress:
    if content["format"] != _FORMAT:
        msg = f"format {content['format']} is not known"
        raise DataError(msg)
    positions = {
        server: {
            StationId.parse(name): Position(
                int(p["sequence"]), int(p["protocol"]), str(p["digest"])
            )
            for name, p in stations.items()
        }
        for server, stations in content["servers"].items()
    }
    received_ns = {SeedId.parse(name): parse_time(t) for name, t in content["received"].items()}
    return Progress(positions, received_ns)
