"""Backfills: what is planned and quoted, who does it, when it stops, and what it leaves."""

import json
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from geomon.config import Config
from geomon.services import backfill, backfill_run
from geomon.services.backfill import BackfillPlan, BackfillUnit, cancel, plan
from geomon.services.backfill_run import Limits
from geomon.services.champion import load
from geomon.services.grid import Cell, at_work, document, drawn, reasons, status
from geomon.services.workspace import workspace
from geomon.stores.database import Run
from geomon.stores.schema import ledger
from geomon.times import NS_PER_DAY, TimeSpan
from tests.faults import swarm

SPAN = swarm.RECORDED
N_STREAMS = swarm.N_STATIONS + 1  # one station has two sensors


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return swarm.record(tmp_path_factory.mktemp("swarm") / "recorded")


def network(recorded: Path, folder: Path) -> Config:
    """A network over the recordings, whose picker starts at once."""
    found = swarm.configured(recorded, folder)
    quick = found.picker.model_copy(update={"backend": "onnxruntime"})
    return found.model_copy(update={"picker": quick})


@pytest.fixture
def config(recorded: Path, tmp_path: Path) -> Config:
    found = network(recorded, tmp_path)
    costly = found.compute.model_copy(update={"cost_per_hour": 7.0, "cost_per_gb": 0.1})
    return found.model_copy(update={"compute": costly})


@pytest.fixture(scope="module")
def done(
    recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Config, BackfillPlan, backfill_run.BackfillReport]:
    """A backfill of all there is, planned, saved, read again and run."""
    made = network(recorded, tmp_path_factory.mktemp("done"))
    saved = json.dumps(plan(made, SPAN).as_dict())
    planned = BackfillPlan.from_json(saved)
    return made, planned, backfill_run.run(made, planned, max_parallel=2)


def test_a_plan_is_done_and_nothing_is_left(done) -> None:
    made, planned, report = done
    assert planned.to_do["fetch"] == {"missing": N_STREAMS}
    assert planned.n_units == swarm.N_STATIONS + 1
    assert planned.hours is None
    assert 0 < planned.fetch_gb < 0.01
    assert (report.n_failed, report.n_left, report.stopped) == (0, 0, "")
    assert report.n_events_created == len(workspace(made).catalog.events()) > 0
    assert report.difference.n_added == report.n_events_created
    again = plan(made, SPAN)
    assert (again.n_units, again.fetch_gb, again.hours, again.cost) == (0, 0, 0, 0)
    cells = status(made, SPAN)
    assert {cell.state for cell in cells} == {"done"}
    assert at_work(made, SPAN) == []


def test_a_plan_names_the_stations_that_nobody_knows(done) -> None:
    made, planned, _ = done
    assert planned.problems == ()
    [problem] = plan(made, SPAN, ("XX.NONE", "XX.GM01")).problems
    assert problem.startswith("XX.NONE: the source has no such station; it has XX.GM01, ")


def test_time_and_cost_are_quoted_from_what_was_measured(done, config: Config) -> None:
    made, *_ = done
    everything = plan(made, SPAN, mode="all")
    each = {p: workspace(made).coverage.seconds_per_day(p) for p in ("archive", "pick", "locate")}
    assert all(each.values())
    a_day = N_STREAMS * (each["archive"] + each["pick"]) + each["locate"]
    assert everything.hours == pytest.approx(a_day / 3600 * SPAN.duration_s / 86_400)
    priced = made.model_copy(update={"compute": config.compute})
    quoted = plan(priced, SPAN, mode="all")
    assert quoted.cost == pytest.approx(7.0 * quoted.hours + 0.1 * quoted.fetch_gb)
    assert f"cost {quoted.cost:.2f}" in quoted.text() or quoted.cost < 0.005


def test_a_new_picker_leaves_the_old_catalogue_readable_and_tells_the_difference(done) -> None:
    made, *_ = done
    catalog = workspace(made).catalog
    before = [(event.event_id, event.revision) for event in catalog.events()]
    stricter = made.model_copy(
        update={"picker": made.picker.model_copy(update={"threshold_s": 0.8})}
    )
    planned = plan(stricter, SPAN, mode="stale")
    assert planned.to_do["pick"] == {"stale": N_STREAMS}
    report = backfill_run.run(stricter, planned)
    assert report.difference is not None
    assert "--as-of" in report.summary()
    as_it_was = catalog.events(as_of=report.difference.as_of)
    assert [(event.event_id, event.revision) for event in as_it_was] == before
    assert [(event.event_id, event.revision) for event in catalog.events()] != before
    assert plan(stricter, SPAN, mode="missing+failed").n_units == 0


@pytest.mark.fault(43)
def test_a_unit_that_another_backfill_holds_is_done_when_it_is_free(config: Config) -> None:
    planned = plan(config, SPAN)
    held = planned.units[0]
    other = Run.begin("backfill")
    ledger = workspace(config).coverage
    load(config)
    assert ledger.claim("backfill", held.station, [held.span], version="", lease_s=9, run=other)
    assert [entry.key for entry in at_work(config, SPAN)] == [held.station]
    order: list[str] = []

    def told(stage: str, done: int, total: int) -> None:
        order.extend(entry.key for entry in ledger.entries("backfill", states=["done"]))
        if len(set(order)) == swarm.N_STATIONS - 1 and held.station not in order:
            ledger.renew("backfill", lease_s=-1, run=other)  # its holder is dead

    report = backfill_run.run(config, planned, progress=told)
    assert (report.n_failed, report.n_units, report.n_left) == (0, planned.n_units, 0)
    stations = list(dict.fromkeys(order))
    assert stations.index(held.station) == swarm.N_STATIONS - 1
    assert plan(config, SPAN).n_units == 0


def test_cancelled_it_ends_what_it_began_and_the_next_goes_on(config: Config) -> None:
    planned = plan(config, SPAN)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 2:
            assert cancel(config, SPAN) == 0

    report = backfill_run.run(config, planned, progress=stop)
    assert (report.stopped, report.n_units, report.n_failed) == ("cancelled", 2, 0)
    assert report.n_left == planned.n_units - 2
    rest = plan(config, SPAN)
    assert rest.n_units == planned.n_units - 2
    assert backfill_run.run(config, rest).n_left == 0


@pytest.mark.parametrize(
    ("limits", "why"), [(Limits(hours=1e-9), "h at most"), (Limits(cost=1e-9), "at a cost of")]
)
def test_nothing_begins_beyond_a_limit(config: Config, limits: Limits, why: str) -> None:
    report = backfill_run.run(config, plan(config, SPAN), limits=limits)
    assert why in report.stopped
    assert report.n_units == 0


@pytest.mark.fault(44)
def test_a_lease_is_renewed_while_its_worker_lives(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = BackfillUnit("XX.ANY", SPAN)
    seen: list[bool] = []

    def lease_until_ns() -> int:
        held = select(ledger.c.lease_until_ns).where(ledger.c.product == "backfill")
        with workspace(config).catalog.database.read() as connection:
            return int(connection.scalar(held))

    def slowly(*_: object) -> backfill.UnitReport:
        first_ns = lease_until_ns()
        for _ in range(1000):
            if lease_until_ns() > first_ns:
                seen.append(True)
                break
            time.sleep(0.02)
        return backfill.UnitReport()

    monkeypatch.setattr(backfill, "LEASE_S", 0.6)
    monkeypatch.setattr(backfill, "_worked", slowly)
    assert backfill.run_one(config, unit).held is None
    assert seen == [True]


@pytest.mark.fault(59)
def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    from geomon.errors import DataError

    for text in ("", "[]", "{}", '{"mode": "all"}'):
        with pytest.raises(DataError, match="not a plan"):
            BackfillPlan.from_json(text)


def test_failures_are_retried_alone_and_their_reasons_grouped(config: Config, recorded) -> None:
    station = plan(config, SPAN).units[0].station
    ledger = workspace(config).coverage
    stream = next(cell.key for cell in status(config, SPAN) if cell.key.startswith(f"{station}."))
    ledger.record("archive", stream, SPAN, state="failed", error=f"{stream}: timed out at 12:31")
    planned = plan(config, SPAN, mode="failed")
    assert [unit.station for unit in planned.units] == [station, "network"]
    assert "1 x fetch" in planned.text()
    backfill_run.run(config, planned)
    assert plan(config, SPAN, mode="failed").n_units == 0

    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(3)]
    cells = [
        Cell("CX.PB01..HH", day, "fetch", "failed", 1.0, f"CX.PB01..HHZ {day}: 503 after {n} s")
        for n, day in enumerate(days)
    ]
    cells.append(replace(cells[0], key="CX.PB02..HH", stage="pick", error="no such picker"))
    assert [(reason.stage, reason.count) for reason in reasons(cells)] == [
        ("fetch", 3),
        ("pick", 1),
    ]


def test_the_grid_shows_every_station_day_and_stage() -> None:
    day = date(2024, 1, 31)
    cells = [
        Cell("XX.A..HH", day + timedelta(days=n), "fetch", state, 0.0)
        for n, state in enumerate(("done", "missing", "failed", "nodata"))
    ]
    cells.append(Cell("network", day, "locate", "stale", 9.0))
    content = document(cells)
    assert content["days"] == ["2024-01-31", "2024-02-01", "2024-02-02", "2024-02-03"]
    assert content["rows"] == [
        {"key": "XX.A..HH", "stage": "fetch", "states": "#.!o"},
        {"key": "network", "stage": "locate", "states": "~   "},
    ]
    assert "XX.A..HH fetch  |#.!o|" in drawn(cells)
    many = [
        Cell("XX.A..HH", day + timedelta(days=n), "fetch", "failed" if n == 300 else "done", 0.0)
        for n in range(400)
    ]
    [_, ruler, line, *_] = drawn(many).splitlines()
    assert (line.count("!"), line.count("#")) == (1, 99)
    assert "2024-04" in ruler
    assert len(ruler) == len(line)
    assert drawn([]) == "no stations"


def test_units_are_days_of_one_station_the_newest_first(config: Config) -> None:
    long = TimeSpan(SPAN.start_ns - 20 * NS_PER_DAY, SPAN.end_ns)
    planned = plan(config, long, stations=("XX.*",))
    starts = [unit.span.start_ns for unit in planned.units]
    assert starts == sorted(starts, reverse=True)
    assert {len(unit.span.days()) for unit in planned.units} <= {7, *range(1, 7)}
    assert planned.n_days == 21
