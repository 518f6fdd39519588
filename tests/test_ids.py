"""Codes pass an allow-list before they meet a path or a query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.errors import DataError
from geomon.ids import SeedId, StationId, StreamId

code = st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,7}", fullmatch=True)
location = st.from_regex(r"[A-Z0-9-]{0,8}", fullmatch=True)
channel = st.from_regex(r"[A-Z0-9]{3}", fullmatch=True)


@given(st.builds(SeedId, code, code, location, channel))
def test_text_and_back(seed_id: SeedId) -> None:
    assert SeedId.parse(str(seed_id)) == seed_id
    assert StreamId.parse(str(seed_id.stream_id)).seed_id(seed_id.component) == seed_id


@pytest.mark.parametrize(
    "text",
    ["../../etc.x..HHZ", "CX.PB01..HH/", "CX.PB01.HHZ", "cx.pb01..hhz", "CX.PB 1..HHZ", "CX...HHZ"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        SeedId.parse(text)


def test_five_letters_and_location_codes_are_kept_apart() -> None:
    assert SeedId.parse("XX.ABCDE..HHZ") != SeedId.parse("XX.ABCDE.00.HHZ")
    assert SeedId.parse("XX.ABCDE..HHZ").station == "ABCDE"


def test_patterns_select_stations() -> None:
    station = StationId.parse("CX.PB01")
    assert station.matches(("CX.PB*",))
    assert station.matches(("XX.*", "*.PB01"))
    assert not station.matches(("CX.PB1*",))
