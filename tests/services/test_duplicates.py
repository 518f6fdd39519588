"""One earthquake held twice becomes one again, with a trail; what people said stands."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geomon.cli import app
from geomon.config import Config
from geomon.events import Event, Origin, Pick
from geomon.services.duplicates import tidy
from geomon.services.locate import locate, solver_of
from geomon.services.run import RunReports
from geomon.services.workspace import workspace
from geomon.stores.amending import Amendments
from geomon.stores.exports import export
from geomon.stores.tidying import RUN_KIND, Tidying
from tests.networks import simulated_file
from tests.services.conftest import SPAN


@pytest.fixture
def config(processed: tuple[Config, RunReports], tmp_path: Path) -> Config:
    """Return the processed network with a catalogue of its own."""
    shared, _ = processed
    path = tmp_path / "catalog.sqlite"
    source = shared.catalog.url.removeprefix("sqlite:///")
    with sqlite3.connect(source) as old, sqlite3.connect(path) as new:
        old.backup(new)
    old.close()
    new.close()
    return shared.model_copy(
        update={"catalog": shared.catalog.model_copy(update={"url": f"sqlite:///{path}"})}
    )


def best(config: Config) -> Event:
    events = workspace(config).catalog.events(SPAN.start_ns, SPAN.end_ns)
    return max(events, key=lambda event: len(event.arrivals))


def halved(config: Config, *, decided: bool = False) -> tuple[Event, str]:
    """Hold the best event as two, each from every other station; return it and the other's id.

    As if by an accident, or by a decision that holds.
    """
    event = best(config)
    space = workspace(config)
    stations = tuple(sorted(space.stations().at(SPAN.start_ns).values()))
    solver = solver_of(config, stations, SPAN.start_ns)
    names = sorted({pick.seed_id.station_id for pick in event.picks})
    halves = []
    for part in (names[::2], names[1::2]):
        origin = solver.locator.locate([p for p in event.picks if p.seed_id.station_id in part])
        assert isinstance(origin, Origin)
        halves.append(replace(event, preferred_origin=origin))
    store = Tidying(space.catalog.database)
    other = store.part(
        event, halves[0], replace(halves[1], event_id=""), reason="test",
        run=space.catalog.begin_run(RUN_KIND if decided else "test"),
    )  # fmt: skip
    return event, other


def test_halves_are_merged_once_and_the_trail_says_why(config: Config) -> None:
    catalog = workspace(config).catalog
    assert tidy(config, SPAN) == ()
    event, other = halved(config)
    n_events = len(catalog.events(SPAN.start_ns, SPAN.end_ns))
    [wanted] = tidy(config, SPAN, dry_run=True)
    assert len(catalog.events(SPAN.start_ns, SPAN.end_ns)) == n_events
    [done] = tidy(config, SPAN)
    assert done == wanted
    assert {done.event_id, *done.others} == {event.event_id, other}
    assert done.reason.endswith("no station saw both")
    whole = catalog.event(done.others[0])  # its id leads on
    assert whole is not None
    assert whole.event_id == done.event_id
    assert set(whole.picks) == set(event.picks)
    assert whole.review_state == "automatic"
    assert whole.preferred_magnitude is not None
    history = Amendments(catalog.database).history(done.event_id)
    assert history[0].reason == f"merged with {done.others[0]}: {done.reason}"
    assert tidy(config, SPAN) == ()


def test_decisions_hold_when_events_are_located_again(config: Config) -> None:
    catalog = workspace(config).catalog

    def held() -> dict[str, tuple[Pick, ...]]:
        events = catalog.events(SPAN.start_ns, SPAN.end_ns)
        return {one.event_id: one.picks for one in events}

    event, other = halved(config, decided=True)
    two = held()
    report = locate(config, SPAN)
    assert report.n_solved > 0
    assert held() == two
    assert locate(config, SPAN).n_solved == 0
    [joined] = tidy(config, SPAN)
    one = held()
    assert {event.event_id, other} - one.keys() == set(joined.others)
    history = Amendments(catalog.database).history(joined.event_id)
    report = locate(config, SPAN)
    assert report.n_solved > 0
    assert report.n_created == report.n_updated == report.n_withdrawn == 0
    assert held() == one
    assert Amendments(catalog.database).history(joined.event_id) == history
    assert locate(config, SPAN).n_solved == 0


def test_a_reviewed_event_takes_over_as_it_is(config: Config) -> None:
    catalog = workspace(config).catalog
    _, other = halved(config)
    judged = catalog.review(other, "confirmed", actor="ana")
    [done] = tidy(config, SPAN)
    assert done.event_id == other
    kept = catalog.event(other)
    assert kept is not None
    assert kept.preferred_origin == judged.preferred_origin
    assert kept.review_state == "confirmed"
    n_events = len(catalog.events(SPAN.start_ns, SPAN.end_ns))
    assert locate(config, SPAN).n_solved > 0
    assert len(catalog.events(SPAN.start_ns, SPAN.end_ns)) == n_events
    catalog.review(done.event_id, "automatic", actor="ana")


def test_two_reviewed_events_are_only_reported(config: Config) -> None:
    catalog = workspace(config).catalog
    event, other = halved(config)
    for event_id in (event.event_id, other):
        catalog.review(event_id, "reviewed", actor="ana")
    before = catalog.version()
    [found] = tidy(config, SPAN)
    assert found.kind == "kept"
    assert catalog.version() == before


def test_an_imported_event_leads_to_the_own_one(config: Config) -> None:
    catalog = workspace(config).catalog
    document = export(catalog.events(SPAN.start_ns, SPAN.end_ns), "quakeml", agency="elsewhere")
    imported = catalog.import_quakeml(document, catalog="elsewhere").created
    assert tidy(config, SPAN) == ()
    done = tidy(config, SPAN, catalogs=["elsewhere"])
    assert {one for each in done for one in each.others} == set(imported)
    found = catalog.event(imported[0])
    assert found is not None
    assert found.event_id in {one.event_id for one in done}
    assert len(catalog.import_quakeml(document, catalog="elsewhere").unchanged) == len(imported)
    assert tidy(config, SPAN, catalogs=["elsewhere"]) == ()


def test_the_command_tells_what_it_would_do(config: Config, tmp_path: Path) -> None:
    halved(config)
    path = simulated_file(
        tmp_path / "there", archive={"url": config.archive.url}, catalog={"url": config.catalog.url}
    )
    result = CliRunner().invoke(
        app,
        ["catalog", "merge", "--config", str(path), "--start", str(SPAN.start), "--end",
         str(SPAN.end), "--dry-run"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "takes over" in result.stdout
    assert "1 merges and splits to do" in result.stdout
