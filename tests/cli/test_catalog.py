"""The catalogue from the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from geomon.cli import app
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
