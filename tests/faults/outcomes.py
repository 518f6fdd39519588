"""A pytest plugin: run only the tests that inject faults, and write down what came of them.

``pytest -p tests.faults.outcomes`` with GEOMON_TEST_OUTCOMES naming the file to write; tests whose
mark says ``slow`` are left out where GEOMON_TEST_QUICK is set.
"""

import json
import os
from pathlib import Path

import pytest


def numbers(item: pytest.Item) -> list[int]:
    """Return the faults a test injects."""
    return sorted({n for mark in item.iter_markers("fault") for n in mark.args})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what injects no fault."""
    is_quick = bool(os.environ.get("GEOMON_TEST_QUICK"))
    chosen, others = [], []
    for item in items:
        is_slow = any(mark.kwargs.get("slow") for mark in item.iter_markers("fault"))
        is_chosen = bool(numbers(item)) and not (is_quick and is_slow)
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
