"""`/api/stations/…` and `/api/coverage/grid`: how stations do, in detail and at a glance."""

from collections import Counter
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict

from geomon.api.envelopes import Envelope, envelopes, warmed
from geomon.api.fdsn import RequestProblem
from geomon.api.pages import Time, span_asked
from geomon.api.sections import open_channels
from geomon.api.watch import Watch
from geomon.errors import DataError
from geomon.events import Phase
from geomon.ids import StationId, StreamId
from geomon.services import grid as backfill
from geomon.services.grid import Stage
from geomon.services.shares import shares
from geomon.services.workspace import Workspace
from geomon.stations import FOREVER_NS
from geomon.stores.residuals import residuals
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, day_span, to_ns

MAX_GRID_STEPS = 4000
MAX_DAYS = 366
MAX_RESIDUALS = 20_000
FULL_SCALE = 1000
"""What the largest amplitude of a drum is written as."""
_STEPS_S = {"minutes": 300, "hour": 3600, "day": 86_400}
type Step = Literal["minutes", "hour", "day", "auto"]

_NOISE_SHARE = 12.0  # a line holds so many times the typical amplitude at most
_CLIPPED_SHARE = (
    0.002  # of a day's steps that a drum may clip, so that one event hides not the rest
)


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Sensor(_Answer):
    """The channels of one sensor, and what the archive holds of it."""

    stream: str
    components: list[str]
    sampling_rate_hz: float | None
    start: AwareDatetime
    end: AwareDatetime | None
    """Null while it runs."""
    first_day: date | None
    """First day archived."""
    last_day: date | None
    restricted: bool


class StationDetail(_Answer):
    """One station: where it stands, and its sensors, the preferred ones first."""

    id: str
    latitude: float
    longitude: float
    elevation_m: float
    last_data: AwareDatetime | None
    sensors: list[Sensor]


class PickRate(_Answer):
    """How many picks there were in steps of equal length."""

    start: AwareDatetime
    step_s: int
    p: list[int]
    s: list[int]


class ResidualRow(_Answer):
    """How one pick fitted its event; positive is late."""

    event_id: str
    phase: Phase
    time: AwareDatetime
    residual_s: float
    distance_km: float | None


class Activity(_Answer):
    """What one station saw: picks, and how they fitted."""

    rate: PickRate
    residuals: list[ResidualRow]


class DrumLine(_Answer):
    """Smallest and largest value in equal steps of one line; null without data."""

    low: list[int | None]
    high: list[int | None]


class Drum(_Answer):
    """A day of one channel, a line an hour; `FULL_SCALE` is 1000."""

    channel: str
    components: list[str]
    day: date
    highpass_hz: float
    line_s: int
    peak: float
    """What 1000 stands for, in counts; larger ones are cut off."""
    lines: list[DrumLine]


class GridRow(_Answer):
    """Percent of each step that one station went through the stages."""

    id: str
    archived: list[int]
    picked: list[int]
    located: list[int]


class Grid(_Answer):
    """Coverage of every station in steps of equal length."""

    start: AwareDatetime
    step_s: int
    n_steps: int
    rows: list[GridRow]


class GridLine(_Answer):
    """The days of one stream, or of the network, in one stage: a sign each."""

    key: str
    stage: Stage
    states: str


class Failures(_Answer):
    """How many stream-days failed for one reason, and one of its messages."""

    stage: Stage
    count: int
    message: str


class AtWork(_Answer):
    """A unit of a backfill that somebody is at work on."""

    key: str
    start: AwareDatetime
    end: AwareDatetime


class BackfillGrid(_Answer):
    """What is done, missing, stale or failed, day by day."""

    days: list[date]
    signs: dict[str, str]
    """Which state a sign stands for."""
    rows: list[GridLine]
    failures: list[Failures]
    at_work: list[AtWork]


def station_api(space: Workspace, watch: Watch) -> APIRouter:
    """Return the routes about stations."""
    router = APIRouter(prefix="/api", tags=["json"])

    @router.get("/coverage/grid")
    def grid(start: Time = None, end: Time = None, step: Step = "auto") -> Grid:
        """Return how much of every station's hours or days went through each stage.

        Raises
        ------
        RequestProblem
            With status 413 if that would be too many steps.
        """
        span = span_asked(start, end, watch)
        chosen = step if step != "auto" else _fitting(span)
        step_ns = _STEPS_S[chosen] * NS_PER_S
        whole = span.aligned(step_ns)
        n_steps = (whole.end_ns - whole.start_ns) // step_ns
        if n_steps > MAX_GRID_STEPS:
            raise RequestProblem(413, f"that is more than {MAX_GRID_STEPS} steps; ask for less")
        return Grid(
            start=whole.start,
            step_s=_STEPS_S[chosen],
            n_steps=n_steps,
            rows=[
                GridRow(
                    id=str(row.station_id), archived=row.archived.tolist(),
                    picked=row.picked.tolist(), located=row.located.tolist(),
                )
                for row in shares(space.config, span, step_ns)
            ],
        )  # fmt: skip

    @router.get("/backfill/grid")
    def backfill_grid(start: Time = None, end: Time = None) -> BackfillGrid:
        """Return what is done, missing, stale or failed for every stream, day and stage."""
        span = span_asked(start, end, watch)
        cells = backfill.status(space.config, span, inventory=watch.stations())
        found = backfill.document(cells, backfill.at_work(space.config, span))
        return BackfillGrid.model_validate(found)

    @router.get("/stations/{station}")
    def station(station: str) -> StationDetail:
        """Return one station with its sensors."""
        return _detail(space, watch, _station(watch, station))

    @router.get("/stations/{station}/activity")
    def activity(station: str, start: Time = None, end: Time = None) -> Activity:
        """Return the station's pick rate, and the residuals of its arrivals."""
        return _activity(space, _station(watch, station), span_asked(start, end, watch))

    @router.get("/stations/{station}/drum")
    def drum(
        station: str,
        day: date | None = None,
        component: Annotated[str, Query(pattern="^[A-Z0-9]$")] = "Z",
        stream: Annotated[str | None, Query(max_length=40)] = None,
        bins: Annotated[int, Query(ge=50, le=4000)] = 1200,
        highpass_hz: Annotated[float, Query(ge=0, le=50)] = 1.0,
    ) -> Drum:
        """Return a day of one channel as the lines of a drum recorder, by default the newest."""
        station_id = _station(watch, station)
        chosen = _stream(space, watch, station_id, stream)
        return _drum(space, watch, chosen, day, component, bins, highpass_hz)

    return router


def _fitting(span: TimeSpan) -> str:
    """Return the step that shows a span well."""
    if span.duration_s <= 6 * 3600:
        return "minutes"
    return "hour" if span.duration_s <= 10 * 86_400 else "day"


def _station(watch: Watch, text: str) -> StationId:
    """Return a station that the metadata or the archive know.

    Raises
    ------
    RequestProblem
        With status 404 if there is none.
    """
    try:
        station_id = StationId.parse(text)
    except DataError as error:
        raise RequestProblem(400, str(error)) from error
    if station_id not in watch.stations().station_ids():
        raise RequestProblem(404, f"{text[:40]}: no such station")
    return station_id


def _detail(space: Workspace, watch: Watch, station_id: StationId) -> StationDetail:
    known, archived = watch.stations(), set(space.archive.streams())
    channels = [c for c in known.channels if c.seed_id.station_id == station_id]
    newest = max(channels, key=lambda channel: channel.epoch.end_ns)
    sensors = []
    for stream in _sensors(space, watch, station_id):
        own = [c for c in channels if c.seed_id.stream_id == stream]
        days = space.archive.days(stream) if stream in archived else []
        end_ns = max(c.epoch.end_ns for c in own)
        sensors.append(
            Sensor(
                stream=str(stream),
                components=sorted({c.seed_id.component for c in own}),
                sampling_rate_hz=own[-1].sampling_rate_hz,
                start=min(c.epoch for c in own).start,
                end=None if end_ns >= FOREVER_NS else TimeSpan(end_ns, end_ns).start,
                first_day=days[0] if days else None,
                last_day=days[-1] if days else None,
                restricted=any(c.restricted for c in own),
            )
        )
    last = watch.newest().get(station_id)
    return StationDetail(
        id=str(station_id),
        latitude=newest.latitude,
        longitude=newest.longitude,
        elevation_m=newest.elevation_m,
        last_data=None if last is None else TimeSpan(last, last).start,
        sensors=sensors,
    )


def _sensors(space: Workspace, watch: Watch, station_id: StationId) -> list[StreamId]:
    """Return a station's sensors: archived ones first, then as the network prefers them."""
    archived, order = set(space.archive.streams()), space.config.network.channels
    known = {c.seed_id.stream_id for c in watch.stations().channels}
    own = sorted(s for s in known if s.station_id == station_id)
    return sorted(
        own,
        key=lambda s: (
            s not in archived,
            order.index(s.band_instrument) if s.band_instrument in order else len(order),
        ),
    )


def _stream(space: Workspace, watch: Watch, station_id: StationId, text: str | None) -> StreamId:
    """Return the sensor asked for, by default the preferred one that is archived.

    Raises
    ------
    RequestProblem
        With status 404 if the station has no such sensor.
    """
    sensors = _sensors(space, watch, station_id)
    if text is None:
        return sensors[0]
    found = [stream for stream in sensors if str(stream) == text]
    if not found:
        raise RequestProblem(404, f"{text[:40]}: no such sensor at {station_id}")
    return found[0]


def _activity(space: Workspace, station_id: StationId, span: TimeSpan) -> Activity:
    """Count picks in hours, for longer spans in days.

    Raises
    ------
    RequestProblem
        With status 400 if the span is too long.
    """
    if span.end_ns - span.start_ns > MAX_DAYS * NS_PER_DAY:
        raise RequestProblem(400, f"a span may be {MAX_DAYS} days long at most")
    step_s = _STEPS_S[_fitting(span)]
    step_ns = step_s * NS_PER_S
    whole = span.aligned(step_ns)
    counts: Counter[tuple[str, int]] = Counter()
    for pick in space.catalog.picks(whole, stations=(str(station_id),)):
        counts[pick.phase, (to_ns(pick.time) - whole.start_ns) // step_ns] += 1
    n_steps = (whole.end_ns - whole.start_ns) // step_ns
    found = residuals(space.catalog.database, station_id, span, limit=MAX_RESIDUALS)
    return Activity(
        rate=PickRate(
            start=whole.start,
            step_s=step_s,
            p=[counts["P", step] for step in range(n_steps)],
            s=[counts["S", step] for step in range(n_steps)],
        ),
        residuals=[
            ResidualRow(
                event_id=one.event_id, phase=one.phase, time=one.time,
                residual_s=round(one.residual_s, 4), distance_km=one.distance_km,
            )
            for one in found
        ],
    )  # fmt: skip


def _drum(
    space: Workspace,
    watch: Watch,
    stream: StreamId,
    day: date | None,
    component: str,
    n_bins: int,
    highpass_hz: float,
) -> Drum:
    archived = stream in space.archive.streams()
    days = space.archive.days(stream) if archived else []
    shown = day or (days[-1] if days else datetime.now(UTC).date())
    span = day_span(shown)
    found: list[Envelope] = []
    components: list[str] = []
    seed_id = stream.seed_id(component)
    if archived:
        held = space.archive.read_stream(stream, warmed(span))
        allowed = open_channels(held.seed_ids, watch.stations(), span.start_ns)
        components = sorted({one.component for one in allowed}, key="ZNE12".find)
        if allowed and seed_id not in allowed:
            seed_id = stream.seed_id(components[0])
        if seed_id in allowed:
            segments = held.of(seed_id)
            found = list(envelopes(segments, span, 24 * n_bins, highpass_hz=highpass_hz))
    low, high = _binned(found, span, 24 * n_bins)
    peak = _scale(low, high)
    lines = [
        DrumLine(low=_written(low[part], peak), high=_written(high[part], peak))
        for part in (slice(hour * n_bins, (hour + 1) * n_bins) for hour in range(24))
    ]
    return Drum(
        channel=str(seed_id), components=components, day=shown, highpass_hz=highpass_hz,
        line_s=3600, peak=peak, lines=lines,
    )  # fmt: skip


type _Floats = NDArray[np.float64]


def _binned(found: list[Envelope], span: TimeSpan, n_bins: int) -> tuple[_Floats, _Floats]:
    """Put envelopes, whose steps begin anywhere, into equal bins of a span; NaN without data."""
    low, high = np.full(n_bins, np.inf), np.full(n_bins, -np.inf)
    for one in found:
        offset_s = (one.start_ns - span.start_ns) / NS_PER_S
        middle_s = offset_s + (np.arange(one.minimum.size) + 0.5) * one.step_s
        place = np.clip((middle_s / span.duration_s * n_bins).astype(int), 0, n_bins - 1)
        np.minimum.at(low, place, one.minimum)
        np.maximum.at(high, place, one.maximum)
    empty = low > high
    # Steps are whole samples and so may skip a bin: one empty bin between full ones is no gap.
    alone = empty[1:-1] & ~empty[:-2] & ~empty[2:]
    [skipped] = np.nonzero(alone)
    low[skipped + 1], high[skipped + 1] = low[skipped], high[skipped]
    empty = low > high
    low[empty] = high[empty] = np.nan
    return low, high


def _scale(low: _Floats, high: _Floats) -> float:
    """Return the amplitude that fills a line: noise is seen, and few steps are cut off."""
    size = np.fmax(-low, high)
    size = size[np.isfinite(size)]
    if not size.size:
        return 0.0
    largest, typical = np.quantile(size, [1 - _CLIPPED_SHARE, 0.5])
    return float(min(largest, _NOISE_SHARE * typical) or largest)


def _written(values: _Floats, peak: float) -> list[int | None]:
    scaled = np.clip(np.round(FULL_SCALE * values / (peak or 1.0)), -9999, 9999)
    return [None if np.isnan(value) else int(value) for value in scaled]
