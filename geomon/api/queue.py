"""`/api/review/queue`: what the picker is least sure of, first, and what people say of it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from geomon.api import schemas
from geomon.api.details import known, properties
from geomon.api.pages import Time, span_asked
from geomon.api.signing import PROBLEMS, Sign, Signed
from geomon.api.watch import Watch
from geomon.events import Phase, Pick
from geomon.ids import SeedId
from geomon.services.windows import current_thresholds
from geomon.services.workspace import Workspace
from geomon.stores.verdicts import Judgement, Verdict, Verdicts


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class DoubtfulPick(_Answer):
    """A pick that nobody judged yet."""

    channel: str
    phase: Phase
    time: AwareDatetime
    probability: float | None
    picker: str
    event_id: str
    """The event that rests on it; empty for none."""


class ReviewQueue(_Answer):
    """Events, the least probable first; picks, the nearest to their threshold first."""

    thresholds: dict[Phase, float]
    events: list[schemas.EventProperties]
    picks: list[DoubtfulPick]


class VerdictIn(Signed):
    """What someone says of a pick: it is right, there is nothing, or it cannot be told."""

    channel: Annotated[str, Field(max_length=40)]
    phase: Phase
    time: AwareDatetime
    picker: Annotated[str, Field(max_length=160)]
    verdict: Judgement


class VerdictRow(_Answer):
    """What was said of a pick last."""

    channel: str
    phase: Phase
    time: AwareDatetime
    verdict: Judgement
    actor: str
    reason: str
    judged: AwareDatetime


def queue_api(space: Workspace, watch: Watch) -> APIRouter:
    """Return the routes of active learning."""
    router = APIRouter(prefix="/api/review", tags=["review"], responses=PROBLEMS)

    @router.get("/queue")
    def queue(
        start: Time = None,
        end: Time = None,
        kind: Literal["events", "picks", "both"] = "both",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> ReviewQueue:
        """Return what most needs a look in [start, end)."""
        span = span_asked(start, end, watch)
        verdicts = Verdicts(space.catalog.database)
        limits = current_thresholds(space.config)
        events = [] if kind == "picks" else verdicts.doubtful_events(span, limit=limit)
        picks = [] if kind == "events" else verdicts.doubtful_picks(span, limits, limit=limit)
        found = {e.event_id: e for e in space.catalog.events(event_ids=events)} if events else {}
        return ReviewQueue(
            thresholds=limits,
            events=[properties(found[event_id]) for event_id in events if event_id in found],
            picks=[
                DoubtfulPick(
                    channel=str(pick.seed_id), phase=pick.phase, time=pick.time,
                    probability=known(pick.probability), picker=pick.picker, event_id=event_id,
                )
                for pick, event_id in picks
            ],
        )  # fmt: skip

    @router.get("/verdicts")
    def verdicts(start: Time = None, end: Time = None) -> list[VerdictRow]:
        """Return what was said of the picks in [start, end)."""
        found = Verdicts(space.catalog.database).find(span_asked(start, end, watch))
        return [_verdict_row(one) for one in found]

    @router.post("/verdicts")
    def judge(asked: VerdictIn, sign: Sign) -> VerdictRow:
        """Say of a pick whether it is right."""
        pick = Pick(
            time=asked.time, seed_id=SeedId.parse(asked.channel), phase=asked.phase,
            probability=1.0, uncertainty_s=0.0, picker=asked.picker,
        )  # fmt: skip
        said = Verdicts(space.catalog.database).judge(pick, asked.verdict, **sign(asked))
        return _verdict_row(said)

    return router


def _verdict_row(one: Verdict) -> VerdictRow:
    return VerdictRow(
        channel=str(one.pick.seed_id), phase=one.pick.phase, time=one.pick.time,
        verdict=one.verdict, actor=one.actor, reason=one.reason, judged=one.judged,
    )  # fmt: skip
