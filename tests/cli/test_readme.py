"""The demo and every command of the README, in one file: one process, one demo."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import typer
import yaml
from obspy import read_events
from typer.testing import CliRunner

from geomon.cli import app
from geomon.config import load_config
from tests.cli.conftest import Shell
from tests.equivalence.stores import catalog_content
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# `geomon up` has a test of its own (tests/flows); the demo is the fixture.
ELSEWHERE = {"geomon up --config demo/config.yaml": "geomon up --help"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line]


@contextmanager
def served(shell: Shell, command: str, url: str) -> Iterator[None]:
    server = shell.start(command)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=30)) as client:
            assert client.get(url, timeout=60).status_code == 200
        yield
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_every_command_runs(demo: tuple[Shell, str], monkeypatch: pytest.MonkeyPatch) -> None:
    shell, _ = demo
    port = str(free_port())
    lines = [ELSEWHERE.get(line, line).replace("8080", port) for line in commands()]
    server = next(line for line in lines if line.startswith("geomon serve"))
    assert all(line == "make demo" or line.startswith(("geomon ", "curl ")) for line in lines)
    with monkeypatch.context() as inside:  # one process for all: each imports Keras otherwise
        inside.chdir(shell.folder)
        for line in lines:
            if line.startswith("geomon ") and line != server:
                words = shlex.split(line.replace("configs/", f"{ROOT}/configs/"))
                done = CliRunner().invoke(app, words[1:])
                assert done.exit_code == 0, f"{line}: {done.stderr}"
                assert "Traceback" not in done.stderr, line
    with served(shell, f"{server} --port {port}", f"http://127.0.0.1:{port}/"):
        for line in lines:
            if line.startswith("curl"):
                done = shell.run(line)
                assert done.returncode == 0, f"{line}: {done.stderr}"
                assert len(done.stdout) > 100, line


def test_the_python_example_runs(demo: tuple[Shell, str]) -> None:
    shell, _ = demo
    [example] = blocks("python")
    (shell.folder / "example.py").write_text(example, encoding="utf-8")
    done = shell.run("python example.py")
    assert done.returncode == 0, done.stderr
    assert "magnitude" in done.stdout
    assert "XX.GM01.00.HHZ" in done.stdout


def test_the_config_examples_are_good(tmp_path: Path) -> None:
    example, sources, alerts = blocks("yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(example, encoding="utf-8")
    config = load_config(path)
    assert config.network.name == "My network"
    assert yaml.safe_load(example)["source"]["kind"] == config.source.kind
    kinds = set()
    for line in sources.splitlines():
        if line.startswith("source:"):
            path.write_text(f"network: {{name: mine}}\n{line}\n", encoding="utf-8")
            kinds.add(load_config(path).source.kind)
    assert kinds == {"fdsn", "files", "seedlink", "opendata"}
    path.write_text(f"{example}{alerts}", encoding="utf-8")
    assert load_config(path).alerts.email_to == ("duty@example.org",)


def test_every_command_mentioned_exists() -> None:
    console = [line for line in "\n".join(blocks("console")).splitlines() if line[:7] == "geomon "]
    mentioned = re.findall(r"`geomon ((?:[a-z]+\s?){1,2})", README)
    for words in {*mentioned, *(line[7:] for line in console)}:
        command = typer.main.get_command(app)
        for word in words.split():
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, f"geomon {words}"
            command = command.commands[word]


DEMO_SPAN = "--start 2024-05-01T23:30 --end 2024-05-02T00:30 --config demo/config.yaml"


def test_the_demo_finds_what_can_be_found(demo: tuple[Shell, str]) -> None:
    shell, printed = demo
    assert "doubled 0, false 0" in printed
    events = json.loads(shell.run(f"geomon catalog query {DEMO_SPAN} --json").stdout)
    assert len(events) >= 45
    for name in ("catalog.csv", "catalog.xml", "map.png", "section.png"):
        assert (shell.folder / "demo" / name).stat().st_size > 10_000
    assert len(read_events(str(shell.folder / "demo" / "catalog.xml"))) == len(events)


def lasting_rows(shell: Shell) -> list[str]:
    """Return all rows but those that say when a gap was last asked for, which ages by itself."""
    config = load_config(shell.folder / "demo" / "config.yaml")
    ageing = tuple(f'INSERT INTO "{table}"' for table in ("gap", "run", "clock"))
    return [row for row in catalog_content(config) if not row.startswith(ageing)]


def test_a_second_demo_changes_nothing(demo: tuple[Shell, str]) -> None:
    shell, _ = demo
    before = shell.run(f"geomon catalog digest {DEMO_SPAN}").stdout
    rows = lasting_rows(shell)
    assert len(rows) > 1000
    done = shell.run("geomon demo --json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["n_false"] == report["n_doubled"] == 0
    assert report["n_findable_found"] >= 0.95 * report["n_findable"]
    assert shell.run(f"geomon catalog digest {DEMO_SPAN}").stdout == before
    assert lasting_rows(shell) == rows
    assert not Path(shell.folder, "demo", "served.yaml").exists()
