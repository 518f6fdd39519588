"""miniSEED bytes to exact segments, salvaging around damage.

Records are found by `geomon.sources.records` and decoded here; what they hold is joined by
`geomon.sources.joining`.
"""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pymseed
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.sources.joining import Line, joined, segments_of
from geomon.sources.records import (
    NOT_DAMAGE,
    V3_FIRST_BYTE,
    Buffer,
    Reason,
    Records,
    Scan,
    scan,
    times_after,
)
from geomon.times import TimeSpan
from geomon.waveforms import Gap, Segment

_MAX_OPEN = 8  # time lines of one channel kept open for the next record
_FEW_RECORDS = 32  # looked at together at the start of a run
_STEIM = (10, 11)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Sound samples of some miniSEED bytes, and an account of everything else.

    Attributes
    ----------
    segments : tuple of Segment
        In (channel, time) order; of one channel they overlap only where samples differ.
    n_records, n_duplicates, n_junk_bytes : int
        Records kept, records sent again unchanged, bytes that belong to no record.
    rejected : dict of str to int
        Records left out, by reason (see `geomon.sources.records`).
    foreign : tuple of str
        Source identifiers of records nobody asked for, the first few.
    future : tuple of SeedId
        Channels with records beyond the latest time allowed.
    conflicts : tuple of Gap
        Where a channel has two different recordings of the same time; both are kept.
    masked : tuple of Gap
        Samples that were NaN or infinite, left out as gaps.
    unchecked : tuple of SeedId
        Channels with records in which a flipped bit would go unseen: in samples without checksum,
        or in the time of a miniSEED 2 record that no other one continues or repeats.
    timing_quality : dict of SeedId to float
        Mean of what the records say about their clock, percent; channels that say nothing are
        absent.
    """

    segments: tuple[Segment, ...]
    n_records: int
    n_duplicates: int
    n_junk_bytes: int
    rejected: dict[Reason, int]
    foreign: tuple[str, ...]
    future: tuple[SeedId, ...]
    conflicts: tuple[Gap, ...]
    masked: tuple[Gap, ...]
    unchecked: tuple[SeedId, ...]
    timing_quality: dict[SeedId, float]

    @property
    def is_damaged(self) -> bool:
        """Whether bytes were lost or altered, so that asking again may bring more."""
        return self.n_junk_bytes > 0 or any(reason not in NOT_DAMAGE for reason in self.rejected)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each kind of thing left out or doubtful."""
        lines = []
        for reason, count in sorted(self.rejected.items()):
            if reason in ("window", "empty", "text"):
                continue
            names = f" ({', '.join(self.foreign)})" if reason == "channel" else ""
            lines.append(f"{_records(count)} left out: {_EXPLAINED[reason]}{names}")
        if self.n_junk_bytes:
            lines.append(f"{self.n_junk_bytes} bytes belong to no record")
        lines += [
            f"{c.seed_id}: different samples for the same time {c.span}" for c in self.conflicts
        ]
        lines += [f"{m.seed_id}: NaN or infinite samples left out {m.span}" for m in self.masked]
        return tuple(lines)


_EXPLAINED: dict[Reason, str] = {
    "channel": "channel not asked for",
    "checksum": "checksum wrong",
    "encoding": "encoding unknown",
    "future": "in the future",
    "header": "header cannot be read",
    "integrity": "samples damaged",
    "length": "bytes inserted or lost inside",
    "rate": "sampling rate is not positive",
    "sample count": "more samples claimed than fit",
    "time": "time, rate or encoding contradicts its neighbours",
    "truncated": "cut short",
}


def _records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"


def decode(
    *buffers: Buffer,
    allowed: Collection[SeedId] | None = None,
    span: TimeSpan | None = None,
    latest_ns: int | None = None,
) -> Decoded:
    """Read miniSEED 2 or 3; never raises on bad bytes.

    Duplicates count once, order does not matter, damaged records are left out and counted, and
    the search goes on behind them.

    Parameters
    ----------
    *buffers : bytes-like
        Answers to the same question, read as one.
    allowed : collection of SeedId, optional
        Channels to accept; all by default.
    span : TimeSpan, optional
        Samples outside [start, end) are trimmed.
    latest_ns : int, optional
        Records that end after it are left out as from the future.
    """
    lines: dict[SeedId, list[Line]] = {}
    qualities: dict[SeedId, list[Records]] = {}
    total = Scan()
    n_records = n_duplicates = 0
    unchecked: set[SeedId] = set()
    for buffer in buffers:
        found = scan(buffer, allowed=allowed, span=span, latest_ns=latest_ns)
        for channel, seed_id in enumerate(found.seed_ids):
            of_channel = found.records[found.records["channel"] == channel]
            records = _without_duplicates(of_channel, memoryview(buffer))
            n_duplicates += len(of_channel) - len(records)
            n_records += len(records)
            for run in _runs(records):
                lines.setdefault(seed_id, []).extend(
                    _decode_run(seed_id, run, memoryview(buffer), found.rejected)
                )
            qualities.setdefault(seed_id, []).append(records)
            if not records["has_checksum"].all():
                unchecked.add(seed_id)
        n_records -= found.rejected["integrity"]
        total.rejected += found.rejected
        total.n_junk_bytes += found.n_junk_bytes
        total.foreign |= found.foreign
        total.future |= found.future
    segments: list[Segment] = []
    conflicts: list[Gap] = []
    masked: list[Gap] = []
    for seed_id, of_one in sorted(lines.items()):
        whole, differing = joined(of_one)
        sound, unsound = segments_of(whole, span)
        segments += sound
        conflicts += differing
        masked += unsound
        if not all(line.is_attested for line in whole):
            unchecked.add(seed_id)
    return Decoded(
        segments=tuple(segments),
        n_records=n_records,
        n_duplicates=n_duplicates,
        n_junk_bytes=total.n_junk_bytes,
        rejected={reason: count for reason, count in total.rejected.items() if count},
        foreign=tuple(sorted(total.foreign)),
        future=tuple(sorted(total.future)),
        conflicts=tuple(conflicts),
        masked=tuple(masked),
        unchecked=tuple(sorted(unchecked)),
        timing_quality=_timing_quality(qualities),
    )


def _timing_quality(records: dict[SeedId, list[Records]]) -> dict[SeedId, float]:
    found: dict[SeedId, float] = {}
    for seed_id, parts in sorted(records.items()):
        told = np.concatenate(parts)["timing_quality"]
        known = told[told <= 100]  # percent; 255 says that nothing is known
        if known.size:
            found[seed_id] = float(known.mean())
    return found


_PLACE = ["start_ns", "sampling_rate_hz", "n_samples"]


def _without_duplicates(records: Records, view: memoryview) -> Records:
    """Sort records of one channel by time, and drop those there twice byte for byte."""
    if np.any(np.diff(records["start_ns"]) <= 0):
        records = records[np.lexsort([records[name] for name in reversed(_PLACE)])]
    else:
        return records
    is_repeated = np.ones(len(records) - 1, np.bool_)
    for name in _PLACE:
        is_repeated &= records[name][1:] == records[name][:-1]
    if not is_repeated.any():
        return records
    is_kept = np.ones(len(records), np.bool_)
    firsts = np.flatnonzero(~np.concatenate([[False], is_repeated]))
    for first, after in pairwise([*firsts.tolist(), len(records)]):
        if after - first > 1:
            # The first 8 bytes of a miniSEED 2 record are its place in its former file.
            digest = {
                index: hashlib.sha256(view[offset + 8 : offset + length]).digest()
                for index in range(first, after)
                for offset, length in [(records["offset"][index], records["length"][index])]
            }
            by_content = {digest[index]: index for index in reversed(range(first, after))}
            copies = [by_content[content] for content in sorted(by_content)]
            records[first : first + len(copies)] = records[copies]
            is_kept[first + len(copies) : after] = False
    return records[is_kept]


def _runs(records: Records) -> list[Records]:
    """Split records of one channel, sorted by time, into runs without a gap on one time line."""
    runs: list[_Run] = []
    is_open: list[_Run] = []
    at = 0
    while at < len(records):
        run = next((run for run in is_open if run.n_agreeing(records[at : at + 1])), None)
        if run is None:
            run = _Run(records[at])
            runs.append(run)
            is_open = [run, *is_open[: _MAX_OPEN - 1]]
        step = _FEW_RECORDS
        while at < len(records):
            following = records[at : at + step]
            n_agreeing = run.n_agreeing(following)
            run.extend(following[:n_agreeing])
            at += n_agreeing
            if n_agreeing < len(following):
                break
            step *= 8
    return [np.concatenate(run.parts) for run in runs]


@dataclass(slots=True, eq=False)
class _Run:
    """Records one behind the other on the time line of the first."""

    first: np.void
    parts: list[Records] = field(default_factory=list)
    n_samples: int = 0

    def extend(self, records: Records) -> None:
        self.parts.append(records)
        self.n_samples += int(records["n_samples"].sum())

    def n_agreeing(self, records: Records) -> int:
        """Tell how many of some records, from the first on, go on where this run ends."""
        rate = float(self.first["sampling_rate_hz"])
        before = self.n_samples + np.cumsum(records["n_samples"]) - records["n_samples"]
        expected_ns = self.first["start_ns"] + times_after(before, rate)
        finer_ns = np.minimum(self.first["resolution_ns"], records["resolution_ns"])
        agrees = (
            (records["sampling_rate_hz"] == rate)
            & (records["encoding"] == self.first["encoding"])
            & ((records["data_at"] < 0) == (self.first["data_at"] < 0))
            & (np.abs(expected_ns - records["start_ns"]) < np.maximum(finer_ns, 2))
        )
        return len(records) if agrees.all() else int(np.argmin(agrees))


def _decode_run(
    seed_id: SeedId, run: Records, view: memoryview, rejected: Counter[Reason]
) -> list[Line]:
    """Decode a run; what stands before and behind damaged records in it are lines of their own."""
    if run["encoding"][0] in _STEIM and run["data_at"][0] > 0:
        samples, is_sound = _unpacked(run, view)
    else:
        samples, is_sound = _decoded_by_libmseed(run, view)
    rejected["integrity"] += int(np.count_nonzero(~is_sound))
    is_attested = len(run) > 1 or view[int(run["offset"][0])] == V3_FIRST_BYTE
    lines: list[Line] = []
    edges = [0, *(np.flatnonzero(np.diff(is_sound)) + 1).tolist(), len(run)]
    ends_at = np.concatenate([[0], np.cumsum(run["n_samples"])])
    for first, after in pairwise(edges):
        if is_sound[first]:
            part = samples[ends_at[first] : ends_at[after]]
            resolution_ns = int(run["resolution_ns"][first:after].min())
            rate = float(run["sampling_rate_hz"][first])
            start_ns = int(run["start_ns"][first])
            lines.append(
                Line(seed_id, start_ns, rate, resolution_ns, [part], part.size, is_attested)
            )
    return lines


def _unpacked(run: Records, view: memoryview) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    from geomon.sources import steim

    samples = np.empty(int(run["n_samples"].sum()), np.int32)
    is_sound = np.empty(len(run), np.bool_)
    steim.unpack(
        np.frombuffer(view, np.uint8),
        run["offset"] + run["data_at"],
        (run["length"] - run["data_at"]) // steim.FRAME_BYTES,
        np.ascontiguousarray(run["n_samples"]),
        bool(run["encoding"][0] == steim.STEIM_2),
        samples,
        is_sound,
    )
    return samples, is_sound


def _decoded_by_libmseed(run: Records, view: memoryview) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Decode a run in one go, or half by half when something in it is damaged."""
    n_samples = int(run["n_samples"].sum())
    samples = _decode_bytes(_bytes_of(run, view), n_samples)
    if samples is not None:
        return samples, np.ones(len(run), np.bool_)
    if len(run) == 1:
        return np.zeros(n_samples, np.int32), np.zeros(1, np.bool_)
    middle = len(run) // 2
    halves = [_decoded_by_libmseed(part, view) for part in (run[:middle], run[middle:])]
    sound = [samples for samples, is_sound in halves if is_sound.any()]
    kind = sound[0].dtype if sound else np.dtype(np.int32)
    return (
        np.concatenate([samples.astype(kind, copy=False) for samples, _ in halves]),
        np.concatenate([is_sound for _, is_sound in halves]),
    )


def _bytes_of(run: Records, view: memoryview) -> Buffer:
    begins, after = run["offset"], run["offset"] + run["length"]
    if np.array_equal(begins[1:], after[:-1]):
        return view[int(begins[0]) : int(after[-1])]
    return b"".join(view[a:b] for a, b in zip(begins.tolist(), after.tolist(), strict=True))


def _decode_bytes(buffer: Buffer, n_samples: int) -> NDArray[Any] | None:
    """Decode a run of records; None when any of them fails its integrity check."""
    pymseed.clear_error_messages()
    try:
        with pymseed.MS3TraceList.from_buffer(buffer, unpack_data=True) as traces:
            segments = [segment for trace in traces for segment in trace]
            complaints = pymseed.get_error_messages()
            if complaints or len(segments) != 1 or segments[0].numsamples != n_samples:
                return None
            samples: NDArray[Any] = segments[0].take_np_datasamples()
            return samples
    except (pymseed.PymseedError, ValueError):
        pymseed.clear_error_messages()
        return None
