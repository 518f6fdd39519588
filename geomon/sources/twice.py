"""Records without a checksum, believed when they arrive the same twice.

A flipped bit in plain integers or floats of miniSEED 2 cannot be seen in one copy. Data centres
send whole records as they hold them, so that records of two answers to the same question can be
compared byte for byte.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.ids import SeedId
from geomon.sources.records import Buffer, Scan, scan

_SEQUENCE_BYTES = 8  # of a miniSEED 2 record: its place in its file, not part of the data


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """Bytes to believe.

    Attributes
    ----------
    body : bytes-like
        The first copy, with records no other copy has left out, and those most others have
        instead put in.
    in_doubt : dict of SeedId to int
        Records left out for which no two copies agree, by channel.
    """

    body: Buffer
    in_doubt: dict[SeedId, int]


def agreed(copies: Sequence[Buffer], channels: Collection[SeedId]) -> Agreed:
    """Compare copies of one answer, and keep the records two of them have.

    Records with a checksum, and of other channels than `channels`, stay as the first copy has
    them; what another copy alone has is left aside, for it may have been recorded since.

    Parameters
    ----------
    copies : sequence of bytes-like
        Answers to the same question, one or more.
    channels : collection of SeedId
        Channels with records that carry no checksum.
    """
    first, *others = (_records(copy, channels) for copy in copies)
    n_seen = Counter(content for copy in (first, *others) for content in copy)
    dropped = [r for content, r in first.items() if r.is_doubtful and n_seen[content] < 2]
    put_in = {
        content: record
        for copy in others
        for content, record in copy.items()
        if content not in first and n_seen[content] >= 2
    }
    if not dropped and not put_in:
        return Agreed(copies[0], {})
    kept: list[bytes] = []
    position = 0
    for record in sorted(dropped, key=lambda r: r.offset):
        kept.append(bytes(memoryview(copies[0])[position : record.offset]))
        position = record.offset + len(record.content)
    kept.append(bytes(memoryview(copies[0])[position:]))
    kept += [record.content for record in put_in.values()]
    mended = Counter(record.seed_id for record in put_in.values())
    in_doubt = Counter(record.seed_id for record in dropped) - mended
    return Agreed(b"".join(kept), dict(in_doubt))


def has_doubtful(copy: Buffer, channels: Collection[SeedId]) -> bool:
    """Tell whether records of `channels` carry no checksum, and so have to arrive twice."""
    found = scan(copy)
    return not found.records["has_checksum"][_is_of(found, channels)].all()


@dataclass(frozen=True, slots=True)
class _Record:
    seed_id: SeedId
    offset: int
    content: bytes
    is_doubtful: bool


def _records(copy: Buffer, channels: Collection[SeedId]) -> dict[bytes, _Record]:
    """Return the records of some channels by what makes them the same."""
    view = memoryview(copy)
    found = scan(copy)
    records: dict[bytes, _Record] = {}
    for at in found.records[_is_of(found, channels)]:
        offset, length = int(at["offset"]), int(at["length"])
        content = bytes(view[offset : offset + length])
        records[content[_SEQUENCE_BYTES:]] = _Record(
            found.seed_ids[at["channel"]], offset, content, not at["has_checksum"]
        )
    return records


def _is_of(found: Scan, channels: Collection[SeedId]) -> NDArray[np.bool_]:
    wanted = [at for at, seed_id in enumerate(found.seed_ids) if seed_id in channels]
    return np.isin(found.records["channel"], wanted)
