"""Steim 1 and 2: differences packed into 64-byte frames, unpacked and checked in one pass.

The layout is that of the SEED 2.4 manual (FDSN 2012, appendix B): each frame is sixteen big-endian
words, the first of which says in two bits each how the others are packed; the second and third word
of a record's first frame are its first and its last sample.
"""

from typing import Any

import numpy as np
from numba import int8, int16, int32, int64, njit, uint32, uint64
from numpy.typing import NDArray

STEIM_1, STEIM_2 = 10, 11
FRAME_BYTES = 64


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _word(view: NDArray[np.uint8], start: int) -> Any:  # noqa: ANN401 - uint32
    at = uint64(start)  # an unsigned index is not looked at for being negative
    return uint32(
        uint32(view[at]) << 24
        | uint32(view[at + uint64(1)]) << 16
        | uint32(view[at + uint64(2)]) << 8
        | uint32(view[at + uint64(3)])
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unpack(
    view: NDArray[np.uint8],
    data_at: NDArray[np.int64],
    n_frames: NDArray[np.int64],
    n_samples: NDArray[np.int64],
    is_steim_2: bool,
    samples: NDArray[np.int32],
    is_sound: NDArray[np.bool_],
) -> None:
    """Unpack the data of some records one behind the other.

    Parameters
    ----------
    view : array of uint8
        The bytes the records are in.
    data_at, n_frames, n_samples : array of int64, shape (n,)
        Where the frames of each record begin, how many there are, samples claimed (> 0).
    is_steim_2 : bool
        Steim 2 or Steim 1.
    samples : array of int32, shape (sum of n_samples,)
        Filled; what belongs to an unsound record is undefined.
    is_sound : array of bool, shape (n,)
        Filled: whether the frames hold the samples claimed and end in the sample they say.
    """
    begin = int64(0)
    for row in range(len(data_at)):
        end = begin + n_samples[row]
        is_sound[row] = _unpack_one(
            view, data_at[row], n_frames[row], is_steim_2, samples[begin:end]
        )
        begin = end


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _packing(code: int, kind: int, is_steim_2: bool) -> tuple[int, int]:
    """Return of how many bits and how many the differences of a word are; none are not defined.

    Steim 2 says of most codes which of three kinds it is in the word itself.
    """
    if code == 1:
        return 8, 4
    if not is_steim_2:
        return (16, 2) if code == 2 else (32, 1)
    if code == 2:
        if kind == 0:
            return 0, 0
        return (30, 1) if kind == 1 else ((15, 2) if kind == 2 else (10, 3))
    if kind == 3:
        return 0, 0
    return (6, 5) if kind == 0 else ((5, 6) if kind == 1 else (4, 7))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _add(word: int, n_bits: int, n: int, x: int, samples: NDArray[np.int32], k: int) -> int:
    """Add the first n differences of a word to a sample, one behind the other; return the last.

    Inlined where bits and number are constants, so that the loop is unrolled.
    """
    for i in range(n):
        x = int32(x + (word >> (32 - n_bits)))
        word = int32(word << n_bits)
        samples[k + uint64(i)] = x
    return x


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unpack_one(
    view: NDArray[np.uint8], at: int, n_frames: int, is_steim_2: bool, samples: NDArray[np.int32]
) -> bool:
    size = uint64(len(samples))
    x = int32(_word(view, at + 4))
    last = int32(_word(view, at + 8))
    is_first = True
    k = uint64(0)
    for frame in range(n_frames):
        codes = _word(view, at)
        word = 3 if frame == 0 else 1
        codes = uint32(codes << (2 * word))
        while word < 16:
            packed = _word(view, at + 4 * word)
            word += 1
            code = codes >> 30
            codes = uint32(codes << 2)
            if code == 0:
                continue
            n_bits, n = _packing(code, packed >> 30, is_steim_2)
            if n == 0:
                return False
            if is_first or size - k < uint64(n):
                # The first difference leads to the first sample, which is given: undo it.
                bits = int64(packed) << (64 - n_bits * n)
                if is_first:
                    x = int32(x - (bits >> (64 - n_bits)))
                    is_first = False
                for _ in range(min(uint64(n), size - k)):
                    x = int32(x + (bits >> (64 - n_bits)))
                    bits = int64(bits << n_bits)
                    samples[k] = x
                    k += uint64(1)
            elif n == 4:
                x = int32(x + int8(packed >> 24))
                samples[k] = x
                x = int32(x + int8(packed >> 16))
                samples[k + uint64(1)] = x
                x = int32(x + int8(packed >> 8))
                samples[k + uint64(2)] = x
                x = int32(x + int8(packed))
                samples[k + uint64(3)] = x
                k += uint64(4)
            elif n == 5:
                x = _add(int32(packed << 2), 6, 5, x, samples, k)
                k += uint64(5)
            elif n == 6:
                x = _add(int32(packed << 2), 5, 6, x, samples, k)
                k += uint64(6)
            elif n == 7:
                x = _add(int32(packed << 4), 4, 7, x, samples, k)
                k += uint64(7)
            elif n == 3:
                x = _add(int32(packed << 2), 10, 3, x, samples, k)
                k += uint64(3)
            elif n_bits == 15:
                v = int32(packed << 2)
                x = int32(x + (v >> 17))
                samples[k] = x
                x = int32(x + (int32(v << 15) >> 17))
                samples[k + uint64(1)] = x
                k += uint64(2)
            elif n_bits == 16:
                x = int32(x + int16(packed >> 16))
                samples[k] = x
                x = int32(x + int16(packed))
                samples[k + uint64(1)] = x
                k += uint64(2)
            else:
                v = int32(packed << (32 - n_bits))
                x = int32(x + (v >> (32 - n_bits)))
                samples[k] = x
                k += uint64(1)
        at += FRAME_BYTES
    is_whole: bool = k == size and x == last
    return is_whole
