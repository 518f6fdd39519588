"""One stretch of time through all stages, and what is said about it."""

import pytest

from geomon.config import Config
from geomon.ids import StreamId
from geomon.services.backfill import plan
from geomon.services.coverage import coverage, table
from geomon.services.grid import Cell, drawn, status
from geomon.services.run import RunReports
from geomon.services.workspace import workspace
from geomon.times import TimeSpan
from tests.services.conftest import SPAN

YEAR_BEFORE = TimeSpan.parse("2023-05-02T00:00", "2023-05-02T03:00")


@pytest.mark.fault(36, slow=True)
def test_a_channel_without_response_is_told_and_gives_no_magnitude(
    processed: tuple[Config, RunReports],
) -> None:
    config, reports = processed
    assert not any(report.n_failed for report in reports)
    assert any("GM09" in p and "no usable response" in p for p in reports.locate.problems)
    events = workspace(config).catalog.events(SPAN.start_ns, SPAN.end_ns)
    assert len(events) >= 3
    sized = [event for event in events if event.preferred_magnitude is not None]
    assert sized
    stations = {
        one.seed_id.station
        for event in sized
        for one in event.preferred_magnitude.station_magnitudes  # type: ignore[union-attr]
    }
    assert "GM09" not in stations
    assert any("GM09" in str(pick.seed_id) for event in events for pick in event.picks)


@pytest.mark.fault(57, slow=True)
def test_awkward_streams_are_kept_apart(processed: tuple[Config, RunReports]) -> None:
    config, _ = processed
    streams = workspace(config).archive.streams()
    at_gm03 = [s for s in streams if s.station == "GM03"]
    assert {s.location for s in at_gm03} == {"00", "10"}
    assert any(len(s.station) == 5 for s in streams)
    picked = {pick.seed_id.stream_id for pick in workspace(config).catalog.picks(SPAN)}
    assert picked == set(streams)


def test_coverage_tells_no_earthquake_from_no_data(
    processed: tuple[Config, RunReports],
) -> None:
    config, _ = processed
    watched = coverage(config, SPAN)
    assert all(row.archived > 0.9 for row in watched)
    assert all(row.located == row.picked > 0.9 for row in watched)
    never = coverage(config, YEAR_BEFORE)
    assert all(row.archived == row.picked == row.located == 0 for row in never)
    assert len(never) == 3 * len(watched)
    assert "100.0% archived" in table(watched, SPAN)


def test_coverage_of_a_stream_names_what_is_missing(
    processed: tuple[Config, RunReports],
) -> None:
    config, _ = processed
    archive = workspace(config).archive
    held = archive.coverage(StreamId.parse("XX.GM06..EH"), SPAN)
    assert [seed_id.component for seed_id in held] == ["Z"]


def test_a_plan_counts_what_is_done_and_what_is_not(
    processed: tuple[Config, RunReports],
) -> None:
    config, _ = processed
    two_days = TimeSpan.parse("2024-05-02", "2024-05-04")
    planned = plan(config, two_days)
    n_streams = len(workspace(config).archive.streams())
    assert planned.n_stations == 12
    assert sum(planned.to_do["fetch"].values()) == 2 * n_streams
    assert planned.to_do["fetch"]["missing"] == 2 * n_streams  # six minutes are not a day
    assert planned.to_do["pick"]["nodata"] == n_streams  # nothing archived on the second day
    assert planned.to_do["locate"] == {"missing": 2}
    assert planned.n_units == 12 + 1
    assert planned.fetch_gb > 0
    done = plan(config, SPAN)
    assert set(done.to_do["pick"]) <= {"done"}
    assert "12 x 2 station-days" in planned.text()


def test_the_grid_has_a_sign_a_day(processed: tuple[Config, RunReports]) -> None:
    config, _ = processed
    cells = status(config, TimeSpan.parse("2024-05-02", "2024-05-04"), stations=("XX.GM01",))
    assert [cell.state for cell in cells if cell.stage == "pick"] == ["done", "nodata"]
    text = drawn(cells)
    assert "XX.GM01.00.HH pick   |#o|" in text
    assert all(isinstance(cell, Cell) for cell in cells)
