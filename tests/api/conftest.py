"""One simulated network for all tests of the services, and a real server before it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI

from geomon.api.app import create_app
from geomon.api.server import Server
from geomon.config import Config
from geomon.services.workspace import Workspace
from tests.api.browsing import CHROMIUM, FLAGS
from tests.api.network import fill, make_config

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return make_config(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def space(config: Config) -> Workspace:
    return fill(config)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Give one headless Chromium to all tests of a module."""
    driving = pytest.importorskip(
        "playwright.sync_api", reason="needs the playwright package to drive a browser"
    )
    if CHROMIUM is None:
        pytest.skip("needs a Chromium browser (Debian's package chromium)")
    with driving.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free loopback port; yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(app)
    is_up = threading.Event()
    start = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await start(sockets)
        is_up.set()

    server.startup = startup
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert is_up.wait(30), "the server did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def server(space: Workspace) -> Iterator[str]:
    with serving(create_app(space.config)) as address:
        yield address


@pytest.fixture(scope="session")
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server) as client:
        yield client


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Config], httpx.Client]]:
    """Serve other networks until the tests of the module are done."""
    with ExitStack() as stack:

        def client_of(config: Config) -> httpx.Client:
            address = stack.enter_context(serving(create_app(config)))
            return stack.enter_context(httpx.Client(base_url=address))

        yield client_of
