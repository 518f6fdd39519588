"""fdsnws-event 1.2 over the catalogue."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from geomon.api import fdsn
from geomon.api.fdsn import CIRCLE, NODATA, Parameter, RequestProblem, Service
from geomon.api.fdsn_routes import XmlResponse, add_descriptions, add_query, cited
from geomon.api.watch import Watch
from geomon.services.workspace import Workspace
from geomon.stations import FOREVER_NS
from geomon.stores.eventlist import EventList
from geomon.stores.exports import to_csv, to_geojson
from geomon.stores.quakeml import stream
from geomon.stores.queries import Circle, EventQuery, Order
from geomon.stores.relocating import other_origins
from geomon.stores.summary import Contribution, EventSummary
from geomon.times import NS_PER_DAY, TimeSpan, to_ns

MAX_EVENTS = 20_000
"""Most events of one answer; more are refused with 413, as at other data centres."""

WATCHED = "Geomon-Watched"
"""Header of an empty answer: the share, from 0 to 1, of the time asked for that was watched."""
MAX_WATCHED_DAYS = 31
"""Of longer times that share is not told: it takes longer than the answer itself."""

TEXT_COLUMNS = (
    "EventID", "Time", "Latitude", "Longitude", "Depth/km", "Author", "Catalog", "Contributor",
    "ContributorID", "MagType", "Magnitude", "MagAuthor", "EventLocationName", "EventType",
)  # fmt: skip
"""Columns of the text format, in the order of the specification's version 1.2."""

_ORDERS: dict[str, Order] = {
    "time": "-time",
    "time-asc": "time",
    "magnitude": "-magnitude",
    "magnitude-asc": "magnitude",
}

SERVICE = Service(
    name="event",
    version="1.2.0",
    about="Earthquakes of the catalogue, as QuakeML 1.2, text, GeoJSON or CSV.",
    media_types=("application/xml", "text/plain", "application/geo+json", "text/csv"),
    resources=("version", "application.wadl", "catalogs", "contributors"),
    parameters=(
        Parameter("starttime", "time", "Events at or after this time, UTC.", ("start",)),
        Parameter("endtime", "time", "Events at or before this time, UTC.", ("end",)),
        Parameter("minlatitude", "float", "Southern edge, degrees.", ("minlat",), -90, 90,
                  default="-90"),
        Parameter("maxlatitude", "float", "Northern edge, degrees.", ("maxlat",), -90, 90,
                  default="90"),
        Parameter("minlongitude", "float", "Western edge, degrees; larger than the eastern edge "
                  "where the box crosses the dateline.", ("minlon",), -180, 180, default="-180"),
        Parameter("maxlongitude", "float", "Eastern edge, degrees.", ("maxlon",), -180, 180,
                  default="180"),
        *CIRCLE,
        Parameter("mindepth", "float", "Smallest depth, kilometres."),
        Parameter("maxdepth", "float", "Largest depth, kilometres."),
        Parameter("minmagnitude", "float", "Smallest magnitude.", ("minmag",)),
        Parameter("maxmagnitude", "float", "Largest magnitude.", ("maxmag",)),
        Parameter("magnitudetype", "text", "Type of the magnitude that has the size asked for, for "
                  "example ML; by default of the preferred one.", ("magtype",)),
        Parameter("eventtype", "text", "Event types of QuakeML, separated by commas."),
        Parameter("includeallorigins", "bool", "Also the origins that are not preferred: of "
                  "earlier revisions, and of relocation.",
                  default="false"),
        Parameter("includeallmagnitudes", "bool", "Also magnitudes of other types than the "
                  "preferred one.", default="false"),
        Parameter("includearrivals", "bool", "Also arrivals and picks.", default="false"),
        Parameter("eventid", "text", "Events by their ids, separated by commas."),
        Parameter("limit", "int", "Most events to return.", (), 1, 10**9),
        Parameter("offset", "int", "Number of the first event to return, from 1.", (), 1, 10**9,
                  default="1"),
        Parameter("orderby", "text", "Order of the events.", choices=tuple(_ORDERS),
                  default="time"),
        Parameter("catalog", "text", "Catalogue the events are in."),
        Parameter("contributor", "text", "Agency that contributed the events."),
        Parameter("updatedafter", "time", "Events changed after this time, UTC."),
        Parameter("asofdate", "time", "The catalogue as it was at this time, UTC.",
                  is_extension=True),
        Parameter("format", "text", "Format of the answer; geojson and csv are extensions.",
                  choices=("xml", "text", "geojson", "csv"), default="xml"),
        NODATA,
    ),
)  # fmt: skip


def event_service(space: Workspace, watch: Watch) -> APIRouter:
    """Return the routes of the event service."""
    router = APIRouter(tags=["fdsnws-event"])

    def answer(request: Request) -> Response:
        values = fdsn.read_parameters(request.query_params.multi_items(), SERVICE.parameters)
        query = event_query(values)
        if query.event_ids is not None:
            query = replace(query, event_ids=_current_ids(space, query.event_ids))
        events = space.catalog.find(query)
        if len(events) > MAX_EVENTS:
            raise RequestProblem(
                413, f"more than {MAX_EVENTS} events match; narrow the request or page with limit"
            )
        if not events:
            return _nothing(request, values, watch)
        return _written(events, values, space)

    add_query(router, SERVICE, cited(space, answer))

    @router.get(f"{SERVICE.path}/catalogs", response_class=XmlResponse)
    def catalogs() -> Response:
        """List the catalogues events can be asked from."""
        return _names("Catalogs", "Catalog", space.catalog.names())

    @router.get(f"{SERVICE.path}/contributors", response_class=XmlResponse)
    def contributors() -> Response:
        """List the agencies events come from."""
        return _names("Contributors", "Contributor", space.catalog.contributors())

    add_descriptions(router, SERVICE)
    return router


def event_query(values: Mapping[str, Any]) -> EventQuery:
    """Turn checked parameters into a query of the catalogue.

    Raises
    ------
    RequestProblem
        With status 400 if parameters contradict each other.
    """
    fdsn.check_order(
        values, ("starttime", "endtime"), ("minlatitude", "maxlatitude"), ("mindepth", "maxdepth"),
        ("minmagnitude", "maxmagnitude"), ("minradius", "maxradius"),
    )  # fmt: skip
    sides = ("minlongitude", "minlatitude", "maxlongitude", "maxlatitude")
    circle = None
    if values.keys() & {"latitude", "longitude", "minradius", "maxradius"}:
        circle = Circle(
            values.get("latitude", 0.0), values.get("longitude", 0.0),
            values.get("maxradius", 180.0), values.get("minradius", 0.0),
        )  # fmt: skip
    bbox = None
    if values.keys() & set(sides):
        west, south, east, north = (
            float(values.get(side, edge))
            for side, edge in zip(sides, (-180.0, -90.0, 180.0, 90.0), strict=True)
        )
        bbox = (west, south, east, north)
    end = values.get("endtime")
    types = values.get("eventtype")
    ids = values.get("eventid")
    return EventQuery(
        start=values.get("starttime"),
        end=None if end is None else end + 1,  # the specification includes the end
        bbox=bbox,
        circle=circle,
        min_magnitude=values.get("minmagnitude"),
        max_magnitude=values.get("maxmagnitude"),
        magnitude_type=values.get("magnitudetype"),
        min_depth_km=values.get("mindepth"),
        max_depth_km=values.get("maxdepth"),
        event_type=None if types is None else tuple(_listed(types.lower())),
        event_ids=None if ids is None else [_decoded(text) for text in _listed(ids)],
        updated_after=values.get("updatedafter"),
        as_of=values.get("asofdate"),
        catalog=values.get("catalog"),
        contributors=[values["contributor"]] if "contributor" in values else None,
        order_by=_ORDERS[values.get("orderby", "time")],
        limit=min(values.get("limit", MAX_EVENTS + 1), MAX_EVENTS + 1),
        offset=values.get("offset", 1) - 1,
    )


def text_lines(events: EventList, agency: str, place: str) -> Iterator[str]:
    """Yield the text format, a line at a time; unknown values are empty."""
    yield f"#{'|'.join(TEXT_COLUMNS)}\n"
    for summary in events.summaries:
        source = events.contributions.get(summary.event_id)
        cells = _text_row(summary, source or Contribution(agency, summary.event_id), place)
        yield f"{'|'.join(cell.replace('|', ' ') for cell in cells)}\n"


def _text_row(summary: EventSummary, source: Contribution, place: str) -> tuple[str, ...]:
    known = summary.magnitude is not None
    agency = source.agency
    return (
        summary.event_id,
        f"{summary.time:%Y-%m-%dT%H:%M:%S.%f}",
        f"{summary.latitude:.5f}",
        f"{summary.longitude:.5f}",
        "" if summary.depth_km is None else f"{summary.depth_km:.3f}",
        agency,
        summary.catalog,
        agency,
        source.public_id,
        (summary.magnitude_type or "") if known else "",
        f"{summary.magnitude:.2f}" if known else "",
        agency if known else "",
        place,
        summary.event_type,
    )


def _written(events: EventList, values: Mapping[str, Any], space: Workspace) -> Response:
    credits = space.public_stations().credits
    agency = space.config.network.agency
    wanted = values.get("format", "xml")
    if wanted == "text":
        lines = text_lines(events, agency, space.config.network.name)
        return PlainTextResponse("".join(lines))
    if wanted == "csv":
        return Response(to_csv(events), media_type="text/csv; charset=utf-8")
    if wanted == "geojson":
        return Response(to_geojson(events, credits), media_type="application/geo+json")
    database, as_of = space.catalog.database, values.get("asofdate")
    document = stream(
        events,
        agency=agency,
        with_arrivals=values.get("includearrivals", False),
        with_all_magnitudes=values.get("includeallmagnitudes", False),
        others=(lambda event: other_origins(database, event, as_of))
        if values.get("includeallorigins", False)
        else None,
        contributions=events.contributions,
        credits=credits,
    )
    return StreamingResponse(document, media_type="application/xml")


def _nothing(request: Request, values: Mapping[str, Any], watch: Watch) -> Response:
    """Answer that there is no event, and say how much that is worth: how much was watched."""
    start_ns = values.get("starttime")
    end_ns = min(values.get("endtime", FOREVER_NS), to_ns(datetime.now(UTC)))
    if start_ns is None or not 0 < end_ns - start_ns <= MAX_WATCHED_DAYS * NS_PER_DAY:
        return fdsn.empty_response(request, SERVICE, values)
    watched = watch.watched(TimeSpan(start_ns, end_ns))
    detail = (
        f"Nothing matches the request; {watched:.0%} of the time asked for was searched for events."
    )
    return fdsn.empty_response(request, SERVICE, values, detail, {WATCHED: f"{watched:.4f}"})


def _listed(text: str) -> Iterator[str]:
    for part in text.split(","):
        if not part.strip():
            raise RequestProblem(400, f"{text[:60]!r} has an empty item")
        yield part.strip()


def _decoded(text: str) -> str:
    """Return a public id, however often it was percent-encoded."""
    for _ in range(3):
        text = unquote(text)
    return text


def _current_ids(space: Workspace, names: Iterable[str]) -> list[str]:
    """Return the events that ids lead to, also those of merged events and of other agencies."""
    find = space.catalog.event
    found = (find(name) or find(name.rsplit("/", 1)[-1]) for name in names)
    return sorted({event.event_id for event in found if event is not None})


def _names(outer: str, inner: str, names: list[str]) -> Response:
    items = "".join(f"<{inner}>{escape(name)}</{inner}>" for name in names)
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{outer}>{items}</{outer}>\n',
        media_type="application/xml",
    )
