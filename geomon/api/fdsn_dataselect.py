"""fdsnws-dataselect 1.1: miniSEED straight from the archive, trimmed to the sample."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from geomon.api import fdsn
from geomon.api.fdsn import NODATA, Parameter, RequestProblem, Service
from geomon.api.selection import (
    CHANNEL_PARAMETERS,
    TIME_PARAMETERS,
    Selection,
    read_body,
    selection_of,
)
from geomon.errors import StationMetadataError
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.services.workspace import Workspace
from geomon.stations import Stations
from geomon.times import NS_PER_DAY, TimeSpan, day_span, merged
from geomon.waveforms import Segment

MAX_CHANNEL_DAYS = 3000
"""Most channel-days of one answer; more are refused with 413."""
MEDIA_TYPE = "application/vnd.fdsn.mseed"

SERVICE = Service(
    name="dataselect",
    version="1.1.0",
    about="Archived waveforms as miniSEED.",
    media_types=(MEDIA_TYPE,),
    methods=("GET", "POST"),
    parameters=(
        *TIME_PARAMETERS,
        *CHANNEL_PARAMETERS,
        Parameter("quality", "text", "SEED quality; the archive keeps one, whatever is asked.",
                  choices=("d", "r", "q", "m", "b"), default="b"),
        Parameter("minimumlength", "float", "Shortest continuous stretch to return, seconds.", (),
                  0, 1e9, default="0"),
        Parameter("longestonly", "bool", "Only the longest continuous stretch of each channel.",
                  default="false"),
        Parameter("format", "text", "miniseed is version 2 where the codes fit; miniseed3 is an "
                  "extension.", choices=("miniseed", "miniseed3"), default="miniseed"),
        NODATA,
    ),
)  # fmt: skip


def dataselect_service(space: Workspace) -> APIRouter:
    """Return the routes of the dataselect service."""
    router = APIRouter(tags=["fdsnws-dataselect"])

    def answer(
        request: Request, values: Mapping[str, Any], selections: Sequence[Selection]
    ) -> Response:
        found, n_restricted = _channels(space, selections)
        if not found and n_restricted:
            raise RequestProblem(403, "the channels asked for are restricted")
        n_days = sum(-(-(s.end_ns - s.start_ns) // NS_PER_DAY) for s in chain(*found.values()))
        if n_days > MAX_CHANNEL_DAYS:
            raise RequestProblem(
                413, f"{n_days} channel-days match; {MAX_CHANNEL_DAYS} are allowed"
            )
        pieces = miniseed(space, found, values)
        first = next(pieces, None)
        if first is None:
            return fdsn.empty_response(request, SERVICE, values)
        return StreamingResponse(
            chain([first], pieces),
            media_type=MEDIA_TYPE,
            headers={"Content-Disposition": 'attachment; filename="fdsnws-dataselect.mseed"'},
        )

    @router.get(
        f"{SERVICE.path}/query",
        response_class=Response,
        responses=fdsn.openapi_answers(SERVICE),
        openapi_extra=fdsn.openapi_parameters(SERVICE),
    )
    def query(request: Request) -> Response:
        """Return the waveforms that match, as fdsnws-dataselect 1.1 asks."""

        def work() -> Response:
            values = fdsn.read_parameters(request.query_params.multi_items(), SERVICE.parameters)
            return answer(request, values, [selection_of(values)])

        return fdsn.answered(request, SERVICE, work)

    fdsn.add_post(
        router, SERVICE, lambda request, body: answer(request, *read_body(body, SERVICE.parameters))
    )
    fdsn.add_descriptions(router, SERVICE)
    return router


def miniseed(
    space: Workspace, wanted: Mapping[SeedId, Sequence[TimeSpan]], values: Mapping[str, Any]
) -> Iterator[bytes]:
    """Yield miniSEED a channel and day at a time, so that an answer is never held whole."""
    shortest_s = values.get("minimumlength", 0.0)
    version = 3 if values.get("format") == "miniseed3" else 2
    for seed_id, spans in wanted.items():
        for span in spans:
            stretches = space.archive.coverage(seed_id.stream_id, span).get(seed_id, [])
            stretches = [part for part in stretches if part.duration_s >= shortest_s]
            if values.get("longestonly", False):
                stretches = sorted(stretches, key=lambda part: part.duration_s)[-1:]
            for stretch in stretches:
                for part in stretch.intersection(span).steps(NS_PER_DAY):
                    segments = _segments(space, seed_id, part)
                    if segments:
                        yield encode(segments, format_version=_fitting(seed_id, version))


def _segments(space: Workspace, seed_id: SeedId, span: TimeSpan) -> list[Segment]:
    held = space.archive.read(seed_id, span.start_ns, span.end_ns)
    clipped = (segment.clipped(span) for segment in held.of(seed_id))
    return [segment for segment in clipped if segment is not None]


def _fitting(seed_id: SeedId, version: int) -> Any:  # noqa: ANN401 - Literal[2, 3]
    """Return miniSEED 3 where the codes are too long for version 2."""
    fits = len(seed_id.network) <= 2 and len(seed_id.station) <= 5 and len(seed_id.location) <= 2
    return version if fits else 3


def _channels(
    space: Workspace, selections: Sequence[Selection]
) -> tuple[dict[SeedId, list[TimeSpan]], int]:
    """Return the archived open channels and spans selected, and how many restricted ones match."""
    try:
        stations = space.stations()
    except StationMetadataError:
        stations = Stations(())
    restricted = {channel.seed_id for channel in stations.channels if channel.restricted}
    found: dict[SeedId, list[TimeSpan]] = {}
    refused: set[SeedId] = set()
    for stream in space.archive.streams():
        days = space.archive.days(stream)
        if not days:
            continue
        held = TimeSpan(day_span(days[0]).start_ns, day_span(days[-1]).end_ns)
        for selection in selections:
            span = held.intersection(selection.span)
            if span.is_empty or not _may_name(selection, stream.seed_id("Z")):
                continue
            for seed_id in space.archive.coverage(stream, span):
                if selection.names(seed_id):
                    if seed_id in restricted:
                        refused.add(seed_id)
                    else:
                        found.setdefault(seed_id, []).append(span)
    return {seed_id: merged(found[seed_id]) for seed_id in sorted(found)}, len(refused)


def _may_name(selection: Selection, seed_id: SeedId) -> bool:
    """Tell whether any channel of a sensor may be selected, before its days are read."""
    any_channel = Selection(
        selection.network, selection.station, selection.location, ("*",), selection.span
    )
    return any_channel.names(seed_id)
