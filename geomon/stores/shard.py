"""One station-day's object: a Zarr v3 shard with a day record inside.

::

    inner chunks    pcodec, each followed by its CRC-32C; all rows of the first minutes, then on
    extras          pcodec and CRC-32C likewise, but not named by the shard index
    origins         JSON, see `geomon.stores.dayrecord`
    layout          JSON likewise
    trailer         magic, length and CRC-32C of layout and origins
    shard index     offset and length of each inner chunk (Zarr), CRC-32C

Any Zarr v3 library with pcodec reads the inner chunks; to it the rest is unused space, which the
specification allows (Zarr codec ``sharding_indexed`` 1.0). One object holds data and record, so
replacing it changes both at once.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from geomon.errors import CorruptObject
from geomon.stores.codec import decompress_into, for_each
from geomon.stores.dayrecord import DayRecord, Extra, GridRun, Origins
from geomon.stores.layout import N_ROWS, Series, row_of
from geomon.stores.objects import StoredObject

_MAGIC = b"geomon01"
_TRAILER = struct.Struct("<8sIIII")
_CRC = struct.Struct("<I")
_MISSING = 2**64 - 1
_TAIL_GUESS = 8192  # bytes of layout fetched together with the index

ChunkKey = tuple[int, int]  # row, chunk in the day


class DayObject:
    """A station-day's object, open for reading.

    Parameters
    ----------
    stored : StoredObject
        The object; stays open until it is closed by its opener.
    series : Series
        What the object's folder says it holds.
    day : date
        What the object's name says it holds.

    Raises
    ------
    CorruptObject
        If index or record are damaged, or speak of another station-day.
    """

    def __init__(self, stored: StoredObject, series: Series, day: date) -> None:
        self.series = series
        self.day = day
        self._stored = stored
        self._recent: tuple[ChunkKey, NDArray[Any]] | None = None
        n_index = N_ROWS * series.n_chunks * 16
        n_fixed = _TRAILER.size + n_index + _CRC.size
        tail = stored.read(max(0, stored.size - n_fixed - _TAIL_GUESS), n_fixed + _TAIL_GUESS)
        if len(tail) < n_fixed:
            raise self.damaged("too short")
        index = tail[-n_index - _CRC.size : -_CRC.size]
        if google_crc32c.value(index) != _CRC.unpack(tail[-_CRC.size :])[0]:
            raise self.damaged("shard index: checksum wrong")
        self.index = np.frombuffer(index, "<u8").reshape(N_ROWS, series.n_chunks, 2)
        magic, n_layout, crc, self._n_origins, self._origins_crc = _TRAILER.unpack_from(
            tail, len(tail) - n_fixed
        )
        if magic != _MAGIC:
            raise self.damaged("day record: not found")
        self._layout_start = stored.size - n_fixed - n_layout
        if self._layout_start < self._n_origins:
            raise self.damaged("day record: lengths wrong")
        if n_layout <= len(tail) - n_fixed:
            layout = tail[-n_fixed - n_layout : -n_fixed]
        else:
            layout = stored.read(self._layout_start, n_layout)
        if google_crc32c.value(layout) != crc:
            raise self.damaged("day record: checksum wrong")
        try:
            self.record = DayRecord.from_bytes(layout)
        except ValueError as error:
            raise self.damaged(f"day record: {error}") from error
        if (self.record.series, self.record.day) != (series, day):
            found = f"{self.record.series.folder} {self.record.day}"
            raise self.damaged(f"day record: belongs to {found}")

    @property
    def n_bytes(self) -> int:
        """Size of the object."""
        return self._stored.size

    @property
    def version(self) -> str:
        """Version of the object, as its store names it."""
        return self._stored.version

    def damaged(self, what: str) -> CorruptObject:
        """Return the error that names this object and what is wrong with it."""
        return CorruptObject(
            f"{self.series.stream_id} {self.day}: object {self._stored.key} is damaged: {what}"
        )

    def origins(self) -> Origins:
        """Return which request brought which samples.

        Raises
        ------
        CorruptObject
            If the list is damaged.
        """
        content = self._stored.read(self._layout_start - self._n_origins, self._n_origins)
        if google_crc32c.value(content) != self._origins_crc:
            raise self.damaged("origins: checksum wrong")
        try:
            return Origins.from_bytes(content)
        except ValueError as error:
            raise self.damaged(f"origins: {error}") from error

    def chunks(self, keys: Iterable[ChunkKey]) -> dict[ChunkKey, bytes]:
        """Return the stored bytes of inner chunks, without those that hold no sample.

        Raises
        ------
        CorruptObject
            If the index points outside the object.
        """
        return {key: self._stored.read(*place) for key, place in self._places(keys).items()}

    def checksums(self, keys: Iterable[ChunkKey]) -> dict[ChunkKey, bytes]:
        """Return the stored CRC-32C of inner chunks, without those that hold no sample.

        Raises
        ------
        CorruptObject
            If the index points outside the object.
        """
        return {
            key: self._stored.read(offset + size - _CRC.size, _CRC.size)
            for key, (offset, size) in self._places(keys).items()
        }

    def extra_checksum(self, extra: Extra) -> bytes:
        """Return the stored CRC-32C of an extra."""
        return self._stored.read(extra.offset + extra.n_bytes - _CRC.size, _CRC.size)

    def _places(self, keys: Iterable[ChunkKey]) -> dict[ChunkKey, tuple[int, int]]:
        """Offset and size of the chunks that are stored."""
        places: dict[ChunkKey, tuple[int, int]] = {}
        for key in keys:
            offset, size = (int(number) for number in self.index[key])
            if offset == _MISSING and size == _MISSING:
                continue
            if offset + size > self._layout_start:
                raise self.damaged(f"shard index: chunk {key} lies outside")
            places[key] = (offset, size)
        self._stored.expect(places.values())
        return places

    def read_runs(self, jobs: Sequence[tuple[GridRun, int, int, NDArray[Any]]]) -> None:
        """Fill arrays with samples [first, last) of runs in the array.

        Raises
        ------
        CorruptObject
            If a chunk fails its checksum.
        """
        size = self.series.chunk_samples
        parts: dict[ChunkKey, list[tuple[int, int, NDArray[Any]]]] = {}
        for run, first, last, samples in jobs:
            row = row_of(run.component)
            start, end = run.position + first, run.position + last
            for chunk in range(start // size, -(-end // size)):
                low, high = max(start, chunk * size), min(end, (chunk + 1) * size)
                target = samples[low - start : high - start]
                parts.setdefault((row, chunk), []).append(
                    (low - chunk * size, high - chunk * size, target)
                )
        places = self._places(parts)

        def fill(key: ChunkKey) -> None:
            targets = parts[key]
            if key not in places:
                for _, _, target in targets:
                    target[:] = self.series.fill
                return
            low, high, whole = targets[0]
            if not (len(targets) == 1 and high - low == size and whole.flags.c_contiguous):
                whole = np.empty(size, self.series.dtype)
                n_wanted = max(high for _, high, _ in targets)
            else:
                n_wanted = size
            try:
                decompress_into(self._stored.read(*places[key]), whole, n_wanted)
            except ValueError as error:
                raise self.damaged(f"chunk {key}: {error}") from error
            for low, high, target in targets:
                if target is not whole:
                    target[:] = whole[low:high]

        for_each(fill, list(parts))

    def read_run(self, run: GridRun, first: int, last: int) -> NDArray[Any]:
        """Return samples [first, last) of a run in the array.

        Short reads one behind the other unpack their chunk once. What is returned is not to be
        changed.

        Raises
        ------
        CorruptObject
            If a chunk fails its checksum.
        """
        size = self.series.chunk_samples
        chunk, start = divmod(run.position + first, size)
        end = start + last - first
        if end > size or end - start == size:
            samples = np.empty(last - first, self.series.dtype)
            self.read_runs([(run, first, last, samples)])
            return samples
        key = (row_of(run.component), chunk)
        if self._recent is None or self._recent[0] != key:
            whole = np.empty(size, self.series.dtype)
            self.read_runs([(GridRun(run.component, 0, size, chunk * size), 0, size, whole)])
            self._recent = (key, whole)
        return self._recent[1][start:end]

    def read_extra(self, extra: Extra) -> NDArray[Any]:
        """Return the samples of an extra.

        Raises
        ------
        CorruptObject
            If it fails its checksum.
        """
        samples = np.empty(extra.n_samples, self.series.dtype)
        try:
            decompress_into(self._stored.read(extra.offset, extra.n_bytes), samples)
        except ValueError as error:
            raise self.damaged(f"extra at {extra.offset}: {error}") from error
        return samples

    def check(self) -> None:
        """Read everything.

        Raises
        ------
        CorruptObject
            If any byte of the object is not what was written.
        """
        self.origins()
        size = self.series.chunk_samples
        keys = [(row, chunk) for chunk in range(self.series.n_chunks) for row in range(N_ROWS)]
        stored = self.chunks(keys)
        n_bytes = sum(len(content) for content in stored.values())
        scratch = np.empty(size, self.series.dtype)
        for key, content in stored.items():
            try:
                decompress_into(content, scratch)
            except ValueError as error:
                raise self.damaged(f"chunk {key}: {error}") from error
        for extra in self.record.extras:
            self.read_extra(extra)
            n_bytes += extra.n_bytes
        if n_bytes + self._n_origins != self._layout_start:
            raise self.damaged("holds bytes that belong to nothing")


def encode_shard(
    series: Series,
    chunks: Mapping[ChunkKey, bytes],
    extras: Sequence[bytes],
    layout: Callable[[Sequence[int]], bytes],
    origins: bytes,
) -> list[bytes]:
    """Put the bytes of a station-day's object together, as parts to be written in order.

    Parameters
    ----------
    series : Series
        What the object belongs to.
    chunks : mapping
        Compressed inner chunks by (row, chunk); those without samples are absent.
    extras : sequence of bytes
        Compressed extras.
    layout : callable
        Given the offset of each extra, returns the layout text.
    origins : bytes
        Origins text.
    """
    index = np.full((N_ROWS, series.n_chunks, 2), _MISSING, "<u8")
    parts: list[bytes] = []
    offset = 0
    for key in sorted(chunks, key=lambda key: (key[1], key[0])):
        index[key] = (offset, len(chunks[key]))
        parts.append(chunks[key])
        offset += len(chunks[key])
    offsets = []
    for content in extras:
        offsets.append(offset)
        parts.append(content)
        offset += len(content)
    text = layout(offsets)
    trailer = _TRAILER.pack(
        _MAGIC,
        len(text),
        google_crc32c.value(text),
        len(origins),
        google_crc32c.value(origins),
    )
    index_bytes = index.tobytes()
    checksum = _CRC.pack(google_crc32c.value(index_bytes))
    return [*parts, origins, text, trailer, index_bytes, checksum]
