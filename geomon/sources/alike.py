"""Read the headers of many miniSEED 2 records at once, where they differ only in time and length.

Continuous recordings are long rows of records of one size and one channel. Reading such headers
as columns is many times faster than one by one; whatever looks different in any way is left to
the reader of single records.
"""

import struct

import numpy as np
from numpy.typing import NDArray

_FIXED_BYTES = 48
_NS_PER_DAY = 86_400_000_000_000


def alike_headers(
    view: memoryview, offset: int, length: int, max_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return start times and sample counts of a row of similar miniSEED 2 records.

    Parameters
    ----------
    view : memoryview
        The bytes.
    offset, length : int
        Where the first record of the row starts, already found sound, and its size in bytes,
        which all share.
    max_rows : int
        Most records to look at.

    Returns
    -------
    start_ns : array of int64, shape (n,)
        Nanoseconds since 1970.
    n_samples : array of int64, shape (n,)
        As claimed by the headers, unchecked.

    Notes
    -----
    The first record is part of the answer, the last record of the row is not: what follows it has
    to be looked at. Channel, rate, encoding and layout equal those of the first; records with a
    time correction or with blockettes other than 1000 and 1001 are not read here (SEED 2.4,
    chapter 8).
    """
    none = np.empty(0, np.int64), np.empty(0, np.int64)
    n_rows = min((len(view) - offset) // length, max_rows)
    if n_rows < 2:
        return none
    rows = np.frombuffer(view, np.uint8, n_rows * length, offset).reshape(n_rows, length)
    first = rows[0]
    order = ">" if 1900 <= struct.unpack_from(">H", view, offset + 20)[0] <= 2100 else "<"
    layout = _layout(view[offset : offset + length], order)
    if layout is None:
        return none
    constant, microseconds_at = layout
    sequence = rows[:, :6]
    is_alike = (
        (rows[:, constant] == first[constant]).all(axis=1)
        & (((sequence >= 48) & (sequence <= 57)) | (sequence == 32) | (sequence == 0)).all(axis=1)
        & ~rows[:, 40:44].any(axis=1)
    )

    def field(at: int, kind: str) -> NDArray[np.int64]:
        size = np.dtype(kind).itemsize
        column = np.ascontiguousarray(rows[:, at : at + size]).view(order + kind)
        return column[:, 0].astype(np.int64)

    year, day, fraction = field(20, "u2"), field(22, "u2"), field(28, "u2")
    hour, minute, second = (rows[:, at].astype(np.int64) for at in (24, 25, 26))
    is_alike &= (
        (year >= 1950) & (year <= 2100) & (day >= 1) & (day <= 365)
        & (hour < 24) & (minute < 60) & (second <= 60) & (fraction < 10_000)
    )  # fmt: skip
    n_alike = int(np.argmin(is_alike)) if not is_alike.all() else n_rows
    january = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    seconds = (hour * 60 + minute) * 60 + second
    start_ns = (january + day - 1) * _NS_PER_DAY + seconds * 1_000_000_000 + fraction * 100_000
    if microseconds_at is not None:
        start_ns += rows[:, microseconds_at].view(np.int8).astype(np.int64) * 1_000
    n_taken = max(n_alike - 1, 0)
    return start_ns[:n_taken], field(30, "u2")[:n_taken]


def _layout(record: memoryview, order: str) -> tuple[NDArray[np.intp], int | None] | None:
    """Return the header bytes that must not differ, and where microseconds are, if anywhere."""
    constant = [*range(6, 20), *range(32, 36), 39, *range(44, 48)]
    microseconds_at = None
    has_length = False
    data_at, at = struct.unpack_from(f"{order}HH", record, 44)
    while at:
        if not _FIXED_BYTES <= at <= min(data_at, len(record)) - 8:
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
