"""The catalogue from the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from geomon.cli import app
from geomon.errors import DataError
from geomon.stores.catalog import Catalog
from geomon.stores.quakeml import write_quakeml
from geomon.stores.relocating import add_origins
from tests.stores.events import HOUR, make_event, many_events


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    catalog = Catalog.open(f"sqlite:///{folder}/catalog.sqlite")
    catalog.replace_events(HOUR, many_events(4), catalog.begin_run("locate"))
    catalog.import_quakeml(
        write_quakeml([make_event(7200.0, value=3.3)], agency="usgs"), catalog="other"
    )
    catalog.close()
    path = folder / "network.yaml"
    credit = {"network": "GM", "doi": "10.7914/SN/GM"}
    content = {
        "network": {"name": "Net", "credits": [credit]},
        "source": {"kind": "simulated"},
        "archive": {"url": "archive"},
        "catalog": {"url": "sqlite:///catalog.sqlite"},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def geomon(config: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["catalog", *words, "--config", str(config)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("options", "n_found"),
    [
        ((), 4),
        (("--catalog", "other"), 1),
        (("--catalog", "all"), 5),
        (("--catalog", "all", "--min-magnitude", "3.25"), 1),
        (("--catalog", "all", "--contributor", "GEOMON"), 4),
        (("--catalog", "other", "--contributor", "usgs"), 1),
        (("--event-type", "explosion"), 0),
        (("--event-type", "earthquake,explosion", "--limit", "3"), 3),
        (("--min-depth", "100"), 0),
        (("--as-of", "2020-01-01"), 0),
    ],
)
def test_events_are_listed_as_asked(config, options, n_found):
    assert len(json.loads(geomon(config, "query", "--json", *options))) == n_found


def test_an_export_says_in_json_what_it_wrote(config, tmp_path):
    file = tmp_path / "events.csv"
    written = json.loads(
        geomon(config, "export", "--format", "csv", "--output", str(file), "--json")
    )
    assert written == {"file": str(file), "format": "csv"}
    assert len(file.read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("query --catalog nope", "--catalog nope: held are all, geomon, other"),
        ("query --event-type quake", "--event-type quake: QuakeML has not existing"),
        ("query --min-magnitude 5 --max-magnitude 1", "--max-magnitude 1.0 is below"),
        ("query --start 2024-05-02 --end 2024-05-01", "--end 2024-05-01 is below --start 2024"),
        ("query --output events.txt", "--output events.txt: give --format, one of csv"),
        ("export --format table", "--format table: allowed are csv"),
        ("export --json", "--json tells of a file: give --output FILE too"),
        ("diff 2024-05-02 2024-05-01", "B 2024-05-01 is below A 2024-05-02"),
    ],
)
def test_what_can_have_no_answer_is_told(config, words, expected):
    done = CliRunner().invoke(app, ["catalog", *words.split(), "--config", str(config)])
    assert isinstance(done.exception, DataError)
    assert expected in str(done.exception)


def test_an_empty_answer_says_what_it_is_worth(config):
    found = ["catalog", "query", "--as-of", "2020-01-01", "--config", str(config)]
    done = CliRunner().invoke(app, found)
    assert "no such event as of 2020-01-01; with --start and --end" in done.stderr
    span = ["--start", "2024-05-02", "--end", "2024-05-03", "--config", str(config)]
    for asked in (["catalog", "query", "--min-depth", "99"], ["picks", "query", "--phase", "S"]):
        done = CliRunner().invoke(app, [*asked, *span])
        assert "nothing was ever archived here: no data, not no earthquake" in done.stderr


def test_events_come_in_the_order_asked_for(config):
    found = json.loads(geomon(config, "query", "--json", "--order-by", "-magnitude"))
    sizes = [event["magnitude"] for event in found]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("csv", b"event_id,time"), ("geojson", b'"credits"'), ("quakeml", b"10.7914/SN/GM"),
        ("parquet", b"PAR1"), ("nonlinloc", b" GAU "), ("hypodd", b"# 2026"),
        ("nordic", b"STAT SP"),
    ],
)  # fmt: skip
def test_every_format_is_exported(config, tmp_path, kind, mark):
    file = tmp_path / "events"
    geomon(config, "export", "--format", kind, "--output", str(file), "--bbox", "-30,60,-10,70")
    assert mark in file.read_bytes()
    beside = tmp_path / "events.credits.txt"
    assert beside.exists() == (kind in {"csv", "nonlinloc", "hypodd", "nordic"})
    assert not beside.exists() or "10.7914/SN/GM" in beside.read_text()


def test_origins_that_are_not_preferred_are_shown_and_exported(config, tmp_path):
    catalog = Catalog.open(f"sqlite:///{config.parent}/catalog.sqlite")
    event = catalog.events()[0]
    relative = replace(event.preferred_origin, latitude=64.123, method="double-difference")
    run = catalog.begin_run("relocate")
    add_origins(catalog.database, [(event.event_id, relative)], run, preferred=False, why="moved")
    catalog.close()
    shown = geomon(config, "show", event.event_id)
    assert "64.1230" in shown
    assert f"double-difference, never preferred, run {run.run_id}" in shown
    [other] = json.loads(geomon(config, "show", event.event_id, "--json"))["other_origins"]
    assert other["origin"]["latitude"] == 64.123
    file = tmp_path / "all.xml"
    for options, count in (((), 4), (("--all-origins",), 5)):
        geomon(config, "export", "--output", str(file), *options)
        assert file.read_bytes().count(b"<origin ") == count
