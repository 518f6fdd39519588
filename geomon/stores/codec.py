"""Samples compressed with pcodec, each piece followed by its CRC-32C.

A piece is a pcodec standalone file of many short chunks: seismic noise changes all the time, and a
chunk that follows it is smaller than one that averages over it, by 3 % on recordings at 100 Hz.
Any pcodec library reads such a file whole.
"""

import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, PagingSpec, standalone

from geomon.stores.layout import PCODEC_LEVEL

_CRC = struct.Struct("<I")
_RESIDUE = 0x48674BC7  # CRC-32C of anything followed by its own CRC-32C
_STRETCH = 4096  # samples in a chunk; at half as many their headers cost what is gained
_LONGEST = 1 << 18  # samples in a chunk of one value
_MIN_HEADER = 10  # bytes before the size of the first chunk
_BLOCK = 256  # samples pcodec unpacks at a time
_MIN_PARALLEL = 24  # pieces from which on threads pay
_MAX_THREADS = 8


def _config(order: int) -> ChunkConfig:
    return ChunkConfig(
        compression_level=PCODEC_LEVEL,
        mode_spec=ModeSpec.classic(),
        delta_spec=DeltaSpec.try_consecutive(order) if order else DeltaSpec.no_op(),
        paging_spec=PagingSpec.equal_pages_up_to(_LONGEST),
    )


_CONFIGS = tuple(_config(order) for order in range(4))
_FLOAT_CONFIG = ChunkConfig(
    compression_level=PCODEC_LEVEL,
    mode_spec=ModeSpec.classic(),
    paging_spec=PagingSpec.equal_pages_up_to(_LONGEST),
)
_END = b"\0"


def compress(samples: NDArray[Any]) -> bytes:
    """Compress samples and append their CRC-32C.

    Parameters
    ----------
    samples : array of int32, float32 or float64, shape (n,)
        At least one.
    """
    parts: list[bytes] = []
    for first, last in pairwise(_edges(samples)):
        stretch = np.ascontiguousarray(samples[first:last])
        config = _CONFIGS[_order(stretch)] if stretch.dtype.kind == "i" else _FLOAT_CONFIG
        file = standalone.simple_compress(stretch, config)
        # A standalone file is a header, chunks that start with their type and size, and an end.
        chunk_at = file.index((stretch.size - 1).to_bytes(3, "little"), _MIN_HEADER) - 1
        parts.append(file[:chunk_at] if not first else b"")
        parts.append(file[chunk_at : -len(_END)])
    content = b"".join([*parts, _END])
    return content + _CRC.pack(google_crc32c.value(content))


def _edges(samples: NDArray[Any]) -> list[int]:
    """Return where chunks begin, and the end; long constants at either end stand alone."""
    bits = np.ascontiguousarray(samples).view(f"i{samples.itemsize}")
    n_before = int(np.argmax(bits != bits[0]))
    n_behind = int(np.argmax(bits[::-1] != bits[-1]))
    if n_before == 0:  # all the same
        return [*range(0, bits.size, _LONGEST), bits.size]
    begin = n_before if n_before >= _BLOCK else 0
    end = bits.size - (n_behind if n_behind >= _BLOCK else 0)
    constant = (*range(0, begin, _LONGEST), *range(end, bits.size, _LONGEST))
    return sorted({*constant, *range(begin, end, _STRETCH), end, bits.size})


def _order(samples: NDArray[Any]) -> int:
    """Choose how often to difference integers: by their mean distance from their mean.

    Saves pcodec its own search: half the time for the same size.
    """
    values = samples.astype(np.int64)
    spreads: list[float] = []
    while len(spreads) < len(_CONFIGS) and values.size:
        mean = int(values.sum()) // values.size
        spreads.append(int(np.abs(values - mean).sum()) / values.size)
        values = np.diff(values)
    return int(np.argmin(spreads))


def decompress_into(content: bytes, samples: NDArray[Any], n_wanted: int | None = None) -> None:
    """Fill `samples`, or at least the first `n_wanted` of them, from `compress`'s output.

    Raises
    ------
    ValueError
        If the checksum is wrong or the content holds another number of samples.
    """
    if len(content) <= _CRC.size or google_crc32c.value(content) != _RESIDUE:
        msg = "checksum wrong"
        raise ValueError(msg)
    n_blocks = samples.size if n_wanted is None else -(-n_wanted // _BLOCK) * _BLOCK
    target = samples[:n_blocks]
    try:
        progress = standalone.simple_decompress_into(content, target)  # stops before the checksum
    except (RuntimeError, TypeError) as error:
        msg = f"cannot be decompressed ({error})"
        raise ValueError(msg) from error
    if progress.n_processed != target.size or progress.finished != (target.size == samples.size):
        msg = f"does not hold {samples.size} samples"
        raise ValueError(msg)


def compress_all(arrays: Sequence[NDArray[Any]]) -> list[bytes]:
    """Compress many arrays, on all processor cores when there are enough of them."""
    return for_each(compress, arrays)


def for_each[T, R](function: Callable[[T], R], jobs: Sequence[T]) -> list[R]:
    """Call a function that leaves Python's lock for each job, on all processor cores."""
    n_cores = min(len(os.sched_getaffinity(0)), _MAX_THREADS)
    if len(jobs) < _MIN_PARALLEL or n_cores == 1:
        return [function(job) for job in jobs]

    size = -(-len(jobs) // (2 * n_cores))  # a few large batches: each costs a switch of threads

    def several(first: int) -> list[R]:
        return [function(job) for job in jobs[first : first + size]]

    with ThreadPoolExecutor(n_cores) as pool:
        batches = list(pool.map(several, range(0, len(jobs), size)))
    return [result for batch in batches for result in batch]
