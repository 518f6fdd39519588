"""A real browser before the page.

Needs Debian's ``chromium`` (or ``GEOMON_CHROMIUM`` naming another one) and the ``playwright``
package, which drives it.
"""

import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("GEOMON_CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-unsafe-swiftshader", "--use-gl=angle", "--use-angle=swiftshader",
]  # fmt: skip
TIMEOUT_MS = 40_000


class Visit:
    """One open page, with what it asked for and complained about."""

    def __init__(self, browser: "Browser", address: str, **options: Any) -> None:
        self.address = address
        self.context = browser.new_context(viewport={"width": 1100, "height": 720}, **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT_MS)
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note_request)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note_console)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.outside.append(request.url)

    def _note_console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, state: str = "") -> "Page":
        """Open the page, or follow a link to another state of it."""
        if self.page.url.startswith(self.address):
            self.page.evaluate(
                """state => new Promise(done => {
                    if (location.hash === state) done();
                    addEventListener("hashchange", () => setTimeout(done), { once: true });
                    location.hash = state;
                })""",
                state,
            )
        else:
            self.page.goto(f"{self.address}/{state}")
        self.page.wait_for_selector("html[data-ready=true]", state="attached")
        return self.page

    def close(self) -> None:
        self.context.close()
        assert not self.outside, self.outside
        assert not self.complaints, self.complaints
