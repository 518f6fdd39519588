"""fdsnws-dataselect 1.1: miniSEED straight from the archive, trimmed to the sample."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from geomon.api import fdsn
from geomon.api.access import Access
from geomon.api.fdsn import NODATA, Parameter, RequestProblem, Service
from geomon.api.fdsn_routes import add_channel_query, add_descriptions, cited
from geomon.api.holdings import Holdings
from geomon.api.selection import CHANNEL_PARAMETERS, TIME_PARAMETERS, Selection
from geomon.ids import SeedId
from geomon.miniseed import encode
from geomon.services.workspace import Workspace
from geomon.times import NS_PER_DAY, TimeSpan
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
    has_auth=True,
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


def dataselect_service(space: Workspace, access: Access) -> APIRouter:
    """Return the routes of the dataselect service."""
    router = APIRouter(tags=["fdsnws-dataselect"])

    def answer(
        request: Request,
        values: Mapping[str, Any],
        selections: Sequence[Selection],
        user: str | None,
    ) -> Response:
        found = Holdings(space, access).readable(selections, user)
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

    add_channel_query(router, SERVICE, cited(space, answer), access)
    add_descriptions(router, SERVICE)
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
