"""Stock Zarr readers open the archive, in a folder and in a bucket, and see nothing else in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import zarr
from obstore.store import S3Store

from geomon.stores.archive import Archive
from geomon.stores.layout import row_of
from geomon.times import NS_PER_DAY
from geomon.waveforms import Segment
from tests.stores.archives import ALL, DAY, FIRST, HH, SECOND, counts, segment
from tests.stores.contents import all_contents, is_remote, put

FEBRUARY_29 = 59
GIVEN = [
    segment(600, counts(50_000, 1)),
    segment(86_300, counts(20_000, 2), component="N"),
    segment(86_400 * 366, counts(700, 3), component="E"),
    segment(50, counts(3000, 4), rate=40.0),
    segment(7, counts(3000, 5).astype(np.float32) / 3, rate=12.5),
]


@pytest.fixture
def written(archive: Archive) -> Archive:
    """Return an archive with everything that may lie hidden in it."""
    archive.write(GIVEN, FIRST)
    archive.write([segment(610, np.zeros(5, np.int32))], SECOND)  # overflow bytes in the shard
    for day in range(10, 20):
        archive.write([segment(86_400 * day, 10)], FIRST)
    archive.coverage(HH, ALL)
    archive.info()
    key = "CX/PB01/_.HH@100/2024/c/0/78"
    put(archive, key, b"x")
    assert archive.set_aside(key) is not None
    assert sum("/." in key for key in all_contents(archive)) == 2
    return archive


def zarr_store(archive: Archive) -> Any:
    if not is_remote(archive):
        return archive.url
    prefix = archive.url.removeprefix("s3://waves/")
    store = S3Store("waves", prefix=prefix, client_options={"allow_http": True})
    return zarr.storage.ObjectStore(store, read_only=True)


def place(whole: Segment, positions_a_day: int) -> slice:
    """Where the samples of a segment of 2024 lie in their array."""
    days, rest_ns = divmod(whole.start_ns - DAY, NS_PER_DAY)
    first = (FEBRUARY_29 + days) * positions_a_day
    first += round(rest_ns / 1e9 * whole.sampling_rate_hz)
    return slice(first, first + whole.samples.size)


def check(array: Any, given: Sequence[Segment]) -> None:
    for whole in given:
        there = place(whole, array.attrs["positions_per_day"])
        row = row_of(whole.seed_id.component)
        np.testing.assert_array_equal(np.asarray(array[row, there]), whole.samples)


def test_a_group_walk_finds_the_arrays_and_nothing_else(written: Archive) -> None:
    """Zarr warns of whatever it does not know, and a warning fails this test."""
    group = zarr.open_group(zarr_store(written), mode="r")
    assert group.attrs["geomon_archive"]
    found = dict(group.members(max_depth=None))
    arrays = {name for name, node in found.items() if isinstance(node, zarr.Array)}
    series = ("_.HH@100/2024", "_.HH@100/2025", "_.HH@12.5.float32/2024", "_.HH@40/2024")
    assert arrays == {f"CX/PB01/{name}" for name in series}
    groups = {"CX", "CX/PB01", *(name.rpartition("/")[0] for name in arrays)}
    assert set(found) == arrays | groups
    check(found["CX/PB01/_.HH@100/2024"], GIVEN[:2])
    check(found["CX/PB01/_.HH@40/2024"], GIVEN[3:4])
    check(found["CX/PB01/_.HH@12.5.float32/2024"], GIVEN[4:])
    new_years_day = found["CX/PB01/_.HH@100/2025"]
    first = 59 * 8_640_000  # 366 days after February 29 is March 1
    np.testing.assert_array_equal(new_years_day[2, first : first + 700], counts(700, 3))


def test_xarray_opens_a_series_with_exact_samples(written: Archive) -> None:
    xarray = pytest.importorskip("xarray")
    dataset = xarray.open_zarr(
        zarr_store(written), group="CX/PB01/_.HH@100", consolidated=False, chunks=None
    )
    assert set(dataset.data_vars) == {"2024", "2025"}
    year = dataset["2024"]
    assert year.dims == ("component", "time")
    assert year.attrs["stream"] == "CX.PB01..HH"
    for whole in GIVEN[:2]:
        there = place(whole, year.attrs["positions_per_day"])
        found = year.isel(component=row_of(whole.seed_id.component), time=there)
        np.testing.assert_array_equal(found.to_numpy(), whole.samples)
