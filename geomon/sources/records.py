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

from geomon.errors import DataError
from geomon.ids import SeedId
from geomon.sources.alike import alike_headers
from geomon.times import NS_PER_S, TimeSpan, parse_time

type Buffer = bytes | bytearray | memoryview

HEADER = re.compile(rb"[0-9 \0]{6}[DRQM][ \0][\x20-\x7e]{12}|MS\x03")
SIGNATURE_BYTES = 20  # enough of a record for HEADER to match

_V2_FIXED_BYTES = 48
_V3_FIXED_BYTES = 40
_V3_FIRST_BYTE = ord("M")
_MIN_ROWS, _MAX_ROWS = 64, 4096  # headers looked at together
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
_TEXT = 0

Reason = str
"""Why a record was left out: ``channel``, ``checksum``, ``empty``, ``encoding``, ``future``,
``header``, ``integrity``, ``length``, ``rate``, ``sample count``, ``text``, ``time``, ``truncated``
or ``window``."""

NOT_DAMAGE: frozenset[Reason] = frozenset({"window", "text", "future", "empty"})
"""Reasons that say nothing against the transfer: asking again brings the same records."""


@dataclass(frozen=True, slots=True)
class Record:
    """Header of one sound record and where its bytes are.

    `resolution_ns` is how finely the header can tell the time; `has_checksum` whether a flipped
    bit in the samples would be noticed (the CRC of miniSEED 3, or Steim's last sample).
    """

    seed_id: SeedId
    start_ns: int
    sampling_rate_hz: float
    n_samples: int
    encoding: int
    offset: int
    length: int
    resolution_ns: int
    has_checksum: bool

    def time_ns(self, index: int) -> int:
        """Time of sample `index` of this record's time line."""
        return self.start_ns + round(index * NS_PER_S / self.sampling_rate_hz)

    @property
    def end_ns(self) -> int:
        """Time the sample after the last one would have."""
        return self.time_ns(self.n_samples)


@dataclass(slots=True)
class Scan:
    """Sound records in the order of the bytes, and a count of everything else."""

    records: list[Record] = field(default_factory=list)
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
        self.n_rows = _MIN_ROWS

    def run(self) -> Scan:
        position = 0
        while position < self.size:
            if HEADER.match(self.buffer, position) is None:
                following = self._next_header(position + 1)
                self.found.n_junk_bytes += following - position
                position = following
            else:
                position = self._take_alike(self._take(position))
        return self.found

    def _take_alike(self, position: int) -> int:
        """Take the records that continue, in every respect, the one just taken; return the rest."""
        if not self.found.records:
            return position
        last = self.found.records[-1]
        if last.offset + last.length != position or not self._repeats(last, 2):
            return position
        starts, counts = alike_headers(self.buffer, last.offset, last.length, self.n_rows)
        ends = starts + np.rint(counts * (NS_PER_S / last.sampling_rate_hz)).astype(np.int64)
        room = (last.length - _V2_FIXED_BYTES) / 4 * _SAMPLES_PER_WORD[last.encoding]
        is_sound = (counts > 0) & (counts <= room) & (starts >= _EARLIEST_NS)
        if self.span is not None:
            is_sound &= (ends > self.span.start_ns) & (starts < self.span.end_ns)
        if self.latest_ns is not None:
            is_sound &= ends <= self.latest_ns
        n_sound = int(np.argmin(is_sound)) if not is_sound.all() else len(is_sound)
        full = len(starts) == self.n_rows - 1
        self.n_rows = min(4 * self.n_rows, _MAX_ROWS) if full else _MIN_ROWS
        taken = zip(starts[1:n_sound].tolist(), counts[1:n_sound].tolist(), strict=True)
        for start_ns, n_samples in taken:
            self.found.records.append(
                Record(
                    last.seed_id, start_ns, last.sampling_rate_hz, n_samples, last.encoding,
                    position, last.length, last.resolution_ns, last.has_checksum,
                )
            )  # fmt: skip
            position += last.length
        return position

    def _repeats(self, last: Record, times: int) -> bool:
        """Tell whether the next miniSEED 2 records name the channel of the one just taken."""
        name = self.buffer[last.offset + 6 : last.offset + 20]
        return self.buffer[last.offset] != _V3_FIRST_BYTE and all(
            self.buffer[at + 6 : at + 20] == name
            for at in range(last.offset + last.length, self.size, last.length)[:times]
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
        resolution = self._resolution_v2(position) if is_v2 else _resolution_v3(record.starttime)
        self.found.records.append(
            Record(
                seed_id, record.starttime, record.samprate, record.samplecnt, record.encoding,
                position, length, resolution, checked,
            )
        )  # fmt: skip
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
        if after == self.size or HEADER.match(self.buffer, after) is not None:
            return after, True
        following = self._next_header(position + 1)
        if following < after:
            return following, False
        return after, following == self.size or (following - position) % length == 0

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

    def _resolution_v2(self, position: int) -> int:
        """100 us, or 1 us when a blockette 1001 follows the fixed header."""
        head = self.buffer[position : position + 128]
        order = ">" if 1900 <= struct.unpack_from(">H", head, 20)[0] <= 2100 else "<"
        at = struct.unpack_from(f"{order}H", head, 46)[0]
        while 48 <= at <= len(head) - 4:
            kind, following = struct.unpack_from(f"{order}HH", head, at)
            if kind == 1001:
                return 1_000
            if following <= at:
                break
            at = following
        return 100_000


def _resolution_v3(start_ns: int) -> int:
    """1 us for times on whole microseconds, as made by clocks and converters; 1 ns for others."""
    return 1_000 if start_ns % 1_000 == 0 else 1


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
    of_channel: dict[SeedId, list[Record]] = {}
    for record in found.records:
        of_channel.setdefault(record.seed_id, []).append(record)
    misplaced: set[int] = set()
    for records in of_channel.values():
        for before, record, after in zip(records, records[1:], records[2:], strict=False):
            if before.sampling_rate_hz != after.sampling_rate_hz or before.offset in misplaced:
                continue
            half_ns = NS_PER_S / before.sampling_rate_hz / 2
            expected_end = before.time_ns(before.n_samples + record.n_samples)
            if abs(after.start_ns - expected_end) > half_ns:
                continue
            same_kind = record.sampling_rate_hz == before.sampling_rate_hz and (
                record.encoding in _FLOATS
            ) == (before.encoding in _FLOATS)
            if not same_kind or abs(record.start_ns - before.end_ns) > half_ns:
                misplaced.add(record.offset)
    if misplaced:
        found.records = [r for r in found.records if r.offset not in misplaced]
        found.rejected["time"] += len(misplaced)
