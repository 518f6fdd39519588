"""fdsnws-station 1.1 over the station metadata geomon works with."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from geomon.api import fdsn
from geomon.api.extents import Held, add_extents, held_of, with_data
from geomon.api.fdsn import CIRCLE, NODATA, Parameter, RequestProblem, Service
from geomon.api.fdsn_routes import add_channel_query, add_descriptions, cited
from geomon.api.selection import CHANNEL_PARAMETERS, Selection
from geomon.ids import SeedId, StationId
from geomon.services.workspace import Workspace
from geomon.stations import FOREVER_NS, Channel, Stations
from geomon.stores.queries import Circle
from geomon.times import format_ns

SERVICE = Service(
    name="station",
    version="1.1.0",
    about="Stations, channels and instrument responses, as StationXML or text.",
    media_types=("application/xml", "text/plain"),
    methods=("GET", "POST"),
    parameters=(
        Parameter("starttime", "time", "Epochs that reach beyond this time, UTC.", ("start",)),
        Parameter("endtime", "time", "Epochs that begin before this time, UTC.", ("end",)),
        Parameter("startbefore", "time", "Epochs that start before this time, UTC."),
        Parameter("startafter", "time", "Epochs that start after this time, UTC."),
        Parameter("endbefore", "time", "Epochs that end before this time, UTC."),
        Parameter("endafter", "time", "Epochs that end after this time, UTC."),
        *CHANNEL_PARAMETERS,
        Parameter("minlatitude", "float", "Southern edge, degrees.", ("minlat",), -90, 90,
                  default="-90"),
        Parameter("maxlatitude", "float", "Northern edge, degrees.", ("maxlat",), -90, 90,
                  default="90"),
        Parameter("minlongitude", "float", "Western edge, degrees.", ("minlon",), -180, 180,
                  default="-180"),
        Parameter("maxlongitude", "float", "Eastern edge, degrees.", ("maxlon",), -180, 180,
                  default="180"),
        *CIRCLE,
        Parameter("level", "text", "How much detail.", (),
                  choices=("network", "station", "channel", "response"), default="station"),
        Parameter("includerestricted", "bool", "Also channels whose data are not open.",
                  default="true"),
        Parameter("includeavailability", "bool", "Also, in xml, from when to when the archive "
                  "holds anything of each station and channel.", default="false"),
        Parameter("matchtimeseries", "bool", "Only epochs of which the archive holds a sample "
                  "between starttime and endtime.", default="false"),
        Parameter("updatedafter", "time", "Epochs whose metadata changed after this time, UTC; "
                  "those of which it is not known when they did are among them."),
        Parameter("format", "text", "Format of the answer.", choices=("xml", "text"),
                  default="xml"),
        NODATA,
    ),
)  # fmt: skip

_HEADS = {
    "network": ("Network", "Description", "StartTime", "EndTime", "TotalStations"),
    "station": ("Network", "Station", "Latitude", "Longitude", "Elevation", "SiteName",
                "StartTime", "EndTime"),
    "channel": ("Network", "Station", "Location", "Channel", "Latitude", "Longitude", "Elevation",
                "Depth", "Azimuth", "Dip", "SensorDescription", "Scale", "ScaleFreq",
                "ScaleUnits", "SampleRate", "StartTime", "EndTime"),
}  # fmt: skip


def station_service(space: Workspace) -> APIRouter:
    """Return the routes of the station service."""
    router = APIRouter(tags=["fdsnws-station"])

    def answer(
        request: Request,
        values: Mapping[str, Any],
        selections: Sequence[Selection],
        user: str | None,
    ) -> Response:
        del user  # metadata are open
        level, wanted = values.get("level", "station"), values.get("format", "xml")
        if level == "response" and wanted == "text":
            raise RequestProblem(400, "the text format has no level response; ask for xml")
        found = chosen(space.public_stations(), values, selections)
        if "updatedafter" in values and found.channels:
            found = changed_after(found, values["updatedafter"], space.stations_changed())
        matches, shows = values.get("matchtimeseries"), values.get("includeavailability")
        held = held_of(space.archive, found) if matches or shows else {}
        if matches:
            found = with_data(found, selections, held)
        if not found.channels:
            return fdsn.empty_response(request, SERVICE, values)
        if wanted == "text":
            return PlainTextResponse("".join(text_lines(found, level)))
        content = as_xml(found, level, held if shows else {})
        return Response(content, media_type="application/xml")

    add_channel_query(router, SERVICE, cited(space, answer))
    add_descriptions(router, SERVICE)
    return router


def chosen(
    stations: Stations, values: Mapping[str, Any], selections: Sequence[Selection]
) -> Stations:
    """Return the channel epochs that meet checked parameters.

    Raises
    ------
    RequestProblem
        With status 400 if parameters contradict each other.
    """
    fdsn.check_order(values, ("minlatitude", "maxlatitude"), ("minradius", "maxradius"))
    tests = _tests(values)
    return Stations(
        tuple(
            channel
            for channel in stations.channels
            if any(
                selection.names(channel.seed_id) and channel.epoch.overlaps(selection.span)
                for selection in selections
            )
            and all(test(channel) for test in tests)
        ),
        credits=stations.credits,
    )


def changed_after(
    stations: Stations, time_ns: int, changed: Mapping[tuple[SeedId, int], int]
) -> Stations:
    """Return the epochs that changed after a time, or nobody knows when."""
    return replace(
        stations,
        channels=tuple(
            channel
            for channel in stations.channels
            if changed.get((channel.seed_id, channel.epoch.start_ns), FOREVER_NS) > time_ns
        ),
    )


def _tests(values: Mapping[str, Any]) -> list[Callable[[Channel], bool]]:
    south, north = values.get("minlatitude", -90.0), values.get("maxlatitude", 90.0)
    west, east = values.get("minlongitude", -180.0), values.get("maxlongitude", 180.0)

    def in_box(channel: Channel) -> bool:
        x = channel.longitude
        across = west <= x <= east if west <= east else x >= west or x <= east
        return bool(across and south <= channel.latitude <= north)

    tests: list[Callable[[Channel], bool]] = [in_box]
    if values.keys() & {"latitude", "longitude", "minradius", "maxradius"}:
        circle = Circle(
            values.get("latitude", 0.0), values.get("longitude", 0.0),
            values.get("maxradius", 180.0), values.get("minradius", 0.0),
        )  # fmt: skip
        tests.append(lambda channel: circle.contains(channel.latitude, channel.longitude))
    limits: dict[str, Callable[[Channel, int], bool]] = {
        "startbefore": lambda channel, time_ns: channel.epoch.start_ns < time_ns,
        "startafter": lambda channel, time_ns: channel.epoch.start_ns > time_ns,
        "endbefore": lambda channel, time_ns: channel.epoch.end_ns < time_ns,
        "endafter": lambda channel, time_ns: channel.epoch.end_ns > time_ns,
    }
    for name, holds in limits.items():
        if name in values:
            tests.append(lambda channel, holds=holds, at=values[name]: holds(channel, at))  # type: ignore[misc]
    if not values.get("includerestricted", True):
        tests.append(lambda channel: not channel.restricted)
    return tests


def text_lines(stations: Stations, level: str) -> Iterable[str]:
    """Yield the text format of a level, a line at a time."""
    yield f"#{'|'.join(_HEADS[level])}\n"
    rows = {"network": _network_rows, "station": _station_rows, "channel": _channel_rows}[level]
    for row in rows(stations):
        yield f"{'|'.join(row)}\n"


def _network_rows(stations: Stations) -> Iterable[tuple[str, ...]]:
    names = {credit.network: credit.name.replace("|", " ") for credit in stations.credits}
    for code, group in groupby(stations.channels, key=lambda channel: channel.seed_id.network):
        of_network = list(group)
        n_stations = len({channel.seed_id.station for channel in of_network})
        yield (code, names.get(code, ""), *_epoch(of_network), str(n_stations))


def _station_rows(stations: Stations) -> Iterable[tuple[str, ...]]:
    def station_of(channel: Channel) -> StationId:
        return channel.seed_id.station_id

    for station_id, group in groupby(stations.channels, key=station_of):
        of_station = list(group)
        first = of_station[0]
        yield (
            station_id.network, station_id.station, f"{first.latitude:.6f}",
            f"{first.longitude:.6f}", f"{first.elevation_m:.1f}", station_id.station,
            *_epoch(of_station),
        )  # fmt: skip


def _channel_rows(stations: Stations) -> Iterable[tuple[str, ...]]:
    for channel in stations.channels:
        response = channel.response
        scale = (
            ("", "", "")
            if response is None
            else (
                _number(response.sensitivity),
                _number(response.frequency_hz),
                response.input_unit,
            )
        )
        yield (
            channel.seed_id.network, channel.seed_id.station, channel.seed_id.location,
            channel.seed_id.channel, f"{channel.latitude:.6f}", f"{channel.longitude:.6f}",
            f"{channel.elevation_m:.1f}", f"{channel.depth_m:.1f}", _number(channel.azimuth_deg),
            _number(channel.dip_deg), "", *scale, _number(channel.sampling_rate_hz),
            *_epoch([channel]),
        )  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.10g}"


def _epoch(channels: Sequence[Channel]) -> tuple[str, str]:
    start_ns = min(channel.epoch.start_ns for channel in channels)
    end_ns = max(channel.epoch.end_ns for channel in channels)
    end = "" if end_ns >= FOREVER_NS else format_ns(end_ns).removesuffix("Z")
    return format_ns(start_ns).removesuffix("Z"), end


def as_xml(stations: Stations, level: str, held: Held) -> bytes:
    """Write StationXML with no more detail than `level`, and the extents of what is `held`.

    At level channel the overall sensitivity stays, as data centres have it.
    """
    from lxml import etree

    from geomon.sources.stationxml import write_stationxml

    root = etree.fromstring(write_stationxml(stations))
    add_extents(root, stations, held)
    ns = {"s": "http://www.fdsn.org/xml/station/1"}
    unwanted = {
        "network": "s:Network/s:Station",
        "station": "s:Network/s:Station/s:Channel",
        "channel": "s:Network/s:Station/s:Channel/s:Response/s:Stage",
    }.get(level)
    for element in root.iterfind(unwanted, ns) if unwanted else ():
        element.getparent().remove(element)
    for created in root.iterfind("s:Created", ns):
        created.text = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
