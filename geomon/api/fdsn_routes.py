"""The routes of an FDSN web service, and its descriptions: OpenAPI, WADL, and a page for people."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool

from geomon.api.access import Access
from geomon.api.fdsn import REASONS, Parameter, Service, answered, read_parameters
from geomon.api.selection import Selection, read_body, selection_of
from geomon.services.workspace import Workspace

_XSD = {"time": "xs:dateTime", "float": "xs:double", "int": "xs:int", "bool": "xs:boolean"}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}

_IN_URL = "/:?&=%#~+,;@"

type Values = Mapping[str, Any]
type Answer = Callable[[Request, Values, Sequence[Selection], str | None], Response]
"""Answers a checked request; the last argument is the user, None for anyone."""


class XmlResponse(Response):
    """An XML document."""

    media_type = "application/xml"


def cited[**P](space: Workspace, answer: Callable[P, Response]) -> Callable[P, Response]:
    """Let answers with data say whose they are: links to DOI and licence (RFC 8574)."""

    def with_links(*args: P.args, **kwargs: P.kwargs) -> Response:
        response = answer(*args, **kwargs)
        if response.status_code != 200:
            return response
        for credit in space.public_stations().credits:
            if credit.doi:
                doi = quote(credit.doi, safe="/:()")
                response.headers.append("Link", f'<https://doi.org/{doi}>; rel="cite-as"')
            if credit.licence:
                name = credit.licence
                url = name if "://" in name else f"https://spdx.org/licenses/{name}.html"
                response.headers.append("Link", f'<{quote(url, safe=_IN_URL)}>; rel="license"')
        return response

    return with_links


def add_query(router: APIRouter, service: Service, answer: Callable[[Request], Response]) -> None:
    """Add a query by GET that reads its parameters itself."""

    def query(request: Request) -> Response:
        return answered(request, service, lambda: answer(request))

    router.add_api_route(
        f"{service.path}/{service.query}",
        query,
        methods=["GET"],
        response_class=Response,
        responses=_openapi_answers(service),
        openapi_extra=_openapi_parameters(service),
        description=service.about,
        operation_id=f"{service.name}-{service.query}",
    )


def add_channel_query(
    router: APIRouter, service: Service, answer: Answer, access: Access | None = None
) -> None:
    """Add a query for channels and times by GET and POST, open and, with `access`, for users."""
    names = (
        {service.query: None, f"{service.query}auth": access} if access else {service.query: None}
    )
    for name, users in names.items():
        _add_channel_query(router, service, answer, name, users)


def _add_channel_query(
    router: APIRouter, service: Service, answer: Answer, name: str, users: Access | None
) -> None:
    def get(request: Request) -> Response:
        def work() -> Response:
            user = users.reader(request) if users else None
            values = read_parameters(request.query_params.multi_items(), service.parameters)
            return answer(request, values, [selection_of(values)], user)

        return answered(request, service, work)

    async def post(request: Request) -> Response:
        body = await request.body()

        def work() -> Response:
            user = users.reader(request) if users else None
            return answer(request, *read_body(body, service.parameters), user)

        return await run_in_threadpool(answered, request, service, work)

    for method, route, extra in (
        ("GET", get, _openapi_parameters(service)),
        ("POST", post, {"requestBody": {"required": True, "content": _TEXT}}),
    ):
        router.add_api_route(
            f"{service.path}/{name}",
            route,
            methods=[method],
            response_class=Response,
            responses=_openapi_answers(service),
            openapi_extra=extra,
            description=service.about,
            operation_id=f"{service.name}-{name}-{method.lower()}",
        )


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


def wadl(request: Request, service: Service) -> Response:
    """Describe a service to machines (WADL, 2009-02); aliases are left out as elsewhere."""
    base = quoteattr(str(request.base_url).rstrip("/") + service.path + "/")
    queries = "\n".join(_wadl_query(one) for one in (service, *service.others))
    others = "".join(
        f'<resource path="{resource}"><method name="GET" id="{resource.split(".")[0]}"/></resource>'
        for resource in service.resources
    )
    return XmlResponse(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<application xmlns="http://wadl.dev.java.net/2009/02" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema">\n'
        f"<resources base={base}>\n{queries}\n{others}\n</resources>\n</application>\n"
    )


def _wadl_query(service: Service) -> str:
    name = service.query
    written = f'<resource path="{name}">{_wadl_methods(service, name)}</resource>'
    if service.has_auth:
        written += (
            f'\n<resource path="{name}auth">{_wadl_methods(service, f"{name}Auth")}</resource>'
        )
    return written


def _wadl_methods(service: Service, name: str) -> str:
    params = "\n".join(_wadl_parameter(parameter) for parameter in service.parameters)
    answers = "".join(
        f"<representation mediaType={quoteattr(media_type)}/>" for media_type in service.media_types
    )
    methods = (
        f'<method name="GET" id="{name}"><request>\n{params}\n</request>'
        f'<response status="200">{answers}</response>'
        '<response status="204 400 401 403 404 413 414 429 500 503">'
        '<representation mediaType="text/plain"/></response></method>'
    )
    if "POST" in service.methods:
        methods += (
            f'<method name="POST" id="post{name[0].upper()}{name[1:]}"><request>'
            '<representation mediaType="text/plain"/></request>'
            f'<response status="200">{answers}</response></method>'
        )
    return methods


def _wadl_parameter(parameter: Parameter) -> str:
    default = f" default={quoteattr(parameter.default)}" if parameter.default else ""
    options = "".join(f"<option value={quoteattr(choice)}/>" for choice in parameter.choices)
    doc = f'<doc xml:lang="en">{html.escape(parameter.meaning, quote=False)}</doc>'
    return (
        f'<param name="{parameter.name}" style="query" required="false" '
        f'type="{_XSD.get(parameter.kind, "xs:string")}"{default}>{doc}{options}</param>'
    )


def help_page(service: Service) -> Response:
    """Describe a service to people."""
    tables = "".join(_help_table(one) for one in (service, *service.others))
    links = "".join(
        f'<li><a href="{resource}">{resource}</a></li>' for resource in service.resources
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fdsnws-{service.name}'
        f'</title><link rel="stylesheet" href="/static/help.css"></head><body><main>'
        f"<h1>fdsnws-{service.name} {service.version}</h1>{tables}<ul>{links}</ul></main></body>"
        "</html>"
    )


def _help_table(service: Service) -> str:
    rows = "".join(
        f"<tr><td><code>{p.name}</code>"
        + "".join(f" <code>{alias}</code>" for alias in p.aliases)
        + f"</td><td>{p.kind}</td><td>{html.escape(p.meaning)}"
        + (f" One of {', '.join(p.choices)}." if p.choices else "")
        + (" <em>Extension.</em>" if p.is_extension else "")
        + f"</td><td>{html.escape(p.default)}</td></tr>"
        for p in service.parameters
    )
    auth = f" (users: <code>{service.query}auth</code>)" if service.has_auth else ""
    return (
        f"<p>{html.escape(service.about)}</p>"
        f"<p>Ask <code>{service.path}/{service.query}?</code>{auth} with these parameters, each at "
        "most once.</p><table><thead><tr><th>Parameter</th><th>Type</th><th>Meaning</th>"
        f"<th>Default</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _openapi_answers(service: Service) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a service's query in the words of OpenAPI."""
    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": {media_type: {} for media_type in service.media_types}},
        204: {"description": "Nothing matches."},
    }
    for status in (400, 401, 403, 404, 413, 414, 429, 500, 503):
        answers[status] = {"description": REASONS[status], "content": {"text/plain": {}}}
    return answers


def _openapi_parameters(service: Service) -> dict[str, Any]:
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
