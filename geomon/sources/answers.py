"""One HTTP answer, read within limits whatever the server sends.

Sizes, packing and pace are checked while the answer streams in, so that no server can fill the
memory or hold a worker.
"""

import logging
import mmap
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from geomon.config import FdsnSource as Settings
from geomon.sources.base import Outcome
from geomon.sources.records import Buffer
from geomon.waveforms import Asked

logger = logging.getLogger(__name__)

_IN_MEMORY_BYTES = 8_000_000
_PREFIX_BYTES = 65_536
_UNPACK_BYTES = 1 << 20
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # what zlib calls wbits
_NO_BODY: Buffer = b""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came back from one request.

    `body` holds what arrived, also when the outcome is a failure halfway. `is_whole` is true when
    the protocol vouches for its end. `detail` is one line about a failure. `asked` is the account
    of the request, None when nothing was sent.
    """

    outcome: Outcome
    body: Buffer = _NO_BODY
    is_whole: bool = False
    detail: str = ""
    retry: bool = False
    asked: Asked | None = None


class Spool:
    """Bytes that come in parts: small ones stay in memory, large ones go to a temporary file."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115

    def write(self, part: bytes) -> None:
        """Append `part`."""
        self._file.write(part)
        self.n_bytes += len(part)

    def content(self) -> Buffer:
        """Return all bytes, in memory or mapped from disk, and forget them."""
        with self._file as file:
            if self.n_bytes <= _IN_MEMORY_BYTES:
                file.seek(0)
                return file.read()
            file.flush()
            return memoryview(mmap.mmap(file.fileno(), self.n_bytes, access=mmap.ACCESS_READ))

    def close(self) -> None:
        """Forget all bytes."""
        self._file.close()


class _Broken(Exception):
    """The body cannot be read on: too large, too slow, or packed wrongly."""

    def __init__(self, outcome: Outcome, detail: str, *, retry: bool) -> None:
        super().__init__(detail)
        self.outcome: Outcome = outcome
        self.retry = retry


def read_answer(
    response: httpx.Response, host: str, settings: Settings, looks_right: Callable[[bytes], bool]
) -> Answer:
    """Read the body of a 200 within the limits of `settings`; never raises on what it holds.

    Parameters
    ----------
    response : httpx.Response
        Open, with nothing of its body read.
    host : str
        Named in `Answer.detail`.
    settings : config.FdsnSource
        Limits on size, pace and silence.
    looks_right : callable
        Tells from the first bytes (up to 64 KiB) whether the answer is of the kind wanted; if
        not, the rest is not read.
    """
    framed = "content-length" in response.headers or "chunked" in response.headers.get(
        "transfer-encoding", ""
    )
    spool = Spool()
    prefix = b""
    answer = Answer("data", is_whole=framed)
    try:
        with _named_failures(host):
            for part in _unpacked(response, settings):
                if len(prefix) < _PREFIX_BYTES:
                    prefix += part[: _PREFIX_BYTES - len(prefix)]
                    if len(prefix) == _PREFIX_BYTES and not looks_right(prefix):
                        break
                spool.write(part)
    except _Broken as broken:
        answer = Answer(broken.outcome, detail=f"{host}: {broken}", retry=broken.retry)
    if looks_right(prefix):
        return Answer(answer.outcome, spool.content(), answer.is_whole, answer.detail, answer.retry)
    spool.close()
    if answer.outcome != "data":
        return answer
    shown = " ".join(prefix[:60].decode("ascii", "replace").split())
    what = f"answer is not what was asked for ({shown!r})" if prefix else "empty answer"
    return Answer("not_data", detail=f"{host}: {what}", retry=True)


def _unpacked(response: httpx.Response, settings: Settings) -> Iterator[bytes]:
    # Unpacks in bounded steps, watching the rate and the size.
    coding = response.headers.get("content-encoding", "identity").lower()
    unpacker = None
    if coding in _WINDOW_BITS:
        unpacker = _Unpacker(_WINDOW_BITS[coding])
    elif coding not in ("identity", ""):
        detail = f"packed as {coding[:40]!r}, which was not offered"
        raise _Broken("not_data", detail, retry=False)
    begun = time.monotonic()
    n_wire = n_bytes = 0
    for chunk in response.iter_raw():
        n_wire += len(chunk)
        elapsed_s = time.monotonic() - begun
        too_slow = n_wire < settings.min_bytes_per_s * elapsed_s
        if elapsed_s > settings.read_timeout_s and too_slow:
            raise _Broken("network", f"slow: {n_wire} bytes in {elapsed_s:.1f} s", retry=True)
        for part in (chunk,) if unpacker is None else unpacker.unpack(chunk):
            n_bytes += len(part)
            if n_bytes > settings.max_answer_mb * 1e6:
                limit = f"sent more than {settings.max_answer_mb:g} MB"
                raise _Broken("too_large", limit, retry=False)
            yield part
    if unpacker is not None and not unpacker.is_complete:
        raise _Broken("network", "packed answer cut short", retry=True)


class _Unpacker:
    """Unpacks gzip (also several members in a row) or zlib data in steps of at most 1 MiB."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._member = zlib.decompressobj(window_bits)

    @property
    def is_complete(self) -> bool:
        return self._member.eof

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(self._window_bits)
            try:
                part = self._member.decompress(chunk, _UNPACK_BYTES)
            except zlib.error as error:
                raise _Broken("network", f"packed answer damaged: {error}", retry=True) from error
            chunk = self._member.unconsumed_tail or self._member.unused_data
            if part:
                yield part


@contextmanager
def _named_failures(host: str) -> Iterator[None]:
    # What httpx raises in the middle of a body becomes a typed outcome.
    try:
        yield
    except httpx.TimeoutException as error:
        raise _Broken("network", "answer stalled", retry=True) from error
    except httpx.HTTPError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        logger.debug("%s: body broke off: %s", host, reason)
        raise _Broken("network", f"answer broke off: {reason[:160]}", retry=True) from error


def first_line(response: httpx.Response) -> str:
    """Return the first line of a refusal's text."""
    try:
        text = next(response.iter_raw(), b"")[:500].decode("utf-8", "replace")
    except httpx.HTTPError:
        return "no reason given"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:200] if lines else "no reason given"
