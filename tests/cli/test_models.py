"""Published pickers become pickers that a config can name."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geomon.cli import app
from tests.cli.conftest import Shell
from tests.picking.seisbench_files import random_state, write_json, write_pt


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.environment["XDG_DATA_HOME"] = str(tmp_path / "data")
    write_pt(tmp_path / "random.pt", random_state())
    write_json(tmp_path / "random.json", norm="peak")
    return made


def test_import_and_list(shell: Shell) -> None:
    done = shell.run("geomon model import random.pt --name mine")
    assert done.returncode == 0, done.stderr
    for words in ("mine@", "ZNE at 100 Hz", "windows of 3001 samples every 1500", "P 0.4, S 0.3"):
        assert words in done.stdout
    folder = shell.folder / "data" / "geomon" / "pickers" / "mine"
    assert f"saved in {folder}; use it with picker: {{name: mine}}" in done.stdout
    listed = json.loads(shell.run("geomon model list --json").stdout)
    [mine] = [card for card in listed if card["name"] == "mine"]
    assert mine["path"] == str(folder)
    again = shell.run("geomon model import random.json --name mine --format seisbench --json")
    assert json.loads(again.stdout) == mine


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ("nothing.pt --name x", 1, "nothing.pt: cannot be read (No such file"),
        ("random.pt --name a/b", 1, "'a/b' cannot be a picker's name"),
        ("random.pt --name default", 1, "default: a picker shipped with geomon has this name"),
        ("random.pt --name x --format gpd", 1, "random.pt: not a model that Keras 2 saved"),
        ("random.pt --name x --format onnx", 2, "'onnx' is not one of"),
    ],
)
def test_what_cannot_be_imported(shell: Shell, arguments: str, status: int, says: str) -> None:
    done = shell.run(f"geomon model import {arguments}")
    assert done.returncode == status
    assert says in done.stderr
    assert not (shell.folder / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--steps 0", "or equal to 1"),
        ("--from-scratch", "--base and --from-scratch need --seisbench"),
        ("--seisbench . --teacher default", "--real and --teacher are not for --seisbench"),
        ("--seisbench .", "not a SeisBench data set"),
    ],
)
def test_training_from_what_is_not_there_is_refused(arguments: str, said: str) -> None:
    done = CliRunner().invoke(app, ["model", "train", "made", *arguments.split()])
    assert said in str(done.exception) + done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--windows .", "no labelled windows; needs .npz files or a SeisBench data set"),
        ("--reference default", "--reference default: needs --continuous"),
    ],
)
def test_evaluating_on_nothing_says_what_is_needed(shell: Shell, arguments: str, said: str) -> None:
    done = shell.run(f"geomon model evaluate default {arguments}")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
