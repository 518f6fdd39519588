"""What SeedLink packets hold, and how far apart their numbers are."""

import hashlib
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pymseed

from geomon.errors import DataError
from geomon.ids import SeedId, StationId
from geomon.sources.base import Outcome
from geomon.sources.miniseed import Decoded, decode
from geomon.sources.seedlink_session import Packet
from geomon.sources.seedlink_state import Position
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Asked

FUTURE_NS = 5 * NS_PER_S
_V3_MODULUS = 1 << 24


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


@dataclass(frozen=True, slots=True)
class Content:
    """What a packet says it holds; where that cannot be told, `seed_id` is None and times are 0."""

    station_id: StationId | None
    seed_id: SeedId | None = None
    start_ns: int = 0
    end_ns: int = 0


def content_of(packet: Packet) -> Content:
    """Read the header of the record in a packet; never raises. `decode_packets` checks it all."""
    try:
        record = pymseed.MS3Record.parse(packet.payload)
        seed_id = _seed_id(record.sourceid)
    except (pymseed.PymseedError, ValueError):
        pymseed.clear_error_messages()
        seed_id = None
    if seed_id is None:
        return Content(_station_of(packet))
    rate, n_samples = record.samprate, record.samplecnt
    end_ns = record.starttime + round(n_samples * NS_PER_S / rate) if rate > 0 else 0
    return Content(seed_id.station_id, seed_id, record.starttime, end_ns)


@lru_cache(maxsize=4096)
def _seed_id(source_id: str) -> SeedId | None:
    try:
        return SeedId(*(code.strip() for code in pymseed.sourceid2nslc(source_id)))
    except (ValueError, TypeError, pymseed.PymseedError):
        return None


def _station_of(packet: Packet) -> StationId | None:
    try:
        if packet.station is not None:
            return StationId(*packet.station.split("_", 1))
        station, network = packet.payload[8:13], packet.payload[18:20]  # SEED 2.4, chapter 8
        return StationId(network.decode("ascii").strip(), station.decode("ascii").strip())
    except (DataError, TypeError, UnicodeDecodeError):
        return None


def decode_packets(
    payloads: Sequence[bytes], allowed: Collection[SeedId], span: TimeSpan | None = None
) -> Decoded:
    """Decode; records from the future are refused unless it is our clock that is wrong."""
    body = b"".join(payloads)
    decoded = decode(body, allowed=allowed, span=span, latest_ns=time.time_ns() + FUTURE_NS)
    if len({seed_id.station_id for seed_id in decoded.future}) > 1:
        decoded = decode(body, allowed=allowed, span=span)
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
