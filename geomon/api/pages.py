"""`/api/…`: the JSON the web page reads, open to everyone else too."""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from geomon.api import schemas
from geomon.api.details import event_detail
from geomon.api.fdsn import RequestProblem
from geomon.api.fdsn_event import MAX_EVENTS
from geomon.api.watch import Watch, share, timeline
from geomon.events import Event
from geomon.services.workspace import Workspace
from geomon.stores.exports import to_geojson
from geomon.stores.queries import OWN, EventQuery, Order
from geomon.times import NS_PER_DAY, TimeSpan, parse_time

MAX_COVERAGE_DAYS = 3660

type Time = Annotated[str | None, Query(description="ISO 8601, UTC", max_length=40)]

_ORDERS: dict[str, Order] = {
    "time": "time", "-time": "-time", "magnitude": "magnitude", "-magnitude": "-magnitude",
}  # fmt: skip
_PROBLEM = {"application/json": {"schema": schemas.Problem.model_json_schema()}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Impossible request", "content": _PROBLEM},
    404: {"description": "No such thing", "content": _PROBLEM},
    422: {"description": "A parameter is not as it must be", "content": _PROBLEM},
}


class GeoJsonResponse(JSONResponse):
    """A GeoJSON document."""

    media_type = "application/geo+json"


def json_api(space: Workspace, watch: Watch) -> APIRouter:
    """Return the routes of the JSON interface."""
    router = APIRouter(prefix="/api", tags=["json"], responses=PROBLEMS)

    @router.get("/status", response_model=schemas.Status)
    def status() -> schemas.Status:
        """Return the network at a glance."""
        return _status(space, watch)

    @router.get("/events", response_model=schemas.EventCollection, response_class=GeoJsonResponse)
    def events(
        start: Time = None,
        end: Time = None,
        bbox: Annotated[str | None, Query(description="west,south,east,north in degrees")] = None,
        min_magnitude: float | None = None,
        max_magnitude: float | None = None,
        order_by: Annotated[str, Query(pattern="^-?(time|magnitude)$")] = "-time",
        limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = 1000,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        as_of: Time = None,
        catalog: Annotated[str, Query(max_length=64)] = OWN,
    ) -> Response:
        """Return events with origin times in [start, end) as GeoJSON."""
        query = EventQuery(
            start=_time(start), end=_time(end), bbox=_box(bbox), min_magnitude=min_magnitude,
            max_magnitude=max_magnitude, order_by=_ORDERS[order_by], limit=limit, offset=offset,
            as_of=_time(as_of), catalog=catalog,
        )  # fmt: skip
        found = to_geojson(space.catalog.find(query), watch.stations().credits)
        return Response(found, media_type=GeoJsonResponse.media_type)

    @router.get("/events/{event_id}", response_model=schemas.EventDetail)
    def event(event_id: str, as_of: Time = None) -> schemas.EventDetail:
        """Return one event with arrivals, station magnitudes and its history."""
        found = event_named(space, event_id, as_of)
        return event_detail(found, space.catalog.revisions(found.event_id))

    @router.get("/stations", response_model=schemas.StationCollection)
    def stations(start: Time = None, end: Time = None) -> schemas.StationCollection:
        """Return stations as GeoJSON, with their health in [start, end)."""
        return _stations(watch, span_asked(start, end, watch))

    @router.get("/coverage", response_model=schemas.Coverage)
    def coverage(start: Time = None, end: Time = None) -> schemas.Coverage:
        """Return how much of [start, end) was archived, picked and searched for events."""
        return _coverage(watch, span_asked(start, end, watch))

    return router


def _status(space: Workspace, watch: Watch) -> schemas.Status:
    catalog, network = space.catalog, space.config.network
    events, data = catalog.span(), watch.data_span()
    region = network.region
    return schemas.Status(
        name=network.name,
        agency=network.agency,
        version=version("geomon"),
        now=datetime.now(UTC),
        region=None
        if region is None
        else schemas.Box(
            west=region.west, south=region.south, east=region.east, north=region.north
        ),
        n_events=catalog.count(EventQuery()),
        first_event=events and events.start,
        last_event=events and events.end,
        first_data=data and data.start,
        last_data=data and data.end,
        catalog_version=catalog.version(),
    )


def _stations(watch: Watch, span: TimeSpan) -> schemas.StationCollection:
    newest = watch.newest()
    end_ns = min(span.end_ns, max(newest.values(), default=span.end_ns))
    asked = TimeSpan(span.start_ns, max(span.start_ns, end_ns))
    held = watch.by_station(span)
    known = watch.stations()
    places = known.at(span.end_ns - 1)
    for channel in known.channels:  # a closed station still stands on the map of its time
        if channel.epoch.overlaps(span):
            station_id = channel.seed_id.station_id
            if station_id not in places:
                places[station_id] = known.station(station_id, channel.epoch.start_ns)
    features = []
    for station_id, place in sorted(places.items()):
        archived = held[station_id].archived if station_id in held else []
        covered = share(archived, asked)
        last = newest.get(station_id)
        features.append(
            schemas.StationFeature(
                id=str(station_id),
                geometry=schemas.Point(coordinates=(place.longitude, place.latitude)),
                properties=schemas.StationProperties(
                    id=str(station_id),
                    network=station_id.network,
                    station=station_id.station,
                    elevation_m=place.elevation_m,
                    health="good" if covered >= 0.95 else "partial" if covered > 0 else "silent",
                    coverage=round(covered, 4),
                    last_data=None if last is None else TimeSpan(last, last).start,
                ),
            )
        )
    return schemas.StationCollection(features=features)


def _coverage(watch: Watch, span: TimeSpan) -> schemas.Coverage:
    stations = watch.by_station(span)
    needed = watch.space.config.association.min_stations
    steps = timeline(stations, span)
    enough_data = [step.span for step in steps if step.n_archived >= needed]
    enough_done = [step.span for step in steps if step.n_located >= needed]
    return schemas.Coverage(
        start=span.start,
        end=span.end,
        n_stations=len(stations),
        min_stations=needed,
        archived=share(enough_data, span),
        watched=share(enough_done, span),
        timeline=[
            schemas.CoverageStep(
                start=step.span.start, end=step.span.end,
                archived=step.n_archived, located=step.n_located,
            )
            for step in steps
        ],
        stations=[
            schemas.StationCoverage(
                id=str(station_id),
                archived=round(share(held.archived, span), 4),
                picked=round(share(held.picked, span), 4),
                located=round(share(held.located, span), 4),
            )
            for station_id, held in stations.items()
        ],
    )  # fmt: skip


def event_named(space: Workspace, event_id: str, as_of: str | None = None) -> Event:
    """Return an event by any id that leads to it.

    Raises
    ------
    RequestProblem
        With status 404 if there is none.
    """
    found = space.catalog.event(event_id, _time(as_of))
    if found is None:
        raise RequestProblem(404, f"{event_id[:80]}: no such event in the catalogue")
    return found


def _time(text: str | None) -> int | None:
    return None if text is None else parse_time(text)


def span_asked(start: str | None, end: str | None, watch: Watch) -> TimeSpan:
    """Return the span asked for, by default the last day of data.

    Raises
    ------
    RequestProblem
        With status 400 if it is too long.
    """
    data = watch.data_span()
    newest_ns = data.end_ns if data else parse_time(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}")
    end_ns = newest_ns if end is None else parse_time(end)
    start_ns = end_ns - NS_PER_DAY if start is None else parse_time(start)
    span = TimeSpan(start_ns, end_ns)
    if span.end_ns - span.start_ns > MAX_COVERAGE_DAYS * NS_PER_DAY:
        raise RequestProblem(400, f"a span may be {MAX_COVERAGE_DAYS} days long at most")
    return span


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestProblem(400, f"bbox is {text[:60]!r}; write west,south,east,north") from error
    return west, south, east, north
