"""A simulated network behind FDSN web services on this machine, for the demo and for tests.

Serves fdsnws-station (StationXML with responses) and fdsnws-dataselect (miniSEED 2, or 3 when asked
for) of version 1, by GET and POST, as far as fetching needs them: codes, times, a box. Like
a real centre it answers with whole records, so that a little more than the span comes, and it
knows nothing that has not arrived yet. Specification: https://www.fdsn.org/webservices/ (1.2).
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from geomon.errors import DataError
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.sources.stationxml import write_stationxml
from geomon.stations import Channel, Stations
from geomon.synthesis.network import Scenario
from geomon.times import NS_PER_S, TimeSpan, parse_time

if TYPE_CHECKING:
    from fastapi import FastAPI

_RECORD_NS = 4 * NS_PER_S  # answers start and end on multiples of this
_ALIASES = {
    "net": "network", "sta": "station", "loc": "location", "cha": "channel",
    "start": "starttime", "end": "endtime", "minlat": "minlatitude", "maxlat": "maxlatitude",
    "minlon": "minlongitude", "maxlon": "maxlongitude",
}  # fmt: skip
_COMMON = ("network", "station", "location", "channel", "starttime", "endtime", "nodata", "format")
_ALLOWED = {
    "dataselect": (*_COMMON, "quality", "minimumlength", "longestonly"),
    "station": (
        *_COMMON, "level", "minlatitude", "maxlatitude", "minlongitude", "maxlongitude",
        "includerestricted", "includeavailability",
    ),
}  # fmt: skip
_VERSION = "1.1.1"


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a selection: code patterns and a span."""

    patterns: tuple[str, str, str, str]
    span: TimeSpan

    def wants(self, seed_id: SeedId) -> bool:
        codes = (seed_id.network, seed_id.station, seed_id.location, seed_id.channel)
        return all(
            any(fnmatchcase(code, one.replace("--", "")) for one in pattern.split(","))
            for code, pattern in zip(codes, self.patterns, strict=True)
        )


def create_app(scenario: Scenario, *, clock: Callable[[], int] = time.time_ns) -> "FastAPI":
    """Make the web application.

    Parameters
    ----------
    scenario : Scenario
        What is served.
    clock : callable
        Returns the time now, nanoseconds since 1970.

    Returns
    -------
    FastAPI
        Answers below ``/fdsnws/``.
    """
    from fastapi import Body, FastAPI, Request
    from starlette.responses import Response

    app = FastAPI(title="geomon simulated data centre", docs_url=None, redoc_url=None)

    def answer(service: str, settings: dict[str, str], lines: list[list[str]]) -> Response:
        try:
            options, selection = _checked(service, settings, lines)
            if service == "dataselect":
                version: Literal[2, 3] = 3 if options.get("format") == "miniseed3" else 2
                content = _records(scenario, selection, clock(), version)
                media = "application/vnd.fdsn.mseed"
            else:
                content = _metadata(scenario, selection, options)
                media = "application/xml"
        except (DataError, ValueError) as error:
            return Response(f"Error 400: {error}\n", 400, media_type="text/plain")
        if not content:
            return Response(status_code=404 if options.get("nodata") == "404" else 204)
        return Response(content, media_type=media)

    for service in _ALLOWED:

        def get(request: Request, service: str = service) -> Response:
            return answer(service, dict(request.query_params), [])

        def post(body: bytes = Body(), service: str = service) -> Response:
            settings, lines = _parsed(body.decode("utf-8", "replace"))
            return answer(service, settings, lines)

        def wadl(service: str = service) -> Response:
            return Response(_wadl(service), media_type="application/xml")

        base = f"/fdsnws/{service}/1"
        app.add_api_route(f"{base}/query", get, methods=["GET"], response_model=None)
        app.add_api_route(f"{base}/query", post, methods=["POST"], response_model=None)
        app.add_api_route(f"{base}/application.wadl", wadl, response_model=None)
        app.add_api_route(
            f"{base}/version", lambda: Response(_VERSION, media_type="text/plain"),
            response_model=None,
        )  # fmt: skip
    return app


@contextmanager
def serving(scenario: Scenario, *, clock: Callable[[], int] = time.time_ns) -> Iterator[str]:
    """Serve a scenario on a free port of 127.0.0.1 from a thread; yield the base URL.

    The port is open when this returns, and closed, with the thread ended, on leaving.

    Parameters
    ----------
    scenario : Scenario
        What is served.
    clock : callable
        Returns the time now, nanoseconds since 1970.

    Yields
    ------
    str
        For example ``http://127.0.0.1:41234``.
    """
    import uvicorn

    settings = uvicorn.Config(
        create_app(scenario, clock=clock), log_config=None, access_log=False, ws="none",
        lifespan="off", timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="simulated data centre",
            daemon=True,
        )  # fmt: skip
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


def _parsed(body: str) -> tuple[dict[str, str], list[list[str]]]:
    """Split a POST body into its settings and its selection lines."""
    settings: dict[str, str] = {}
    lines: list[list[str]] = []
    for line in body.splitlines():
        if "=" in line:
            key, _, value = line.partition("=")
            settings[key.strip()] = value.strip()
        elif line.strip():
            lines.append(line.split())
    return settings, lines


def _checked(
    service: str, settings: Mapping[str, str], lines: list[list[str]]
) -> tuple[dict[str, str], list[_Line]]:
    """Return the settings under their full names, and the selection.

    Raises
    ------
    DataError
        If a parameter is unknown or a time is missing or impossible.
    """
    options = {_ALIASES.get(key.lower(), key.lower()): value for key, value in settings.items()}
    for key in options:
        if key not in _ALLOWED[service]:
            msg = f"{key!r} is not a parameter of {service}"
            raise DataError(msg)
    if options.get("format", "xml" if service == "station" else "miniseed").lower() not in {
        "xml", "miniseed", "miniseed3",
    }:  # fmt: skip
        msg = f"format {options['format']!r} is not served"
        raise DataError(msg)
    if not lines:
        if service == "dataselect" and not {"starttime", "endtime"} <= options.keys():
            msg = "starttime and endtime are needed"
            raise DataError(msg)
        codes = [options.get(key) or "*" for key in _COMMON[:4]]
        times = (options.get("starttime") or "1950-01-01", options.get("endtime") or "2500-01-01")
        lines = [[*codes, *times]]
    selection: list[_Line] = []
    for line in lines:
        if len(line) != 6:
            msg = f"{' '.join(line)!r}: a line is NET STA LOC CHA START END"
            raise DataError(msg)
        network, station, location, channel, start, end = line
        span = TimeSpan(parse_time(start), parse_time(end))
        selection.append(_Line((network, station, location, channel), span))
    return options, selection


def _records(
    scenario: Scenario, selection: list[_Line], now_ns: int, version: Literal[2, 3]
) -> bytes:
    """Return the records that hold the samples asked for."""
    segments = [
        segment
        for line in selection
        for seed_id in scenario.stations.seed_ids(line.span)
        if line.wants(seed_id)
        for segment in scenario.segments(seed_id, line.span.aligned(_RECORD_NS), now_ns=now_ns)
    ]
    return encode(segments, format_version=version)


def _metadata(scenario: Scenario, selection: list[_Line], options: Mapping[str, str]) -> bytes:
    """Return StationXML of the channels asked for, always with their responses."""
    west, east = float(options.get("minlongitude", -180)), float(options.get("maxlongitude", 180))
    south, north = float(options.get("minlatitude", -90)), float(options.get("maxlatitude", 90))

    def is_asked(channel: Channel) -> bool:
        inside = west <= channel.longitude <= east and south <= channel.latitude <= north
        return inside and any(
            line.wants(channel.seed_id) and line.span.overlaps(channel.epoch) for line in selection
        )

    channels = [channel for channel in scenario.stations.channels if is_asked(channel)]
    return write_stationxml(Stations.of(channels), "simulated") if channels else b""


def _wadl(service: str) -> str:
    """Return the service's description, which clients read to learn what they may ask."""
    parameters = "".join(
        f'<param name="{name}" style="query" type="xs:string"/>' for name in _ALLOWED[service]
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<application xmlns="http://wadl.dev.java.net/2009/02" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema">'
        f'<resources base="/fdsnws/{service}/1/"><resource path="query">'
        f'<method name="GET" id="query"><request>{parameters}</request></method>'
        '<method name="POST" id="postQuery"/></resource></resources></application>'
    )
