"""`/api/review/windows`: windows that people review whole, for the exam or to learn from."""

from datetime import UTC
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from geomon.api.pages import Time, span_asked
from geomon.api.signing import PROBLEMS, Asked, Sign, Signed
from geomon.api.watch import Watch
from geomon.events import Phase
from geomon.ids import SeedId, StreamId
from geomon.services.proposals import WantedPick
from geomon.services.windows import Purpose, n_reviewed, open_windows, review_window
from geomon.services.workspace import Workspace
from geomon.times import to_ns

_MOST_ONSETS = 2000


class WindowRow(BaseModel):
    """A window that nobody reviewed yet."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    stream: str
    start: AwareDatetime
    end: AwareDatetime
    n_picks: int
    n_doubtful: int
    """Automatic picks that are near their threshold."""


class WindowQueue(BaseModel):
    """Windows to review, in the order to review them."""

    n_reviewed: int
    windows: list[WindowRow]


class Onset(Asked):
    """An onset in a window: a pick that is known, or a new one."""

    channel: Annotated[str, Field(max_length=40, description="NET.STA.LOC.CHA")]
    phase: Phase
    time: AwareDatetime


class WindowIn(Signed):
    """All the onsets there are in a window; nothing else in it is one."""

    stream: Annotated[str, Field(max_length=40, description="NET.STA.LOC.BI")]
    start: AwareDatetime
    onsets: Annotated[list[Onset], Field(max_length=_MOST_ONSETS)]


class WindowSaid(BaseModel):
    """What was noted."""

    n_onsets: int
    n_wrong: int
    is_new: bool


def windows_api(space: Workspace, watch: Watch) -> APIRouter:
    """Return the routes of windows that are reviewed whole."""
    router = APIRouter(prefix="/api/review", tags=["review"], responses=PROBLEMS)

    @router.get("/windows")
    def windows(
        purpose: Purpose,
        start: Time = None,
        end: Time = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> WindowQueue:
        """Return the windows of [start, end) that are worth a review."""
        span = span_asked(start, end, watch)
        found = open_windows(space.config, span, purpose, limit=limit)
        return WindowQueue(
            n_reviewed=n_reviewed(space.config, span, purpose),
            windows=[
                WindowRow(
                    stream=str(one.stream_id), start=one.span.start, end=one.span.end,
                    n_picks=one.n_picks, n_doubtful=one.n_doubtful,
                )
                for one in found
            ],
        )  # fmt: skip

    @router.post("/windows")
    def review(asked: WindowIn, sign: Sign) -> WindowSaid:
        """Say which onsets are in a window, and that there is no other."""
        onsets = [
            WantedPick(SeedId.parse(one.channel), one.phase, one.time.astimezone(UTC))
            for one in asked.onsets
        ]
        said = review_window(
            space.config, StreamId.parse(asked.stream), to_ns(asked.start.astimezone(UTC)), onsets,
            **sign(asked),
        )  # fmt: skip
        return WindowSaid(n_onsets=said.n_onsets, n_wrong=said.n_wrong, is_new=said.is_new)

    return router
