"""The faults by number: what the tests' ``fault`` marks, and the table of the benchmark, mean."""

from collections.abc import Iterable

import pytest

FAULTS = {
    1: "unknown host, connection refused",
    2: "connection reset before the answer",
    3: "connection reset in the answer",
    4: "headers never come",
    5: "answer stalls",
    6: "answer trickles",
    7: "answer cut short, no length given",
    8: "answer cut short, length given",
    9: "wrong length given",
    10: "endless answer",
    11: "gzip cut short",
    12: "gzip bomb",
    13: "429 and 503, with and without Retry-After",
    14: "500, 502, 504",
    15: "413: request too large",
    16: "401 and 403",
    17: "no data yet",
    18: "a web page, or nothing, with status 200",
    19: "error text behind good records",
    20: "redirect to a file, another host, in a circle",
    21: "flipped bit in Steim data",
    22: "flipped bit in data without checksum",
    23: "block of zeros or noise, bytes inserted or lost",
    24: "records sent twice",
    25: "records out of order",
    26: "overlap of equal samples",
    27: "overlap of different samples",
    28: "records of another channel",
    29: "impossible or changing sampling rate",
    30: "impossible sample count",
    31: "samples that are no numbers",
    32: "leap second",
    33: "clock that jumps, drifts or runs ahead",
    34: "records outside the window",
    35: "overlapping epochs of different gain",
    36: "response missing or zero",
    37: "metadata changed later",
    38: "disk full, disk gone read-only",
    39: "killed at any moment",
    40: "two writers of one station-day",
    41: "object cut short, S3 refuses",
    42: "database down, locked or full",
    43: "overlapping backfills at once",
    44: "worker lost, orchestrator restarted",
    45: "model gives nonsense or runs out of memory",
    46: "station code that is a path",
    47: "SQL in query parameters",
    48: "XML entities",
    49: "pickle instead of waveforms",
    50: "malicious model file",
    51: "being led to inner hosts",
    52: "flood of requests, giant query",
    53: "event at a day or tile edge",
    54: "data that start in the middle of things",
    55: "flat lines, spikes, steps, pulses, clipping",
    56: "more than 150 gaps a day",
    57: "long codes, empty locations, two sensors",
    58: "station missing or without coordinates",
    59: "mistakes in the config",
    60: "clock of this machine wrong",
}

ASKED = frozenset({*range(1, 45), *range(46, 52), *range(56, 61)})
"""The faults whose survival is promised; the others are shown where tests exist."""


def by_number(names: Iterable[str], *, once: bool = False) -> list[object]:
    """Turn names that begin with a fault's number (``03-reset``) into marked parameters.

    With `once`, the first name of every number only.
    """
    chosen = {name[:2]: name for name in reversed([*names])}.values() if once else names
    return [pytest.param(name, marks=pytest.mark.fault(int(name[:2]))) for name in sorted(chosen)]
