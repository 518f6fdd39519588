"""A SeedLink server, versions 3 and 4, with a ring buffer, that can also misbehave.

It keeps what two kinds of real servers do. By default, like SeisComP's: every station numbers its
packets for itself and goes on from the number asked for. With ``shared``, like ringserver: one
count for all stations; a connection goes on from the newest of the numbers asked for, provided the
packet before it is still held; and version 4 overlooks the start of a window that has an end.
"""

import fnmatch
import json
import re
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import pymseed

from geomon.miniseed import encode
from geomon.times import parse_time, to_ns
from geomon.waveforms import Segment

V3_MASK = 0xFFFFFF
LONGEST_STALL_S = 10.0


@dataclass(frozen=True)
class Stored:
    """One record in the ring; `count` never wraps and becomes the number on the wire."""

    count: int
    station: str
    stream: str
    start_ns: int
    end_ns: int
    record: bytes


@dataclass
class Request:
    """What a client asked of one station."""

    selectors: list[str] = field(default_factory=list)
    number: int | None = None
    is_all: bool = False
    start_ns: int | None = None
    end_ns: int | None = None
    is_new_only: bool = False

    def selects(self, stored: Stored) -> bool:
        return not self.selectors or any(
            fnmatch.fnmatchcase(stored.stream, pattern) for pattern in self.selectors
        )


class Wire:
    """One connection, and the means to treat it badly."""

    def __init__(self, server: "SeedLinkServer", connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.version = 3
        self.requests: dict[str, Request] = {}
        self.current: Request | None = None
        self.is_dial_up = False

    def send(self, content: bytes) -> None:
        self.connection.sendall(content)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        raise ConnectionResetError

    def close(self) -> None:
        self.connection.close()
        raise ConnectionAbortedError

    def stall(self) -> None:
        self.server.closing.wait(LONGEST_STALL_S)
        raise ConnectionAbortedError

    def packet(self, stored: Stored) -> bytes:
        if self.version == 3:
            return b"SL%06X" % (stored.count & V3_MASK) + stored.record
        return self.v4_packet(stored.record, stored.count, stored.station)

    def v4_packet(self, payload: bytes, number: int, station: str, kind: bytes = b"2D") -> bytes:
        name = station.encode()
        head = struct.pack("<2s2sIQB", b"SE", kind, len(payload), number, len(name))
        return head + name + payload


type Fault = Callable[[Wire, Iterator[Stored]], None]


def honest(wire: Wire, packets: Iterator[Stored]) -> None:
    for stored in packets:
        wire.send(wire.packet(stored))


class SeedLinkServer:
    """Serves what `feed` is given; every transfer is done by the next fault of `script`."""

    def __init__(
        self,
        *,
        versions: tuple[int, ...] = (3, 4),
        shared: bool = False,
        windows: bool = True,
        tells_streams: bool = True,
        capacity: int = 100_000,
        first: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.versions = versions
        self.shared = shared
        self.windows = windows
        self.tells_streams = tells_streams
        self.capacity = capacity
        self.first = first
        self.tls = tls
        self.ring: list[Stored] = []
        self.counts: dict[str, int] = {}
        self.script: list[Fault] = []
        self.always: Fault = honest
        self.commands: list[str] = []
        self.closing = threading.Event()
        self.news = threading.Condition()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    if outer.tls is None:
                        outer._serve(self.request)
                    else:
                        with outer.tls.wrap_socket(self.request, server_side=True) as encrypted:
                            outer._serve(encrypted)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with self.news:
            self.news.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # The ring

    def feed(self, segments: Iterable[Segment], *, format_version: int = 2) -> None:
        """Put segments into the ring as records of up to 512 bytes, in the order of their ends."""
        records = [
            record
            for segment in segments
            for record in records_of(
                encode([segment], format_version=format_version, record_length=512)
            )
        ]
        for record in sorted(records, key=lambda r: (end_of(r), r.sourceid)):
            self.put(bytes(record.record))

    def put(self, content: bytes, *, station: str = "") -> None:
        """Put one record into the ring, sound or not."""
        try:
            record = pymseed.MS3Record.parse(content)
        except pymseed.PymseedError:
            pymseed.clear_error_messages()
            stream, start_ns, end_ns = "_H_H_Z", 0, 2**62
        else:
            network, name, location, channel = pymseed.sourceid2nslc(record.sourceid)
            station = station or f"{network}_{name}"
            stream = "_".join((location, *channel))
            start_ns, end_ns = record.starttime, end_of(record)
        with self.news:
            owner = "" if self.shared else station
            count = self.counts.get(owner, self.first)
            self.counts[owner] = count + 1
            self.ring.append(Stored(count, station, stream, start_ns, end_ns, content))
            mine = [s for s in self.ring if self.shared or s.station == station]
            if len(mine) > self.capacity:
                self.ring.remove(mine[0])
            self.news.notify_all()

    def restart(self, *, first: int = 1, keep: int | None = None) -> None:
        """Count anew from `first`, as a server does that has lost its state."""
        kept = self.ring if keep is None else self.ring[-keep:]
        self.ring, self.counts, self.first = [], {}, first
        for stored in kept:
            self.put(stored.record, station=stored.station)

    # Handshake

    def _serve(self, connection: socket.socket) -> None:
        wire = Wire(self, connection)
        buffer = b""
        while content := connection.recv(4096):
            buffer += content
            while match := re.search(rb"[\r\n]+", buffer):
                line, buffer = buffer[: match.start()].decode("ascii"), buffer[match.end() :]
                self.commands.append(line)
                words = line.split()
                if words and not self._obey(wire, words[0].upper(), words[1:]):
                    return

    def _obey(self, wire: Wire, command: str, words: list[str]) -> bool:
        if command == "HELLO":
            name = "RingServer" if self.shared else "TestLink"
            offered = " ".join(f"SLPROTO:{v}.{1 if v == 3 else 0}" for v in self.versions)
            wire.send(f"SeedLink v4.0 ({name} v1) :: {offered}\r\nTest\r\n".encode())
        elif command == "SLPROTO":
            wire.version = int(words[0].split(".")[0])
            wire.send(b"OK\r\n")
        elif command == "USERAGENT":
            wire.send(b"OK\r\n")
        elif command == "INFO":
            self._tell(wire, words[0])
        elif command in ("END", "ENDFETCH"):
            wire.is_dial_up |= command == "ENDFETCH"
            self._transfer(wire)
            return False
        elif command == "BYE":
            return False
        else:
            problem = self._modify(wire, command, words)
            if problem and wire.version == 4:
                wire.send(f"ERROR {problem}\r\n".encode())
            else:
                wire.send(b"ERROR\r\n" if problem else b"OK\r\n")
        return True

    def _modify(self, wire: Wire, command: str, words: list[str]) -> str:
        """Obey a command that is answered with OK; return what is wrong with it."""
        if command == "STATION":
            station = words[0] if wire.version == 4 else f"{words[1]}_{words[0]}"
            wire.current = None
            if not self.shared and not any(s.station == station for s in self.ring):
                return "ARGUMENTS unknown station"
            wire.current = wire.requests.setdefault(station, Request())
            return ""
        request = wire.current
        if request is None:
            return "UNEXPECTED no station"
        if command == "SELECT":
            request.selectors.append(words[0] if wire.version == 4 else _v4_pattern(words[0]))
            return ""
        if command == "TIME" and wire.version == 3 and self.windows:
            request.start_ns = _time(words[0])
            request.end_ns = _time(words[1]) if len(words) > 1 else None
            return ""
        if command == "DATA" or (command == "FETCH" and wire.version == 3):
            wire.is_dial_up |= command == "FETCH"
            return self._start(wire, request, words)
        return "UNSUPPORTED command"

    def _start(self, wire: Wire, request: Request, words: list[str]) -> str:
        if len(words) > 1 and not self.windows:
            return "UNSUPPORTED no windows"
        request.is_new_only = not words
        if words and words[0] == "ALL":
            if self.shared and wire.version == 3:
                return "ARGUMENTS"
            request.is_all = True
        elif words:
            request.number = int(words[0], 10 if wire.version == 4 else 16)
        overlooked = self.shared and len(words) == 3
        request.start_ns = _time(words[1]) if len(words) > 1 and not overlooked else None
        request.end_ns = _time(words[2]) if len(words) > 2 else None
        return ""

    # Information

    def _tell(self, wire: Wire, item: str) -> None:
        if item != "STREAMS" or not self.tells_streams:
            if wire.version == 4:
                wire.send(wire.v4_packet(b'{"error": "no"}', 0, "", b"JE"))
            else:
                wire.send(b"SLINFO  " + _text_record(b"<?xml version='1.0'?><seedlink/>"))
            return
        streams = sorted({(s.station, s.stream) for s in self.ring})
        stations: dict[str, list[str]] = {}
        for station, stream in streams:
            stations.setdefault(station, []).append(stream)
        if wire.version == 4:
            content = {
                "station": [
                    {"id": s, "stream": [{"id": i, "format": "2"} for i in ids]}
                    for s, ids in stations.items()
                ]
            }
            wire.send(wire.v4_packet(json.dumps(content).encode(), 0, "", b"JI"))
            return
        xml = "<?xml version='1.0'?><seedlink>"
        for station, ids in stations.items():
            network, _, name = station.partition("_")
            xml += f'<station name="{name}" network="{network}">'
            for stream in ids:
                location, *channel = stream.split("_")
                xml += f'<stream location="{location}" seedname="{"".join(channel)}" type="D"/>'
            xml += "</station>"
        text = (xml + "</seedlink>").encode()
        parts = [text[i : i + 456] for i in range(0, len(text), 456)]
        for number, part in enumerate(parts, 1):
            mark = b"SLINFO  " if number == len(parts) else b"SLINFO *"
            wire.send(mark + _text_record(part))

    # Transfer

    def _transfer(self, wire: Wire) -> None:
        fault = self.script.pop(0) if self.script else self.always
        fault(wire, self._packets(wire))
        if wire.is_dial_up:
            wire.send(b"END")
        with suppress(OSError):
            wire.connection.recv(1)  # the client closes

    def _packets(self, wire: Wire) -> Iterator[Stored]:
        """Yield what was asked for; in real time, go on with what is new."""
        with self.news:
            held = list(self.ring)
        chosen = self._shared_start(wire, held) if self.shared else held
        sent = held[-1:]
        for stored in chosen:
            request = wire.requests.get(stored.station)
            if request and request.selects(stored) and self._is_due(wire, request, stored, held):
                yield stored
        while not wire.is_dial_up and not self.closing.is_set():
            with self.news:
                self.news.wait(0.02)
                following = self.ring[self.ring.index(sent[0]) + 1 :] if sent else self.ring
                fresh = list(following)
            sent = fresh[-1:] or sent
            for stored in fresh:
                request = wire.requests.get(stored.station)
                if request and request.selects(stored) and _is_within(request, stored):
                    yield stored
            wire.connection.setblocking(False)
            try:
                if wire.connection.recv(1) == b"":
                    return
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            finally:
                wire.connection.setblocking(True)

    def _is_due(self, wire: Wire, request: Request, stored: Stored, held: list[Stored]) -> bool:
        if not _is_within(request, stored):
            return False
        if self.shared:
            return True
        if request.is_new_only:
            return False
        if request.number is None:
            return True
        mine = [s for s in held if s.station == stored.station]
        numbers = [self._number(wire, s) for s in mine]
        if request.number in numbers:
            return numbers.index(self._number(wire, stored)) >= numbers.index(request.number)
        # SeisComP: the oldest there is, unless the number is nonsense.
        distance = (numbers[0] - request.number) & V3_MASK
        return distance < 100_000 if numbers else False

    def _shared_start(self, wire: Wire, held: list[Stored]) -> list[Stored]:
        places = {self._number(wire, s): i for i, s in enumerate(held)}
        numbers = [r.number for r in wire.requests.values() if r.number is not None]
        found = [places[n - 1] for n in numbers if n - 1 in places]
        if found:
            return held[max(found) + 1 :]
        starts = [r.start_ns for r in wire.requests.values() if r.start_ns is not None]
        if starts:
            after = (i for i, s in enumerate(held) if s.end_ns > min(starts))
            return held[next(after, len(held)) :]
        return []

    def _number(self, wire: Wire, stored: Stored) -> int:
        return stored.count & V3_MASK if wire.version == 3 else stored.count


def records_of(content: bytes) -> list[pymseed.MS3Record]:
    """Parse records one after another; each keeps its bytes."""
    found = []
    position = 0
    while position < len(content):
        record = pymseed.MS3Record.parse(content[position:])
        found.append(record)
        position += record.reclen
    return found


def end_of(record: pymseed.MS3Record) -> int:
    return int(record.starttime + round(record.samplecnt * 1e9 / record.samprate))


def _is_within(request: Request, stored: Stored) -> bool:
    return (request.start_ns is None or stored.end_ns > request.start_ns) and (
        request.end_ns is None or stored.start_ns < request.end_ns
    )


def _v4_pattern(selector: str) -> str:
    location = selector[:-3] or "*"
    return "_".join((location, *selector[-3:]))


def _time(text: str) -> int:
    if "," in text:
        return to_ns(datetime(*map(int, text.split(",")), tzinfo=UTC))
    return parse_time(text)


def _text_record(text: bytes) -> bytes:
    head = struct.pack(
        ">6s2s5s2s3s2sHHBBBxHHhhBBBBiHH", b"000001", b"D ", b"INFO ", b"  ", b"INF", b"XX", 2024, 1,
        0, 0, 0, 0, len(text), 0, 0, 0, 0, 0, 1, 0, 56, 48,
    )  # fmt: skip
    return (head + struct.pack(">HHBBBx", 1000, 0, 0, 1, 9) + text).ljust(512, b"\0")
