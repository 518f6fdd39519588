"""The web application: FDSN services, JSON, and the page."""

import logging
from pathlib import Path
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geomon.api import fdsn, fdsn_dataselect, fdsn_event, fdsn_station
from geomon.api.fdsn import RequestProblem, Service
from geomon.api.live import Pulse, live_api
from geomon.api.pages import json_api
from geomon.api.review import review_api
from geomon.api.watch import Watch
from geomon.config import Config
from geomon.errors import DataError, GeomonError
from geomon.services.workspace import workspace

logger = logging.getLogger(__name__)

MAX_URI_BYTES = 16_384
_STATIC = Path(__file__).parent / "static"
_SERVICES = (fdsn_event.SERVICE, fdsn_station.SERVICE, fdsn_dataselect.SERVICE)
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
_UNCOMPRESSED = ("/fdsnws/dataselect/",)


def create_app(config: Config) -> FastAPI:
    """Make the web application of one network.

    Stores are opened on the first request that needs them.
    """
    from importlib.metadata import version

    space = workspace(config)
    watch, pulse = Watch(space), Pulse(space)
    app = FastAPI(
        title=f"geomon: {config.network.name}",
        version=version("geomon"),
        openapi_url="/api/openapi.json",
        docs_url=None,  # the usual pages for it load their scripts from elsewhere
        redoc_url=None,
    )
    app.include_router(fdsn_event.event_service(space))
    app.include_router(fdsn_station.station_service(space))
    app.include_router(fdsn_dataselect.dataselect_service(space))
    app.include_router(live_api(pulse))
    app.include_router(json_api(space, watch))
    app.include_router(review_api(space))

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    app.state.end_streams = pulse.stop
    app.mount("/static", _Files(directory=_STATIC), name="static")
    app.add_exception_handler(Exception, _failed)
    app.add_exception_handler(GeomonError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(_Guard)
    return app


class _Files(StaticFiles):
    """Files that browsers may keep but must ask about, so that an update is seen at once."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


class _Guard:
    """Refuses overlong addresses, adds the security headers, compresses what gains by it."""

    def __init__(self, app: ASGIApp) -> None:
        self.plain = app
        self.compressing = GZipMiddleware(app, minimum_size=2000, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.plain(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
            detail = f"The address is longer than {MAX_URI_BYTES} bytes."
            response = _problem(Request(scope), 414, detail)
            await response(scope, receive, send_guarded)
            return
        compress = not scope["path"].startswith(_UNCOMPRESSED)
        await (self.compressing if compress else self.plain)(scope, receive, send_guarded)


def _failed(request: Request, error: Exception) -> Response:
    """Answer a failure without a word about the inside; the log has the rest."""
    if isinstance(error, RequestProblem):
        return _problem(request, error.status, error.detail)
    if isinstance(error, DataError):
        return _problem(request, 400, str(error))
    if isinstance(error, GeomonError):
        logger.warning("%s: %s", request.url.path, error)
        if error.retryable:
            return _problem(request, 503, "The stores are busy; ask again in a moment.")
    else:
        logger.error("%s: failed", request.url.path, exc_info=error)
    return _problem(request, 500, "The request could not be answered; the server's log says why.")


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    return _problem(request, status, detail)


def _invalid(request: Request, error: Exception) -> Response:
    """Say which parameter is not as it must be, in one line."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    detail = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in problems)
    return _problem(request, 422, detail)


def _problem(request: Request, status: int, detail: str) -> Response:
    """Write an error as the service asked for would: FDSN text, or JSON."""
    service = _service(request.url.path)
    if service is not None:
        return fdsn.error_response(request, service, status, detail)
    return JSONResponse({"detail": detail}, status)


def _service(path: str) -> Service | None:
    return next((s for s in _SERVICES if unquote(path).startswith(s.path)), None)
