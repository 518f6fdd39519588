"""`/api/review/…`: what an analyst does on the page, through the same service as the commands."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from geomon.api import schemas
from geomon.api.access import Access, Writer
from geomon.api.details import event_detail, properties
from geomon.api.fdsn import RequestProblem
from geomon.errors import StoreError
from geomon.events import Event, Phase, Polarity, ReviewState
from geomon.ids import SeedId
from geomon.services import review
from geomon.services.proposals import WantedPick, joint_picks, predicted, propose
from geomon.services.workspace import Workspace
from geomon.stores.amending import Amendments, Outdated

_PROBLEM = {"application/json": {"schema": schemas.Problem.model_json_schema()}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Impossible request", "content": _PROBLEM},
    401: {"description": "Log in first", "content": _PROBLEM},
    403: {"description": "Not allowed", "content": _PROBLEM},
    404: {"description": "No such event", "content": _PROBLEM},
    409: {"description": "Changed by someone else since", "content": _PROBLEM},
    422: {"description": "A parameter is not as it must be", "content": _PROBLEM},
}
_MOST_PICKS = 2000

type EventId = Annotated[str, Field(min_length=1, max_length=255)]
type Revision = Annotated[int, Field(ge=1, description="The revision the analyst looked at")]
type Depth = Annotated[
    float | None, Field(ge=-10, le=1000, description="Fixed depth, km below sea level")
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Signed(_Asked):
    """Why, and who: the name counts where nobody logs in, and for programs with the token."""

    actor: Annotated[str, Field(max_length=100)] = ""
    reason: Annotated[str, Field(max_length=2000)] = ""


class PickIn(_Asked):
    """A pick an event is to rest on: one that is known, or a new one."""

    channel: Annotated[str, Field(max_length=40, description="NET.STA.LOC.CHA")]
    phase: Phase
    time: AwareDatetime
    uncertainty_s: Annotated[float | None, Field(gt=0, le=60)] = None
    polarity: Polarity = "undecidable"

    def wanted(self) -> WantedPick:
        """Return it as the service takes it."""
        return WantedPick(
            SeedId.parse(self.channel), self.phase, self.time.astimezone(UTC),
            self.uncertainty_s, self.polarity,
        )  # fmt: skip


type Picks = Annotated[list[PickIn], Field(max_length=_MOST_PICKS)]


class SolveIn(_Asked):
    """What to solve; nothing is changed."""

    event_id: EventId | None = None
    with_events: Annotated[list[EventId], Field(max_length=20)] = []
    """Further events whose picks join in where none are given."""
    picks: Picks | None = None
    depth_km: Depth = None
    with_magnitude: bool = False


class SolutionIn(_Signed):
    """A solution to save: it is solved once more from the same picks."""

    revision: Revision
    picks: Picks
    depth_km: Depth = None
    state: ReviewState = "reviewed"


class CreateIn(_Signed):
    """An event that was missed."""

    picks: Picks
    depth_km: Depth = None
    event_type: str = "earthquake"


class JudgementIn(_Signed):
    """What an event is; what is not given stays."""

    state: ReviewState | None = None
    event_type: str | None = None


class Other(_Asked):
    """An event as the analyst saw it."""

    event_id: EventId
    revision: Revision


class MergeIn(_Signed):
    """Events to merge into this one."""

    revision: Revision
    others: Annotated[list[Other], Field(min_length=1, max_length=20)]


class SplitIn(_Signed):
    """The picks that make an event of their own."""

    revision: Revision
    picks: Picks


class RestoreIn(_Signed):
    """The revision to say again."""

    revision: Revision
    to: Revision


class Proposal(BaseModel):
    """A solution beside what is held; nothing was saved."""

    before: schemas.EventProperties | None
    after: schemas.EventDetail | None
    reason: str
    """Why there is no solution; empty when there is one."""


class RevisionRow(BaseModel):
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


class ActionRow(BaseModel):
    """One thing an analyst did."""

    time: AwareDatetime
    actor: str
    reason: str
    event_ids: list[str]
    is_latest: bool
    """Whether it can be undone: nothing it changed was changed since."""


class PredictedTime(BaseModel):
    """When a phase of the event should reach a station."""

    network: str
    station: str
    phase: Literal["P", "S"]
    time: AwareDatetime


def review_api(space: Workspace) -> APIRouter:
    """Return the routes of review."""
    router = APIRouter(prefix="/api/review", tags=["review"], responses=_PROBLEMS)
    config = space.config

    def detail(event: Event) -> schemas.EventDetail:
        return event_detail(event, space.catalog.revisions(event.event_id))

    @router.get("/event_types")
    def event_types() -> list[str]:
        """Return what an event may be, in QuakeML's words."""
        return list(review.EVENT_TYPES)

    @router.post("/solve")
    def solve(asked: SolveIn, by: Writer) -> Proposal:
        """Solve an event from picks, or several from the picks of all, and change nothing."""

        def work() -> Proposal:
            held = [
                review.current(config, event_id)
                for event_id in ([asked.event_id] if asked.event_id else []) + asked.with_events
            ]
            picks = [one.wanted() for one in asked.picks] if asked.picks else joint_picks(held)
            found = propose(
                config, picks, actor=by, event=held[0] if held else None,
                depth_km=asked.depth_km, with_magnitude=asked.with_magnitude,
            )  # fmt: skip
            return Proposal(
                before=properties(held[0]) if held else None,
                after=None if found.event is None else event_detail(found.event, []),
                reason=found.reason,
            )

        return _answer(work)

    @router.post("/events")
    def create(asked: CreateIn, by: Writer, request: Request) -> schemas.EventDetail:
        """Add an event that was missed."""
        who = signer(request, by, asked.actor)
        picks = [one.wanted() for one in asked.picks]
        return _answer(
            lambda: detail(
                review.create(
                    config, picks, actor=who, reason=asked.reason,
                    depth_km=asked.depth_km, event_type=asked.event_type,
                )
            )
        )  # fmt: skip

    @router.post("/events/{event_id}/solution")
    def save(event_id: str, asked: SolutionIn, by: Writer, request: Request) -> schemas.EventDetail:
        """Save the solution of an analyst's picks, fixed depth or not."""
        who = signer(request, by, asked.actor)
        picks = [one.wanted() for one in asked.picks]
        return _answer(
            lambda: detail(
                review.save(
                    config, event_id, asked.revision, picks, actor=who,
                    reason=asked.reason, depth_km=asked.depth_km, state=asked.state,
                )
            )
        )  # fmt: skip

    @router.post("/events/{event_id}/judgement")
    def judge(
        event_id: str, asked: JudgementIn, by: Writer, request: Request
    ) -> schemas.EventDetail:
        """Confirm or reject an event, or say of which type it is."""
        who = signer(request, by, asked.actor)
        return _answer(
            lambda: detail(
                review.judge(
                    config, event_id, actor=who, state=asked.state,
                    event_type=asked.event_type, reason=asked.reason,
                )
            )
        )  # fmt: skip

    @router.post("/events/{event_id}/comment")
    def comment(event_id: str, asked: _Signed, by: Writer, request: Request) -> schemas.EventDetail:
        """Add a remark to an event's history."""
        who = signer(request, by, asked.actor)
        return _answer(
            lambda: detail(review.comment(config, event_id, actor=who, reason=asked.reason))
        )

    @router.post("/events/{event_id}/merge")
    def merge(event_id: str, asked: MergeIn, by: Writer, request: Request) -> schemas.EventDetail:
        """Let an event take over others."""
        who = signer(request, by, asked.actor)
        others = [(one.event_id, one.revision) for one in asked.others]
        return _answer(
            lambda: detail(
                review.merge(
                    config, event_id, asked.revision, others, actor=who,
                    reason=asked.reason,
                )
            )
        )  # fmt: skip

    @router.post("/events/{event_id}/split")
    def split(
        event_id: str, asked: SplitIn, by: Writer, request: Request
    ) -> list[schemas.EventDetail]:
        """Make a second event of some picks: the one that stays, and the new one."""
        who = signer(request, by, asked.actor)
        picks = [one.wanted() for one in asked.picks]
        return _answer(
            lambda: [
                detail(event)
                for event in review.split(
                    config, event_id, asked.revision, picks, actor=who,
                    reason=asked.reason,
                )
            ]
        )  # fmt: skip

    @router.post("/events/{event_id}/undo")
    def undo(event_id: str, asked: _Signed, by: Writer, request: Request) -> list[str]:
        """Take back the last thing an analyst did to an event; returns what changed."""
        who = signer(request, by, asked.actor)
        return _answer(lambda: list(review.undo(config, event_id, actor=who, reason=asked.reason)))

    @router.post("/events/{event_id}/restore")
    def restore(
        event_id: str, asked: RestoreIn, by: Writer, request: Request
    ) -> schemas.EventDetail:
        """Say again what an earlier revision said."""
        who = signer(request, by, asked.actor)
        return _answer(
            lambda: detail(
                review.restore(
                    config, event_id, asked.revision, asked.to, actor=who,
                    reason=asked.reason,
                )
            )
        )  # fmt: skip

    @router.get("/events/{event_id}/history")
    def history(event_id: str) -> list[RevisionRow]:
        """Return who changed an event, when and why, newest first."""
        return [
            RevisionRow.model_validate(
                {name: value for name, value in asdict(one).items() if name != "event_id"}
            )
            for one in Amendments(space.catalog.database).history(event_id)
        ]

    @router.get("/events/{event_id}/predicted")
    def predicted_times(event_id: str) -> list[PredictedTime]:
        """Return when P and S of an event should reach each station."""
        found = _answer(
            lambda: predicted(config, review.current(config, event_id).preferred_origin)
        )
        return [
            PredictedTime(network=s.network, station=s.station, phase=phase, time=time)
            for (s, phase), time in found.items()
        ]

    @router.get("/actions")
    def actions() -> list[ActionRow]:
        """Return what analysts did last, newest first."""
        return [
            ActionRow.model_validate(
                {name: value for name, value in asdict(one).items() if name != "run"}
            )
            for one in Amendments(space.catalog.database).actions()
        ]

    return router


def signer(request: Request, by: str, named: str) -> str:
    """Return who signs: the one logged in; on a desk without logins the name given, if one is."""
    access: Access = request.app.state.access
    is_person = access.can_log_in and by != "token"
    return by if is_person else named.strip() or by


def _answer[T](work: Callable[[], T]) -> T:
    """Do what is asked; say as the web does why it cannot be done.

    Raises
    ------
    RequestProblem
        With status 409 if the event was changed meanwhile, 404 if there is none.
    StoreError
        If the store is busy.
    """
    try:
        return work()
    except Outdated as error:
        raise RequestProblem(409, str(error)) from error
    except StoreError as error:
        if error.retryable:
            raise
        raise RequestProblem(404, str(error)) from error
