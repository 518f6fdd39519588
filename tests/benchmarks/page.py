"""How soon the web page stands, and how it feels with many events: in a real headless browser.

The browser draws without a graphics card, on the same processor as the server.
"""

import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.api.browsing import CHROMIUM, FLAGS
from tests.benchmarks.catalog_filling import filled
from tests.benchmarks.catalog_services import served
from tests.benchmarks.report import Figure, at_most, main, versions

if TYPE_CHECKING:
    from playwright.sync_api import Page

FEW, MANY = 2_000, 100_000
STATIC = Path(__file__).parents[2] / "geomon" / "api" / "static"
_TIMEOUT_MS = 180_000
_FRAMES = """() => {
    window.frames_ms = [];
    let last = performance.now();
    const note = (now) => {
        if (!window.frames_ms) return;
        window.frames_ms.push(now - last);
        last = now;
        requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
}"""
_NEXT_FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def measure(quick: bool) -> Sequence[Figure]:
    """Measure the web page: payload, seconds until it is idle, seconds an action takes."""
    with tempfile.TemporaryDirectory() as folder:
        return list(figures(Path(folder), quick=quick))


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Measure the page on catalogues that are made in a folder."""
    yield _payload()
    if CHROMIUM is None:
        yield Figure(
            figure="page idle", value=None, unit="s", conditions="needs Debian's package chromium"
        )
        return
    yield from _few(folder)
    if not quick:
        yield from _many(folder)


def _payload() -> Figure:
    files = [path.read_bytes() for path in STATIC.rglob("*") if path.is_file()]
    value = sum(len(zlib.compress(content)) for content in files) / 1e6
    goal, holds = at_most(value, 5)
    return Figure(
        figure="all files of the page", value=value, unit="MB", goal=goal, holds=holds,
        conditions=f"compressed, as in a wheel; {sum(map(len, files)) / 1e6:.1f} MB unpacked",
    )  # fmt: skip


def _few(folder: Path) -> Iterator[Figure]:
    with _page(folder, FEW) as (page, address):
        first, again = (_idle_s(page, f"{address}/#span=all") for _ in range(2))
    goal, holds = at_most(first, 3)
    yield Figure(
        figure="page idle, first visit", value=first, unit="s", goal=goal, holds=holds,
        conditions=f"{FEW} events; {again:.1f} s on the second visit; {_versions()}",
    )  # fmt: skip


def _many(folder: Path) -> Iterator[Figure]:
    with _page(folder, MANY) as (page, address):
        idle_s = _idle_s(page, f"{address}/#span=all")
        frames_ms = _dragged(page)
        actions = {name: _seconds(page, act) for name, act in _ACTIONS.items()}
    conditions = f"{MANY} events; {_versions()}"
    yield Figure(figure="page idle, many events", value=idle_s, unit="s", conditions=conditions)
    yield Figure(
        figure="a frame while the map is dragged, median", value=statistics.median(frames_ms),
        unit="ms", conditions=conditions,
    )  # fmt: skip
    slowest = max(actions, key=lambda name: actions[name])
    goal, holds = at_most(actions[slowest], 1)
    told = ", ".join(f"{name} {1e3 * value:.0f} ms" for name, value in actions.items())
    yield Figure(
        figure="slowest action until it is drawn", value=actions[slowest], unit="s", goal=goal,
        holds=holds, conditions=f"{told}; {conditions}",
    )  # fmt: skip


@contextmanager
def _page(folder: Path, n_events: int) -> Iterator[tuple["Page", str]]:
    """Serve a catalogue of its own, and open a browser that was never there."""
    from playwright.sync_api import sync_playwright

    own = folder / f"page-{n_events}"
    own.mkdir()
    url = f"sqlite:///{own}/catalog.sqlite"
    with filled(url, n_events, n_picks=0):
        pass
    with served(own, url) as server, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(_TIMEOUT_MS)
        page.goto(f"{server.address}/api/status")  # the server has opened its stores
        yield page, server.address
        browser.close()


def _idle_s(page: "Page", address: str) -> float:
    """Return how long the page takes until map, plots and list are drawn and nothing moves."""
    page.goto("about:blank")
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("html[data-ready=true]", state="attached")
    page.evaluate(_NEXT_FRAME)
    return time.perf_counter() - started


def _seconds(page: "Page", act: Callable[["Page"], object]) -> float:
    started = time.perf_counter()
    act(page)
    page.evaluate(_NEXT_FRAME)
    return time.perf_counter() - started


def _dragged(page: "Page") -> list[float]:
    """Drag the map about; return how long each frame took, ms."""
    page.evaluate(_FRAMES)
    page.mouse.move(500, 300)
    page.mouse.down()
    for step in range(40):
        page.mouse.move(500 + 4 * step, 300 + step)
    page.mouse.up()
    page.evaluate(_NEXT_FRAME)
    found: list[float] = page.evaluate("() => { const f = frames_ms; frames_ms = null; return f; }")
    return found


def _scroll(page: "Page") -> None:
    page.evaluate("document.querySelector('#list').scrollTop = 1e9")


def _open(page: "Page") -> None:
    page.locator(".row").last.click()
    page.wait_for_selector("#detail h2")


_ACTIONS: dict[str, Callable[["Page"], object]] = {
    "sort": lambda page: page.click("[data-sort=magnitude]"),
    "scroll to the end": _scroll,
    "colour by age": lambda page: page.click("[data-colour=age]"),
    "zoom": lambda page: page.mouse.wheel(0, -300),
    "smallest magnitude": lambda page: page.fill("#min-magnitude", "1"),
    "open an event": _open,
}


def _versions() -> str:
    return versions("playwright")


if __name__ == "__main__":
    main(measure)
