"""A proxy before an S3 server that spoils chosen requests."""

from collections.abc import Callable
from typing import Self

import httpx

from tests.faultproxy import Exchange, Fault, FaultProxy

_OWN_HEADERS = {"host", "content-length", "connection", "accept-encoding"}


class SpoiledS3(FaultProxy):
    """Passes requests on whole, but for those that are to be spoiled."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.always = self._pass_or_spoil
        self._faults: list[tuple[str, str, Fault]] = []

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def spoil(self, method: str, ending: str, *faults: Fault) -> None:
        """Spoil the next requests of a method for objects whose names end so, one fault each."""
        self._faults += [(method, ending, fault) for fault in faults]

    @property
    def is_done(self) -> bool:
        """Whether every fault has happened."""
        return not self._faults

    def _pass_or_spoil(self, exchange: Exchange) -> None:
        path = exchange.request.path.partition("?")[0]
        fault = passed_on
        with self._lock:
            for at, (method, ending, found) in enumerate(self._faults):
                if method == exchange.request.method and path.endswith(ending):
                    fault = found
                    del self._faults[at]
                    break
        fault(exchange)


def answer_of(exchange: Exchange) -> httpx.Response:
    """Return the server's answer to the whole request."""
    request = exchange.request
    kept = {name: text for name, text in request.headers.items() if name not in _OWN_HEADERS}
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.request(
            request.method, exchange.proxy.upstream + request.path, content=request.body,
            headers={**kept, "Accept-Encoding": "identity"},
        )  # fmt: skip


def send(exchange: Exchange, answer: httpx.Response, body: bytes, length: int) -> None:
    kept = {n: t for n, t in answer.headers.items() if n not in ("connection", "content-length")}
    exchange.head(answer.status_code, **kept, content_length=length)
    exchange.send(body)


def passed_on(exchange: Exchange) -> None:
    answer = answer_of(exchange)
    length = int(answer.headers.get("content-length", len(answer.content)))
    send(exchange, answer, answer.content, length)


def refused(status: int) -> Fault:
    def fault(exchange: Exchange) -> None:
        exchange.head(status, content_length=0)

    return fault


def reset(exchange: Exchange) -> None:
    exchange.reset()


def reset_after_doing(exchange: Exchange) -> None:
    """Do what is asked, and lose the answer."""
    answer_of(exchange)
    exchange.reset()


def cut_short(exchange: Exchange) -> None:
    """Break off in the middle of the body."""
    answer = answer_of(exchange)
    send(exchange, answer, answer.content[: len(answer.content) // 2], len(answer.content))


def damaged(exchange: Exchange) -> None:
    """Answer with a body whose last byte is wrong."""
    answer = answer_of(exchange)
    send(exchange, answer, answer.content[:-1] + b"!", len(answer.content))


def after(do: Callable[[], object]) -> Fault:
    """Let something happen before the request is passed on."""

    def fault(exchange: Exchange) -> None:
        do()
        passed_on(exchange)

    return fault
