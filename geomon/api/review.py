"""`/api/review/…`: what an analyst does on the page, through the same service as the commands."""

from collections.abc import Iterable
from datetime import UTC
from typing import Annotated

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from geomon.api import schemas
from geomon.api.access import Writer
from geomon.api.details import event_detail, properties
from geomon.api.signing import PROBLEMS, Asked, Sign, Signed
from geomon.config import Config
from geomon.events import Event, Phase, Polarity, ReviewState
from geomon.ids import SeedId
from geomon.services import review
from geomon.services.proposals import WantedPick, joint_picks, propose
from geomon.services.workspace import Workspace

_MOST_PICKS = 2000

type EventId = Annotated[str, Field(min_length=1, max_length=255)]
type Revision = Annotated[int, Field(ge=1, description="The revision the analyst looked at")]
type Depth = Annotated[
    float | None, Field(ge=-10, le=1000, description="Fixed depth, km below sea level")
]


class PickIn(Asked):
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


class SolveIn(Asked):
    """What to solve; nothing is changed."""

    event_id: EventId | None = None
    with_events: Annotated[tuple[EventId, ...], Field(max_length=20)] = ()
    """Further events whose picks join in where none are given."""
    picks: Picks | None = None
    depth_km: Depth = None
    with_magnitude: bool = False


class SolutionIn(Signed):
    """A solution to save: it is solved once more from the same picks."""

    revision: Revision
    picks: Picks
    depth_km: Depth = None
    state: ReviewState = "reviewed"


class CreateIn(Signed):
    """An event that was missed."""

    picks: Picks
    depth_km: Depth = None
    event_type: str = "earthquake"


class JudgementIn(Signed):
    """What an event is; what is not given stays."""

    state: ReviewState | None = None
    event_type: str | None = None


class Other(Asked):
    """An event as the analyst saw it."""

    event_id: EventId
    revision: Revision


class MergeIn(Signed):
    """Events to merge into this one."""

    revision: Revision
    others: Annotated[list[Other], Field(min_length=1, max_length=20)]


class SplitIn(Signed):
    """The picks that make an event of their own."""

    revision: Revision
    picks: Picks


class RestoreIn(Signed):
    """The revision to say again."""

    revision: Revision
    to: Revision


class Proposal(BaseModel):
    """A solution beside what is held; nothing was saved."""

    before: schemas.EventProperties | None
    after: schemas.EventDetail | None
    reason: str
    """Why there is no solution; empty when there is one."""


def review_api(space: Workspace) -> APIRouter:
    """Return the routes that judge events and solve them anew."""
    router = APIRouter(prefix="/api/review", tags=["review"], responses=PROBLEMS)
    config = space.config

    def detail(event: Event) -> schemas.EventDetail:
        return event_detail(event, space.catalog.revisions(event.event_id))

    @router.post("/solve")
    def solve(asked: SolveIn, by: Writer) -> Proposal:
        """Solve an event from picks, or several from the picks of all, and change nothing."""
        return _proposal(config, asked, by)

    @router.post("/events")
    def create(asked: CreateIn, sign: Sign) -> schemas.EventDetail:
        """Add an event that was missed."""
        wanted, what = _wanted(asked.picks), asked.event_type
        return detail(
            review.create(
                config, wanted, depth_km=asked.depth_km, event_type=what, **sign(asked)
            )
        )  # fmt: skip

    @router.post("/events/{event_id}/solution")
    def save(event_id: str, asked: SolutionIn, sign: Sign) -> schemas.EventDetail:
        """Save the solution of an analyst's picks, fixed depth or not."""
        return detail(
            review.save(
                config, event_id, asked.revision, _wanted(asked.picks),
                depth_km=asked.depth_km, state=asked.state, **sign(asked),
            )
        )  # fmt: skip

    @router.post("/events/{event_id}/judgement")
    def judge(event_id: str, asked: JudgementIn, sign: Sign) -> schemas.EventDetail:
        """Confirm or reject an event, or say of which type it is."""
        state, what = asked.state, asked.event_type
        return detail(review.judge(config, event_id, state=state, event_type=what, **sign(asked)))

    @router.post("/events/{event_id}/comment")
    def comment(event_id: str, asked: Signed, sign: Sign) -> schemas.EventDetail:
        """Add a remark to an event's history."""
        return detail(review.comment(config, event_id, **sign(asked)))

    @router.post("/events/{event_id}/merge")
    def merge(event_id: str, asked: MergeIn, sign: Sign) -> schemas.EventDetail:
        """Let an event take over others."""
        others = [(one.event_id, one.revision) for one in asked.others]
        return detail(review.merge(config, event_id, asked.revision, others, **sign(asked)))

    @router.post("/events/{event_id}/split")
    def split(event_id: str, asked: SplitIn, sign: Sign) -> list[schemas.EventDetail]:
        """Make a second event of some picks: the one that stays, and the new one."""
        wanted = _wanted(asked.picks)
        found = review.split(config, event_id, asked.revision, wanted, **sign(asked))
        return [detail(event) for event in found]

    @router.post("/events/{event_id}/undo")
    def undo(event_id: str, asked: Signed, sign: Sign) -> list[str]:
        """Take back the last thing an analyst did to an event; returns what changed."""
        return list(review.undo(config, event_id, **sign(asked)))

    @router.post("/events/{event_id}/restore")
    def restore(event_id: str, asked: RestoreIn, sign: Sign) -> schemas.EventDetail:
        """Say again what an earlier revision said."""
        return detail(review.restore(config, event_id, asked.revision, asked.to, **sign(asked)))

    return router


def _wanted(picks: Iterable[PickIn]) -> list[WantedPick]:
    return [pick.wanted() for pick in picks]


def _proposal(config: Config, asked: SolveIn, by: str) -> Proposal:
    names = ([asked.event_id] if asked.event_id else []) + [*asked.with_events]
    held = [review.current(config, event_id) for event_id in names]
    found = propose(
        config, _wanted(asked.picks) if asked.picks else joint_picks(held), actor=by,
        event=held[0] if held else None, depth_km=asked.depth_km,
        with_magnitude=asked.with_magnitude,
    )  # fmt: skip
    return Proposal(
        before=properties(held[0]) if held else None,
        after=None if found.event is None else event_detail(found.event, []),
        reason=found.reason,
    )
