"""The demo tells the truth, and a second time changes nothing."""

import json
from pathlib import Path

from obspy import read_events

from tests.cli.conftest import Shell

SPAN = "--start 2024-05-01T23:30 --end 2024-05-02T00:30 --config demo/config.yaml"


def test_it_finds_what_can_be_found(demo: tuple[Shell, str]) -> None:
    shell, printed = demo
    assert "doubled 0, false 0" in printed
    events = json.loads(shell.run(f"geomon catalog query {SPAN} --json").stdout)
    assert len(events) >= 45
    for name in ("catalog.csv", "catalog.xml", "map.png", "section.png"):
        assert (shell.folder / "demo" / name).stat().st_size > 10_000
    assert len(read_events(str(shell.folder / "demo" / "catalog.xml"))) == len(events)


def test_a_second_time_changes_nothing(demo: tuple[Shell, str]) -> None:
    shell, _ = demo
    before = shell.run(f"geomon catalog digest {SPAN}").stdout
    rows = shell.run("sqlite3 demo/catalog.sqlite .dump 2>/dev/null || true").stdout
    done = shell.run("geomon demo --json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["n_false"] == report["n_doubled"] == 0
    assert report["n_findable_found"] >= 0.95 * report["n_findable"]
    assert shell.run(f"geomon catalog digest {SPAN}").stdout == before
    assert shell.run("sqlite3 demo/catalog.sqlite .dump 2>/dev/null || true").stdout == rows
    assert not Path(shell.folder, "demo", "served.yaml").exists()
