"""One connection to a SeedLink server: handshake, requests, packets, with limits on everything.

Written after "SeedLink protocol" 4.0 (FDSN, https://docs.fdsn.org/projects/seedlink) and, for
version 3, which was never specified, the manual of SeisComP's server
(https://www.seiscomp.de/doc/apps/seedlink.html) and the behaviour of it and of ringserver.

The words of the protocol (replies, headers, INFO records) are parsed by ``seedlink-client``, which
its authors keep in step with their servers. Its connection is not used: one damaged record ends it
and, asked for again, ends it again; it has no deadline, fails for all stations when a version 4
server lacks one, and cannot tell a refused connection from a reset one.
"""

import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from seedlink_client import mseed, protocol
from seedlink_client.protocol import SeedLinkError

from geomon.config import SeedLinkSource as Settings
from geomon.errors import DataError, SourceUnavailable
from geomon.ids import SeedId, StationId
from geomon.sources.base import Outcome
from geomon.sources.seedlink_info import channels_v3, channels_v4
from geomon.times import NS_PER_S, from_ns

_PORT, _TLS_PORT = 18_000, 18_500
_V3_RECORD_BYTES = 512  # what version 3 sends unless a record says otherwise
_DETECT_BYTES = 64
_MAX_LINE_BYTES = 8192
_MAX_JUNK_BYTES = 1 << 16
_MAX_INFO_BYTES = 64_000_000
_READ_BYTES = 1 << 16
# What a packet begins with: a header, and in version 3 the record whose length says its end.
_SIGNATURE = {
    3: re.compile(rb"SL(?:[0-9A-Fa-f]{6}(?=[0-9 \0]{6}[DRQM]|MS\x03)|INFO [ *])"),
    4: re.compile(rb"SE[0-9A-Z]{2}[\0-\xff]{12}[\0-\x15](?:[A-Z0-9?*-]|\Z)"),
}
_BOUNDARY = re.compile(rb"SL|END|ERR|.?\Z", re.DOTALL)
_UNWELCOME: dict[str, Outcome] = {"AUTH": "auth", "UNAUTHORIZED": "auth", "LIMIT": "throttled"}

type End = Literal["end", "quiet"]
"""Why no packet came: the server said END, or it said nothing for the time given."""


class SessionFailed(SourceUnavailable):
    """A connection could not be made or did not last; `outcome` says how a request ends by it."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: `station` is ``NET_STA`` where the header says it (version 4)."""

    sequence: int
    payload: bytes
    station: str | None = None


@dataclass(frozen=True, slots=True)
class FromPacket:
    """Ask for a packet and all that came after it."""

    sequence: int


@dataclass(frozen=True, slots=True)
class FromTime:
    """Ask for what was recorded from a time on; with `end_ns`, only up to there."""

    start_ns: int
    end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of one station: `sensors` are location, band and instrument codes."""

    station_id: StationId
    sensors: tuple[tuple[str, str], ...]
    start: FromPacket | FromTime


class Session:
    """A connection after its handshake.

    Parameters
    ----------
    server : str
        ``HOST`` or ``HOST:PORT``.
    settings : config.SeedLinkSource
        Protocol version and limits.
    deadline : float
        Monotonic time after which nothing more is waited for.

    Attributes
    ----------
    version : {3, 4}
        Protocol version spoken.
    shares_sequence : bool
        Whether the server numbers the packets of all stations together, and goes on from the
        newest of the numbers asked for (ringserver). Others number each station for itself.
    tells_end : bool
        Whether the server will say END when it has sent all it has.
    n_bytes, n_junk_bytes : int
        Bytes received, and bytes among them that belong to no packet.

    Raises
    ------
    SessionFailed
        If there is no connection, or the server speaks another protocol.
    """

    def __init__(self, server: str, settings: Settings, deadline: float) -> None:
        self.server = server
        self.settings = settings
        self.version: Literal[3, 4] = 3
        self.shares_sequence = False
        self.tells_end = True
        self.n_bytes = 0
        self.n_junk_bytes = 0
        self._deadline = deadline
        self._buffer = bytearray()
        self._socket = self._connected()
        try:
            self._shake_hands()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; what was asked for is no longer sent."""
        self._socket.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Handshake

    def _connected(self) -> socket.socket:
        if self.server.startswith("["):
            host, _, port = self.server[1:].partition("]")
        else:
            host, _, port = self.server.partition(":")
        default_port = _TLS_PORT if self.settings.tls else _PORT
        address = (host, int(port.removeprefix(":") or default_port))
        try:
            plain = socket.create_connection(address, timeout=self.settings.connect_timeout_s)
        except OSError as error:
            raise self._failure("network", f"no connection: {error}") from error
        if not self.settings.tls:
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except (OSError, ValueError) as error:
            plain.close()
            raise self._failure("network", f"no encrypted connection: {error}") from error

    def _shake_hands(self) -> None:
        self._send("HELLO")
        greeting = (self._line(), self._line())
        server_id, _, _, majors = protocol.parse_hello(*greeting)
        self.shares_sequence = "ringserver" in server_id.lower()
        pinned = self.settings.protocol
        requested = None if pinned == "auto" else protocol.Protocol(str(pinned))
        try:
            chosen = protocol.select_protocol(majors, requested)
        except SeedLinkError as error:
            raise self._failure("rejected", str(error)) from error
        if chosen is protocol.Protocol.V4:
            self.version = 4
            for command in ("SLPROTO 4.0", "USERAGENT geomon"):
                if refusal := self._refusal(command):
                    raise self._failure(*refusal)

    # Requests

    def request(self, wanted: Sequence[Wanted]) -> dict[StationId, tuple[Outcome, str]]:
        """Ask for packets and start their transfer; return what is refused, with the reason.

        A station that is refused hinders no other. Nothing is transferred if all are.
        """
        refused: dict[StationId, tuple[Outcome, str]] = {}
        for one in wanted:
            if refusal := self._refusal_of(one):
                refused[one.station_id] = refusal
        if len(refused) < len(wanted):
            self._send("ENDFETCH" if self.version == 4 else "END")
        return refused

    def _refusal_of(self, wanted: Wanted) -> tuple[Outcome, str] | None:
        codes = wanted.station_id
        if self.version == 4:
            station = f"STATION {codes.network}_{codes.station}"
        else:
            station = f"STATION {codes.station} {codes.network}"
        if refusal := self._refusal(station):
            return refusal
        for location, sensor in wanted.sensors:
            # Whatever a server without selectors sends too many is left out on arrival. Version 3
            # has no common word for the empty location, so that any location is asked for.
            if self.version == 4:
                self._refusal(f"SELECT {location}_{sensor[0]}_{sensor[1]}_?")
            else:
                self._refusal(f"SELECT {location}{sensor}?")
        refusal = None
        for command in self._transfer_commands(wanted.start):
            refusal = self._refusal(command)
            if refusal is None:
                self.tells_end = self.version == 4 or command.startswith("FETCH")
                break
        return refusal

    def _transfer_commands(self, start: FromPacket | FromTime) -> tuple[str, ...]:
        """Return the commands that start a transfer, the best first.

        Servers may be set not to extract windows of time; then all they hold is asked for, except
        when only a window is wanted.
        """
        if isinstance(start, FromPacket):
            if self.version == 4:
                return (f"DATA {start.sequence}",)
            return (f"FETCH {start.sequence:06X}", f"DATA {start.sequence:06X}")
        first, last = _whole_seconds(start)
        if self.version == 4:
            # ringserver 4 overlooks the start of a window that has an end; the end is seen here.
            since = f"DATA ALL {first:%Y-%m-%dT%H:%M:%SZ}"
            if start.end_ns is None:
                return (since, "DATA ALL")
            return (since if self.shares_sequence else f"{since} {last:%Y-%m-%dT%H:%M:%SZ}",)
        since = f"TIME {first:%Y,%m,%d,%H,%M,%S}"
        if start.end_ns is None:
            return (since, "FETCH ALL")
        return (f"{since} {last:%Y,%m,%d,%H,%M,%S}",)

    def _refusal(self, command: str) -> tuple[Outcome, str] | None:
        self._send(command)
        line = self._line()
        reply = protocol.parse_reply(line)
        if reply:
            return None
        if reply.status != "ERROR":
            raise self._failure("not_data", f"answered {command} with {line[:80]!r}")
        words = " ".join(str(word) for word in (reply.code, reply.message) if word)
        outcome = _UNWELCOME.get(str(reply.code), "rejected")
        return outcome, f"{self.server} refused {command}" + (f": {words[:120]}" if words else "")

    # Information

    def channels(self) -> set[SeedId]:
        """Return every channel the server says it has; ask before `request`.

        Raises
        ------
        SessionFailed
            If the server does not tell, or tells what cannot be read.
        """
        self._send("INFO STREAMS")
        parts: list[bytes] = []
        more = True
        while more:
            part, more = self._info_part()
            parts.append(part)
            if sum(map(len, parts)) > _MAX_INFO_BYTES:
                raise self._failure("too_large", "INFO STREAMS does not end")
        content = b"".join(parts)
        try:
            return channels_v4(content) if self.version == 4 else channels_v3(content)
        except DataError as error:
            raise self._failure("not_data", str(error)) from error

    def _info_part(self) -> tuple[bytes, bool]:
        limit = self._limit(self.settings.read_timeout_s)
        while (frame := self._take_frame()) is None:
            if not self._fill(limit):
                raise self._failure("network", "no answer to INFO STREAMS")
        if isinstance(frame, _Info):
            return frame.content, frame.continues
        raise self._failure("rejected", "INFO STREAMS is not answered")

    # Packets

    def receive(self, wait_s: float) -> Packet | End:
        """Return the next packet, waiting for the whole of it at most `wait_s`.

        Raises
        ------
        SessionFailed
            If the connection ends, stalls within a packet, or carries something else.
        """
        limit = self._limit(wait_s)
        while True:
            frame = self._take_frame()
            if isinstance(frame, Packet) or frame == "end":
                return frame
            if frame is None and not self._fill(limit):
                return self._silence()

    def _silence(self) -> End:
        if self._buffer.endswith(b"END"):
            return "end"  # with something before it that was no packet
        if self._buffer:
            raise self._failure("truncated", "the connection stalled within a packet")
        return "quiet"

    def _take_frame(self) -> "Packet | _Info | Literal['end'] | None":
        """Take the next thing out of the buffer, over any junk before it; None: not whole yet."""
        while len(self._buffer) >= 3:
            if self._buffer[:3] == b"END":
                return "end"
            if self._buffer[:5] == b"ERROR":
                line = bytes(self._buffer).partition(b"\r\n")[0]
                raise self._failure("rejected", line.decode("ascii", "replace")[:120])
            if self._buffer[:1] == b"E" and b"ERROR".startswith(self._buffer[:5]):
                return None
            try:
                return self._take_v4() if self.version == 4 else self._take_v3()
            except (SeedLinkError, UnicodeDecodeError):
                self._skip_junk()
        return None

    def _take_v3(self) -> "Packet | _Info | None":
        if len(self._buffer) < protocol.HEADSIZE_V3 + _DETECT_BYTES:
            if not b"SL".startswith(self._buffer[:2]):
                raise SeedLinkError("no packet")
            return None
        header = protocol.parse_header_v3(bytes(self._buffer[: protocol.HEADSIZE_V3]))
        length = self._v3_length()
        end = protocol.HEADSIZE_V3 + length
        if len(self._buffer) < end:
            return None
        if not _BOUNDARY.match(self._buffer, end):
            # Bytes were lost within: the packet ends where the next one begins.
            following = _SIGNATURE[3].search(self._buffer, protocol.HEADSIZE_V3, end)
            end = following.start() if following else end
        payload = bytes(self._buffer[protocol.HEADSIZE_V3 : end])
        content = mseed.extract_info_text(payload).encode() if header.is_info else b""
        del self._buffer[:end]
        if header.is_info:
            return _Info(content, header.info_continues)
        return Packet(header.seqnum, payload)

    def _v3_length(self) -> int:
        """Return the length of the record behind a header: its own word, unless a packet is at 512.

        Raises
        ------
        SeedLinkError
            If there is no record, or it is too long.
        """
        window = bytes(self._buffer[protocol.HEADSIZE_V3 : protocol.HEADSIZE_V3 + 4096])
        detected = mseed.detect_record_length(window)
        length = detected[0] if detected else _V3_RECORD_BYTES
        at_512 = protocol.HEADSIZE_V3 + _V3_RECORD_BYTES
        if length > _V3_RECORD_BYTES and _SIGNATURE[3].match(self._buffer, at_512):
            return _V3_RECORD_BYTES
        if length > self._max_packet_bytes:
            raise SeedLinkError("record too long")
        return int(length)

    def _take_v4(self) -> "Packet | _Info | None":
        if len(self._buffer) < protocol.HEADSIZE_V4:
            if not b"SE".startswith(self._buffer[:2]):
                raise SeedLinkError("no packet")
            return None
        header = protocol.parse_header_v4(bytes(self._buffer[: protocol.HEADSIZE_V4]))
        is_info = header.payload_format in (protocol.FORMAT_JSON, protocol.FORMAT_XML)
        if header.payload_length > (_MAX_INFO_BYTES if is_info else self._max_packet_bytes):
            raise SeedLinkError("packet too long")
        begin = protocol.HEADSIZE_V4 + header.station_id_length
        end = begin + header.payload_length
        if len(self._buffer) < end:
            return None
        station = self._buffer[protocol.HEADSIZE_V4 : begin].decode("ascii")
        payload = bytes(self._buffer[begin:end])
        del self._buffer[:end]
        if is_info and header.payload_subformat == protocol.SUBFORMAT_JSON_ERROR:
            raise self._failure("rejected", payload.decode("utf-8", "replace")[:200])
        if is_info:
            return _Info(payload, continues=False)
        return Packet(header.seqnum, payload, station)

    @property
    def _max_packet_bytes(self) -> float:
        return self.settings.max_packet_kb * 1000

    def _skip_junk(self) -> None:
        """Drop what is no packet, up to where one may begin."""
        match = _SIGNATURE[self.version].search(self._buffer, 1)
        longest = protocol.HEADSIZE_V4 + 1
        n_junk = match.start() if match else max(len(self._buffer) - longest, 1)
        del self._buffer[:n_junk]
        self.n_junk_bytes += n_junk
        if self.n_junk_bytes > _MAX_JUNK_BYTES:
            raise self._failure("not_data", "what is sent are no SeedLink packets")

    # Bytes

    def _send(self, command: str) -> None:
        try:
            self._socket.settimeout(max(self.settings.read_timeout_s, 0.001))
            self._socket.sendall(command.encode("ascii") + b"\r\n")
        except OSError as error:
            raise self._failure("network", f"connection lost: {error}") from error

    def _line(self) -> str:
        limit = self._limit(self.settings.read_timeout_s)
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > _MAX_LINE_BYTES:
                raise self._failure("not_data", "answers no SeedLink")
            if not self._fill(limit):
                raise self._failure("network", "no answer")
        line, _, rest = bytes(self._buffer).partition(b"\r\n")
        self._buffer[:] = rest
        return line.decode("ascii", "replace")

    def _limit(self, wait_s: float) -> float:
        return min(time.monotonic() + wait_s, self._deadline)

    def _fill(self, limit: float) -> bool:
        """Read more into the buffer; return False when nothing comes before `limit`."""
        wait_s = limit - time.monotonic()
        if wait_s <= 0:
            return False
        try:
            self._socket.settimeout(wait_s)
            content = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return False
        except OSError as error:
            raise self._failure("network", f"connection lost: {error}") from error
        if not content:
            outcome: Outcome = "truncated" if self._buffer else "network"
            raise self._failure(outcome, "the server closed the connection")
        self._buffer += content
        self.n_bytes += len(content)
        return True

    def _failure(self, outcome: Outcome, what: str) -> SessionFailed:
        return SessionFailed(outcome, f"{self.server}: {what}")


@dataclass(frozen=True, slots=True)
class _Info:
    content: bytes
    continues: bool


def _whole_seconds(span: FromTime) -> tuple[datetime, datetime]:
    """Return the first and last time of a span, grown to whole seconds, as version 3 reads them."""
    first = from_ns(span.start_ns // NS_PER_S * NS_PER_S)
    last = from_ns(-(-(span.end_ns or 0) // NS_PER_S) * NS_PER_S)
    return first, last
