"""The ledger says what was done, from what, and what is left to do."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.errors import DataError
from geomon.stores.catalog import Catalog
from geomon.stores.gaps import Gaps
from geomon.stores.ledger import Entry, Ledger
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, merged
from tests.stores.events import HOUR, dump

STREAM = "GM.ST00..HH"
TILES = list(HOUR.steps(600 * NS_PER_S))
MINUTE = 60 * NS_PER_S


def minutes(start: float, end: float) -> TimeSpan:
    return TimeSpan(HOUR.start_ns + round(start * MINUTE), HOUR.start_ns + round(end * MINUTE))


def test_saying_it_twice_changes_nothing(catalog: Catalog) -> None:
    def say() -> None:
        catalog.ledger.record(
            "pick", STREAM, HOUR, version="v1", state="done", input_hash="h", n_items=7, seconds=2.5
        )

    say()
    rows = dump(catalog)
    say()
    assert dump(catalog) == rows
    [entry] = catalog.ledger.entries("pick")
    assert entry == Entry("pick", STREAM, HOUR, "done", "v1", "h", 1, "", 7, 2.5)


def test_current_means_same_version_and_input(catalog: Catalog) -> None:
    ledger = catalog.ledger
    for tile in TILES[:2]:
        ledger.record("locate", "network", tile, version="v1", state="done", input_hash="h1")
    assert ledger.is_current("locate", "network", TILES[0], version="v1", input_hash="h1")
    assert not ledger.is_current("locate", "network", TILES[0], version="v1", input_hash="h2")
    assert not ledger.is_current("locate", "network", TILES[0], version="v2", input_hash="h1")
    assert not ledger.is_current("locate", "network", TILES[2], version="v1", input_hash="h1")
    assert ledger.input_hash("locate", "network", TILES[1], "v1") == "h1"
    assert ledger.input_hash("locate", "network", TILES[1], "v2") == ""
    ledger.record("locate", "network", TILES[0], version="v2", state="done", input_hash="h1")
    assert not ledger.is_current("locate", "network", TILES[0], version="v1", input_hash="h1")
    assert ledger.spans("locate", "network", HOUR) == [minutes(0, 20)]
    assert ledger.spans("locate", "network", HOUR, version="v1") == [minutes(10, 20)]


def test_the_newest_word_on_a_span_counts(catalog: Catalog) -> None:
    ledger = catalog.ledger
    ledger.record("archive", STREAM, minutes(0, 30), state="done")
    ledger.record("archive", STREAM, minutes(20, 60), state="nodata")
    assert ledger.spans("archive", STREAM, HOUR) == [minutes(0, 20)]
    assert ledger.spans("archive", STREAM, HOUR, states=("done", "nodata")) == [HOUR]
    rows = dump(catalog)
    ledger.record("archive", STREAM, minutes(30, 50), state="nodata")
    assert dump(catalog) == rows
    ledger.record("archive", STREAM, minutes(5, 10), state="failed", error="timeout")
    assert ledger.spans("archive", STREAM, HOUR) == [minutes(0, 5), minutes(10, 20)]
    with pytest.raises(DataError, match="empty span"):
        ledger.record("archive", STREAM, minutes(5, 5), state="done")


_KEYS = itertools.count()


@settings(max_examples=30, deadline=None)  # each example writes to disk
@given(
    st.lists(
        st.tuples(
            st.integers(0, 11), st.integers(1, 12), st.sampled_from(["done", "nodata", "failed"])
        ),
        max_size=12,
    )
)
def test_any_cut_of_the_work_covers_the_same(one_catalog: Catalog, said) -> None:
    ledger: Ledger = one_catalog.ledger
    key = f"k{next(_KEYS)}"
    expected: dict[int, str] = {}
    for start, length, state in said:
        ledger.record("pick", key, minutes(start, start + length), state=state)
        expected |= dict.fromkeys(range(start, start + length), state)
    for state in ("done", "nodata", "failed"):
        assert ledger.spans("pick", key, HOUR, states=(state,)) == merged(
            minutes(minute, minute + 1) for minute, held in expected.items() if held == state
        )
    spans = sorted(entry.span for entry in ledger.entries(key=key))
    assert all(a.end_ns <= b.start_ns for a, b in itertools.pairwise(spans))


def test_failures_are_counted_until_it_works(catalog: Catalog) -> None:
    ledger = catalog.ledger
    for attempt in (1, 2):
        ledger.record("pick", STREAM, HOUR, state="failed", error="no response")
        assert [entry.attempts for entry in ledger.entries(states=["failed"])] == [attempt]
    ledger.record("pick", STREAM, HOUR, state="done")
    [entry] = ledger.entries(key=STREAM)
    assert (entry.attempts, entry.error) == (3, "")
    ledger.record("pick", STREAM, HOUR, state="done", n_items=3)
    assert ledger.entries()[0].attempts == 1


def test_what_a_day_takes_is_known_from_whole_days_first(catalog: Catalog) -> None:
    ledger = catalog.ledger
    assert ledger.seconds_per_day("pick") is None
    ledger.record("pick", STREAM, HOUR, state="done", seconds=1.0)
    assert ledger.seconds_per_day("pick") == pytest.approx(24.0)
    for number, seconds in enumerate((5.0, 7.0), start=1):
        day = TimeSpan(
            HOUR.start_ns + number * NS_PER_DAY, HOUR.start_ns + (number + 1) * NS_PER_DAY
        )
        ledger.record("pick", STREAM, day, state="done", seconds=seconds)
    assert ledger.seconds_per_day("pick") == pytest.approx(6.0)
    assert ledger.seconds_per_day("locate") is None


@pytest.mark.fault(44)
def test_a_claim_is_one_workers_until_its_lease_ends(catalog: Catalog) -> None:
    ledger = catalog.ledger
    mine, other = catalog.begin_run("pick"), catalog.begin_run("pick")
    assert ledger.claim("pick", STREAM, TILES, version="v", lease_s=3600, run=mine) == TILES
    assert ledger.claim("pick", STREAM, TILES, version="v", lease_s=3600, run=other) == []
    ledger.record("pick", STREAM, TILES[0], version="v", state="done", run=mine)
    again = ledger.claim("pick", STREAM, TILES[:2], version="v", lease_s=-1, run=other)
    assert again == TILES[:1]
    assert ledger.claim("pick", STREAM, TILES[:1], version="v", lease_s=1, run=mine) == TILES[:1]
    assert [entry.attempts for entry in ledger.entries()][:2] == [2, 1]


@pytest.mark.fault(17)
def test_holes_are_asked_for_again_and_believed_in_the_end(catalog: Catalog) -> None:
    gaps = catalog.gaps
    hole = minutes(20, 21)
    end = hole.end_ns

    def ask(minute: float) -> str:
        gaps.note("GM.ST00..HHZ", HOUR, [hole], now_ns=end + round(minute * MINUTE))
        return gaps.known("GM.ST00..HHZ", HOUR)[0].state

    assert gaps.to_ask("GM.ST00..HHZ", [hole], now_ns=end) == [hole]
    assert ask(1) == "pending"
    assert gaps.to_ask("GM.ST00..HHZ", [hole, minutes(30, 31)], now_ns=end + 4 * MINUTE) == [
        minutes(30, 31)
    ]
    assert gaps.to_ask("GM.ST00..HHZ", [hole], now_ns=end + 5 * MINUTE) == [hole]
    assert [gap.span for gap in gaps.due(now_ns=end + 5 * MINUTE)] == [hole]
    assert ask(5) == "pending"
    assert gaps.due(now_ns=end + 29 * MINUTE) == []
    assert ask(30) == "pending"
    assert ask(120) == "confirmed"
    rows = dump(catalog)
    assert ask(720) == "confirmed"
    assert dump(catalog) == rows
    assert gaps.to_ask("GM.ST00..HHZ", [hole], now_ns=end + 10**6 * MINUTE) == []


def test_old_holes_need_two_questions_ten_minutes_apart(catalog: Catalog) -> None:
    gaps: Gaps = catalog.gaps
    late = HOUR.end_ns + 10**5 * MINUTE
    hole = minutes(1, 5)
    gaps.note("k", HOUR, [hole], now_ns=late)
    assert gaps.known("k", HOUR)[0].state == "unconfirmed"
    assert gaps.to_ask("k", [hole], now_ns=late + 9 * MINUTE) == []
    gaps.note("k", HOUR, [hole], now_ns=late + 9 * MINUTE)
    assert gaps.known("k", HOUR)[0].state == "unconfirmed"
    gaps.note("k", minutes(0, 3), [minutes(1, 2)], now_ns=late + 20 * MINUTE)
    assert [(gap.span, gap.state) for gap in gaps.known("k", HOUR)] == [
        (minutes(1, 2), "confirmed"), (minutes(3, 5), "unconfirmed"),
    ]  # fmt: skip
    gaps.note("k", HOUR, [], now_ns=late + 30 * MINUTE)
    assert gaps.known("k", HOUR) == []
