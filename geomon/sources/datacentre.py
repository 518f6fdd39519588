"""One data centre over HTTP: bounded answers, polite pace, typed outcomes.

Every limit is enforced while the answer streams in, so that no server can hold a worker, fill the
memory or send us elsewhere. RFC 9110 for status codes and Retry-After, the FDSN web service
specification 1.2 for what 204, 404 and 413 mean.
"""

import logging
import mmap
import random
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from geomon.config import FdsnSource as Settings
from geomon.errors import ConfigError
from geomon.sources.base import Outcome
from geomon.sources.deadline import DeadlineTransport, deadline
from geomon.sources.records import Buffer

logger = logging.getLogger(__name__)

_FAILURES_TO_PAUSE = 5
_MAX_REDIRECTS = 3
_MAX_WAIT_S = 120.0
_MAX_CLOSED_S = 3600.0
_MAX_SLOWDOWN = 64.0
_IN_MEMORY_BYTES = 8_000_000
_PREFIX_BYTES = 65_536
_UNPACK_BYTES = 1 << 20
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # what zlib calls wbits
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NO_BODY: Buffer = b""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came back from one request.

    `body` holds what arrived, also when the outcome is a failure halfway. `is_whole` is true when
    the protocol vouches for its end. `detail` is one line about a failure.
    """

    outcome: Outcome
    body: Buffer = _NO_BODY
    is_whole: bool = False
    detail: str = ""
    retry: bool = False


class _Redirected(Exception):
    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


class _Broken(Exception):
    """The body cannot be read on: too large, too slow, or packed wrongly."""

    def __init__(self, outcome: Outcome, detail: str, *, retry: bool) -> None:
        super().__init__(detail)
        self.outcome: Outcome = outcome
        self.retry = retry


def base_urls(names: tuple[str, ...]) -> list[str]:
    """Turn base URLs and data centre names known to ObsPy into base URLs without final slash.

    Raises
    ------
    ConfigError
        If a name is unknown or a URL is not http or https.
    """
    urls: list[str] = []
    for name in names:
        url = name if "://" in name else _known_url(name)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"source.urls: {name!r} is no http or https address"
            raise ConfigError(msg)
        urls.append(url.rstrip("/"))
    return urls


def _has_proxy(url: SplitResult) -> bool:
    """Tell whether the environment names a proxy for a URL; never for this machine itself."""
    host = url.hostname or ""
    return host not in _LOOPBACK and url.scheme in getproxies() and not proxy_bypass(host)


def _known_url(name: str) -> str:
    from obspy.clients.fdsn.header import URL_MAPPINGS

    if name.upper() not in URL_MAPPINGS:
        known = ", ".join(sorted(URL_MAPPINGS))
        msg = f"source.urls: {name!r} is neither a URL nor a known data centre ({known})"
        raise ConfigError(msg)
    return str(URL_MAPPINGS[name.upper()])


class DataCentre:
    """One host: its connections, its pace, and whether it is worth asking now.

    Safe to share between threads.

    Raises
    ------
    ConfigError
        If `base_url` is neither an http(s) address nor a name ObsPy knows.
    """

    def __init__(self, base_url: str, settings: Settings) -> None:
        [self.base_url] = base_urls((base_url,))
        self.settings = settings
        parts = urlsplit(self.base_url)
        self.host = parts.netloc.rpartition("@")[2]
        contact = f" ({settings.contact})" if settings.contact else ""
        timeout = httpx.Timeout(
            min(settings.read_timeout_s, settings.deadline_s), connect=settings.connect_timeout_s
        )
        self._client = httpx.Client(
            timeout=timeout,
            headers={"User-Agent": f"geomon/{version('geomon')}{contact}"},
            limits=httpx.Limits(max_connections=settings.max_connections),
            transport=None if _has_proxy(parts) else DeadlineTransport(settings.max_connections),
            event_hooks={"response": [_note_redirect]},
        )
        self._connections = threading.BoundedSemaphore(settings.max_connections)
        self._lock = threading.Lock()
        self._next_request = 0.0
        self._slowdown = 1.0
        self._failures = 0
        self._closed_until = 0.0
        self._closed: Answer | None = None

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def post(
        self,
        path: str,
        body: str,
        looks_right: Callable[[bytes], bool],
        *,
        accept_encoding: str = "identity",
    ) -> Answer:
        """Ask once; a failure of any kind is an outcome.

        Parameters
        ----------
        path : str
            Below the base URL, for example ``/fdsnws/dataselect/1/query``.
        body : str
            FDSN selection list.
        looks_right : callable
            Tells from the first bytes (up to 64 KiB) whether the answer is of the kind wanted; if
            not, the rest is not read.
        accept_encoding : str
            Content codings offered.
        """
        with self._lock:
            if self._closed is not None and time.monotonic() < self._closed_until:
                return self._closed
        with self._connections:
            self._keep_pace()
            answer = self._follow(path, body, looks_right, accept_encoding)
        self._remember(answer)
        return answer

    def wait(self, attempt: int) -> None:
        """Wait before try number `attempt` + 1, longer each time, with jitter."""
        mean_s = min(self.settings.retry_wait_s * 2 ** (attempt - 1), _MAX_WAIT_S)
        time.sleep(random.uniform(0.5, 1.5) * mean_s)

    @property
    def seconds_between_requests(self) -> float:
        """The pace kept now: slower than configured after a host asked for it."""
        return self._slowdown / self.settings.requests_per_s

    def _keep_pace(self) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_request)
            self._next_request = start + self.seconds_between_requests
        if start > now:
            time.sleep(start - now)

    def _remember(self, answer: Answer) -> None:
        """Adapt pace and pause to how the request went."""
        with self._lock:
            if answer.outcome == "throttled":
                self._slowdown = min(self._slowdown * 2, _MAX_SLOWDOWN)
                return
            if answer.outcome not in ("network", "not_data"):
                self._failures = 0
                self._closed = None
                self._slowdown = max(1.0, self._slowdown * 0.9)
                return
            self._failures += 1
            if self._failures >= _FAILURES_TO_PAUSE:
                pause_s = self.settings.pause_s
                self._closed_until = time.monotonic() + pause_s
                self._closed = Answer(
                    "network",
                    detail=f"{self.host}: not asked; {self._failures} failures in a row, "
                    f"left alone for {pause_s:g} s (last: {answer.detail})",
                )
                logger.warning("%s", self._closed.detail)

    def _follow(
        self, path: str, body: str, looks_right: Callable[[bytes], bool], accept_encoding: str
    ) -> Answer:
        """Ask, and follow redirects that stay on this host."""
        url = self.base_url + path
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                return self._ask(url, body, looks_right, accept_encoding)
            except _Redirected as redirected:
                location = redirected.location
            target = self._on_this_host(url, location)
            if target is None:
                detail = f"{self.host}: redirect to {location[:200]!r} not followed"
                return Answer("rejected", detail=detail)
            url = target
        return Answer("rejected", detail=f"{self.host}: redirects in a circle")

    def _on_this_host(self, url: str, location: str) -> str | None:
        """Return where a redirect leads; None when that is not this host."""
        if not location:
            return None
        ours = urlsplit(self.base_url)
        try:
            target = urljoin(url, location)
            theirs = urlsplit(target)
            same_place = (ours.hostname, ours.port) == (theirs.hostname, theirs.port)
        except ValueError:
            return None
        upgrade = (ours.scheme, theirs.scheme) == ("http", "https")
        return target if same_place and (theirs.scheme == ours.scheme or upgrade) else None

    def _ask(
        self, url: str, body: str, looks_right: Callable[[bytes], bool], accept_encoding: str
    ) -> Answer:
        headers = {"Accept-Encoding": accept_encoding, "Content-Type": "text/plain"}
        try:
            with (
                deadline(self.settings.deadline_s),
                self._client.stream(
                    "POST", url, content=body.encode("ascii"), headers=headers
                ) as response,
            ):
                if response.status_code != 200:
                    return self._refusal(response)
                return self._read(response, looks_right)
        except httpx.TimeoutException as error:
            what = "no connection" if isinstance(error, httpx.ConnectTimeout) else "no answer"
            return Answer("network", detail=f"{self.host}: {what} in time", retry=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            return Answer("network", detail=f"{self.host}: {reason[:200]}", retry=True)

    def _refusal(self, response: httpx.Response) -> Answer:
        """Say what a status other than 200 means."""
        status = response.status_code
        where = f"{self.host}: HTTP {status}"
        if status == 204:
            return Answer("nodata", is_whole=True)
        if status == 404:
            return Answer("nodata", is_whole=True, detail=f"{where} (if it stays, check the URL)")
        if status in (413, 414):
            return Answer("too_large", detail=f"{where}, request too large")
        if status in (401, 403):
            return Answer("auth", detail=f"{where}, access refused")
        if status in (429, 503):
            return self._throttled(response, where)
        if status >= 500 or status in (408, 425):
            return Answer("network", detail=where, retry=True)
        return Answer("rejected", detail=f"{where}: {_first_line(response)}")

    def _throttled(self, response: httpx.Response, where: str) -> Answer:
        """Obey Retry-After: a short one delays the next request, a long one closes the host."""
        wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
        with self._lock:
            if wait_s > min(_MAX_WAIT_S, self.settings.deadline_s):
                wait_s = min(wait_s, _MAX_CLOSED_S)
                self._closed_until = time.monotonic() + wait_s
                detail = f"{where}, asked to come back in {wait_s:.0f} s"
                self._closed = Answer("throttled", detail=detail)
                return self._closed
            self._next_request = max(self._next_request, time.monotonic() + wait_s)
        return Answer("throttled", detail=f"{where}, too many requests", retry=True)

    def _read(self, response: httpx.Response, looks_right: Callable[[bytes], bool]) -> Answer:
        framed = "content-length" in response.headers or "chunked" in response.headers.get(
            "transfer-encoding", ""
        )
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as spool:
            n_bytes = 0
            prefix = b""
            answer = Answer("data", is_whole=framed)
            try:
                with _named_failures(self.host):
                    for part in self._unpacked(response):
                        if len(prefix) < _PREFIX_BYTES:
                            prefix += part[: _PREFIX_BYTES - len(prefix)]
                            if len(prefix) == _PREFIX_BYTES and not looks_right(prefix):
                                break
                        n_bytes += len(part)
                        if n_bytes > self.settings.max_answer_mb * 1e6:
                            limit = f"more than {self.settings.max_answer_mb:g} MB"
                            raise _Broken("too_large", f"sent {limit}", retry=False)
                        spool.write(part)
            except _Broken as broken:
                detail = f"{self.host}: {broken}"
                answer = Answer(broken.outcome, detail=detail, retry=broken.retry)
            if not looks_right(prefix):
                if answer.outcome != "data":
                    return answer
                shown = " ".join(prefix[:60].decode("ascii", "replace").split())
                what = f"answer is not what was asked for ({shown!r})" if prefix else "empty answer"
                return Answer("not_data", detail=f"{self.host}: {what}", retry=True)
            return Answer(
                answer.outcome, _content(spool, n_bytes), answer.is_whole, answer.detail,
                answer.retry,
            )  # fmt: skip

    def _unpacked(self, response: httpx.Response) -> Iterator[bytes]:
        # Unpacks in bounded steps, watching the rate.
        coding = response.headers.get("content-encoding", "identity").lower()
        unpacker = None
        if coding in _WINDOW_BITS:
            unpacker = _Unpacker(_WINDOW_BITS[coding])
        elif coding not in ("identity", ""):
            detail = f"packed as {coding[:40]!r}, which was not offered"
            raise _Broken("not_data", detail, retry=False)
        begun = time.monotonic()
        n_wire = 0
        for chunk in response.iter_raw():
            n_wire += len(chunk)
            elapsed_s = time.monotonic() - begun
            too_slow = n_wire < self.settings.min_bytes_per_s * elapsed_s
            if elapsed_s > self.settings.read_timeout_s and too_slow:
                raise _Broken("network", f"slow: {n_wire} bytes in {elapsed_s:.1f} s", retry=True)
            if unpacker is None:
                yield chunk
            else:
                yield from unpacker.unpack(chunk)
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


def _content(spool: tempfile.SpooledTemporaryFile[bytes], n_bytes: int) -> Buffer:
    """Bytes of the spool: in memory when small, mapped from disk when large."""
    if n_bytes <= _IN_MEMORY_BYTES:
        spool.seek(0)
        return spool.read()
    spool.flush()
    return memoryview(mmap.mmap(spool.fileno(), n_bytes, access=mmap.ACCESS_READ))


def _note_redirect(response: httpx.Response) -> None:
    # httpx would look at where a redirect leads, even when told not to follow it.
    if 300 <= response.status_code < 400:
        raise _Redirected(response.headers.get("Location", ""))


def _first_line(response: httpx.Response) -> str:
    try:
        text = next(response.iter_raw(), b"")[:500].decode("utf-8", "replace")
    except httpx.HTTPError:
        return "no reason given"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:200] if lines else "no reason given"


def _retry_after_s(value: str) -> float:
    """Seconds asked for by a Retry-After header, in either of its two forms; 0 when unusable."""
    if value.strip().isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
