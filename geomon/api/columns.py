"""`/api/eventcolumns`: events for a map, column by column; a tenth of their size as GeoJSON."""

import json
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from geomon.api.pages import Time
from geomon.services.workspace import Workspace
from geomon.stores.queries import EventQuery
from geomon.times import to_ns

MAX_EVENTS = 500_000
_DECIMALS = {
    "longitude": 5, "latitude": 5, "depth_km": 2, "depth_low_km": 2, "depth_high_km": 2,
    "magnitude": 2, "ellipse_major_km": 3, "ellipse_minor_km": 3, "ellipse_azimuth_deg": 1,
}  # fmt: skip
_PLAIN = ("event_id", "n_stations")
_NAMED = ("magnitude_type", "quality", "event_type", "review_state")


class EventColumns(BaseModel):
    """Events, newest first: one list a column, all of one length; null is unknown.

    `time_ms` counts from 1970; columns of `names` hold indices into the texts given there.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    n_events: int
    time_ms: list[int]
    columns: dict[str, list[str | float | int | None]]
    names: dict[str, list[str | None]]


def columns_api(space: Workspace) -> APIRouter:
    """Return the route of events for a map."""
    router = APIRouter(prefix="/api", tags=["json"])

    @router.get("/eventcolumns", response_model=EventColumns)
    def event_columns(
        start: Time = None,
        end: Time = None,
        limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = MAX_EVENTS,
    ) -> Response:
        """Return the events with origin times in [start, end), as a map and a list need them."""
        query = EventQuery(start=start, end=end, order_by="-time", limit=limit)
        found = space.catalog.find(query).summaries
        columns: dict[str, list[object]] = {
            name: list(map(attrgetter(name), found)) for name in _PLAIN
        }
        for name, decimals in _DECIMALS.items():
            columns[name] = [
                None if value is None else round(value, decimals)
                for value in map(attrgetter(name), found)
            ]
        names: dict[str, list[str | None]] = {}
        for name in _NAMED:
            values = list(map(attrgetter(name), found))
            place = {value: index for index, value in enumerate(dict.fromkeys(values))}
            names[name], columns[name] = list(place), [place[value] for value in values]
        content = {
            "n_events": len(found),
            "time_ms": [to_ns(summary.time) // 1_000_000 for summary in found],
            "columns": columns,
            "names": names,
        }
        return Response(json.dumps(content, separators=(",", ":")), media_type="application/json")

    return router
