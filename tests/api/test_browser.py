"""The page as a person sees it, in a real browser."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from geomon.api.app import create_app
from geomon.services.workspace import Workspace, workspace
from tests.api.browsing import Visit
from tests.api.conftest import serving
from tests.api.network import SPAN, bare_event, make_config

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def visit(browser: "Browser", server: str) -> Iterator[Visit]:
    visit = Visit(browser, server)
    yield visit
    visit.close()


def n_shown(page: "Page") -> int:
    found = re.match(r"\s*([\d\s]+)", page.inner_text("#summary .big"))
    assert found
    return int(re.sub(r"\s", "", found.group(1)))


def test_the_page_shows_events_and_opens_one(visit: Visit, space: Workspace):
    page = visit.open()
    assert page.title() == "Test swarm · geomon"
    events = space.catalog.events(order_by="-magnitude")
    assert n_shown(page) == len(events)
    assert page.locator("#map canvas").count() == 1
    assert "Gaps: GM03 92 %" in page.inner_text("#summary")
    page.click("[data-sort=magnitude]")
    row = page.locator(".row").first
    assert f"{events[0].preferred_magnitude.value:.1f}" in row.inner_text()
    row.click()
    page.wait_for_selector(".records canvas")
    page.wait_for_function(
        "() => document.querySelector('.records canvas').height > 200", polling=100
    )
    assert page.locator(".detail table").first.locator("tbody tr").count() == len(
        events[0].arrivals
    )
    assert page.inner_text(".detail h2").startswith("ML")
    assert f"event={events[0].event_id}" in page.url
    page.click(".detail .switch button:text-is('N')")
    page.wait_for_selector(".detail .switch button:text-is('N')[aria-pressed=true]")
    assert "component=N" in page.url
    page.keyboard.press("j")
    page.wait_for_function(f"() => !location.hash.includes('{events[0].event_id}')", polling=100)
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")


def test_an_address_brings_back_the_view(visit: Visit, space: Workspace):
    [largest, *_] = space.catalog.events(order_by="-magnitude")
    place = f"{largest.preferred_origin.latitude + 5:.3f}/{largest.preferred_origin.longitude:.3f}"
    page = visit.open(f"#sort=magnitude&section=latitude&map=9.00/{place}")
    assert page.get_attribute("[data-sort=magnitude]", "aria-pressed") == "true"
    assert page.get_attribute("[data-axis=latitude]", "aria-pressed") == "true"
    assert "No events in this part of the map" in page.inner_text("#list")
    page.click("#list .quiet")
    page.wait_for_selector(".row")
    assert n_shown(page) == len(space.catalog.events())


def test_colours_are_chosen_in_the_legend_and_kept_in_the_address(visit: Visit):
    page = visit.open("#colour=age")
    ticks, mark = page.locator("#legend .ticks"), page.locator(".row .mag i").first
    assert page.get_attribute("[data-colour=age]", "aria-pressed") == "true"
    assert ticks.inner_text().split("\n")[0] == "newest"
    newest = mark.evaluate("mark => mark.style.background")
    page.focus("[data-colour=depth]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-colour=depth][aria-pressed=true]:focus")
    assert ticks.inner_text().split("\n")[0] == "0"
    assert mark.evaluate("mark => mark.style.background") != newest
    assert "colour" not in page.url
    page.click("[data-colour=age]")
    page.wait_for_function("location.hash.includes('colour=age')")


def test_no_data_is_told_from_no_events(visit: Visit):
    page = visit.open("#from=2020-01-01T00:00:00&to=2020-01-02T00:00:00")
    assert "No data" in page.inner_text("#list")
    assert "Not watched" in page.inner_text("#summary")
    page.fill("#from", "2024-03-05 06:11:58")
    page.fill("#to", "2024-03-05 06:12:00")
    page.press("#to", "Enter")
    page.wait_for_selector("text=not been processed yet")
    page.click("[data-span='24h']")
    page.wait_for_selector(".row")
    page.fill("#min-magnitude", "8")
    page.wait_for_selector("text=No events this large")


def test_paper_holds_every_event(visit: Visit):
    page = visit.open()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".row").count() == n_shown(page)
    assert page.locator("#legend .ramp").is_visible()
    assert not page.locator("#spans").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")


def test_an_ellipse_is_as_large_and_turned_as_it_is_said(visit: Visit):
    ring = visit.open().evaluate(
        """async () => (await import('./static/js/map.js')).ellipseRing(
            { longitude: 7, latitude: 60, ellipse: [2, 1, 90] })"""
    )
    km = [((x - 7) * 111.195 * 0.5, (y - 60) * 111.195) for x, y in ring]
    assert max(east for east, _ in km) == pytest.approx(2, abs=0.01)
    assert max(north for _, north in km) == pytest.approx(1, abs=0.01)
    assert ring[0] == pytest.approx(ring[-1])


def test_dragging_over_the_time_plot_zooms(visit: Visit):
    page = visit.open()
    before = n_shown(page)
    box = page.locator("#time-plot").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, y)
    page.mouse.up()
    page.wait_for_selector("#zoom-out:visible")
    assert "from=2024-03-05T06:" in page.url
    assert 0 < n_shown(page) < before
    page.click("#zoom-out")
    page.wait_for_selector("#zoom-out", state="hidden")


def find_event(page: "Page", canvas: str) -> tuple[float, float]:
    """Move the pointer over a plot until it is on an event; return where."""
    box = page.locator(canvas).bounding_box()
    assert box is not None
    for y in range(20, int(box["height"]) - 30, 12):
        for x in range(48, int(box["width"]) - 20, 12):
            place = round(box["x"]) + x, round(box["y"]) + y  # a click has whole pixels
            page.mouse.move(*place)
            if page.locator(canvas).evaluate("canvas => canvas.style.cursor") == "pointer":
                return place
    raise AssertionError(f"no event on {canvas}")


@pytest.mark.parametrize("canvas", ["#time-plot", "#depth-plot"])
def test_a_click_on_a_plot_opens_the_event_the_pointer_is_on(visit: Visit, canvas: str):
    page = visit.open()
    place = find_event(page, canvas)
    told = re.match(r"M (\S+).*\n(\S+ \S+)", page.inner_text("#tip"))
    assert told
    page.mouse.click(*place)
    page.wait_for_selector("#detail .moment")
    assert page.inner_text("#detail .moment").startswith(told.group(2)[:17])
    assert f" {told.group(1)} " in page.inner_text("#detail h2").replace("\n", " ") + " "
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")


def test_a_click_on_the_map_opens_event_or_station(visit: Visit, space: Workspace):
    [largest, *_] = space.catalog.events(order_by="-magnitude")
    origin, [station, *_] = largest.preferred_origin, space.stations().at(SPAN.end_ns).items()
    places = {
        f"event={largest.event_id}": (origin.latitude, origin.longitude),
        f"station={station[0]}": (station[1].latitude, station[1].longitude),
    }
    for opened, (latitude, longitude) in places.items():
        page = visit.open(f"#map=15.00/{latitude:.5f}/{longitude:.5f}")
        box = page.locator("#map").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function(f"() => location.hash.includes('{opened}')", polling=100)
        page.keyboard.press("Escape")
        page.wait_for_function(f"() => !location.hash.includes('{opened}')", polling=100)


def test_a_phone_in_the_dark(browser: "Browser", server: str):
    visit = Visit(browser, server, color_scheme="dark", device_scale_factor=2, has_touch=True)
    visit.page.set_viewport_size({"width": 390, "height": 844})
    page = visit.open()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", colour)) < 60
    page.locator(".row").first.tap()
    page.wait_for_selector(".records canvas")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.close()


def test_a_new_event_appears_by_itself(browser: "Browser", tmp_path):
    space = workspace(make_config(tmp_path))
    run = space.catalog.begin_run("locate")
    first = [bare_event(5, 46.0, 7.5, 5.0, 1.0), bare_event(60, 46.05, 7.55, 7.0, None)]
    space.catalog.replace_events(SPAN, first, run)
    with serving(create_app(space.config)) as address:
        visit = Visit(browser, address)
        page = visit.open("#span=all")
        assert n_shown(page) == 2
        later = bare_event(90, 46.02, 7.52, 6.0, 2.0)
        assert later.preferred_origin.time == SPAN.start + timedelta(seconds=90)
        space.catalog.replace_events(SPAN, [*first, later], run)
        page.wait_for_function(
            "() => document.querySelector('#summary .big').textContent.startsWith('3')", polling=100
        )
        visit.close()
