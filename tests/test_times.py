"""Times are exact integers; spans are half-open."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.errors import DataError
from geomon.times import (
    NS_PER_DAY,
    TimeSpan,
    format_ns,
    from_ns,
    merged,
    parse_time,
    subtracted,
    to_ns,
)

instants = st.integers(0, 200 * 365 * NS_PER_DAY)
small = st.integers(0, 200)
spans = st.tuples(small, small).map(lambda ab: TimeSpan(min(ab), max(ab)))


@given(instants)
def test_text_and_back_is_exact(time_ns: int) -> None:
    assert parse_time(format_ns(time_ns)) == time_ns


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_datetime_and_back_is_exact(time: datetime) -> None:
    assert from_ns(to_ns(time)) == time


@pytest.mark.parametrize(
    "text", ["yesterday", "2024-13-01", "2024-02-30", "2024-01-01T00:00+02:00"]
)
def test_what_is_not_a_utc_time_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is not a time"):
        parse_time(text)


@pytest.mark.fault(32)
def test_a_leap_second_is_the_next_minute() -> None:
    assert parse_time("2016-12-31T23:59:60") == parse_time("2017-01-01")


def test_a_span_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(DataError, match="before it starts"):
        TimeSpan(2, 1)


@given(st.lists(spans), st.lists(spans))
def test_union_and_difference_are_those_of_sets(
    ones: list[TimeSpan], others: list[TimeSpan]
) -> None:
    def members(parts: list[TimeSpan]) -> set[int]:
        return {i for part in parts for i in range(part.start_ns, part.end_ns)}

    union = merged(ones)
    assert members(union) == members(ones)
    assert all(one.end_ns < two.start_ns for one, two in pairwise(union))
    whole = TimeSpan(0, 200)
    assert members(subtracted(whole, others)) == members([whole]) - members(others)


@given(spans, st.integers(1, 50))
def test_steps_cover_a_span_once(span: TimeSpan, step: int) -> None:
    parts = list(span.steps(step))
    assert sum(part.end_ns - part.start_ns for part in parts) == span.end_ns - span.start_ns
    assert all(part.start_ns // step == (part.end_ns - 1) // step for part in parts)
    assert merged(parts) == merged([span])


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        ("2014-05-01", "2014-05-02", "2014-05-01"),
        ("2014-05-01", "2014-05-08", "2014-05-01 to 2014-05-07"),
        ("2014-05-01T10:00", "2014-05-01T11:30", "2014-05-01 10:00 to 11:30"),
        ("2014-05-01T23:30", "2014-05-02T00:30", "2014-05-01 23:30 to 2014-05-02 00:30"),
    ],
)
def test_spans_are_named_as_a_person_would(start: str, end: str, name: str) -> None:
    assert TimeSpan.parse(start, end).words == name
