"""A shell to run commands in, and one demo for all tests of a process: it takes a minute."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


class Shell:
    """A folder, and how commands are run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        binaries = str(Path(sys.executable).parent)
        self.environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a line as a shell would, and wait for its end."""
        return subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, text=True,
            capture_output=True, check=False, timeout=600,
        )  # fmt: skip

    def start(self, command: str) -> "subprocess.Popen[str]":
        """Start a server."""
        return subprocess.Popen(
            command.split(), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, str]:
    """A folder in which `geomon demo` was run, and what it printed."""
    shell = Shell(tmp_path_factory.mktemp("user"))
    done = shell.run("geomon demo")
    assert done.returncode == 0, done.stderr
    return shell, done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty folder."""
    return Shell(tmp_path)
