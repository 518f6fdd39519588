"""SeisBench (Woollam et al. 2022, https://doi.org/10.1785/0220210324) as a peer.

It lives in an environment of its own below the user's caches, with a build of PyTorch for CPUs,
and is driven as a subprocess. ``python -m tests.benchmarks.seisbench`` makes the environment.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from geomon.caches import cache_folder

REQUIREMENTS = ("torch==2.13.0+cpu", "seisbench==0.12.6")
PYTHONS = ("python3.11", "python3.12")
FOLDER = cache_folder("seisbench")


class SeisBenchMissing(Exception):
    """There is no SeisBench here, and why."""


def seisbench_python(*, build: bool = True) -> Path:
    """Return the interpreter that imports SeisBench.

    Parameters
    ----------
    build : bool
        Make the environment if there is none: minutes, and a gigabyte.

    Raises
    ------
    SeisBenchMissing
        If there is none, and none is to be made or can be.
    """
    interpreter, done = FOLDER / "env" / "bin" / "python", FOLDER / "installed"
    wanted = "\n".join(REQUIREMENTS)
    if not build and not done.is_file():
        msg = "needs SeisBench: python -m tests.benchmarks.seisbench"
        raise SeisBenchMissing(msg)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_file() or done.read_text(encoding="utf-8") != wanted:
            _install(interpreter)
            done.write_text(wanted, encoding="utf-8")
    return interpreter


def _install(interpreter: Path) -> None:
    python = next((found for name in PYTHONS if (found := _working(name))), None)
    if python is None:
        msg = f"needs one of {', '.join(PYTHONS)} for SeisBench"
        raise SeisBenchMissing(msg)
    commands = (
        [python, "-m", "venv", "--clear", "--without-pip", str(FOLDER / "env")],
        [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--quiet",
         "--no-input", "--disable-pip-version-check", *REQUIREMENTS],
    )  # fmt: skip
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            msg = f"SeisBench cannot be installed: {last[0]}"
            raise SeisBenchMissing(msg)


def _working(name: str) -> str | None:
    """Return the path of an interpreter that runs; a version manager's stand-in may not."""
    found = shutil.which(name)
    if found is None:
        return None
    done = subprocess.run([found, "-c", "import venv"], capture_output=True, check=False)
    return found if done.returncode == 0 else None


def run_seisbench(
    code: str, *arguments: str, threads: int = 1, environment: Mapping[str, str] | None = None
) -> str:
    """Run a piece of Python where SeisBench can be imported; return what it prints.

    The environment must exist: `seisbench_python` makes it.

    Parameters
    ----------
    code : str
        Python source; `arguments` are its ``sys.argv[1:]``.
    *arguments : str
        Command-line arguments.
    threads : int
        Threads PyTorch and the linear algebra may use.
    environment : mapping of str to str, optional
        Further environment variables.

    Raises
    ------
    SeisBenchMissing
        If there is no environment for it.
    """
    interpreter = seisbench_python(build=False)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    variables = {
        **os.environ, **dict.fromkeys(names, str(threads)),
        "SEISBENCH_CACHE_ROOT": str(FOLDER / "models"), **(environment or {}),
    }  # fmt: skip
    done = subprocess.run(
        [str(interpreter), "-c", code, *arguments],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


if __name__ == "__main__":
    print(seisbench_python())
