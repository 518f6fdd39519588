"""An archive on S3 survives what happens to requests, and writers that meet."""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from geomon.errors import StoreConflict, StoreError, StoreUnavailable
from geomon.stores.archive import Archive
from geomon.stores.bucket import Bucket
from geomon.times import NS_PER_S, TimeSpan
from tests.faultproxy import Fault
from tests.stores.archives import DAY, FIRST, HH, SECOND, SPAN, counts, same, segment
from tests.stores.contents import contents, digest, put
from tests.stores.killing import kill_writers, piece, request
from tests.stores.spoiling import (
    SpoiledS3,
    after,
    cut_short,
    damaged,
    refused,
    reset,
    reset_after_doing,
)

DAY_KEY = "CX/PB01/_.HH@100/2024/c/0/59"
LONG = segment(0, np.random.default_rng(1).integers(-(2**20), 2**20, 90_000, np.int32))
LATE = segment(1000, counts(500, 2))


@pytest.fixture
def s3(s3_endpoint: str, bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpoiledS3]:
    with SpoiledS3(s3_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def archive(s3: SpoiledS3, bucket_url: str) -> Archive:
    """Return an archive whose one object is longer than what opening it fetches."""
    archive = Archive.open(bucket_url)
    archive.write([LONG], FIRST)
    assert len(contents(archive)[DAY_KEY]) > 200_000
    return archive


@pytest.mark.fault(41)
@pytest.mark.parametrize(
    "faults",
    [
        [refused(503)],
        [refused(500), refused(502), refused(504)],
        [refused(429)],
        [reset],
        [cut_short],
        [damaged],
        [after(int), damaged],
        [cut_short, refused(503), reset],
    ],
)
def test_reads_that_fail_are_made_again(
    s3: SpoiledS3, archive: Archive, faults: list[Fault]
) -> None:
    s3.spoil("GET", DAY_KEY.rpartition("/")[2], *faults)
    assert same(archive.read_stream(HH, SPAN).segments, [LONG])
    assert s3.is_done
    s3.spoil("GET", DAY_KEY.rpartition("/")[2], *faults)
    assert archive.verify() == ()
    s3.spoil("GET", "/waves", *(fault for fault in faults if fault is not damaged))
    assert archive.streams() == [HH]
    assert s3.is_done


@pytest.mark.fault(41)
@pytest.mark.parametrize("faults", [[refused(503)], [reset, reset], [reset_after_doing]])
def test_writes_that_fail_are_made_again_and_told_once(
    s3: SpoiledS3, archive: Archive, faults: list[Fault]
) -> None:
    s3.spoil("PUT", "/59", *faults)
    [report] = archive.write([LATE], SECOND)
    assert s3.is_done
    assert (report.n_new_samples, report.changed) == (500, (LATE.span,))
    assert same(archive.read_stream(HH, SPAN).segments, [LONG, LATE])
    [again] = archive.write([LATE], SECOND)
    assert (again.n_new_samples, again.changed) == (0, ())


@pytest.mark.fault(41)
def test_a_store_that_stays_away_is_a_typed_failure(s3: SpoiledS3, archive: Archive) -> None:
    before = contents(archive)
    s3.spoil("GET", "/59", *[refused(503)] * 5)
    with pytest.raises(StoreUnavailable, match=r"^s3://waves/.*/c/0/59: .*503") as caught:
        archive.read_stream(HH, SPAN)
    assert caught.value.retryable
    s3.spoil("PUT", "/59", *[refused(503)] * 5)
    with pytest.raises(StoreUnavailable, match="503"):
        archive.write([LATE], SECOND)
    assert contents(archive) == before
    s3.spoil("GET", "/59", refused(403))
    with pytest.raises(StoreError, match="not allowed; check AWS_ACCESS_KEY_ID"):
        archive.read_stream(HH, SPAN)


def test_an_object_replaced_while_it_is_read_is_read_as_one_version(
    s3: SpoiledS3, archive: Archive, bucket_url: str, s3_endpoint: str
) -> None:
    """The second request for the object, for its first chunks, comes after another's write."""
    writer = Archive.open(bucket_url)
    change = after(lambda: writer.write([LATE], SECOND))
    s3.spoil("GET", "/59", after(lambda: None), change)
    found = archive.read_stream(HH, SPAN).segments
    assert s3.is_done
    assert same(found, [LONG, LATE])


@pytest.mark.fault(40)
def test_a_writer_that_comes_second_keeps_what_the_first_wrote(
    s3: SpoiledS3, archive: Archive, bucket_url: str
) -> None:
    first = segment(2000, counts(300, 3))
    s3.spoil("PUT", "/59", after(lambda: Archive.open(bucket_url).write([first], FIRST)))
    [report] = archive.write([LATE], SECOND)
    assert report.changed == (LATE.span,)
    assert same(archive.read_stream(HH, SPAN).segments, [LONG, LATE, first])
    s3.spoil("PUT", "/59", *[refused(412)] * 30)
    archive_again = Bucket(bucket_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geomon.stores.bucket._LONGEST_PAUSE_S", 0.001)
        with pytest.raises(StoreConflict, match="other writers were quicker"):
            archive_again.update(DAY_KEY, lambda _: [b"x"])


@pytest.mark.fault(40)
def test_writers_in_threads_and_processes_on_one_station_day_lose_nothing(bucket_url: str) -> None:
    """All write the same pieces: forwards, backwards, in other orders."""
    both = f"{bucket_url}/both"
    script = (
        "import sys; from geomon.stores.archive import Archive; "
        "from tests.stores.killing import piece, request; "
        "archive = Archive.open(sys.argv[1]); "
        "[archive.write(piece(n), request(n)) for n in range(12)[:: int(sys.argv[2])]]"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, both, step]) for step in ("1", "-1")
    ]

    def write(seed: int) -> None:
        archive = Archive.open(both)
        for number in random.Random(seed).sample(range(12), 12):
            archive.write(piece(number), request(number))

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    alone = Archive.open(f"{bucket_url}/alone")
    for number in range(12):
        alone.write(piece(number), request(number))
    assert digest(Archive.open(both)) == digest(alone)


@pytest.mark.fault(39)
def test_a_killed_writer_leaves_the_old_or_the_new_object(bucket_url: str) -> None:
    survival = kill_writers(bucket_url, 3, random.Random(7))
    assert (survival.n_lost, survival.n_mixed, survival.n_damaged) == (0, 0, 0)
    assert survival.n_pieces >= 3


def test_a_short_read_asks_for_little(s3: SpoiledS3, archive: Archive) -> None:
    s3.requests.clear()
    archive.read_stream(HH, TimeSpan(DAY, DAY + 60 * NS_PER_S))
    asked = [r.headers.get("range") for r in s3.requests if r.path.endswith("/59")]
    assert asked[0] == "bytes=-65536"
    [_, only] = asked
    assert only is not None
    assert only.startswith("bytes=0-")


def test_lazy_arrays_compute_in_workers(bucket_url: str) -> None:
    archive = Archive.open(bucket_url)
    archive.write([segment(100, counts(20_000, 1), rate=10.0)], FIRST)
    [lazy] = archive.open_stream(HH, SPAN)
    samples = cloudpickle.loads(cloudpickle.dumps(lazy.samples))
    np.testing.assert_array_equal(samples[0, 1000:21_000].compute(), counts(20_000, 1))


class TestSettings:
    def test_plain_http_is_for_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3.example.org")
        with pytest.raises(StoreError, match=r"s3://waves: http://s3\.example\.org is not encr"):
            Archive.open("s3://waves")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        assert Bucket("s3://waves/a/").url == "s3://waves/a"

    def test_a_bucket_that_is_not_there_is_named(self, bucket_url: str) -> None:
        with pytest.raises(StoreError, match="s3://no-such-bucket/a: no such bucket"):
            Archive.open("s3://no-such-bucket/a")
        with pytest.raises(StoreError, match="not the URL of a bucket"):
            Archive.open("s3:///a")

    def test_a_server_that_is_not_there_is_named(
        self, bucket_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(StoreUnavailable, match=r"^s3://waves/\w+/zarr\.json: .*127\.0\.0\.1:9"):
            Archive.open(bucket_url)


@pytest.mark.fault(41)
def test_an_empty_object_is_damaged_not_a_failure(archive: Archive, tmp_path: Path) -> None:
    put(archive, DAY_KEY, b"")
    [finding] = archive.verify()
    assert "too short" in finding.problem
