"""Segments as miniSEED 2 and 3."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import pymseed
from numpy.typing import NDArray

from geomon.errors import WaveformError
from geomon.times import format_ns
from geomon.waveforms import Segment

type FormatVersion = Literal[2, 3]

_KINDS = {
    "int32": ("i", pymseed.DataEncoding.STEIM2),
    "float32": ("f", pymseed.DataEncoding.FLOAT32),
    "float64": ("d", pymseed.DataEncoding.FLOAT64),
}


def encode(
    segments: Iterable[Segment], *, format_version: FormatVersion = 3, record_length: int = 4096
) -> bytes:
    """Write segments as miniSEED.

    Integers are packed as Steim 2, or as plain 32-bit integers where a step is too large for it;
    32- and 64-bit floats as they are. miniSEED 3 keeps nanoseconds and carries checksums;
    miniSEED 2 rounds times to the microsecond.

    Raises
    ------
    WaveformError
        If samples have another type, or a code is too long for miniSEED 2.
    """
    return b"".join(
        part for segment in segments for part in _encoded(segment, format_version, record_length)
    )


def _encoded(
    segment: Segment, format_version: FormatVersion, record_length: int
) -> Iterable[bytes | memoryview]:
    """Write a segment in one pass where that is possible, otherwise record by record."""
    from geomon import steim2

    rate_hz = int(segment.sampling_rate_hz)
    is_plain = format_version == 2 and segment.samples.dtype == np.int32
    is_whole = rate_hz == segment.sampling_rate_hz and rate_hz <= steim2.MAX_RATE_HZ
    if is_plain and is_whole and steim2.holds(segment.seed_id):
        packed = steim2.records(
            segment.seed_id, segment.start_ns, rate_hz, segment.samples, record_length
        )
        if packed is not None:
            return [packed.data]
    return _records(segment, format_version, record_length)


def exact_records(segment: Segment, format_version: FormatVersion) -> Iterator[bytes]:
    """Yield records of 4096 bytes that say exactly what the segment says.

    Raises
    ------
    WaveformError
        If the format cannot hold the samples, the times or the rate exactly.
    """
    # Where the interval is no whole number of nanoseconds, times are rounded in both.
    interval_ns = 1e9 / segment.sampling_rate_hz
    rounding_ns = 0 if interval_ns == round(interval_ns) else 1
    position = 0
    for record in _records(segment, format_version, 4096):
        header = pymseed.MS3Record.parse(record)
        expected_ns = segment.time_ns(position)
        is_exact = abs(header.starttime - expected_ns) <= rounding_ns
        if not is_exact or header.samprate != segment.sampling_rate_hz:
            msg = (
                f"{segment.seed_id}: miniSEED {format_version} cannot hold the time "
                f"{format_ns(expected_ns)} or the rate {segment.sampling_rate_hz!r} Hz exactly"
            )
            raise WaveformError(msg)
        position += header.samplecnt
        yield record


def _records(
    segment: Segment, format_version: FormatVersion, record_length: int
) -> Iterator[bytes]:
    kind = str(segment.samples.dtype)
    if kind not in _KINDS:
        msg = f"{segment.seed_id}: {kind} samples do not fit into miniSEED"
        raise WaveformError(msg)
    sample_type, encoding = _KINDS[kind]
    if encoding == pymseed.DataEncoding.STEIM2 and not _fits_steim2(segment.samples):
        encoding = pymseed.DataEncoding.INT32
    codes = segment.seed_id
    template = pymseed.MS3Record()
    template.sourceid = pymseed.nslc2sourceid(
        codes.network, codes.station, codes.location, codes.channel
    )
    template.formatversion = format_version
    template.reclen = record_length
    template.starttime = segment.start_ns
    template.samprate = segment.sampling_rate_hz
    template.encoding = encoding
    try:
        yield from template.generate(np.ascontiguousarray(segment.samples), sample_type)
    except pymseed.PymseedError as error:
        problem = " ".join(str(error).split())
        msg = f"{segment.seed_id}: cannot be written as miniSEED {format_version}: {problem}"
        raise WaveformError(msg) from error


def _fits_steim2(samples: NDArray[Any]) -> bool:
    """Tell whether all steps, the first from 0 included, fit 30 bits."""
    if int(samples.max()) - int(samples.min()) < 2**29 > abs(int(samples[0])):
        return True
    steps = np.diff(samples.astype(np.int64), prepend=0)
    return bool(np.abs(steps).max() < 2**29)
