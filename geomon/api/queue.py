"""`/api/review/queue`: what the picker is least sure of, first, and what people say of it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from geomon.api import schemas
from geomon.api.access import Writer
from geomon.api.details import known, properties
from geomon.api.fdsn import RequestProblem
from geomon.api.pages import Time, span_asked
from geomon.api.review import signer
from geomon.api.watch import Watch
from geomon.errors import PickerMismatch, StoreError
from geomon.events import Phase, Pick
from geomon.ids import SeedId
from geomon.picking.card import picker_folder, read_card
from geomon.services.workspace import Workspace
from geomon.stores.verdicts import Judgement, Verdicts

_THRESHOLDS: dict[Phase, float] = {"P": 0.5, "S": 0.5}


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


class VerdictIn(_Answer):
    """What someone says of a pick: that it is right, that there is nothing, or that none can tell.

    The name counts where nobody logs in, and for programs with the token.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    channel: Annotated[str, Field(max_length=40)]
    phase: Phase
    time: AwareDatetime
    picker: Annotated[str, Field(max_length=160)]
    verdict: Judgement
    actor: Annotated[str, Field(max_length=100)] = ""
    reason: Annotated[str, Field(max_length=2000)] = ""


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
    router = APIRouter(prefix="/api/review", tags=["review"])

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
        limits = _thresholds(space)
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
        return [
            VerdictRow(
                channel=str(one.pick.seed_id), phase=one.pick.phase, time=one.pick.time,
                verdict=one.verdict, actor=one.actor, reason=one.reason, judged=one.judged,
            )
            for one in found
        ]  # fmt: skip

    @router.post("/verdicts")
    def judge(asked: VerdictIn, by: Writer, request: Request) -> VerdictRow:
        """Say of a pick whether it is right.

        Raises
        ------
        RequestProblem
            With status 404 if there is no such pick.
        StoreError
            If the store is busy.
        """
        pick = Pick(
            time=asked.time, seed_id=SeedId.parse(asked.channel), phase=asked.phase,
            probability=1.0, uncertainty_s=0.0, picker=asked.picker,
        )  # fmt: skip
        try:
            one = Verdicts(space.catalog.database).judge(
                pick, asked.verdict, actor=signer(request, by, asked.actor), reason=asked.reason
            )
        except StoreError as error:
            if error.retryable:
                raise
            raise RequestProblem(404, str(error)) from error
        return VerdictRow(
            channel=asked.channel, phase=asked.phase, time=asked.time, verdict=one.verdict,
            actor=one.actor, reason=one.reason, judged=one.judged,
        )  # fmt: skip

    return router


def _thresholds(space: Workspace) -> dict[Phase, float]:
    """Return from where on a probability is a pick, by the config or else the picker's card."""
    try:
        card = read_card(picker_folder(space.config.picker.name)).thresholds
    except PickerMismatch:
        card = _THRESHOLDS
    picker = space.config.picker
    return {
        "P": card.get("P", 0.5) if picker.threshold_p is None else picker.threshold_p,
        "S": card.get("S", 0.5) if picker.threshold_s is None else picker.threshold_s,
    }
