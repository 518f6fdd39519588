"""Who is asking, and what they may do: change events, or read restricted waveforms.

A program shows the token from the environment (`TOKEN_VARIABLE`) as a bearer token. A person logs
in on the page and gets a signed cookie, which counts only for requests that come from the page
itself: browsers say where a request comes from (``Origin``, ``Sec-Fetch-Site``), and pages of other
sites cannot make them lie. With neither token nor users, the page on the loopback address may
write.
"""

import base64
import binascii
import getpass
import hashlib
import hmac
import ipaddress
import os
import secrets
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from geomon.api.digest import REALM, challenge, digest_user, password_hash
from geomon.api.fdsn import RequestProblem
from geomon.api.limits import Rate
from geomon.config import Server
from geomon.errors import ConfigError
from geomon.ids import SeedId

TOKEN_VARIABLE = "GEOMON_WRITE_TOKEN"
COOKIE = "geomon_session"
SESSION_S = 12 * 3600
MAX_TRIES = 20
"""Most tries to log in of one address a minute."""
_HOW_TO_LET_IN = f"name server.users and server.writers in the config, or set {TOKEN_VARIABLE}"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "User or password is wrong"},
    403: {"description": "Not from this server's page, or no one can log in"},
    429: {"description": "Too many tries"},
}


class Visitor(BaseModel):
    """Who is asking, and what they may do."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str | None
    """Null for one who has not logged in."""
    may_write: bool
    """Whether they may change events."""
    can_log_in: bool
    """Whether there are users or a token to log in with."""


class Login(BaseModel):
    """User and password; or the token in place of the password, without a user."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(max_length=64)] = ""
    password: Annotated[str, Field(min_length=1, max_length=256)]


class Access:
    """Decides what a request may do.

    Parameters
    ----------
    settings : config.Server
        Users and what they may do.
    host : str
        Address the server listens on.
    token : str, optional
        What programs show to be let in; by default the environment's.

    Raises
    ------
    ConfigError
        If the file of users cannot be read, or does not name a writer or reader.
    """

    def __init__(self, settings: Server, host: str, token: str | None = None) -> None:
        self._settings = settings
        self._token = os.environ.get(TOKEN_VARIABLE, "").strip() if token is None else token
        self._hashes = {} if settings.users is None else read_users(settings.users)
        for name in (*settings.writers, *settings.readers):
            if name not in self._hashes:
                msg = f"server: {name!r} has no password in server.users; geomon users set {name}"
                raise ConfigError(msg)
        self.can_log_in = bool(self._token or settings.writers)
        self._is_local = is_loopback(host) and not self.can_log_in
        self._tries = Rate(MAX_TRIES)
        # Sessions outlive a restart, and end when any password changes.
        material = "\n".join([self._token, *(f"{u}:{h}" for u, h in sorted(self._hashes.items()))])
        self._key = (
            hashlib.sha256(b"session" + material.encode()).digest()
            if self.can_log_in
            else secrets.token_bytes(32)
        )

    def writer(self, request: Request) -> str:
        """Return the name of the one who asks to change something.

        Raises
        ------
        RequestProblem
            With status 401 or 403 if they may not.
        """
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            if self._token and _equal(shown.strip(), self._token):
                return "token"
            raise RequestProblem(401, "the token is not the one this server knows")
        if not is_same_origin(request):
            raise RequestProblem(403, "changes are taken from this server's own page only")
        if self._is_local and _is_from_here(request):
            return getpass.getuser()
        if not self.can_log_in:
            raise RequestProblem(403, f"no one may change events: {_HOW_TO_LET_IN}")
        name = self._session(request)
        if name is None:
            raise RequestProblem(401, "log in to change events")
        return name

    def visitor(self, request: Request) -> Visitor:
        """Return who is asking and whether they may change events."""
        try:
            name: str | None = self.writer(request)
        except RequestProblem:
            name = None
        return Visitor(name=name, may_write=name is not None, can_log_in=self.can_log_in)

    def log_in(self, request: Request, login: Login) -> str:
        """Return the cookie of a new session.

        Raises
        ------
        RequestProblem
            With status 401 if user and password are not right, 403 if another site's page asks or
            no one can log in here, 429 after too many tries.
        """
        if not is_same_origin(request):
            raise RequestProblem(403, "log in on this server's own page")
        if not self.can_log_in:
            raise RequestProblem(403, f"no one can log in: {_HOW_TO_LET_IN}")
        wait_s = self._tries.wait_s(request.client.host if request.client else "")
        if wait_s > 0:
            headers = {"Retry-After": f"{wait_s + 1:.0f}"}
            raise RequestProblem(429, f"more than {MAX_TRIES} tries to log in a minute", headers)
        known = self._token
        given = login.password
        if login.user:
            # An unknown user costs the same work as a wrong password.
            known = self._hashes.get(login.user, "") if login.user in self._settings.writers else ""
            given = password_hash(login.user, login.password)
        if not known or not _equal(given, known):
            raise RequestProblem(401, "user or password is wrong")
        return self._cookie(login.user or "token")

    def reader(self, request: Request) -> str:
        """Return the user who proved by HTTP digest who they are.

        Raises
        ------
        RequestProblem
            With status 401 and a challenge if no one did.
        """
        target = request.url.path
        raw = request.scope.get("raw_path")
        if raw is not None:
            target = raw.decode("latin1")
        if request.url.query:
            target = f"{target}?{request.scope['query_string'].decode('latin1')}"
        header = request.headers.get("authorization", "")
        user, is_stale = digest_user(header, request.method, target, self._hashes)
        if user is None:
            headers = {"WWW-Authenticate": challenge(is_stale=is_stale)}
            raise RequestProblem(401, "user and password are needed for queryauth", headers)
        return user

    def may_read(self, user: str | None, seed_id: SeedId) -> bool:
        """Tell whether a user may read restricted waveforms of a channel."""
        patterns = () if user is None else self._settings.readers.get(user, ())
        return bool(patterns) and seed_id.station_id.matches(patterns)

    def _cookie(self, name: str) -> str:
        text = f"{name}\n{int(time.time()) + SESSION_S}".encode()
        return f"{base64.urlsafe_b64encode(text).decode()}.{self._signature(text)}"

    def _session(self, request: Request) -> str | None:
        """Return the name in a cookie that was given out here and is not too old."""
        coded, _, signature = request.cookies.get(COOKIE, "").partition(".")
        try:
            text = base64.urlsafe_b64decode(coded.encode())
        except (binascii.Error, ValueError):
            return None
        if not _equal(signature, self._signature(text)):
            return None
        name, _, until = text.decode().partition("\n")
        if time.time() > int(until) or (name != "token" and name not in self._settings.writers):
            return None
        return name

    def _signature(self, text: bytes) -> str:
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def require_writer(request: Request) -> str:
    """Return the name of the one who asks to change something; a dependency of routes.

    Raises
    ------
    RequestProblem
        With status 401 or 403 if they may not.
    """
    access: Access = request.app.state.access
    return access.writer(request)


type Writer = Annotated[str, Depends(require_writer)]
"""Parameter of a route that changes something: the name of who does it."""


def access_api(access: Access) -> APIRouter:
    """Return the routes to log in and out."""
    router = APIRouter(prefix="/api", tags=["access"])

    @router.get("/visitor")
    def visitor(request: Request) -> Visitor:
        """Tell who is asking, and what they may do."""
        return access.visitor(request)

    @router.post("/login", responses=_REFUSALS)
    def login(request: Request, response: Response, login: Annotated[Login, Body()]) -> Visitor:
        """Log in to change events; the answer sets a cookie that lasts twelve hours."""
        cookie = access.log_in(request, login)
        response.set_cookie(
            COOKIE, cookie, max_age=SESSION_S, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return Visitor(name=login.user or "token", may_write=True, can_log_in=True)

    @router.post("/logout", status_code=204)
    def logout(response: Response) -> None:
        """Forget the login of this browser."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    return router


def read_users(path: Path) -> dict[str, str]:
    """Return the password hashes of a file of users.

    Raises
    ------
    ConfigError
        If it cannot be read or a line is none of ``user:FDSN:hash``.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"server.users: {path} cannot be read"
        raise ConfigError(msg) from error
    users: dict[str, str] = {}
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line.startswith("#"):
            continue
        user, _, rest = line.partition(":")
        realm, _, known = rest.partition(":")
        if not user or realm != REALM or len(known) != 32:
            msg = f"server.users: {path}: line {number} is not user:{REALM}:hash"
            raise ConfigError(msg)
        users[user] = known.lower()
    return users


def is_loopback(host: str) -> bool:
    """Tell whether an address or name means this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_same_origin(request: Request) -> bool:
    """Tell whether a request comes from a page of this very server, by what browsers say."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return site is not None
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()


def _is_from_here(request: Request) -> bool:
    """Tell whether a request was made on this machine, to it, and through no proxy.

    The name asked for counts too: another site's name may be made to lead here.
    """
    if any(name in request.headers for name in _FORWARDED) or request.client is None:
        return False
    name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    return is_loopback(request.client.host) and is_loopback(name)


def _equal(one: str, two: str) -> bool:
    return hmac.compare_digest(one.encode(), two.encode())
