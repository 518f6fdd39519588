"""What all FDSN web services share: parameters and error texts.

FDSN Web Service Specifications 1.2 (2019): parameter names come with aliases and in any case;
an unknown, repeated or empty parameter is a 400; an error is plain text in a fixed layout; an
empty result is a 204, or a 404 where the client asks for one.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from geomon.errors import DataError, GeomonError
from geomon.times import parse_time

_MAX_URL = 2000
"""So much of an address is repeated in an error."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
REASONS = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Request entity too large",
    414: "Request URI too long",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}

type Kind = Literal["time", "float", "int", "bool", "text"]


class RequestProblem(GeomonError):
    """A request that gets an error answer; `detail` is meant for the person who sent it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter of a service.

    `minimum` and `maximum` are inclusive; `choices` are the only values allowed, in any case;
    `default` is shown in the WADL and the help page. `is_extension` marks one the specification
    does not have.
    """

    name: str
    kind: Kind
    meaning: str
    aliases: tuple[str, ...] = ()
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()
    default: str = ""
    is_extension: bool = False


CIRCLE = (
    Parameter("latitude", "float", "Centre of a circle, degrees.", ("lat",), -90, 90,
              default="0"),
    Parameter("longitude", "float", "Centre of a circle, degrees.", ("lon",), -180, 180,
              default="0"),
    Parameter("minradius", "float", "Smallest distance from the centre, degrees.", (), 0, 180,
              default="0"),
    Parameter("maxradius", "float", "Largest distance from the centre, degrees.", (), 0, 180,
              default="180"),
)  # fmt: skip
"""Parameters of the services that answer for places around a point."""


@dataclass(frozen=True, slots=True)
class Service:
    """One FDSN service: where it lives, its version, and the parameters of its query.

    `query` is the name of its first resource, `others` are further ones with parameters of their
    own; with `has_auth` each of them is also there for users, under its name with ``auth`` behind.
    """

    name: str
    version: str
    about: str
    parameters: tuple[Parameter, ...]
    media_types: tuple[str, ...]
    methods: tuple[str, ...] = ("GET",)
    resources: tuple[str, ...] = ("version", "application.wadl")
    query: str = "query"
    has_auth: bool = False
    others: tuple["Service", ...] = ()

    @property
    def path(self) -> str:
        """Path of the service, without a slash at its end."""
        return f"/fdsnws/{self.name}/{self.version.split('.')[0]}"


NODATA = Parameter(
    "nodata", "text", "Status code of an empty answer.", choices=("204", "404"), default="204"
)


def read_parameters(
    pairs: Iterable[tuple[str, str]], parameters: Sequence[Parameter]
) -> dict[str, Any]:
    """Check the parameters of a request and turn them into values, by their full names.

    Times become `int` nanoseconds since 1970, numbers `float` or `int`, switches `bool`, choices
    their lower-case spelling; defaults are not filled in.

    Raises
    ------
    RequestProblem
        With status 400 if a parameter is unknown, repeated (also under an alias), empty, or has
        a value that is not allowed.
    """
    known = {name: p for p in parameters for name in (p.name, *p.aliases)}
    values: dict[str, Any] = {}
    for written, text in pairs:
        parameter = known.get(written.strip().lower())
        if parameter is None:
            raise RequestProblem(400, f"{written[:60]!r} is not a parameter of this service")
        if parameter.name in values:
            raise RequestProblem(400, f"{parameter.name} is given more than once")
        if not text.strip():
            raise RequestProblem(400, f"{parameter.name} has no value")
        values[parameter.name] = _value(parameter, text.strip())
    return values


def check_order(values: Mapping[str, Any], *pairs: tuple[str, str]) -> None:
    """Refuse ranges that end before they start.

    Raises
    ------
    RequestProblem
        With status 400 if the first of a pair of values is larger than the second.
    """
    for low, high in pairs:
        if low in values and high in values and values[low] > values[high]:
            raise RequestProblem(400, f"{low} is larger than {high}")


def error_response(
    request: Request,
    service: Service,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Write an error as the specification lays it out."""
    base = str(request.base_url).rstrip("/")
    text = (
        f"Error {status}: {REASONS.get(status, 'Error')}\n\n"
        f"{detail}\n\n"
        f"Usage details are available from {base}{service.path}/\n\n"
        f"Request:\n{str(request.url)[:_MAX_URL]}\n\n"
        f"Request Submitted:\n{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}\n\n"
        f"Service version:\n{service.version}\n"
    )
    return PlainTextResponse(text, status, headers)


def empty_response(
    request: Request,
    service: Service,
    values: Mapping[str, Any],
    detail: str = "Nothing matches the request.",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer that nothing matches, with the status the client asked for."""
    if values.get("nodata", "204") == "404":
        return error_response(request, service, 404, detail, headers)
    return Response(status_code=204, headers=headers)


def answered(request: Request, service: Service, answer: Callable[[], Response]) -> Response:
    """Run `answer`; turn what goes wrong on purpose into the error text of the specification."""
    try:
        return answer()
    except RequestProblem as problem:
        return error_response(request, service, problem.status, problem.detail, problem.headers)
    except DataError as error:
        return error_response(request, service, 400, str(error))


def _value(parameter: Parameter, text: str) -> Any:  # noqa: ANN401 - depends on the kind
    name = parameter.name
    if parameter.choices:
        if text.lower() not in parameter.choices:
            allowed = ", ".join(parameter.choices)
            raise RequestProblem(400, f"{name} is {text[:60]!r}; allowed are {allowed}")
        return text.lower()
    if parameter.kind == "time":
        try:
            return parse_time(text)
        except DataError as error:
            raise RequestProblem(400, f"{name}: {error}") from error
    if parameter.kind == "bool":
        if text.lower() not in {"true", "false"}:
            raise RequestProblem(400, f"{name} is {text[:60]!r}; allowed are true and false")
        return text.lower() == "true"
    if parameter.kind == "text":
        return text
    return _number(parameter, text)


def _number(parameter: Parameter, text: str) -> float | int:
    if not _NUMBER.fullmatch(text) or (parameter.kind == "int" and not re.fullmatch(r"\d+", text)):
        what = "a whole number" if parameter.kind == "int" else "a number"
        raise RequestProblem(400, f"{parameter.name} is {text[:60]!r}, not {what}")
    number = int(text) if parameter.kind == "int" and len(text) < 16 else float(text)
    if not math.isfinite(number) or not parameter.minimum <= number <= parameter.maximum:
        raise RequestProblem(
            400,
            f"{parameter.name} is {text[:60]}; allowed are {parameter.minimum:g} to "
            f"{parameter.maximum:g}",
        )
    return number
