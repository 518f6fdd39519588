"""Find sound miniSEED records in bytes that may be damaged, before any sample is decoded.

Headers are read by libmseed (through pymseed); what it cannot know is checked here: whether the
channel was asked for, whether the claimed samples fit into the record, whether the next record
begins where this one ends. After damage the search goes on at the next header.

The formats are miniSEED 2 (SEED 2.4, FDSN 2012, chapter 8) and miniSEED 3 (FDSN 2023,
https://docs.fdsn.org/projects/miniseed3).
"""

import re
import struct
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pymseed
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.ids import SeedId
from geomon.sources import headers
from geomon.times import NS_PER_S, TimeSpan, parse_time

type Buffer = bytes | bytearray | memoryview

HEADER = re.compile(rb"[0-9 \0]{6}[DRQM][ \0][\x20-\x7e]{12}|MS\x03")
SIGNATURE_BYTES = 20  # enough of a record for HEADER to match

_V2_FIXED_BYTES = 48
_V3_FIXED_BYTES = 40
V3_FIRST_BYTE = ord("M")
_MIN_ROWS, _MAX_ROWS = 64, 16_384  # headers looked at together
_LONGEST_V2 = 1 << 17
_LONGEST_V3 = 1 << 24
_EARLIEST_NS = parse_time("1950-01-01")
_MAX_RATE_HZ = 100_000.0
# Most samples a 32-bit word of data can hold, by encoding (SEED 2.4, blockette 1000 field 3).
_SAMPLES_PER_WORD = {
    1: 2.0, 3: 1.0, 4: 1.0, 5: 0.5, 10: 4.0, 11: 7.0, 12: 4 / 3, 13: 2.0, 14: 2.0,
    16: 2.0, 30: 2.0, 32: 2.0,
}  # fmt: skip
_STEIM = (10, 11)
_FLOATS = (4, 5)
_BIG_ENDIAN = 1  # SEED 2.4, blockette 1000 field 4
_TIMING_QUALITY = re.compile(rb'"Time"\s*:\s*\{[^}]*"Quality"\s*:\s*([0-9]{1,3}(?:\.[0-9]*)?)')
_TEXT = 0

Reason = str
"""Why a record was left out: ``channel``, ``checksum``, ``empty``, ``encoding``, ``future``,
``header``, ``integrity``, ``length``, ``rate``, ``sample count``, ``text``, ``time``, ``truncated``
or ``window``."""

NOT_DAMAGE: frozenset[Reason] = frozenset({"window", "text", "future", "empty"})
"""Reasons that say nothing against the transfer: asking again brings the same records."""


RECORD = np.dtype(
    [
        ("channel", np.int32),
        ("start_ns", np.int64),
        ("sampling_rate_hz", np.float64),
        ("n_samples", np.int64),
        ("encoding", np.int16),
        ("offset", np.int64),
        ("length", np.int64),
        ("data_at", np.int64),
        ("resolution_ns", np.int64),
        ("timing_quality", np.uint8),
        ("has_checksum", np.bool_),
    ]
)
"""Header of one sound record and where its bytes are.

`channel` counts in `Scan.seed_ids`; `data_at` is where the samples begin, from the start of the
record, -1 when they are not in big-endian order; `resolution_ns` is how finely the header can tell
the time; `timing_quality` is in percent, `headers.UNKNOWN_QUALITY` when not told; `has_checksum`
says whether damage to the samples would be noticed (by the CRC of miniSEED 3, or by Steim's last
sample when nothing strange follows the record).
"""

type Records = NDArray[np.void]


def times_after(
    n_samples: NDArray[np.int64], sampling_rate_hz: float | NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the time `n_samples` samples take, nanoseconds, rounded as `Segment.time_ns` does."""
    elapsed: NDArray[np.int64] = np.rint(n_samples * NS_PER_S / sampling_rate_hz).astype(np.int64)
    return elapsed


def ends(records: Records) -> NDArray[np.int64]:
    """Return the time the sample after the last one of each record would have."""
    end_ns: NDArray[np.int64] = records["start_ns"] + times_after(
        records["n_samples"], records["sampling_rate_hz"]
    )
    return end_ns


@dataclass(slots=True, eq=False)
class Scan:
    """Sound records in the order of the bytes, and a count of everything else.

    Attributes
    ----------
    records : structured array of `RECORD`, shape (n,)
        Sound records.
    seed_ids : list of SeedId
        Channels the records belong to.
    rejected : Counter
        Records left out, by reason.
    n_junk_bytes : int
        Bytes that belong to no record.
    foreign : set of str
        Source identifiers of the first few records nobody asked for.
    future : set of SeedId
        Channels with records beyond the latest time allowed.
    """

    records: Records = field(default_factory=lambda: np.empty(0, RECORD))
    seed_ids: list[SeedId] = field(default_factory=list)
    rejected: Counter[Reason] = field(default_factory=Counter)
    n_junk_bytes: int = 0
    foreign: set[str] = field(default_factory=set)
    future: set[SeedId] = field(default_factory=set)


class _Scanner:
    def __init__(
        self,
        buffer: Buffer,
        allowed: Collection[SeedId] | None,
        span: TimeSpan | None,
        latest_ns: int | None,
    ) -> None:
        self.buffer = memoryview(buffer)
        self.size = len(self.buffer)
        self.allowed = allowed
        self.span = span
        self.latest_ns = latest_ns
        self.found = Scan()
        self.names: dict[str, SeedId | None] = {}
        self.channels: dict[SeedId, int] = {}
        self.parts: list[Records] = []
        self.n_rows = _MIN_ROWS

    def run(self) -> Scan:
        position = 0
        while position < self.size:
            if HEADER.match(self.buffer, position) is None:
                following = self._next_header(position + 1)
                self.found.n_junk_bytes += following - position
                position = following
            else:
                position = self._take_similar(self._take(position))
        if self.parts:
            self.found.records = np.concatenate(self.parts)
        self.found.seed_ids = list(self.channels)
        return self.found

    def _take_similar(self, position: int) -> int:
        """Take the records that continue, in every respect, the one just taken; return the rest."""
        if not self.parts:
            return position
        last = self.parts[-1][-1]
        at, length = int(last["offset"]), int(last["length"])
        if at + length != position or not self._repeats(at, length):
            return position
        is_v2 = self.buffer[at] != V3_FIRST_BYTE
        read = headers.similar_v2 if is_v2 else headers.similar_v3
        rows = read(self.buffer, at, length, self.n_rows)
        if not len(rows):
            return position
        is_full = len(rows) >= self.n_rows - 1
        self.n_rows = min(4 * self.n_rows, _MAX_ROWS) if is_full else _MIN_ROWS
        records = np.empty(len(rows), RECORD)
        records[:] = last
        for name in ("offset", "length", "start_ns", "n_samples", "timing_quality"):
            records[name] = getattr(rows, name)
        if not is_v2:
            records["resolution_ns"] = np.where(rows.start_ns % 1_000, 1, 1_000)
        is_sound = self._are_sound(records, _V2_FIXED_BYTES if is_v2 else int(last["data_at"]))
        n_sound = len(rows) if is_sound.all() else int(np.argmin(is_sound))
        if n_sound:
            self.parts.append(records[:n_sound])
            position = int(records["offset"][n_sound - 1] + records["length"][n_sound - 1])
        return position

    def _are_sound(self, records: Records, n_head: int) -> NDArray[np.bool_]:
        """Judge similar records as `_objection` judges single ones."""
        room = (records["length"] - n_head) / 4 * _SAMPLES_PER_WORD[int(records["encoding"][0])]
        start_ns, end_ns = records["start_ns"], ends(records)
        is_sound: NDArray[np.bool_] = (
            (records["n_samples"] > 0) & (records["n_samples"] <= room) & (start_ns >= _EARLIEST_NS)
        )
        if self.span is not None:
            is_sound &= (end_ns > self.span.start_ns) & (start_ns < self.span.end_ns)
        if self.latest_ns is not None:
            is_sound &= end_ns <= self.latest_ns
        return is_sound

    def _repeats(self, at: int, length: int) -> bool:
        """Tell whether what follows is of the same kind: records of single channels do not."""
        if self.buffer[at] == V3_FIRST_BYTE:
            return HEADER.match(self.buffer, at + length) is not None
        name = self.buffer[at + 6 : at + 20]
        return all(
            self.buffer[next_at + 6 : next_at + 20] == name
            for next_at in range(at + length, self.size, length)[:2]
        )

    def _next_header(self, position: int) -> int:
        match = HEADER.search(self.buffer, position)
        return match.start() if match else self.size

    def _take(self, position: int) -> int:
        """Judge the record at `position`; return where to go on."""
        longest = self._longest(position)
        try:
            record = pymseed.MS3Record.parse(self.buffer[position : position + longest])
        except pymseed.MiniSEEDError as error:
            return self._unreadable(position, error)
        length = int(record.reclen)
        seed_id = self._seed_id(record.sourceid)
        reason: Reason | None = self._objection(record, seed_id)
        is_v2 = record.formatversion == 2
        checked = not is_v2 or record.encoding in _STEIM
        following, is_certain = self._following(position, length)
        if (
            reason is None
            and is_v2
            and (following < position + length or not (is_certain or checked))
        ):
            reason = "length"
        if not is_v2:
            following = position + length  # its checksum says that it is whole
        if reason is not None or seed_id is None:
            self._reject(reason or "channel", record.sourceid, seed_id)
            return following
        layout = self._layout_v2(position) if is_v2 else self._layout_v3(position, record.starttime)
        channel = self.channels.setdefault(seed_id, len(self.channels))
        data_at, resolution_ns, timing_quality = layout
        # What was inserted shortly before the end may, by chance, add up to the last sample.
        checked = checked and (not is_v2 or self._ends_cleanly(position + length))
        taken = (
            channel, record.starttime, record.samprate, record.samplecnt, record.encoding,
            position, length, data_at, resolution_ns, timing_quality, checked,
        )  # fmt: skip
        self.parts.append(np.array([taken], RECORD))
        return following

    def _reject(self, reason: Reason, source_id: str, seed_id: SeedId | None) -> None:
        self.found.rejected[reason] += 1
        if reason == "channel" and len(self.found.foreign) < 8:
            self.found.foreign.add(source_id)
        if reason == "future" and seed_id is not None:
            self.found.future.add(seed_id)

    def _unreadable(self, position: int, error: pymseed.MiniSEEDError) -> int:
        pymseed.clear_error_messages()
        following = self._next_header(position + 1)
        reason = "checksum" if "CRC" in str(error) else "header"
        if error.status_code > 0 and following == self.size:
            reason = "truncated"
        self.found.rejected[reason] += 1
        self.found.n_junk_bytes += following - position
        return following

    def _longest(self, position: int) -> int:
        """Bytes the record may reach over, so that a wild length cannot swallow the rest."""
        head = self.buffer[position : position + _V3_FIXED_BYTES]
        if bytes(head[:2]) != b"MS" or len(head) < _V3_FIXED_BYTES:
            return _LONGEST_V2
        n_id, n_extra, n_data = map(int, struct.unpack_from("<BHI", head, 33))
        return min(_V3_FIXED_BYTES + n_id + n_extra + n_data, _LONGEST_V3)

    def _following(self, position: int, length: int) -> tuple[int, bool]:
        """Return where to go on after a record, and whether its end is beyond doubt.

        A header inside it means that bytes were lost; junk behind it may have been inserted in it,
        unless the junk fills the place of whole records.
        """
        after = position + length
        if self._ends_cleanly(after):
            return after, True
        following = self._next_header(position + 1)
        if following < after:
            return following, False
        return after, following == self.size or (following - position) % length == 0

    def _ends_cleanly(self, after: int) -> bool:
        return after == self.size or HEADER.match(self.buffer, after) is not None

    def _seed_id(self, source_id: str) -> SeedId | None:
        if source_id not in self.names:
            try:
                codes = pymseed.sourceid2nslc(source_id)
                self.names[source_id] = SeedId(*(code.strip() for code in codes))
            except (ValueError, pymseed.PymseedError, DataError, TypeError):
                self.names[source_id] = None
        return self.names[source_id]

    def _objection(self, record: pymseed.MS3Record, seed_id: SeedId | None) -> Reason | None:
        if seed_id is None or (self.allowed is not None and seed_id not in self.allowed):
            return "channel"
        if record.encoding == _TEXT:
            return "text"
        rate = record.samprate
        n_samples = record.samplecnt
        if n_samples == 0 and rate == 0:
            return "empty"
        if not 0 < rate <= _MAX_RATE_HZ:
            return "rate"
        per_word = _SAMPLES_PER_WORD.get(record.encoding)
        if per_word is None:
            return "encoding"
        if n_samples <= 0 or n_samples > record.datalength / 4 * per_word:
            return "sample count"
        start_ns = record.starttime
        end_ns = start_ns + round(n_samples * NS_PER_S / rate)
        if start_ns < _EARLIEST_NS:
            return "time"
        if self.span is not None and (end_ns <= self.span.start_ns or start_ns >= self.span.end_ns):
            return "window"
        if self.latest_ns is not None and end_ns > self.latest_ns:
            return "future"
        return None

    def _layout_v2(self, position: int) -> tuple[int, int, int]:
        """Return where the samples begin, the resolution of the time, and the timing quality.

        The resolution is 100 us, or 1 us when a blockette 1001 follows the fixed header.
        """
        head = self.buffer[position : position + 128]
        order = ">" if 1900 <= struct.unpack_from(">H", head, 20)[0] <= 2100 else "<"
        data_at, at = struct.unpack_from(f"{order}HH", head, 44)
        resolution_ns, timing_quality = 100_000, headers.UNKNOWN_QUALITY
        while 48 <= at <= len(head) - 8:
            kind, following = struct.unpack_from(f"{order}HH", head, at)
            if kind == 1000 and head[at + 5] != _BIG_ENDIAN:
                data_at = -1
            if kind == 1001:
                resolution_ns, timing_quality = 1_000, head[at + 4]
            if following <= at:
                break
            at = following
        return data_at if data_at >= _V2_FIXED_BYTES else -1, resolution_ns, timing_quality

    def _layout_v3(self, position: int, start_ns: int) -> tuple[int, int, int]:
        """As `_layout_v2`; times on whole microseconds are those of clocks and converters."""
        n_id, n_extra = struct.unpack_from("<BH", self.buffer, position + 33)
        extra_at = position + _V3_FIXED_BYTES + n_id
        told = _TIMING_QUALITY.search(self.buffer[extra_at : extra_at + n_extra])
        timing_quality = int(float(told[1])) if told else headers.UNKNOWN_QUALITY
        data_at = _V3_FIXED_BYTES + n_id + n_extra
        resolution_ns = 1_000 if start_ns % 1_000 == 0 else 1
        return data_at, resolution_ns, min(timing_quality, headers.UNKNOWN_QUALITY)


def scan(
    buffer: Buffer,
    *,
    allowed: Collection[SeedId] | None = None,
    span: TimeSpan | None = None,
    latest_ns: int | None = None,
) -> Scan:
    """Find the sound records in `buffer`; never raises on bad bytes.

    Parameters
    ----------
    buffer : bytes-like
        miniSEED 2 or 3, whole or damaged.
    allowed : collection of SeedId, optional
        Channels to accept; all by default.
    span : TimeSpan, optional
        Records that share no instant with it are left out.
    latest_ns : int, optional
        Records that end after it (nanoseconds since 1970) are left out as from the future.
    """
    found = _Scanner(buffer, allowed, span, latest_ns).run()
    _drop_misplaced(found)
    return found


def _drop_misplaced(found: Scan) -> None:
    """Leave out records whose header time, rate or encoding was damaged.

    Such a record stands, in the order of the bytes, in a hole exactly its size between two
    records that agree with each other, but claims to be elsewhere or of another kind.
    """
    is_kept = np.ones(len(found.records), np.bool_)
    for channel in range(len(found.seed_ids)):
        (places,) = np.nonzero(found.records["channel"] == channel)
        records = found.records[places]
        before, record, after = records[:-2], records[1:-1], records[2:]
        if not len(record):
            continue
        rate = before["sampling_rate_hz"]
        half_ns = NS_PER_S / rate / 2
        n_between = before["n_samples"] + record["n_samples"]
        expected_ns = before["start_ns"] + times_after(n_between, rate)
        fits_between = np.abs(after["start_ns"] - expected_ns) <= half_ns
        is_float = np.isin(records["encoding"], _FLOATS)
        is_same_kind = (record["sampling_rate_hz"] == rate) & (is_float[1:-1] == is_float[:-2])
        is_elsewhere = np.abs(record["start_ns"] - ends(before)) > half_ns
        suspects = np.flatnonzero(
            (rate == after["sampling_rate_hz"]) & fits_between & (~is_same_kind | is_elsewhere)
        )
        for suspect in suspects.tolist():  # a misplaced record says nothing about the next one
            is_kept[places[suspect + 1]] = not is_kept[places[suspect]]
    found.rejected["time"] += int(np.count_nonzero(~is_kept))
    found.records = found.records[is_kept]
