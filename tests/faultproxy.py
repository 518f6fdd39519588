"""An HTTP proxy that spoils answers: raw sockets, one scripted fault a request, then honesty."""

import gzip
import socket
import socketserver
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import httpx

from geomon.times import NS_PER_S, parse_time

LONGEST_STALL_S = 10.0


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Exchange:
    """One request, and the means to answer it badly."""

    def __init__(self, proxy: "FaultProxy", connection: socket.socket, request: Request) -> None:
        self.proxy = proxy
        self.connection = connection
        self.request = request

    def honest(self) -> httpx.Response:
        """Return the true answer of the server behind."""
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(
                self.request.method,
                self.proxy.upstream + self.request.path,
                content=self.request.body,
                headers={"Accept-Encoding": "identity"},
            )

    def head(self, status: int = 200, **headers: object) -> None:
        lines = [f"HTTP/1.1 {status} Spoiled", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, content: bytes) -> None:
        self.connection.sendall(content)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def stall(self, seconds: float = LONGEST_STALL_S) -> None:
        """Say nothing for a while, or until the proxy closes."""
        self.proxy.closing.wait(seconds)


type Fault = Callable[[Exchange], None]


class FaultProxy:
    """Stands before `upstream`; applies `script` fault by fault, then passes everything on."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.script: list[Fault] = []
        self.always: Fault = honest
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):  # the client goes when it has had enough
                    proxy._handle(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, handler: socketserver.StreamRequestHandler) -> None:
        while request := _read_request(handler):
            with self._lock:
                self.requests.append(request)
                fault = self.script.pop(0) if self.script else self.always
            fault(Exchange(self, handler.connection, request))
            if fault is not honest:
                return


def _read_request(handler: socketserver.StreamRequestHandler) -> Request | None:
    first = handler.rfile.readline().decode("latin1")
    if not first:
        return None
    method, path, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    while line := handler.rfile.readline().decode("latin1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = handler.rfile.read(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def honest(exchange: Exchange) -> None:
    answer = exchange.honest()
    if answer.status_code == 204:
        exchange.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        return
    exchange.send(
        f"HTTP/1.1 {answer.status_code} Passed\r\nContent-Length: {len(answer.content)}\r\n\r\n"
        .encode() + answer.content
    )  # fmt: skip


def reset_before(exchange: Exchange) -> None:
    exchange.reset()


def not_http(exchange: Exchange) -> None:
    exchange.send(b"\x16\x03\x01\x02\x00 certainly not HTTP\r\n\r\n")


def silent(exchange: Exchange) -> None:
    exchange.stall()


def slow_headers(exchange: Exchange) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 1000:
        if exchange.proxy.closing.is_set():
            return
        exchange.send(bytes([byte]))
        exchange.stall(0.1)


def reset_after(n_bytes: int) -> Fault:
    def fault(exchange: Exchange) -> None:
        exchange.head()
        exchange.send(exchange.honest().content[:n_bytes])
        exchange.stall(0.05)
        exchange.reset()

    return fault


def stall_after(n_bytes: int) -> Fault:
    def fault(exchange: Exchange) -> None:
        content = exchange.honest().content
        exchange.head(Content_Length=len(content))
        exchange.send(content[:n_bytes])
        exchange.stall()

    return fault


def trickle(step: int, gap_s: float) -> Fault:
    def fault(exchange: Exchange) -> None:
        content = exchange.honest().content
        exchange.head(Content_Length=len(content))
        for position in range(0, len(content), step):
            if exchange.proxy.closing.is_set():
                return
            exchange.send(content[position : position + step])
            exchange.stall(gap_s)

    return fault


def cut(n_bytes: int, framing: str = "none") -> Fault:
    """Send only the first bytes; `framing` is none, length or chunked."""

    def fault(exchange: Exchange) -> None:
        content = exchange.honest().content
        if framing == "length":
            exchange.head(Content_Length=len(content))
        elif framing == "chunked":
            exchange.head(Transfer_Encoding="chunked")
            exchange.send(b"%x\r\n" % len(content))
        else:
            exchange.head()
        exchange.send(content[:n_bytes])

    return fault


def wrong_length(by: int) -> Fault:
    def fault(exchange: Exchange) -> None:
        content = exchange.honest().content
        exchange.head(Content_Length=len(content) + by)
        exchange.send(content)

    return fault


def endless(exchange: Exchange) -> None:
    content = exchange.honest().content
    exchange.head()
    while not exchange.proxy.closing.is_set():
        exchange.send(content)


def endless_nonsense(exchange: Exchange) -> None:
    exchange.head()
    while not exchange.proxy.closing.is_set():
        exchange.send(bytes(65_536))


def packed(*, keep: float = 1.0, repeat: int = 1) -> Fault:
    """Send gzip, cut to a fraction, or with the content repeated until it is a bomb."""

    def fault(exchange: Exchange) -> None:
        content = b"".join([gzip.compress(exchange.honest().content, 1)] * repeat)
        content = content[: round(len(content) * keep)]
        exchange.head(Content_Encoding="gzip", Content_Length=len(content))
        exchange.send(content)

    return fault


def zero_bomb(n_mb: int) -> Fault:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    content = b"".join(packer.compress(block) for _ in range(n_mb)) + packer.flush()

    def fault(exchange: Exchange) -> None:
        exchange.head(Content_Encoding="gzip", Content_Length=len(content))
        exchange.send(content)

    return fault


def repeated_record(times: int) -> Fault:
    def fault(exchange: Exchange) -> None:
        content = gzip.compress(exchange.honest().content[:512] * times, 1)
        exchange.head(Content_Encoding="gzip", Content_Length=len(content))
        exchange.send(content)

    return fault


def status(code: int, body: bytes = b"", **headers: object) -> Fault:
    def fault(exchange: Exchange) -> None:
        exchange.head(code, Content_Length=len(body), **headers)
        exchange.send(body)

    return fault


def html(exchange: Exchange) -> None:
    body = b"<html><body>Scheduled maintenance</body></html>"
    exchange.head(Content_Type="text/html", Content_Length=len(body))
    exchange.send(body)


def empty(exchange: Exchange) -> None:
    exchange.head(Content_Length=0, Content_Type="application/vnd.fdsn.mseed")


def redirect(to: str) -> Fault:
    return status(302, Location=to)


def altered(change: Callable[[bytes], bytes]) -> Fault:
    """Change the content and frame it correctly, as a faulty disk or server does."""

    def fault(exchange: Exchange) -> None:
        content = change(exchange.honest().content)
        exchange.head(Content_Length=len(content))
        exchange.send(content)

    return fault


def limited(n_lines: int, seconds: float) -> Fault:
    """Refuse a selection of more lines, or longer ones, as too large."""

    def fault(exchange: Exchange) -> None:
        lines = exchange.request.body.decode().splitlines()
        start, end = (parse_time(text) for text in lines[0].split()[4:])
        if len(lines) > n_lines or end - start > seconds * NS_PER_S:
            status(413)(exchange)
        else:
            altered(lambda whole: whole)(exchange)

    return fault
