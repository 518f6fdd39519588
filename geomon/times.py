"""Exact times: nanoseconds since 1970-01-01 UTC as `int`, and half-open spans of them.

Python's `datetime` stops at the microsecond and floats stop sooner, so waveform times are
integers inside and become UTC-aware `datetime` where people read them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

from geomon.errors import DataError

NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(?:Z|\+00:00)?"
)


def parse_time(text: str) -> int:
    """Read an ISO 8601 UTC time, or a plain date, as nanoseconds since 1970.

    A second of 60 (a leap second) is read as the first instant of the next minute.

    Raises
    ------
    DataError
        If `text` is not such a time, or names an impossible date or a zone other than UTC.

    Examples
    --------
    >>> parse_time("1970-01-01T00:00:01.5Z")
    1500000000
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        msg = f"{text!r} is not a time; write ISO 8601 in UTC, for example 2024-02-03T05:14:00"
        raise DataError(msg)
    year, month, day, hour, minute, second, fraction = match.groups()
    leap = second == "60"
    try:
        whole = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            59 if leap else int(second or 0),
            tzinfo=UTC,
        )
    except ValueError as error:
        msg = f"{text!r} is not a time: {error}"
        raise DataError(msg) from error
    seconds = round((whole - _EPOCH).total_seconds()) + leap
    return seconds * NS_PER_S + int((fraction or "0").ljust(9, "0"))


def to_ns(time: datetime) -> int:
    """Turn a UTC-aware `datetime` into nanoseconds since 1970, exactly.

    Raises
    ------
    DataError
        If `time` carries no time zone.
    """
    if time.tzinfo is None:
        msg = f"{time} has no time zone; use UTC"
        raise DataError(msg)
    delta = time - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000


def from_ns(time_ns: int) -> datetime:
    """Turn nanoseconds since 1970 into a UTC-aware `datetime`, rounded to the microsecond."""
    return _EPOCH + timedelta(microseconds=(time_ns + 500) // 1000)


def format_ns(time_ns: int) -> str:
    """Write nanoseconds since 1970 as ISO 8601 with as many decimals as needed.

    Examples
    --------
    >>> format_ns(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    whole, fraction = divmod(time_ns, NS_PER_S)
    text = (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


@dataclass(frozen=True, slots=True, order=True)
class TimeSpan:
    """A half-open span [start, end) in nanoseconds since 1970 UTC; never negative, may be empty."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns < self.start_ns:
            start, end = format_ns(self.start_ns), format_ns(self.end_ns)
            msg = f"span ends ({end}) before it starts ({start})"
            raise DataError(msg)

    @classmethod
    def between(cls, start: datetime, end: datetime) -> Self:
        """Make a span of two UTC-aware times."""
        return cls(to_ns(start), to_ns(end))

    @classmethod
    def parse(cls, start: str, end: str) -> Self:
        """Make a span of two ISO 8601 texts."""
        return cls(parse_time(start), parse_time(end))

    def __str__(self) -> str:
        return f"{format_ns(self.start_ns)}/{format_ns(self.end_ns)}"

    @property
    def start(self) -> datetime:
        """First instant."""
        return from_ns(self.start_ns)

    @property
    def end(self) -> datetime:
        """First instant after the span."""
        return from_ns(self.end_ns)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.end_ns - self.start_ns) / NS_PER_S

    @property
    def is_empty(self) -> bool:
        """Whether the span holds no instant."""
        return self.end_ns == self.start_ns

    def contains(self, time_ns: int) -> bool:
        """Tell whether an instant lies in [start, end)."""
        return self.start_ns <= time_ns < self.end_ns

    def overlaps(self, other: "TimeSpan") -> bool:
        """Tell whether the two spans share an instant."""
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns

    def intersection(self, other: "TimeSpan") -> "TimeSpan":
        """Return what both spans share, empty (at the later start) when nothing."""
        start = max(self.start_ns, other.start_ns)
        return TimeSpan(start, max(start, min(self.end_ns, other.end_ns)))

    def padded(self, seconds: float) -> "TimeSpan":
        """Return the span grown by `seconds` on both sides."""
        pad = round(seconds * NS_PER_S)
        return TimeSpan(self.start_ns - pad, self.end_ns + pad)

    def aligned(self, step_ns: int) -> "TimeSpan":
        """Return the smallest span of whole steps since 1970 that covers this one."""
        return TimeSpan(self.start_ns // step_ns * step_ns, -(-self.end_ns // step_ns) * step_ns)

    def steps(self, step_ns: int) -> Iterator["TimeSpan"]:
        """Yield, in order, the part of this span in each step of a grid counted from 1970."""
        start = self.start_ns
        while start < self.end_ns:
            end = min((start // step_ns + 1) * step_ns, self.end_ns)
            yield TimeSpan(start, end)
            start = end

    def days(self) -> list[date]:
        """Return the UTC days the span touches, in order."""
        return [part.start.date() for part in self.steps(NS_PER_DAY)]

    @property
    def words(self) -> str:
        """The span as a person would name it: a day, some days (the last included), or times."""
        start, end = self.start, self.end
        if self.start_ns % NS_PER_DAY or self.end_ns % NS_PER_DAY:
            is_one_day = start.date() == from_ns(self.end_ns - 1).date()
            return f"{start:%Y-%m-%d %H:%M} to {end:{'%H:%M' if is_one_day else '%Y-%m-%d %H:%M'}}"
        last = end - timedelta(days=1)
        return f"{start:%Y-%m-%d}" if last <= start else f"{start:%Y-%m-%d} to {last:%Y-%m-%d}"


def day_span(day: date) -> TimeSpan:
    """Return the 24 hours of a UTC day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return TimeSpan.between(start, start + timedelta(days=1))


def merged(spans: Iterable[TimeSpan]) -> list[TimeSpan]:
    """Return the union of spans as disjoint, non-touching, non-empty spans in time order."""
    union: list[TimeSpan] = []
    for span in sorted(span for span in spans if not span.is_empty):
        if union and span.start_ns <= union[-1].end_ns:
            union[-1] = TimeSpan(union[-1].start_ns, max(union[-1].end_ns, span.end_ns))
        else:
            union.append(span)
    return union


def subtracted(span: TimeSpan, holes: Iterable[TimeSpan]) -> list[TimeSpan]:
    """Return the parts of `span` outside all `holes`, in time order."""
    rest: list[TimeSpan] = []
    start = span.start_ns
    for hole in merged(hole.intersection(span) for hole in holes):
        if hole.start_ns > start:
            rest.append(TimeSpan(start, hole.start_ns))
        start = max(start, hole.end_ns)
    if start < span.end_ns:
        rest.append(TimeSpan(start, span.end_ns))
    return rest
