"""Fixtures of the stores."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from geomon.stores.catalog import Catalog


@pytest.fixture(scope="session")
def catalog_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Catalog]]:
    """Make empty catalogues, also many in one test."""
    folder: Path = tmp_path_factory.mktemp("catalogs")
    opened: list[Catalog] = []

    def make() -> Catalog:
        opened.append(Catalog.open(f"sqlite:///{folder}/{uuid4().hex}.sqlite"))
        return opened[-1]

    yield make
    for catalog in opened:
        catalog.close()


@pytest.fixture
def catalog(catalog_factory: Callable[[], Catalog]) -> Catalog:
    """Return an empty catalogue."""
    return catalog_factory()


@pytest.fixture(scope="session")
def one_catalog(catalog_factory: Callable[[], Catalog]) -> Catalog:
    """Return a catalogue that several tests share under keys of their own."""
    return catalog_factory()
