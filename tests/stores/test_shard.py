"""An object is a valid Zarr v3 shard, and lean: only what changed is packed again."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from pcodec import standalone

from geomon.ids import StreamId
from geomon.stores.archive import Archive
from geomon.stores.codec import compress, decompress_into
from geomon.stores.layout import Series, row_of
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan
from tests.stores.archives import ALL, DAY, FIRST, HH, SPAN, counts, segment

YEAR = "CX/PB01/_.HH@100/2024"
FEBRUARY_29 = 59 * 8_640_000


@pytest.fixture
def archive(local_archive: Archive) -> Archive:
    """Return an archive in a folder: what is looked at here is the same in a bucket."""
    return local_archive


def test_a_stock_zarr_reader_sees_the_samples(archive: Archive) -> None:
    given = [segment(600, counts(100_000, k), component=c) for k, c in enumerate("Z1E")]
    archive.write([*given, segment(86_399, 200)], FIRST)
    archive.write([segment(610, np.zeros(5, np.int32))], FIRST)  # overflow bytes in the shard
    array = zarr.open_array(Path(archive.url) / YEAR, mode="r")
    assert array.shape == (3, 366 * 8_640_000)
    assert array.dtype == np.int32
    assert array.metadata.dimension_names == ("component", "time")
    assert array.attrs["stream"] == "CX.PB01..HH"
    assert array.attrs["sampling_rate_hz"] == 100.0
    start = FEBRUARY_29 + 60_000
    for row, whole in enumerate(given):
        np.testing.assert_array_equal(array[row, start : start + 100_000], whole.samples)
    assert (array[:, start - 50 : start] == -(2**31)).all()
    midnight = FEBRUARY_29 + 8_640_000
    np.testing.assert_array_equal(array[0, midnight - 100 : midnight + 100], counts(200))
    group = zarr.open_group(Path(archive.url), mode="r")
    assert group["CX/PB01/_.HH@100/2024"].shape == array.shape


def test_a_stock_zarr_reader_notices_damage(archive: Archive) -> None:
    archive.write([segment(0, 30_000)], FIRST)
    [path] = (Path(archive.url) / YEAR / "c/0").iterdir()
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 4
    path.write_bytes(damaged)
    array = zarr.open_array(Path(archive.url) / YEAR, mode="r")
    with pytest.raises(ValueError, match=r"(?i)checksum"):
        array[0, FEBRUARY_29 : FEBRUARY_29 + 10]


def test_floats_have_sibling_arrays(archive: Archive) -> None:
    samples = counts(7000).astype(np.float64) / 3
    archive.write([segment(0, samples, rate=12.5)], FIRST)
    array = zarr.open_array(Path(archive.url) / "CX/PB01/_.HH@12.5.float64/2024", mode="r")
    start = 59 * 86_400 * 12 + 59 * 43_200
    np.testing.assert_array_equal(array[0, start : start + 7000], samples)
    assert np.isnan(array[0, start + 7000])


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(1, np.int32),
        np.array([-(2**31), 2**31 - 1] * 50, np.int32),
        counts(30_000),
        counts(30_000).astype(np.float32),
    ],
)
def test_packing_is_exact_and_checked(samples: np.ndarray) -> None:
    packed = compress(samples)
    found = np.empty_like(samples)
    decompress_into(packed, found)
    np.testing.assert_array_equal(found, samples)
    with pytest.raises(ValueError, match="checksum"):
        decompress_into(packed[:-1] + bytes([packed[-1] ^ 1]), found)
    with pytest.raises(ValueError, match="does not hold"):
        decompress_into(packed, np.empty(samples.size + 1, samples.dtype))


@pytest.mark.parametrize("kind", [np.int32, np.float32, np.float64])
def test_pieces_of_any_length_are_stock_pcodec_files(kind: type) -> None:
    rng = np.random.default_rng(1)
    samples = np.round(rng.normal(0, 1000, 12_000)).astype(kind)
    for size in (*range(1, 600), 4095, 4096, 4097, 8191, 8192, 8193, 12_000):
        packed = compress(samples[:size])
        np.testing.assert_array_equal(standalone.simple_decompress(packed), samples[:size])


@pytest.mark.parametrize("size", [4000, 5000, 90_000])
def test_what_has_no_samples_costs_next_to_nothing(size: int) -> None:
    samples = np.full(90_000, -(2**31), np.int32)
    samples[20_000 : 20_000 + size] = counts(size)[: 90_000 - 20_000]
    packed = compress(samples)
    assert len(packed) < len(compress(counts(size)[: 90_000 - 20_000])) + 100
    np.testing.assert_array_equal(standalone.simple_decompress(packed), samples)


@pytest.mark.parametrize("n_wanted", [1, 256, 257, 4096, 4097, 11_999, 12_000])
def test_the_beginning_of_a_piece_can_be_read_alone(n_wanted: int) -> None:
    samples = counts(12_000)
    found = np.zeros_like(samples)
    decompress_into(compress(samples), found, n_wanted)
    np.testing.assert_array_equal(found[:n_wanted], samples[:n_wanted])


def test_late_data_leave_other_chunks_as_they_are(archive: Archive) -> None:
    """Damage in a chunk that need not be read does not hinder, nor heal."""
    archive.write([segment(0, 60_000)], FIRST)
    [path] = (Path(archive.url) / YEAR / "c/0").iterdir()
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 4
    path.write_bytes(damaged)
    archive.write([segment(5000, 1000)], FIRST)
    assert path.read_bytes()[:200] == damaged[:200]
    [finding] = archive.verify()
    assert "chunk (0, 0): checksum wrong" in finding.problem
    late = TimeSpan(DAY + 5000 * NS_PER_S, DAY + 5010 * NS_PER_S)
    assert archive.read_stream(HH, late).segments[0].samples.size == 1000


@pytest.mark.parametrize(
    ("rate", "chunk", "n_chunks"),
    [(100.0, 90_000, 96), (200.0, 180_000, 96), (20.0, 18_000, 96), (1.0, 14_400, 6)],
)
def test_inner_chunks_are_a_quarter_of_an_hour_where_there_is_enough(
    rate: float, chunk: int, n_chunks: int
) -> None:
    series = Series(HH, rate, "int32")
    assert (series.chunk_samples, series.n_chunks) == (chunk, n_chunks)
    assert series.day_samples == 86_400 * rate


@pytest.mark.parametrize("rate", [0.1, 1 / 3, 12.5, 100.0, 99.97, 1000.0])
@pytest.mark.parametrize("location", ["", "00", "--"])
def test_series_folders_read_back(rate: float, location: str) -> None:
    series = Series(StreamId("CX", "PB01", location, "HH"), rate, "float32")
    assert Series.parse(*series.folder.split("/")) == series


def test_rows_keep_vertical_first() -> None:
    assert [row_of(letter) for letter in "ZNE12UVW?"] == [0, 1, 2, 1, 2, 0, 1, 2, 0]


def test_lazy_arrays_read_a_block_a_day(archive: Archive) -> None:
    given = [segment(100, counts(20_000, 1)), segment(86_400 + 7, counts(3000, 2), component="E")]
    archive.write(given, FIRST)
    [lazy] = archive.open_stream(HH, ALL)
    assert lazy.samples.chunksize == (3, 8_640_000)
    assert lazy.samples.shape == (3, 2 * 8_640_000)
    assert lazy.time_ns(8_640_000 + 100) == DAY + NS_PER_DAY + NS_PER_S
    assert int(lazy.is_held.sum().compute()) == 23_000
    found = lazy.samples[2, 8_640_700 : 8_640_700 + 3000].compute()
    np.testing.assert_array_equal(found, counts(3000, 2))
    assert archive.open_stream(HH, TimeSpan(0, 10)) == ()
    assert SPAN.contains(lazy.time_ns(0))
