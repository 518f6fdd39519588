"""One data centre over HTTP: bounded answers, polite pace, typed outcomes.

Every limit is enforced while the answer streams in, so that no server can hold a worker, fill the
memory or send us elsewhere. RFC 9110 for status codes and Retry-After, the FDSN web service
specification 1.2 for what 204, 404 and 413 mean.
"""

import hashlib
import ipaddress
import logging
import random
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from geomon.config import FdsnSource as Settings
from geomon.errors import ConfigError
from geomon.sources.answers import Answer, first_line, read_answer
from geomon.sources.credentials import LOOPBACK, Login, NotLetIn
from geomon.sources.deadline import DeadlineTransport, deadline
from geomon.sources.hosts import rules_of
from geomon.waveforms import Asked

logger = logging.getLogger(__name__)

_FAILURES_TO_PAUSE = 5
_MAX_REDIRECTS = 3
_MAX_WAIT_S = 120.0
_MAX_CLOSED_S = 3600.0
_MAX_SLOWDOWN = 64.0


class _Redirected(Exception):
    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def base_urls(names: tuple[str, ...]) -> list[str]:
    """Turn base URLs and data centre names known to ObsPy into base URLs without final slash.

    Each comes once, where it comes first: several names may stand for one data centre.

    Raises
    ------
    ConfigError
        If a name is unknown, a URL is not http or https, holds a password, or leads to where a
        machine keeps its own secrets.
    """
    urls: list[str] = []
    for name in names:
        url = name if "://" in name else _known_url(name)
        try:
            parts = urlsplit(url)
        except ValueError as error:
            msg = "source.urls: one is no http or https address"
            raise ConfigError(msg) from error
        if "@" in parts.netloc:
            where = parts.netloc.rpartition("@")[2]
            msg = f"source.urls: {where}: a user or password in a URL is not allowed; see auth"
            raise ConfigError(msg)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"source.urls: {name!r} is no http or https address"
            raise ConfigError(msg)
        if _is_link_local(parts.hostname):
            msg = f"source.urls: {name!r} is an address of this machine's host, not a data centre"
            raise ConfigError(msg)
        urls.append(url.rstrip("/"))
    return list(dict.fromkeys(urls))


def _is_link_local(host: str) -> bool:
    # Clouds answer there with the machine's own credentials.
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_link_local
    return False


def _has_proxy(url: SplitResult) -> bool:
    """Tell whether the environment names a proxy for a URL; never for this machine itself."""
    host = url.hostname or ""
    return host not in LOOPBACK and url.scheme in getproxies() and not proxy_bypass(host)


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

    Parameters
    ----------
    base_url : str
        As `base_urls` returns it.
    settings : config.FdsnSource
        Limits.
    login : Login
        How the host is told who is asking; as anyone by default.
    """

    def __init__(self, base_url: str, settings: Settings, login: Login | None = None) -> None:
        self.base_url = base_url
        self.settings = settings
        self.login = login or Login()
        parts = urlsplit(self.base_url)
        self.host = parts.netloc
        self.rules = rules_of(self.host, settings)
        contact = f" ({settings.contact})" if settings.contact else ""
        timeout = httpx.Timeout(
            min(settings.read_timeout_s, settings.deadline_s), connect=settings.connect_timeout_s
        )
        self._client = httpx.Client(
            timeout=timeout,
            headers={"User-Agent": f"geomon/{version('geomon')}{contact}"},
            limits=httpx.Limits(max_connections=self.rules.max_connections),
            transport=None if _has_proxy(parts) else DeadlineTransport(self.rules.max_connections),
            event_hooks={"response": [_note_redirect]},
        )
        self._closing = weakref.finalize(self, self._client.close)
        self._connections = threading.BoundedSemaphore(self.rules.max_connections)
        self._lock = threading.Lock()
        self._next_request = 0.0
        self._slowdown = 1.0
        self._failures = 0
        self._closed_until = 0.0
        self._closed: Answer | None = None
        self._is_alarmed = False

    def close(self) -> None:
        """Close all connections; they are closed too when nothing refers to the data centre."""
        self._closing()

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
            asked_ns, begun = time.time_ns(), time.monotonic()
            answer = self._follow(path, body, looks_right, accept_encoding)
            took_s = time.monotonic() - begun
        self._remember(answer)
        n_bytes = len(answer.body)
        asked = Asked(
            url=self.base_url + path,
            request=body,
            asked_ns=asked_ns,
            took_s=took_s,
            outcome=answer.outcome,
            n_bytes=n_bytes,
            sha256=hashlib.sha256(answer.body).hexdigest() if n_bytes else "",
        )
        return replace(answer, asked=asked)

    def wait(self, attempt: int) -> None:
        """Wait before try number `attempt` + 1, longer each time, with jitter."""
        mean_s = min(self.settings.retry_wait_s * 2 ** (attempt - 1), _MAX_WAIT_S)
        time.sleep(random.uniform(0.5, 1.5) * mean_s)

    @property
    def seconds_between_requests(self) -> float:
        """The pace kept now: slower than configured after a host asked for it."""
        return self._slowdown / self.rules.requests_per_s

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
            if answer.outcome == "auth" and not self._is_alarmed:
                self._is_alarmed = True
                logger.error("%s; check source.auth and its secrets", answer.detail)
            if answer.outcome == "data":
                self._is_alarmed = False
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
        request = self._client.build_request(
            "POST", url, content=body.encode("ascii"), headers=headers
        )
        try:
            with (
                deadline(self.settings.deadline_s),
                self._answered(self.login.signed(request)) as response,
            ):
                if response.status_code != 200:
                    return self._refusal(response)
                return read_answer(response, self.host, self.settings, looks_right)
        except NotLetIn as error:
            return Answer("auth", detail=f"{self.host}: access refused: {error}")
        except httpx.TimeoutException as error:
            what = "no connection" if isinstance(error, httpx.ConnectTimeout) else "no answer"
            return Answer("network", detail=f"{self.host}: {what} in time", retry=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            return Answer("network", detail=f"{self.host}: {reason[:200]}", retry=True)

    @contextmanager
    def _answered(
        self, steps: Generator[httpx.Request, httpx.Response]
    ) -> Iterator[httpx.Response]:
        """Send a request and what follows from its answers; yield the last answer, unread."""
        following = next(steps)
        while True:
            response = self._client.send(following, stream=True, auth=None)
            try:
                following = steps.send(response)
            except StopIteration:
                break
            except BaseException:
                response.close()
                raise
            response.close()
        with closing(response):
            yield response

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
        return Answer("rejected", detail=f"{where}: {first_line(response)}")

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


def _note_redirect(response: httpx.Response) -> None:
    # httpx would look at where a redirect leads, even when told not to follow it.
    if 300 <= response.status_code < 400:
        raise _Redirected(response.headers.get("Location", ""))


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
