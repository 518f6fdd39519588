"""A transport for httpx that ends every exchange in time.

httpx limits the silence between two bytes, not the time of a request in all: a server that sends
one byte a minute would hold a worker for ever, in the headers as well as in the body.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

_current = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let what this thread sends and receives over a `DeadlineTransport` take so long in all.

    After that every read raises `httpx.ReadTimeout`.
    """
    _current.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _current.until = None


def _left(timeout: float | None) -> float | None:
    """Return the shorter of a timeout and what is left until this thread's deadline."""
    until: float | None = getattr(_current, "until", None)
    if until is None:
        return timeout
    left = max(until - time.monotonic(), 0.0)
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _left(timeout)
        if left == 0:
            raise httpcore.ReadTimeout
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = _left(timeout)
        if left == 0:
            raise httpcore.WriteTimeout
        self._stream.write(buffer, left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the library's signature
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, _left(timeout), local_address, socket_options)
        return _Stream(stream)


class DeadlineTransport(httpx.HTTPTransport):
    """A direct connection (no proxy) that obeys `deadline`."""

    def __init__(self, max_connections: int) -> None:
        super().__init__()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=max_connections,
            network_backend=_Backend(),
        )
