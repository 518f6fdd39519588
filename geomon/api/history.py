"""`/api/review/…` to read: what analysts did, and where an event's phases should be."""

from typing import Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict

from geomon.api.signing import PROBLEMS
from geomon.events import ReviewState
from geomon.services import review
from geomon.services.proposals import predicted
from geomon.services.workspace import Workspace
from geomon.stores.amending import Amendments


class _Row(BaseModel):
    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class RevisionRow(_Row):
    """Who changed an event, how and why."""

    revision: int
    time: AwareDatetime
    review_state: ReviewState
    event_type: str
    is_withdrawn: bool
    actor: str
    reason: str
    run: str
    run_kind: str


class ActionRow(_Row):
    """One thing an analyst did."""

    time: AwareDatetime
    actor: str
    reason: str
    event_ids: list[str]
    is_latest: bool
    """Whether it can be undone: nothing it changed was changed since."""


class PredictedTime(_Row):
    """When a phase of the event should reach a station."""

    network: str
    station: str
    phase: Literal["P", "S"]
    time: AwareDatetime


def history_api(space: Workspace) -> APIRouter:
    """Return the routes of review that change nothing."""
    router = APIRouter(prefix="/api/review", tags=["review"], responses=PROBLEMS)

    @router.get("/event_types")
    def event_types() -> list[str]:
        """Return what an event may be, in QuakeML's words."""
        return list(review.EVENT_TYPES)

    @router.get("/events/{event_id}/history")
    def history(event_id: str) -> list[RevisionRow]:
        """Return who changed an event, when and why, newest first."""
        found = Amendments(space.catalog.database).history(event_id)
        return [RevisionRow.model_validate(one) for one in found]

    @router.get("/events/{event_id}/predicted")
    def predicted_times(event_id: str) -> list[PredictedTime]:
        """Return when P and S of an event should reach each station."""
        origin = review.current(space.config, event_id).preferred_origin
        return [
            PredictedTime(network=s.network, station=s.station, phase=phase, time=time)
            for (s, phase), time in predicted(space.config, origin).items()
        ]

    @router.get("/actions")
    def actions() -> list[ActionRow]:
        """Return what analysts did last, newest first."""
        found = Amendments(space.catalog.database).actions()
        return [ActionRow.model_validate(one) for one in found]

    return router
