"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks; forget what the caller's shell overrides in configs."""
    for name in [name for name in os.environ if name.startswith("GEOMON_") and "__" in name]:
        del os.environ[name]
    config.addinivalue_line(
        "markers",
        "fault(*numbers, slow=False, figure=False): injects faults, numbered as in "
        "tests/faults/numbers.py; `python -m tests.benchmarks.faults --quick` leaves slow ones out "
        "and always runs those that measure a figure",
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings kept beside the project; the test is skipped where it is absent."""
    folder = Path(os.environ.get("GEOMON_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the recordings in {folder} (set GEOMON_SHARED)")
    return folder


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder of published picker weights; the test is skipped where it is absent."""
    folder = Path(os.environ.get("GEOMON_SHARED", ROOT.parent / "shared")) / "weights"
    if not folder.is_dir():
        pytest.skip(f"needs the published weights in {folder} (set GEOMON_SHARED)")
    return folder
