"""Whatever happens to an object, `verify` names it, and there is a way on."""

import random
from collections.abc import Callable
from datetime import date

import pytest

from geomon.errors import CorruptObject, StoreError
from geomon.stores.archive import Archive
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, day_span
from tests.stores.archives import ALL, DAY, FIRST, HH, SECOND, SPAN, counts, same, segment
from tests.stores.contents import all_contents, contents, days, is_remote, put

SERIES = "CX/PB01/_.HH@100"
FIRST_DAY = f"{SERIES}/2024/c/0/59"
SECOND_DAY = f"{SERIES}/2024/c/0/60"


@pytest.fixture
def written(archive: Archive) -> Archive:
    archive.write([segment(0, 70_000), segment(0, 900, component="N")], FIRST)
    archive.write([segment(100, counts(50, 5)), segment(90_000, 100)], SECOND)
    assert list(days(archive)) == [FIRST_DAY, SECOND_DAY]
    assert archive.verify() == ()
    return archive


def flipped(content: bytes, at: int, bit: int = 0) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_every_flipped_bit_is_found_and_named(written: Archive) -> None:
    content = days(written)[FIRST_DAY]
    rng = random.Random(1)
    n_random = 10 if is_remote(written) else 150
    for at in [0, 1, len(content) - 1, *(rng.randrange(len(content)) for _ in range(n_random))]:
        put(written, FIRST_DAY, flipped(content, at, rng.randrange(8)))
        [finding] = written.verify()
        assert finding.key == FIRST_DAY
        assert "CX.PB01..HH 2024-02-29" in finding.problem


@pytest.mark.fault(41)
@pytest.mark.parametrize("size", [0, 1, 3000, -7])
def test_a_partial_object_is_found_and_named(written: Archive, size: int) -> None:
    put(written, FIRST_DAY, days(written)[FIRST_DAY][:size])
    [finding] = written.verify()
    assert finding.key == FIRST_DAY
    with pytest.raises(CorruptObject, match=r"^CX\.PB01\.\.HH 2024-02-29: object CX/PB01"):
        written.read_stream(HH, SPAN)


@pytest.mark.fault(41)
def test_a_damaged_object_is_not_read_and_not_overwritten(written: Archive) -> None:
    damaged = flipped(days(written)[FIRST_DAY], 10)
    put(written, FIRST_DAY, damaged)
    with pytest.raises(CorruptObject, match=r"^CX\.PB01\.\.HH 2024-02-29: object CX/PB01"):
        written.read_stream(HH, SPAN)
    with pytest.raises(CorruptObject):
        written.write([segment(100, counts(70, 9))], SECOND)
    assert days(written)[FIRST_DAY] == damaged
    assert written.read_stream(HH, TimeSpan(DAY + NS_PER_DAY, DAY + 2 * NS_PER_DAY)).segments


def test_a_damaged_object_does_not_keep_other_days_from_being_written(written: Archive) -> None:
    put(written, FIRST_DAY, flipped(days(written)[FIRST_DAY], 10))
    late = [segment(100, counts(70, 9)), segment(90_500, 300), segment(0, 500, rate=40.0)]
    with pytest.raises(CorruptObject, match=r"2024-02-29: object CX/PB01/_\.HH@100/"):
        written.write(late, SECOND)
    put(written, FIRST_DAY, None)
    assert same(written.read_stream(HH, late[1].span).segments, late[1:2])
    assert same(written.read_stream(HH, SPAN).segments, late[2:])


def test_objects_that_change_places_are_named(written: Archive) -> None:
    found = days(written)
    put(written, FIRST_DAY, found[SECOND_DAY])
    put(written, SECOND_DAY, found[FIRST_DAY])
    first, second = written.verify()
    assert (first.key, second.key) == (FIRST_DAY, SECOND_DAY)
    assert "belongs to CX/PB01/_.HH@100 2024-03-01" in first.problem
    assert "belongs to CX/PB01/_.HH@100 2024-02-29" in second.problem


def test_lost_or_wrong_metadata_are_named_and_written_again(
    new_archive: Callable[[], Archive],
) -> None:
    archive = new_archive()
    archive.write([segment(0, 500)], FIRST)
    metadata = [key for key in contents(archive) if key.endswith("zarr.json")]
    assert len(metadata) == 5
    for key in metadata:
        before = contents(archive)[key]
        put(archive, key, None)
        assert [(f.key, f.problem) for f in archive.verify()] == [(key, "missing")]
        put(archive, key, before[:-5])
        [finding] = archive.verify()
        assert (finding.key, finding.problem[:7]) == (key, "damaged")
        put(archive, key, before)
    key = f"{SERIES}/2024/zarr.json"
    before = contents(archive)[key]
    put(archive, key, b"{}")
    aside = archive.set_aside(key)
    assert aside is not None
    assert (aside.stream_id, aside.spans) == (None, ())
    archive.write([segment(100, 500)], FIRST)
    assert contents(archive)[key] == before
    assert archive.verify() == ()


def test_strangers_are_named(written: Archive) -> None:
    strangers = [
        "CX/notes.txt",
        "CX/PB01/notes",
        f"{SERIES}/notes",
        f"{SERIES}/2024/notes",
        f"{SERIES}/2024/c/1",
        f"{SERIES}/2024/c/0/400",
        f"{SERIES}/2024/c/0/059",
    ]
    for key in strangers:
        put(written, key, b"x")
    put(written, "stations.xml", b"<a/>")
    put(written, ".hidden/thing", b"x")
    put(written, f"{SERIES}/2024/.hidden", b"x")
    assert {f.key: f.problem for f in written.verify()} == dict.fromkeys(
        strangers, "not part of the archive"
    )
    assert {f.key for f in written.verify([HH])} == set(strangers[2:])
    for key in strangers:
        assert written.set_aside(key) is not None
    assert written.verify() == ()


class TestSetAside:
    def test_a_day_whose_record_is_whole_tells_what_was_lost(self, written: Archive) -> None:
        damaged = flipped(days(written)[FIRST_DAY], 10)
        put(written, FIRST_DAY, damaged)
        aside = written.set_aside(FIRST_DAY)
        assert aside is not None
        assert (aside.key, aside.stream_id) == (FIRST_DAY, HH)
        assert aside.spans == (TimeSpan(DAY, DAY + 700 * NS_PER_S),)
        assert all_contents(written)[aside.kept_as] == damaged
        assert written.verify() == ()
        assert written.days(HH) == [date(2024, 3, 1)]
        assert list(written.coverage(HH, SPAN)) == []

    def test_a_day_without_a_record_is_lost_as_a_whole(self, written: Archive) -> None:
        put(written, FIRST_DAY, b"")
        aside = written.set_aside(FIRST_DAY)
        assert aside is not None
        assert aside.spans == (day_span(date(2024, 2, 29)),)

    @pytest.mark.fault(41)
    def test_what_comes_again_is_archived_again(self, written: Archive) -> None:
        before = contents(written)
        put(written, FIRST_DAY, before[FIRST_DAY][:100])
        written.set_aside(FIRST_DAY)
        written.write([segment(0, 70_000), segment(0, 900, component="N")], FIRST)
        written.write([segment(100, counts(50, 5))], SECOND)
        assert contents(written) == before
        put(written, FIRST_DAY, before[FIRST_DAY][:100])
        assert written.set_aside(FIRST_DAY) is not None  # the same damage once more

    def test_only_objects_of_the_archive_can_be_set_aside(self, written: Archive) -> None:
        assert written.set_aside(f"{SERIES}/2024/c/0/61") is None
        for key in ("../other", "/etc/hosts", ".index", "CX//PB01", ""):
            with pytest.raises(StoreError, match="not the name of an object"):
                written.set_aside(key)


def test_coverage_still_names_a_damaged_record(written: Archive) -> None:
    put(written, FIRST_DAY, b"nothing")
    with pytest.raises(CorruptObject, match="2024-02-29"):
        written.coverage(HH, ALL)
