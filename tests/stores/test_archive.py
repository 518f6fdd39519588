"""The archive gives back what it was given: samples, times, gaps; in any order, at any cut."""

import resource
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import NotMade, StoreError, WaveformError
from geomon.ids import SeedId, StreamId
from geomon.stores.archive import Archive
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, merged, parse_time
from geomon.waveforms import Gap, Provenance, Segment
from tests.stores.archives import (
    ALL,
    DAY,
    FIRST,
    HH,
    SECOND,
    SPAN,
    counts,
    cut,
    same,
    segment,
    timed,
)
from tests.stores.contents import digest


def test_three_components_come_back_exactly(archive: Archive) -> None:
    given_ = [segment(100, counts(70_000, seed), component=c) for seed, c in enumerate("ZNE")]
    [report] = archive.write(given_, FIRST)
    assert report.day == date(2024, 2, 29)
    assert report.n_new_samples == 210_000
    assert report.changed == (given_[0].span,)
    found = archive.read_stream(HH, SPAN)
    assert [s.seed_id.component for s in found.segments] == ["E", "N", "Z"]
    assert same(found.segments, given_)
    assert found.segments[0].samples.dtype == np.int32


def test_an_empty_answer_is_an_answer(archive: Archive) -> None:
    found = archive.read_stream(HH, SPAN)
    assert found.segments == ()
    one = archive.read("CX.PB01..HHZ", "2024-02-29", datetime(2024, 3, 1, tzinfo=UTC))
    assert one.gaps() == [Gap(SeedId.parse("CX.PB01..HHZ"), SPAN)]
    assert archive.write([], FIRST) == ()
    assert archive.coverage(HH, SPAN) == {}


def test_a_window_holds_exactly_its_samples(archive: Archive) -> None:
    whole = segment(0, 200_000, ns=3_456_789)
    archive.write([whole], FIRST)
    window = TimeSpan(whole.time_ns(31_234), whole.time_ns(95_678))
    [found] = archive.read_stream(HH, window).segments
    assert found.start_ns == window.start_ns
    np.testing.assert_array_equal(found.samples, whole.samples[31_234:95_678])


def test_gaps_come_from_segments_and_the_fill_value_is_a_legal_sample(archive: Archive) -> None:
    low = np.full(60_000, -(2**31), np.int32)
    low[30_000] = 7
    archive.write([segment(0, low), segment(700, 100)], FIRST)
    found = archive.read("CX.PB01..HHZ", DAY, DAY + 800 * NS_PER_S)
    np.testing.assert_array_equal(found.segments[0].samples, low)
    assert archive.coverage(HH, SPAN)[found.seed_ids[0]] == [
        TimeSpan(DAY, DAY + 600 * NS_PER_S),
        TimeSpan(DAY + 700 * NS_PER_S, DAY + 701 * NS_PER_S),
    ]
    assert len(found.gaps()) == 2


def test_writing_again_changes_no_byte(archive: Archive) -> None:
    given_ = [segment(10, 5000), segment(100, 5000, component="N")]
    archive.write(given_, FIRST)
    before = digest(archive)
    [report] = archive.write(given_, FIRST)
    assert (report.n_new_samples, report.changed) == (0, ())
    assert digest(archive) == before
    # The same request again, packed differently by the server, and nothing new in it.
    archive.write(given_, Provenance(FIRST.source, FIRST.request, "f" * 64))
    assert digest(archive) == before


def test_midnight_is_not_seen_by_a_reader(archive: Archive) -> None:
    whole = segment(86_300, 30_000, ns=1)
    reports = archive.write([whole], FIRST)
    assert [r.day for r in reports] == [date(2024, 2, 29), date(2024, 3, 1)]
    assert sum(r.n_new_samples for r in reports) == 30_000
    [found] = archive.read_stream(HH, ALL).segments
    assert found.start_ns == whole.start_ns
    np.testing.assert_array_equal(found.samples, whole.samples)
    assert archive.coverage(HH, ALL) == {whole.seed_id: [whole.span]}


@pytest.mark.parametrize("year", [2023, 2024])
def test_the_last_day_of_a_year_has_its_place(archive: Archive, year: int) -> None:
    start = parse_time(f"{year}-12-31T23:59:00")
    whole = Segment(HH.seed_id("Z"), start, 100.0, counts(12_000))
    archive.write([whole], FIRST)
    [found] = archive.read_stream(HH, TimeSpan(start, start + NS_PER_DAY)).segments
    np.testing.assert_array_equal(found.samples, whole.samples)
    assert archive.days(HH) == [date(year, 12, 31), date(year + 1, 1, 1)]


@pytest.mark.parametrize(
    "rate", [0.1, 1.0, 12.5, 30.0, 40.0, 99.97, 100 / 3, 128.0, 200.0, 250 / 3, 1024.0, 5000.0]
)
def test_any_sampling_rate_keeps_its_times(archive: Archive, rate: float) -> None:
    n = int(min(86_400 * rate, 50_000))
    given_ = [segment(3, counts(n), rate=rate, ns=123_456_789), segment(86_399, 7, rate=rate)]
    archive.write(given_, FIRST)
    found = archive.read_stream(HH, ALL)
    assert same(found.segments, given_)
    assert all(s.sampling_rate_hz == rate for s in found.segments)


def test_a_full_day_off_the_grid_fits(archive: Archive) -> None:
    rate = 20.0
    whole = segment(0, counts(86_400 * 20), rate=rate, ns=30_000_000)
    archive.write([whole], FIRST)
    [found] = archive.read_stream(HH, ALL).segments
    assert found.start_ns == whole.start_ns
    np.testing.assert_array_equal(found.samples, whole.samples)


@pytest.mark.fault(33)
def test_a_clock_that_steps_makes_time_lines(archive: Archive) -> None:
    """Twenty steps of 3 ms to and fro: every sample keeps its own time, none is lost."""
    steps = [
        segment(k * 10, counts(1000, k), ns=(k % 5) * 3_000_000 - 6_000_000) for k in range(1, 21)
    ]
    kept = [s for s in steps if s.samples.size]
    archive.write(kept, FIRST)
    found = archive.read_stream(HH, ALL)
    overflow = archive.overflow(HH, ALL)
    assert timed([*found.segments, *overflow]) == timed(kept)
    assert sum(s.samples.size for s in overflow) <= 20  # only what lies within half a sample


@pytest.mark.fault(29)
def test_rates_and_types_live_side_by_side(archive: Archive) -> None:
    given_ = [
        segment(0, 5000),
        segment(100, 5000, rate=40.0),
        segment(300, counts(5000).astype(np.float32) / 3),
        segment(400, counts(5000).astype(np.float64) / 7, component="N"),
    ]
    archive.write(given_, FIRST)
    found = archive.read_stream(HH, SPAN)
    assert same(found.segments, given_)
    kinds = {(s.sampling_rate_hz, str(s.samples.dtype)) for s in found.segments}
    assert kinds == {(100.0, "int32"), (40.0, "int32"), (100.0, "float32"), (100.0, "float64")}
    assert archive.streams() == [HH]
    assert len(archive.info()) == 4


def test_floats_keep_every_bit(archive: Archive) -> None:
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, 3.4e38] * 3000, np.float32)
    odd.view(np.int32)[5] = 0x7FC0_1234  # a NaN with a payload
    archive.write([segment(0, odd)], FIRST)
    [found] = archive.read_stream(HH, SPAN).segments
    assert found.samples.tobytes() == odd.tobytes()


def test_other_types_are_refused_before_anything_is_written(archive: Archive) -> None:
    before = digest(archive)
    with pytest.raises(WaveformError, match=r"CX\.PB01\.\.HHZ: int16"):
        archive.write([segment(0, 100), segment(5, np.arange(9, dtype=np.int16))], FIRST)
    with pytest.raises(WaveformError, match="sampling rate"):
        archive.write([segment(0, 100, rate=1e-7)], FIRST)
    assert digest(archive) == before


def test_big_endian_samples_are_the_same_samples(archive: Archive) -> None:
    archive.write([segment(0, counts(1000).astype(">i4"))], FIRST)
    [found] = archive.read_stream(HH, SPAN).segments
    np.testing.assert_array_equal(found.samples, counts(1000))


def test_letters_that_share_a_row_are_all_kept(archive: Archive) -> None:
    given_ = [segment(0, counts(40_000, k), component=c) for k, c in enumerate("ZNE12UX")]
    for one in given_:
        archive.write([one], FIRST)
    assert same(archive.read_stream(HH, SPAN).segments, given_)
    assert archive.verify() == ()
    [found] = archive.read("CX.PB01..HH1", DAY + 350 * NS_PER_S, DAY + 360 * NS_PER_S).segments
    np.testing.assert_array_equal(found.samples, counts(40_000, 3)[35_000:36_000])


class TestOverlaps:
    a = segment(0, counts(2000, 1))
    b = segment(5, counts(2000, 2))

    @pytest.mark.fault(26)
    def test_same_samples_are_one(self, archive: Archive) -> None:
        whole = segment(0, 3000)
        archive.write(cut(whole, 1000)[:1], FIRST)
        archive.write(cut(whole, 500)[1:], SECOND)
        [found] = archive.read_stream(HH, SPAN).segments
        np.testing.assert_array_equal(found.samples, whole.samples)
        assert archive.overflow(HH, SPAN) == ()
        assert archive.requests(HH, date(2024, 2, 29)) == (FIRST, SECOND)

    @pytest.mark.fault(27)
    @pytest.mark.parametrize("together", [True, False])
    def test_different_samples_have_one_winner_and_the_other_is_kept(
        self, new_archive: Callable[[], Archive], together: bool
    ) -> None:
        digests = set()
        for order in ((self.a, self.b), (self.b, self.a)):
            archive = new_archive()
            if together:
                archive.write(order, FIRST)
            else:
                for one in order:
                    archive.write([one], FIRST if one is self.a else SECOND)
            digests.add(digest(archive))
            [found] = archive.read_stream(HH, SPAN).segments
            np.testing.assert_array_equal(found.samples[:2000], self.a.samples)
            np.testing.assert_array_equal(found.samples[2000:], self.b.samples[1500:])
            lost = archive.overflow(HH, SPAN)
            is_other = self.a.samples[500:] != self.b.samples[:1500]
            assert sum(s.samples.size for s in lost) == is_other.sum()
            kept = timed(lost).items()
            assert kept <= timed([self.b]).items()
            assert archive.info()[0].n_overflow == is_other.sum()
        assert len(digests) == 1

    def test_zeros_lose_against_a_recording(self, archive: Archive) -> None:
        archive.write([segment(0, np.zeros(1000, np.int32))], FIRST)
        [report] = archive.write([segment(2, counts(500))], FIRST)
        [found] = archive.read_stream(HH, SPAN).segments
        np.testing.assert_array_equal(found.samples[200:700], counts(500))
        n_same = int((counts(500) == 0).sum())
        assert (report.n_new_samples, report.n_overflow) == (500 - n_same, 500 - n_same)
        [changed] = report.changed
        assert TimeSpan(DAY + 2 * NS_PER_S, DAY + 7 * NS_PER_S).intersection(changed) == changed

    def test_of_two_clocks_the_one_with_more_samples_is_seen(self, archive: Archive) -> None:
        long, short = segment(0, counts(3000, 1)), segment(10, counts(500, 2), ns=4_000_000)
        archive.write([short], FIRST)
        [report] = archive.write([long], SECOND)
        assert report.n_overflow == 500
        [found] = archive.read_stream(HH, SPAN).segments
        np.testing.assert_array_equal(found.samples, long.samples)
        assert timed(archive.overflow(HH, SPAN)) == timed([short])


def test_late_data_reports_where_a_reader_sees_a_change(archive: Archive) -> None:
    whole = segment(0, 100_000)
    first, middle, last = cut(whole, 40_000, 60_000)
    archive.write([first, last], FIRST)
    assert archive.coverage(HH, SPAN) == {whole.seed_id: merged([first.span, last.span])}
    [report] = archive.write([middle], SECOND)
    assert report.changed == (middle.span,)
    assert report.n_new_samples == 20_000
    assert archive.coverage(HH, SPAN) == {whole.seed_id: [whole.span]}


def test_fingerprints_change_where_a_read_changes_and_only_there(archive: Archive) -> None:
    hours = list(SPAN.steps(3600 * NS_PER_S))
    assert archive.fingerprints(HH, hours) == [""] * 24
    archive.write([segment(0, 720_000), segment(0, counts(720_000, 3), component="N")], FIRST)
    first = archive.fingerprints(HH, hours)
    assert all(first[:2])
    assert not any(first[2:])
    archive.write([segment(3700, counts(500, 9))], Provenance("files", "0", "0" * 64))
    second = archive.fingerprints(HH, hours)
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False] + [True] * 22


def test_documents_are_kept_beside_the_waveforms(archive: Archive) -> None:
    assert archive.document("stations.xml") is None
    assert archive.keep_document("stations.xml", b"<a/>")
    assert not archive.keep_document("stations.xml", b"<a/>")
    assert archive.document("stations.xml") == b"<a/>"
    assert archive.verify() == ()
    assert archive.streams() == []


def test_an_archive_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotMade, match="no archive there yet"):
        Archive.open(tmp_path / "none", create=False)
    unwritten = Archive.open(tmp_path / "none")
    assert (unwritten.streams(), unwritten.document("stations.xml"), unwritten.verify()) == (
        [], None, ()
    )  # fmt: skip
    assert not (tmp_path / "none").exists()
    with pytest.raises(StoreError, match=r"a folder or s3://bucket/prefix, not ftp://"):
        Archive.open("ftp://host/archive")
    Archive.open(f"file://{tmp_path}/a").write([segment(0, 10)], FIRST)
    again = Archive.open(tmp_path / "a", create=False)
    assert again.streams() == [HH]
    assert again.days(StreamId.parse("CX.PB02..HH")) == []
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="no archive can be made there"):
        Archive.open(tmp_path / "file" / "archive").keep_document("stations.xml", b"")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match="not an archive of format"):
        Archive.open(tmp_path / "b")


@pytest.mark.fault(38)
def test_a_full_disk_leaves_the_archive_as_it_was(local_archive: Archive) -> None:
    """The limit on file sizes stands in for the end of the disk: the kernel stops the write."""
    archive = local_archive
    archive.write([segment(0, 5000)], FIRST)
    before = digest(archive)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"c/0/59: cannot be written: File too large"):
            archive.write([segment(100, 90_000)], FIRST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert digest(archive) == before
    [report] = archive.write([segment(100, 90_000)], FIRST)
    assert report.n_new_samples == 90_000
