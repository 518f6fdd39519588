"""`/api/waveforms` and `/api/quality`: what was recorded, drawn, and how good it is."""

from typing import Annotated

from fastapi import APIRouter, Query

from geomon.api import schemas
from geomon.api.fdsn import RequestProblem
from geomon.api.pages import PROBLEMS, Time, event_named, span_asked
from geomon.api.quality import noise, quality_rows
from geomon.api.sections import channel_records, event_records, network_records
from geomon.api.watch import Watch
from geomon.ids import SeedId
from geomon.services.workspace import Workspace
from geomon.times import NS_PER_DAY, TimeSpan

MAX_SECTION_S = 1800

type Bins = Annotated[int, Query(ge=50, le=8000, description="Steps the span is divided into")]


def records_api(space: Workspace, watch: Watch) -> APIRouter:
    """Return the routes of waveforms and their quality."""
    router = APIRouter(prefix="/api", tags=["json"], responses=PROBLEMS)

    @router.get("/waveforms", response_model=schemas.Records)
    def waveforms(
        event_id: Annotated[str | None, Query(max_length=255)] = None,
        channel: Annotated[str | None, Query(description="NET.STA.LOC.CHA")] = None,
        start: Time = None,
        end: Time = None,
        component: Annotated[str, Query(pattern="^[A-Z0-9]$")] = "Z",
        bins: Bins = 800,
        highpass_hz: Annotated[float, Query(ge=0, le=50)] = 1.0,
    ) -> schemas.Records:
        """Return waveforms for plotting: of an event by distance, of one channel, or of all.

        An event is named by its id; otherwise a span is, and a channel, without which every station
        is shown.

        Raises
        ------
        RequestProblem
            With status 400 if neither is named, or the span is too long.
        """
        if event_id is not None:
            found = event_named(space, event_id)
            return event_records(space, watch.stations(), found, component, bins, highpass_hz)
        if channel is None and start is not None and end is not None:
            span = span_asked(start, end, watch)
            if span.duration_s > MAX_SECTION_S:
                raise RequestProblem(400, f"all stations are shown for {MAX_SECTION_S} s at most")
            return network_records(space, watch.stations(), span, component, bins, highpass_hz)
        seed_id, span = _channel_span(channel, start, end)
        return channel_records(space, watch.stations(), seed_id, span, bins, highpass_hz)

    @router.get("/quality", response_model=schemas.Qualities)
    def quality(
        start: Time = None,
        end: Time = None,
        stations: Annotated[str | None, Query(description="NET.STA,…", max_length=2000)] = None,
    ) -> schemas.Qualities:
        """Return how good the record of every channel and day that touches [start, end) is."""
        return quality_rows(space, span_asked(start, end, watch), stations)

    @router.get("/quality/psd", response_model=schemas.Noise)
    def quality_psd(
        stream: Annotated[str, Query(description="NET.STA.LOC.BI", max_length=40)],
        component: Annotated[str, Query(pattern="^[A-Z0-9]$")] = "Z",
        start: Time = None,
        end: Time = None,
    ) -> schemas.Noise:
        """Return the noise of one channel in [start, end), and the global noise models."""
        return noise(space, stream, component, span_asked(start, end, watch))

    return router


def _channel_span(
    channel: str | None, start: str | None, end: str | None
) -> tuple[SeedId, TimeSpan]:
    """Return which channel to draw, and when.

    Raises
    ------
    RequestProblem
        With status 400 if that is not said, or the span is too long.
    """
    if channel is None or start is None or end is None:
        raise RequestProblem(400, "give event_id, or start and end, with a channel or without")
    span = TimeSpan.parse(start, end)
    if span.end_ns - span.start_ns > 2 * NS_PER_DAY:
        raise RequestProblem(400, "a span of one channel may be two days long at most")
    return SeedId.parse(channel), span
