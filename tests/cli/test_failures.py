"""What goes wrong is one clear line; what can go on, goes on."""

import json
import re
from pathlib import Path

import pytest
import yaml

from geomon.cli import main
from tests.cli.conftest import Shell
from tests.networks import simulated_file
from tests.servers import free_port

MINUTES = "--start 2024-05-02T00:00 --end 2024-05-02T00:02"


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.mark.fault(59, slow=True)
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("run --start 2024-05-02 --end 2024-05-01", "must be later than --start"),
        ("run --start yesterday --end 2024-05-01", "'yesterday' is not a time"),
        (f"pick {MINUTES} --stations CX", "--stations CX: write NET.STA"),
        ("catalog query --bbox 1,2,3", "--bbox 1,2,3: write W,S,E,N"),
        ("catalog query --format xlsx", "--format xlsx: allowed are table, csv"),
        ("catalog query --bbox 1,5,2,4", "-90 <= south <= north <= 90"),
        ("run --start 2024-05-01 --end 2024-05-02 --config nowhere.yaml", "no such config file"),
        (f"backfill plan {MINUTES} --mode most", "--mode most: allowed are missing, failed"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(shell: Shell, command: str, expected: str) -> None:
    path = simulated_file(shell.folder)
    config = "" if "--config" in command else f" --config {path}"
    done = shell.run(f"geomon {command}{config}")
    assert done.returncode == 2
    [line] = lines(done.stderr)
    assert expected in line


@pytest.mark.fault(59, slow=True)
def test_wrong_config_is_one_line_and_status_2(shell: Shell) -> None:
    path = simulated_file(shell.folder, picker={"treshold_p": 0.4})
    done = shell.run(f"geomon run {MINUTES} --config {path}")
    assert done.returncode == 2
    [line] = lines(done.stderr)
    assert "in picker, 'treshold_p' is not a key; did you mean 'threshold_p'?" in line


def test_dead_server_is_one_line_and_status_1(shell: Shell) -> None:
    source = {"kind": "fdsn", "urls": [f"http://127.0.0.1:{free_port()}"], "max_attempts": 1}
    path = simulated_file(shell.folder, source=source)
    done = shell.run(f"geomon run {MINUTES} --config {path}")
    assert done.returncode == 1
    [line] = lines(done.stderr)
    assert "127.0.0.1" in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (f"catalog query {MINUTES} --json", "[]"),
        (f"catalog query {MINUTES}", ""),
        ("catalog diff 2024-05-01 --json", "[]"),
        (f"picks query {MINUTES} --json", "[]"),
        (f"coverage {MINUTES} --json", "[]"),
        (f"quality {MINUTES} --json", "[]"),
        ("archive info --json", "[]"),
        (f"model windows {MINUTES} --json", "[]"),
        ("model decisions", ""),
        ("backfill cancel --json", '{"n_at_work": 0}'),
        ("catalog show gm1", None),
        (f"catalog merge {MINUTES} --json", "[]"),
        ("catalog review gm1 --actor anna --state confirmed", None),
        (f"relocate {MINUTES}", None),
    ],
)
def test_reading_what_was_never_written_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    command: str, answer: str | None,
) -> None:  # fmt: skip
    """Lists are empty, which is no failure; what needs more than nothing fails."""
    path = simulated_file(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("sys.argv", ["geomon", *command.split(), "--config", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    printed, told = capsys.readouterr()
    assert ended.value.code == (1 if answer is None else 0)
    assert printed.strip() == (answer or "")
    [line] = lines(told)
    assert re.match(
        rf"geomon: {tmp_path}/\S+: no (archive|catalogue) there yet, so no data: `geomon run`", line
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "archive verify",
        "catalog export --format csv",
        f"catalog digest {MINUTES}",
    ],
)
def test_nothing_to_work_on_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    path = simulated_file(tmp_path)
    monkeypatch.setattr("sys.argv", ["geomon", *command.split(), "--config", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert not (tmp_path / "archive").exists()


def test_one_dead_data_centre_leaves_the_next_to_serve(shell: Shell) -> None:
    path = simulated_file(shell.folder)
    done = shell.run(f"geomon ingest {MINUTES} --config {path} --json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["n_new_samples"] > 0
    again = json.loads(shell.run(f"geomon ingest {MINUTES} --config {path} --json").stdout)
    assert again["n_new_samples"] == 0


def test_no_command_is_slow_to_start(shell: Shell) -> None:
    code = (
        "import sys, geomon.cli; heavy = {'tensorflow', 'keras', 'obspy', 'prefect', 'zarr', "
        "'pyocto', 'matplotlib', 'scipy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = shell.run(f'python -c "{code}"')
    assert done.returncode == 0, done.stderr


def test_config_schema_and_doctor(shell: Shell) -> None:
    schema = json.loads(shell.run("geomon config schema").stdout)
    assert "network" in schema["properties"]
    path = simulated_file(shell.folder)
    done = shell.run(f"geomon doctor --config {path} --json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert {check["name"] for check in report["checks"]} >= {"python", "picker", "source"}
    broken = yaml.safe_load(Path(path).read_text())
    broken["picker"] = {"name": "./nowhere"}
    Path(path).write_text(yaml.safe_dump(broken))
    done = shell.run(f"geomon doctor --config {path}")
    assert done.returncode == 1
    assert "NOT picker" in done.stdout
