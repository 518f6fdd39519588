"""Answers to requests that fail, in the words of whoever was asked, silent about the inside."""

import logging
from collections.abc import Mapping
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from geomon.api import fdsn, fdsn_availability, fdsn_dataselect, fdsn_event, fdsn_station
from geomon.api.fdsn import RequestProblem, Service
from geomon.errors import DataError, GeomonError, NotHeld, StoreTimeout
from geomon.stores.amending import Outdated

logger = logging.getLogger(__name__)

_SERVICES = tuple(
    module.SERVICE for module in (fdsn_event, fdsn_station, fdsn_dataselect, fdsn_availability)
)


def add_problem_answers(app: FastAPI) -> None:
    """Let every error of an application be answered."""
    app.add_exception_handler(Exception, _failed)
    app.add_exception_handler(GeomonError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)


def problem(
    request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Write an error as the service asked for would: FDSN text, or JSON."""
    service = _service(request.url.path)
    if service is not None:
        return fdsn.error_response(request, service, status, detail, headers)
    return JSONResponse({"detail": detail}, status, headers)


def _failed(request: Request, error: Exception) -> Response:
    """Answer a failure without a word about the inside; the log has the rest."""
    if isinstance(error, RequestProblem):
        return problem(request, error.status, error.detail, error.headers)
    if isinstance(error, DataError):
        return problem(request, 400, str(error))
    if isinstance(error, NotHeld):
        return problem(request, 404, str(error))
    if isinstance(error, Outdated):
        return problem(request, 409, str(error))
    if isinstance(error, StoreTimeout):
        logger.warning("%s: %s", request.url, error)
        return problem(request, 413, "The answer would take too long; narrow the request.")
    if isinstance(error, GeomonError):
        logger.warning("%s: %s", request.url.path, error)
        if error.retryable:
            return problem(request, 503, "The stores are busy; ask again in a moment.")
    else:
        logger.error("%s: failed", request.url.path, exc_info=error)
    return problem(request, 500, "The request could not be answered; the server's log says why.")


def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return problem(request, 500, "")
    headers, service = error.headers, _service(request.url.path)
    if error.status_code == 405 and service is not None:
        is_query = request.url.path.rpartition("/")[2] not in service.resources
        headers = {"Allow": ", ".join(("HEAD", *(service.methods if is_query else ("GET",))))}
    return problem(request, error.status_code, str(error.detail), headers)


def _invalid(request: Request, error: Exception) -> Response:
    """Say which parameter is not as it must be, in one line."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    detail = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in problems)
    return problem(request, 422, detail)


def _service(path: str) -> Service | None:
    return next((s for s in _SERVICES if unquote(path).startswith(s.path)), None)
