"""Damaged miniSEED, and whether what is read from it is true; each input under a watchdog.

The truth is what was given to the encoder. A child process damages and decodes input after input
and tells each result; the parent notices when it dies or falls silent, and starts another behind
the input that did it.
"""

import json
import queue
import random
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources.miniseed import Decoded, decode
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Segment

START_NS = parse_time("2024-02-03T05:00:00.003")
SPAN = TimeSpan(START_NS - 120 * NS_PER_S, START_NS + 300 * NS_PER_S)
LATEST_NS = START_NS + 366 * 86_400 * NS_PER_S
_HANGS_AFTER_S = 30.0


def _recording(code: str, rate_hz: float, n_samples: int, *, step: float = 300.0) -> Segment:
    """Counts whose steps fill Steim words of many kinds; `start` is off the whole second."""
    seed_id = SeedId.parse(code)
    rng = np.random.default_rng(list(code.encode()))
    steps = rng.normal(0, step, n_samples) * rng.choice([0.01, 0.1, 1, 1, 10], n_samples)
    return Segment(seed_id, START_NS, rate_hz, np.cumsum(steps).astype(np.int32))


TRUTH = {
    s.seed_id: s
    for s in (
        _recording("CX.PB01..HHZ", 100.0, 14_000),
        _recording("CX.PB01..HHN", 100.0, 14_000),
        _recording("CX.PB02.00.BHZ", 40.0, 5_000, step=4_000.0),
        _recording("GM.ST.10.HHZ", 62.5, 7_000, step=20.0),
    )
}


def _encoded(version: int, length: int, *codes: str) -> bytes:
    parts = [TRUTH[SeedId.parse(code)] for code in codes]
    return encode(parts, format_version=version, record_length=length)


INPUTS = {
    "steim 2, 512 bytes": _encoded(2, 512, "CX.PB01..HHZ"),
    "steim 2, 4096 bytes": _encoded(2, 4096, "CX.PB01..HHZ"),
    "steim 2, large steps": _encoded(2, 512, "CX.PB02.00.BHZ"),
    "steim 2, small steps": _encoded(2, 256, "GM.ST.10.HHZ"),
    "steim 2, two channels": _encoded(2, 512, "CX.PB01..HHN", "CX.PB01..HHZ"),
    "miniSEED 3": _encoded(3, 1024, "CX.PB01..HHZ"),
    "miniSEED 3, three channels": _encoded(3, 512, *(str(s) for s in list(TRUTH)[1:])),
    "both versions": _encoded(2, 512, "CX.PB02.00.BHZ") + _encoded(3, 512, "GM.ST.10.HHZ"),
}


_BEGIN = re.compile(
    b"......D (?:%s)|MS\x03" % b"|".join(s.station.encode().ljust(5) for s in TRUTH), re.DOTALL
)


def _starts(content: bytes | bytearray) -> list[int]:
    """Offsets at which a record still begins, with room for a header."""
    return [found.start() for found in _BEGIN.finditer(content, 0, max(len(content) - 64, 0))]


def _flip(content: bytearray, rng: random.Random) -> None:
    """Flip a bit in one or more records; Steim's check, a sum, misses two that cancel in one."""
    edges = [*_starts(content), len(content)]
    for index in rng.sample(range(len(edges) - 1), min(rng.choice([1, 1, 2, 8]), len(edges) - 1)):
        content[rng.randrange(edges[index], edges[index + 1])] ^= 1 << rng.randrange(8)


def _header(content: bytearray, rng: random.Random) -> None:
    """Alter a header: any of its bytes, by a bit or to any value."""
    at = rng.choice(_starts(content)) + rng.randrange(64)
    content[at] = content[at] ^ 1 << rng.randrange(8) if rng.random() < 0.6 else rng.randrange(256)


_FIELDS = (
    ("sequence", 0, ">6s"), ("quality", 6, "c"), ("station", 8, "5s"), ("channel", 15, "3s"),
    ("year", 20, ">H"), ("day", 22, ">H"), ("hour", 24, "B"), ("minute", 25, "B"),
    ("second", 26, "B"), ("fraction", 28, ">H"), ("n_samples", 30, ">H"), ("factor", 32, ">h"),
    ("multiplier", 34, ">h"), ("activity", 36, "B"), ("n_blockettes", 39, "B"),
    ("correction", 40, ">i"), ("data offset", 44, ">H"), ("blockette", 46, ">H"),
    ("encoding", 52, "B"), ("word order", 53, "B"), ("length", 54, "B"),
)  # fmt: skip


def _field(content: bytearray, rng: random.Random) -> None:
    """Give a field of a miniSEED 2 header, or the same place of another, another likely value."""
    _, at, layout = rng.choice(_FIELDS)
    start = rng.choice(_starts(content))
    if "s" in layout or "c" in layout:
        size = struct.calcsize(layout)
        value: object = bytes(rng.choice(b"0123456789ABDENRQMZ ") for _ in range(size))
    else:
        [old] = struct.unpack_from(layout, content, start + at)
        size = struct.calcsize(layout)
        value = rng.choice([0, 1, old + 1, old - 1, old * 2, old // 2, 2 ** (8 * size - 1) - 1])
        low, high = (-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1)
        if layout[-1].isupper():
            low, high = 0, 2 ** (8 * size) - 1
        value = min(max(int(value), low), high)
    struct.pack_into(layout, content, start + at, value)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _insert(content: bytearray, rng: random.Random) -> None:
    at = rng.choice([rng.randrange(len(content)), rng.choice(_starts(content))])
    content[at:at] = rng.randbytes(rng.choice([1, 8, 64, 300, 512]))


def _delete(content: bytearray, rng: random.Random) -> None:
    at = rng.choice([rng.randrange(len(content)), rng.choice(_starts(content))])
    del content[at : at + rng.choice([1, 8, 64, 300, 512])]


def _zero(content: bytearray, rng: random.Random) -> None:
    at, size = rng.randrange(len(content)), rng.choice([64, 512, 2048])
    size = min(size, len(content) - at)
    content[at : at + size] = bytes(size)


def _noise(content: bytearray, rng: random.Random) -> None:
    at, size = rng.randrange(len(content)), rng.choice([64, 512, 2048])
    size = min(size, len(content) - at)
    content[at : at + size] = rng.randbytes(size)


def _splice(content: bytearray, rng: random.Random) -> None:
    """Put whole sound records of any recording between, or in the place of, others."""
    other = INPUTS[rng.choice([*INPUTS])]
    starts = [*_starts(other), len(other)]
    first = rng.randrange(len(starts) - 1)
    last = min(first + rng.choice([1, 1, 2, 5]), len(starts) - 1)
    at = rng.choice(_starts(content))
    n_replaced = rng.choice([0, starts[last] - starts[first]])
    content[at : at + n_replaced] = other[starts[first] : starts[last]]


def _swap(content: bytearray, rng: random.Random) -> None:
    """Exchange the first 512 bytes of two records, as a file system that lost its map does.

    Within a record the order of the differences is what Steim's check, a sum, cannot see.
    """
    starts = _starts(content)
    one, two = (rng.choice(starts) for _ in range(2))
    size = min(512, len(content) - max(one, two))
    content[one : one + size], content[two : two + size] = (
        content[two : two + size], content[one : one + size],
    )  # fmt: skip


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _header, _field, _cut, _insert, _delete, _zero, _noise, _splice, _swap,
)  # fmt: skip


def damaged(number: int) -> tuple[str, bytes]:
    """Return input `number` of the endless series of damaged inputs, and what was done to it."""
    rng = random.Random(number)
    name = rng.choice([*INPUTS])
    content = bytearray(INPUTS[name])
    damages = rng.sample(DAMAGES, rng.choice([1, 1, 1, 2, 3, 6]))
    for damage in damages:
        if _starts(content):
            damage(content, rng)
    return f"{name}: {', '.join(d.__name__[1:] for d in damages)}", bytes(content)


def wrong_samples(decoded: Decoded) -> int:
    """Count samples that are untrue at their time, and that nothing is said about.

    A time half a sample off is another sample's; less is a clock that the format lets drift.
    Said is: the channel is among those without checksum, or has another recording of that time.
    """
    n_wrong = 0
    for segment in decoded.segments:
        is_wrong = _is_wrong(segment)
        if segment.seed_id in decoded.unchecked:
            continue
        times = np.array([segment.time_ns(i) for i in np.flatnonzero(is_wrong)], np.int64)
        for conflict in decoded.conflicts:
            if conflict.seed_id == segment.seed_id:
                span = conflict.span
                times = times[(times < span.start_ns) | (times >= span.end_ns)]
        n_wrong += times.size
    return n_wrong


def _is_wrong(segment: Segment) -> NDArray[np.bool_]:
    truth = TRUTH.get(segment.seed_id)
    n_samples = segment.samples.size
    if truth is None:
        return np.ones(n_samples, bool)
    steps = np.arange(n_samples) * (truth.sampling_rate_hz / segment.sampling_rate_hz)
    first = (segment.start_ns - truth.start_ns) * truth.sampling_rate_hz / NS_PER_S
    places = np.rint(first + steps).astype(np.int64)
    inside = (places >= 0) & (places < truth.samples.size)
    is_wrong = ~inside
    is_wrong[inside] = segment.samples[inside] != truth.samples[places[inside]]
    return is_wrong


@dataclass(slots=True)
class Fuzzed:
    """What came of many damaged inputs; the lists name inputs by number."""

    n_inputs: int = 0
    n_samples: int = 0
    wrong: list[int] = field(default_factory=list)
    crashed: list[int] = field(default_factory=list)
    hung: list[int] = field(default_factory=list)


def fuzz(first: int, n_inputs: int) -> Fuzzed:
    """Decode `n_inputs` damaged inputs from number `first` on, in child processes."""
    found = Fuzzed()
    following = first
    while following < first + n_inputs:
        following = _fuzz_in_child(following, first + n_inputs, found)
    return found


def _fuzz_in_child(following: int, end: int, found: Fuzzed) -> int:
    """Let one child work until all is done or it fails; return the next input to try."""
    command = [sys.executable, "-m", "tests.faults.fuzzing", str(following), str(end)]
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:

        def listen() -> None:
            for line in child.stdout:
                lines.put(line)
            lines.put("")

        listener = threading.Thread(target=listen)
        listener.start()
        lines.get()  # that it is ready
        while following < end:
            try:
                line = lines.get(timeout=_HANGS_AFTER_S)
            except queue.Empty:
                found.hung.append(following)
                child.kill()
                break
            if not line.endswith("\n"):
                found.crashed.append(following)
                break
            n_samples, n_wrong = json.loads(line)
            found.n_inputs += 1
            found.n_samples += n_samples
            if n_wrong:
                found.wrong.append(following)
            following += 1
        else:
            following -= 1
        child.wait()
        listener.join()
    return following + 1


def main(first: int, end: int) -> None:
    """Decode inputs as a fetch does, and write a line for each."""
    print("ready", flush=True)
    for number in range(first, end):
        _, content = damaged(number)
        decoded = decode(content, allowed=TRUTH.keys(), span=SPAN, latest_ns=LATEST_NS)
        n_samples = sum(segment.samples.size for segment in decoded.segments)
        print(json.dumps([n_samples, wrong_samples(decoded)]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
