"""The index makes coverage quick; with it, without it, stale or damaged, answers are the same."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.stores.archive import Archive
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan
from geomon.waveforms import Provenance
from tests.stores.archives import DAY, FIRST, HH, SECOND, counts, segment
from tests.stores.contents import all_contents, contents, digest, examples, is_remote, put

SERIES = "CX/PB01/_.HH@1"
INDEX = f"{SERIES}/2024/.index"
MONTH = TimeSpan(DAY - 2 * NS_PER_DAY, DAY + 30 * NS_PER_DAY)
N_DAYS = 14


def write_days(archive: Archive) -> Archive:
    """Fill two weeks at 1 Hz: gaps, a day of two pieces, a lone N component, one day missing."""
    for day in range(N_DAYS):
        if day != 5:
            start_s = 86_400 * day + 100 * (day % 3)
            archive.write([segment(start_s, counts(50_000, day), rate=1.0)], FIRST)
            archive.write([segment(start_s + 60_000, 26_000, rate=1.0)], FIRST)
    archive.write([segment(86_400 * 3, 500, component="N", rate=1.0)], SECOND)
    return archive


@pytest.fixture
def filled(archive: Archive) -> Archive:
    return write_days(archive)


def n_opened(archive: Archive, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Any]) -> int:
    """Count the day objects opened while a question is answered."""
    opened: list[str] = []
    store = archive._store
    honest = store.open

    def counting(key: str) -> Any:
        opened.append(key)
        return honest(key)

    with monkeypatch.context() as patch:
        patch.setattr(store, "open", counting)
        ask()
    return sum("/c/0/" in key for key in opened)


def answers(archive: Archive) -> Any:
    return archive.coverage(HH, MONTH), archive.info()


def test_a_second_question_opens_no_day(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(filled)
    assert n_opened(filled, monkeypatch, lambda: filled.coverage(HH, MONTH)) == N_DAYS - 1
    assert n_opened(filled, monkeypatch, lambda: answers(filled)) == 0
    assert contents(filled) == before
    assert INDEX in all_contents(filled)
    assert filled.verify() == ()


def test_answers_are_the_same_whatever_became_of_the_index(filled: Archive) -> None:
    first = answers(filled)
    assert sum(len(spans) for spans in first[0].values()) > N_DAYS
    index = all_contents(filled)[INDEX]
    assert answers(filled) == first
    other = index[:-1] + bytes([index[-1] ^ 1])
    for damaged in (None, b"", b"abc", index[:100], other, index[5:]):
        put(filled, INDEX, damaged)
        assert answers(filled) == first
        assert all_contents(filled)[INDEX] == index


def test_an_index_of_another_array_is_not_believed(new_archive: Callable[[], Archive]) -> None:
    archive = write_days(new_archive())
    archive.write([segment(86_400 * k, 500, rate=2.0) for k in range(N_DAYS)], FIRST)
    first = answers(archive)
    found = all_contents(archive)
    put(archive, "CX/PB01/_.HH@2/2024/.index", found[INDEX])
    assert answers(archive) == first


def test_days_that_are_new_changed_or_gone_are_seen_at_once(
    filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.coverage(HH, MONTH)
    late = segment(86_400 * 7 + 53_000, 3000, rate=1.0)
    new = segment(86_400 * 20, 3000, rate=1.0)
    filled.write([late, new], SECOND)
    z = late.seed_id
    covered = filled.coverage(HH, MONTH)[z]
    assert new.span in covered
    assert any(late.span.intersection(span) == late.span for span in covered)
    assert n_opened(filled, monkeypatch, lambda: filled.coverage(HH, MONTH)) == 2
    filled.set_aside(f"{SERIES}/2024/c/0/{59 + 20}")
    assert new.span not in filled.coverage(HH, MONTH)[z]
    # When enough has changed, the index is written again, and forgets what is gone.
    for day in range(N_DAYS):
        filled.write([segment(86_400 * day + 52_000, 10, rate=1.0)], SECOND)
    first = answers(filled)
    assert n_opened(filled, monkeypatch, lambda: answers(filled)) == 0
    put(filled, INDEX, None)
    assert answers(filled) == first


def test_an_archive_that_cannot_be_written_is_read_all_the_same(
    filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geomon.errors import StoreError

    def refuse(*_: Any) -> bool:
        raise StoreError("read only")

    with monkeypatch.context() as patch:
        patch.setattr(filled._store, "update", refuse)
        first = answers(filled)
    assert INDEX not in all_contents(filled)
    assert answers(filled) == first


def test_equal_archives_in_a_bucket_have_equal_indices(
    new_archive: Callable[[], Archive],
) -> None:
    """In a folder an index names files by inode and time, so there it differs."""
    one, two = write_days(new_archive()), write_days(new_archive())
    one.info()
    two.info()
    assert digest(one) == digest(two)
    if is_remote(one):
        assert all_contents(one)[INDEX] == all_contents(two)[INDEX]


edges = st.integers(-2 * 86_400, (N_DAYS + 1) * 86_400)


def test_any_span_has_the_same_answer_with_and_without_index(local_archive: Archive) -> None:
    """Spans may end anywhere, also between two samples or within a run of them."""
    archive = local_archive
    rate = 0.99  # its samples fall where they will, rounded
    for day in range(N_DAYS):
        pieces = [segment(86_400 * day + at, 9000, rate=rate, ns=1) for at in (0, 20_000, 30_000)]
        archive.write(pieces, Provenance("files", str(day), "0" * 64))
    archive.info()
    index = all_contents(archive)["CX/PB01/_.HH@0.99/2024/.index"]

    @given(edges, st.integers(9 * 86_400, 16 * 86_400), st.integers(-2, 2))
    @examples(25)
    def check(start_s: int, length_s: int, ns: int) -> None:
        start_ns = DAY + start_s * NS_PER_S + ns
        span = TimeSpan(start_ns, start_ns + length_s * NS_PER_S)
        put(archive, "CX/PB01/_.HH@0.99/2024/.index", index)
        known = archive.coverage(HH, span)
        put(archive, "CX/PB01/_.HH@0.99/2024/.index", None)
        assert archive.coverage(HH, span) == known

    check()


def test_an_archive_travels_to_other_processes(filled: Archive) -> None:
    again: Archive = pickle.loads(pickle.dumps(filled))
    assert again.url == filled.url
    assert answers(again) == answers(filled)
    assert b"anything" not in pickle.dumps(filled)  # the secret key stays at home
