from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from flows.requests import BackfillRequest, DailyRequest, StationsRequest


def test_times_without_a_zone_are_utc() -> None:
    request = StationsRequest(start="2024-05-01T10:00:00", end="2024-05-01T14:00:00+02:00")
    assert request.start == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert request.end == datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert request.span.duration_s == 2 * 3600


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"end": "2024-05-01"}, "end .* must be later than start"),
        ({"stations": ["PB01"]}, "stations"),
        ({"mode": "everything"}, "missing.*failed"),
        ({"max_parallel": 0}, "max_parallel"),
        ({"typo": 1}, "typo"),
    ],
)
def test_a_wrong_request_is_refused(wrong: dict[str, object], told: str) -> None:
    right = {"start": "2024-05-01", "end": "2024-05-02"}
    with pytest.raises(ValidationError, match=told):
        BackfillRequest(**(right | wrong))


def test_the_form_explains_every_field() -> None:
    schema = BackfillRequest.model_json_schema()
    assert all(field.get("description") for field in schema["properties"].values())
    assert schema["properties"]["mode"]["enum"] == [
        "missing", "failed", "missing+failed", "stale", "all",
    ]  # fmt: skip
    assert schema["properties"]["start"]["format"] == "date-time"


def test_daily_means_yesterday_unless_told() -> None:
    assert DailyRequest(day="2024-05-01").chosen_day == date(2024, 5, 1)
    today = datetime.now(UTC).date()
    assert today - timedelta(days=2) <= DailyRequest().chosen_day < today
