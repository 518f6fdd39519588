"""An analyst at work on the page, in a real browser."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from geomon.api.app import create_app
from geomon.services.workspace import Workspace
from geomon.stores.pickers import Pickers
from geomon.stores.verdicts import Verdicts
from geomon.times import TimeSpan
from tests.api.browsing import Visit
from tests.api.conftest import serving
from tests.api.network import SPAN, fill, make_config

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

LANE, MARGIN = 62, 14
"""Height of a station's lane and what is above the first, in pixels."""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return fill(make_config(tmp_path_factory.mktemp("desk")))


@pytest.fixture(scope="module")
def visit(browser: "Browser", space: Workspace) -> Iterator[Visit]:
    with serving(create_app(space.config)) as address:
        visit = Visit(browser, address)
        yield visit
        visit.close()


def edit(visit: Visit, space: Workspace, index: int) -> tuple["Page", str]:
    """Open an event, the largest first, and its picks to edit."""
    event_id = space.catalog.events(order_by="-magnitude").event_ids[index]
    page = visit.open(f"#event={event_id}")
    page.wait_for_selector(".review-bar")
    page.wait_for_selector(".records canvas")
    page.keyboard.press("e")
    page.wait_for_selector("table.compare")
    return page, event_id


def canvas_at(page: "Page") -> tuple[float, float, float]:
    """Scroll to the waveforms; return their left, their top and their width in pixels."""
    page.evaluate("document.querySelector('#detail').scrollTop = 0")
    box = page.locator("canvas.edited").bounding_box()
    assert box is not None
    return box["x"], box["y"] + MARGIN, box["width"]


def cursor(page: "Page") -> str:
    """Return what the pointer looks like over the waveforms: what it is over."""
    return str(page.evaluate("document.querySelector('canvas.edited').style.cursor"))


def drag_first_pick(page: "Page") -> None:
    """Drag the first pick of the nearest station by 40 pixels."""
    left, top, width = canvas_at(page)
    y = top + LANE / 2
    x = left + 96
    while cursor(page) != "ew-resize" and x < left + width - 60:
        x += 3
        page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=3)
    page.mouse.up()


def test_a_pick_is_dragged_and_the_event_relocated(visit: Visit, space: Workspace):
    page, event_id = edit(visit, space, 0)
    before = space.catalog.event(event_id)
    assert page.locator(".editor-head .main").inner_text() == "Save"
    drag_first_pick(page)
    page.wait_for_selector("td:text-is('manual')")
    page.wait_for_selector(".result:not(.stale)")
    assert space.catalog.event(event_id).revision == 1
    page.fill(".editor-head input", "P was early")
    page.click(".editor-head .main")
    page.wait_for_selector(".review-bar")
    page.wait_for_selector(".versions >> text=P was early")
    after = space.catalog.event(event_id)
    assert (after.revision, after.review_state) == (2, "reviewed")
    assert sum(pick.evaluation_mode == "manual" for pick in after.picks) == 1
    origins = page.locator("table.origins tbody tr")
    assert [row.split("\t")[0] for row in origins.all_inner_texts()] == ["preferred", "revision 1"]
    assert f"{before.preferred_origin.depth_km:.1f} km" in origins.last.inner_text()
    page.click("text=Undo")
    page.click("dialog[open] .main")
    page.wait_for_selector(".versions >> text=undone")
    assert space.catalog.event(event_id).preferred_origin == before.preferred_origin


def test_a_pick_is_removed_by_key_and_added_by_tool(visit: Visit, space: Workspace):
    page, event_id = edit(visit, space, 1)
    n_before = len(space.catalog.event(event_id).picks)
    rows = page.locator(".editor-head ~ div tbody tr")
    page.locator("[aria-label^='Remove ']").first.click()
    page.wait_for_function(
        f"document.querySelectorAll('.scroll tbody tr').length === {n_before - 1}"
    )
    assert rows.count() >= n_before - 1
    page.click("[data-tool=P]")
    left, top, _ = canvas_at(page)
    page.mouse.click(left + 108, top + LANE / 2)
    page.wait_for_selector("td:text-is('manual')")
    page.keyboard.press("Control+z")
    page.wait_for_selector("td:text-is('manual')", state="detached")
    page.fill("#fixed-depth", "4")
    page.wait_for_selector("table.compare td.new:text-is('4.0 km')")
    page.focus("canvas.edited")
    page.keyboard.press("Escape")
    page.wait_for_selector(".review-bar")
    assert space.catalog.event(event_id).revision == 1


def test_an_event_is_confirmed_rejected_and_typed_by_keys(visit: Visit, space: Workspace):
    event_id = space.catalog.events(order_by="-magnitude").event_ids[2]
    page = visit.open(f"#event={event_id}")
    page.wait_for_selector(".review-bar")
    page.keyboard.press("c")
    page.wait_for_selector(".state-confirmed")
    page.select_option(".review-bar select", "quarry blast")
    page.wait_for_selector(".state:text-is('quarry blast, confirmed')")
    page.keyboard.press("x")
    page.wait_for_selector(".state-rejected")
    assert space.catalog.event(event_id).review_state == "rejected"
    assert event_id not in space.catalog.events().event_ids
    page.click(".versions tbody tr:last-child button")
    page.click("dialog[open] .main")
    page.wait_for_selector(".state-reviewed")
    assert space.catalog.event(event_id).event_type == "earthquake"


def test_events_are_split_and_merged_again(visit: Visit, space: Workspace):
    page, _ = edit(visit, space, 3)
    n_events = len(space.catalog.events())
    for station in ("GM01", "GM03", "GM04"):
        for tick in page.locator(f"[aria-label^='Split off XX.{station} ']").all():
            tick.check()
    page.click("#split")
    page.wait_for_selector(".review-bar")
    page.wait_for_selector(".versions tbody tr:nth-child(2)")
    assert len(space.catalog.events()) == n_events + 1
    page.click("text=Merge…")
    page.locator("dialog[open] input[type=checkbox]").first.check()
    page.wait_for_selector("dialog[open] table.compare")
    page.click("dialog[open] .main")
    page.wait_for_selector(".versions tbody tr:nth-child(3)")
    assert len(space.catalog.events()) == n_events


def test_a_missed_event_is_made_from_free_picks(visit: Visit, space: Workspace):
    lost = space.catalog.events(order_by="-magnitude").event_ids[4]
    time = space.catalog.event(lost).preferred_origin.time
    space.catalog.review(lost, "rejected", actor="anna")
    page = visit.open()
    page.click("#new-event")
    page.wait_for_selector("canvas.edited")
    page.fill(".field.time", f"{time:%Y-%m-%d %H:%M:%S}")
    page.press(".field.time", "Enter")
    page.wait_for_function("document.querySelector('.edited').height > 300")
    left, top, _ = canvas_at(page)
    found = 0
    for lane in range(4):
        for x in range(96, 240, 3):
            page.mouse.move(left + x, top + LANE * (lane + 0.5))
            if cursor(page) == "copy":
                page.mouse.down()
                page.mouse.up()
                found += 1
    assert found >= 6
    page.wait_for_selector("table.compare")
    page.click(".editor-head .main")
    page.wait_for_selector(".review-bar")
    page.wait_for_function("() => location.hash.includes('event=')")
    made = space.catalog.event(page.url.split("event=")[1])
    assert made is not None
    assert (made.review_state, made.revision) == ("reviewed", 1)
    assert abs((made.preferred_origin.time - time).total_seconds()) < 1


def test_the_queue_is_worked_off_with_keys(visit: Visit, space: Workspace):
    page = visit.open()
    page.click("[data-view=review]")
    page.wait_for_selector(".queue-pane .records")
    first = page.locator(".queue-row").first
    page.keyboard.press("c")
    page.wait_for_selector(".queue-row[data-verdict=correct]")
    assert first.get_attribute("data-verdict") == "correct"
    page.click("[data-kind=picks]")
    page.wait_for_selector(".queue-pane h3:has-text(' at XX.')")
    page.keyboard.press("x")
    page.wait_for_selector(".queue-row[data-verdict=wrong]")
    assert [one.verdict for one in Verdicts(space.catalog.database).find(SPAN)] == ["wrong"]
    page.keyboard.press("Escape")
    page.wait_for_selector("#sheet", state="hidden")
    assert "/review" not in page.url


def test_a_window_is_marked_whole(visit: Visit, space: Workspace):
    page = visit.open("#from=2024-03-05T05:50:00&to=2024-03-05T06:20:00")
    page.click("[data-view=review]")
    page.click("[data-kind=exam]")
    save = page.locator("#save-window")
    for n_left in range(7, 0, -1):
        page.wait_for_selector(f".queue-pane .note:has-text('{n_left} part')")
        assert save.is_disabled()
        page.keyboard.press("Space")
    assert "queue=exam" in page.url
    page.wait_for_selector("#save-window:enabled")
    assert "and no others" in save.inner_text()
    page.click("text=Nothing here")
    page.wait_for_selector("#save-window:has-text('nothing here')")
    page.keyboard.press("z")
    page.wait_for_selector("#save-window:has-text('and no others')")
    page.keyboard.press("Enter")
    page.wait_for_selector(".queue-row[data-verdict=correct]")
    [reviewed] = Pickers(space.catalog.database).reviewed_windows(
        TimeSpan.parse("2024-03-05", "2024-03-06")
    )
    said = Verdicts(space.catalog.database).find(reviewed.span, stream_id=reviewed.stream_id)
    assert {one.verdict for one in said} == {"correct"}
    page.keyboard.press("Escape")
    page.wait_for_selector("#sheet", state="hidden")


def test_news_do_not_leave_a_link_half_followed(visit: Visit, space: Workspace):
    page = visit.open()
    held: list[Route] = []

    def hold_the_first(route: "Route") -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/api/eventcolumns*", hold_the_first)
    with page.expect_request("**/api/eventcolumns*"):
        page.evaluate("location.hash = 'from=2024-03-05T05:55:00&to=2024-03-05T06:25:00'")
    [event_id, *_] = space.catalog.events(order_by="-magnitude").event_ids
    space.catalog.review(event_id, "confirmed", actor="ben")
    page.wait_for_selector("html[data-ready=true]", state="attached")
    page.unroute("**/api/eventcolumns*")
    assert "05:55" in page.input_value("#from")


def test_coverage_and_stations_are_one_click_apart(visit: Visit):
    page = visit.open()
    page.click("[data-view=coverage]")
    page.wait_for_selector(".said:has-text('8 stations')")
    assert page.url.split("#")[0].endswith("/coverage")
    box = page.locator(".grid-canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 74 + 10)
    page.wait_for_selector(".grid-tip:has-text('XX.GM01')")
    page.mouse.click(box["x"] + 200, box["y"] + 74 + 10)
    page.wait_for_selector("#station h2:has-text('XX.GM01')")
    assert "station=XX.GM01" in page.url
    page.wait_for_selector("#station .aside:has-text('P picks')")
    page.go_back()
    page.wait_for_selector(".grid-canvas")
