"""How many of the known faults geomon survives, and what kills and damaged input do to it.

The tests marked with a fault's number inject it for real; here they are run, with many more kills
and damaged inputs than by ``make test``. A fault is survived when a test of it passed and none
failed.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.report import Figure, at_least, at_most, main, versions
from tests.conftest import ROOT
from tests.faults.numbers import ASKED, FAULTS

ANY_ORDER = "tests/stores/test_archive_any_order.py"
COUNTS = {"KILLS": 200, "FUZZ": 5_000, "EXAMPLES": 300}
QUICK_COUNTS = {"KILLS": 1, "FUZZ": 500, "EXAMPLES": 3}
QUICK_FOLDERS = (
    "tests/faults", ANY_ORDER, "tests/stores/test_archive_processes.py",
    "tests/sources/test_miniseed.py",
)  # fmt: skip

STAGES = ("fetching", "picking", "locating", "backfilling")


@dataclass(slots=True)
class Run:
    """What came of the tests that inject faults."""

    passed: dict[int, list[str]] = field(default_factory=dict)
    failed: dict[int, list[str]] = field(default_factory=dict)
    skipped: dict[int, list[str]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    n_tests: int = 0

    def state(self, number: int) -> str:
        """Return how a fault fared, in one word."""
        if number in self.failed:
            return "**FAILED**"
        if number in self.passed:
            return "survived"
        return "not run here" if number in self.skipped else "-"


def measure(quick: bool) -> Sequence[Figure]:
    """Inject every fault there is a test for."""
    run = _run(quick)
    print(_table(run), file=sys.stderr)
    return [
        _survived(run, quick),
        *(_killed(run, stage, quick) for stage in STAGES),
        *_fuzzed(run),
        _examples(run, quick),
        _resumed(run, quick),
    ]


def _run(quick: bool) -> Run:
    """Run the marked tests in a process of their own."""
    counts = QUICK_COUNTS if quick else COUNTS
    environment = {**os.environ, "CI": "1"}
    environment |= {f"GEOMON_TEST_{k}": str(n) for k, n in counts.items()}
    if quick:
        environment["GEOMON_TEST_QUICK"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder, "outcomes")
        environment["GEOMON_TEST_OUTCOMES"] = str(outcomes)
        folders = QUICK_FOLDERS if quick else ("tests",)
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-p", "tests.faults.outcomes", "-n", "2",
                "--dist", "worksteal" if quick else "loadfile", "--no-header", *folders,
            ],
            cwd=ROOT, env=environment, stdout=sys.stderr, check=False,
        )  # fmt: skip
        if not outcomes.exists():
            raise SystemExit(f"the tests could not be run: pytest ended with {done.returncode}")
        lines = [json.loads(line) for line in outcomes.read_text().splitlines()]
    run = Run(n_tests=len({line["test"] for line in lines}))
    for line in lines:
        of_outcome = {"passed": run.passed, "skipped": run.skipped}.get(line["outcome"], run.failed)
        for number in line["faults"]:
            of_outcome.setdefault(number, []).append(line["test"])
        run.figures |= line["figures"]
    return run


def _table(run: Run) -> str:
    lines = ["| # | fault | outcome | tests |", "|---|---|---|---|"]
    for number, name in FAULTS.items():
        tests = run.failed.get(number) or run.passed.get(number) or run.skipped.get(number) or []
        names = sorted({test.rpartition("[")[0] or test for test in tests})
        more = f", {len(names) - 3} more" if len(names) > 3 else ""
        shown = ", ".join(name.removeprefix("tests/") for name in names[:3])
        lines.append(f"| {number} | {name} | {run.state(number)} | {shown}{more} |")
    return "\n".join(lines)


def _survived(run: Run, quick: bool) -> Figure:
    survived = {number for number in FAULTS if run.state(number) == "survived"}
    failed = set(run.failed)
    tried = survived | failed
    promised = ASKED & tried if quick else ASKED
    words, holds = at_least(len(survived & promised), len(promised))
    left_out = ", ".join(map(str, sorted(ASKED - tried)))
    notes = [f"{run.n_tests} tests"]
    if left_out:
        notes.append(f"{'left out of --quick' if quick else 'no test ran for'}: {left_out}")
    if failed:
        notes.append(f"failed: {', '.join(map(str, sorted(failed)))}")
    notes.append(f"{len(survived - ASKED)} more of the {len(FAULTS)} known")
    return Figure(
        figure=f"faults survived, of {len(promised)}", value=len(survived & promised), unit="",
        goal=words, holds=holds and not failed & ASKED, conditions="; ".join(notes),
    )  # fmt: skip


def _killed(run: Run, stage: str, quick: bool) -> Figure:
    name = f"killed while {stage}: stores torn, or anything lost"
    n_kills = run.figures.get(f"kills while {stage}")
    if n_kills is None:
        why = "left out of --quick" if quick else "not run"
        return Figure(figure=name, value=None, unit="", goal="<= 0", conditions=why)
    n_problems = run.figures[f"problems after kills while {stage}"]
    words, holds = at_most(n_problems, 0)
    return Figure(
        figure=name, value=n_problems, unit="", goal=words, holds=holds,
        conditions=f"{n_kills:.0f} SIGKILLs at random moments, then the same bytes and digest as "
        "undisturbed work",
    )  # fmt: skip


def _fuzzed(run: Run) -> list[Figure]:
    found = run.figures
    n_inputs = found.get("fuzzed inputs")
    names = {
        "wrong": "damaged input: samples silently wrong", "crashes": "damaged input: crashes",
        "hangs": "damaged input: hangs",
    }  # fmt: skip
    if n_inputs is None:
        return [
            Figure(figure=name, value=None, unit="inputs", goal="<= 0", conditions="not run")
            for name in names.values()
        ]
    conditions = f"{n_inputs:.0f} inputs of Steim 2 and miniSEED 3, {versions('numba', 'pymseed')}"
    figures = []
    for key, name in names.items():
        words, holds = at_most(found[f"fuzzed {key}"], 0)
        figures.append(
            Figure(
                figure=name, value=found[f"fuzzed {key}"], unit="inputs", goal=words, holds=holds,
                conditions=conditions,
            )
        )  # fmt: skip
    return figures


def _examples(run: Run, quick: bool) -> Figure:
    """Any records, in any order, cut anyhow, twice: how many examples, all of the same bytes."""
    passed = {test for tests in run.passed.values() for test in tests if test.startswith(ANY_ORDER)}
    failed = {test for tests in run.failed.values() for test in tests if test.startswith(ANY_ORDER)}
    name = "records in any order, cut anyhow, twice: same archive bytes"
    each = (QUICK_COUNTS if quick else COUNTS)["EXAMPLES"]
    value = each * len(passed) if passed or failed else None
    return Figure(
        figure=name, value=value, unit="examples", goal="all alike",
        holds=None if value is None else not failed,
        conditions=f"{len(passed)} property tests" if value is not None else "not run",
    )  # fmt: skip


def _resumed(run: Run, quick: bool) -> Figure:
    slowest = run.figures.get("slowest resume, fetching")
    name = "work resumed after a kill, slowest end of a fetch"
    if slowest is None:
        why = "left out of --quick" if quick else "not run"
        return Figure(figure=name, value=None, unit="s", goal="<= 10", conditions=why)
    words, holds = at_most(slowest, 10)
    return Figure(
        figure=name, value=slowest, unit="s", goal=words, holds=holds,
        conditions="all that is left of 8 station-days, from a process that has imported geomon",
    )  # fmt: skip


if __name__ == "__main__":
    main(measure)
