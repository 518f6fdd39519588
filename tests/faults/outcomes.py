"""A pytest plugin: run only the tests that inject faults, and write down what came of them.

``pytest -p tests.faults.outcomes`` with GEOMON_TEST_OUTCOMES naming the file to write. Where
GEOMON_TEST_QUICK is set, the first test of each fault will do, and none whose mark says ``slow``;
those that measure a figure come first.
"""

import json
import os
from pathlib import Path

import pytest


def numbers(item: pytest.Item) -> list[int]:
    """Return the faults a test injects."""
    return sorted({n for mark in item.iter_markers("fault") for n in mark.args})


def _says(item: pytest.Item, word: str) -> bool:
    return any(mark.kwargs.get(word) for mark in item.iter_markers("fault"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what injects no fault."""
    is_quick = bool(os.environ.get("GEOMON_TEST_QUICK"))
    chosen, others = [], []
    covered: set[int] = set()
    for item in sorted(items, key=lambda item: not _says(item, "figure")):
        is_chosen = bool(numbers(item))
        if is_quick:
            is_needed = _says(item, "figure") or not covered.issuperset(numbers(item))
            is_chosen = is_needed and not _says(item, "slow")
        if is_chosen:
            covered.update(numbers(item))
        (chosen if is_chosen else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    """Hand the numbers on to where the outcome is known."""
    report = yield
    report.faults = numbers(item)
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Append a line a test, and another if its end went wrong."""
    if report.when == "call" or report.outcome != "passed":
        line = {
            "test": report.nodeid,
            "faults": report.faults,
            "outcome": report.outcome,
            "figures": dict(report.user_properties),
            "reason": report.longrepr[-1] if isinstance(report.longrepr, tuple) else "",
        }
        with Path(os.environ["GEOMON_TEST_OUTCOMES"]).open("a") as file:
            file.write(json.dumps(line) + "\n")
