"""Say what is installed, reachable and writable, and what to do about what is not."""

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geomon.config import Config, FdsnSource
from geomon.errors import GeomonError, NotMade
from geomon.services.reports import Report

_PACKAGES = ("tensorflow", "keras", "zarr", "obspy", "pymseed", "pyocto", "prefect", "dask")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `remedy` says what to do when it is not right."""

    name: str
    is_fine: bool
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport(Report):
    """Every check, in the order made."""

    checks: tuple[Check, ...]


def examine(config: Config) -> DoctorReport:
    """Check the installation and everything the config names; nothing is changed."""
    checks = [
        _python(),
        *(_package(name) for name in _PACKAGES),
        _attempt("archive", lambda: _archive(config.archive.url), "choose archive.url"),
        _attempt("catalogue", lambda: _catalog(config), "check catalog.url"),
        _attempt("picker", lambda: _picker(config), "see `geomon model list`"),
        _attempt("source", lambda: _source(config), "check the source section and the network"),
    ]
    if config.compute.dask_scheduler:
        checks.append(_attempt("cluster", lambda: _cluster(config), "check the compute section"))
    wrong = [check for check in checks if not check.is_fine]
    return DoctorReport(
        n_failed=len(wrong),
        problems=tuple(f"{check.name}: {check.found}; {check.remedy}" for check in wrong),
        checks=tuple(checks),
    )


def _python() -> Check:
    version = platform.python_version()
    return Check("python", True, f"{version}, {os.cpu_count()} cores")


def _package(name: str) -> Check:
    for distribution in (name, f"{name}-cpu"):
        try:
            return Check(name, True, importlib.metadata.version(distribution))
        except importlib.metadata.PackageNotFoundError:
            continue
    return Check(name, False, "not installed", "run `make demo`, or pip install geomon again")


def _attempt(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except (GeomonError, OSError) as error:
        return Check(name, False, str(error), remedy)


def _writable(folder: Path) -> str:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    with tempfile.TemporaryFile(dir=existing):
        pass
    free_gb = shutil.disk_usage(existing).free / 1e9
    return f"{folder} writable, {free_gb:.0f} GB free"


def _archive(url: str) -> str:
    if "://" not in url:
        return _writable(Path(url))
    from geomon.stores.archive import store_at

    return f"{url}: answers, {len(store_at(url).names())} names"


def _catalog(config: Config) -> str:
    from geomon.stores.catalog import Catalog
    from geomon.stores.queries import EventQuery

    url = config.catalog.url
    try:
        catalog = Catalog.open(url, agency=config.network.agency, create=False)
    except NotMade as error:
        where = url.removeprefix("sqlite:///")
        room = "" if where == url else f"; {_writable(Path(where).parent)}"
        return f"{error}, will be made{room}"
    return f"{catalog.database.name}: {catalog.count(EventQuery())} events"


def _picker(config: Config) -> str:
    from geomon.services.champion import load

    return load(config).card.label


def _cluster(config: Config) -> str:
    from geomon.services.fanout import connected

    rule = config.compute
    with connected(str(rule.dask_scheduler), rule.dask_picking) as client:
        threads = client.nthreads()
    return f"{rule.dask_scheduler}: {len(threads)} workers, {sum(threads.values())} threads"


def _source(config: Config) -> str:
    from geomon.sources.opening import open_source
    from geomon.times import NS_PER_DAY, TimeSpan

    if isinstance(config.source, FdsnSource) and config.network.stations is not None:
        return f"{', '.join(config.source.urls)}; stations from {config.network.stations}"
    stations = open_source(config).stations(TimeSpan(0, 100 * 365 * NS_PER_DAY))
    return f"{config.source.kind}: {len(stations.station_ids())} stations"
