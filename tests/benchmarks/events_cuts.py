"""What tests alone show: the same events however the work is cut, and faults that cost none.

The tests of `tests/equivalence` and those marked with the faults' numbers are run, in a process of
their own.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.report import Figure, at_most
from tests.conftest import ROOT
from tests.faults.numbers import FAULTS

_EQUIVALENCE = "tests/equivalence"
_NUMBERS = (35, 36, 53)
_OF_FAULTS = (
    "tests/faults/test_metadata.py", "tests/locating/test_magnitude.py",
    "tests/locating/test_tiles.py", "tests/services/test_run.py",
    "tests/sources/test_stations.py", "tests/sources/test_stationxml.py",
)  # fmt: skip


def figures(quick: bool) -> list[Figure]:
    """Run the tests; `quick` leaves them to ``make test``."""
    return [_cuts(quick), *_faults(quick)]


def _cuts(quick: bool) -> Figure:
    name = "orders of work that end in other events or picks"
    if quick:
        return _left_out(name)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        _pytest(["-p", "no:cacheprovider", f"--junit-xml={report}", _EQUIVALENCE], {})
        text = report.read_text(encoding="utf-8")
    n_bad = text.count("<failure") + text.count("<error")
    n_skipped = text.count("<skipped")
    words, holds = at_most(n_bad, 0)
    return Figure(
        figure=name, value=n_bad, unit="", goal=words, holds=holds,
        conditions=f"{text.count('<testcase')} tests, {n_skipped} of them skipped: an hour, "
        "minutes around midnight and Hengill, whole, shuffled in pieces, and twice; a swarm live, "
        "as one day, and filled back in any order",
    )  # fmt: skip


def _faults(quick: bool) -> list[Figure]:
    names = {number: f"fault {number} survived: {FAULTS[number]}" for number in _NUMBERS}
    if quick:
        return [_left_out(name) for name in names.values()]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder, "outcomes")
        _pytest(
            ["-p", "tests.faults.outcomes", *_OF_FAULTS], {"GEOMON_TEST_OUTCOMES": str(outcomes)}
        )
        lines = [json.loads(line) for line in outcomes.read_text().splitlines()]
    answer = []
    for number, name in names.items():
        of_it = [line["outcome"] for line in lines if number in line["faults"]]
        n_passed = of_it.count("passed")
        answer.append(
            Figure(
                figure=name, value=float(n_passed > 0 and "failed" not in of_it), unit="",
                goal=">= 1", holds=n_passed > 0 and "failed" not in of_it,
                conditions=f"{n_passed} of {len(of_it)} tests passed",
            )
        )  # fmt: skip
    return answer


def _pytest(arguments: list[str], environment: dict[str, str]) -> None:
    """Run tests in one process; what came of them is in the files they write."""
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "--no-header", *arguments],
        cwd=ROOT, env={**os.environ, **environment}, stdout=sys.stderr, check=False,
    )  # fmt: skip


def _left_out(name: str) -> Figure:
    return Figure(figure=name, value=None, unit="", conditions="left out of --quick")
