"""Read the headers of many miniSEED records at once, where they differ only in time and length.

Continuous recordings are long rows of records of one channel. Reading such headers in compiled
loops is a hundred times faster than one by one; whatever looks different in any way ends the row
and is left to the reader of single records.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import int64, njit, uint32, uint64
from numpy.typing import NDArray

UNKNOWN_QUALITY = 255

_V2_FIXED_BYTES = 48
_V3_FIXED_BYTES = 40
_NS_PER_DAY = 86_400_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Headers of similar records that follow each other, all arrays of shape (n,).

    Attributes
    ----------
    offset, length : array of int64
        Where each record is and its size, bytes.
    start_ns : array of int64
        Nanoseconds since 1970.
    n_samples : array of int64
        As claimed, unchecked.
    timing_quality : array of uint8
        Percent, `UNKNOWN_QUALITY` where the record does not say.
    """

    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    timing_quality: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offset)

    @classmethod
    def _of(cls, max_rows: int) -> "Rows":
        offset, length, start_ns, n_samples = np.empty((4, max_rows), np.int64)
        timing_quality = np.full(max_rows, UNKNOWN_QUALITY, np.uint8)
        return cls(offset, length, start_ns, n_samples, timing_quality)

    def _first(self, n_rows: int) -> "Rows":
        return Rows(
            self.offset[:n_rows], self.length[:n_rows], self.start_ns[:n_rows],
            self.n_samples[:n_rows], self.timing_quality[:n_rows],
        )  # fmt: skip


def similar_v2(view: memoryview, offset: int, length: int, max_rows: int) -> Rows:
    """Read the headers that follow a miniSEED 2 record and are like its own.

    Parameters
    ----------
    view : memoryview
        The bytes.
    offset, length : int
        Where the record is, already found sound, and its size in bytes, which all share.
    max_rows : int
        Most records to look at.

    Notes
    -----
    The last record of the row is not part of the answer: what follows it has to be looked at.
    Channel, rate, encoding and layout equal those of the first; records with a time correction or
    with blockettes other than 1000 and 1001 are not read here (SEED 2.4, chapter 8).
    """
    at = offset + length
    rows = Rows._of(min((len(view) - at) // length, max_rows))
    if not len(rows):
        return rows
    is_big = 1900 <= struct.unpack_from(">H", view, offset + 20)[0] <= 2100
    layout = _layout_v2(view[offset : offset + length], ">" if is_big else "<")
    if layout is None:
        return rows._first(0)
    constant, microseconds_at = layout
    n_rows = _read_v2(
        np.frombuffer(view, np.uint8), offset, length, constant, microseconds_at, is_big,
        rows.start_ns, rows.n_samples, rows.timing_quality,
    )  # fmt: skip
    rows.offset[:] = at + length * np.arange(len(rows))
    rows.length[:] = length
    return rows._first(max(n_rows - 1, 0))


def similar_v3(view: memoryview, offset: int, length: int, max_rows: int) -> Rows:
    """Read the headers that follow a miniSEED 3 record and are like its own.

    Parameters
    ----------
    view, offset, length, max_rows
        As for `similar_v2`, but records may differ in length.

    Notes
    -----
    Records are whole by their CRC-32C (miniSEED 3, FDSN 2023). Those with other extra headers than
    the first, byte for byte, are not read here.
    """
    rows = Rows._of(min((len(view) - offset - length) // _V3_FIXED_BYTES, max_rows))
    n_rows = _read_v3(
        np.frombuffer(view, np.uint8), offset, length, _CRC_TABLES,
        rows.offset, rows.length, rows.start_ns, rows.n_samples,
    )  # fmt: skip
    return rows._first(n_rows)


def _layout_v2(record: memoryview, order: str) -> tuple[NDArray[np.int64], int] | None:
    """Return the header bytes that must not differ, and where microseconds are (or -1)."""
    constant = [*range(6, 20), *range(32, 36), 39, *range(44, 48)]
    microseconds_at = -1
    has_length = False
    data_at, at = struct.unpack_from(f"{order}HH", record, 44)
    while at:
        if not _V2_FIXED_BYTES <= at <= min(data_at, len(record)) - 8:
            return None
        kind, following = struct.unpack_from(f"{order}HH", record, at)
        if kind == 1000:
            constant += range(at, at + 8)
            has_length = True
        elif kind == 1001:
            constant += range(at, at + 4)
            microseconds_at = at + 5
        else:
            return None
        if following and following <= at:
            return None
        at = following
    return (np.array(constant), microseconds_at) if has_length else None


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _days_before(year: int, day: int) -> int:
    """Days from 1970-01-01 to day `day`, counted from 1, of a year from 1950 to 2100."""
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400 - 477
    return 365 * (year - 1970) + leap_days + day - 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_time(year: int, day: int, hour: int, minute: int, second: int) -> bool:
    is_leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    return (
        1950 <= year <= 2100
        and 1 <= day <= 365 + is_leap
        and hour < 24
        and minute < 60
        and second <= 60
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read_v2(
    view: NDArray[np.uint8],
    first: int,
    length: int,
    constant: NDArray[np.int64],
    microseconds_at: int,
    is_big: bool,
    start_ns: NDArray[np.int64],
    n_samples: NDArray[np.int64],
    timing_quality: NDArray[np.uint8],
) -> int:
    """Fill the arrays; return how many headers are like the first one."""
    high, low = (0, 1) if is_big else (1, 0)
    for row in range(len(start_ns)):
        at = first + (row + 1) * length
        for byte in range(6):  # a sequence number, or nothing
            digit = view[at + byte]
            if not (48 <= digit <= 57 or digit == 32 or digit == 0):
                return row
        for byte in constant:
            if view[at + byte] != view[first + byte]:
                return row
        if view[at + 40] or view[at + 41] or view[at + 42] or view[at + 43]:
            return row
        year = int64(view[at + 20 + high]) * 256 + int64(view[at + 20 + low])
        day = int64(view[at + 22 + high]) * 256 + int64(view[at + 22 + low])
        hour, minute = int64(view[at + 24]), int64(view[at + 25])
        second = int64(view[at + 26])
        fraction = int64(view[at + 28 + high]) * 256 + int64(view[at + 28 + low])
        if not _is_time(year, day, hour, minute, second) or fraction >= 10_000:
            return row
        seconds = (hour * 60 + minute) * 60 + second
        time_ns = _days_before(year, day) * _NS_PER_DAY + seconds * 1_000_000_000
        time_ns += fraction * 100_000
        if microseconds_at >= 0:
            time_ns += int64(np.int8(view[at + microseconds_at])) * 1_000
            timing_quality[row] = view[at + microseconds_at - 1]
        start_ns[row] = time_ns
        n_samples[row] = int64(view[at + 30 + high]) * 256 + int64(view[at + 30 + low])
    return len(start_ns)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _little(view: NDArray[np.uint8], at: int, n_bytes: int) -> Any:  # noqa: ANN401 - int64
    number = int64(0)
    for byte in range(n_bytes):
        number |= int64(view[at + byte]) << (8 * byte)
    return number


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read_v3(
    view: NDArray[np.uint8],
    first: int,
    first_length: int,
    tables: NDArray[np.uint32],
    offset: NDArray[np.int64],
    length: NDArray[np.int64],
    start_ns: NDArray[np.int64],
    n_samples: NDArray[np.int64],
) -> int:
    """Fill the arrays; return how many whole records are like the first one."""
    n_head = 40 + int64(view[first + 33]) + _little(view, first + 34, 2)
    at = first + first_length
    for row in range(len(offset)):
        if at + n_head > len(view):
            return row
        for byte in range(n_head):
            # May differ: time (4–14), number of samples and CRC (24–32), data length (36–40).
            is_constant = byte < 4 or 14 < byte < 24 or 32 <= byte < 36 or byte >= 40
            if is_constant and view[at + byte] != view[first + byte]:
                return row
        size = n_head + _little(view, at + 36, 4)
        if at + size > len(view) or _crc32c(view, at, size, tables) != _little(view, at + 28, 4):
            return row
        nanosecond = _little(view, at + 4, 4)
        year, day = _little(view, at + 8, 2), _little(view, at + 10, 2)
        hour, minute = int64(view[at + 12]), int64(view[at + 13])
        second = int64(view[at + 14])
        if not _is_time(year, day, hour, minute, second) or nanosecond >= 1_000_000_000:
            return row
        seconds = (hour * 60 + minute) * 60 + second
        offset[row], length[row] = at, size
        start_ns[row] = _days_before(year, day) * _NS_PER_DAY + seconds * 1_000_000_000 + nanosecond
        n_samples[row] = _little(view, at + 24, 4)
        at += size
    return len(offset)


def _crc_tables() -> NDArray[np.uint32]:
    """Return the tables for eight bytes at a time of CRC-32C (Castagnoli, reflected)."""
    tables = np.zeros((8, 256), np.uint32)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        tables[0, byte] = crc
    for k in range(1, 8):
        tables[k] = tables[k - 1] >> np.uint32(8) ^ tables[0, tables[k - 1] & np.uint32(255)]
    return tables


_CRC_TABLES = _crc_tables()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _crc32c(view: NDArray[np.uint8], at: int, size: int, tables: NDArray[np.uint32]) -> Any:  # noqa: ANN401 - int64
    """CRC-32C of a miniSEED 3 record, its own CRC (bytes 28 to 32) taken as zero."""
    crc = uint64(0xFFFFFFFF)
    byte = at
    end = at + size
    while byte < end:
        if end - byte >= 8 and byte - at >= 32:
            low = uint64(_little(view, byte, 4)) ^ crc
            high = uint64(_little(view, byte + 4, 4))
            crc = uint64(
                tables[7, low & 255] ^ tables[6, (low >> 8) & 255]
                ^ tables[5, (low >> 16) & 255] ^ tables[4, low >> 24]
                ^ tables[3, high & 255] ^ tables[2, (high >> 8) & 255]
                ^ tables[1, (high >> 16) & 255] ^ tables[0, high >> 24]
            )  # fmt: skip
            byte += 8
        else:
            value = uint64(0) if 28 <= byte - at < 32 else uint64(view[byte])
            crc = uint64(tables[0, (crc ^ value) & 255]) ^ (crc >> 8)
            byte += 1
    return int64(uint32(crc ^ 0xFFFFFFFF))
