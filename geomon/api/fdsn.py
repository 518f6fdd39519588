"""What all FDSN web services share: parameters, error texts, version, WADL.

FDSN Web Service Specifications 1.2 (2019): parameter names come with aliases and in any case;
an unknown, repeated or empty parameter is a 400; an error is plain text in a fixed layout; an
empty result is a 204, or a 404 where the client asks for one.
"""

import html
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool

from geomon.errors import DataError, GeomonError
from geomon.times import parse_time

MAX_BODY_BYTES = 2_000_000
"""Longest body of a POST."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_REASONS = {
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
_XSD = {"time": "xs:dateTime", "float": "xs:double", "int": "xs:int", "bool": "xs:boolean"}


class RequestProblem(GeomonError):
    """A request that gets an error answer; `detail` is meant for the person who sent it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class XmlResponse(Response):
    """An XML document."""

    media_type = "application/xml"


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


@dataclass(frozen=True, slots=True)
class Service:
    """One FDSN service: where it lives, its version, and the parameters of its query."""

    name: str
    version: str
    about: str
    parameters: tuple[Parameter, ...]
    media_types: tuple[str, ...]
    methods: tuple[str, ...] = ("GET",)
    resources: tuple[str, ...] = ("version", "application.wadl")

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
        f"Error {status}: {_REASONS.get(status, 'Error')}\n\n"
        f"{detail}\n\n"
        f"Usage details are available from {base}{service.path}/\n\n"
        f"Request:\n{request.url}\n\n"
        f"Request Submitted:\n{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}\n\n"
        f"Service version:\n{service.version}\n"
    )
    return PlainTextResponse(text, status, headers)


def empty_response(request: Request, service: Service, values: Mapping[str, Any]) -> Response:
    """Answer that nothing matches, with the status the client asked for."""
    if values.get("nodata", "204") == "404":
        return error_response(request, service, 404, "Nothing matches the request.")
    return Response(status_code=204)


def answered(request: Request, service: Service, answer: Callable[[], Response]) -> Response:
    """Run `answer`; turn what goes wrong on purpose into the error text of the specification."""
    try:
        return answer()
    except RequestProblem as problem:
        return error_response(request, service, problem.status, problem.detail, problem.headers)
    except DataError as error:
        return error_response(request, service, 400, str(error))


def wadl(request: Request, service: Service) -> Response:
    """Describe a service to machines (WADL, 2009-02); aliases are left out as elsewhere."""
    base = quoteattr(str(request.base_url).rstrip("/") + service.path + "/")
    params = "\n".join(_wadl_parameter(parameter) for parameter in service.parameters)
    representations = "".join(
        f"<representation mediaType={quoteattr(media_type)}/>" for media_type in service.media_types
    )
    query = [f'<method name="GET" id="query"><request>\n{params}\n</request>'
             f'<response status="200">{representations}</response>'
             '<response status="204 400 404 413 414 500 503">'
             '<representation mediaType="text/plain"/></response></method>']  # fmt: skip
    if "POST" in service.methods:
        query.append(
            '<method name="POST" id="postQuery"><request><representation mediaType="text/plain"/>'
            f'</request><response status="200">{representations}</response></method>'
        )
    others = "".join(
        f'<resource path="{resource}"><method name="GET" id="{resource.split(".")[0]}"/></resource>'
        for resource in service.resources
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<application xmlns="http://wadl.dev.java.net/2009/02" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema">\n'
        f'<resources base={base}>\n<resource path="query">{"".join(query)}</resource>\n{others}\n'
        "</resources>\n</application>\n"
    )
    return Response(text, media_type="application/xml")


def add_descriptions(router: APIRouter, service: Service) -> None:
    """Add what every service answers about itself: help, version and WADL."""

    @router.get(f"{service.path}/", include_in_schema=False)
    def about() -> Response:
        return help_page(service)

    @router.get(f"{service.path}/version", response_class=PlainTextResponse)
    def version() -> Response:
        """Return the version of the service."""
        return PlainTextResponse(service.version)

    @router.get(f"{service.path}/application.wadl", response_class=XmlResponse)
    def description(request: Request) -> Response:
        """Describe the service to machines."""
        return wadl(request, service)


def add_post(
    router: APIRouter, service: Service, answer: Callable[[Request, bytes], Response]
) -> None:
    """Add the POST form of a service's query; `answer` reads the body."""
    body_schema = {"text/plain": {"schema": {"type": "string"}}}

    @router.post(
        f"{service.path}/query",
        response_class=Response,
        responses=openapi_answers(service),
        openapi_extra={"requestBody": {"required": True, "content": body_schema}},
    )
    async def post(request: Request) -> Response:
        """Answer a selection given as lines of NET STA LOC CHA START END."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                detail = f"The request is longer than {MAX_BODY_BYTES} bytes."
                return error_response(request, service, 413, detail)
        return await run_in_threadpool(
            answered, request, service, lambda: answer(request, bytes(body))
        )


def help_page(service: Service) -> Response:
    """Describe a service to people."""
    rows = "".join(
        f"<tr><td><code>{p.name}</code>"
        + "".join(f" <code>{alias}</code>" for alias in p.aliases)
        + f"</td><td>{p.kind}</td><td>{html.escape(p.meaning)}"
        + (f" One of {', '.join(p.choices)}." if p.choices else "")
        + (" <em>Extension.</em>" if p.is_extension else "")
        + f"</td><td>{html.escape(p.default)}</td></tr>"
        for p in service.parameters
    )
    links = "".join(
        f'<li><a href="{resource}">{resource}</a></li>' for resource in service.resources
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fdsnws-{service.name}'
        f'</title><link rel="stylesheet" href="/static/help.css"></head><body><main>'
        f"<h1>fdsnws-{service.name} {service.version}</h1><p>{html.escape(service.about)}</p>"
        f"<p>Ask <code>{service.path}/query?</code> with these parameters, each at most once.</p>"
        f"<table><thead><tr><th>Parameter</th><th>Type</th><th>Meaning</th><th>Default</th></tr>"
        f"</thead><tbody>{rows}</tbody></table><ul>{links}</ul></main></body></html>"
    )


def openapi_answers(service: Service) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a service's query in the words of OpenAPI."""
    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": {media_type: {} for media_type in service.media_types}},
        204: {"description": "Nothing matches."},
    }
    for status in (400, 403, 404, 413, 414, 500, 503):
        answers[status] = {"description": _REASONS[status], "content": {"text/plain": {}}}
    return answers


def openapi_parameters(service: Service) -> dict[str, Any]:
    """Describe the query of a service in the words of OpenAPI."""
    kinds = {"float": "number", "int": "integer", "bool": "boolean"}
    listed = []
    for parameter in service.parameters:
        schema: dict[str, Any] = {"type": kinds.get(parameter.kind, "string")}
        if parameter.choices:
            schema["enum"] = list(parameter.choices)
        if math.isfinite(parameter.minimum):
            schema["minimum"] = parameter.minimum
        if math.isfinite(parameter.maximum):
            schema["maximum"] = parameter.maximum
        listed.append(
            {
                "name": parameter.name,
                "in": "query",
                "required": False,
                "description": parameter.meaning,
                "schema": schema,
            }
        )
    return {"parameters": listed}


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


def _wadl_parameter(parameter: Parameter) -> str:
    default = f" default={quoteattr(parameter.default)}" if parameter.default else ""
    options = "".join(f"<option value={quoteattr(choice)}/>" for choice in parameter.choices)
    doc = f'<doc xml:lang="en">{html.escape(parameter.meaning, quote=False)}</doc>'
    return (
        f'<param name="{parameter.name}" style="query" required="false" '
        f'type="{_XSD.get(parameter.kind, "xs:string")}"{default}>{doc}{options}</param>'
    )
