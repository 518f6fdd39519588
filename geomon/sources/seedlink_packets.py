"""What SeedLink packets hold, and how far apart their numbers are."""

import hashlib
import logging
import struct
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from functools import lru_cache

import pymseed

from geomon.errors import DataError
from geomon.ids import SeedId, StationId
from geomon.sources.base import Outcome
from geomon.sources.miniseed import Decoded, decode
from geomon.sources.seedlink_session import Packet
from geomon.sources.seedlink_state import Position
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan
from geomon.waveforms import Asked

logger = logging.getLogger(__name__)

_FUTURE_NS = 5 * NS_PER_S
_V3_MODULUS = 1 << 24
# Where things are in headers of miniSEED 2 (SEED 2.4, chapter 8) and 3.
_MS2_CODES, _MS2_CODES_END, _MS2_BYTES = 8, 20, 48
_MS2_START = struct.Struct(">HHBBB")
_MS2_PLACES = (slice(10, 12), slice(0, 5), slice(5, 7), slice(7, 10))  # in the order of a SEED id
_MS2_QUALITIES = (b"D", b"R", b"Q", b"M")
_MS3 = b"MS\x03"
_MS3_NAME_LENGTH, _MS3_NAME = 33, 40


def sensors_by_station(
    seed_ids: Iterable[SeedId],
) -> dict[StationId, tuple[tuple[str, str], ...]]:
    """Return the location, band and instrument codes of channels, by station."""
    found: dict[StationId, dict[tuple[str, str], None]] = {}
    for seed_id in sorted(set(seed_ids)):
        sensors = found.setdefault(seed_id.station_id, {})
        sensors[seed_id.location, seed_id.channel[:2]] = None
    return {station_id: tuple(sensors) for station_id, sensors in found.items()}


def steps_between(earlier: int, later: int, version: int) -> int:
    """Return how many packets `later` is ahead; version 3 counts with 24 bits and starts again."""
    if version == 4:
        return later - earlier
    steps = (later - earlier) % _V3_MODULUS
    return steps if steps < _V3_MODULUS // 2 else steps - _V3_MODULUS


def position_of(packet: Packet, version: int) -> Position:
    """Return the position behind a packet."""
    digest = hashlib.sha256(packet.payload).hexdigest()[:16]
    return Position(packet.sequence, version, digest)


def seed_id_of(packet: Packet) -> SeedId | None:
    """Return the channel of the record in a packet; None when it cannot be told.

    Only a glance, to sort packets by; `decode_packets` checks what is kept.
    """
    head = packet.payload[:_MS2_CODES_END]
    if head.startswith(_MS3):
        record = _header(packet)
        return None if record is None else _seed_id_ms3(record.sourceid)
    return _seed_id_ms2(head[_MS2_CODES:]) if _is_ms2(head) else None


def start_of(packet: Packet) -> int:
    """Return when the record in a packet starts, to a second or so; 0 when it cannot be told."""
    payload = packet.payload
    if _is_ms2(payload) and len(payload) >= _MS2_BYTES:
        year, day, hour, minute, second = _MS2_START.unpack_from(payload, _MS2_CODES_END)
        if not 1900 < year < 2100:  # written in the other byte order
            year, day = (value >> 8 | (value & 255) << 8 for value in (year, day))
        days: int = _days_before(year) + day - 1
        seconds: int = hour * 3600 + minute * 60 + second
        return days * NS_PER_DAY + seconds * NS_PER_S
    record = _header(packet)
    return 0 if record is None else int(record.starttime)


@lru_cache(maxsize=256)
def _days_before(year: int) -> int:
    """Return the days from 1970 to a year; any number may stand in a damaged header."""
    return date(min(max(year, 1), 9999), 1, 1).toordinal() - date(1970, 1, 1).toordinal()


def station_of(packet: Packet, seed_id: SeedId | None) -> StationId | None:
    """Return the station of a packet, from its header if need be; None when it cannot be told."""
    if seed_id is not None:
        return seed_id.station_id
    if packet.station is None:
        return None
    network, _, station = packet.station.partition("_")
    try:
        return StationId(network, station)
    except DataError:
        return None


def _is_ms2(payload: bytes) -> bool:
    return payload[6:7] in _MS2_QUALITIES and not payload.startswith(_MS3)


def _codes(payload: bytes) -> bytes:
    """Return the bytes of a record that name its channel."""
    if payload.startswith(_MS3) and len(payload) > _MS3_NAME:
        return payload[_MS3_NAME : _MS3_NAME + payload[_MS3_NAME_LENGTH]]
    return payload[_MS2_CODES:_MS2_CODES_END]


def _header(packet: Packet) -> pymseed.MS3Record | None:
    try:
        return pymseed.MS3Record.parse(packet.payload)
    except (pymseed.PymseedError, ValueError):
        pymseed.clear_error_messages()
        return None


@lru_cache(maxsize=8192)
def _seed_id_ms2(codes: bytes) -> SeedId | None:
    """Read station, location, channel and network, as they stand in a header."""
    try:
        text = codes.decode("ascii")
        return SeedId(*(text[at].strip() for at in _MS2_PLACES))
    except (UnicodeDecodeError, DataError):
        return None


@lru_cache(maxsize=8192)
def _seed_id_ms3(source_id: str) -> SeedId | None:
    try:
        return SeedId(*(code.strip() for code in pymseed.sourceid2nslc(source_id)))
    except (ValueError, TypeError, pymseed.PymseedError):
        return None


def decode_packets(
    payloads: Sequence[bytes], allowed: Collection[SeedId], span: TimeSpan | None = None
) -> Decoded:
    """Decode; records from the future are refused unless it is our clock that is wrong."""
    # Rows of records of one channel are read many times faster than mixed ones.
    of_channel: dict[bytes, list[bytes]] = {}
    for payload in payloads:
        of_channel.setdefault(_codes(payload), []).append(payload)
    buffers = [b"".join(parts) for parts in of_channel.values()]
    decoded = decode(*buffers, allowed=allowed, span=span, latest_ns=time.time_ns() + _FUTURE_NS)
    if len({seed_id.station_id for seed_id in decoded.future}) > 1:
        logger.error("data of several stations lie in the future; check this machine's clock")
        decoded = decode(*buffers, allowed=allowed, span=span)
    return decoded


def asked_of(
    server: str, request: str, begun_ns: int, outcome: Outcome, payloads: Sequence[bytes]
) -> Asked:
    """Return the entry in the books about one request that ends now."""
    return Asked(
        url=f"seedlink://{server}",
        request=request,
        asked_ns=begun_ns,
        took_s=max(0, time.time_ns() - begun_ns) / NS_PER_S,
        outcome=outcome,
        n_bytes=sum(map(len, payloads)),
        sha256=sha256_of(payloads) if payloads else "",
    )


def sha256_of(payloads: Iterable[bytes]) -> str:
    """Return the hash of payloads in the order they came."""
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(payload)
    return digest.hexdigest()
