"""Archived segments as miniSEED records, each checked to say what the segment says."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geomon.errors import WaveformError
from geomon.stores.timelines import Clock
from geomon.times import format_ns
from geomon.waveforms import Segment

_RECORD_LENGTH = 4096


def records_of(segment: Segment, format_version: Literal[2, 3]) -> Iterator[bytes]:
    """Yield the miniSEED records of a segment.

    Integers are packed as Steim 2, or plainly where a step exceeds its 30 bits; floats plainly.

    Raises
    ------
    WaveformError
        If the format cannot hold the samples, the times or the rate exactly.
    """
    import pymseed

    encoding = {
        "int32": pymseed.DataEncoding.STEIM2,
        "float32": pymseed.DataEncoding.FLOAT32,
        "float64": pymseed.DataEncoding.FLOAT64,
    }[str(segment.samples.dtype)]
    if encoding == pymseed.DataEncoding.STEIM2 and not _fits_steim2(segment.samples):
        encoding = pymseed.DataEncoding.INT32
    codes = segment.seed_id
    template = pymseed.MS3Record()
    template.sourceid = pymseed.nslc2sourceid(
        codes.network, codes.station, codes.location, codes.channel
    )
    template.formatversion = format_version
    template.reclen = _RECORD_LENGTH
    template.starttime = segment.start_ns
    template.samprate = segment.sampling_rate_hz
    template.encoding = encoding
    kind = {"i": "i", "f": "f" if segment.samples.itemsize == 4 else "d"}[
        segment.samples.dtype.kind
    ]
    rounding_ns = 0 if Clock(segment.sampling_rate_hz).is_whole else 1
    position = 0
    try:
        for record in template.generate(np.ascontiguousarray(segment.samples), kind):
            header = pymseed.MS3Record.parse(record)
            off_ns = abs(header.starttime - segment.time_ns(position))
            if off_ns > rounding_ns or header.samprate != segment.sampling_rate_hz:
                msg = (
                    f"{segment.seed_id}: miniSEED {format_version} cannot hold the time "
                    f"{format_ns(segment.time_ns(position))} or the rate "
                    f"{segment.sampling_rate_hz!r} Hz exactly"
                )
                raise WaveformError(msg)
            position += header.samplecnt
            yield record
    except pymseed.PymseedError as error:
        msg = f"{segment.seed_id}: cannot be written as miniSEED {format_version}: {error}"
        raise WaveformError(msg) from error


def _fits_steim2(samples: NDArray[Any]) -> bool:
    """Tell whether all steps, the first from 0 included, fit 30 bits."""
    steps = np.diff(samples.astype(np.int64), prepend=0)
    return bool(np.abs(steps).max() < 2**29)
