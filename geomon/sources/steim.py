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
            # How many differences of how many bits; Steim 2 says the rest in the word itself.
            kind = packed >> 30
            if code == 1:
                n_bits, n = 8, 4
            elif not is_steim_2:
                n_bits, n = (16, 2) if code == 2 else (32, 1)
            elif code == 2:
                if kind == 0:
                    return False
                n_bits, n = (30, 1) if kind == 1 else ((15, 2) if kind == 2 else (10, 3))
            else:
                if kind == 3:
                    return False
                n_bits, n = (6, 5) if kind == 0 else ((5, 6) if kind == 1 else (4, 7))
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
                v = int32(packed << 2)
                for _ in range(5):
                    x = int32(x + (v >> 26))
                    v = int32(v << 6)
                    samples[k] = x
                    k += uint64(1)
            elif n == 6:
                v = int32(packed << 2)
                for _ in range(6):
                    x = int32(x + (v >> 27))
                    v = int32(v << 5)
                    samples[k] = x
                    k += uint64(1)
            elif n == 7:
                v = int32(packed << 4)
                for _ in range(7):
                    x = int32(x + (v >> 28))
                    v = int32(v << 4)
                    samples[k] = x
                    k += uint64(1)
            elif n == 3:
                v = int32(packed << 2)
                for _ in range(3):
                    x = int32(x + (v >> 22))
                    v = int32(v << 10)
                    samples[k] = x
                    k += uint64(1)
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
