"""`/api/events/stream`: what becomes of events, told as it happens (server-sent events).

Messages named ``event`` carry a `schemas.EventNews`; the id of a message is the catalogue's clock,
the ``catalog_version`` of ``/api/status``. A browser that lost the connection sends the last id it
got and is told what it missed. Changes of one transaction share an instant: only the last of them
carries it, so that none is skipped by whoever is cut off in between; being told twice does no harm.
A message named ``reset`` says that too much was missed: ask for the list again.

The catalogue's clock is read, not a queue in memory: whatever process writes is heard.
"""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from geomon.api import schemas
from geomon.api.fdsn import RequestProblem
from geomon.errors import GeomonError
from geomon.services.workspace import Workspace
from geomon.stores.changes import EventChange
from geomon.stores.exports import feature
from geomon.stores.queries import OWN

logger = logging.getLogger(__name__)

MAX_STREAMS = 500
MAX_MISSED = 5000
"""More events than this are not told one by one."""
POLL_S = 1.0
_RETRY_MS = 3000
_WAIT_S = 5.0

type Clock = Annotated[str | None, Query(pattern="^[0-9a-f]{1,16}$")]
type LastId = Annotated[str | None, Header(alias="Last-Event-ID", pattern="^[0-9a-f]{1,16}$")]


def live_api(pulse: "Pulse") -> APIRouter:
    """Return the route of the stream of events."""
    router = APIRouter(prefix="/api", tags=["json"])

    async def begin(since: Clock = None, last_id: LastId = None) -> AsyncIterator[int]:
        """Give a stream its place, and the instant from which on it tells."""
        with pulse.place():
            text = last_id or since
            yield int(text, 16) if text else await pulse.clock_ns()

    @router.get("/events/stream", response_class=EventSourceResponse)
    async def stream(
        begin_ns: Annotated[int, Depends(begin)],
        catalog: Annotated[str, Query(max_length=64)] = OWN,
    ) -> AsyncIterator[ServerSentEvent]:
        """Tell what becomes of events from now, or from an earlier `catalog_version`, on."""
        yield ServerSentEvent(id=f"{begin_ns:x}", retry=_RETRY_MS)
        told_ns = begin_ns
        while now_ns := await pulse.beyond(told_ns):
            found = await pulse.changes(told_ns, catalog)
            told_ns = max([now_ns, *(change.stamp_ns for change in found or ())])
            if found is None:
                yield ServerSentEvent(event="reset", data={}, id=f"{told_ns:x}")
                continue
            for change, after in zip_longest(found, found[1:]):
                is_last = after is None or after.stamp_ns != change.stamp_ns
                stamp = f"{change.stamp_ns:x}" if is_last else None
                yield ServerSentEvent(event="event", data=_news(change), id=stamp)

    return router


class Pulse:
    """The catalogue's clock, read at most once in `POLL_S` however many streams wait for it."""

    def __init__(self, space: Workspace) -> None:
        self._space = space
        self._lock = anyio.Lock()
        self._read_at = -POLL_S
        self._clock_ns = 0
        self._n_streams = 0
        self._stopped = anyio.Event()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places for streams.

        Raises
        ------
        RequestProblem
            With status 503 if all are taken.
        """
        if self._n_streams >= MAX_STREAMS:
            raise RequestProblem(503, f"{MAX_STREAMS} streams are open; ask again later")
        self._n_streams += 1
        try:
            yield
        finally:
            self._n_streams -= 1

    async def clock_ns(self) -> int:
        """Return the instant of the last change, at most `POLL_S` late."""
        async with self._lock:
            if time.monotonic() - self._read_at >= POLL_S:
                self._clock_ns = await run_in_threadpool(lambda: self._space.catalog.clock_ns())
                self._read_at = time.monotonic()
            return self._clock_ns

    async def beyond(self, told_ns: int) -> int | None:
        """Wait until something changed after an instant; return the clock, None when stopped."""
        while not self._stopped.is_set():
            if (now_ns := await _patiently(self.clock_ns)) > told_ns:
                return now_ns
            with anyio.move_on_after(POLL_S):
                await self._stopped.wait()
        return None

    def stop(self) -> None:
        """End all streams."""
        self._stopped.set()

    async def changes(self, since_ns: int, catalog: str) -> list[EventChange] | None:
        """Return what became of events after an instant; None if it is too much to tell."""
        ask = partial(self._space.catalog.changes, since_ns, catalog=catalog, limit=MAX_MISSED)
        return await _patiently(lambda: run_in_threadpool(ask))


async def _patiently[T](ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer: a stream outlives a database that is away for a while."""
    while True:
        try:
            return await ask()
        except GeomonError as error:
            logger.warning("stream of events: %s", error)
            await anyio.sleep(_WAIT_S)


def _news(change: EventChange) -> schemas.EventNews:
    return schemas.EventNews(
        event_id=change.event_id,
        what=change.what,
        revision=change.revision,
        merged_into=change.merged_into,
        summary=schemas.EventFeature.model_validate(feature(change.summary)),
    )
