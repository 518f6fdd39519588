"""miniSEED 2 records of integers in Steim 2, a whole segment in one pass.

The layout is that of the SEED 2.4 manual (FDSN 2012, chapter 8 and appendix B): a header of 48
bytes, blockettes 1000 and 1001, then frames of sixteen big-endian words. Each word holds from seven
differences of 4 bits to one of 30, as many as fit.
"""

from typing import Any

import numpy as np
from numba import int64, njit, uint32
from numpy.typing import NDArray

from geomon.ids import SeedId

MAX_RATE_HZ = 32_767
HEADER_BYTES = 64
_FRAME_BYTES = 64
_MOST_SAMPLES = 65_535  # of a record: the header counts them in 16 bits

_HEADER = np.dtype(
    [
        ("sequence", "S6"), ("quality", "S1"), ("space", "S1"), ("station", "S5"),
        ("location", "S2"), ("channel", "S3"), ("network", "S2"), ("year", ">u2"), ("day", ">u2"),
        ("hour", "u1"), ("minute", "u1"), ("second", "u1"), ("unused", "u1"), ("tenth_ms", ">u2"),
        ("n_samples", ">u2"), ("rate_factor", ">i2"), ("rate_multiplier", ">i2"),
        ("flags", "u1", 3), ("n_blockettes", "u1"), ("correction", ">i4"), ("data_at", ">u2"),
        ("blockette_at", ">u2"),
        ("type_1000", ">u2"), ("next_1000", ">u2"), ("encoding", "u1"), ("word_order", "u1"),
        ("length_exponent", "u1"), ("reserved", "u1"),
        ("type_1001", ">u2"), ("next_1001", ">u2"), ("timing_quality", "u1"), ("us", "i1"),
        ("reserved_1001", "u1"), ("n_frames", "u1"),
    ]
)  # fmt: skip


def holds(seed_id: SeedId) -> bool:
    """Tell whether the codes of a channel are short enough for miniSEED 2."""
    codes = (seed_id.station, seed_id.location, seed_id.channel, seed_id.network)
    names = ("station", "location", "channel", "network")
    return all(len(code) <= _HEADER[name].itemsize for code, name in zip(codes, names, strict=True))


def records(
    seed_id: SeedId, start_ns: int, rate_hz: int, samples: NDArray[np.int32], record_bytes: int
) -> NDArray[np.uint8] | None:
    """Return the records of one segment; None if a step between samples does not fit 30 bits.

    Parameters
    ----------
    seed_id : SeedId
        Channel; its codes must fit into miniSEED 2.
    start_ns : int
        Time of the first sample; the header rounds times to the microsecond.
    rate_hz : int
        Sampling rate, up to `MAX_RATE_HZ`.
    samples : array of int32, shape (n,)
        Any.
    record_bytes : int
        Length of a record, a power of two from 256 to 16,384.

    Returns
    -------
    array of uint8, shape (n_records, record_bytes)
    """
    n_frames = (record_bytes - HEADER_BYTES) // _FRAME_BYTES
    fewest = 15 * n_frames - 2
    n_most = -(-samples.size // fewest)
    words = np.empty((n_most, record_bytes // 4), np.uint32)
    counts = np.empty(n_most, np.int64)
    used_frames = np.empty(n_most, np.int64)
    n_records = _pack(np.ascontiguousarray(samples), n_frames, words, counts, used_frames)
    if n_records == 0:
        return None
    content = words[:n_records].view(np.uint8)
    counts = counts[:n_records]
    first = np.concatenate([[0], np.cumsum(counts[:-1])])
    header = np.zeros(n_records, _HEADER)
    header["sequence"] = [b"%06d" % (1 + number % 999_999) for number in range(n_records)]
    header["quality"], header["space"] = b"D", b" "
    for name, code in (
        ("station", seed_id.station), ("location", seed_id.location),
        ("channel", seed_id.channel), ("network", seed_id.network),
    ):  # fmt: skip
        header[name] = code.ljust(_HEADER[name].itemsize).encode("ascii")
    _write_times(header, start_ns, first, rate_hz)
    header["n_samples"], header["n_frames"] = counts, used_frames[:n_records]
    header["rate_factor"], header["rate_multiplier"] = rate_hz, 1
    header["n_blockettes"], header["data_at"], header["blockette_at"] = 2, HEADER_BYTES, 48
    header["type_1000"], header["next_1000"], header["encoding"] = 1000, 56, 11
    header["word_order"], header["length_exponent"] = 1, record_bytes.bit_length() - 1
    header["type_1001"] = 1001
    content[:, :HEADER_BYTES] = header.view(np.uint8).reshape(n_records, HEADER_BYTES)
    return content


def _write_times(
    header: NDArray[Any], start_ns: int, first: NDArray[np.int64], rate_hz: int
) -> None:
    """Write the time of each record's first sample: to 0.1 ms, and the microseconds beside it."""
    seconds, rest = np.divmod(first, rate_hz)
    ns = start_ns + seconds * 10**9 + (rest * 10**9 + rate_hz // 2) // rate_hz
    us = (ns + 500) // 1000
    tenth_ms = (us + 50) // 100
    header["us"] = us - 100 * tenth_ms
    second, header["tenth_ms"] = np.divmod(tenth_ms, 10_000)
    day, of_day = np.divmod(second, 86_400)
    dates = day.astype("datetime64[D]")
    years = dates.astype("datetime64[Y]")
    header["year"] = years.astype(np.int64) + 1970
    header["day"] = (dates - years.astype("datetime64[D]")).astype(np.int64) + 1
    header["hour"], header["minute"] = of_day // 3600, of_day // 60 % 60
    header["second"] = of_day % 60


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _swapped(word: Any) -> Any:  # noqa: ANN401 - uint32
    return uint32(
        (word >> 24)
        | ((word >> 8) & 0xFF00)
        | ((word << 8) & 0xFF0000)
        | ((word << 24) & 0xFF000000)
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pack(
    samples: NDArray[np.int32],
    n_frames: int,
    words: NDArray[np.uint32],
    counts: NDArray[np.int64],
    used_frames: NDArray[np.int64],
) -> Any:  # noqa: ANN401 - int
    """Fill the frames of as many records as it takes; return how many, 0 if a step is too large."""
    at, record, size = int64(0), int64(0), samples.size
    before = int64(samples[0])
    step = np.zeros(7, np.int64)
    while at < size:
        begin, frame = at, int64(0)
        row = words[record]
        row[16] = 0
        row[17] = _swapped(uint32(samples[at]))
        while frame < n_frames and at < size:
            base, control = 16 + 16 * frame, uint32(0)
            for position in range(3 if frame == 0 else 1, 16):
                most = min(7, size - at, begin + _MOST_SAMPLES - at)
                # The bits that any of the first steps needs beyond its sign.
                bits, n, last = int64(0), int64(0), before
                for k in range(most):
                    value = int64(samples[at + k])
                    d = value - last
                    grown = bits | (d ^ (d >> 63))
                    if not (
                        grown < 8
                        or (k < 6 and grown < 16)
                        or (k < 5 and grown < 32)
                        or (k < 4 and grown < 128)
                        or (k < 3 and grown < 512)
                        or (k < 2 and grown < 16_384)
                        or k < 1
                    ):
                        break
                    step[k], bits, last, n = d, grown, value, n + 1
                if bits >= 2**29:
                    return 0
                if n == 0:
                    row[base + position] = 0
                    continue
                code, sub, width = uint32(2), uint32(1), 30
                if n == 7:
                    code, sub, width = uint32(3), uint32(2), 4
                elif n == 6:
                    code, sub, width = uint32(3), uint32(1), 5
                elif n == 5:
                    code, sub, width = uint32(3), uint32(0), 6
                elif n == 4:
                    code, sub, width = uint32(1), uint32(0), 8
                elif n == 3:
                    code, sub, width = uint32(2), uint32(3), 10
                elif n == 2:
                    code, sub, width = uint32(2), uint32(2), 15
                word = uint32(0)
                mask = uint32((1 << width) - 1)
                for k in range(n):
                    word = uint32(word << width) | (uint32(step[k]) & mask)
                if code != 1:
                    word |= uint32(sub << 30)
                row[base + position] = _swapped(word)
                control |= uint32(code << (30 - 2 * position))
                at += n
                before = int64(samples[at - 1])
            row[base] = _swapped(control)
            frame += 1
        row[18] = _swapped(uint32(samples[at - 1]))
        row[16 + 16 * frame :] = 0
        counts[record], used_frames[record] = at - begin, frame
        record += 1
    return record
