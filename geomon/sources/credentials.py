"""How geomon is let in to restricted data: secrets from the environment, shown to one host only.

User and password answer an HTTP digest challenge at ``queryauth`` (FDSN web service specification
1.2; RFC 7616), which never sends the password itself. A bearer token goes with every request
(RFC 6750). An EIDA token is posted to ``auth``, which answers with the user and password of an
account that lives for a day (https://geofon.gfz.de/waveform/archive/auth/auth-details.php).
"""

import os
import re
import threading
from collections.abc import Generator, Mapping
from typing import Literal
from urllib.parse import urlsplit

import httpx

from geomon.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")

_PREFIX = "GEOMON_FDSN"
_NEEDED: dict[str, tuple[str, ...]] = {
    "password": ("USER", "PASSWORD"),
    "token": ("TOKEN",),
    "eida": ("TOKEN",),
}
_MAX_ACCOUNT_BYTES = 1024

type Kind = Literal["none", "password", "token", "eida"]


class NotLetIn(Exception):
    """A data centre's way of asking who we are cannot be followed."""


class Login:
    """How one data centre is told who is asking.

    Safe to share between threads. Nothing secret shows in its text or in what it raises.

    Attributes
    ----------
    method : {"query", "queryauth"}
        The dataselect method to use with it.
    """

    method: Literal["query", "queryauth"] = "query"

    def signed(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Yield the request to send, and after each answer the next one, if there is one.

        Raises
        ------
        NotLetIn
            If the data centre's challenge cannot be answered.
        """
        yield request


class Bearer(Login):
    """A token shown with every request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def signed(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """See `Login.signed`."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class Digest(Login):
    """User and password, proven by HTTP digest."""

    method = "queryauth"

    def __init__(self, user: str, password: str) -> None:
        self._digest = httpx.DigestAuth(user, password)
        self._lock = threading.Lock()

    def signed(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """See `Login.signed`.

        Raises
        ------
        NotLetIn
            If the challenge is none that can be answered.
        """
        flow = self._digest.auth_flow(request)
        with self._lock:  # the number of times a nonce was used must not repeat
            following = next(flow)
        while True:
            response = yield following
            try:
                with self._lock:
                    following = flow.send(response)
            except StopIteration:
                return
            except (httpx.ProtocolError, NotImplementedError, LookupError, ValueError) as error:
                msg = "its digest challenge cannot be answered"
                raise NotLetIn(msg) from error


class Eida(Login):
    """An EIDA token, exchanged for an account for digest access."""

    method = "queryauth"

    def __init__(self, token: str, base_url: str) -> None:
        self._token = token
        self._url = f"{base_url}/fdsnws/dataselect/1/auth"
        self._lock = threading.Lock()
        self._account: Digest | None = None

    def signed(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """See `Login.signed`."""
        account = self._account
        if account is not None:
            response = yield from _sent_with(account, request)
            if response.status_code != 401:
                return
            del request.headers["Authorization"]
        yield from _sent_with((yield from self._exchange(account)), request)

    def _exchange(self, expired: Digest | None) -> Generator[httpx.Request, httpx.Response, Digest]:
        """Return an account other than the one that was let in no longer.

        Raises
        ------
        NotLetIn
            If the data centre gives none for the token.
        """
        answer = yield httpx.Request(
            "POST", self._url, content=self._token.encode(), headers={"Accept-Encoding": "identity"}
        )
        if answer.status_code != 200:
            msg = f"HTTP {answer.status_code} for the EIDA token"
            raise NotLetIn(msg)
        content = next(answer.iter_raw(_MAX_ACCOUNT_BYTES), b"").decode("latin1").strip()
        user, colon, password = content.partition(":")
        if not colon or not user or not password.isprintable():
            msg = "it gave no account for the EIDA token"
            raise NotLetIn(msg)
        with self._lock:
            if self._account is expired:
                self._account = Digest(user, password)
            return self._account or Digest(user, password)


def _sent_with(
    account: Digest, request: httpx.Request
) -> Generator[httpx.Request, httpx.Response, httpx.Response]:
    flow = account.signed(request)
    following = next(flow)
    while True:
        response = yield following
        try:
            following = flow.send(response)
        except StopIteration:
            return response


def logins(
    kind: Kind, base_urls: list[str], environment: Mapping[str, str] = os.environ
) -> list[Login]:
    """Return how each data centre is told who is asking, in the order of `base_urls`.

    One data centre takes its secrets from ``GEOMON_FDSN_USER`` and the like, or from the same
    with its host's name behind; of several, each takes only those with its name.

    Raises
    ------
    ConfigError
        If secrets are wanted and none are set, or one would go over plain http. The message
        names variables and hosts, never a secret.
    """
    if kind == "none":
        return [Login() for _ in base_urls]
    found = [_login(kind, url, environment, is_only=len(base_urls) == 1) for url in base_urls]
    if all(type(login) is Login for login in found):
        suffix = "" if len(base_urls) == 1 else _suffix(base_urls[0])
        names = " and ".join(f"{_PREFIX}_{name}{suffix}" for name in _NEEDED[kind])
        msg = f"source.auth: {kind}: set {names} in the environment"
        raise ConfigError(msg)
    return found


def _login(kind: Kind, base_url: str, environment: Mapping[str, str], *, is_only: bool) -> Login:
    suffixes = [_suffix(base_url), *([""] if is_only else [])]
    for suffix in suffixes:
        names = [f"{_PREFIX}_{name}{suffix}" for name in _NEEDED[kind]]
        values = [environment.get(name, "").strip() for name in names]
        if not any(values):
            continue
        if not all(values):
            msg = f"source.auth: {kind}: {names[values.index('')]} is not set in the environment"
            raise ConfigError(msg)
        parts = urlsplit(base_url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            msg = (
                f"source.auth: {kind}: secrets go over https only; {parts.netloc} is asked by http"
            )
            raise ConfigError(msg)
        if kind == "password":
            return Digest(*values)
        if kind == "eida":
            return Eida(values[0], base_url)
        if not values[0].isascii() or not values[0].isprintable():
            msg = f"source.auth: token: {names[0]} holds characters no bearer token has"
            raise ConfigError(msg)
        return Bearer(values[0])
    return Login()


def _suffix(base_url: str) -> str:
    return "_" + re.sub(r"[^A-Z0-9]", "_", urlsplit(base_url).netloc.upper())
