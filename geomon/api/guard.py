"""What stands before every route: limits, security headers, compression."""

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geomon.api.access import is_loopback
from geomon.api.limits import Rate
from geomon.api.problems import problem
from geomon.config import Server
from geomon.stores.patience import reads_within

MAX_URI_BYTES = 16_384
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_SERVICES = "/fdsnws/"
_UNCOMPRESSED = ("/fdsnws/dataselect/",)
_UNLIMITED = ("/static/",)


class Guard:
    """Refuses what is too long, too large or too often; adds headers; compresses what gains by it.

    Parameters
    ----------
    app : ASGI application
        What answers.
    settings : config.Server
        The limits.
    """

    def __init__(self, app: ASGIApp, settings: Server) -> None:
        if settings.cors_origins:
            app = CORSMiddleware(
                app,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "HEAD", "POST"],
                allow_headers=["Last-Event-ID"],
                max_age=3600,
            )
        self._plain = app
        self._compressing = GZipMiddleware(app, minimum_size=2000, compresslevel=5)
        self._settings = settings
        per_minute = settings.requests_per_minute
        self._rate = None if per_minute is None else Rate(per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._plain(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        refusal = self._refusal(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        if scope["method"] == "HEAD" and scope["path"].startswith(_SERVICES):
            scope = {**scope, "method": "GET"}  # the server itself leaves the body out
        app = self._plain if scope["path"].startswith(_UNCOMPRESSED) else self._compressing
        with reads_within(self._settings.statement_timeout_s):
            await app(scope, self._counted(receive), send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that is refused at first sight."""
        scope, most = request.scope, self._settings.max_body_kb * 1000
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
            return problem(request, 414, f"The address is longer than {MAX_URI_BYTES} bytes.")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return problem(request, 413, f"The request is larger than {most} bytes.")
        address = request.client.host if request.client else ""
        is_counted = not (is_loopback(address) or scope["path"].startswith(_UNLIMITED))
        if self._rate is not None and is_counted:
            wait_s = self._rate.wait_s(address)
            if wait_s > 0:
                detail = f"More than {self._settings.requests_per_minute} requests a minute."
                return problem(request, 429, detail, {"Retry-After": f"{wait_s + 1:.0f}"})
        return None

    def _counted(self, receive: Receive) -> Receive:
        """Count what arrives of a body whose length was not told ahead."""
        most, n_bytes = self._settings.max_body_kb * 1000, 0

        async def receive_counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > most:
                raise HTTPException(413, f"The request is larger than {most} bytes.")
            return message

        return receive_counted
