"""What routes share that change something: who signs, and what bodies and answers are like."""

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from geomon.api import schemas
from geomon.api.access import Access, Writer

_PROBLEM = {"application/json": {"schema": schemas.Problem.model_json_schema()}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Impossible request", "content": _PROBLEM},
    401: {"description": "Log in first", "content": _PROBLEM},
    403: {"description": "Not allowed", "content": _PROBLEM},
    404: {"description": "No such thing", "content": _PROBLEM},
    409: {"description": "Changed by someone else since", "content": _PROBLEM},
    422: {"description": "A parameter is not as it must be", "content": _PROBLEM},
}
"""Answers of a route that changes something, for its documentation."""


class Asked(BaseModel):
    """The body of a request; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Signed(Asked):
    """Why, and who: the name counts where nobody logs in, and for programs with the token."""

    actor: Annotated[str, Field(max_length=100)] = ""
    reason: Annotated[str, Field(max_length=2000)] = ""


class Signature(TypedDict):
    """Who does something, and why, as the services take it."""

    actor: str
    reason: str


def _signing(request: Request, by: Writer) -> Callable[[Signed], Signature]:
    """Sign with who logged in; on a desk without logins with the name given, if one is."""
    access: Access = request.app.state.access
    is_person = access.can_log_in and by != "token"

    def sign(asked: Signed) -> Signature:
        actor = by if is_person else asked.actor.strip() or by
        return {"actor": actor, "reason": asked.reason}

    return sign


type Sign = Annotated[Callable[[Signed], Signature], Depends(_signing)]
"""Parameter of a route that changes something: makes the signature of a body."""
